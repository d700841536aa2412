# SPDX-License-Identifier: GPL-2.0-or-later
"""The shape of definitions: which keys each kind takes, and the rules for names.

Turns the raw objects of the parser into lists of small records; what a type name refers to is not
known here.
"""

import re
from typing import Any, NamedTuple

from .condition import Condition
from .names import c_name
from .source import SchemaError

# kind -> (required keys, further keys)
_KEYS = {
    'enum': ({'data'}, {'prefix', 'if'}),
    'struct': ({'data'}, {'base', 'if'}),
    'union': ({'data', 'base', 'discriminator'}, {'if'}),
    'alternate': ({'data'}, {'if'}),
    'command': (set(), {'data', 'returns', 'boxed', 'coroutine', 'if'}),
    'event': (set(), {'data', 'if'}),
}

# Members and commands that clients know from elsewhere may have underscores; new ones have dashes.
_NAME_RULES = {
    'type': (re.compile(r'[A-Z][A-Za-z0-9]*$'), 'must be CamelCase'),
    'member': (re.compile(r'[a-z][a-z0-9]*([_-][a-z0-9]+)*$'), 'must be lower case with dashes'),
    'value': (re.compile(r'[a-z0-9]+([._-][a-z0-9]+)*$'), 'must be lower case with dashes'),
    'command': (re.compile(r'[a-z][a-z0-9]*([_-][a-z0-9]+)*$'), 'must be lower case with dashes'),
    'event': (re.compile(r'[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$'), 'must be UPPER_CASE'),
}

_RESERVED_ENDINGS = ('List', 'Kind')


class Item(NamedTuple):
    """A member, an enum value (type None), or a branch, as written."""
    name: str
    optional: bool
    type: Any
    condition: Condition
    place: Any


def check_name(name, rule, place):
    pattern, text = _NAME_RULES[rule]
    if not isinstance(name, str) or not pattern.match(name):
        raise SchemaError(place, f"name '{name}' of a {rule} {text}")
    if rule == 'type' and name.endswith(_RESERVED_ENDINGS):
        raise SchemaError(place, f"name '{name}' ends in a word that is reserved (List, Kind)")
    if rule == 'member' and name.startswith(('has-', 'has_')):
        raise SchemaError(place, f"name '{name}' starts with '{name[:4]}', which is reserved")


def kind_of(expr):
    """The kind of definition @expr is; checks its keys and its name."""
    kinds = [key for key in expr if key in _KEYS]
    if len(kinds) != 1:
        raise SchemaError(expr.place, 'a definition has exactly one of the keys '
                          + ', '.join(f"'{kind}'" for kind in _KEYS))
    kind = kinds[0]
    name = expr[kind]
    check_name(name, kind if kind in ('command', 'event') else 'type', expr.place)
    required, further = _KEYS[kind]
    for key in sorted(required - expr.keys()):
        raise SchemaError(expr.place, f"{kind} '{name}' lacks the key '{key}'")
    for key in expr:
        if key != kind and key not in required | further:
            raise SchemaError(expr.key_places[key], f"{kind} '{name}' has an unknown key '{key}'")
    for key in ('boxed', 'coroutine'):
        if expr.get(key, True) is not True:
            raise SchemaError(expr.key_places[key], f"'{key}' can only be true")
    return kind


def check_type_name(spec, place):
    """@spec must be 'Name' or ['Name']."""
    if isinstance(spec, list) and len(spec) == 1:
        spec = spec[0]
    if not isinstance(spec, str):
        raise SchemaError(place, "a type is 'Name' or ['Name']")


def _unwrap(spec, key, place):
    """Split {key: X, 'if': C} or plain X into X and its condition."""
    if not isinstance(spec, dict):
        return spec, Condition()
    if key not in spec or spec.keys() - {key, 'if'}:
        raise SchemaError(place, f"expected an object with '{key}' and perhaps 'if'")
    return spec[key], Condition(spec.get('if'), place)


def members(spec, owner, place):
    """The members in the object @spec."""
    if not isinstance(spec, dict):
        raise SchemaError(place, f"members of '{owner}' must be an object")
    result = []
    for key, value in spec.items():
        where = spec.key_places[key]
        name = key[1:] if key.startswith('*') else key
        check_name(name, 'member', where)
        if any(name == item.name for item in result):
            raise SchemaError(where, f"'{name}' appears twice in '{owner}'")
        type_spec, condition = _unwrap(value, 'type', where)
        check_type_name(type_spec, where)
        result.append(Item(name, key != name, type_spec, condition, where))
    return result


def values(spec, owner, place):
    """The values of an enum."""
    if not isinstance(spec, list):
        raise SchemaError(place, f"values of '{owner}' must be a list")
    result = []
    for entry in spec:
        where = entry.place if isinstance(entry, dict) else place
        name, condition = _unwrap(entry, 'name', where)
        check_name(name, 'value', where)
        if any(c_name(name) == c_name(item.name) for item in result):
            raise SchemaError(where, f"value '{name}' appears twice in '{owner}'")
        result.append(Item(name, False, None, condition, where))
    if not result or result[0].condition:
        raise SchemaError(place, f"enum '{owner}' must start with an unconditional value")
    return result


def branches(spec, owner, place, rule):
    """The branches of a union (@rule 'value') or an alternate (@rule 'member')."""
    if not isinstance(spec, dict) or not spec:
        raise SchemaError(place, f"branches of '{owner}' must be an object that is not empty")
    result = []
    for key, value in spec.items():
        where = spec.key_places[key]
        check_name(key, rule, where)
        type_spec, condition = _unwrap(value, 'type', where)
        check_type_name(type_spec, where)
        result.append(Item(key, False, type_spec, condition, where))
    return result
