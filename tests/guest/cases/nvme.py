# SPDX-License-Identifier: GPL-2.0-or-later
"""
The kernel's NVMe target gives a zoned image to the network: a ZNS namespace on the other side.

Target and host are the same kernel here, connected over TCP.
"""

from guestlib.inner import InnerDaemon
from guestlib.zones import from_blkzone

SUBSYSTEM = '/sys/kernel/config/nvmet/subsystems/zoned-disk'
PORT = '/sys/kernel/config/nvmet/ports/1'
TARGET = f'''
    modprobe -a nvmet_tcp nvme_tcp
    ip link set lo up
    mkdir {SUBSYSTEM}
    echo 1 >{SUBSYSTEM}/attr_allow_any_host
    mkdir {SUBSYSTEM}/namespaces/1
    echo /dev/ublkb0 >{SUBSYSTEM}/namespaces/1/device_path
    echo 1 >{SUBSYSTEM}/namespaces/1/enable
    mkdir {PORT}
    echo tcp >{PORT}/addr_trtype
    echo ipv4 >{PORT}/addr_adrfam
    echo 127.0.0.1 >{PORT}/addr_traddr
    echo 4420 >{PORT}/addr_trsvcid
    ln -s {SUBSYSTEM} {PORT}/subsystems/
'''
CONNECT = '''
    nvme connect -t tcp -a 127.0.0.1 -s 4420 -n zoned-disk >/dev/null
    wait_for test -b /dev/nvme0n1
    cat /sys/block/nvme0n1/queue/zoned
'''
USE = '''
    dd if=/dev/urandom of=/tmp/data bs=1M count=5 status=none
    dd if=/tmp/data of=/dev/nvme0n1 bs=256k oflag=direct seek=64 status=none
    dd if=/dev/nvme0n1 bs=1M count=5 skip=16 iflag=direct status=none | cmp - /tmp/data
    blkzone finish -o $((32 * 2048)) -c 1 /dev/nvme0n1
    fails_with 'error' dd if=/tmp/data of=/dev/nvme0n1 bs=4k count=1 seek=$((48 * 256 + 1)) \\
        oflag=direct status=none
    blkzone report /dev/nvme0n1
'''
DISCONNECT = f'''
    nvme disconnect -n zoned-disk >/dev/null
    rm {PORT}/subsystems/zoned-disk
    rmdir {PORT} {SUBSYSTEM}/namespaces/1 {SUBSYSTEM}
'''


def run(case):
    with case.boot(sets=['ublk', 'nvme', 'vduse']) as guest:
        guest.sh('''
            modprobe ublk_drv
            qemu-img create -q -f qcow2 -o zone.mode=host-managed,zone.size=16M /tmp/disk.qcow2 256M
        ''')
        daemon = InnerDaemon(guest, '/tmp/disk.qcow2', {
            'type': 'ublk', 'dev-id': 0, 'logical-block-size': 4096})
        daemon.start()
        with case.promise('the NVMe target takes the ublk device'):
            guest.sh(TARGET)
        with case.promise('its host has a host-managed namespace'):
            case.equal(guest.sh(CONNECT), 'host-managed')
        with case.promise('zones are written, finished and reported through the network'):
            report = guest.sh(USE)
            case.note(report)
            case.equal(from_blkzone(report), from_blkzone(guest.sh('blkzone report /dev/ublkb0')))
        guest.sh(DISCONNECT)
        daemon.stop()
