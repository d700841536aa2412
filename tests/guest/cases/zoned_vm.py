# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/zoned-vm: a shell in a machine with the disk, and all that was written is in the image."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path

from guestlib.case import Failure
from guestlib.zones import from_json

SCRIPT = Path(__file__).resolve().parents[3] / 'scripts/zoned-vm'
PROMPT = b'guest# '
PATIENCE = 300
LAST_WORDS = 'dd if=/dev/zero of=/dev/vda bs=4k count=1 seek=4096 oflag=direct status=none; exit\n'


class Terminal:
    """The program, and what it has said."""

    def __init__(self, case, image):
        self.process = subprocess.Popen(
            [SCRIPT, '--build-dir', case.build_dir, '--cache', case.cache.folder,
             '--accel', case.options.accel, image],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)
        self.process.stdin.close()
        self.process.stdout.close()

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, wanted):
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.said:
            if not select.select([self.process.stdout], [], [], deadline - time.monotonic())[0]:
                raise Failure(f'no {wanted!r} in time: {self.said[-2000:]}')
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise Failure(f'it ended: {self.said[-2000:]}')
            self.said += data


def run(case):
    image = case.zoned_image('256M', zone_size='16M')
    with Terminal(case, image) as terminal:
        with case.promise('the machine of zoned-vm has the disk'):
            terminal.wait_for(PROMPT)
            if b'/dev/vda (host-managed, 256M)' not in terminal.said:
                raise Failure(f'no disk: {terminal.said[-2000:]}')
        with case.promise('leaving its shell ends it'):
            terminal.type(LAST_WORDS)
            case.equal(terminal.process.wait(PATIENCE), 0, 'exit status')
    with case.promise('what was written is in the image'):
        zone = from_json(case.report(image))[1]
        case.equal((zone.wp - zone.start, zone.condition), (4096, 'closed'), 'zone 1')
        case.check_image(image)
    with Terminal(case, image) as terminal:
        terminal.wait_for(PROMPT)
        with case.promise('SIGTERM ends the machine and the daemon'):
            terminal.process.terminate()
            case.equal(terminal.process.wait(PATIENCE), 128 + signal.SIGTERM, 'exit status')
            case.check_image(image)
