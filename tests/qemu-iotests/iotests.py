# SPDX-License-Identifier: GPL-2.0-or-later
"""
What Python tests are made of: the programs under test as functions, filters for their output, zone
reports as objects, and a unittest main whose output fits a golden file.

A test looks like this:

    #!/usr/bin/env python3
    # group: rw auto quick
    import iotests
    from iotests import qemu_io

    class Reads(iotests.ImageTestCase):
        size = '64M'

        def test_fresh_image_reads_as_zeroes(self):
            qemu_io('-c', 'read -P 0 0 64M', self.image)

    if __name__ == '__main__':
        iotests.main(supported_fmts=['qcow2', 'raw'])
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import unittest
from dataclasses import dataclass
from pathlib import Path

try:
    test_name = os.environ['IOTEST_NAME']
    test_dir = Path(os.environ['TEST_DIR'])
    sock_dir = Path(os.environ['SOCK_DIR'])
    imgfmt = os.environ['IMGFMT']
    imgproto = os.environ['IMGPROTO']
    imgopts = os.environ['IMGOPTS']
    cachemode = os.environ['CACHEMODE']
    aiomode = os.environ['AIOMODE']
    test_img = os.environ['TEST_IMG']
    qemu_img_prog = os.environ['QEMU_IMG_PROG']
    qemu_io_prog = os.environ['QEMU_IO_PROG']
    qsd_prog = os.environ['QSD_PROG']
    qemu_io_options = os.environ['QEMU_IO_OPTIONS'].split()
    qemu_io_options_no_fmt = os.environ['QEMU_IO_OPTIONS_NO_FMT'].split()
    stock_qemu_img = os.environ['STOCK_QEMU_IMG']
    stock_qemu_io = os.environ['STOCK_QEMU_IO']
    is_debug = bool(os.environ['IOTESTS_DEBUG'])
except KeyError as missing:
    sys.exit(f"This test needs {missing.args[0]} in its environment: run it by name with "
             f"'tests/qemu-iotests/check'.")

# The conditions and types of a zone, by the numbers of a report.
ZONE_CONDITIONS = {0: 'not-wp', 1: 'empty', 2: 'implicit-open', 3: 'explicit-open', 4: 'closed',
                   13: 'read-only', 14: 'full', 15: 'offline'}
ZONE_TYPES = {1: 'conventional', 2: 'sequential-required', 3: 'sequential-preferred'}

_ZONE_LINE = re.compile(r'start: (0x[0-9a-f]+), len (0x[0-9a-f]+), cap (0x[0-9a-f]+), '
                        r'wptr (0x[0-9a-f]+), zcond:(\d+), \[type: (\d)\]')


class ProgramFailed(Exception):
    """A program ended with another status than the test expected; str() tells the whole story."""

    def __init__(self, arguments, result, expected):
        super().__init__(f"{' '.join(arguments)}: exit status {result.returncode}, expected "
                         f"{expected}\n{result.stdout}{result.stderr}")
        self.result = result


# ---- programs ----

def run(*arguments, status=0, stdin=None):
    """
    Run a program and return its CompletedProcess, with text in stdout and stderr.

    @status: the exit status it must have, or None where any will do; ProgramFailed otherwise.
    @stdin: text for its standard input, which is empty without.
    """
    arguments = [str(argument) for argument in arguments]
    if is_debug:
        print('+', *arguments, file=sys.stderr)
    result = subprocess.run(arguments, input=stdin or '', stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, check=False)
    if status is not None and result.returncode != status:
        raise ProgramFailed(arguments, result, status)
    return result


def qemu_img(*arguments, status=0):
    return run(qemu_img_prog, *arguments, status=status)


def qemu_img_json(*arguments, status=0):
    """Run a qemu-img command with --output=json and return what it printed, parsed."""
    command, *rest = arguments
    # The option of `zone report` follows both words.
    words = [command, rest.pop(0)] if command == 'zone' else [command]
    return json.loads(qemu_img(*words, '--output=json', *rest, status=status).stdout)


def create_image(path, size, options='', image_format=imgfmt, status=0):
    """Create an image with the options of the run and @options (`k=v,...`)."""
    all_options = ','.join(filter(None, [imgopts, options]))
    option_words = ['-o', all_options] if all_options else []
    return qemu_img('create', '-f', image_format, *option_words, path, size, status=status)


def qemu_io(*arguments, status=0, stdin=None):
    """Run qemu-io with the format and cache mode of the run."""
    return run(qemu_io_prog, *qemu_io_options, *arguments, status=status, stdin=stdin)


def _command_words(commands):
    return [word for command in commands for word in ('-c', command)]


def qemu_io_commands(path, *commands, status=0):
    """Run the commands on the image @path, and return standard output without times and rates."""
    return filter_qemu_io(qemu_io(*_command_words(commands), path, status=status).stdout)


def storage_daemon(*options, status=0, stdin=None):
    """Run a storage daemon that ends by itself: it prints help, fails, or has a monitor on @stdin."""
    return run(qsd_prog, *options, status=status, stdin=stdin)


def adopt_orphans():
    """From here on a process whose parent has ended becomes the test's: see kill_children()."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, ctypes.c_ulong(1))


