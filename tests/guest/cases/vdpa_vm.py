# SPDX-License-Identifier: GPL-2.0-or-later
"""
A zoned image over VDUSE in a virtual machine: stock QEMU takes it as a vhost-vdpa device.

The kernel that has the device is the guest's, so the virtual machine runs in the guest, emulated by
what is emulated itself: that takes a quarter of an hour.  It boots the same kernel, with a script in
the place of the agent.
"""

from guestlib.archive import Archive
from guestlib.inner import InnerDaemon
from guestlib.machine import KERNEL_ARGUMENTS, build_archive
from guestlib.rootfs import add_program
from guestlib.zones import after_power_off, from_blkzone, from_json

BY_HAND = True
QEMU = 'qemu-system-x86_64'
FIRMWARE = ('usr/share/seabios/bios-256k.bin', 'usr/share/qemu/linuxboot_dma.bin',
            'usr/share/qemu/kvmvapic.bin')
PATIENCE = 3600
SCRIPT = b'''#!/bin/bash
. /system
modprobe virtio_blk
cat /sys/block/vda/queue/zoned
dd if=/dev/urandom of=/dev/vda bs=64k count=3 seek=256 oflag=direct conv=fsync status=none
blkzone finish -o $((32 * 2048)) -c 1 /dev/vda
blkzone report /dev/vda
echo done
power_off
'''
BIND = '''
    modprobe vhost_vdpa
    vdpa dev add name disk0 mgmtdev vduse
    if [ -e /sys/bus/vdpa/drivers/virtio_vdpa/disk0 ]; then
        echo vhost_vdpa >/sys/bus/vdpa/devices/disk0/driver_override
        echo disk0 >/sys/bus/vdpa/drivers/virtio_vdpa/unbind
        echo disk0 >/sys/bus/vdpa/drivers/vhost_vdpa/bind
    fi
    wait_for test -c /dev/vhost-vdpa-0
'''
RUN = f'''
    {QEMU} -L /usr/share/qemu -L /usr/share/seabios -nodefaults -no-user-config -display none \\
        -no-reboot -accel tcg -machine q35,memory-backend=ram,graphics=off -m 512M \\
        -object memory-backend-memfd,id=ram,size=512M,share=on \\
        -kernel /inner/vmlinuz -initrd /inner/initrd \\
        -append '{KERNEL_ARGUMENTS} quiet rdinit=/script' \\
        -chardev stdio,id=console,signal=off -serial chardev:console \\
        -device vhost-vdpa-device-pci,vhostdev=/dev/vhost-vdpa-0 </dev/null
'''


def virtual_machine(case):
    """Return an archive with QEMU and what the inner machine boots."""
    inner = Archive()
    inner.add_program('script', SCRIPT)
    inner.write(case.folder / 'script.cpio')
    build_archive(case.build_dir, case.folder / 'inner.cpio')
    parts = [*case.cache.archives(['base']), case.folder / 'inner.cpio', case.folder / 'script.cpio']

    outer = Archive()
    add_program(outer, case.cache.root, QEMU, ())
    for path in FIRMWARE:
        outer.add_copy(path, case.cache.root / path)
    outer.add('inner/vmlinuz', case.cache.kernel.read_bytes())
    outer.add('inner/initrd', b''.join(part.read_bytes() for part in parts))
    outer.write(case.folder / 'outer.cpio')
    return case.folder / 'outer.cpio'


def run(case):
    with case.boot(sets=['vduse'], archives=[virtual_machine(case)], memory=2048) as guest:
        guest.sh('''
            modprobe vduse
            qemu-img create -q -f qcow2 -o zone.mode=host-managed,zone.size=16M /tmp/disk.qcow2 256M
        ''')
        daemon = InnerDaemon(guest, '/tmp/disk.qcow2', {
            'type': 'vduse-blk', 'name': 'disk0', 'logical-block-size': 4096})
        daemon.start()
        with case.promise('the VDUSE device becomes a vhost-vdpa device'):
            guest.sh(BIND)
        with case.promise('a virtual machine has it as a host-managed disk'):
            said = guest.sh(RUN, PATIENCE)
            case.note(said)
            case.true('host-managed' in said and 'done' in said, said)
            seen = from_blkzone(said)
        with case.promise('what it wrote is in the image'):
            case.equal(after_power_off(from_json(daemon.command('query-block-zones',
                                                                node_name='disk')['zones'])),
                       after_power_off(seen))
            case.equal(seen[1].wp - seen[1].start, 192 << 10, 'write pointer')
        with case.promise('the device goes'):
            guest.sh('vdpa dev del disk0')
            daemon.stop()
            guest.sh('qemu-img check -q /tmp/disk.qcow2')
