# SPDX-License-Identifier: GPL-2.0-or-later
"""A C file in the making."""

import re
import textwrap
from contextlib import contextmanager
from typing import NamedTuple

_BANNER = '''\
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * {purpose}
 *
 * Generated from {schema}; changes belong there.
 */
'''


class Target(NamedTuple):
    """What the generated files are called: PREFIXqapi-PART.h in FOLDER (as #include names it),
    made from SCHEMA."""
    prefix: str
    folder: str
    schema: str

    def header(self, part):
        return f'{self.folder}/{self.prefix}qapi-{part}.h'

    def writers(self, part, header_purpose, source_purpose):
        """The writers of the header and the source of @part; the source includes its header."""
        name = f'{self.prefix}qapi-{part}'
        header = CWriter(name + '.h', header_purpose, self.schema)
        source = CWriter(name + '.c', source_purpose, self.schema)
        source.add(f'#include "qemu/osdep.h"\n#include "{self.header(part)}"\n\n')
        return header, source


class CWriter:
    """Collects lines; headers get a guard.  Conditional parts go through guarded()."""

    def __init__(self, name, purpose, schema):
        self.name = name
        self._parts = [_BANNER.format(purpose=purpose, schema=schema)]
        self._guard = None
        if name.endswith('.h'):
            self._guard = 'GENERATED_' + re.sub(r'[^A-Za-z0-9]', '_', name).upper()
        if self._guard:
            self._parts.append(f'#ifndef {self._guard}\n#define {self._guard}\n\n')

    def add(self, text, indent='', **names):
        """Append @text as whole lines; each <word> stands for the keyword argument of that name.

        Text that begins with a line break is a block: what its lines are indented by in common is
        replaced by @indent.
        """
        if text.startswith('\n'):
            text = textwrap.indent(textwrap.dedent(text[1:]).rstrip(' '), indent)
        if names:
            text = re.sub(r'<(\w+)>', lambda found: str(names.get(found[1], found[0])), text)
        self._parts.append(text if text.endswith('\n') else text + '\n')

    def blank(self):
        self._parts.append('\n')

    @contextmanager
    def guarded(self, condition):
        """What is added inside exists only where @condition holds."""
        if condition:
            self.add(f'#if {condition.c_expression()}')
        yield
        if condition:
            self.add('#endif')

    def text(self):
        end = f'\n#endif /* {self._guard} */\n' if self._guard else ''
        return re.sub(r'\n{3,}', '\n\n', ''.join(self._parts)) + end
