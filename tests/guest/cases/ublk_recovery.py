# SPDX-License-Identifier: GPL-2.0-or-later
"""
A daemon is killed under load, again and again, and its successor takes the device over.

Users of the device wait and go on as if nothing had happened.  ZONED_KILL_ROUNDS says how often
each load sees a daemon die.
"""

import contextlib
import os
import random
import re
import time

from guestlib.inner import InnerDaemon
from guestlib.machine import GuestError
from guestlib.zones import from_json

ROUNDS = int(os.environ.get('ZONED_KILL_ROUNDS', 4))

# Each is repeated until it has seen enough, and must not fail.
ZONED_LOAD = '''
    fio --name=zones --filename=/dev/ublkb0 --direct=1 --zonemode=zbd --max_open_zones=6 \\
        --offset=16M --size=112M --io_size=2M --rw=randwrite --bs=16k --ioengine=libaio \\
        --iodepth=8 --zone_reset_threshold=0.4 --zone_reset_frequency=0.2 --verify=crc32c \\
        --verify_fatal=1 --do_verify=1 --output-format=terse
    blkzone reset -o 32768 -c 7 /dev/ublkb0
'''
# btrfs appends its data.
APPEND_LOAD = '''
    echo >>/run/files
    fio --name=append --filename="/mnt/disk/file$(wc -l </run/files)" --direct=1 --rw=write \\
        --bs=16k --size=1M --ioengine=libaio --iodepth=8 --end_fsync=1 --verify=crc32c \\
        --verify_fatal=1 --do_verify=1 --output-format=terse
'''
PLAIN_LOAD = '''
    fio --name=plain --filename=/dev/ublkb0 --direct=1 --size=64M --io_size=2M --rw=randwrite \\
        --bsrange=4k-32k --ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 \\
        --do_verify=1 --output-format=terse
'''


# What the kernel says when its driver gives the file of a dead daemon back once too often: seen
# with 6.12.95 in one of about 150 deaths.  A guest where that happens is of no use any more.
DRIVER_BUG = 'VFS: Close: file count is 0 (f_op=ublk_ch_fops'
TRIALS = 3


class DriverFailed(Exception):
    """The kernel's driver has failed."""


class Trial:
    """A case, for one guest; promises say nothing where the kernel's driver has failed."""

    def __init__(self, case, machine):
        self._case, self._machine = case, machine

    def __getattr__(self, name):
        return getattr(self._case, name)

    @contextlib.contextmanager
    def promise(self, text):
        error = None
        try:
            yield
        except GuestError as raised:
            if DRIVER_BUG in self._machine.console.read_text(errors='replace'):
                raise DriverFailed from raised
            error = raised
        except Exception as raised:
            error = raised
        with self._case.promise(text):
            if error:
                raise error


def run(case):
    for trial in range(1, TRIALS + 1):
        machine = case.boot(slow_disk(case), sets=['ublk', 'fio', 'btrfs', 'ext4'])
        try:
            with machine as guest:
                deaths(Trial(case, machine), guest)
            return
        except DriverFailed:
            case.note(f'trial {trial}: the ublk driver of the guest has failed')
    raise DriverFailed(f'in each of {TRIALS} trials')


def deaths(case, guest):
    guest.sh('''
        modprobe -a ublk_drv btrfs ext4
        mkfs.ext4 -q -O ^has_journal /dev/vda
        mkdir /mnt/slow
        mount /dev/vda /mnt/slow
        mkdir -p /mnt/disk
        qemu-img create -q -f qcow2 /mnt/slow/zoned.qcow2 128M -o zone.mode=host-managed,\\
zone.size=16M,zone.capacity=12M,zone.conventional_zones=1,zone.max_open_zones=7
        qemu-img create -q -f qcow2 /mnt/slow/append.qcow2 2G -o zone.mode=host-managed,\\
zone.size=64M
        qemu-img create -q -f qcow2 /mnt/slow/plain.qcow2 64M
    ''')
    options = {'type': 'ublk', 'dev-id': 0, 'num-queues': 2, 'recover': True}
    zoned = slow_daemon(guest, 'zoned', {**options, 'logical-block-size': 4096})
    zoned.start()
    with case.promise(f'fio on zones goes on and verifies, {ROUNDS} deaths'):
        under_load(case, guest, zoned, ZONED_LOAD)
    with case.promise('nothing is left after an end in order'):
        zoned.stop()
        guest.sh('''
            [ ! -e /dev/ublkb0 ] && [ ! -e /run/ublkb0.recovery-log ]
            qemu-img check -q -r leaks /mnt/slow/zoned.qcow2 >/dev/null
        ''')
    appends(case, guest, options)
    other_disks(case, guest, options)
    plain = slow_daemon(guest, 'plain', options)
    with case.promise(f'fio on a disk without zones goes on and verifies, {ROUNDS} deaths'):
        plain.start()
        under_load(case, guest, plain, PLAIN_LOAD)
        plain.stop()
        guest.sh('qemu-img check -q -r leaks /mnt/slow/plain.qcow2 >/dev/null')


