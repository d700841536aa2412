# SPDX-License-Identifier: GPL-2.0-or-later
"""
What Python tests of zoned images share: a small disk that has every kind of zone, and assertions on
zones, on refusals, and on bytes of the file.

The disk of ZonedTestCase, ten zones of 1 MiB:

    0, 1    conventional
    2 - 8   sequential, capacity 768 KiB
    9       sequential, 512 KiB long, as the disk ends there
"""

import hashlib
import struct
from pathlib import Path

import iotests

KIB = 1024
MIB = 1024 * KIB

ZONE_SIZE = MIB
CAPACITY = 768 * KIB
NR_ZONES = 10
FIRST_SEQUENTIAL = 2
LAST_ZONE = 9
DEVICE_SIZE = 9 * MIB + 512 * KIB

NOT_AT_WP = 'Write does not start at the write pointer of the zone'
PAST_CAPACITY = 'Request passes the capacity or the end of the zone'
IS_FULL = 'Zone is full'
TOO_MANY_OPEN = 'Too many open zones'
TOO_MANY_ACTIVE = 'Too many active zones'
IS_CONVENTIONAL = 'Not possible in a conventional zone'
BAD_CONDITION = 'Not possible in the present condition of the zone'
INVALID = 'Invalid argument'
IO_ERROR = 'Input/output error'
NOT_SUPPORTED = 'Operation not supported'


def start_of(zone):
    return zone * ZONE_SIZE


def _zones_and_bytes(output):
    """Of what qemu-io printed, the lines of zone reports and of dumps."""
    return [line for line in output.splitlines() if line.startswith('start: ') or line[8:10] == ': ']


class ZonedTestCase(iotests.ImageTestCase):
    size = '9.5M'
    options = 'zone_model=host-managed,zone_size=1M,zone_capacity=768K,conventional_zones=2'

    def io(self, *commands):
        """Run qemu-io commands in one session; all must succeed.  Returns what they print."""
        return iotests.qemu_io_commands(self.image, *commands)

    def conditions_within(self, *commands):
        """The conditions of all zones behind @commands, before the session ends."""
        text = self.io(*commands, f'zone_report 0 {NR_ZONES}')
        return [zone.condition for zone in iotests.zones_of(text)]

    def zones(self):
        """The zones as a new session finds them."""
        return iotests.zone_report(self.image)

    def zone(self, index):
        return self.zones()[index]

    def assert_zone(self, index, condition, written):
        """A new session finds @condition, and the write pointer @written bytes behind the start."""
        zone = self.zone(index)
        self.assertEqual((zone.condition, zone.wp - zone.start), (condition, written))

    def assert_reads(self, offset, length, pattern=0):
        """qemu-io verifies the pattern and fails where it is not there."""
        self.io(f'read -P {pattern} {offset} {length}')

    def assert_refused(self, reason, command, before=()):
        """
        In a session that ran the commands @before, @command fails with @reason: on standard output,
        with exit status 1, without a change to any zone or to what the beginnings of zones read as.
        """
        look = [f'zone_report 0 {NR_ZONES}']
        look += [f'read -v {start_of(zone)} 16k' for zone in range(NR_ZONES)]
        if before:
            self.io(*before)
        words = [word for each in (*look, command, *look) for word in ('-c', each)]
        output = iotests.qemu_io(*words, self.image, status=1).stdout
        seen_before, message, seen_after = output.partition(f' failed: {reason}\n')
        self.assertTrue(message, f'{command}: expected "{reason}"')
        seen_before, seen_after = _zones_and_bytes(seen_before), _zones_and_bytes(seen_after)
        self.assertEqual(len(seen_before), NR_ZONES + NR_ZONES * 1024)
        self.assertTrue(seen_before == seen_after, f'{command} changed something')

    def disk_usage(self):
        return Path(self.image).stat().st_blocks * 512


# ---- bytes of the file ----

EXT_ZONED = 0x007a6264
EXT_LIVE_WP = 0x7a6c7770
EXT_END = 0
INCOMPATIBLE_ZONED = 1 << 5

