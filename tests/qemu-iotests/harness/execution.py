# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run one test and judge it.

Each test has folders of its own and a process group of its own, so that any number may run at once
and none outlives its time.  Its standard input is empty; what it prints must equal its golden file
byte for byte.  Of a test that did not fail nothing is kept but the time it took.
"""

import difflib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from enum import Enum


# The whole output of a failed test is kept; more than this of a difference only hides the others.
DIFF_LINES_SHOWN = 100


class Verdict(Enum):
    PASSED = 'pass'
    FAILED = 'fail'
    NOT_RUN = 'not run'


@dataclass
class Outcome:
    """What became of one test."""
    verdict: Verdict
    reason: str = ''
    diff: str = ''
    cases_not_run: list = field(default_factory=list)
    seconds: float = 0.0
    last_seconds: float = None  # the time of the last run that passed, if there was one


class Execution:
    """One run of one test; call run() once."""

    def __init__(self, test, environment, timeout, is_update=False, is_live=False):
        """@timeout in seconds; @is_update rewrites the golden file instead of comparing;
        @is_live leaves the output on the terminal, and only the exit status is judged."""
        self.test = test
        self.environment = environment
        self.timeout = timeout
        self.is_update = is_update
        self.is_live = is_live
        self.test_dir = environment.test_dir(test)
        self.socket_dir = environment.socket_dir / self.test_dir.name
        self.elapsed_path = environment.scratch_dir / 'elapsed' / self.test_dir.name

    def run(self):
        golden = self.test.golden_path(self.environment.image_format, self.environment.cache_mode)
        if golden is None and not self.is_update:
            return Outcome(Verdict.NOT_RUN, 'no golden output')

        self._make_folders()
        start = time.monotonic()
        output, failure = self._execute()
        outcome = self._judge(output, failure, golden)
        outcome.seconds = time.monotonic() - start
        outcome.last_seconds = self._load_elapsed()
        if outcome.verdict == Verdict.PASSED:
            self._save_elapsed(outcome.seconds)
        self._remove_folders(keep_test_dir=outcome.verdict == Verdict.FAILED)
        return outcome

    def _make_folders(self):
        for folder in (self.test_dir, self.socket_dir):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def _remove_folders(self, keep_test_dir):
        shutil.rmtree(self.socket_dir, ignore_errors=True)
        if not keep_test_dir:
            shutil.rmtree(self.test_dir, ignore_errors=True)

    def _command(self):
        """Python tests run with this interpreter, whatever their first line finds."""
        with open(self.test.path, encoding='utf-8') as file:
            is_python = 'python' in file.readline()
        return [sys.executable, str(self.test.path)] if is_python else [str(self.test.path)]

    def _execute(self):
        """Run the test; return its output and, where it did not end well, a reason."""
        process = subprocess.Popen(
            self._command(), cwd=self.test_dir, env=self.environment.variables_for(self.test),
            stdin=subprocess.DEVNULL, stdout=None if self.is_live else subprocess.PIPE,
            stderr=None if self.is_live else subprocess.STDOUT, start_new_session=True)
        failure = ''
        try:
            output, _ = process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            failure = f'timed out after {self.timeout:g} s'
        finally:
            # Also what the test may have left running, which would hold on to the pipe.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if failure:
            output, _ = process.communicate()
        elif process.returncode < 0:
            failure = f'killed by {signal.Signals(-process.returncode).name}'
        elif process.returncode > 0:
            failure = f'exit status {process.returncode}'
        return (output or b'').decode('utf-8', 'backslashreplace'), failure

    def _note(self, suffix):
        """Return the lines that the test left in its note file, e.g. why it cannot run."""
        try:
            return (self.test_dir / f'{self.test.name}.{suffix}').read_text().splitlines()
        except FileNotFoundError:
            return None

    def _judge(self, output, failure, golden):
        cases_not_run = self._note('casenotrun') or []
        not_run = self._note('notrun')
        if not failure and not_run is not None:
            return Outcome(Verdict.NOT_RUN, ' '.join(not_run))
        if self.is_live:
            verdict = Verdict.FAILED if failure else Verdict.PASSED
            return Outcome(verdict, failure, cases_not_run=cases_not_run)

        if self.is_update and not failure:
            golden = golden or self.test.path.with_name(self.test.path.name + '.out')
            golden.write_text(output, encoding='utf-8')
            return Outcome(Verdict.PASSED, cases_not_run=cases_not_run)

        expected = golden.read_text(encoding='utf-8') if golden else ''
        if not failure and output == expected:
            return Outcome(Verdict.PASSED, cases_not_run=cases_not_run)

        bad_path = self.test_dir / f'{self.test.name}.out.bad'
        bad_path.write_text(output, encoding='utf-8')
        diff = list(difflib.unified_diff(
            expected.splitlines(keepends=True), output.splitlines(keepends=True),
            str(golden), str(bad_path)))
        if len(diff) > DIFF_LINES_SHOWN:
            diff[DIFF_LINES_SHOWN:] = [f'... {len(diff) - DIFF_LINES_SHOWN} more lines\n']
        return Outcome(Verdict.FAILED, failure or f'output differs, see {bad_path}',
                       ''.join(diff), cases_not_run)

    def _load_elapsed(self):
        try:
            return float(self.elapsed_path.read_text())
        except (OSError, ValueError):
            return None

    def _save_elapsed(self, seconds):
        self.elapsed_path.parent.mkdir(parents=True, exist_ok=True)
        self.elapsed_path.write_text(f'{seconds:.2f}\n')
