# SPDX-License-Identifier: GPL-2.0-or-later
"""
Archives for the guest's root in memory: cpio in the "newc" form, which the kernel unpacks at boot.

Several of them one after the other make one root; folders may occur in more than one.
"""

import os
import re
import stat
import subprocess
from pathlib import Path

LOADER = 'usr/lib64/ld-linux-x86-64.so.2'
LIBRARY_FOLDERS = ('usr/lib/x86_64-linux-gnu', 'usr/lib/x86_64-linux-gnu/ceph', 'usr/lib/ceph')


def run_unpacked(root, program, *arguments, options=()):
    """Return the command that runs @program of the packages below @root, @options to its loader."""
    paths = ':'.join(str(root / folder) for folder in LIBRARY_FOLDERS)
    return [str(root / LOADER), *options, '--library-path', paths, str(root / program),
            *map(str, arguments)]


def libraries(command):
    """Return {name: Path} of what a program needs; @command makes its loader list that."""
    listing = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             check=True).stdout
    pairs = re.findall(r'^\s*(?:(\S+) => )?(/\S+) \(0x', listing, re.MULTILINE)
    return {os.path.basename(name or path): Path(path) for name, path in pairs}


class Archive:
    """A growing cpio archive."""

    def __init__(self):
        self.entries = {}    # path without leading slash: (mode, content)

    def __contains__(self, path):
        return path in self.entries

    def add(self, path, content, mode=stat.S_IFREG | 0o644):
        """Add an entry and the folders it is in."""
        path = path.lstrip('/')
        for folder in reversed(Path(path).parents[:-1]):
            self.entries.setdefault(str(folder), (stat.S_IFDIR | 0o755, b''))
        self.entries[path] = (mode, content)

    def add_folder(self, path):
        self.add(path, b'', stat.S_IFDIR | 0o755)

    def add_link(self, path, target):
        self.add(path, target.encode(), stat.S_IFLNK | 0o777)

    def add_program(self, path, content):
        self.add(path, content, stat.S_IFREG | 0o755)

    def add_copy(self, path, source):
        """Add @source as it is; a link stays one."""
        mode = source.lstat().st_mode
        content = os.readlink(source).encode() if stat.S_ISLNK(mode) else source.read_bytes()
        self.add(path, content, mode)

    def write(self, path):
        """Write the archive to file @path."""
        with open(path, 'wb') as out:
            for number, (name, (mode, content)) in enumerate(self.entries.items(), 1):
                out.write(_entry(name, number, mode, content))
            out.write(_entry('TRAILER!!!', 0, 0, b''))


def _entry(name, number, mode, content):
    name = name.encode() + b'\0'
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b'070701' + b''.join(b'%08x' % field for field in fields) + name
    return head + b'\0' * (-len(head) % 4) + content + b'\0' * (-len(content) % 4)
