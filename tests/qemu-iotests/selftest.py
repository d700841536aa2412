#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
The runner itself: that it fails what must fail, skips with a reason, keeps artefacts of failures
only, and takes the tests it was asked for.

Small tests are written to a temporary harness directory and run there; no image is made.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parent


class RunnerCase(unittest.TestCase):
    """A harness directory of its own, with the real runner and no tests."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='iotests-self-')
        self.addCleanup(folder.cleanup)
        self.harness = Path(folder.name) / 'harness dir'
        self.scratch = Path(folder.name) / 'scratch'
        (self.harness / 'tests').mkdir(parents=True)
        shutil.copytree(SOURCE_DIR / 'harness', self.harness / 'harness',
                        ignore=shutil.ignore_patterns('__pycache__'))
        for name in ('check', 'common.rc', 'common.filter', 'iotests.py'):
            shutil.copy2(SOURCE_DIR / name, self.harness)

    def add_test(self, name, body, golden='', groups='auto'):
        path = self.harness / 'tests' / name
        path.write_text(f'#!/bin/sh\n# group: {groups}\n{body}\n')
        path.chmod(0o755)
        if golden is not None:
            path.with_name(f'{name}.out').write_text(golden)
        return path

    def check(self, *arguments):
        """Run the runner; `true` stands for the programs under test."""
        environment = {**os.environ, 'QEMU_IMG_PROG': '/bin/true', 'QEMU_IO_PROG': '/bin/true',
                       'TEST_DIR': str(self.scratch)}
        return subprocess.run([sys.executable, self.harness / 'check', *arguments], check=False,
                              env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=60)

    def listed(self, *arguments):
        return self.check('-n', *arguments).stdout.split()


class Verdicts(RunnerCase):

    def test_expected_output_passes_and_leaves_nothing(self):
        self.add_test('a', 'echo yes; touch file', 'yes\n')
        result = self.check('a')
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn('Passed all 1 iotests', result.stdout)
        self.assertEqual([path.name for path in self.scratch.iterdir()], ['elapsed'])

    def test_other_output_fails_and_is_kept(self):
        self.add_test('a', 'echo no', 'yes\n')
        result = self.check('a')
        self.assertEqual(result.returncode, 1)
        self.assertIn('-yes\n+no\n', result.stdout)
        self.assertIn('Failures: a', result.stdout)
        self.assertEqual((self.scratch / 'raw-file-a' / 'a.out.bad').read_text(), 'no\n')

    def test_standard_error_counts_as_output(self):
        self.add_test('a', 'echo complaint >&2')
        self.assertEqual(self.check('a').returncode, 1)

    def test_exit_status_fails_in_spite_of_right_output(self):
        self.add_test('a', 'echo yes; exit 3', 'yes\n')
        result = self.check('a')
        self.assertEqual(result.returncode, 1)
        self.assertIn('exit status 3', result.stdout)

    def test_a_test_killed_by_a_signal_fails(self):
        self.add_test('a', 'kill -SEGV $$')
        self.assertIn('SIGSEGV', self.check('a').stdout)

    def test_a_test_that_hangs_is_ended_with_its_children(self):
        self.add_test('a', 'sleep 1000 & echo $! >"$TEST_DIR/child"; wait')
        result = self.check('--timeout', '0.5', 'a')
        self.assertEqual(result.returncode, 1)
        self.assertIn('timed out after 0.5 s', result.stdout)
        child = (self.scratch / 'raw-file-a' / 'child').read_text().strip()
        state = Path('/proc') / child / 'stat'
        self.assertTrue(not state.exists() or ') Z ' in state.read_text())

    def test_a_test_that_cannot_run_is_skipped_with_its_reason(self):
        self.add_test('a', 'echo no disk >"$TEST_DIR/a.notrun"')
        result = self.check('-tap', 'a')
        self.assertEqual(result.returncode, 0)
        self.assertIn('ok raw a # SKIP no disk', result.stdout)

    def test_a_reason_does_not_excuse_a_failure(self):
        self.add_test('a', 'echo no disk >"$TEST_DIR/a.notrun"; exit 1')
        self.assertEqual(self.check('a').returncode, 1)

    def test_standard_input_is_empty(self):
        self.add_test('a', 'cat; echo end', 'end\n')
        self.assertEqual(self.check('a').returncode, 0)

    def test_a_bash_test_that_does_not_reach_its_end_fails(self):
        path = self.add_test('a', '', 'QA output created by a\n')
        path.write_text('#!/usr/bin/env bash\n# group: auto\n. "$IOTESTS_DIR/common.rc"\n')
        self.assertIn('exit status 1', self.check('a').stdout)

    def test_tap_names_the_failed_test(self):
        self.add_test('a', 'echo yes', 'yes\n')
        self.add_test('b', 'echo no', 'yes\n')
        lines = self.check('-tap', '-j', '2').stdout.splitlines()
        self.assertIn('1..2', lines)
        self.assertIn('ok raw a', lines)
        self.assertIn('not ok raw b', lines)

    def test_update_writes_the_golden_file(self):
        path = self.add_test('a', 'echo new', None)
        self.assertEqual(self.check('-update', 'a').returncode, 0)
        self.assertEqual(path.with_name('a.out').read_text(), 'new\n')

    def test_update_does_not_keep_the_output_of_a_failure(self):
        path = self.add_test('a', 'echo new; exit 1', 'old\n')
        self.assertEqual(self.check('-update', 'a').returncode, 1)
        self.assertEqual(path.with_name('a.out').read_text(), 'old\n')

    def test_a_format_may_have_output_of_its_own(self):
        path = self.add_test('a', 'echo $IMGFMT', 'raw\n')
        path.with_name('a.out.qcow2').write_text('qcow2\n')
        self.assertEqual(self.check('-raw', 'a').returncode, 0)
        self.assertEqual(self.check('-qcow2', 'a').returncode, 0)


class Selection(RunnerCase):

    def setUp(self):
        super().setUp()
        self.add_test('one', '_supported_fmt qcow2', groups='rw quick')
        self.add_test('two', '', groups='rw')
        self.add_test('three', '', groups='quick disabled')

    def test_all_but_disabled_without_a_choice(self):
        self.assertEqual(self.listed('-qcow2'), ['one', 'two'])

    def test_a_format_leaves_out_what_does_not_support_it(self):
        self.assertEqual(self.listed('-raw'), ['two'])

    def test_groups_are_united_and_exclusions_taken_away(self):
        self.assertEqual(self.listed('-qcow2', '-g', 'rw,quick'), ['one', 'two'])
        self.assertEqual(self.listed('-qcow2', '-g', 'rw', '-x', 'quick'), ['two'])
        self.assertEqual(self.listed('-qcow2', '-g', 'disabled'), ['three'])

    def test_names_stand_for_themselves(self):
        self.assertEqual(self.listed('-raw', 'three', 'one'), ['one', 'three'])
        self.assertEqual(self.listed('-qcow2', '-g', 'rw', 'three'), ['one', 'three', 'two'])

    def test_a_run_can_start_in_the_middle(self):
        self.assertEqual(self.listed('-qcow2', '--start-from', 'two'), ['two'])

    def test_an_unknown_name_is_an_error(self):
        result = self.check('four')
        self.assertEqual(result.returncode, 1)
        self.assertIn('there is no test four', result.stdout)

    def test_a_test_must_say_its_groups(self):
        path = self.harness / 'tests' / 'two'
        path.write_text('#!/bin/sh\n')
        self.assertIn('has no "# group:" line', self.check().stdout)

    def test_a_test_must_be_executable(self):
        (self.harness / 'tests' / 'two').chmod(0o644)
        result = self.check()
        self.assertEqual(result.returncode, 1)
        self.assertIn('is not executable', result.stdout)


if __name__ == '__main__':
    unittest.main()
