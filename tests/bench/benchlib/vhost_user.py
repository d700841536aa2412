# SPDX-License-Identifier: GPL-2.0-or-later
"""
Disks over vhost-user: storage daemons with the same client, which is `vhost-user-load` of the
build directory.
"""

import os
import re
import subprocess
import time

from .figures import GIB, KIB, STOCK_AIO, best, compare, group, take_turns
from .programs import MIB, BenchError
from .table import Figure, Target

WAIT_SECONDS = 20


class Daemon:
    """A storage daemon with one disk, for the time of a `with`."""

    def __init__(self, programs, program, image, file_options=''):
        self.socket = programs.path('socket')
        self.command = [
            program, '--blockdev', f'driver=file,node-name=file,filename={image},cache.direct=on'
            f'{file_options}',
            '--blockdev', 'driver=qcow2,node-name=disk,file=file,cache.direct=on',
            '--export', 'type=vhost-user-blk,id=disk,node-name=disk,writable=on,'
            f'addr.type=unix,addr.path={self.socket}']

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        for _ in range(100 * WAIT_SECONDS):
            if os.path.exists(self.socket):
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.process.kill()
        raise BenchError(f'{" ".join(self.command)}: no socket')

    def __exit__(self, *_):
        self.process.terminate()
        status = self.process.wait(WAIT_SECONDS)
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        if status != 0:
            raise BenchError(f'{" ".join(self.command)}: exit status {status}')


def send(programs, daemon, request_bytes, depth, count, *options):
    """Send requests to the disk of DAEMON; returns MiB/s."""
    text = programs.output([programs.vhost_user_load, '--socket', daemon.socket,
                            '--bytes', str(request_bytes), '--depth', str(depth),
                            '--count', str(count), *options])
    seconds = float(re.search(r'Run completed in ([0-9.]+) seconds', text).group(1))
    return count * request_bytes / MIB / max(seconds, 0.001)


class Disk:
    """An image behind a daemon, written from its start and then read anywhere."""

    def __init__(self, programs, scale, program, create_program, create_options=(),
                 file_options=''):
        self.programs = programs
        self.size = min(scale.size, GIB)
        self.max_requests = scale.max_requests
        self.program = program
        self.create = (create_program, 'image', self.size, '-f', 'qcow2', *create_options)
        self.file_options = file_options

    def measure(self, depth):
        """Returns MiB/s of 64 KiB writes in sequence, and of 4 KiB reads anywhere."""
        self.programs.discard_images()
        image = self.programs.create(*self.create)
        writes = self.size // (64 * KIB)
        reads = min(self.max_requests, self.size // (4 * KIB), 40000 if depth > 1 else 10000)
        with Daemon(self.programs, self.program, image, self.file_options) as daemon:
            written = send(self.programs, daemon, 64 * KIB, depth, writes, '--write')
            read = send(self.programs, daemon, 4 * KIB, depth, reads, '--random')
        return {'write': written, 'read': read}


def disks_of(programs, scale):
    zoned = f'zone_model=host-managed,zone_size={scale.zone_size}'
    disks = {'plain': Disk(programs, scale, programs.daemon, programs.img),
             'zoned': Disk(programs, scale, programs.daemon, programs.img, ('-o', zoned))}
    if programs.stock_daemon and programs.stock_img:
        for aio in STOCK_AIO:
            disks[aio] = Disk(programs, scale, programs.stock_daemon, programs.stock_img,
                              file_options=f',aio={aio}')
    return disks


@group
def vhost_user(programs, scale):
    """Plain images behind our daemon and the stock one, and zoned images against plain ones."""
    disks = disks_of(programs, scale)
    for depth, target in ((1, Target('>=', 1)), (32, Target('>=', 1.2))):
        results = take_turns(scale, {name: lambda disk=disk: disk.measure(depth)
                                     for name, disk in disks.items()})
        for what, case in (('write', '64 KiB sequential write'), ('read', '4 KiB random read')):
            side = {name: [result[what] for result in rounds] for name, rounds in results.items()}
            name = f'vhost-user plain : stock daemon, {case}, depth {depth}'
            if programs.stock_daemon and programs.stock_img:
                yield compare(name, side['plain'], best(*[side[aio] for aio in STOCK_AIO]), target)
            else:
                yield Figure(name, 'MiB/s', target=target, note='no stock qemu-storage-daemon')
            yield compare(f'vhost-user zoned : plain, {case}, depth {depth}', side['zoned'],
                          side['plain'], Target('>=', 1))
