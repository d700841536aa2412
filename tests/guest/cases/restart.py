# SPDX-License-Identifier: GPL-2.0-or-later
"""
The daemon is killed at work, 20 times, and started again: QEMU connects again, what was in flight is
done again, and the guest notices nothing but a pause.

Every byte that fio reads is one that it has written.
"""

import random
import time

ROUNDS = 20
PATIENCE = 300

# It goes on until /run/stop is there; each pass verifies what it has written.
FIO = '''
    while [ ! -e /run/stop ]; do
        fio --name=restart --filename=/dev/vda --direct=1 --rw=randwrite --bsrange=4k-64k \\
            --ioengine=libaio --iodepth=8 --numjobs=2 --offset_increment=64M --size=24M \\
            --verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=0 --group_reporting \\
            --output-format=terse
    done
'''


def run(case):
    image = case.plain_image('256M')
    with case.daemon(image, num_queues=2) as daemon:
        with case.boot(daemon.plain_device(reconnects=True), sets=['fio']) as guest:
            guest.put('/run/fio', FIO.encode())
            guest.sh('start fio bash -e /run/fio')
            for number in range(ROUNDS):
                with case.promise(f'the disk goes on after kill {number + 1} of {ROUNDS}'):
                    wait_for_requests(case, guest, daemon, random.randrange(20, 400))
                    daemon.restart()
            with case.promise('fio has found everything that it has written'):
                wait_for_requests(case, guest, daemon, 20)
                guest.sh('touch /run/stop; finish fio', patience=600)
    case.check_image(image)


def wait_for_requests(case, guest, daemon, count):
    """Wait until the daemon, since it was started, has done so many reads and writes."""
    deadline = time.monotonic() + PATIENCE
    while True:
        stats = daemon.stats()['stats']
        if stats['rd_operations'] + stats['wr_operations'] >= count:
            return
        case.true(time.monotonic() < deadline, f'{count} requests come in {PATIENCE} s')
        case.equal(guest.sh('if has_ended fio; then finish fio || true; fi'), '', 'fio at its end')
        time.sleep(0.01)
