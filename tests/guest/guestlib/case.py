# SPDX-License-Identifier: GPL-2.0-or-later
"""
What a case works with: images, daemons, guests, and promises that are reported one by one.

    def run(case):
        image = case.zoned_image('1G', zone_size='64M')
        with case.daemon(image) as daemon, case.boot(daemon.zoned_device()) as guest:
            with case.promise('the disk is host-managed'):
                case.equal(guest.sh('cat /sys/block/vda/queue/zoned'), 'host-managed')
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .machine import Machine, vhost_user_disk

sys.path.append(str(Path(__file__).resolve().parent.parent.parent / 'qemu-iotests'))

from harness.qmp import StorageDaemon  # noqa: E402



class Failure(Exception):
    """A promise was not kept; the text says how."""


class Daemon:
    """
    A qemu-storage-daemon that exports one image over vhost-user-blk.

    @qmp: a client of its monitor; @socket: where the export listens.  As a context it is ended by
    SIGTERM at the end, and that must go well.
    """

    def __init__(self, case, image, writable=True, num_queues=1, **export):
        self.num_queues = num_queues
        # The path of a socket has at most 107 characters; the case's folder may be deep.
        self._folder = tempfile.mkdtemp(prefix='guest-')
        self.socket = f'{self._folder}/disk.sock'
        node = {'driver': 'qcow2', 'node-name': 'disk', 'read-only': not writable,
                'discard': 'unmap',
                'file': {'driver': 'file', 'filename': str(image), 'discard': 'unmap'}}
        export = {'type': 'vhost-user-blk', 'id': 'disk', 'node-name': 'disk',
                  'writable': writable, 'num-queues': num_queues, 'iothread': 'io',
                  'addr': {'type': 'unix', 'path': self.socket},
                  **{name.replace('_', '-'): value for name, value in export.items()}}
        self._options = ['--object', 'iothread,id=io', '--blockdev', json.dumps(node),
                         '--export', json.dumps(export)]
        self._program = case.build_dir / 'qemu-storage-daemon'
        self._log = case.folder / 'daemon.log'
        try:
            self._daemon = self._start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def _start(self):
        with open(self._log, 'a', encoding='utf-8') as log:
            return StorageDaemon(self._program, self._folder, *self._options, stderr=log)

    def __enter__(self):
        return self

    def __exit__(self, error_type, *rest):
        try:
            self._daemon.__exit__(error_type, *rest)
        finally:
            shutil.rmtree(self._folder)

    @property
    def qmp(self):
        return self._daemon.qmp

    def restart(self):
        """End it as a crash would, and start it again."""
        self._daemon.kill()
        self._daemon.qmp.close()
        self._daemon = self._start()

    def zoned_device(self):
        """Return QEMU's arguments for a device that passes every feature on to the guest."""
        return self._device(zoned=True)

    def plain_device(self, reconnects=False):
        """
        Return QEMU's arguments for its device for disks that are not zoned.

        @reconnects: QEMU connects again after the daemon has gone.
        """
        return self._device(zoned=False, reconnects=reconnects)

    def _device(self, **how):
        return vhost_user_disk(Path(self._folder).name, self.socket, self.num_queues, **how)

    def zones(self):
        """Return the zones, from query-block-zones."""
        return self.qmp.command('query-block-zones', node_name='disk')['zones']

    def stats(self):
        """Return what query-blockstats says of the disk: `stats`, and `zones` if it is zoned."""
        nodes = self.qmp.command('query-blockstats', query_nodes=True)
        return next(node for node in nodes if node['node-name'] == 'disk')


class Case:
    """One run of one case."""

    def __init__(self, name, folder, cache, options, report):
        """
        @folder: an empty one, for whatever the case leaves.
        @options: as Machine takes them, and build_dir.
        @report: is called as report(passed, text) for each promise.
        """
        self.name, self.folder, self.cache = name, folder, cache
        self.build_dir = options.build_dir
        self.options = options
        self._report = report
        self._machines = 0

    @contextlib.contextmanager
    def promise(self, text):
        """Report whether what is done in this context was done without an error."""
        try:
            yield
        except BaseException:
            self._report(False, f'{self.name}: {text}')
            raise
        self._report(True, f'{self.name}: {text}')

    @staticmethod
    def note(text):
        """Print @text as comments."""
        for line in text.splitlines():
            print(f'# {line}', flush=True)

    @staticmethod
    def equal(found, expected, what=''):
        """Raise Failure unless both are the same."""
        if found != expected:
            raise Failure(f'{what or "value"}: found {found!r}, expected {expected!r}')

    @staticmethod
    def true(condition, what):
        if not condition:
            raise Failure(f'not true: {what}')

    # ---- images ----

    def qemu_img(self, *arguments):
        """Run qemu-img, which must succeed, and return what it prints."""
        done = subprocess.run([self.build_dir / 'qemu-img', *map(str, arguments)], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode != 0:
            raise Failure(f'qemu-img {" ".join(map(str, arguments))}: {done.stderr.strip()}')
        return done.stdout

    def plain_image(self, size, name='plain.qcow2', **options):
        """Make a qcow2 image and return its path."""
        path = self.folder / name
        settings = [f'{key}={value}' for key, value in options.items()]
        option = ['-o', ','.join(settings)] if settings else []
        self.qemu_img('create', '-q', '-f', 'qcow2', *option, path, size)
        return path

    def zoned_image(self, size, name='zoned.qcow2', **options):
        """Make a host-managed qcow2 image and return its path; options as of qemu-img create."""
        return self.plain_image(size, name, zone_model='host-managed', **options)

    def report(self, image):
        """Return what qemu-img says of every zone of an image that nobody uses."""
        return json.loads(self.qemu_img('zone', 'report', '--output', 'json', image))

    def check_image(self, image):
        """The metadata of @image must be as they should."""
        self.qemu_img('check', '-q', image)

    # ---- programs ----

    def daemon(self, image, **export):
        """Return a Daemon that exports @image."""
        return Daemon(self, image, **export)

    def boot(self, *devices, sets=(), archives=(), memory=None):
        """
        Return a Machine.

        @devices: lists of QEMU arguments; @sets: tools that are needed in the guest (rootfs.SETS).
        @archives: paths of further ones.  @memory: MiB, where what is usual does not suffice.
        """
        self._machines += 1
        folder = self.folder / f'guest-{self._machines}'
        folder.mkdir()
        arguments = [argument for device in devices for argument in device]
        options = argparse.Namespace(**vars(self.options))
        options.memory = max(options.memory, memory or 0)
        return Machine(self.cache, folder, sets, archives, arguments, options)
