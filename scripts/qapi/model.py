# SPDX-License-Identifier: GPL-2.0-or-later
"""What a checked schema consists of: types, commands and events that refer to each other.

Every type knows how C spells it: `c_type` for a member or variable, `info` for its run-time
description.  `json_kinds` is the set of kinds of JSON value it accepts, which tells the branches of
an alternate apart.
"""

from .condition import Condition
from .names import c_name, enum_constant, upper_snake

SCALAR_KINDS = frozenset({'string', 'boolean', 'number'})


class Entity:
    """Anything that has a name and a place; doc is None for what the compiler makes up."""

    def __init__(self, name, place=None, doc=None, condition=Condition()):
        self.name = name
        self.place = place
        self.doc = doc
        self.condition = condition


class Type(Entity):
    is_pointer = False
    json_kinds = frozenset()
    meta = 'type'

    @property
    def c_type(self):
        return f'{self.name} *' if self.is_pointer else f'{self.name} '

    @property
    def c_argument(self):
        """The type of a function parameter that lends a value."""
        return self.c_type

    @property
    def info(self):
        return f'qapi_info_{self.name}'


class Builtin(Type):
    meta = 'builtin'

    def __init__(self, name, spelling, json_kind, is_pointer=False):
        super().__init__(name)
        self._spelling = spelling
        self.json_kinds = frozenset([json_kind])
        self.is_pointer = is_pointer

    @property
    def c_type(self):
        return self._spelling

    @property
    def c_argument(self):
        return 'const char *' if self.name == 'str' else self._spelling


class Enum(Type):
    meta = 'enum'
    json_kinds = frozenset(['string'])

    def __init__(self, *entity, prefix, values):
        super().__init__(*entity)
        self.prefix = prefix or upper_snake(self.name)
        self.values = values

    def constant(self, value):
        return enum_constant(self.prefix, value)


class Member(Entity):
    """A member of an object or a branch; type and doc are filled in when names are resolved."""

    def __init__(self, item, doc_text=''):
        super().__init__(item.name, item.place, None, item.condition)
        self.type_spec = item.type
        self.optional = item.optional
        self.type = None
        self.doc_text = doc_text

    @property
    def has_flag(self):
        """Whether C needs a has_NAME beside the member to say that it is there: NULL does for
        pointers, but is also the empty list."""
        return self.optional and (not self.type.is_pointer or isinstance(self.type, List))


class Object(Type):
    """A struct, or a flat union when it has a discriminator.

    members: its own; all_members: with those of the bases, in C order, known once resolved.
    branches: Members named after values of the discriminator's enum.
    """
    is_pointer = True
    json_kinds = frozenset(['object'])

    def __init__(self, *entity, base_spec=None, members=(), discriminator=None, branches=()):
        super().__init__(*entity)
        self.base_spec = base_spec
        self.base = None
        self.members = list(members)
        self.all_members = None
        self.discriminator = discriminator
        self.tag = None
        self.branches = list(branches)

    @property
    def meta(self):
        return 'union' if self.discriminator else 'struct'


class Alternate(Type):
    meta = 'alternate'
    is_pointer = True

    def __init__(self, *entity, branches):
        super().__init__(*entity)
        self.branches = branches

    def constant(self, branch):
        return enum_constant(upper_snake(self.name) + '_KIND', branch.name)


class List(Type):
    meta = 'array'
    is_pointer = True
    json_kinds = frozenset(['array'])

    def __init__(self, element):
        super().__init__(f'{element.name}List', element.place, None, element.condition)
        self.element = element


class Command(Entity):
    """arguments: an Object (made up for inline data) or None; returns: a Type or None."""

    def __init__(self, *entity, arguments, returns, boxed, coroutine):
        super().__init__(*entity)
        self.arguments = arguments
        self.returns = returns
        self.boxed = boxed
        self.coroutine = coroutine

    @property
    def c_function(self):
        return 'qmp_' + c_name(self.name)


class Event(Entity):
    """data: an Object (made up for inline data) or None."""

    def __init__(self, *entity, data):
        super().__init__(*entity)
        self.data = data


def builtins():
    """The types that every schema knows, by name."""
    types = [Builtin('str', 'char *', 'string', True), Builtin('bool', 'bool ', 'boolean'),
             Builtin('int', 'int64_t ', 'number'), Builtin('size', 'uint64_t ', 'number'),
             Builtin('number', 'double ', 'number'), Builtin('null', 'json_t *', 'null', True),
             Builtin('any', 'json_t *', 'any', True)]
    for bits in (8, 16, 32, 64):
        types.append(Builtin(f'int{bits}', f'int{bits}_t ', 'number'))
        types.append(Builtin(f'uint{bits}', f'uint{bits}_t ', 'number'))
    return {item.name: item for item in types}
