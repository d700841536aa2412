# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run the programs under measurement and read off what they took.

Times of a request stream are the ones that `qemu-img bench` prints, so that starting and closing
are not in them.  A program that fails ends the whole run: a figure of something that did not
happen is worse than none.
"""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

MIB = 1 << 20


class BenchError(Exception):
    """What was to be measured did not work."""


@dataclass
class Usage:
    """What a finished program took."""

    seconds: float  # from start to end
    peak_bytes: int  # of memory


@dataclass
class Stream:
    """A stream of requests that `qemu-img bench` sends."""

    request_bytes: int
    depth: int
    count: int
    options: tuple = ()


PROMPT = 'qemu-io> '


def wait_for_prompt(stream):
    """Read up to the next prompt of qemu-io; returns what came before it."""
    text = ''
    while not text.endswith(PROMPT):
        piece = stream.read(4096)
        if not piece:
            raise BenchError(f'qemu-io ended: {text}')
        text += piece.decode()
    return text[:-len(PROMPT)]


class Programs:
    """
    The programs of the build directory, the distribution's, and a folder for images.

    SETTLES: wait for the disk to be idle before each measurement.
    """

    def __init__(self, build_dir, stock_img, stock_daemon, folder, settles):
        self.img = os.path.join(build_dir, 'qemu-img')
        self.io = os.path.join(build_dir, 'qemu-io')
        self.daemon = os.path.join(build_dir, 'qemu-storage-daemon')
        self.vhost_user_load = os.path.join(build_dir, 'tests', 'vhost-user', 'vhost-user-load')
        self.stock_img = stock_img if shutil.which(stock_img) else None
        self.stock_daemon = stock_daemon if shutil.which(stock_daemon) else None
        self.valgrind = shutil.which('valgrind')
        self.folder = folder
        self.settles = settles

    def path(self, name):
        return os.path.join(self.folder, name)

    def discard_images(self):
        """Make room for the next figure."""
        for name in os.listdir(self.folder):
            os.unlink(self.path(name))
        self.settle()

    def settle(self):
        """Leave nothing unwritten of earlier figures that the disk would do during the next one."""
        if self.settles:
            os.sync()

    def create(self, program, name, size, *options):
        """Make image NAME anew; returns its path."""
        path = self.path(name)
        if os.path.exists(path):
            os.unlink(path)
        self.output([program, 'create', '-q', *options, path, str(size)])
        return path

    def output(self, command):
        """Run COMMAND; returns what it printed, both streams together."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f'{" ".join(command)}: exit status {done.returncode}\n{done.stdout}')
        return done.stdout

    def usage(self, command):
        """Run COMMAND without looking at its output; returns a Usage."""
        begin = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
            _, status, resources = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - begin
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise BenchError(f'{" ".join(command)}: exit status {child.returncode}')
        return Usage(seconds, resources.ru_maxrss * 1024)

    def throughput(self, program, image, stream):
        """Send STREAM to IMAGE; returns MiB/s."""
        self.settle()
        command = self._bench(program, image, stream)
        text = self.output(command)
        found = re.search(r'Run completed in ([0-9.]+) seconds', text)
        if not found:
            raise BenchError(f'{" ".join(command)}: no time in its output\n{text}')
        # The clock shown has milliseconds; a run shorter than one is none to judge by.
        seconds = max(float(found.group(1)), 0.001)
        return stream.count * stream.request_bytes / MIB / seconds

    def instructions(self, program, image, stream):
        """Instructions that sending STREAM takes, start of the program included."""
        text = self.output([self.valgrind, '--tool=callgrind', '--callgrind-out-file=/dev/null',
                            *self._bench(program, image, stream)])
        return int(re.search(r'Collected : (\d+)', text).group(1))

    def prompt_seconds(self, image, commands, pause):
        """
        Time of each of the qemu-io COMMANDS on IMAGE, from sending it to the next prompt.

        PAUSE: seconds between two, so that one does not wait for what another left to do.
        """
        times = []
        with subprocess.Popen([self.io, '-f', 'qcow2', image], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, bufsize=0) as child:
            wait_for_prompt(child.stdout)
            for command in commands:
                time.sleep(pause)
                begin = time.perf_counter()
                child.stdin.write(f'{command}\n'.encode())
                answer = wait_for_prompt(child.stdout)
                times.append(time.perf_counter() - begin)
                if answer:
                    raise BenchError(f'{command}: {answer}')
            child.stdin.close()
        return times

    @staticmethod
    def _bench(program, image, stream):
        return [program, 'bench', '-c', str(stream.count), '-d', str(stream.depth),
                '-s', str(stream.request_bytes), *stream.options, image]
