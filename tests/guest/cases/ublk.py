# SPDX-License-Identifier: GPL-2.0-or-later
"""A zoned image is a host-managed block device of the kernel that the daemon runs on."""

import json

from cases import zones as disk
from guestlib.inner import InnerDaemon
from guestlib.zones import after_power_off, from_blkzone, from_json

MIB = 1 << 20
SYSFS = {**disk.SYSFS, 'zone_append_max_bytes': MIB, 'write_cache': 'write back', 'fua': 1}
FIO = ('--name=verify --filename=/dev/ublkb0 --direct=1 --zonemode=zbd --max_open_zones=3 '
       '--offset=32M --size=256M --verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 '
       '--group_reporting --output-format=terse')
FIO_RUNS = {
    'fio verifies what it wrote in sequence': '--rw=write --bs=128k --ioengine=libaio --iodepth=8 '
                                              '--size=48M',
    'fio verifies what it wrote to random zones': '--rw=randwrite --bs=16k --ioengine=io_uring '
                                                  '--iodepth=8 --io_size=16M',
}
FILE_SYSTEM = '''
    mkdir -p /tmp/tree /mnt/disk
    cp -a /usr/bin/bash /usr/bin/gawk /functions /tmp/tree/
    (cd /tmp/tree && sha256sum *) >/tmp/sums
'''


def run(case):
    with case.boot(sets=['ublk', 'fio', 'f2fs', 'btrfs', 'zonefs']) as guest:
        guest.sh(f'''
            modprobe ublk_drv
            qemu-img create -q -f qcow2 /tmp/zoned.qcow2 512M -o zone.mode=host-managed,\\
zone.size={disk.ZONE},zone.capacity={disk.CAPACITY},zone.conventional_zones={disk.CONVENTIONAL},\\
zone.max_open_zones={disk.MAX_OPEN},zone.max_active_zones={disk.MAX_ACTIVE}
        ''')
        daemon = InnerDaemon(guest, '/tmp/zoned.qcow2', {
            'type': 'ublk', 'dev-id': 0, 'num-queues': 2, 'logical-block-size': 4096})
        with case.promise('the device appears with the export'):
            daemon.start()
            case.equal(daemon.command('query-block-exports')[0]['device'], '/dev/ublkb0')
        with case.promise('sysfs has the limits'):
            for name, value in SYSFS.items():
                case.equal(guest.sh(f'cat /sys/block/ublkb0/queue/{name}'), str(value), name)
            case.equal(guest.sh('ls /sys/block/ublkb0/mq').split(), ['0', '1'], 'queues')
        # Scripts for disks of virtio know them by this name.
        guest.sh('ln -s ublkb0 /dev/vda')
        disk.commands(case, guest, daemon)
        disk.reads_and_writes(case, guest)
        disk.exceeded_limits(case, guest, daemon)
        guest.sh('rm /dev/vda')
        for text, arguments in FIO_RUNS.items():
            with case.promise(text):
                guest.sh(f'blkzone reset /dev/ublkb0; fio {FIO} {arguments}')
        with case.promise('the device goes with the daemon, and the image has its zones'):
            seen = from_blkzone(guest.sh('blkzone report /dev/ublkb0'))
            daemon.stop()
            report = guest.sh('''
                [ ! -e /dev/ublkb0 ] && [ ! -e /dev/ublkc0 ]
                qemu-img check -q /tmp/zoned.qcow2
                qemu-img zone report --output json /tmp/zoned.qcow2
            ''')
            case.equal(from_json(json.loads(report)), after_power_off(seen))
        refusals(case, guest, daemon)
        removal(case, guest, daemon)
        file_systems(case, guest)


