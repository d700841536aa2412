# SPDX-License-Identifier: GPL-2.0-or-later
"""Cut a schema file into tokens.

The notation is JSON with single-quoted strings.  A `#` starts a comment; a line that is exactly
`##` opens a documentation block, which ends at the next such line and becomes one token.
"""

import re
from typing import Any, NamedTuple

from .source import Place, SchemaError

_TOKEN = re.compile(r"""
    (?P<blank>  [ \t]+ | \#[^\n]* ) |
    (?P<newline> \n ) |
    (?P<mark>   [{}\[\]:,] ) |
    (?P<string> '[^'\n]*' ) |
    (?P<word>   [A-Za-z_]+ )
""", re.VERBOSE)

_WORDS = {'true': True, 'false': False}


class Token(NamedTuple):
    """kind is one of the marks, or 'string', 'bool', 'doc', 'end'."""
    kind: str
    value: Any
    place: Place

    def __str__(self):
        return {'end': 'the end of the file', 'doc': 'a documentation block'}.get(
            self.kind, f"'{self.value}'")


def _doc_block(lines, first, path):
    """The text lines of the block whose opening `##` is lines[first], without their `# `."""
    texts = []
    end = len(lines) if lines[-1] else len(lines) - 1
    for number in range(first + 1, end):
        line = lines[number]
        if line == '##':
            return texts
        if line != '#' and not line.startswith('# '):
            raise SchemaError(Place(path, number + 1),
                              "a line of a documentation block must start with '# '")
        texts.append(line[2:].rstrip())
    raise SchemaError(Place(path, first + 1), "documentation block without a closing '##'")


def tokenize(path, text):
    """Yield the tokens of @text, the content of file @path, ending with one of kind 'end'."""
    lines = text.split('\n')
    line, offset = 1, 0
    while offset < len(text):
        place = Place(path, line)
        at_line_start = offset == 0 or text[offset - 1] == '\n'
        if at_line_start and lines[line - 1] == '##':
            block = _doc_block(lines, line - 1, path)
            yield Token('doc', block, place)
            skipped = lines[line - 1:line + len(block) + 1]
            offset += sum(len(item) + 1 for item in skipped)
            line += len(skipped)
            continue
        match = _TOKEN.match(text, offset)
        if not match:
            raise SchemaError(place, f'stray {text[offset]!r}')
        offset = match.end()
        kind, value = match.lastgroup, match.group()
        if kind == 'newline':
            line += 1
        elif kind == 'mark':
            yield Token(value, value, place)
        elif kind == 'string':
            if not value.isascii() or '\\' in value:
                raise SchemaError(place, f'string {value} has a character that is not allowed')
            yield Token('string', value[1:-1], place)
        elif kind == 'word':
            if value not in _WORDS:
                raise SchemaError(place, f"stray word '{value}'")
            yield Token('bool', _WORDS[value], place)
    yield Token('end', None, Place(path, line))