# Fields of the zoned header extension: offset and length.
ZONED_FIELDS = {
    'model': (0, 1), 'reserved': (1, 3), 'zone_size': (4, 8), 'zone_capacity': (12, 8),
    'conventional_zones': (20, 4), 'nr_zones': (24, 4), 'max_active_zones': (28, 4),
    'max_open_zones': (32, 4), 'max_append_bytes': (36, 4), 'table_bytes': (40, 8),
    'table_offset': (48, 8),
}
LIVE_FIELDS = {'area_offset': (0, 8), 'area_bytes': (8, 8)}


class Qcow2File:
    """Reads and changes bytes of an image file that no program has open."""

    def __init__(self, path):
        self.path = Path(path)

    def peek(self, offset, length):
        with open(self.path, 'rb') as file:
            file.seek(offset)
            return int.from_bytes(file.read(length), 'big')

    def poke(self, offset, length, value):
        self.poke_bytes(offset, value.to_bytes(length, 'big'))

    def poke_bytes(self, offset, content):
        with open(self.path, 'r+b') as file:
            file.seek(offset)
            file.write(content)

    def extension(self, wanted):
        """Where the content of the header extension @wanted begins."""
        offset = self.peek(100, 4)
        while True:
            kind, length = self.peek(offset, 4), self.peek(offset + 4, 4)
            if kind == wanted:
                return offset + 8
            if kind == EXT_END:
                raise ValueError(f'{self.path} has no extension {wanted:#x}')
            offset += 8 + (length + 7) // 8 * 8

    def set_extension_length(self, wanted, length):
        """Cut the content of an extension, or lengthen it by zeroes; the others are moved."""
        content = self.extension(wanted)
        old_length = self.peek(content - 4, 4)
        behind = content + (old_length + 7) // 8 * 8
        rest = self.peek(behind, 4096).to_bytes(4096, 'big')
        kept = self.peek(content, old_length).to_bytes(old_length, 'big')[:length]
        self.poke(content - 4, 4, length)
        self.poke_bytes(content, kept.ljust((length + 7) // 8 * 8, b'\0') + rest)

    def zoned(self, field):
        offset, length = ZONED_FIELDS[field]
        return self.peek(self.extension(EXT_ZONED) + offset, length)

    def set_zoned(self, field, value):
        offset, length = ZONED_FIELDS[field]
        self.poke(self.extension(EXT_ZONED) + offset, length, value)

    def live(self, field):
        offset, length = LIVE_FIELDS[field]
        return self.peek(self.extension(EXT_LIVE_WP) + offset, length)

    def set_live(self, field, value):
        offset, length = LIVE_FIELDS[field]
        self.poke(self.extension(EXT_LIVE_WP) + offset, length, value)

    def table_entry(self, zone):
        return self.peek(self.zoned('table_offset') + zone * 8, 8)

    def set_table_entry(self, zone, value):
        self.poke(self.zoned('table_offset') + zone * 8, 8, value)

    def swap_table(self):
        """Give all entries the other byte order."""
        for zone in range(self.zoned('nr_zones')):
            entry = self.table_entry(zone)
            self.poke_bytes(self.zoned('table_offset') + zone * 8, struct.pack('<Q', entry))

    def digest(self):
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


class HostileTestCase(ZonedTestCase):
    """Cases that damage the image and see how it is met."""

    def setUp(self):
        super().setUp()
        self.io('write -P 0x5a 0 64k', 'write -P 0xa5 2M 128k')
        self.file = Qcow2File(self.image)

    def assert_not_opened(self, *words):
        """
        Every program refuses the image, for reading and for writing, with a message that has all of
        @words, and leaves the file as it is.
        """
        before = self.file.digest()
        for result in (iotests.qemu_img('info', self.image, status=1),
                       iotests.qemu_io('-r', '-c', 'read 0 4k', self.image, status=1),
                       iotests.qemu_io('-c', 'write 0 4k', self.image, status=1)):
            for word in words:
                self.assertIn(word, result.stderr)
        self.assertEqual(self.file.digest(), before, 'the file was changed')
