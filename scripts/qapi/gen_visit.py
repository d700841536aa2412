# SPDX-License-Identifier: GPL-2.0-or-later
"""PREFIXqapi-visit.h/.c: typed fronts of the table-driven visitor, and conversions from and to
JSON."""

from . import model


class VisitGenerator:
    def __init__(self, module, target):
        self.module = module
        self.types_header = target.header('types')
        self.header, self.source = target.writers(
            'visit', 'Visit, read and write the types of the schema.',
            'Typed fronts of the visitor core.')

    def generate(self):
        self.header.add('''
            #include "qapi/visitor.h"
            #include "<types>"

            ''', types=self.types_header)
        for item in self.module.types + self.module.implicit + self.module.lists:
            with self.header.guarded(item.condition), self.source.guarded(item.condition):
                if isinstance(item, model.Enum):
                    self._visit(item, f'{item.name} *')
                else:
                    self._visit(item, f'{item.name} **')
                    self._convert(item)
            self.header.blank()
            self.source.blank()
        return [self.header, self.source]

    def _visit(self, item, pointer):
        signature = (f'bool visit_type_{item.name}(Visitor *v, const char *name, '
                     f'{pointer}obj, Error **errp)')
        self.header.add(signature + ';')
        self.source.add('''
            <signature>
            {
                return visit_type(v, name, &<info>, obj, errp);
            }
            ''', signature=signature, info=item.info)

    def _convert(self, item):
        self.header.add('''
            <name> *qapi_<name>_from_json(json_t *json, Error **errp);
            <name> *qapi_<name>_from_keyval(json_t *tree, Error **errp);
            json_t *qapi_<name>_to_json(const <name> *obj);
            ''', name=item.name)
        self.source.add('''

            <name> *qapi_<name>_from_json(json_t *json, Error **errp)
            {
                <name> *obj = NULL;
                qapi_from_json(&<info>, json, &obj, errp);
                return obj;
            }

            <name> *qapi_<name>_from_keyval(json_t *tree, Error **errp)
            {
                <name> *obj = NULL;
                qapi_from_keyval(&<info>, tree, &obj, errp);
                return obj;
            }

            json_t *qapi_<name>_to_json(const <name> *obj)
            {
                return qapi_to_json(&<info>, &obj);
            }
            ''', name=item.name, info=item.info)
