# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel that the daemon runs on gets disks of it over VDUSE and virtio_vdpa."""

from cases import zones as zoned_disk
from guestlib.inner import InnerDaemon, QmpError

MIB = 1 << 20

FIO = ('--filename=/dev/vda --direct=1 --ioengine=libaio --group_reporting --output-format=terse '
       '--verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0')
ZBD = f'{FIO} --zonemode=zbd --max_open_zones=3 --offset=32M'
FIO_RUNS = {
    'fio verifies what it wrote in sequence': '--rw=write --bs=128k --iodepth=8 --size=48M',
    'fio verifies what it wrote to random zones': '--rw=randwrite --bs=16k --iodepth=16 '
                                                  '--size=256M --io_size=16M',
}


def run(case):
    with case.boot(sets=['vduse', 'fio', 'zonefs', 'ext4']) as guest:
        guest.sh('modprobe vduse; modprobe virtio_vdpa')
        zoned(case, guest)
        plain(case, guest)


def attach(guest, name):
    """Attach a device; its disk is /dev/vda, as there is no other."""
    guest.sh(f'''
        vdpa dev add name {name} mgmtdev vduse
        test "$(basename /sys/bus/vdpa/devices/{name}/virtio*/block/*)" = vda
    ''')


def zoned_daemon(guest):
    """Return a daemon whose device is z0, with the image that the other cases have."""
    guest.sh(f'''
        qemu-img create -q -f qcow2 /tmp/z.qcow2 512M -o zone.mode=host-managed,\\
zone.size={zoned_disk.ZONE},zone.capacity={zoned_disk.CAPACITY},\\
zone.conventional_zones={zoned_disk.CONVENTIONAL},\\
zone.max_open_zones={zoned_disk.MAX_OPEN},zone.max_active_zones={zoned_disk.MAX_ACTIVE}
    ''')
    return InnerDaemon(guest, '/tmp/z.qcow2',
                       {'type': 'vduse-blk', 'name': 'z0', 'num-queues': 2,
                        'logical-block-size': 4096, 'serial': 'zones-0815'})


def zoned(case, guest):
    daemon = zoned_daemon(guest)
    daemon.start()
    with case.promise('a zoned disk is attached'):
        attach(guest, 'z0')
        case.equal(daemon.command('query-block-exports')[0]['device'], '/dev/vduse/z0')
    zoned_disk.limits(case, guest)
    zoned_disk.commands(case, guest, daemon)
    zoned_disk.reads_and_writes(case, guest)
    zoned_disk.exceeded_limits(case, guest, daemon)
    for text, arguments in FIO_RUNS.items():
        with case.promise(text):
            guest.sh(f'blkzone reset /dev/vda; fio --name=verify {ZBD} {arguments}')
            zoned_disk.agree(case, guest, daemon)
    with case.promise('zonefs keeps what was appended to its files'):
        zonefs(guest)
    with case.promise('the disk is the same after it was detached and attached'):
        attach_again(guest)
        zoned_disk.agree(case, guest, daemon)
    end(case, guest, daemon, 'z0', '/tmp/z.qcow2')


def zonefs(guest):
    guest.sh('''
        blkzone reset /dev/vda
        mkzonefs -f /dev/vda >/dev/null
        modprobe zonefs
        mount -t zonefs /dev/vda /mnt
        dd if=/dev/urandom of=/tmp/data bs=64k count=40 status=none
        for file in 0 1 2; do
            dd if=/tmp/data of=/mnt/seq/$file bs=64k oflag=direct,append conv=notrunc status=none
        done
        umount /mnt
        mount -t zonefs /dev/vda /mnt
        for file in 0 1 2; do
            cmp /tmp/data /mnt/seq/$file
        done
        umount /mnt
    ''')


def attach_again(guest):
    before = guest.sh('head -c 100M /dev/vda | sha256sum')
    guest.sh('vdpa dev del z0')
    attach(guest, 'z0')
    guest.sh(f'test "$(head -c 100M /dev/vda | sha256sum)" = "{before}"')


def plain_daemon(guest, preallocation='off'):
    """Return a daemon whose device is p0, with an image that is not zoned."""
    guest.sh(f'qemu-img create -q -f qcow2 -o preallocation={preallocation} /tmp/p.qcow2 256M')
    return InnerDaemon(guest, '/tmp/p.qcow2',
                       {'type': 'vduse-blk', 'name': 'p0', 'num-queues': 2})


def plain(case, guest):
    daemon = plain_daemon(guest)
    daemon.start()
    with case.promise('a plain disk is attached'):
        attach(guest, 'p0')
        case.equal(guest.sh('cat /sys/block/vda/queue/zoned'), 'none')
        case.equal(guest.sh('cat /sys/block/vda/size'), str(256 * MIB // 512))
    with case.promise('a file system keeps its files'):
        guest.sh('''
            modprobe ext4
            mkfs.ext4 -q /dev/vda
            mount /dev/vda /mnt
            copy_tree /mnt/tree
            umount /mnt
            e2fsck -f -p /dev/vda
            mount /dev/vda /mnt
            verify_tree /mnt/tree
            umount /mnt
            blkdiscard /dev/vda
        ''')
    end(case, guest, daemon, 'p0', '/tmp/p.qcow2')


def end(case, guest, daemon, name, image):
    with case.promise('an export in use is not removed, and a daemon that ends leaves it'):
        try:
            daemon.command('block-export-del', id='disk')
        except QmpError as error:
            case.true('in use' in str(error), f'{error} tells that it is in use')
        else:
            case.true(False, 'the export is kept')
        daemon.stop()
        guest.sh(f'test -e /dev/vduse/{name}; test -e /dev/shm/vduse-blk-{name}')
        daemon.start()
    with case.promise('a detached device goes with its daemon'):
        guest.sh(f'vdpa dev del {name}')
        daemon.stop()
        guest.sh(f'''
            test "$(ls /dev/vduse)" = control
            test -z "$(ls /dev/shm)"
        ''')
    with case.promise('the image is well'):
        guest.sh(f'qemu-img check -q {image}; rm {image}')
