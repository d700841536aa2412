# SPDX-License-Identifier: GPL-2.0-or-later
"""
Random scripts for qemu-io.

A Script adds one command after the other and does the same to the mirror at once, so that a read
added later knows what it must find.  Requests meet in a few hot places: the ends of the disk,
the borders of L2 tables, and wherever the dice say.
"""

from .programs import GIB, MIB

MAX_ZERO_CLUSTERS = 2048
STAMP = 'stamp'


def log_uniform(rng, lowest, highest):
    """Return a length between the two, short and long ones equally likely."""
    return min(highest, max(lowest, int(lowest * (highest / lowest) ** rng.random())))


class Script:
    """Commands for one qemu-io on an image with the content of @mirror."""

    def __init__(self, case, mirror, geometry, side):
        self.case = case
        self.rng = case.rng
        self.mirror = mirror
        self.geometry = geometry
        self.is_stock = side is case.stock
        self.discards = True
        self.commands = []
        self.budget = 6 * MIB

    # Places

    def place(self, highest):
        """Return (offset, length) of a request of at most @highest bytes."""
        size, cluster = self.mirror.size, self.geometry.cluster_size
        base = self.rng.choice(self.geometry.hot_places(self.rng, size))
        offset = max(0, min(size - 1, base + self.rng.randrange(-2 * cluster, 6 * cluster)))
        length = log_uniform(self.rng, 1, min(highest, 4 * MIB))
        unit = self.rng.choice([1, 512, 512, 4096, cluster, cluster])
        offset -= offset % unit
        length = -(-length // unit) * unit
        return offset, min(length, size - offset)

    def affordable_place(self):
        """A place for data, of which the script writes only so much."""
        offset, length = self.place(max(512, min(self.budget, 6 * self.geometry.cluster_size)))
        self.budget -= length
        return offset, length

    def value(self):
        return self.rng.randrange(1, 256)

    def vector(self, length):
        """Split @length in up to 5 parts, none empty."""
        cuts = sorted({self.rng.randrange(1, length) for _ in range(self.rng.randrange(5))}
                      if length > 1 else [])
        return ' '.join(str(b - a) for a, b in zip([0, *cuts], [*cuts, length]))

    # Commands

    def write(self):
        offset, length = self.affordable_place()
        value = self.value()
        flags = self.rng.choice(['', '', '', '-f '])
        if self.rng.random() < 0.3:
            self.commands.append(f'writev {flags}-P {value} {offset} {self.vector(length)}')
        else:
            self.commands.append(f'write {flags}-P {value} {offset} {length}')
        self.mirror.fill(offset, length, value)

    def write_stamp(self):
        offset, length = self.affordable_place()
        with open(self.case.path(STAMP), 'rb') as file:
            stamp = file.read()
        self.commands.append(f'write -s {STAMP} {offset} {length}')
        self.mirror.write(offset, (stamp * (length // len(stamp) + 1))[:length])

    def zero_length(self):
        """How long a request that sends no data may be: what it takes is metadata, if that."""
        if not self.geometry.has_zero_clusters:
            return 256 * 1024
        return min(GIB, MAX_ZERO_CLUSTERS * self.geometry.cluster_size)

    def stretch(self):
        """Return (offset, length), now and then of very many clusters."""
        offset, length = self.place(8 * self.geometry.cluster_size)
        if self.rng.random() < 0.15:
            length = log_uniform(self.rng, 512, self.zero_length())
        return offset, min(length, self.zero_length(), self.mirror.size - offset)

    def write_zeroes(self):
        offset, length = self.stretch()
        flags = self.rng.choice(['-z', '-z -u', '-z -f', '-z -u -f'])
        self.commands.append(f'write {flags} {offset} {length}')
        self.mirror.zero(offset, length)

    def discard(self):
        offset, length = self.stretch()
        self.commands.append(f'discard {offset} {length}')
        if self.discards:
            self.mirror.zero(*self.geometry.discarded(offset, length, self.mirror.size))

    def read(self):
        offset, length = self.place(MIB)
        value, length = self.mirror.uniform(offset, length)
        if self.rng.random() < 0.3:
            self.commands.append(f'readv -P {value} {offset} {self.vector(length)}')
        else:
            self.commands.append(f'read -P {value} {offset} {length}')

    def in_flight(self):
        """
        Several requests at a time, side by side: they share clusters, but not bytes.

        No zeroes from stock programs: they free or link the wrong cluster where those meet data
        on its way to the same cluster.
        """
        offset, length = self.affordable_place()
        if length < 8:
            return
        cuts = sorted({self.rng.randrange(length) for _ in range(self.rng.randrange(2, 14))})
        ranges = [(offset + a, b - a) for a, b in zip(cuts, cuts[1:])]
        self.rng.shuffle(ranges)
        kinds = ['write'] * 3 + ['read'] + ([] if self.is_stock else ['zero', 'unmap'])
        for start, count in ranges:
            kind = self.rng.choice(kinds)
            if kind == 'write':
                value = self.value()
                self.commands.append(f'aio_write -P {value} {start} {self.vector(count)}')
                self.mirror.fill(start, count, value)
            elif kind == 'read':
                value, count = self.mirror.uniform(start, count)
                self.commands.append(f'aio_read -P {value} {start} {count}')
            else:
                flags = '-z -u' if kind == 'unmap' else '-z'
                self.commands.append(f'aio_write {flags} {start} {count}')
                self.mirror.zero(start, count)
        self.commands.append('aio_flush')

    def flush(self):
        self.commands.append('flush')

    def reopen(self):
        self.commands += ['reopen -r', 'reopen -w']

    def truncate(self):
        """Change the length of the disk, one time in three to a shorter one."""
        old, new = self.mirror.size, self.geometry.other_size(self.rng, self.mirror.size)
        mode = self.geometry.growth_mode(self.rng, old, new, self.is_stock)
        self.commands.append(f'truncate -m {mode} {new}')
        self.mirror.resize(new)
        self.clear_tail(old)

    def clear_tail(self, old):
        """
        Write zeroes from the disk's former end to the end of its last cluster, for stock programs:
        they show again what was there before the disk was shrunk.
        """
        end = min(old + -old % self.geometry.cluster_size, self.mirror.size)
        if self.is_stock and end > old:
            self.commands.append(f'write -z {old} {end - old}')

    def add(self, count, resizes=True):
        """Add @count random steps."""
        steps = ([self.write] * 6 + [self.write_stamp] * 3 + [self.write_zeroes] * 3
                 + [self.discard] * 2 + [self.read] * 3 + [self.in_flight] * 3 + [self.flush])
        if resizes:
            steps.append(self.truncate)
        for _ in range(count):
            self.rng.choice(steps)()
        if self.rng.random() < 0.1:
            self.reopen()
            self.write()

    def add_reads(self, count):
        for _ in range(count):
            self.read()

    def add_reads_of_all(self, limit):
        """Read everything that was written, up to @limit stretches of one value."""
        for start, length in self.mirror.extents():
            end = start + length
            while start < end and limit:
                value, count = self.mirror.uniform(start, min(end - start, MIB))
                self.commands.append(f'read -P {value} {start} {count}')
                start, limit = start + count, limit - 1
