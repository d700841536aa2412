# SPDX-License-Identifier: GPL-2.0-or-later
"""fio finds in the zones what it has written there, at several depths and from several jobs."""

COMMON = ('--filename=/dev/vda --direct=1 --zonemode=zbd --group_reporting --output-format=terse '
          '--verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 --max_open_zones=6')
ZONE_MIB = 4

# What it promises: arguments of fio.
RUNS = {
    'blocks of 4 KiB, one at a time': '--rw=write --bs=4k --ioengine=psync --size=4M',
    'blocks of 4 to 256 KiB, 16 at a time':
        '--rw=write --bsrange=4k-256k --bs_unaligned=0 --ioengine=libaio --iodepth=16 --size=64M',
    'random zones, 8 at a time':
        '--rw=randwrite --bs=32k --ioengine=libaio --iodepth=8 --size=64M --io_size=24M',
    'four jobs, each in zones of its own, with io_uring':
        '--rw=write --bs=64k --ioengine=io_uring --iodepth=4 --numjobs=4 --size=16M '
        '--offset_increment=16M',
    'blocks that do not divide a zone': '--rw=write --bs=20k --ioengine=libaio --iodepth=4 '
                                        '--size=16M',
}
MIXED = ('--rw=randrw --rwmixread=40 --bs=16k --ioengine=libaio --iodepth=8 --numjobs=2 '
         '--size=96M --io_size=12M --filename=/dev/vda --direct=1 --zonemode=zbd '
         '--max_open_zones=6 --zone_reset_threshold=0.3 --zone_reset_frequency=0.3')


def run(case):
    image = case.zoned_image('256M', zone_size=f'{ZONE_MIB}M', zone_capacity='3M',
                             conventional_zones=4, max_open_zones=8, max_active_zones=12)
    with case.daemon(image, num_queues=2, logical_block_size=4096) as daemon:
        with case.boot(daemon.zoned_device(), sets=['fio']) as guest:
            begin = 4 * ZONE_MIB
            for text, arguments in RUNS.items():
                with case.promise(text):
                    guest.sh(f'''
                        blkzone reset /dev/vda
                        fio --name=verify {COMMON} --offset={begin}M {arguments}
                    ''')
            with case.promise('reads, writes and resets of two jobs in the same zones'):
                guest.sh(f'fio --name=mixed {MIXED} --offset={begin}M')
            with case.promise('there are two queues, and the daemon has seen no error'):
                case.equal(guest.sh('ls /sys/block/vda/mq').split(), ['0', '1'], 'queues')
                stats = daemon.stats()['stats']
                failed = {name: count for name, count in stats.items()
                          if name.startswith(('failed', 'invalid')) and count > 0}
                case.equal(failed, {}, 'errors')
                case.note(f'{stats["wr_operations"]} writes of {stats["wr_bytes"]} bytes')
                case.true(stats['wr_bytes'] > 100 << 20, 'more than 100 MiB were written')
    case.check_image(image)
