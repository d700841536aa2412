# SPDX-License-Identifier: GPL-2.0-or-later
"""
Chains: images that stand on others, each made and written by either side.

The mirror is the disk that the uppermost image shows.  Images below it must not change any more.
"""

import hashlib
import os

from .geometry import Geometry
from .plain import PlainImage
from .programs import MIB, Failure
from .script import Script

MOST_IMAGES = 5
LARGEST_DISK = 64 * MIB


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


class Chain(PlainImage):
    """A chain of images of which the uppermost one is in use."""

    def __init__(self, case, number, direct_io):
        super().__init__(case, number, direct_io)
        self.below = {}         # digests of the images below, by name

    def limit(self):
        """Keep it within what a chain can have: space is not allocated ahead of the base."""
        self.geometry.preallocation = 'off'
        self.geometry.max_size = min(self.geometry.max_size, LARGEST_DISK)
        self.geometry.size = min(self.geometry.size, self.geometry.max_size)
        # Version 2 has no zeroes that hide a base: discards there give what they like, and a disk
        # that gets longer could show more of it.
        self.ignores_discards = 0.1 if self.geometry.has_zero_clusters else 1
        self.may_resize = self.geometry.has_zero_clusters

    def create_base(self, side):
        """The lowest image; now and then it is raw."""
        self.limit()
        self.mirror.resize(self.geometry.size)
        if self.rng.random() < 0.7:
            self.create(side)
            return 'qcow2'
        self.image = 'base.raw'
        self.case.run(side.img, 'create', '-q', '-f', 'raw', self.image, str(self.mirror.size))
        script = Script(self.case, self.mirror, self.geometry, side)
        for _ in range(self.rng.randrange(5)):
            self.rng.choice([script.write, script.write_stamp])()
        self.case.io(side, ['-t', 'writeback', '-f', 'raw', self.image], script.commands)
        return 'raw'

    def create_overlay(self, side, number, base_format):
        """Put an image on top, perhaps in another folder, perhaps longer or shorter."""
        base = self.image
        self.below[base] = digest(self.case.path(base))
        self.geometry = Geometry.random(self.rng, self.rng.randrange(91))
        self.limit()
        size = self.rng.choice([None, None, self.geometry.size])
        if size is None and self.mirror.size > self.geometry.max_size:
            size = self.geometry.size
        folder = self.rng.choice(['', '', 'sub/'])
        os.makedirs(self.case.path(folder), exist_ok=True)
        self.image = f'{folder}overlay{number}.qcow2'
        name = os.path.relpath(base, folder or '.')
        if self.rng.random() < 0.2:
            name = self.case.path(base)
        self.case.run(side.img, 'create', '-q', '-f', 'qcow2', '-o', self.geometry.create_options(),
                      '-b', name, '-F', base_format, self.image, *([str(size)] if size else []))
        self.mirror.resize(size or self.mirror.size)
        self.geometry.size = self.mirror.size

    def session(self, side):
        kinds = [self.script_session] * 5 + [self.bench_session]
        if self.may_resize:
            kinds.append(self.resize_session)
        self.rng.choice(kinds)(side)

    def check_below(self):
        for name, wanted in self.below.items():
            if digest(self.case.path(name)) != wanted:
                raise Failure(f'{name}, which is below, has changed')

    def life(self):
        case = self.case
        base_format = self.create_base(case.one_side())
        if base_format == 'qcow2':
            self.script_session(case.one_side())
        for number in range(self.rng.randrange(1, MOST_IMAGES)):
            side = case.one_side()
            self.create_overlay(side, number, base_format)
            base_format = 'qcow2'
            self.verify(side)
            for _ in range(self.rng.randrange(1, 4)):
                side = case.one_side()
                self.session(side)
                self.verify(side)
        self.check_below()
        self.verify_bytes()


def chain_of_images(case, number, direct_io):
    """Run case @number; the case's name gets the shape of the lowest image."""
    chain = Chain(case, number, direct_io)
    case.name += f': {chain.geometry}'
    try:
        chain.life()
    finally:
        chain.mirror.close()
