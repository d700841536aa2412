# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the disk must contain: a sparse raw file that every request is also done to.

Only this file decides what is right; neither side's programs ever write it.
"""

import ctypes
import errno
import os

from .programs import MIB

FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
CHUNK = MIB

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Mirror:
    """A sparse file of the disk's length and content."""

    def __init__(self, path, size):
        self.path = path
        self.size = size
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        os.ftruncate(self.fd, size)

    def close(self):
        os.close(self.fd)

    def write(self, offset, data):
        assert offset + len(data) <= self.size
        while data:
            done = os.pwrite(self.fd, data, offset)
            data, offset = data[done:], offset + done

    def fill(self, offset, length, value):
        for at in range(offset, offset + length, CHUNK):
            self.write(at, bytes([value]) * min(CHUNK, offset + length - at))

    def zero(self, offset, length):
        assert offset + length <= self.size
        if length and _libc.fallocate(self.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                      offset, length):
            raise OSError(ctypes.get_errno(), 'fallocate', self.path)

    def resize(self, size):
        os.ftruncate(self.fd, size)
        self.size = size

    def read(self, offset, length):
        return os.pread(self.fd, length, offset)

    def uniform(self, offset, limit):
        """Return the value at @offset, and for how many bytes, up to @limit, it continues."""
        data = self.read(offset, limit)
        return data[0], len(data) - len(data.lstrip(data[:1]))

    def is_zero(self, offset, length):
        end = offset + length
        return not any(self.read(at, min(CHUNK, start + count - at, end - at)).strip(b'\0')
                       for start, count in file_extents(self.fd, end, offset)
                       for at in range(start, start + count, CHUNK))

    def extents(self):
        """Yield (offset, length) of everything that is not a hole."""
        yield from file_extents(self.fd, self.size)

    def difference(self, path):
        """Return where the file @path is first not the same, or None."""
        with open(path, 'rb') as other:
            size = os.fstat(other.fileno()).st_size
            if size != self.size:
                return min(size, self.size)
            chunks = {at - at % CHUNK
                      for fd in (self.fd, other.fileno())
                      for offset, length in file_extents(fd, size)
                      for at in range(offset - offset % CHUNK, offset + length, CHUNK)}
            for at in sorted(chunks):
                mine, theirs = self.read(at, CHUNK), os.pread(other.fileno(), CHUNK, at)
                if mine != theirs:
                    return at + next(i for i, pair in enumerate(zip(mine, theirs))
                                     if pair[0] != pair[1])
        return None


def file_extents(fd, size, start=0):
    """Yield (offset, length) of what is not a hole from @start on, in an open file of @size."""
    end = start
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, end - start
