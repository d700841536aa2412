# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference for readers: one reStructuredText page with every type, command and event."""

from . import model
from .docblock import SECTIONS, DocBlock


def _type_text(item):
    if isinstance(item, model.List):
        return f'list of {_type_text(item.element)}'
    if isinstance(item, model.Builtin):
        return f'``{item.name}``'
    return f':ref:`{item.name} <qapi-{item.name}>`'


def _indented(lines):
    return [f'    {line.strip()}' if line else '' for line in lines]


class RstGenerator:
    def __init__(self, module, title):
        self.module = module
        self.lines = ['.. SPDX-License-Identifier: GPL-2.0-or-later', '']
        self._heading(title, '=')

    def generate(self):
        for item in self.module.texts:
            if isinstance(item, DocBlock):
                self._free_text(item)
            else:
                self._entity(item)
        return '\n'.join(self.lines) + '\n'

    def _free_text(self, block):
        for line in block.body:
            if line.startswith('= '):
                self._heading(line[2:], '-')
            else:
                self.lines.append(line)
        self.lines.append('')

    def _heading(self, text, underline):
        self.lines += [text, underline * len(text), '']

    def _entity(self, item):
        kind = item.meta if isinstance(item, model.Type) else type(item).__name__.lower()
        self.lines += [f'.. _qapi-{item.name}:', '']
        self._heading(f'{item.name} ({kind})', '~')
        self.lines += [line.strip() for line in item.doc.body] + ['']
        self._condition(item)
        describe = {model.Enum: self._enum, model.Object: self._object,
                    model.Alternate: self._alternate, model.Command: self._command,
                    model.Event: self._event}
        describe[type(item)](item)
        for section in SECTIONS:
            if section in item.doc.sections:
                self.lines += [f'{section}', *_indented(item.doc.sections[section]), '']

    def _condition(self, item):
        if item.condition:
            self.lines += [f'Exists where {item.condition.rst()} is defined.', '']

    def _member(self, owner, member, type_text):
        optional = ', optional' if member.optional else ''
        condition = f', if {member.condition.rst()}' if member.condition else ''
        suffix = f' ({type_text}{optional})' if type_text else ''
        self.lines += [f'``{member.name}``{suffix}{condition}',
                       *_indented(owner.doc.members.get(member.name, [''])), '']

    def _enum(self, item):
        for value in item.values:
            self._member(item, value, None)

    def _members(self, owner, members):
        for member in members:
            self._member(owner, member, _type_text(member.type))

    def _object(self, item):
        if item.base:
            self.lines += [f'Has all members of {_type_text(item.base)}.', '']
        self._members(item, item.members)
        for branch in item.branches:
            self.lines += [f'With ``{item.tag.name}`` = ``{branch.name}`` also those of '
                           f'{_type_text(branch.type)}.', '']

    def _alternate(self, item):
        self._members(item, item.branches)

    def _data(self, owner, data):
        if not data:
            return
        if data in self.module.implicit:
            self._members(owner, data.all_members)
        else:
            self.lines += [f'Takes the members of {_type_text(data)}.', '']

    def _command(self, item):
        self._data(item, item.arguments)
        if item.returns:
            self.lines += [f'Returns {_type_text(item.returns)}.', '']

    def _event(self, item):
        self._data(item, item.data)
