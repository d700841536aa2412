# SPDX-License-Identifier: GPL-2.0-or-later
"""Read schema files into a list of definitions, each with its documentation block.

Includes are followed depth first; a file included again is skipped, a cycle is therefore harmless.
"""

import os
from typing import List, NamedTuple, Optional

from .docblock import DocBlock
from .lexer import tokenize
from .source import SchemaError


class Dict(dict):
    """A schema object that remembers where it and each of its keys stand."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.key_places = {}


class Definition(NamedTuple):
    expr: Dict
    doc: Optional[DocBlock]


class Schema(NamedTuple):
    """What the files say, in order: Definition and free-standing DocBlock; and the files read."""
    items: list
    files: List[str]


class _Reader:
    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        self.tokens = tokenize(path, text)
        self.token = next(self.tokens)

    def take(self, *kinds):
        token = self.token
        if token.kind not in kinds:
            expected = ' or '.join(f"'{kind}'" if len(kind) == 1 else f'a {kind}' for kind in kinds)
            raise SchemaError(token.place, f'expected {expected}, found {token}')
        if token.kind != 'end':
            self.token = next(self.tokens)
        return token

    def value(self):
        token = self.take('{', '[', 'string', 'bool')
        if token.kind == '{':
            return self.object(token.place)
        if token.kind == '[':
            return self.array()
        return token.value

    def object(self, place):
        result = Dict(place)
        if self.token.kind == '}':
            self.take('}')
            return result
        while True:
            key = self.take('string')
            if key.value in result:
                raise SchemaError(key.place, f"key '{key.value}' appears twice")
            self.take(':')
            result[key.value] = self.value()
            result.key_places[key.value] = key.place
            if self.take(',', '}').kind == '}':
                return result

    def array(self):
        result = []
        if self.token.kind == ']':
            self.take(']')
            return result
        while True:
            result.append(self.value())
            if self.take(',', ']').kind == ']':
                return result


def _include(expr, path, schema):
    target = expr['include']
    if len(expr) != 1 or not isinstance(target, str):
        raise SchemaError(expr.place, "'include' takes one file name and nothing else")
    included = os.path.join(os.path.dirname(path), target)
    if not os.path.isfile(included):
        raise SchemaError(expr.place, f"included file '{target}' does not exist")
    _read_file(os.path.normpath(included), schema)


def _read_file(path, schema):
    if path in schema.files:
        return
    schema.files.append(path)
    reader = _Reader(path)
    doc = None
    while reader.token.kind != 'end':
        token = reader.take('doc', '{')
        if token.kind == 'doc':
            if doc:
                raise SchemaError(
                    doc.place, f"no definition follows the documentation of '{doc.symbol}'")
            doc = DocBlock(token.value, token.place)
            if not doc.symbol:
                schema.items.append(doc)
                doc = None
            continue
        expr = reader.object(token.place)
        if 'include' in expr:
            if doc:
                raise SchemaError(doc.place, "an 'include' cannot be documented")
            _include(expr, path, schema)
        else:
            schema.items.append(Definition(expr, doc))
            doc = None
    if doc:
        raise SchemaError(doc.place, f"no definition follows the documentation of '{doc.symbol}'")


def read_schema(path):
    """Read @path and what it includes.  Raises SchemaError, or OSError for the first file."""
    schema = Schema([], [])
    _read_file(path, schema)
    return schema
