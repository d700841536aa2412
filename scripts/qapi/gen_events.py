# SPDX-License-Identifier: GPL-2.0-or-later
"""PREFIXqapi-events.h/.c: one qapi_event_send_NAME() an event, with the members of its data as
parameters."""

from .names import c_name


class EventsGenerator:
    def __init__(self, module, target):
        self.module = module
        self.visit_header = target.header('visit')
        self.header, self.source = target.writers(
            'events', 'Events of the schema.', 'Build events and hand them on.')

    def generate(self):
        self.header.add('''
            #include "qapi/qmp-event.h"
            #include "<visit>"

            ''', visit=self.visit_header)
        for event in self.module.events:
            with self.header.guarded(event.condition), self.source.guarded(event.condition):
                self._send(event)
            self.source.blank()
        return [self.header, self.source]

    def _send(self, event):
        members = event.data.all_members if event.data else []
        if event.data and event.data.discriminator:
            parameters, members = [f'const {event.data.name} *arg'], None
        else:
            parameters = []
            for member in members:
                if member.has_flag:
                    parameters.append(f'bool has_{c_name(member.name)}')
                parameters.append(f'{member.type.c_argument}{c_name(member.name)}')
        signature = f"void qapi_event_send_{event.name.lower()}({', '.join(parameters) or 'void'})"
        self.header.add(signature + ';')
        self.source.add(signature + '\n{')
        if members is None:
            self.source.add(f'    qapi_event_emit_object("{event.name}", &{event.data.info}, arg);')
        elif members:
            self._fill(event.data, members)
            self.source.add(f'    qapi_event_emit_object("{event.name}", '
                            f'&{event.data.info}, &event_);')
        else:
            self.source.add(f'    qapi_event_emit_object("{event.name}", NULL, NULL);')
        self.source.add('}')

    def _fill(self, data, members):
        self.source.add(f'    {data.name} event_ = {{')
        for member in members:
            name = c_name(member.name)
            if member.has_flag:
                self.source.add(f'        .has_{name} = has_{name},')
            cast = '(char *)' if member.type.name == 'str' else ''
            self.source.add(f'        .{name} = {cast}{name},')
        self.source.add('    };\n')
