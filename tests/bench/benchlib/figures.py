# SPDX-License-Identifier: GPL-2.0-or-later
"""
What is measured.

Every function with the decorator @group yields Figures; its name is what `--only` takes.  Sides
that are compared take turns, round by round, so that a disk or machine that is slower for a while
is slower for all of them; the ratio is the median of the rounds' ratios.
"""

import os
import time
from dataclasses import dataclass
from statistics import median

from .programs import MIB, Stream
from .table import Figure, Target

KIB = 1 << 10
GIB = 1 << 30
TIB = 1 << 40

GROUPS = {}


@dataclass
class Scale:
    """How much is measured: the figures of record, or next to nothing for a smoke test."""

    size: int  # bytes of an image
    zone_size: int
    rounds: int
    max_requests: int  # of one run
    reset_zones: int
    reset_pause: float  # seconds between two
    counted_requests: int  # under callgrind
    big_size: int
    big_zone_size: int
    big_report: int  # zones


def group(function):
    GROUPS[function.__name__.replace('_', '-')] = function
    return function


def take_turns(scale, sides):
    """Run each side once a round.  Returns {name of side: [result of each round]}."""
    results = {name: [] for name in sides}
    for _ in range(scale.rounds):
        for name, run in sides.items():
            results[name].append(run())
    return results


def compare(name, ours, peer, target=None):
    """A figure of two lists of MiB/s, a result a round."""
    return Figure(name, 'MiB/s', median(ours), median(peer),
                  median(a / b for a, b in zip(ours, peer)), target)


def best(*sides):
    """Of each round the best of several sides."""
    return [max(results) for results in zip(*sides)]


# ---- zoned writes ----

STOCK_AIO = ('native', 'io_uring')


