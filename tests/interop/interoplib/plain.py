# SPDX-License-Identifier: GPL-2.0-or-later
"""
Plain qcow2 images in the hands of both sides.

One side makes an image; then in each session one of them works on it with a random script, and
afterwards everything that both can say about it must agree with each other and with the mirror.
"""

import os

from .geometry import Geometry
from .mirror import Mirror
from .programs import MIB, Failure
from .script import STAMP, Script

IMAGE = 'image.qcow2'
CACHES_BUFFERED = ['writeback', 'writeback', 'writeback', 'writethrough', 'unsafe']
CACHES_DIRECT = ['none', 'none', 'directsync']
CHECK_OF_ALL = 400


def same(what, ours, stock):
    if ours != stock:
        raise Failure(f'{what} differs:\n  ours:  {ours}\n  stock: {stock}')


class PlainImage:
    """One image, its mirror, and what is done to both."""

    def __init__(self, case, number, direct_io):
        self.case = case
        self.rng = case.rng
        self.geometry = Geometry.random(case.rng, number)
        self.caches = CACHES_BUFFERED + (CACHES_DIRECT if direct_io else [])
        self.image = IMAGE
        self.ignores_discards = 0.1     # how often
        self.may_resize = True
        with open(case.path(STAMP), 'wb') as file:
            file.write(case.rng.randbytes(case.rng.choice([1000, 4096, 5000, 65536])))
        self.mirror = Mirror(case.path('mirror.raw'), self.geometry.size)

    # What a session is

    def create(self, side):
        self.case.run(side.img, 'create', '-q', '-f', 'qcow2', '-o',
                      self.geometry.create_options(), self.image, str(self.geometry.size))

    def open_options(self, side, cache):
        """How qemu-io opens the image: now and then with tiny metadata caches."""
        options = ['-t', cache]
        if side is self.case.ours:
            kinds = ['threads', 'io_uring'] + (['native'] if cache in CACHES_DIRECT else [])
            options += ['-i', self.rng.choice(kinds)]
        if self.rng.random() < 0.7:
            return [*options, '-f', 'qcow2', self.image]
        keys = f'driver=qcow2,file.driver=file,file.filename={self.image}'
        keys += self.rng.choice(['', ',l2-cache-size=1', ',refcount-cache-size=1',
                                 ',l2-cache-size=64k,refcount-cache-size=32k',
                                 ',lazy-refcounts=on' if self.geometry.compat != '0.10' else ''])
        return [*options, '--image-opts', keys]

    def script_session(self, side):
        cache = self.rng.choice(self.caches)
        script = Script(self.case, self.mirror, self.geometry, side)
        options = self.open_options(side, cache)
        if self.rng.random() < self.ignores_discards:
            script.discards = False
            options = ['-d', 'ignore', *options]
        script.add(self.rng.randrange(4, 12 if 'through' in cache or 'sync' in cache else 40),
                   self.may_resize)
        self.case.io(side, options, script.commands)

    def resize_session(self, side):
        old = self.mirror.size
        new = self.geometry.other_size(self.rng, old)
        mode = self.geometry.growth_mode(self.rng, old, new, side is self.case.stock)
        self.case.run(side.img, 'resize', '-q', '-f', 'qcow2', '--preallocation', mode,
                      *(['--shrink'] if new < old else []), self.image, str(new))
        self.mirror.resize(new)
        script = Script(self.case, self.mirror, self.geometry, side)
        script.clear_tail(old)
        script.write()
        self.case.io(side, ['-t', 'writeback', self.image], script.commands)

    def bench_session(self, side):
        """Equal requests, many at a time, in steps that leave gaps or none."""
        size = self.rng.choice([512, 4096, 3 * 512, 65536])
        step = self.rng.choice([size, size, 2 * size, self.geometry.cluster_size + size])
        count = min(200, 4 * MIB // step, self.mirror.size // step)
        if not count:
            return
        start = self.rng.randrange(self.mirror.size - count * step + 1)
        start -= start % 512
        value = self.rng.randrange(1, 256)
        depth = self.rng.choice([1, 4, 16])
        flush = self.rng.choice([[], ['--flush-interval', str(depth)],
                                 ['--flush-interval', str(depth), '--no-drain']])
        self.case.run(side.img, 'bench', '-w', '-f', 'qcow2', '-t', self.rng.choice(self.caches),
                      '-c', str(count), '-d', str(depth), '-s', str(size), '-S', str(step),
                      '-o', str(start), '--pattern', str(value), *flush, self.image)
        for i in range(count):
            self.mirror.fill(start + i * step, size, value)

    def session(self, side):
        self.rng.choice([self.script_session] * 6 + [self.resize_session, self.bench_session])(side)

    # What must hold after each

    def both(self, command, *arguments):
        case = self.case
        return (case.img_json(case.ours, command, '-f', 'qcow2', *arguments, self.image),
                case.img_json(case.stock, command, '-f', 'qcow2', *arguments, self.image))

    def without_host_holes(self, extents):
        """
        Reduce a map to what both sides must agree on.

        Stock programs look for holes of the file only where they guess that metadata was
        preallocated, and versions before 8.2 know no `compressed`.  Whatever is said to be zero
        must be zero.
        """
        merged = []
        for extent in extents:
            extent.pop('compressed', None)
            if extent['zero'] and not self.mirror.is_zero(extent['start'], extent['length']):
                raise Failure(f'not zero: {extent}')
            if extent['data']:
                extent['zero'] = False
            last = merged[-1] if merged else None
            if (last and extent['data'] and last['data'] and last['depth'] == extent['depth']
                    and last['offset'] + last['length'] == extent['offset']):
                last['length'] += extent['length']
            else:
                merged.append(extent)
        return merged

    def verify(self, side):
        """Everything about the image that @side has written."""
        same('check', *self.both('check'))
        self.case.run(self.case.one_side().img, 'compare', '-q', '-f', 'qcow2', '-F', 'raw',
                      self.image, 'mirror.raw')
        same('map', *map(self.without_host_holes, self.both('map')))
        ours, stock = self.both('info')
        for key in ('virtual-size', 'cluster-size', 'dirty-flag', 'format', 'format-specific'):
            same(f'info: {key}', ours[key], stock[key])
        same('length', ours['virtual-size'], self.mirror.size)

        reader = self.case.other(side)
        script = Script(self.case, self.mirror, self.geometry, reader)
        script.add_reads(8)
        self.case.io(reader, ['-r', '-f', 'qcow2', self.image], script.commands)

    def verify_bytes(self):
        """Read all of the image with our program, and with the other one in another format."""
        script = Script(self.case, self.mirror, self.geometry, self.case.ours)
        script.add_reads_of_all(CHECK_OF_ALL)
        self.case.io(self.case.ours, ['-r', '-f', 'qcow2', self.image], script.commands)
        self.case.run(self.case.stock.img, 'convert', '-f', 'qcow2', '-O', 'raw', self.image,
                      'converted.raw')
        different = self.mirror.difference(self.case.path('converted.raw'))
        if different is not None:
            raise Failure(f'converted to raw, byte {different:#x} is not what was written')
        os.unlink(self.case.path('converted.raw'))

    def convert_back(self):
        """Let the stock program make an image of the content, and carry on with that one."""
        self.image = 'converted.qcow2'
        self.case.run(self.case.stock.img, 'convert', '-f', 'raw', '-O', 'qcow2', '-o',
                      self.geometry.create_options(), 'mirror.raw', self.image)
        self.verify(self.case.stock)
        self.script_session(self.case.ours)
        self.verify(self.case.ours)

    def life(self):
        case = self.case
        side = case.one_side()
        self.create(side)
        self.verify(side)
        for _ in range(self.rng.randrange(2, 5)):
            side = case.other(side) if self.rng.random() < 0.8 else side
            self.session(side)
            self.verify(side)
        self.verify_bytes()
        self.convert_back()


def plain_image(case, number, direct_io):
    """Run case @number; the case's name gets what the dice said."""
    image = PlainImage(case, number, direct_io)
    case.name += f': {image.geometry}'
    try:
        image.life()
    finally:
        image.mirror.close()
