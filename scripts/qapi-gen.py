#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compile a QAPI schema.

With -o writes the C files into a directory, with --rst the reference to a file; with neither only
checks the schema.  A mistake in the schema is reported as `FILE:LINE: text`, with exit status 1.
"""

import argparse
import os
import sys

from qapi.cwriter import Target
from qapi.gen_commands import CommandsGenerator
from qapi.gen_events import EventsGenerator
from qapi.gen_introspect import IntrospectGenerator
from qapi.gen_rst import RstGenerator
from qapi.gen_types import TypesGenerator
from qapi.gen_visit import VisitGenerator
from qapi.resolve import build
from qapi.source import SchemaError

GENERATORS = (TypesGenerator, VisitGenerator, CommandsGenerator, EventsGenerator, IntrospectGenerator)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('schema', help='the schema file to start from')
    parser.add_argument('-o', '--output-dir', help='directory for the C files')
    parser.add_argument('-p', '--prefix', default='', help='text before the names of the files and tables')
    parser.add_argument('-i', '--include-folder', default='qapi', help='how #include names that directory')
    parser.add_argument('--rst', metavar='FILE', help='write the reference to FILE')
    parser.add_argument('--title', default='Schema reference', help='title of the reference')
    args = parser.parse_args()
    try:
        module = build(args.schema)
    except (SchemaError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    outputs = {}
    if args.output_dir:
        target = Target(args.prefix, args.include_folder, os.path.basename(args.schema))
        for generator in GENERATORS:
            for file in generator(module, target).generate():
                outputs[os.path.join(args.output_dir, file.name)] = file.text()
    if args.rst:
        outputs[args.rst] = RstGenerator(module, args.title).generate()
    for path, text in outputs.items():
        with open(path, 'w', encoding='utf-8') as output:
            output.write(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
