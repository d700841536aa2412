# SPDX-License-Identifier: GPL-2.0-or-later
"""
Our qemu-io killed in the middle of a stream of writes.

Afterwards the image has at most leaks, what was flushed is there, and every other byte is one of
those that it may be: from before, or from a write that was sent since.
"""

import json
import re
import subprocess
import time

from .geometry import Geometry
from .mirror import Mirror
from .programs import MIB, Failure, wait_until_unlocked
from .script import log_uniform

IMAGE = 'image.qcow2'
WROTE = re.compile(rb'wrote \d+/\d+ bytes at offset (\d+)')


class Stream:
    """The writes of one killed qemu-io."""

    def __init__(self, rng, geometry, size):
        self.writes = []        # (offset, length, value), in the order in which they are sent
        self.flush_after = []   # a flush follows that many writes
        for _ in range(rng.randrange(20, 120)):
            base = rng.choice([0, size // 2, rng.randrange(size)])
            offset = min(size - 1, base + rng.randrange(8 * geometry.cluster_size))
            length = log_uniform(rng, 1, min(MIB // 2, 4 * geometry.cluster_size))
            self.writes.append((offset, min(length, size - offset), rng.randrange(1, 256)))
            if rng.random() < 0.2:
                self.flush_after.append(len(self.writes))

    def text(self):
        """The commands; lines go through a pipe faster than the program works on them."""
        lines = []
        for number, (offset, length, value) in enumerate(self.writes, 1):
            lines.append(f'write -P {value} {offset} {length}\n')
            if number in self.flush_after:
                lines.append('flush\n')
        return ''.join(lines)

    def durable(self, acknowledged):
        """How many of the @acknowledged writes a flush followed that was done before the last."""
        return max((count for count in self.flush_after if count < acknowledged), default=0)


def cut(writes):
    """Yield (start, end, values) of stretches in which all bytes belong to the same writes."""
    edges = sorted({edge for offset, length, _ in writes for edge in (offset, offset + length)})
    for start, end in zip(edges, edges[1:]):
        values = {value for offset, length, value in writes
                  if offset <= start and end <= offset + length}
        if values:
            yield start, end, values


def settle(mirror, path, maybe):
    """Take over what became of each write in @maybe, which must be one of the possible things."""
    with open(path, 'rb') as file:
        for start, end, values in cut(maybe):
            file.seek(start)
            found, before = file.read(end - start), mirror.read(start, end - start)
            for i, (now, then) in enumerate(zip(found, before)):
                if now != then and now not in values:
                    raise Failure(f'byte {start + i:#x} is {now:#x}; it was {then:#x}, and only '
                                  f'{sorted(values)} were written there')
            mirror.write(start, found)


def run_and_kill(case, cache, stream):
    """Let our qemu-io work on @stream until it is killed; return how many writes it reported."""
    with open(case.path('script'), 'w', encoding='ascii') as file:
        file.write(stream.text())
    argv = [case.ours.io, '-t', cache, '-f', 'qcow2', IMAGE]
    reports = case.rng.randrange(len(stream.writes))
    pause = case.rng.choice([0, 0, log_uniform(case.rng, 1, 20000) / 1e6])
    case.record.append(f'{" ".join(argv)} <script, killed {pause} s after {reports} reports')
    output = b''
    with open(case.path('script'), 'rb') as script, \
            subprocess.Popen(argv, cwd=case.folder, stdin=script, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) as process:
        for line in process.stdout if reports else ():
            output += line
            reports -= bool(WROTE.search(line))
            if not reports:
                break
        time.sleep(pause)
        process.kill()
        output += process.stdout.read()
    wait_until_unlocked(case.path(IMAGE))
    if b'fail' in output or b'rror' in output:
        raise Failure(f'not only killed: {output[-2000:].decode(errors="replace")}')
    return len(WROTE.findall(output))


def recover(case, geometry):
    """Do what an administrator would after a crash; leaks and a dirty bit are all there may be."""
    if geometry.lazy_refcounts:
        case.run(case.one_side().img, 'check', '-q', '-r', 'all', '-f', 'qcow2', IMAGE)
    else:
        report = {}
        for side in (case.ours, case.stock):
            case.record.append(f'{side.img} check {IMAGE}')
            done = subprocess.run([side.img, 'check', '--output=json', '-f', 'qcow2', IMAGE],
                                  cwd=case.folder, capture_output=True, check=False,
                                  timeout=case.timeout)
            if done.returncode not in (0, 3):
                raise Failure(f'{side.name} check: {done.stdout.decode()}{done.stderr.decode()}')
            report[side.name] = json.loads(done.stdout)
        if report['ours'] != report['stock']:
            raise Failure(f'check differs: {report}')
        if case.rng.random() < 0.3:
            case.run(case.one_side().img, 'check', '-q', '-r', 'leaks', '-f', 'qcow2', IMAGE)
    case.run(case.stock.img, 'convert', '-f', 'qcow2', '-O', 'raw', IMAGE, 'converted.raw')


def kill_rounds(case, number, rounds):
    """One image, of which our qemu-io is killed @rounds times."""
    geometry = Geometry.random(case.rng, number)
    geometry.preallocation = 'off'
    geometry.size = min(geometry.size, 64 * MIB)
    case.name += f': {geometry}'
    case.run(case.one_side().img, 'create', '-q', '-f', 'qcow2', '-o', geometry.create_options(),
             IMAGE, str(geometry.size))
    mirror = Mirror(case.path('mirror.raw'), geometry.size)
    for _ in range(rounds):
        stream = Stream(case.rng, geometry, mirror.size)
        cache = case.rng.choice(['writeback', 'writeback', 'writethrough'])
        acknowledged = run_and_kill(case, cache, stream)
        durable = acknowledged if cache == 'writethrough' else stream.durable(acknowledged)
        for offset, length, value in stream.writes[:durable]:
            mirror.fill(offset, length, value)
        recover(case, geometry)
        settle(mirror, case.path('converted.raw'), stream.writes[durable:])
        different = mirror.difference(case.path('converted.raw'))
        if different is not None:
            raise Failure(f'byte {different:#x} was durable, and is not there any more')
    mirror.close()
