# SPDX-License-Identifier: GPL-2.0-or-later
"""'if' conditions: NAME, {'all': [...]}, {'any': [...]}, {'not': ...} over CONFIG_ macros."""

import re

from .source import SchemaError

_MACRO = re.compile(r'[A-Z][A-Z0-9_]*$')
_JOIN = {'all': ('&&', 'and'), 'any': ('||', 'or')}


class Condition:
    """A checked condition; false in a boolean context where there is none."""

    def __init__(self, spec=None, place=None):
        self.spec = spec
        if spec is not None:
            self._check(spec, place)

    def __bool__(self):
        return self.spec is not None

    def _check(self, spec, place):
        if isinstance(spec, str):
            if not _MACRO.match(spec):
                raise SchemaError(place, f"condition '{spec}' is not the name of a macro")
            return
        if not isinstance(spec, dict) or len(spec) != 1:
            raise SchemaError(
                place, f"a condition is a string or an object with one of 'all', 'any', 'not'")
        (operator, operand), = spec.items()
        if operator == 'not':
            self._check(operand, place)
        elif operator not in _JOIN:
            raise SchemaError(
                place, f"'{operator}' is not an operator of conditions (all, any, not)")
        elif not isinstance(operand, list) or not operand:
            raise SchemaError(place, f"'{operator}' takes a list that is not empty")
        else:
            for item in operand:
                self._check(item, place)

    def _render(self, spec, leaf, negate, column):
        if isinstance(spec, str):
            return leaf % spec
        (operator, operand), = spec.items()
        if operator == 'not':
            return negate + self._render(operand, leaf, negate, column)
        glue = f' {_JOIN[operator][column]} '
        text = glue.join(self._render(item, leaf, negate, column) for item in operand)
        return f'({text})' if len(operand) > 1 else text

    def c_expression(self):
        """The condition as the operand of a preprocessor #if."""
        return self._render(self.spec, 'defined(%s)', '!', 0)

    def rst(self):
        """The condition as text of the reference."""
        return self._render(self.spec, '``%s``', 'not ', 1)
