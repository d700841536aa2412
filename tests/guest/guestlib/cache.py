# SPDX-License-Identifier: GPL-2.0-or-later
"""
The folder in which the packages and the archives made of them are kept.

root/      the packages, unpacked
boot/      the kernel, and NAME.cpio for each set of tools
packages   the file names of the packages, with their versions
complete   written last: a hash of the description that all this was made from
"""

import fcntl
import hashlib
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

from . import archive, packages, rootfs
from .packages import PackageError as Unavailable

SOURCES = archive, packages, rootfs


def default_folder():
    """Return where the cache is if nobody says otherwise."""
    if folder := os.environ.get('ZONED_GUEST_CACHE'):
        return Path(folder)
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(home) / 'zoned-storage-guest'


def description_hash():
    """Return a hash of what says how the cache is made."""
    text = b''.join(Path(module.__file__).read_bytes() for module in SOURCES)
    return hashlib.sha256(text).hexdigest() + '\n'


class Cache:
    """A complete cache."""

    def __init__(self, folder):
        """Raises Unavailable if there is none in @folder, or one of another version."""
        self.folder = folder
        self.root = folder / 'root'
        self.kernel = folder / 'boot/vmlinuz'
        try:
            made_from = (folder / 'complete').read_text()
        except OSError:
            made_from = None
        if made_from != description_hash():
            raise Unavailable(f'no packages in {folder}; tests/guest/fetch gets them')

    def archives(self, sets):
        """Return the paths of the archives of @sets."""
        return [self.folder / 'boot' / f'{name}.cpio' for name in sets]

    def summary(self):
        """Return the versions of the two packages that matter most."""
        found = re.findall(r'^(linux-image-[^_]+|qemu-system-x86)_([^_]+)', self.versions(),
                           re.MULTILINE)
        return ', '.join(f'{name} {unquote(version)}' for name, version in found
                         if name != 'linux-image-amd64')

    def versions(self):
        """Return the names and versions of all packages, one a line."""
        return (self.folder / 'packages').read_text()


def fill(folder, mirror, again=False):
    """
    Make the cache in @folder complete; does nothing if it is, unless @again.

    Raises Unavailable if a package cannot be had.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / 'complete'
        if not again:
            try:
                Cache(folder)
                return
            except Unavailable:
                pass
        complete.unlink(missing_ok=True)
        _make(folder, mirror, again)
        complete.write_text(description_hash())


def _make(folder, mirror, again):
    fetched = folder / 'fetched'
    fetched_from = hashlib.sha256(Path(packages.__file__).read_bytes()).hexdigest()
    if again or not fetched.exists() or fetched.read_text() != fetched_from:
        fetched.unlink(missing_ok=True)
        packages.fetch(folder, mirror, lambda text: print(f'fetch: {text}', flush=True))
        fetched.write_text(fetched_from)
    print('fetch: making the archives of the guest', flush=True)
    # A guest that is about to boot finds the old ones or the new ones.
    fresh = folder / 'boot.new'
    shutil.rmtree(fresh, ignore_errors=True)
    rootfs.make_archives(folder / 'root', fresh)
    shutil.rmtree(folder / 'boot', ignore_errors=True)
    fresh.rename(folder / 'boot')
