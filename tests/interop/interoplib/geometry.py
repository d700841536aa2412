# SPDX-License-Identifier: GPL-2.0-or-later
"""
Random shapes of plain qcow2 images, and what follows from a shape.
"""

from dataclasses import dataclass

from .programs import GIB, KIB, MIB, TIB

CLUSTER_SIZES = [512 << i for i in range(13)]
REFCOUNT_WIDTHS = [1 << i for i in range(7)]
MAX_L1_ENTRIES = (32 << 20) // 8


def sectors(size):
    return max(512, size - size % 512)


@dataclass
class Geometry:
    """What an image is created with."""
    cluster_size: int
    refcount_bits: int
    compat: str
    lazy_refcounts: bool
    preallocation: str
    size: int
    max_size: int

    @classmethod
    def random(cls, rng, number):
        """The shape of case @number; any 13 in a row have all cluster sizes and widths."""
        cluster_size = CLUSTER_SIZES[number % len(CLUSTER_SIZES)]
        refcount_bits = REFCOUNT_WIDTHS[number % len(REFCOUNT_WIDTHS)]
        old = refcount_bits == 16 and rng.random() < 0.6
        preallocation = rng.choice(['off'] * 6 + ['metadata', 'falloc', 'full'])

        # How far the disk may ever grow: at creation it is somewhere below.
        ceilings = [8 * cluster_size + 512, 40 * MIB, 40 * MIB, 6 * GIB]
        if cluster_size >= 8 * KIB:
            ceilings.append(TIB)
        most = MAX_L1_ENTRIES * cluster_size // 8 * cluster_size
        if preallocation != 'off':
            ceilings, most = ceilings[:2], min(most, max(24 * MIB, 4 * cluster_size))
        max_size = min(most, rng.choice(ceilings))
        size = sectors(int(max_size * rng.uniform(0.02, 1)))
        if rng.random() < 0.3:
            size = min(max_size, size + -size % cluster_size)
        return cls(cluster_size, refcount_bits, '0.10' if old else '1.1',
                   not old and rng.random() < 0.3, preallocation, sectors(size), max_size)

    def __str__(self):
        return (f'cluster_size={self.cluster_size} refcount_bits={self.refcount_bits} '
                f'compat={self.compat} lazy_refcounts={"on" if self.lazy_refcounts else "off"} '
                f'preallocation={self.preallocation} size={self.size}')

    def create_options(self):
        """The shape as create options, those of version 3 only where they are allowed."""
        options = [f'cluster_size={self.cluster_size}', f'compat={self.compat}',
                   f'preallocation={self.preallocation}']
        if self.compat != '0.10':
            options += [f'refcount_bits={self.refcount_bits}',
                        f'lazy_refcounts={"on" if self.lazy_refcounts else "off"}']
        return ','.join(options)

    @property
    def has_zero_clusters(self):
        return self.compat != '0.10'

    def hot_places(self, rng, size):
        """Offsets around which requests meet; a few of them often, one anywhere."""
        covered = self.cluster_size // 8 * self.cluster_size
        return [0, 0, size, covered, size - size % covered, size // 3, rng.randrange(size)]

    def discarded(self, offset, length, size):
        """Return (offset, length) of a range's whole clusters; the disk's last may end early."""
        start = offset + -offset % self.cluster_size
        end = offset + length
        if end != size:
            end -= end % self.cluster_size
        return (start, end - start) if start < end else (0, 0)

    def other_size(self, rng, size):
        """Return a length for the disk of @size to get: two times in three a longer one."""
        step = sectors(rng.choice([512, self.cluster_size, 3 * self.cluster_size,
                                   rng.randrange(512, self.max_size + 512)]))
        if rng.random() < 0.33 and size > step:
            return size - step
        return sectors(min(size + step, self.max_size))

    def growth_mode(self, rng, old, new, is_stock):
        """
        What may be allocated at once when the disk gets from @old to @new bytes.

        Stock programs cannot reserve space where free clusters end the file, cannot fill it with
        direct I/O, and show old bytes in clusters that were in use before.
        """
        too_much = new - old > max(2 * MIB, 4 * self.cluster_size)
        if is_stock or new <= old or too_much or rng.random() < 0.5:
            return 'off'
        return rng.choice(['metadata', 'falloc', 'full'])
