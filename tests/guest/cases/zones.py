# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's kernel and blkzone see the zones, limits and errors that the disk has."""

from guestlib.zones import after_power_off, from_blkzone, from_json

MIB = 1 << 20
ZONE, CAPACITY, CONVENTIONAL, NR_ZONES = 16 * MIB, 12 * MIB, 2, 32
MAX_OPEN, MAX_ACTIVE = 3, 4

SYSFS = {'zoned': 'host-managed', 'nr_zones': NR_ZONES, 'chunk_sectors': ZONE // 512,
         'max_open_zones': MAX_OPEN, 'max_active_zones': MAX_ACTIVE,
         'zone_append_max_bytes': 126 * 4096, 'zone_write_granularity': 4096,
         'logical_block_size': 4096, 'physical_block_size': 4096, 'minimum_io_size': 4096,
         'discard_max_bytes': 0, 'write_zeroes_max_bytes': 0}

# put ZONE BLOCK COUNT: write random blocks of 4 KiB; zone ACTION ZONE [COUNT].  After a failed
# write the kernel refuses all others to that zone until somebody asks for a report.
HELPERS = '''
    put() { dd if=/dev/urandom of=/dev/vda bs=4k seek=$(($1 * 4096 + $2)) count="$3" \\
            oflag=direct status=none; }
    zone() { blkzone "$1" -o $(($2 * 32768)) -c "${3:-1}" /dev/vda; }
    put_fails() { fails_with "$1" put "${@:2}"; blkzone report /dev/vda >/dev/null; }
'''


def run(case):
    image = case.zoned_image('512M', zone_size=ZONE, zone_capacity=CAPACITY,
                             conventional_zones=CONVENTIONAL, max_open_zones=MAX_OPEN,
                             max_active_zones=MAX_ACTIVE)
    with case.daemon(image, logical_block_size=4096, serial='zones-0815') as daemon:
        with case.boot(daemon.zoned_device()) as guest:
            limits(case, guest)
            commands(case, guest, daemon)
            reads_and_writes(case, guest)
            exceeded_limits(case, guest, daemon)
            behind_the_guest(case, guest, daemon)
            seen = from_blkzone(guest.sh('blkzone report /dev/vda'))
    with case.promise('qemu-img reports the same zones after power-off'):
        case.equal(from_json(case.report(image)), after_power_off(seen))
        case.check_image(image)


def limits(case, guest):
    with case.promise('sysfs has the limits'):
        for name, value in SYSFS.items():
            case.equal(guest.sh(f'cat /sys/block/vda/queue/{name}'), str(value), name)
        case.equal(guest.sh('cat /sys/block/vda/size'), str(NR_ZONES * ZONE // 512), 'size')
        case.equal(guest.sh('cat /sys/block/vda/serial'), 'zones-0815', 'serial')


def agree(case, guest, daemon):
    """What both sides say of the zones is the same; returns it."""
    zones = from_json(daemon.zones())
    case.equal(from_blkzone(guest.sh('blkzone report /dev/vda')), zones, 'report')
    case.equal(len(zones), NR_ZONES, 'number of zones')
    return zones


def commands(case, guest, daemon):
    def expect(script, **conditions):
        guest.sh(HELPERS + script)
        zones = agree(case, guest, daemon)
        for index, condition in conditions.items():
            index = int(index.removeprefix('zone_'))
            case.equal(zones[index].condition, condition.replace('_', '-'), f'zone {index}')
        return zones

    with case.promise('blkzone report agrees with query-block-zones'):
        expect('', zone_0='not_write_pointer', zone_1='not_write_pointer', zone_2='empty')
    with case.promise('a written zone is implicitly open'):
        zones = expect('put 2 0 5', zone_2='implicitly_open')
        case.equal(zones[2].wp, 2 * ZONE + 5 * 4096, 'write pointer')
    with case.promise('blkzone open and close'):
        expect('zone open 2 2', zone_2='explicitly_open', zone_3='explicitly_open')
        expect('zone close 2 2', zone_2='closed', zone_3='empty')
    with case.promise('a full zone'):
        expect('put 2 5 3067', zone_2='full')
    with case.promise('blkzone finish'):
        expect('put 3 0 1; zone finish 3 2', zone_3='full', zone_4='full')
    with case.promise('blkzone reset'):
        expect('zone reset 2 2', zone_2='empty', zone_3='empty', zone_4='full')
    with case.promise('the whole disk is reset with one request'):
        expect('put 5 0 1; blkzone reset /dev/vda', zone_4='empty', zone_5='empty')
        case.equal(daemon.stats()['zones']['reset-alls'], 1, 'resets of the whole disk')
    with case.promise('conventional zones have no write pointer to reset'):
        guest.sh(HELPERS + 'put 1 7 2; fails_with "Input/output error" zone reset 0')
        agree(case, guest, daemon)


def reads_and_writes(case, guest):
    with case.promise('what was written can be read'):
        guest.sh('''
            dd if=/dev/urandom of=/tmp/data bs=4k count=64 status=none
            dd if=/tmp/data of=/dev/vda bs=64k seek=$((6 * 256)) oflag=direct status=none
            dd if=/dev/vda bs=64k skip=$((6 * 256)) count=4 iflag=direct status=none |
                cmp - /tmp/data
        ''')
    with case.promise('zeroes are read above the write pointer and above the capacity'):
        guest.sh('''
            for mib in 97 107 108 111; do
                dd if=/dev/vda bs=1M skip=$mib count=1 iflag=direct status=none |
                    cmp - <(head -c 1M /dev/zero)
            done
        ''')
    with case.promise('writes that are not at the write pointer fail'):
        guest.sh(HELPERS + '''
            put_fails 'Input/output error' 6 65 1
            put_fails 'Input/output error' 6 63 1
            put 6 64 1
        ''')
    with case.promise('writes above the capacity and to full zones fail'):
        guest.sh(HELPERS + '''
            zone finish 6
            put_fails 'Input/output error' 6 65 1
            put_fails 'Input/output error' 6 3072 1
        ''')
    with case.promise('conventional zones are written anywhere'):
        guest.sh(HELPERS + 'put 0 4000 3; put 0 17 1; put 1 0 256')


def exceeded_limits(case, guest, daemon):
    with case.promise('too many explicitly open zones: ETOOMANYREFS'):
        guest.sh(HELPERS + '''
            blkzone reset /dev/vda
            zone open 10 3
            fails_with 'Too many references' zone open 13
            put_fails 'Too many references' 13 0 1
        ''')
        agree(case, guest, daemon)
    with case.promise('an implicitly open zone makes room for another one'):
        guest.sh(HELPERS + 'zone close 10 3; for z in 10 11 12 13; do put $z 0 1; done')
        zones = agree(case, guest, daemon)
        case.equal([zone.condition for zone in zones[10:14]],
                   ['closed'] + ['implicitly-open'] * 3, 'conditions')
    with case.promise('too many active zones: EOVERFLOW'):
        guest.sh(HELPERS + '''
            put_fails 'Value too large' 14 0 1
            fails_with 'Value too large' zone open 14
            zone finish 11
            put 14 0 1
        ''')
        agree(case, guest, daemon)


def behind_the_guest(case, guest, daemon):
    with case.promise('a zone that the host resets is no surprise for long'):
        daemon.qmp.command('block-zone-mgmt', node_name='disk', op='reset', offset=12 * ZONE,
                           length=ZONE)
        guest.sh(HELPERS + '''
            put_fails 'Input/output error' 12 1 1
            put 12 0 2
        ''')
        agree(case, guest, daemon)
