# SPDX-License-Identifier: GPL-2.0-or-later
"""Documentation blocks.

A block either belongs to the definition that follows it, and then begins with `@Name:`, or
stands alone: free text, perhaps with a `= Title` line.  Of a definition:

    @Name: what it is, any number of paragraphs

    @member: what the member means; further lines are indented

    Returns: / Errors: / Since: / Note: / Example: likewise, further lines indented
"""

import re

from .source import Place, SchemaError

SECTIONS = ('Returns', 'Errors', 'Since', 'Note', 'Example')

_MEMBER = re.compile(r'@([^\s:]+):(?:\s+(.*))?$')
_SECTION = re.compile(r'(%s):(?:\s+(.*))?$' % '|'.join(SECTIONS))


def one_line(lines):
    """Paragraph text as one line, for tables and help output."""
    return ' '.join(word for line in lines for word in line.split())


class DocBlock:
    """symbol is None for a free-standing block; body, and the values of members and sections,
    are lists of lines."""

    def __init__(self, lines, place):
        self.place = place
        self.symbol = None
        self.body = []
        self.members = {}
        self.member_places = {}
        self.sections = {}
        self._parse(lines)

    def _parse(self, lines):
        current = self.body
        for number, line in enumerate(lines):
            place = Place(self.place.path, self.place.line + 1 + number)
            member = _MEMBER.match(line)
            section = _SECTION.match(line) if self.symbol else None
            if number == 0 and member:
                self.symbol = member.group(1)
                current.append(member.group(2) or '')
            elif member and self.symbol:
                current = self._open(self.members, member.group(1), place)
                self.member_places[member.group(1)] = place
                current.append(member.group(2) or '')
            elif section:
                current = self._open(self.sections, section.group(1), place)
                current.append(section.group(2) or '')
            elif current is self.body or not line or line.startswith('  '):
                current.append(line)
            else:
                raise SchemaError(place, 'text after the first member must be indented')
        for block in [self.body, *self.members.values(), *self.sections.values()]:
            while block and not block[-1]:
                block.pop()

    @staticmethod
    def _open(blocks, name, place):
        if name in blocks:
            raise SchemaError(place, f"'{name}' is documented twice")
        blocks[name] = []
        return blocks[name]

    def check(self, documented):
        """Complain unless the block describes exactly the names in @documented (name -> place)."""
        if not one_line(self.body):
            raise SchemaError(self.place, f"documentation of '{self.symbol}' is empty")
        for name, place in documented.items():
            if not one_line(self.members.get(name, [])):
                raise SchemaError(place, f"'{name}' of '{self.symbol}' is not documented")
        for name, place in self.member_places.items():
            if name not in documented:
                raise SchemaError(place, f"'{self.symbol}' has no '{name}' to document")
