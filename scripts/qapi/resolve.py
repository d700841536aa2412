# SPDX-License-Identifier: GPL-2.0-or-later
"""From parsed files to a checked model: names are resolved and every rule that spans
definitions is enforced."""

from . import expressions, model
from .condition import Condition
from .docblock import one_line
from .names import c_name
from .parser import Definition, read_schema
from .source import SchemaError


class Module:
    """The result.  types: schema-defined, in order of definition; implicit: made up for
    inline data;
    texts: everything in file order, for the reference: Entity and free-standing DocBlock."""

    def __init__(self):
        self.by_name = model.builtins()
        self.types = []
        self.lists = []
        self.implicit = []
        self.commands = []
        self.events = []
        self.texts = []
        self.files = []

    @property
    def objects(self):
        return [item for item in self.types + self.implicit if isinstance(item, model.Object)]

    def of_class(self, cls):
        return [item for item in self.types if isinstance(item, cls)]


class _Builder:
    def __init__(self):
        self.module = Module()
        self.place_of = {}

    # ---- first pass: one definition at a time ----

    def add(self, definition):
        expr, doc = definition
        kind = expressions.kind_of(expr)
        name = expr[kind]
        self._claim(name, expr.place)
        if not doc:
            raise SchemaError(expr.place, f"{kind} '{name}' is not documented")
        if doc.symbol != name:
            raise SchemaError(
                doc.place, f"documentation of '{doc.symbol}' stands before {kind} '{name}'")
        entity = (name, expr.place, doc, Condition(expr.get('if'), expr.place))
        thing = getattr(self, '_add_' + kind)(expr, entity)
        self.module.texts.append(thing)
        if isinstance(thing, model.Type):
            self.module.types.append(thing)
            self.module.by_name[name] = thing
            listed = model.List(thing)
            self.module.lists.append(listed)

    def _claim(self, name, place):
        spelling = c_name(name).lower()
        if name in self.module.by_name or spelling in self.place_of:
            other = self.place_of.get(spelling, 'a built-in type')
            raise SchemaError(place, f"'{name}' is already defined ({other})")
        self.place_of[spelling] = place

    @staticmethod
    def _members(spec, entity):
        name, place, doc, _ = entity
        items = expressions.members(spec, name, place)
        doc.check({item.name: item.place for item in items})
        return [model.Member(item, one_line(doc.members[item.name])) for item in items]

    def _add_enum(self, expr, entity):
        name, place, doc, _ = entity
        items = expressions.values(expr['data'], name, expr.key_places['data'])
        doc.check({item.name: item.place for item in items})
        values = [model.Member(item, one_line(doc.members[item.name])) for item in items]
        return model.Enum(*entity, prefix=expr.get('prefix'), values=values)

    def _add_struct(self, expr, entity):
        return model.Object(*entity, base_spec=expr.get('base'),
                            members=self._members(expr['data'], entity))

    def _add_union(self, expr, entity):
        name, place, doc, _ = entity
        base = expr['base']
        inline = isinstance(base, dict)
        if not inline:
            doc.check({})
        items = expressions.branches(expr['data'], name, place, 'value')
        return model.Object(*entity, base_spec=None if inline else base,
                            members=self._members(base, entity) if inline else [],
                            discriminator=expr['discriminator'],
                            branches=[model.Member(item) for item in items])

    def _add_alternate(self, expr, entity):
        name, place, doc, _ = entity
        items = expressions.branches(expr['data'], name, place, 'member')
        doc.check({item.name: item.place for item in items})
        return model.Alternate(*entity, branches=[
            model.Member(item, one_line(doc.members[item.name])) for item in items])

    def _arguments(self, expr, entity, implicit_name):
        """The 'data' of a command or event: a made-up Object, or a type name for later."""
        name, place, doc, condition = entity
        data = expr.get('data', {})
        if not isinstance(data, dict):
            doc.check({})
            return data
        members = self._members(data, entity) if data else []
        if not data:
            doc.check({})
            return None
        made_up = model.Object(implicit_name, place, None, condition, members=members)
        self.module.implicit.append(made_up)
        return made_up

    def _add_command(self, expr, entity):
        name, place, _, _ = entity
        boxed = 'boxed' in expr
        arguments = self._arguments(expr, entity, 'QmpArgs_' + c_name(name))
        if boxed and not isinstance(arguments, str):
            raise SchemaError(place, f"command '{name}' is boxed, its 'data' must name a type")
        command = model.Command(*entity, arguments=arguments, returns=expr.get('returns'),
                                boxed=boxed, coroutine='coroutine' in expr)
        self.module.commands.append(command)
        return command

    def _add_event(self, expr, entity):
        event = model.Event(*entity, data=self._arguments(expr, entity, 'QapiEvent_' + entity[0]))
        self.module.events.append(event)
        return event

    # ---- second pass: names become types ----

    def resolve(self):
        lists = {item.element.name: item for item in self.module.lists}
        self._lists = lists
        for item in self.module.types + self.module.implicit:
            if isinstance(item, model.Object):
                self._resolve_object(item, ())
            elif isinstance(item, model.Alternate):
                self._resolve_alternate(item)
        for item in self.module.objects:
            self._check_embedding(item, ())
        for command in self.module.commands:
            self._resolve_command(command)
        for event in self.module.events:
            event.data = self._object(event.data, event, 'data')
            self._check_parameters(event, event.data)

    def _type(self, spec, place, owner):
        if isinstance(spec, list):
            element = self._type(spec[0], place, owner)
            if element.name == 'null':
                raise SchemaError(place, "a list of 'null' makes no sense")
            if element.name not in self._lists:
                self._lists[element.name] = model.List(element)
            return self._lists[element.name]
        if spec not in self.module.by_name:
            raise SchemaError(place, f"'{owner}' uses the unknown type '{spec}'")
        return self.module.by_name[spec]

    def _object(self, spec, owner, role):
        if spec is None or isinstance(spec, model.Object):
            return spec
        expressions.check_type_name(spec, owner.place)
        found = self._type(spec, owner.place, owner.name)
        if not isinstance(found, model.Object):
            raise SchemaError(
                owner.place,
                f"'{role}' of '{owner.name}' must be a struct or union, not '{found.name}'")
        return found

    def _resolve_object(self, item, users):
        if item.all_members is not None:
            return
        if item in users:
            raise SchemaError(item.place, f"'{item.name}' is its own base")
        inherited = []
        if item.base_spec is not None:
            item.base = self._object(item.base_spec, item, 'base')
            if item.base.discriminator:
                raise SchemaError(
                    item.place, f"'base' of '{item.name}' cannot be the union '{item.base.name}'")
            self._resolve_object(item.base, users + (item,))
            inherited = item.base.all_members
        taken = {member.name for member in inherited}
        for member in item.members:
            if member.name in taken:
                raise SchemaError(
                    member.place, f"'{member.name}' of '{item.name}' is already in its base")
            member.type = self._type(member.type_spec, member.place, item.name)
            if member.type.name == 'null':
                raise SchemaError(
                    member.place, f"'{member.name}' of '{item.name}' cannot be 'null'")
        item.all_members = inherited + item.members
        if item.discriminator is not None:
            self._resolve_branches(item, users + (item,))

    def _resolve_branches(self, item, users):
        tags = [member for member in item.all_members if member.name == item.discriminator]
        if not tags:
            raise SchemaError(
                item.place,
                f"discriminator '{item.discriminator}' is not in the base of '{item.name}'")
        item.tag = tags[0]
        if not isinstance(item.tag.type, model.Enum) or item.tag.optional or item.tag.condition:
            raise SchemaError(
                item.place,
                f"discriminator '{item.tag.name}' of '{item.name}' must be an enum that is neither"
                " optional nor conditional")
        if any(member.name == 'u' for member in item.all_members):
            raise SchemaError(item.place, f"union '{item.name}' cannot have a member 'u'")
        known = {value.name: value for value in item.tag.type.values}
        taken = {member.name for member in item.all_members}
        for branch in item.branches:
            if branch.name not in known:
                raise SchemaError(
                    branch.place,
                    f"branch '{branch.name}' of '{item.name}' is not a value of "
                    f"'{item.tag.type.name}'")
            if not branch.condition:
                branch.condition = known[branch.name].condition
            branch.type = self._type(branch.type_spec, branch.place, item.name)
            if not isinstance(branch.type, model.Object):
                raise SchemaError(
                    branch.place,
                    f"branch '{branch.name}' of '{item.name}' must be a struct or union")
            if branch.type in users:
                raise SchemaError(
                    branch.place, f"branch '{branch.name}' of '{item.name}' contains itself")
            self._resolve_object(branch.type, users)
            self._check_collisions(item, branch, branch.type, taken)

    def _check_collisions(self, item, branch, variant, taken):
        for member in variant.all_members:
            if member.name in taken:
                raise SchemaError(
                    branch.place,
                    f"'{member.name}' of branch '{branch.name}' is already in the base of "
                    f"'{item.name}'")
        for inner in variant.branches:
            self._check_collisions(item, inner, inner.type, taken)

    def _resolve_alternate(self, item):
        seen = {}
        kinds = set()
        for branch in item.branches:
            branch.type = self._type(branch.type_spec, branch.place, item.name)
            if isinstance(branch.type, model.Alternate) or branch.type.name == 'any':
                raise SchemaError(
                    branch.place,
                    f"branch '{branch.name}' of '{item.name}' cannot have the type "
                    f"'{branch.type.name}'")
            # Values on a command line are all strings, so only one branch may take scalars.
            kind = min(branch.type.json_kinds)
            if kind in model.SCALAR_KINDS:
                kind = 'scalar'
            if kind in seen:
                raise SchemaError(
                    branch.place,
                    f"branches '{seen[kind]}' and '{branch.name}' of '{item.name}' cannot be told "
                    "apart")
            seen[kind] = branch.name
            kinds |= branch.type.json_kinds
        item.json_kinds = frozenset(kinds)

    def _check_embedding(self, item, users):
        """Branches are embedded by value; an endless C struct must be caught here."""
        if item in users:
            raise SchemaError(item.place, f"'{item.name}' contains itself")
        for branch in item.branches:
            self._check_embedding(branch.type, users + (item,))

    @staticmethod
    def _check_parameters(entity, data):
        """Members that become parameters of a C function are there in every configuration."""
        if data and not data.discriminator:
            for member in data.all_members:
                if member.condition:
                    raise SchemaError(
                        member.place,
                        f"'{member.name}' of '{entity.name}' cannot be conditional: it becomes a "
                        "parameter in C")

    def _resolve_command(self, command):
        command.arguments = self._object(command.arguments, command, 'data')
        if command.arguments and command.arguments.discriminator and not command.boxed:
            raise SchemaError(
                command.place, f"command '{command.name}' takes a union and must be boxed")
        if not command.boxed:
            self._check_parameters(command, command.arguments)
        if command.returns is not None:
            expressions.check_type_name(command.returns, command.place)
            command.returns = self._type(command.returns, command.place, command.name)
            if command.returns.name == 'null' or isinstance(command.returns, model.Alternate):
                raise SchemaError(
                    command.place,
                    f"command '{command.name}' cannot return '{command.returns.name}'")


def build(path):
    """Read and check the schema at @path.  Returns a Module, or raises SchemaError."""
    parsed = read_schema(path)
    builder = _Builder()
    for item in parsed.items:
        if isinstance(item, Definition):
            builder.add(item)
        else:
            builder.module.texts.append(item)
    builder.resolve()
    builder.module.files = parsed.files
    return builder.module
