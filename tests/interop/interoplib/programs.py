# SPDX-License-Identifier: GPL-2.0-or-later
"""
The programs of both sides, and running them.

A Case is one folder with the record of every command that was run in it.  Whatever goes wrong is
a Failure; the record of the case is then enough to repeat it by hand.
"""

import fcntl
import json
import os
import random
import re
import shlex
import signal
import struct
import subprocess
import time
from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

# Where the locks of an image are, in bytes of the file.
FIRST_LOCK = 100
NR_LOCKS = 200

# What qemu-io prints for a request that did not work, with exit status 0 if it was asynchronous.
TROUBLE = re.compile(r'failed|error|warning|not a valid|extraneous|too large|Sanitizer',
                     re.IGNORECASE)
REPORT = re.compile(r'^(?:wrote|read|discard(?:ed)?) +(\d+)/(\d+) bytes at offset (\d+)$', re.M)


class Failure(Exception):
    """Something that must hold does not."""


@dataclass(frozen=True)
class Side:
    """The two programs of one implementation."""
    name: str
    img: str
    io: str


class Case:
    """A folder, a source of randomness, and the commands that were run."""

    def __init__(self, name, seed, folder, ours, stock, timeout):
        self.name = name
        self.rng = random.Random(seed)
        self.folder = folder
        self.ours = ours
        self.stock = stock
        self.timeout = timeout
        self.record = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def other(self, side):
        return self.stock if side is self.ours else self.ours

    def one_side(self):
        return self.rng.choice([self.ours, self.stock])

    def run(self, *argv, status=0):
        """Run a program that must end with @status; return its standard output and error."""
        self.record.append(shlex.join(argv))
        try:
            done = subprocess.run(argv, cwd=self.folder, stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  errors='replace', timeout=self.timeout, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f'not done after {self.timeout} s: {self.record[-1]}') from None
        if done.returncode != status:
            raise Failure(f'exit status {done.returncode}, not {status}: {self.record[-1]}\n'
                          f'{done.stdout[-2000:]}{done.stderr[-4000:]}')
        return done.stdout, done.stderr

    def img_json(self, side, command, *arguments):
        """Run a subcommand of qemu-img that prints JSON and return what it says."""
        out, err = self.run(side.img, command, '--output=json', *arguments)
        if err:
            raise Failure(f'{command} has something to say: {err}')
        return json.loads(out)

    def io(self, side, options, commands):
        """Run qemu-io @commands; each must work, and each data request must be reported whole."""
        words = [word for command in commands for word in ('-c', command)]
        out, err = self.run(side.io, *options, *words)
        if err or TROUBLE.search(out):
            raise Failure(f'{self.record[-1]}\n{out[-4000:]}{err[-4000:]}')
        reports = REPORT.findall(out)
        asked = [c for c in commands
                 if c.split()[0].removeprefix('aio_') in ('read', 'readv', 'write', 'writev',
                                                          'discard')]
        if len(reports) != len(asked) or any(done != count for done, count, _ in reports):
            raise Failure(f'{len(asked)} requests, but {len(reports)} reports:\n'
                          f'{self.record[-1]}\n{out[-4000:]}')
        return out

    def hold(self, side, options, command):
        """Start qemu-io, let it do @command, and return it with the image still open."""
        self.record.append(f'{side.io} {shlex.join(options)} <<<{command!r} &')
        return Holder(side, options, command, self.folder)


def wait_until_unlocked(path):
    """
    Wait until nobody holds a lock on an image.

    The requests that a killed program had in flight keep its files open, and so locked, until the
    kernel has seen the last of them off: that may be a moment after the program is gone.
    """
    probe = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, FIRST_LOCK, NR_LOCKS, 0)
    deadline = time.monotonic() + 10
    with open(path, 'r+b') as file:
        while struct.unpack('hhqqi4x', fcntl.fcntl(file, fcntl.F_OFD_GETLK, probe))[0] \
                != fcntl.F_UNLCK:
            if time.monotonic() > deadline:
                raise Failure(f'{path} is still locked')
            time.sleep(0.005)


class Holder:
    """A qemu-io that keeps an image open until it is told to go."""

    def __init__(self, side, options, command, folder):
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([side.io, *options], cwd=folder, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.send(command)
        seen = ''
        while 'ops/sec' not in seen:
            line = self.process.stdout.readline()
            if not line:
                raise Failure(f'{side.name} qemu-io could not hold the image: {seen}')
            seen += line

    def send(self, command):
        self.process.stdin.write(command + '\n')
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait()
        self.process.stdout.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
