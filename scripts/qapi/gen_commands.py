# SPDX-License-Identifier: GPL-2.0-or-later
"""PREFIXqapi-commands.h/.c: prototypes of the qmp_ functions, and their table for dispatch.

A function takes the members of 'data' in order (an optional scalar as has_x and x; what it is lent
it must not keep), or one pointer where the command is boxed, and `Error **errp`.  It failed when it
has set an error.
"""

from .names import c_name, c_string
from .docblock import one_line


def _parameters(command):
    if not command.arguments:
        return []
    if command.boxed:
        return [f'{command.arguments.name} *arg']
    result = []
    for member in command.arguments.all_members:
        if member.has_flag:
            result.append(f'bool has_{c_name(member.name)}')
        result.append(f'{member.type.c_argument}{c_name(member.name)}')
    return result


def _call_arguments(command):
    if not command.arguments:
        return []
    if command.boxed:
        return ['arg']
    result = []
    for member in command.arguments.all_members:
        if member.has_flag:
            result.append(f'arg->has_{c_name(member.name)}')
        result.append(f'arg->{c_name(member.name)}')
    return result


class CommandsGenerator:
    def __init__(self, module, target):
        self.module = module
        self.table = c_name(target.prefix) + 'qmp_commands'
        self.visit_header = target.header('visit')
        self.header, self.source = target.writers(
            'commands', 'Commands of the schema.', 'From JSON arguments to C calls and back.')

    def generate(self):
        self.header.add('''
            #include "qapi/qmp-dispatch.h"
            #include "<visit>"

            /* All commands; hand it to qmp_dispatch(). */
            extern const QmpCommandTable <table>;

            ''', visit=self.visit_header, table=self.table)
        for command in self.module.commands:
            with self.header.guarded(command.condition), self.source.guarded(command.condition):
                self._declare(command)
                self._marshal(command)
        self._table()
        return [self.header, self.source]

    def _declare(self, command):
        returns = command.returns.c_type if command.returns else 'void '
        parameters = ', '.join(_parameters(command) + ['Error **errp'])
        self.header.add(f'{returns}{command.c_function}({parameters});')

    def _marshal(self, command):
        out = self.source
        out.add('''
            static json_t *marshal_<function>(json_t *arguments, Error **errp)
            {
                Error *err = NULL;
            ''', function=command.c_function)
        if command.arguments:
            out.add('''
                g_autoptr(<name>) arg = qapi_<name>_from_json(arguments, errp);

                if (!arg) {
                    return NULL;
                }
                ''', indent='    ', name=command.arguments.name)
        else:
            out.add('''

                if (!qmp_check_no_arguments(arguments, errp)) {
                    return NULL;
                }
                ''', indent='    ')
        call = f"{command.c_function}({', '.join(_call_arguments(command) + ['&err'])})"
        if command.returns:
            out.add(f'    {command.returns.c_type}result = {call};')
        else:
            out.add(f'    {call};')
        out.add('    if (err) {\n        error_propagate(errp, err);\n        return NULL;\n    }')
        if command.returns:
            out.add(f'    json_t *json = qapi_to_json(&{command.returns.info}, &result);\n'
                    f'    qapi_free_value(&{command.returns.info}, &result);\n'
                    '    return json;')
        else:
            out.add('    return json_object();')
        out.add('}\n')
        out.blank()

    def _table(self):
        out = self.source
        out.add('static const QmpCommand commands[] = {')
        for command in self.module.commands:
            arguments = f'&{command.arguments.info}' if command.arguments else 'NULL'
            returns = f'&{command.returns.info}' if command.returns else 'NULL'
            coroutine = 'true' if command.coroutine else 'false'
            with out.guarded(command.condition):
                out.add(f'    {{\n        .name = "{command.name}",\n'
                        f'        .doc = {c_string(one_line(command.doc.body))},\n'
                        f'        .marshal = marshal_{command.c_function},\n'
                        f'        .arguments = {arguments},\n        .returns = {returns},\n'
                        f'        .coroutine = {coroutine},\n    }},')
        out.add('''
            };

            const QmpCommandTable <table> = {
                .commands = commands,
                .nr_commands = ARRAY_SIZE(commands),
            };
            ''', table=self.table)
