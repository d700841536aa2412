# SPDX-License-Identifier: GPL-2.0-or-later
"""A stock guest sees a host-managed disk, and the same zones as qemu-img."""

from guestlib.zones import after_power_off, from_blkzone, from_json


def run(case):
    image = case.zoned_image('512M', zone_size='32M', zone_capacity='24M', conventional_zones=2)
    with case.daemon(image) as daemon:
        with case.boot(daemon.zoned_device()) as guest:
            with case.promise('the disk is host-managed'):
                case.equal(guest.sh('cat /sys/block/vda/queue/zoned'), 'host-managed')
            with case.promise('zones can be written and reported'):
                report = guest.sh('''
                    dd if=/dev/urandom of=/dev/vda bs=1M count=5 oflag=direct oseek=64 status=none
                    blkzone finish -o $((96 << 11)) -c 1 /dev/vda
                    blkzone report /dev/vda
                ''')
                print(''.join(f'# {line}\n' for line in report.splitlines()), end='', flush=True)
            with case.promise('the guest powers off'):
                guest.power_off()
    with case.promise('qemu-img reports the same zones'):
        case.equal(from_json(case.report(image)), after_power_off(from_blkzone(report)))
        case.check_image(image)
