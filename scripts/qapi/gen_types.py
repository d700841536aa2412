# SPDX-License-Identifier: GPL-2.0-or-later
"""PREFIXqapi-types.h/.c: C types, and their descriptions (QapiTypeInfo).

What becomes what:
  enum       C enum with constants PREFIX_VALUE and PREFIX__MAX, `X_str()`
  struct     C struct with the base's members first; scalars that are optional have a `has_x` before
             them, other optional members are NULL when absent; an optional list is there when it is
             not empty or `has_x` is set
  union      the same, with a union `u` of the branches' structs, by value
  alternate  C struct with `type` (constants X_KIND_BRANCH) and a union `u`
  ['T']      singly linked list TList {next, value}
"""

from . import model
from .docblock import one_line
from .names import c_name, c_string


def _doc_text(entity):
    return c_string(one_line(entity.doc.body)) if entity.doc else '""'


def _by_embedding(objects):
    """@objects with those that others embed by value first."""
    done = []

    def visit(item):
        for branch in item.branches:
            if isinstance(branch.type, model.Object):
                visit(branch.type)
        if item not in done:
            done.append(item)

    for item in objects:
        visit(item)
    return done


class TypesGenerator:
    def __init__(self, module, target):
        self.module = module
        self.header, self.source = target.writers(
            'types', 'C types of the schema.', 'Descriptions of the types of the schema.')

    def generate(self):
        self.header.add('''
            #include "qapi/type-info.h"
            #include "qapi/builtin-types.h"

            ''')
        for item in self.module.of_class(model.Enum):
            self._declare_enum(item)
        compound = self.module.objects + self.module.of_class(model.Alternate)
        for item in compound + self.module.lists:
            with self.header.guarded(item.condition):
                self.header.add(f'typedef struct {item.name} {item.name};')
        self.header.blank()
        for item in _by_embedding(compound):
            self._declare_compound(item)
        for item in self.module.lists:
            self._declare_list(item)
        for item in compound + self.module.lists:
            self._declare_free(item)
        everything = self.module.types + self.module.implicit + self.module.lists
        for item in everything:
            with self.source.guarded(item.condition):
                self._describe(item)
        return [self.header, self.source]

    # ---- declarations ----

    def _declare_enum(self, enum):
        out = self.header
        with out.guarded(enum.condition):
            out.add(f'typedef enum {enum.name} {{')
            for value in enum.values:
                with out.guarded(value.condition):
                    out.add(f'    {enum.constant(value.name)},')
            out.add(f'}} {enum.name};')
            self._declare_enum_max(enum)
            out.add('''
                extern const QapiTypeInfo qapi_info_<name>;
                static inline const char *<name>_str(<name> value)
                {
                    return qapi_enum_str(&qapi_info_<name>, value);
                }
                ''', name=enum.name)
        out.blank()

    def _declare_enum_max(self, enum):
        """X__MAX stands outside the enum, so that a switch need not mention it."""
        out = self.header
        keyword = 'if'
        for value in reversed(enum.values):
            maximum = f'enum {{ {enum.prefix}__MAX = {enum.constant(value.name)} + 1 }};'
            if value.condition:
                out.add(f'#{keyword} {value.condition.c_expression()}')
                out.add(maximum)
                keyword = 'elif'
                continue
            if keyword == 'elif':
                out.add('#else')
            out.add(maximum)
            if keyword == 'elif':
                out.add('#endif')
            return

    def _declare_compound(self, item):
        out = self.header
        with out.guarded(item.condition):
            if isinstance(item, model.Alternate):
                out.add(f'typedef enum {item.name}Kind {{')
                for branch in item.branches:
                    with out.guarded(branch.condition):
                        out.add(f'    {item.constant(branch)},')
                out.add(f'}} {item.name}Kind;')
                out.add(f'struct {item.name} {{\n    {item.name}Kind type;')
            else:
                out.add(f'struct {item.name} {{')
                for member in item.all_members:
                    self._declare_member(member)
                if not item.all_members and not item.branches:
                    out.add('    char unused_;')
            if item.branches:
                out.add('    union {')
                for branch in item.branches:
                    with out.guarded(branch.condition):
                        embedded = isinstance(branch.type, model.Object)
                        c_type = f'{branch.type.name} ' if embedded else branch.type.c_type
                        out.add(f'        {c_type}{c_name(branch.name)};')
                out.add('    } u;')
            out.add('};')
        out.blank()

    def _declare_member(self, member):
        with self.header.guarded(member.condition):
            if member.has_flag:
                self.header.add(f'    bool has_{c_name(member.name)};')
            self.header.add(f'    {member.type.c_type}{c_name(member.name)};')

    def _declare_list(self, item):
        with self.header.guarded(item.condition):
            self.header.add('''
                struct <name> {
                    <name> *next;
                    <element>value;
                };
                ''', name=item.name, element=item.element.c_type)
        self.header.blank()

    def _declare_free(self, item):
        with self.header.guarded(item.condition):
            self.header.add('''
                extern const QapiTypeInfo qapi_info_<name>;
                void qapi_free_<name>(<name> *obj);
                G_DEFINE_AUTOPTR_CLEANUP_FUNC(<name>, qapi_free_<name>)
                ''', name=item.name)
        with self.source.guarded(item.condition):
            self.source.add('''
                void qapi_free_<name>(<name> *obj)
                {
                    qapi_free_value(&qapi_info_<name>, &obj);
                }
                ''', name=item.name)
        self.source.blank()

    # ---- descriptions ----

    def _describe(self, item):
        describe = {model.Enum: self._describe_enum, model.Object: self._describe_object,
                    model.Alternate: self._describe_alternate, model.List: self._describe_list}
        describe[type(item)](item)
        self.source.blank()

    def _describe_enum(self, enum):
        out = self.source
        out.add(f'static const QapiEnumValue values_{enum.name}[] = {{')
        for value in enum.values:
            with out.guarded(value.condition):
                out.add(f'    [{enum.constant(value.name)}] = '
                        f'{{"{value.name}", {c_string(value.doc_text)}}},')
        out.add('''
            };

            const QapiTypeInfo qapi_info_<name> = {
                .name = "<name>",
                .doc = <doc>,
                .kind = QAPI_KIND_ENUM,
                .size = sizeof(<name>),
                .values = values_<name>,
                .nr_values = ARRAY_SIZE(values_<name>),
            };
            ''', name=enum.name, doc=_doc_text(enum))

    def _member_entry(self, member, owner, path):
        """One QapiMember, for the C member @path of struct @owner."""
        has_offset = 'QAPI_NO_FLAG'
        if member.has_flag:
            has_offset = f'offsetof({owner}, has_{path})'
        optional = 'true' if member.optional else 'false'
        with self.source.guarded(member.condition):
            self.source.add(f'''
                {{
                    .name = "{member.name}",
                    .type = "{member.type.name}",
                    .doc = {c_string(member.doc_text)},
                    .info = &{member.type.info},
                    .optional = {optional},
                    .offset = offsetof({owner}, {path}),
                    .has_offset = {has_offset},
                }},
                ''', indent='    ')

    def _describe_object(self, item):
        out = self.source
        if item.all_members:
            out.add(f'static const QapiMember members_{item.name}[] = {{')
            for member in item.all_members:
                self._member_entry(member, item.name, c_name(member.name))
            out.add('};')
            out.blank()
        if item.branches:
            out.add(f'static const QapiTypeInfo *const branches_{item.name}[] = {{')
            for branch in item.branches:
                with out.guarded(branch.condition):
                    out.add(f'    [{item.tag.type.constant(branch.name)}] = &{branch.type.info},')
            out.add('};')
            out.blank()
        out.add('''
            const QapiTypeInfo qapi_info_<name> = {
                .name = "<name>",
                .doc = <doc>,
                .kind = QAPI_KIND_OBJECT,
                .size = sizeof(<name>),
            ''', name=item.name, doc=_doc_text(item))
        if item.all_members:
            out.add(f'    .members = members_{item.name},\n'
                    f'    .nr_members = ARRAY_SIZE(members_{item.name}),')
        if item.tag:
            out.add(f'    .tag_name = "{item.tag.name}",\n    .tag_info = &{item.tag.type.info},\n'
                    f'    .tag_offset = offsetof({item.name}, {c_name(item.tag.name)}),')
        if item.branches:
            out.add(f'    .branches = branches_{item.name},\n'
                    f'    .nr_branches = ARRAY_SIZE(branches_{item.name}),\n'
                    f'    .branch_offset = offsetof({item.name}, u),')
        out.add('};')

    def _describe_alternate(self, item):
        out = self.source
        out.add(f'static const QapiMember members_{item.name}[] = {{')
        for branch in item.branches:
            self._member_entry(branch, item.name, f'u.{c_name(branch.name)}')
        out.add('''
            };

            const QapiTypeInfo qapi_info_<name> = {
                .name = "<name>",
                .doc = <doc>,
                .kind = QAPI_KIND_ALTERNATE,
                .size = sizeof(<name>),
                .members = members_<name>,
                .nr_members = ARRAY_SIZE(members_<name>),
                .tag_offset = offsetof(<name>, type),
            };
            ''', name=item.name, doc=_doc_text(item))

    def _describe_list(self, item):
        self.source.add('''
            const QapiTypeInfo qapi_info_<name> = {
                .name = "<name>",
                .doc = "",
                .kind = QAPI_KIND_LIST,
                .size = sizeof(<name>),
                .element = &<element>,
                .value_offset = offsetof(<name>, value),
            };
            ''', name=item.name, element=item.element.info)
