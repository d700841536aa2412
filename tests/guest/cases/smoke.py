# SPDX-License-Identifier: GPL-2.0-or-later
"""A stock guest sees a host-managed disk, and the same zones as qemu-img afterwards."""

from guestlib.zones import after_power_off, from_blkzone, from_json

SCRIPT = '''
    dd if=/dev/urandom of=/dev/vda bs=1M count=5 oflag=direct seek=64 status=none
    blkzone finish -o $((96 * 2048)) -c 1 /dev/vda
    blkzone report /dev/vda
'''


def run(case):
    image = case.zoned_image('256M', zone_size='32M', zone_capacity='24M', conventional_zones=2)
    with case.daemon(image) as daemon, case.boot(daemon.zoned_device()) as guest:
        with case.promise('the disk is host-managed'):
            zoned = guest.sh('cat /sys/block/vda/queue/zoned')
            case.note(zoned)
            case.equal(zoned, 'host-managed')
        with case.promise('zones can be written and reported'):
            report = guest.sh(SCRIPT)
            case.note(report)
        with case.promise('the guest powers off'):
            guest.power_off()
    with case.promise('qemu-img reports the same zones'):
        case.note(case.qemu_img('zone', 'report', image))
        case.equal(from_json(case.report(image)), after_power_off(from_blkzone(report)))
        case.check_image(image)
