# SPDX-License-Identifier: GPL-2.0-or-later
"""
Which tests there are, and which of them a run takes.

A test is an executable file with a golden output beside it: `NNN` (three digits) in the harness
directory, or any name in its `tests` folder.  What a test says of itself is read from its text, so
that nothing has to be registered elsewhere: the `# group:` line, which every test must have, and
the formats it declares (`_supported_fmt ...` in bash, `supported_fmts=[...]` in Python).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

GROUP_LINE = re.compile(r'^# group:(?P<groups>.*)$', re.MULTILINE)
BASH_FORMATS = re.compile(r'^_supported_fmt (?P<formats>[\w ]+)$', re.MULTILINE)
PYTHON_FORMATS = re.compile(r'supported_fmts=\[(?P<formats>[^]]*)\]')
NUMBERED = re.compile(r'^\d{3}$')

# Tests in this group run only when it is asked for.
DISABLED_GROUP = 'disabled'


class SelectionError(Exception):
    """A test does not keep to the layout, or a name stands for no test."""


@dataclass(frozen=True)
class Test:
    """One test: its name as users type it, its file, and what it says of itself."""
    name: str
    path: Path
    groups: frozenset
    formats: frozenset  # empty: all

    def supports(self, image_format):
        return not self.formats or image_format in self.formats or 'generic' in self.formats

    def golden_path(self, image_format, cache_mode):
        """Return the golden file for a run in these circumstances: the most specific there is."""
        suffixes = [f'.out.{image_format}', '.out']
        if cache_mode == 'none':
            suffixes.insert(0, '.out.nocache')
        for suffix in suffixes:
            candidate = self.path.with_name(self.path.name + suffix)
            if candidate.exists():
                return candidate
        return None


def _declared_formats(text):
    if match := BASH_FORMATS.search(text):
        return frozenset(match['formats'].split())
    if match := PYTHON_FORMATS.search(text):
        return frozenset(re.findall(r'\w+', match['formats']))
    return frozenset()


def _local_groups(directory):
    """Return {name: groups} of the optional file group.local, which is not under version control."""
    try:
        lines = (directory / 'group.local').read_text().splitlines()
    except FileNotFoundError:
        return {}
    words = (line.split('#')[0].split() for line in lines)
    return {name: set(groups) for name, *groups in filter(None, words)}


def load_test(path, extra_groups=()):
    """Return the Test in file @path; raises SelectionError where it breaks the layout."""
    text = path.read_text()
    match = GROUP_LINE.search(text)
    if not match:
        raise SelectionError(f'{path}: has no "# group:" line')
    if not os.access(path, os.X_OK):
        raise SelectionError(f'{path}: is not executable')
    groups = frozenset(match['groups'].split()) | frozenset(extra_groups)
    return Test(path.name, path, groups, _declared_formats(text))


def find_tests(directory, without_golden=()):
    """
    Return all tests of the harness @directory, numbered ones first, by name.

    @without_golden: names in the `tests` folder that count although they have no golden output yet.
    """
    numbered = {path for path in directory.iterdir() if NUMBERED.match(path.name)}
    named = {out.with_suffix('') for out in (directory / 'tests').glob('*.out')}
    for path in named:
        if not path.is_file():
            raise SelectionError(f'{path}.out: is the golden output of no test')
    named |= {path for name in without_golden if (path := directory / 'tests' / name).is_file()}
    local = _local_groups(directory)
    paths = sorted(numbered) + sorted(named)
    return [load_test(path, local.get(path.name, ())) for path in paths]


def select(tests, image_format, names=(), groups=(), excluded=(), start_from=None):
    """
    Return the tests that a run takes, in the order of @tests.

    With @groups: the members of any of them, and the tests in @names; with @names alone: exactly
    these; with neither: all that support @image_format.  Members of @excluded groups are left out,
    and so are disabled tests unless that group or the test was asked for.
    """
    known = {test.name for test in tests}
    for name in names:
        if name not in known:
            raise SelectionError(f'there is no test {name}')
    if start_from is not None and start_from not in known:
        raise SelectionError(f'there is no test {start_from} to start from')

    def is_taken(test):
        if test.name in names:
            return True
        if names and not groups:
            return False
        unwanted = set(excluded)
        if DISABLED_GROUP not in groups:
            unwanted.add(DISABLED_GROUP)
        if test.groups & unwanted or not test.supports(image_format):
            return False
        return not groups or bool(test.groups & set(groups))

    taken = [test for test in tests if is_taken(test)]
    if start_from is not None:
        order = {test.name: position for position, test in enumerate(tests)}
        taken = [test for test in taken if order[test.name] >= order[start_from]]
    return taken