class FreshWriter:
    """
    Direct sequential writes into images that have never been written.

    Each run makes its image anew, so that all sides allocate as they go.
    """

    def __init__(self, programs, scale, request_bytes, depth):
        self.programs = programs
        self.scale = scale
        count = min(scale.size // request_bytes, scale.max_requests)
        self.stream = Stream(request_bytes, depth, count)

    def _write(self, program, fmt, create_options, bench_options):
        self.programs.discard_images()
        image = self.programs.create(program, 'image', self.scale.size, '-f', fmt, *create_options)
        stream = Stream(self.stream.request_bytes, self.stream.depth, self.stream.count,
                        ('-w', '-t', 'none', '-f', fmt, *bench_options))
        return self.programs.throughput(program, image, stream)

    def zoned(self, *bench_options):
        options = f'zone_model=host-managed,zone_size={self.scale.zone_size}'
        return self._write(self.programs.img, 'qcow2', ('-o', options),
                           ('--zoned', *bench_options))

    def raw(self):
        return self._write(self.programs.img, 'raw', (), ())

    def stock(self, aio):
        return self._write(self.programs.stock_img, 'qcow2', (), ('-i', aio))


def zoned_writes(programs, scale, request_bytes, depth, raw_target, stock_target):
    """Zoned writes and appends against a raw file of ours and against a stock qcow2 image."""
    writer = FreshWriter(programs, scale, request_bytes, depth)
    case = f'{request_bytes // KIB} KiB, depth {depth}'
    sides = {'write': writer.zoned, 'append': lambda: writer.zoned('--append'),
             'raw': writer.raw}
    if stock_target and programs.stock_img:
        for aio in STOCK_AIO:
            sides[aio] = lambda aio=aio: writer.stock(aio)
    results = take_turns(scale, sides)

    yield compare(f'zoned write : raw, {case}', results['write'], results['raw'], raw_target)
    yield compare(f'zoned append : raw, {case}', results['append'], results['raw'], raw_target)
    if not stock_target:
        return
    name = f'zoned write : stock qcow2, {case}'
    if programs.stock_img:
        yield compare(name, results['write'], best(*[results[aio] for aio in STOCK_AIO]),
                      stock_target)
    else:
        yield Figure(name, 'MiB/s', target=stock_target, note='no stock qemu-img')


@group
def zoned_4k_depth_1(programs, scale):
    return zoned_writes(programs, scale, 4 * KIB, 1, Target('>=', 0.95), None)


@group
def zoned_4k_depth_16(programs, scale):
    return zoned_writes(programs, scale, 4 * KIB, 16, Target('>=', 0.85), Target('>=', 1.5))


@group
def zoned_64k_depth_16(programs, scale):
    return zoned_writes(programs, scale, 64 * KIB, 16, Target('>=', 0.85), Target('>=', 2))


# ---- resets ----

def disk_usage(path):
    return os.stat(path).st_blocks * 512


def filled_zones(programs, scale):
    """An image with nothing but full zones."""
    programs.discard_images()
    size = scale.reset_zones * scale.zone_size
    image = programs.create(programs.img, 'image', size, '-f', 'qcow2', '-o',
                            f'zone_model=host-managed,zone_size={scale.zone_size}')
    programs.throughput(programs.img, image, Stream(
        MIB, 4, size // MIB, ('-w', '--zoned', '-t', 'none', '-f', 'qcow2')))
    programs.settle()
    return image


def punch_seconds(programs, scale):
    """How long the host takes to free as much as a zone has, from a file that is as full."""
    path = programs.create(programs.img, 'holes', scale.zone_size, '-f', 'raw')
    programs.throughput(programs.img, path, Stream(
        MIB, 4, scale.zone_size // MIB, ('-w', '-t', 'none', '-f', 'raw')))
    programs.settle()
    return programs.usage(['fallocate', '--punch-hole', '--offset', '0', '--length',
                           str(scale.zone_size), path]).seconds


@group
def reset(programs, scale):
    """Time until a reset is acknowledged, until its space is free, and that it is."""
    acknowledged, returned, punched, freed = [], [], [], []
    commands = [f'zone_reset {zone * scale.zone_size} {scale.zone_size}'
                for zone in range(scale.reset_zones)]
    for _ in range(scale.rounds):
        image = filled_zones(programs, scale)
        used = disk_usage(image)
        begin = time.perf_counter()
        times = programs.prompt_seconds(image, commands, scale.reset_pause)
        all_seconds = time.perf_counter() - begin - scale.reset_pause * len(commands)
        acknowledged.append(1000 * median(times))
        returned.append(1000 * all_seconds / len(commands))
        freed.append(100 * (used - disk_usage(image)) / (len(commands) * scale.zone_size))
        punched.append(1000 * punch_seconds(programs, scale))
    zone = f'full {scale.zone_size // MIB} MiB zone'
    yield Figure(f'reset of a {zone}', 'ms', median(acknowledged), target=Target('<=', 10))
    yield Figure('  until its space is free : hole punch of the host', 'ms', median(returned),
                 median(punched), median(a / b for a, b in zip(returned, punched)))
    yield Figure('  part of its space that is free then', '%', median(freed),
                 target=Target('>=', 99))


# ---- instructions ----

def instructions_per_request(programs, scale, program, image, depth, options):
    """The difference of two counts, which leaves out what starting and ending the program takes."""
    few, many = [programs.instructions(program, image, Stream(4 * KIB, depth, count, options))
                 for count in (scale.counted_requests, 3 * scale.counted_requests)]
    return (many - few) / (2 * scale.counted_requests)


def zoned_null(scale):
    size = max(scale.size, 16 * scale.counted_requests * 4 * KIB)
    return f'driver=null-co,size={size},zone.mode=host-managed,zone.size={scale.zone_size}'


@group
def instructions(programs, scale):
    target = Target('<=', 1200)
    raw = ('-f', 'raw')
    for depth in (16, 1):
        rows = {
            f'null, depth {depth}': ('null-co://', raw),
            f'null zoned write, depth {depth}':
                (zoned_null(scale), ('--image-opts', '-w', '--zoned')),
            f'null zoned append, depth {depth}':
                (zoned_null(scale), ('--image-opts', '-w', '--zoned', '--append')),
        }
        if not programs.valgrind:
            for name in rows:
                yield Figure(name, 'instr/req', note='no valgrind', target=target)
            continue
        peer = None
        if programs.stock_img:
            peer = instructions_per_request(programs, scale, programs.stock_img, 'null-co://',
                                            depth, raw)
        for name, (image, options) in rows.items():
            ours = instructions_per_request(programs, scale, programs.img, image, depth, options)
            yield Figure(name, 'instr/req', ours, peer, target=target)


# ---- a big image ----

@group
def big_image(programs, scale):
    """What millions of zones cost.  Starting the program is part of every time here."""
    programs.discard_images()
    image = programs.path('image')
    options = f'zone_model=host-managed,zone_size={scale.big_zone_size}'
    create = [programs.img, 'create', '-q', '-f', 'qcow2', '-o', options, image,
              str(scale.big_size)]
    look = [programs.io, '-f', 'qcow2', '-c', 'zone_report 0 1', image]
    report = [programs.img, 'zone', 'report', '-f', 'qcow2', '-c', str(scale.big_report)]
    reports = {
        'qemu-img zone report': [*report, image],
        'qemu-img zone report --output=json': [*report, '--output=json', image],
        'qemu-io zone_report': [programs.io, '-r', '-f', 'qcow2', '-c',
                                f'zone_report 0 {scale.big_report}', image],
    }
    zones = scale.big_size // scale.big_zone_size

    def seconds(command):
        return median(programs.usage(command).seconds for _ in range(scale.rounds))

    created = programs.usage(create)
    yield Figure(f'create {zones} zones', 's', created.seconds, target=Target('<', 1))
    yield Figure('  peak memory', 'MiB', created.peak_bytes / MIB, target=Target('<', 200))
    yield Figure(f'open {zones} zones, read-write', 's', seconds(look), target=Target('<', 0.2))
    yield Figure('  peak memory', 'MiB', programs.usage(look).peak_bytes / MIB,
                 target=Target('<', 200))
    for name, command in reports.items():
        yield Figure(f'{name}, {scale.big_report} zones', 's', seconds(command),
                     target=Target('<', 1))


# ---- plain images ----

# A step that visits every request once before it comes back, far from the last one each time.
SCATTER = 0.38


def plain_streams(size, request_bytes, max_requests):
    count = min(size // request_bytes, max_requests)
    step = int(size * SCATTER) // request_bytes | 1
    scattered = ('-S', str(step * request_bytes))
    stream = lambda *options: Stream(request_bytes, 16, count, ('-t', 'none', '-f', 'qcow2', *options))
    return {
        'first write': stream('-w'),
        'read': stream(),
        'random write': stream('-w', *scattered),
        'random read': stream(*scattered),
    }


@group
def plain(programs, scale):
    """Plain qcow2 images, ours against stock: no target, but they should not fall far behind."""
    if not programs.stock_img:
        yield Figure('plain qcow2 : stock', 'MiB/s', note='no stock qemu-img')
        return
    size = min(scale.size, GIB)
    sides = {('ours', None): programs.img}
    sides.update({('stock', aio): programs.stock_img for aio in STOCK_AIO})
    for request_bytes in (4 * KIB, 64 * KIB):
        streams = plain_streams(size, request_bytes, scale.max_requests)
        results = {(*side, name): [] for side in sides for name in streams}
        for _ in range(scale.rounds):
            for (who, aio), program in sides.items():
                programs.discard_images()
                image = programs.create(program, 'image', size, '-f', 'qcow2')
                for name, stream in streams.items():
                    options = stream.options + (('-i', aio) if aio else ())
                    results[who, aio, name].append(programs.throughput(
                        program, image,
                        Stream(request_bytes, stream.depth, stream.count, options)))
        for name in streams:
            yield compare(f'qcow2 {name} : stock, {request_bytes // KIB} KiB, depth 16',
                          results['ours', None, name],
                          best(*[results['stock', aio, name] for aio in STOCK_AIO]))
