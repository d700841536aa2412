# SPDX-License-Identifier: GPL-2.0-or-later
"""Places in schema files, and the one exception the compiler raises about them."""

from typing import NamedTuple


class Place(NamedTuple):
    """A line of a schema file."""
    path: str
    line: int

    def __str__(self):
        return f'{self.path}:{self.line}'


class SchemaError(Exception):
    """A mistake of the schema's author; str() is the whole message, `FILE:LINE: text`."""

    def __init__(self, place, text):
        super().__init__(f'{place}: {text}')
