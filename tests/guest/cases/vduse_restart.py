# SPDX-License-Identifier: GPL-2.0-or-later
"""Daemons are killed while their VDUSE devices are at work, and the next ones go on with them."""

from cases import zones as zoned_disk
from cases.vduse import FIO, ZBD, attach, plain_daemon, zoned_daemon

ROUNDS = 20

# It goes on until it is told that it is enough, as nobody knows how long a round takes.
FOREVER = '''
    rm -f /tmp/enough
    start fio bash -e -c 'until [ -e /tmp/enough ]; do {prepare}; fio --name=kills {arguments}; done'
'''


def run(case):
    with case.boot(sets=['vduse', 'fio']) as guest:
        guest.sh('modprobe vduse; modprobe virtio_vdpa')
        zoned(case, guest)
        plain(case, guest)


def zoned(case, guest):
    daemon = zoned_daemon(guest)
    daemon.start()
    attach(guest, 'z0')
    with case.promise(f'{ROUNDS} daemons are killed under fio on a zoned disk'):
        survive(guest, daemon, 'blkzone reset /dev/vda',
                f'{ZBD} --rw=write --bsrange=4k-128k --iodepth=8 --size=64M')
    with case.promise('the zones are as the kernel knows them'):
        zoned_disk.agree(case, guest, daemon)
    end(case, guest, daemon, 'z0', '/tmp/z.qcow2')


def plain(case, guest):
    # Where a plain image puts new data is in metadata that a flush writes, and nothing is flushed.
    daemon = plain_daemon(guest, preallocation='metadata')
    daemon.start()
    attach(guest, 'p0')
    with case.promise(f'{ROUNDS} daemons are killed under fio on a plain disk'):
        survive(guest, daemon, 'true', f'{FIO} --rw=randwrite --bs=4k --iodepth=16 --size=16M')
    end(case, guest, daemon, 'p0', '/tmp/p.qcow2')


def survive(guest, daemon, prepare, arguments):
    """Run fio, and kill the daemon again and again meanwhile."""
    guest.sh(FOREVER.format(prepare=prepare, arguments=arguments))
    for _ in range(ROUNDS):
        guest.sh('sleep 1; ! has_ended fio || finish fio')
        daemon.kill()
        daemon.start()
    guest.sh('touch /tmp/enough; finish fio')


def end(case, guest, daemon, name, image):
    with case.promise(f'{name} goes with its daemon, and the image has lost nothing but space'):
        guest.sh(f'vdpa dev del {name}')
        daemon.stop()
        guest.sh(f'''
            test ! -e /dev/vduse/{name}
            test ! -e /dev/shm/vduse-blk-{name}
            qemu-img check -q -r leaks {image} >/dev/null
            qemu-img check -q {image}
            rm {image}
        ''')
