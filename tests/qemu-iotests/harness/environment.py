# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a test finds in its environment: the programs, the image format and options, its own folders.

docs/devel/testing.rst lists the variables.  Programs come from the build directory; a variable
`QEMU_IMG_PROG` and so on overrides each.  `STOCK_*` are the distribution's programs to compare with,
empty where they are not installed.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = {
    'QEMU_IMG_PROG': 'qemu-img',
    'QEMU_IO_PROG': 'qemu-io',
    'QSD_PROG': 'qemu-storage-daemon',
    'QEMU_NBD_PROG': 'qemu-nbd',
}
STOCK_PROGRAMS = {
    'STOCK_QEMU_IMG': '/usr/bin/qemu-img',
    'STOCK_QEMU_IO': '/usr/bin/qemu-io',
    'STOCK_QEMU_NBD': '/usr/bin/qemu-nbd',
}
CACHE_MODES = ['writeback', 'none', 'writethrough', 'directsync', 'unsafe']
AIO_MODES = ['threads', 'native', 'io_uring']


@dataclass(frozen=True)
class Environment:
    """The circumstances of one run of the harness; all tests of it share them."""
    harness_dir: Path
    build_dir: Path
    scratch_dir: Path  # test folders, failures and elapsed times are kept below it
    socket_dir: Path   # short: the path of a socket has at most 107 bytes
    image_format: str
    protocol: str
    image_options: str
    cache_mode: str
    aio_mode: str
    is_debug: bool

    def test_dir(self, test):
        return self.scratch_dir / f'{self.image_format}-{self.protocol}-{test.name}'

    def _programs(self):
        programs = {variable: os.environ.get(variable) or str(self.build_dir / name)
                    for variable, name in PROGRAMS.items()}
        for variable, path in STOCK_PROGRAMS.items():
            path = os.environ.get(variable, path)
            programs[variable] = path if os.access(path, os.X_OK) else ''
        return programs

    def missing_programs(self):
        """Return those of the programs that every test needs which are not there."""
        programs = self._programs()
        return [programs[variable] for variable in ('QEMU_IMG_PROG', 'QEMU_IO_PROG')
                if not os.access(programs[variable], os.X_OK)]

    def shared_variables(self):
        """Return the variables that are the same for all tests of the run."""
        common_io = f'-t {self.cache_mode}'
        if self.aio_mode != 'threads':
            common_io += f' -i {self.aio_mode}'
        return {
            **self._programs(),
            'IOTESTS_DIR': str(self.harness_dir),
            'BUILD_DIR': str(self.build_dir),
            'PYTHON': sys.executable,
            'PYTHONPATH': str(self.harness_dir),
            'PYTHONDONTWRITEBYTECODE': '1',
            'IMGFMT': self.image_format,
            'IMGPROTO': self.protocol,
            'IMGOPTS': self.image_options,
            'CACHEMODE': self.cache_mode,
            'AIOMODE': self.aio_mode,
            'QEMU_IO_OPTIONS': f'-f {self.image_format} {common_io}',
            'QEMU_IO_OPTIONS_NO_FMT': common_io,
            'IOTESTS_DEBUG': '1' if self.is_debug else '',
            'TZ': 'UTC',
            'LANG': 'C',
            'LC_ALL': 'C',
            'MALLOC_PERTURB_': os.environ.get('MALLOC_PERTURB_') or '181',
        }

    def variables_for(self, test):
        """Return the whole environment of @test."""
        test_dir = self.test_dir(test)
        return {
            **os.environ,
            **self.shared_variables(),
            'IOTEST_NAME': test.name,
            'TEST_DIR': str(test_dir),
            'SOCK_DIR': str(self.socket_dir / test_dir.name),
            'TEST_IMG': str(test_dir / f't.{self.image_format}'),
        }
