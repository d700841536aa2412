# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guest's root: one archive of what every case needs, and one for each set of tools.

A guest boots with the archives that its case names, because unpacking takes time.  They are made
once, from the packages; what belongs to the build and to the case comes with each boot, in an
archive of its own (machine.py).
"""

import lzma
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .archive import LOADER, Archive, libraries, run_unpacked

# set: (programs, kernel modules).  A module that the kernel has built in is passed over.
SETS = {
    'base': (
        'bash gawk basename cat chmod cmp cp cut date dd df diff dirname env false find grep head '
        'id kill ls lsmod md5sum mkdir mktemp mknod modinfo modprobe mount mv ps readlink rm rmdir sed '
        'seq setsid sha256sum sleep sort stat stty sync tail tee timeout touch tr true truncate '
        'umount uname uniq wc xargs blkzone blockdev blkdiscard lsblk dmesg losetup flock insmod '
        'rmmod sysctl mountpoint od expr nproc comm fallocate echo ln free mkfifo cksum pkill '
        'pgrep setpriv install prlimit',
        'virtio_blk null_blk crc32c_generic crc32c_intel crc32_generic crc32_pclmul '
        'libcrc32c xxhash_generic sha256_generic blake2b_generic'),
    'fio': ('fio', ''),
    'btrfs': ('btrfs mkfs.btrfs', 'btrfs'),
    'f2fs': ('mkfs.f2fs fsck.f2fs dump.f2fs', 'f2fs'),
    'zonefs': ('mkzonefs', 'zonefs'),
    'ext4': ('mke2fs mkfs.ext4 e2fsck fsck.ext4 dumpe2fs', 'ext4'),
    'xfs': ('mkfs.xfs xfs_repair', 'xfs'),
    'ublk': ('', 'ublk_drv'),
    'vduse': ('ip vdpa', 'vduse virtio_vdpa vhost_vdpa'),
    'nvme': ('nvme', 'nvmet nvmet_tcp nvme_tcp nvme_loop'),
}

# What programs open by name.
DATA = 'etc/mke2fs.conf', 'usr/share/xfsprogs/mkfs'

MODULES = 'usr/lib/modules'
PROGRAM_FOLDERS = 'usr/bin', 'usr/sbin'
USR_LINKS = 'bin', 'sbin', 'lib', 'lib64'


class Kernel:
    """The kernel and its modules among the unpacked packages."""

    def __init__(self, root):
        self.root = root
        self.image, = root.glob('boot/vmlinuz-*')
        self.version = self.image.name.removeprefix('vmlinuz-')
        self.folder = root / MODULES / self.version
        self.paths = {module_name(path): path for path in self.folder.rglob('*.ko.xz')}

    def closure(self, names):
        """Return {name: content} of the modules @names and of all that they need."""
        found, queue = {}, [name.replace('-', '_') for name in names]
        while queue:
            name = queue.pop()
            if name in found or name not in self.paths:
                continue
            found[name] = lzma.decompress(self.paths[name].read_bytes())
            needed = b' '.join(re.findall(rb'\0(?:depends|softdep)=([^\0]*)\0', found[name]))
            queue += [each.replace('-', '_') for each in re.split(r'[\s,]+', needed.decode())]
        return found

    def path_in_guest(self, name):
        """Return where module @name stands in the guest, unpacked."""
        return f'{MODULES}/{self.version}/{self.paths[name].relative_to(self.folder)}'[:-3]

    def lists(self, modules):
        """Return {path in the guest: content} of what modprobe reads, for these @modules."""
        with tempfile.TemporaryDirectory() as name:
            stage = Path(name)
            (stage / 'lib').symlink_to('usr/lib')
            folder = stage / MODULES / self.version
            for module, content in modules.items():
                path = stage / self.path_in_guest(module)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            for path in self.folder.glob('modules.*'):
                shutil.copy(path, folder)
            subprocess.run(run_unpacked(self.root, 'usr/bin/kmod', '-b', stage, self.version,
                                        options=('--argv0', 'depmod')), check=True)
            return {str(path.relative_to(stage)): path.read_bytes()
                    for path in folder.glob('modules.*')}


def module_name(path):
    return path.name.removesuffix('.ko.xz').replace('-', '_')


def add_program(archive, root, name, present):
    """Add program @name and its libraries, except for what archive @present has."""
    for folder in PROGRAM_FOLDERS:
        path = root / folder / name
        if path.is_symlink() or path.exists():
            break
    else:
        raise FileNotFoundError(f'no package has a program called {name}')
    while path.is_symlink():
        archive.add_copy(str(path.relative_to(root)), path)
        path = link_target(root, path)
    archive.add_copy(str(path.relative_to(root)), path)
    if path.read_bytes()[:4] != b'\x7fELF':
        return
    listing = run_unpacked(root, path.relative_to(root), options=('--list',))
    for library in libraries(listing).values():
        inside = str(library.relative_to(root))
        if inside not in present:
            archive.add(inside, library.read_bytes(), 0o100755)


def link_target(root, link):
    """Return what @link points to, where absolute targets are below @root."""
    target = link.readlink()
    return root / str(target).lstrip('/') if target.is_absolute() else link.parent / target


def make_archives(root, folder):
    """Write NAME.cpio for each set into @folder, and the kernel."""
    kernel = Kernel(root)
    modules = {name: kernel.closure(wanted.split()) for name, (_, wanted) in SETS.items()}
    base = Archive()
    for name in USR_LINKS:
        base.add_link(name, f'usr/{name}')
        base.add_folder(f'usr/{name}')
    for path in 'dev', 'proc', 'sys', 'run', 'tmp', 'root', 'mnt', 'etc':
        base.add_folder(path)
    base.add(LOADER, (root / LOADER).read_bytes(), 0o100755)
    base.add_link('usr/bin/sh', 'bash')
    base.add_link('usr/bin/awk', 'gawk')
    every_module = {name: content for each in modules.values() for name, content in each.items()}
    for path, content in kernel.lists(every_module).items():
        base.add(path, content)
    for path in DATA:
        for source in [root / path, *(root / path).rglob('*')]:
            if source.is_file():
                base.add_copy(str(source.relative_to(root)), source)

    folder.mkdir(exist_ok=True)
    for name, (programs, _) in SETS.items():
        archive = base if name == 'base' else Archive()
        for program in programs.split():
            add_program(archive, root, program, base)
        for module, content in modules[name].items():
            path = kernel.path_in_guest(module)
            if path not in base:
                archive.add(path, content)
        archive.write(folder / f'{name}.cpio')
    shutil.copy(kernel.image, folder / 'vmlinuz')
