# SPDX-License-Identifier: GPL-2.0-or-later
"""
File systems for zoned disks keep what is in them: a tree of files is copied, the power goes off,
and in the next boot everything is there and their own checkers find nothing.

Each has an image of its own, all of them in one guest.
"""

# name, options of the image, mkfs, mount, how to check it
TREES = (
    ('f2fs', {'size': '1G', 'zone_size': '4M', 'conventional_zones': 32, 'max_open_zones': 8,
              'max_active_zones': 12},
     'mkfs.f2fs -q -f -m {disk}', 'mount -t f2fs', 'fsck.f2fs {disk}'),
    ('btrfs', {'size': '2G', 'zone_size': '16M', 'zone_capacity': '12M', 'max_active_zones': 14},
     'mkfs.btrfs -q -f -O zoned -d single -m single {disk}', 'mount -t btrfs',
     'btrfs check {disk}'),
)
ZONEFS = {'size': '256M', 'zone_size': '8M', 'zone_capacity': '6M', 'conventional_zones': 2,
          'max_open_zones': 4}


def run(case):
    images = [case.zoned_image(name=f'{name}.qcow2', **options)
              for name, options, *_ in [*TREES, ('zonefs', ZONEFS)]]
    for part in first_boot, second_boot:
        with case.daemon(images[0]) as f2fs, case.daemon(images[1]) as btrfs, \
                case.daemon(images[2]) as zonefs:
            daemons = f2fs, btrfs, zonefs
            devices = [daemon.zoned_device() for daemon in daemons]
            with case.boot(*devices, sets=['f2fs', 'btrfs', 'zonefs']) as guest:
                part(case, guest, daemons)
    for image in images:
        case.check_image(image)


def disk_of(index):
    return f'/dev/vd{"abc"[index]}'


def no_errors(case, daemons):
    for daemon in daemons:
        errors = {name: count for name, count in daemon.stats()['stats'].items()
                  if name.startswith('failed') and count > 0}
        case.equal(errors, {}, 'errors in the daemon')


def first_boot(case, guest, daemons):
    for index, (name, _, mkfs, mount, _) in enumerate(TREES):
        disk = disk_of(index)
        with case.promise(f'{name}: a tree is copied to a new file system'):
            guest.sh(f'''
                {mkfs.format(disk=disk)} >/dev/null
                mkdir /mnt/{name}
                {mount} {disk} /mnt/{name}
                copy_tree /mnt/{name}/tree
            ''')
        with case.promise(f'{name}: files are deleted, others copied, and all is read back'):
            guest.sh(f'''
                rm -r /mnt/{name}/tree/bin
                copy_tree /mnt/{name}/other
                umount /mnt/{name}
                {mount} {disk} /mnt/{name}
                verify_tree /mnt/{name}/other
                umount /mnt/{name}
            ''')
    with case.promise('btrfs: data goes to the zones by zone appends'):
        stats = daemons[1].stats()['stats']
        case.note(f'{stats["zone_append_operations"]} appends, '
                  f'{stats["zone_append_bytes"]} bytes together')
        case.true(stats['zone_append_bytes'] > 10 << 20, 'more than 10 MiB were appended')
    with case.promise('zonefs: files are written at their ends, truncated and finished'):
        guest.sh('''
            mkzonefs -f -o perm=600 /dev/vdc >/dev/null
            mkdir /mnt/zonefs
            mount -t zonefs -o explicit-open /dev/vdc /mnt/zonefs
            cd /mnt/zonefs/seq
            head -c 6M /dev/urandom >/tmp/data
            for file in 0 1 2; do
                dd if=/tmp/data of=$file bs=64k count=40 oflag=direct,append conv=notrunc \\
                    status=none
            done
            fails_with 'Invalid argument' dd if=/tmp/data of=0 bs=64k count=1 seek=7 \\
                oflag=direct conv=notrunc
            truncate -s 0 1
            truncate -s 6M 2
            [ "$(echo $(stat -c %s 0 1 2 3))" = '2621440 0 6291456 0' ]
            dd if=/tmp/data of=3 bs=1M oflag=direct conv=notrunc status=none
            sha256sum 0 3 >/root/sums
        ''')
        case.zonefs_sums = guest.sh('cat /root/sums')
    with case.promise('zonefs: one file too many opened for writing is refused'):
        guest.sh('''
            cd /mnt/zonefs/seq
            exec 11>>0 12>>1 13>>4 14>>5
            fails_with 'resource busy' bash -c 'exec 15>>6'
            exec 13>&-
            bash -c 'exec 15>>6'
            exec 11>&- 12>&- 14>&-
            cd /
            umount /mnt/zonefs
        ''')
    no_errors(case, daemons)


def second_boot(case, guest, daemons):
    for index, (name, _, _, mount, check) in enumerate(TREES):
        disk = disk_of(index)
        with case.promise(f'{name}: everything is there after power-off'):
            guest.sh(f'''
                mkdir /mnt/{name}
                {mount} {disk} /mnt/{name}
                verify_tree /mnt/{name}/other
                [ ! -e /mnt/{name}/tree/bin ]
                umount /mnt/{name}
            ''')
        with case.promise(f'{name}: its checker finds nothing'):
            guest.sh(check.format(disk=disk))
    with case.promise('zonefs: everything is there after power-off'):
        guest.put('/root/sums', case.zonefs_sums.encode() + b'\n')
        guest.sh('''
            mkdir /mnt/zonefs
            mount -t zonefs /dev/vdc /mnt/zonefs
            cd /mnt/zonefs/seq
            sha256sum --quiet -c /root/sums
            [ "$(echo $(stat -c %s 0 1 2 3))" = '2621440 0 6291456 6291456' ]
        ''')
    no_errors(case, daemons)