def kill_children():
    """Kill all processes that the test has left; a daemon in the background would go on for ever."""
    children = Path(f'/proc/self/task/{threading.get_native_id()}/children')
    while numbers := children.read_text().split():
        os.kill(int(numbers[0]), signal.SIGKILL)
        os.waitpid(int(numbers[0]), 0)


def have_stock_tools():
    return bool(stock_qemu_img and stock_qemu_io)


# ---- zones ----

@dataclass(frozen=True)
class Zone:
    """One line of a zone report; positions and lengths in bytes."""
    start: int
    length: int
    capacity: int
    wp: int
    condition: str
    type: str


def zone_report(path, offset=0, count=2**20):
    """Return the zones of the image @path from @offset on."""
    return zones_of(qemu_io('-r', '-c', f'zone_report {offset} {count}', path).stdout)


def zones_of(report):
    """Return the zones in what qemu-io printed, of one report or several."""
    zones = []
    for start, length, capacity, wp, condition, zone_type in _ZONE_LINE.findall(report):
        start, length, capacity, wp = (int(text, 16) * 512
                                       for text in (start, length, capacity, wp))
        zones.append(Zone(start, length, capacity, wp, ZONE_CONDITIONS[int(condition)],
                          ZONE_TYPES[int(zone_type)]))
    return zones


# ---- filters ----

def filter_test_dir(text):
    return text.replace(str(test_dir), 'TEST_DIR').replace(str(sock_dir), 'SOCK_DIR')


def filter_imgfmt(text):
    return re.sub(rf'\b{imgfmt}\b', 'IMGFMT', text)


def filter_qemu_io(text):
    text = re.sub(r'\d+ ops; .* \(.*/sec and .* ops/sec\)',
                  'X ops; XX:XX:XX.X (XXX YYY/sec and XXX ops/sec)', text)
    return filter_test_dir(text.replace('qemu-io> ', ''))


# ---- the life of a test ----

def log(text):
    """Print a line for the golden file."""
    print(filter_test_dir(str(text)), flush=True)


def notrun(reason):
    """End the test: it cannot run here."""
    (test_dir / f'{test_name}.notrun').write_text(f'{reason}\n')
    sys.exit(0)


def casenotrun(reason):
    """Note that one case cannot run here; the test goes on."""
    with open(test_dir / f'{test_name}.casenotrun', 'a', encoding='utf-8') as note:
        note.write(f'{reason}\n')


def verify_environment(supported_fmts=(), supported_cache_modes=(), supported_aio_modes=(),
                       unsupported_imgopts=(), needs_stock_tools=False):
    """End the test as not run unless the run is one that it can be part of."""
    if supported_fmts and imgfmt not in supported_fmts:
        notrun(f'not suitable for image format {imgfmt}')
    if supported_cache_modes and cachemode not in supported_cache_modes:
        notrun(f'not suitable for cache mode {cachemode}')
    if supported_aio_modes and aiomode not in supported_aio_modes:
        notrun(f'not suitable for aio mode {aiomode}')
    for option in unsupported_imgopts:
        if option in imgopts:
            notrun(f'not suitable for image option {option}')
    if needs_stock_tools and not have_stock_tools():
        notrun('qemu-utils is not installed')


class ImageTestCase(unittest.TestCase):
    """
    Cases that each begin with a fresh image.

    A subclass sets @size (None: no image is made) and @options, creation options `k=v,...`.
    """
    size = None
    options = ''

    def setUp(self):
        self.image = test_img
        if self.size is not None:
            create_image(self.image, self.size, self.options)

    def tearDown(self):
        Path(self.image).unlink(missing_ok=True)

    def assert_image_is_clean(self):
        """The image has neither errors nor leaks, says the program under test."""
        if imgfmt != 'raw':
            qemu_img('check', '-f', imgfmt, self.image)

    def assert_stock_agrees(self, *commands):
        """The stock tools find no error in the image, and their qemu-io runs @commands on it."""
        if not have_stock_tools():
            casenotrun(f'qemu-utils is not installed: {self.id()} was not compared')
            return
        if imgfmt != 'raw':
            run(stock_qemu_img, 'check', '-f', imgfmt, self.image)
        if commands:
            run(stock_qemu_io, '-f', imgfmt, *_command_words(commands), self.image)


class _GoldenResult(unittest.TextTestResult):
    """Prints one line a case; a skipped one reads as if it had passed, its reason is noted."""

    def _line(self, test, word):
        self.stream.writeln(f'{type(test).__name__}.{test._testMethodName}: {word}')
        self.stream.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line(test, 'ok')

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        casenotrun(f'{test.id()}: {reason}')
        self._line(test, 'ok')

    def addError(self, test, err):
        super().addError(test, err)
        self._line(test, 'ERROR')

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line(test, 'FAILED')


class _GoldenRunner(unittest.TextTestRunner):
    """Leaves out the time that the cases took."""
    resultclass = _GoldenResult

    def run(self, test):
        result = self._makeResult()
        test(result)
        result.printErrors()
        self.stream.writeln(f'{result.testsRun} cases')
        return result


def main(**needs):
    """Run the cases of the calling script if the environment is one of its @needs."""
    verify_environment(**needs)
    runner = _GoldenRunner(stream=sys.stdout, verbosity=0)
    unittest.main(argv=[test_name], testRunner=runner)
