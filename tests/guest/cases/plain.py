# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disks that are not zoned, on QEMU's own vhost-user-blk device with several queues.
"""

SIZE_MIB = 512

FIO = ('--filename={disk} --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 '
       '--randrepeat=0 --group_reporting --output-format=terse')

RUNS = {
    'random blocks of 4 KiB, 32 at a time': '--rw=randwrite --bs=4k --ioengine=libaio --iodepth=32 '
                                            '--size=16M',
    'blocks of 512 bytes to 256 KiB, four jobs with io_uring':
        '--rw=randwrite --bsrange=512-256k --blockalign=512 --ioengine=io_uring --iodepth=8 '
        '--numjobs=4 --size=16M --offset_increment=64M',
    'with discards in between': '--rw=randtrimwrite --bs=64k --ioengine=libaio --iodepth=4 '
                                '--size=32M --verify=0',
}


def run(case):
    image = case.plain_image(f'{SIZE_MIB}M')
    trees = case.plain_image('1G', name='trees.qcow2')
    with case.daemon(image, num_queues=2) as disk, case.daemon(trees) as tree_disk:
        devices = disk.plain_device(), tree_disk.plain_device()
        with case.boot(*devices, sets=['fio', 'ext4', 'xfs']) as guest:
            device(case, guest)
            for text, arguments in RUNS.items():
                with case.promise(f'fio: {text}'):
                    guest.sh(f'fio --name=verify {FIO.format(disk="/dev/vda")} {arguments}')
            discards(case, guest, disk)
            trees_of_files(case, guest)
        with case.promise('the daemon has seen no error'):
            for daemon in disk, tree_disk:
                errors = {name: count for name, count in daemon.stats()['stats'].items()
                          if name.startswith(('failed', 'invalid')) and count > 0}
                case.equal(errors, {}, 'errors')
    for path in image, trees:
        case.check_image(path)


def device(case, guest):
    with case.promise('the disk is not zoned, has two queues, and takes discards'):
        expected = {'zoned': 'none', 'logical_block_size': '512', 'write_cache': 'write back'}
        for name, value in expected.items():
            case.equal(guest.sh(f'cat /sys/block/vda/queue/{name}'), value, name)
        case.equal(guest.sh('cat /sys/block/vda/size'), str(SIZE_MIB * 2048), 'size')
        case.equal(guest.sh('ls /sys/block/vda/mq').split(), ['0', '1'], 'queues')
        case.true(int(guest.sh('cat /sys/block/vda/queue/discard_max_bytes')) > 0, 'discards')


def discards(case, guest, daemon):
    with case.promise('a discarded disk reads as zeroes'):
        before = daemon.stats()['stats']['unmap_bytes']
        guest.sh('''
            blkdiscard /dev/vda
            dd if=/dev/vda bs=1M count=80 iflag=direct status=none | cmp - <(head -c 80M /dev/zero)
        ''')
        case.equal(daemon.stats()['stats']['unmap_bytes'] - before, SIZE_MIB << 20, 'discarded')
    with case.promise('blkdiscard --zeroout'):
        guest.sh('''
            dd if=/dev/urandom of=/dev/vda bs=1M count=4 oflag=direct status=none
            blkdiscard --zeroout -o 1M -l 2M /dev/vda
            dd if=/dev/vda bs=1M skip=1 count=2 iflag=direct status=none |
                cmp - <(head -c 2M /dev/zero)
        ''')


def trees_of_files(case, guest):
    for name, mkfs, check in (('ext4', 'mkfs.ext4 -q -F', 'e2fsck -f -n'),
                              ('xfs', 'mkfs.xfs -q -f', 'xfs_repair -n')):
        with case.promise(f'{name}: a tree of files is copied, read back and checked'):
            guest.sh(f'''
                {mkfs} /dev/vdb >/dev/null
                mkdir /mnt/{name}
                mount -t {name} /dev/vdb /mnt/{name}
                copy_tree /mnt/{name}/tree
                umount /mnt/{name}
                mount -t {name} /dev/vdb /mnt/{name}
                verify_tree /mnt/{name}/tree
                umount /mnt/{name}
                {check} /dev/vdb
            ''')