def refusals(case, guest, daemon):
    with case.promise('block sizes that a zone does not allow are refused by its name'):
        guest.sh('''
            cd /tmp
            qemu-img create -q -f qcow2 odd.qcow2 64M -o zone.mode=host-managed,zone.size=16M
            qemu-io -f qcow2 -c 'write 16M 1536' odd.qcow2 >/dev/null
            fails_with 'write pointer of the zone at 16777216' qemu-storage-daemon \\
                --blockdev driver=qcow2,node-name=n,file.driver=file,file.filename=odd.qcow2 \\
                --export type=ublk,id=e,node-name=n,writable=on,logical-block-size=4096
            [ ! -e /dev/ublkb0 ]
        ''')
    with case.promise('a device has one owner'):
        daemon.start()
        guest.sh('''
            cd /tmp
            qemu-img create -q -f qcow2 other.qcow2 64M
            fails_with '/dev/ublkb0 exists already' qemu-storage-daemon \\
                --blockdev driver=qcow2,node-name=n,file.driver=file,file.filename=other.qcow2 \\
                --export type=ublk,id=e,node-name=n,dev-id=0
            fails_with 'in use by process' qemu-storage-daemon \\
                --blockdev driver=qcow2,node-name=n,file.driver=file,file.filename=other.qcow2 \\
                --export type=ublk,id=e,node-name=n,dev-id=0,recover=on
        ''')


def removal(case, guest, daemon):
    with case.promise('an export can be removed while it is written to'):
        guest.sh(f'''
            blkzone reset /dev/ublkb0
            start fio fio {FIO} --rw=randwrite --bs=64k --ioengine=libaio --iodepth=4 --io_size=8G
            until [ "$(awk '{{print $7}}' /sys/block/ublkb0/stat)" -gt 20000 ]; do sleep 0.2; done
        ''')
        daemon.command('block-export-del', id='disk', mode='hard')
        guest.sh('''
            wait_for grep -q BLOCK_EXPORT_DELETED /run/daemon/out
            if finish fio; then echo "fio noticed nothing" >&2; exit 1; fi
            [ ! -e /dev/ublkb0 ]
        ''')
        case.equal(daemon.command('query-block-exports'), [])
    with case.promise('and made again'):
        daemon.command('block-export-add', **daemon.export)
        guest.sh('blkzone report /dev/ublkb0 >/dev/null')
        daemon.stop()
        guest.sh('qemu-img check -q /tmp/zoned.qcow2')


def file_systems(case, guest):
    guest.sh(FILE_SYSTEM + '''
        qemu-img create -q -f qcow2 /tmp/fs.qcow2 2G -o zone.mode=host-managed,zone.size=16M,\\
zone.conventional_zones=16
        modprobe -a f2fs btrfs zonefs
    ''')
    daemon = InnerDaemon(guest, '/tmp/fs.qcow2', {
        'type': 'ublk', 'dev-id': 1, 'num-queues': 2, 'logical-block-size': 4096})
    for name, make, check in (
            ('f2fs', 'mkfs.f2fs -f -m /dev/ublkb1', 'fsck.f2fs /dev/ublkb1'),
            ('btrfs', 'mkfs.btrfs -f -O zoned -d single -m single /dev/ublkb1',
             'btrfs check --readonly /dev/ublkb1')):
        with case.promise(f'{name} finds its files after the daemon was restarted'):
            daemon.start()
            guest.sh(f'''
                blkzone reset /dev/ublkb1
                {make} >/tmp/mkfs.log 2>&1
                mount -t {name} /dev/ublkb1 /mnt/disk
                cp -a /tmp/tree/* /mnt/disk/
                umount /mnt/disk
            ''')
            daemon.stop()
            daemon.start()
            guest.sh(f'''
                mount -t {name} /dev/ublkb1 /mnt/disk
                (cd /mnt/disk && sha256sum --quiet -c /tmp/sums)
                umount /mnt/disk
                {check} >/tmp/fsck.log 2>&1 || {{ tail -20 /tmp/fsck.log >&2; exit 1; }}
            ''')
            daemon.stop()
    with case.promise('files of zonefs grow'):
        daemon.start()
        guest.sh('''
            blkzone reset /dev/ublkb1
            mkzonefs -f /dev/ublkb1 >/dev/null
            mount -t zonefs /dev/ublkb1 /mnt/disk
            for zone in 0 1 2; do
                dd if=/tmp/tree/bash of=/mnt/disk/seq/$zone bs=64k conv=notrunc,sync \\
                    oflag=direct,append status=none
                cmp -n "$(stat -c %s /tmp/tree/bash)" /tmp/tree/bash /mnt/disk/seq/$zone
            done
            umount /mnt/disk
        ''')
        daemon.stop()
        guest.sh('qemu-img check -q /tmp/fs.qcow2')
