# SPDX-License-Identifier: GPL-2.0-or-later
"""How names of the schema are spelled in C."""

import re

_C_WORDS = frozenset('''
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union unsigned
    void volatile while asm bool true false typeof assert errno stdin stdout stderr linux unix i386 errp
'''.split())


def c_name(name):
    """A member, command or type name as a C identifier; words that C has taken get the prefix
    q_."""
    identifier = re.sub(r'[^A-Za-z0-9_]', '_', name)
    return f'q_{identifier}' if identifier in _C_WORDS or identifier[:1].isdigit() else identifier


def upper_snake(name):
    """CamelCase to UPPER_SNAKE: a new word begins where lower case or a digit turns into upper,
    and before the last capital of a row that lower case follows (`IOPlan` is IO_PLAN)."""
    name = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name)
    name = re.sub(r'(?<=[A-Z])(?=[A-Z][a-z])', '_', name)
    return name.upper()


def enum_constant(prefix, value):
    return prefix + '_' + re.sub(r'[.-]', '_', value).upper()


def c_string(text):
    """@text as a C string literal."""
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return f'"{escaped}"'
