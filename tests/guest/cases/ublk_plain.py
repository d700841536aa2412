# SPDX-License-Identifier: GPL-2.0-or-later
"""An image without zones is an ordinary block device of the kernel that the daemon runs on."""

from guestlib.inner import InnerDaemon

QUEUE = {'zoned': 'none', 'logical_block_size': 512, 'max_hw_sectors_kb': 1024,
         'write_cache': 'write back', 'fua': 1}


def run(case):
    with case.boot(sets=['ublk', 'fio', 'ext4', 'xfs']) as guest:
        guest.sh('''
            modprobe -a ublk_drv ext4 xfs
            qemu-img create -q -f qcow2 /tmp/plain.qcow2 512M
            mkdir -p /tmp/tree /mnt/disk
            cp -a /usr/bin/bash /usr/bin/gawk /functions /tmp/tree/
            (cd /tmp/tree && sha256sum *) >/tmp/sums
        ''')
        daemon = InnerDaemon(guest, '/tmp/plain.qcow2',
                             {'type': 'ublk', 'dev-id': 5, 'num-queues': 2, 'queue-depth': 32})
        daemon.node['discard'] = daemon.node['file']['discard'] = 'unmap'
        daemon.start()
        with case.promise('sysfs has what the disk is like'):
            for name, value in QUEUE.items():
                case.equal(guest.sh(f'cat /sys/block/ublkb5/queue/{name}'), str(value), name)
            case.equal(guest.sh('ls /sys/block/ublkb5/mq').split(), ['0', '1'], 'queues')
        with case.promise('fio verifies what it wrote, from both queues'):
            guest.sh('''
                fio --name=verify --filename=/dev/ublkb5 --direct=1 --rw=randwrite \\
                    --bsrange=4k-64k --size=32M --offset_increment=32M --numjobs=2 \\
                    --ioengine=libaio --iodepth=8 \\
                    --verify=crc32c --verify_fatal=1 --group_reporting --output-format=terse
            ''')
        for name, make, check in (
                ('ext4', 'mkfs.ext4 -q /dev/ublkb5', 'e2fsck -f -n /dev/ublkb5'),
                ('xfs', 'mkfs.xfs -q -f /dev/ublkb5', 'xfs_repair -n /dev/ublkb5')):
            with case.promise(f'{name} finds its files after the daemon was restarted'):
                guest.sh(f'''
                    {make}
                    mount -t {name} /dev/ublkb5 /mnt/disk
                    cp -a /tmp/tree/* /mnt/disk/
                    umount /mnt/disk
                ''')
                daemon.stop()
                daemon.start()
                guest.sh(f'''
                    mount -t {name} /dev/ublkb5 /mnt/disk
                    (cd /mnt/disk && sha256sum --quiet -c /tmp/sums)
                    umount /mnt/disk
                    {check} >/tmp/fsck.log 2>&1 || {{ tail -20 /tmp/fsck.log >&2; exit 1; }}
                ''')
        with case.promise('discarded blocks read as zeroes, and the image gives them back'):
            guest.sh('''
                blkdiscard -f /dev/ublkb5
                cmp -n 64M /dev/ublkb5 /dev/zero
                sync
            ''')
        daemon.stop()
        guest.sh('''
            qemu-img check -q /tmp/plain.qcow2
            [ "$(stat -c %b /tmp/plain.qcow2)" -lt 8192 ]
        ''')
        read_only(case, guest, daemon)


def read_only(case, guest, daemon):
    with case.promise('a read-only export is a read-only device'):
        daemon.export['writable'] = False
        daemon.node['read-only'] = True
        daemon.start()
        guest.sh('''
            [ "$(cat /sys/block/ublkb5/ro)" = 1 ]
            fails_with 'Operation not permitted\\|Read-only' dd if=/dev/zero of=/dev/ublkb5 count=8
            dd if=/dev/ublkb5 of=/dev/null bs=1M count=8 status=none
        ''')
        daemon.stop()
