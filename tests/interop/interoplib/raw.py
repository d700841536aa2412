# SPDX-License-Identifier: GPL-2.0-or-later
"""
Raw images, and windows into them: what stands beside a window must not change.
"""

import json

from .mirror import Mirror
from .programs import MIB, Failure
from .script import STAMP, Script

FILE = 'image.raw'
GUARD = 0x77


class RawGeometry:
    """The little that scripts need to know of raw images."""
    cluster_size = 4096
    has_zero_clusters = True

    def hot_places(self, rng, size):
        return [0, size, size // 2, rng.randrange(size)]


def window_options(rng, offset, size):
    """The same window, spelled as key=value or as JSON; return qemu-io arguments."""
    if rng.random() < 0.5:
        return ['--image-opts', f'driver=raw,offset={offset},size={size},file.driver=file,'
                                f'file.filename={FILE}']
    tree = {'driver': 'raw', 'offset': offset, 'size': size,
            'file': {'driver': 'file', 'filename': FILE}}
    return ['json:' + json.dumps(tree)]


def raw_image(case, number):
    """A guarded file, of which both sides in turn see only a window."""
    rng = case.rng
    with open(case.path(STAMP), 'wb') as file:
        file.write(rng.randbytes(3000))
    whole = rng.randrange(64, 8192) * 512
    offset = 0 if number == 0 else rng.randrange(whole // 1024) * 512
    size = whole if number == 0 else rng.randrange(1, (whole - offset) // 512 + 1) * 512
    case.name += f': window of {size} bytes at {offset}'
    maker = case.one_side()
    case.run(maker.img, 'create', '-q', '-f', 'raw', FILE, str(whole))
    case.io(maker, ['-t', 'writeback', '-f', 'raw', FILE], [f'write -P {GUARD} 0 {whole}'])

    mirror = Mirror(case.path('mirror.raw'), size)
    mirror.fill(0, size, GUARD)
    for _ in range(6):
        side = case.one_side()
        script = Script(case, mirror, RawGeometry(), side)
        script.budget = MIB
        steps = [script.write, script.write_stamp, script.write_zeroes, script.in_flight,
                 script.read]
        for _ in range(12):
            rng.choice(steps)()
        case.io(side, ['-t', 'writeback', *window_options(rng, offset, size)], script.commands)
        with open(case.path(FILE), 'rb') as file:
            content = file.read()
        if content[offset:offset + size] != mirror.read(0, size):
            raise Failure(f'the window is not what {side.name} was told to write')
        if content[:offset].strip(bytes([GUARD])) or content[offset + size:].strip(bytes([GUARD])):
            raise Failure(f'{side.name} wrote beside the window')
        if len(content) != whole:
            raise Failure(f'{side.name} made the file {len(content)} bytes long, not {whole}')
    mirror.close()
