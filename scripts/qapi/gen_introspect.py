# SPDX-License-Identifier: GPL-2.0-or-later
"""PREFIXqapi-introspect.h/.c: the roots (commands and events) from which the run time tells
query-qmp-schema its answer."""

from .names import c_name


class IntrospectGenerator:
    def __init__(self, module, target):
        self.module = module
        self.function = c_name(target.prefix) + 'qapi_introspect'
        self.types_header = target.header('types')
        self.header, self.source = target.writers(
            'introspect', 'The schema, for programs.', 'What the schema offers.')

    def generate(self):
        self.header.add('''
            #include "qapi/introspect.h"

            /* A new array of SchemaInfo objects: commands, events, and every type they use. */
            json_t *<function>(void);
            ''', function=self.function)
        self.source.add('''
            #include "<types>"

            static const QapiRoot roots[] = {
            ''', types=self.types_header)
        for command in self.module.commands:
            self._root(command, 'command', command.arguments, command.returns)
        for event in self.module.events:
            self._root(event, 'event', event.data, None)
        self.source.add('''
            };

            json_t *<function>(void)
            {
                return qapi_introspect_roots(roots, ARRAY_SIZE(roots));
            }
            ''', function=self.function)
        return [self.header, self.source]

    def _root(self, entity, meta, arguments, returns):
        fields = [f'.name = "{entity.name}"', f'.meta_type = "{meta}"']
        if arguments:
            fields.append(f'.arguments = &{arguments.info}')
        if returns:
            fields.append(f'.returns = &{returns.info}')
        with self.source.guarded(entity.condition):
            self.source.add(f"    {{{', '.join(fields)}}},")