def slow_disk(case):
    """A disk for images that takes its time, so that a daemon dies with requests in flight."""
    path = case.folder / 'slow.raw'
    with open(path, 'wb') as disk:
        disk.truncate(1 << 30)
    return ['-drive', f'if=none,id=slow,format=raw,file={path},throttling.iops-total=400',
            '-device', 'virtio-blk-pci,drive=slow']


def slow_daemon(guest, name, options):
    daemon = InnerDaemon(guest, f'/mnt/slow/{name}.qcow2', options,
                         arguments=['--trace', 'ublk_log_*'])
    daemon.node['file']['cache'] = {'direct': True}
    return daemon


def appends(case, guest, options):
    def sectors_lost():
        """How many sectors fewer the zones have got than the kernel has seen written."""
        written = int(guest.sh('cat /sys/block/ublkb0/stat').split()[6])
        zones = [zone for zone in from_json(daemon.zones()) if zone.condition != 'empty']
        return written - sum((zone.wp or zone.start + zone.capacity) - zone.start
                             for zone in zones) // 512

    daemon = slow_daemon(guest, 'append', {**options, 'logical-block-size': 4096})
    daemon.start()
    with case.promise(f'files of btrfs are what fio has written, {ROUNDS} deaths'):
        guest.sh('mkfs.btrfs -f -O zoned -d single -m single /dev/ublkb0 >/tmp/mkfs.log 2>&1')
        # What mkfs has reset again.
        lost = sectors_lost()
        guest.sh('mount -t btrfs /dev/ublkb0 /mnt/disk')
        under_load(case, guest, daemon, APPEND_LOAD)
        guest.sh('umount /mnt/disk')
    with case.promise('no append was carried out twice, and none left out'):
        case.equal(sectors_lost(), lost, 'sectors that are not in zones')
        appended = daemon.stats()['stats']['zone_append_operations']
        case.true(appended > 0, f'the last daemon was asked for appends, found {appended}')
        case.note(summary(daemon.log()))
        daemon.stop()
        guest.sh('qemu-img check -q -r leaks /mnt/slow/append.qcow2 >/dev/null')


def under_load(case, guest, daemon, load):
    """Run @load until daemons have died under it often enough; it must not fail."""
    guest.put('/run/load', b'. /functions\nset -e -u -o pipefail\nuntil [ -e /run/enough ]; do\n'
              + load.encode() + b'echo again\ndone\n')
    guest.sh('rm -f /run/enough; start load bash /run/load')
    for _ in range(ROUNDS):
        time.sleep(random.uniform(0.3, 2))
        daemon.kill()
        time.sleep(random.uniform(0, 0.5))
        daemon.start()
        guest.sh('if has_ended load; then finish load >&2; exit 1; fi')
    guest.sh('touch /run/enough; finish load >/run/load.log 2>&1 || '
             '{ tail -20 /run/load.log >&2; exit 1; }')


def summary(log):
    """What the recovery logs said when daemons took over."""
    verdicts = [tuple(map(int, found)) for found in
                re.findall(r'(\d+) requests had been carried out, (\d+) had not', log)]
    done, not_done = map(sum, zip(*verdicts)) if verdicts else (0, 0)
    return f'in flight at {len(verdicts)} deaths: {done} done already, {not_done} not'


def other_disks(case, guest, options):
    with case.promise('a device that waits is given to its own disk only'):
        daemon = InnerDaemon(guest, '/mnt/slow/zoned.qcow2', options)
        daemon.start()
        daemon.kill()
        guest.sh('''
            fails_with 'Cannot take over /dev/ublkb0: the size' qemu-storage-daemon \\
                --blockdev driver=null-co,node-name=n,size=1048576 \\
                --export type=ublk,id=e,node-name=n,dev-id=0,recover=on
            fails_with 'waits for recovery' qemu-storage-daemon \\
                --blockdev driver=null-co,node-name=n,size=1048576 \\
                --export type=ublk,id=e,node-name=n,dev-id=0
            mv /run/ublkb0.recovery-log /run/kept
        ''')
        guest.sh('''
            fails_with 'Cannot open the recovery log' qemu-storage-daemon \\
                --blockdev \\
                driver=qcow2,node-name=n,file.driver=file,file.filename=/mnt/slow/zoned.qcow2 \\
                --export type=ublk,id=e,node-name=n,writable=on,dev-id=0,recover=on
            mv /run/kept /run/ublkb0.recovery-log
        ''')
        daemon.start()
        guest.sh('blkzone report /dev/ublkb0 >/dev/null')
        daemon.stop()
