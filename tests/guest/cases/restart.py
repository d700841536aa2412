# SPDX-License-Identifier: GPL-2.0-or-later
"""
The daemon is killed at work, 20 times, and started again: QEMU connects again, what was in flight
is done again, and the guest notices nothing but a pause.

Nothing is flushed, and every byte that fio reads is one that it has written.  For that to hold on a
plain image the place of its data must be known before the data comes (vda), or each write be
durable when it is answered (vdb): otherwise it is in metadata that are written with the next flush.
"""

import random
import time

ROUNDS = 20
PATIENCE = 300
FIO = '''
    while [ ! -e /run/stop ]; do
        fio --name=restart --filename=$1 --direct=1 --rw=randwrite --bsrange=4k-64k \\
            --ioengine=libaio --iodepth=8 --numjobs=2 --offset_increment=64M --size=$2 \\
            --verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 --group_reporting \\
            --output-format=terse
    done
'''


def run(case):
    allocated = case.plain_image('256M', 'allocated.qcow2', preallocation='metadata')
    sparse = case.plain_image('256M', 'sparse.qcow2')
    with case.daemon(allocated, num_queues=2) as first, \
            case.daemon(sparse, num_queues=2, writethrough=True) as second:
        daemons = first, second
        devices = [daemon.plain_device(reconnects=True) for daemon in daemons]
        with case.boot(*devices, sets=['fio']) as guest:
            guest.put('/run/fio', FIO.encode())
            guest.sh('''
                start vda bash -e /run/fio /dev/vda 24M
                start vdb bash -e /run/fio /dev/vdb 4M
            ''')
            for number in range(ROUNDS):
                with case.promise(f'both disks go on after kill {number + 1} of {ROUNDS}'):
                    for daemon in daemons:
                        wait_for_requests(case, guest, daemon, random.randrange(20, 300))
                    for daemon in daemons:
                        daemon.restart()
            with case.promise('fio has found everything that it has written'):
                for daemon in daemons:
                    wait_for_requests(case, guest, daemon, 20)
                guest.sh('touch /run/stop; finish vda; finish vdb', patience=900)
    for image in allocated, sparse:
        case.check_image(image)


def wait_for_requests(case, guest, daemon, count):
    """Wait until the daemon, since it was started, has done so many reads and writes."""
    deadline = time.monotonic() + PATIENCE
    while True:
        stats = daemon.stats()['stats']
        if stats['rd_operations'] + stats['wr_operations'] >= count:
            return
        case.true(time.monotonic() < deadline, f'{count} requests come in {PATIENCE} s')
        ended = guest.sh('''
            for job in vda vdb; do
                if has_ended $job; then finish $job || true; fi
            done
        ''')
        case.equal(ended, '', 'fio at its end')
        time.sleep(0.01)
