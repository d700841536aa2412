#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/tracetool.py refuses, and with which words; its path is the first argument.

That its output compiles and works is shown by test-trace.c.
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TRACETOOL = pathlib.Path(sys.argv.pop(1)).resolve()

BAD_LINES = {
    'name() ': 'expected NAME(TYPE ARG, ...) "FORMAT"',
    'name(int a "x"': 'expected NAME(TYPE ARG, ...) "FORMAT"',
    'name() format': 'expected NAME(TYPE ARG, ...) "FORMAT"',
    'name() "x" y': "the format must be string literals and PRI macros",
    'name() "open': "the format must be string literals and PRI macros",
    r'name() "x\n"': "the format must not hold a newline",
    'name(int) "x"': "argument 'int' is not of the form TYPE NAME",
    'name(int a,) "x"': "argument '' is not of the form TYPE NAME",
    'name(BlockDriverState *bs) "x"':
        "argument 'BlockDriverState *bs' has a type that needs a header; pass pointers as void *",
    'name(int a, char a) "x"': "two arguments have the same name",
    'name(' + ', '.join(f'int a{i}' for i in range(11)) + ') "x"':
        "11 arguments, at most 10 are allowed",
}


def run(text):
    """Run the tool on an events file with this text: (exit status, stderr, files written)."""
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        (folder / "trace-events").write_text(text, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, TRACETOOL, "trace-events", "some/dir", "trace.h", "trace-events.c"],
            cwd=folder, stderr=subprocess.PIPE, text=True, check=False)
        outputs = sorted(path.name for path in folder.iterdir() if path.name != "trace-events")
        return result.returncode, result.stderr, outputs


class TracetoolTest(unittest.TestCase):
    """Each method reads like the promise it checks."""

    def test_bad_line_is_named_and_nothing_written(self):
        for line, reason in BAD_LINES.items():
            with self.subTest(line=line):
                status, stderr, outputs = run(f"# comment\n\n{line}\n")
                self.assertEqual(stderr, f"tracetool: trace-events:3: {reason}\n")
                self.assertEqual((status, outputs), (1, []))

    def test_event_cannot_be_described_twice(self):
        status, stderr, outputs = run('same() "x"\nother() "y"\nsame(int a) "%d"\n')
        self.assertEqual(stderr, "tracetool: trace-events:3: event 'same' is described twice\n")
        self.assertEqual((status, outputs), (1, []))

    def test_file_without_events_is_refused(self):
        self.assertEqual(run("# nothing\n")[:2], (1, "tracetool: trace-events: no events\n"))

    def test_good_file_gives_header_and_source(self):
        self.assertEqual(run('name(const void *p, uint64_t n) "%p " "0x%" PRIx64\n'),
                         (0, "", ["trace-events.c", "trace.h"]))


if __name__ == "__main__":
    unittest.main()
