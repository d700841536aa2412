#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the schema compiler: mistakes in a schema, each with the message its author gets.

Usage: test-compiler.py QAPI-GEN SCHEMA-FOLDER
"""

import os
import subprocess
import sys
import tempfile
import unittest

GENERATOR, SCHEMA_FOLDER = sys.argv[1:3]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(GENERATOR)))

from qapi.resolve import build  # noqa: E402 (the path is known only now)
from qapi.source import SchemaError  # noqa: E402

DOC_S = "##\n# @S:\n#\n# A struct.\n##\n"
DOC_E = "##\n# @E:\n#\n# An enum.\n#\n# @a: one\n##\n"
ENUM = DOC_E + "{ 'enum': 'E', 'data': [ 'a' ] }\n"
BRANCH = "##\n# @B:\n#\n# A branch.\n#\n# @m: a member\n##\n{ 'struct': 'B', 'data': { 'm': 'int' } }\n"


def struct(data, members='m', name='S', extra=''):
    """A documented struct; @members: those that the documentation describes."""
    docs = ''.join(f'#\n# @{member}: a member\n' for member in members.split())
    return f"##\n# @{name}:\n#\n# A struct.\n{docs}##\n{{ 'struct': '{name}', 'data': {data}{extra} }}\n"


def union(base="{ 'type': 'E' }", data="{ 'a': 'B' }", tag='type', members='type'):
    docs = ''.join(f'#\n# @{member}: a member\n' for member in members.split())
    return (f"##\n# @U:\n#\n# A union.\n{docs}##\n{{ 'union': 'U', 'base': {base}, "
            f"'discriminator': '{tag}', 'data': {data} }}\n")


def alternate(data, members='a b'):
    docs = ''.join(f'#\n# @{member}: a branch\n' for member in members.split())
    return f"##\n# @A:\n#\n# An alternate.\n{docs}##\n{{ 'alternate': 'A', 'data': {data} }}\n"


def command(rest, members=''):
    docs = ''.join(f'#\n# @{member}: an argument\n' for member in members.split())
    return f"##\n# @do-it:\n#\n# A command.\n{docs}##\n{{ 'command': 'do-it'{rest} }}\n"


# what is wrong -> (schema, line of the message, message)
MISTAKES = {
    # notation
    'stray character': ("{ ; }", 1, "stray ';'"),
    'stray word': ("{ 'a': maybe }", 1, "stray word 'maybe'"),
    'missing colon': ("{ 'a' 'b' }", 1, "expected ':', found 'b'"),
    'trailing comma': ("{ 'a': 'b',\n }", 2, "expected a string, found '}'"),
    'unterminated': ("{ 'a': [ 'b'", 1, "expected ',' or ']', found the end of the file"),
    'key twice': ("{ 'a': 'b',\n  'a': 'c' }", 2, "key 'a' appears twice"),
    'top-level list': ("[ ]", 1, "expected a doc or '{', found '['"),
    'missing include': ("{ 'include': 'nowhere.json' }", 1, "included file 'nowhere.json' does not exist"),
    # documentation
    'open block': ("##\n# @S:\n", 1, "documentation block without a closing '##'"),
    'line outside block': ("##\n# @S:\nnot me\n##\n", 3, "a line of a documentation block must start with '# '"),
    'undocumented struct': ("{ 'struct': 'S', 'data': {} }", 1, "struct 'S' is not documented"),
    'undocumented member': (struct("{ 'm': 'int',\n'n': 'int' }"), 9, "'n' of 'S' is not documented"),
    'empty member text': (DOC_S.replace('##\n', '##\n', 1).replace("# A struct.\n", "# A struct.\n#\n# @m:\n")
                          + "{ 'struct': 'S', 'data': { 'm': 'int' } }", 8, "'m' of 'S' is not documented"),
    'empty text': ("##\n# @S:\n##\n{ 'struct': 'S', 'data': {} }", 1, "documentation of 'S' is empty"),
    'dangling member': (struct("{ }"), 6, "'S' has no 'm' to document"),
    'member documented twice': (struct("{ 'm': 'int' }", 'm m'), 8, "'m' is documented twice"),
    'undocumented value': (DOC_E + "{ 'enum': 'E', 'data': [ 'a', 'b' ] }", 8, "'b' of 'E' is not documented"),
    'undocumented argument': (command(", 'data': { 'x': 'int' }"), 6, "'x' of 'do-it' is not documented"),
    'undocumented branch': (alternate("{ 'a': 'int', 'b': 'null' }", 'a'), 8, "'b' of 'A' is not documented"),
    'other name': (DOC_S + "{ 'struct': 'T', 'data': {} }", 1, "documentation of 'S' stands before struct 'T'"),
    'nothing follows': (DOC_S, 1, "no definition follows the documentation of 'S'"),
    'two blocks': (DOC_S + struct('{}', ''), 1, "no definition follows the documentation of 'S'"),
    'documented include': (DOC_S + "{ 'include': 'x.json' }", 1, "an 'include' cannot be documented"),
    'loose text': (struct("{ 'm': 'int' }").replace('a member\n', 'a member\n# loose\n'), 7,
                   'text after the first member must be indented'),
    # keys and names
    'no kind': ("{ 'thing': 'S' }", 1, "a definition has exactly one of the keys 'enum', 'struct', 'union', "
                "'alternate', 'command', 'event'"),
    'no data': (DOC_S + "{ 'struct': 'S' }", 6, "struct 'S' lacks the key 'data'"),
    'unknown key': (struct('{}', '', extra=",\n 'x': 'y'"), 7, "struct 'S' has an unknown key 'x'"),
    'type name': (struct('{}', '', 'small'), 6, "name 'small' of a type must be CamelCase"),
    'reserved ending': (struct('{}', '', 'FooList'), 6, "name 'FooList' ends in a word that is reserved (List, Kind)"),
    'member name': (struct("{ 'Big_m': 'int' }"), 8, "name 'Big_m' of a member must be lower case with dashes"),
    'has- member': (struct("{ 'has-m': 'int' }"), 8, "name 'has-m' starts with 'has-', which is reserved"),
    'command name': (command('').replace('do-it', 'Do'), 6, "name 'Do' of a command must be lower case with dashes"),
    'event name': ("##\n# @ev:\n#\n# E.\n##\n{ 'event': 'ev' }", 6, "name 'ev' of a event must be UPPER_CASE"),
    'type twice': (struct('{}', '') + struct('{}', ''), 12, "'S' is already defined (FILE:6)"),
    'built-in name': (struct('{}', '', 'Int') + struct('{}', '', 'INT'), 12, "'INT' is already defined (FILE:6)"),
    'member twice': (struct("{ 'm': 'int', '*m': 'int' }"), 8, "'m' appears twice in 'S'"),
    'value twice': (DOC_E + "{ 'enum': 'E', 'data': [ 'a', 'a' ] }", 8, "value 'a' appears twice in 'E'"),
    'boxed false': (command(", 'boxed': false"), 6, "'boxed' can only be true"),
    # conditions
    'condition name': (struct('{}', '', extra=", 'if': 'lower'"), 6, "condition 'lower' is not the name of a macro"),
    'condition operator': (struct('{}', '', extra=", 'if': { 'xor': [ 'A' ] }"), 6,
                           "'xor' is not an operator of conditions (all, any, not)"),
    'condition list': (struct('{}', '', extra=", 'if': { 'all': [ ] }"), 6, "'all' takes a list that is not empty"),
    'first value': (DOC_E + "{ 'enum': 'E', 'data': [ { 'name': 'a', 'if': 'X' } ] }", 8,
                    "enum 'E' must start with an unconditional value"),
    # types
    'unknown type': (struct("{ 'm': 'Nope' }"), 8, "'S' uses the unknown type 'Nope'"),
    'type of a list': (struct("{ 'm': [ 'int', 'str' ] }"), 8, "a type is 'Name' or ['Name']"),
    'unknown base': (struct('{}', '', extra=", 'base': 'Nope'"), 6, "'S' uses the unknown type 'Nope'"),
    'enum as base': (ENUM + struct('{}', '', extra=", 'base': 'E'"), 14, "'base' of 'S' must be a struct or union, not 'E'"),
    'own base': (struct('{}', '', extra=", 'base': 'S'"), 6, "'S' is its own base"),
    'member of base': (BRANCH + struct("{ 'm': 'int' }", extra=", 'base': 'B'"), 16, "'m' of 'S' is already in its base"),
    # unions
    'no discriminator': (ENUM + BRANCH + union(tag='x'), 24, "discriminator 'x' is not in the base of 'U'"),
    'string as tag': (BRANCH + union("{ 'type': 'str' }"), 16, "discriminator 'type' of 'U' must be an enum that is "
                      "neither optional nor conditional"),
    'optional tag': (ENUM + BRANCH + union("{ '*type': 'E' }"), 24, "discriminator 'type' of 'U' must be an enum that "
                     "is neither optional nor conditional"),
    'unknown branch': (ENUM + BRANCH + union(data="{ 'z': 'B' }"), 24, "branch 'z' of 'U' is not a value of 'E'"),
    'scalar branch': (ENUM + union(data="{ 'a': 'int' }"), 16, "branch 'a' of 'U' must be a struct or union"),
    'branch repeats base': (ENUM + BRANCH + union("{ 'type': 'E', 'm': 'int' }", members='type m'), 26,
                            "'m' of branch 'a' is already in the base of 'U'"),
    'endless union': (ENUM + union(data="{ 'a': 'U' }"), 16, "branch 'a' of 'U' contains itself"),
    # alternates
    'two strings': (ENUM + alternate("{ 'a': 'str', 'b': 'E' }"), 18, "branches 'a' and 'b' of 'A' cannot be told apart"),
    'string and number': (alternate("{ 'a': 'str', 'b': 'int' }"), 10, "branches 'a' and 'b' of 'A' cannot be told apart"),
    'anything': (alternate("{ 'a': 'str', 'b': 'any' }"), 10, "branch 'b' of 'A' cannot have the type 'any'"),
    # commands
    'boxed inline': (command(", 'boxed': true, 'data': { 'x': 'int' }", 'x'), 8,
                     "command 'do-it' is boxed, its 'data' must name a type"),
    'union not boxed': (ENUM + BRANCH + union() + command(", 'data': 'U'"), 30, "command 'do-it' takes a union and must be boxed"),
    'conditional argument': (command(", 'data': { 'x': { 'type': 'int', 'if': 'X' } }", 'x'), 8,
                             "'x' of 'do-it' cannot be conditional: it becomes a parameter in C"),
    'scalar arguments': (command(", 'data': 'int'"), 6, "'data' of 'do-it' must be a struct or union, not 'int'"),
    'unknown return': (command(", 'returns': 'Nope'"), 6, "'do-it' uses the unknown type 'Nope'"),
}


def run(*arguments):
    return subprocess.run([sys.executable, '-B', GENERATOR, *arguments], capture_output=True, text=True, check=False)


class CompilerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, 'schema.json')

    def write(self, text, name='schema.json'):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as file:
            file.write(text)

    def test_mistakes_are_reported_where_they_are(self):
        for title, (schema, line, message) in MISTAKES.items():
            with self.subTest(title):
                self.write(schema)
                with self.assertRaises(SchemaError) as caught:
                    build(self.path)
                self.assertEqual(str(caught.exception).replace(self.path, 'FILE'), f'FILE:{line}: {message}')

    def test_mistake_in_an_included_file_names_that_file(self):
        self.write("# comment\n{ 'include': 'other.json' }\n")
        self.write("\n{ 'struct': 'S', 'data': {} }\n", 'other.json')
        result = run(self.path)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, f"{os.path.join(self.folder, 'other.json')}:2: struct 'S' is not documented\n")

    def test_includes_may_form_a_circle(self):
        self.write("{ 'include': 'other.json' }\n" + struct("{ 'm': 'T' }"))
        self.write("{ 'include': 'schema.json' }\n" + struct("{ '*m': 'S' }", name='T'), 'other.json')
        result = run(self.path)
        self.assertEqual((result.returncode, result.stderr), (0, ''))

    def test_missing_file(self):
        result = run(self.path)
        self.assertEqual(result.returncode, 1)
        self.assertIn('No such file', result.stderr)

    def test_mistake_leaves_no_output(self):
        self.write(struct("{ 'm': 'Nope' }"))
        run('-o', self.folder, self.path)
        self.assertEqual(os.listdir(self.folder), ['schema.json'])

    def test_product_schema_is_the_same_every_time(self):
        schema = os.path.join(SCHEMA_FOLDER, 'qapi-schema.json')
        outputs = []
        for name in ('one', 'two'):
            folder = os.path.join(self.folder, name)
            os.mkdir(folder)
            result = run('-o', folder, '--rst', os.path.join(folder, 'qapi.rst'), schema)
            self.assertEqual((result.returncode, result.stderr), (0, ''))
            files = {}
            for file in os.listdir(folder):
                with open(os.path.join(folder, file), encoding='utf-8') as content:
                    files[file] = content.read()
            outputs.append(files)
        self.assertEqual(len(outputs[0]), 11)
        self.assertEqual(outputs[0], outputs[1])

    def test_reference_has_members_with_their_types(self):
        self.write(struct("{ '*m': [ 'S' ] }", extra=", 'if': { 'all': [ 'A', { 'not': 'B' } ] }"))
        reference = os.path.join(self.folder, 'out.rst')
        self.assertEqual(run('--rst', reference, '--title', 'T', self.path).returncode, 0)
        with open(reference, encoding='utf-8') as file:
            text = file.read()
        self.assertIn('``m`` (list of :ref:`S <qapi-S>`, optional)\n    a member\n', text)
        self.assertIn('Exists where (``A`` and not ``B``) is defined.', text)

    def test_conditions_guard_declarations(self):
        self.write(struct("{ 'm': { 'type': 'int', 'if': { 'any': [ 'A', 'B' ] } } }", extra=", 'if': 'C'"))
        self.assertEqual(run('-o', self.folder, self.path).returncode, 0)
        with open(os.path.join(self.folder, 'qapi-types.h'), encoding='utf-8') as file:
            text = file.read()
        self.assertIn('#if defined(C)\nstruct S {\n#if (defined(A) || defined(B))\n    int64_t m;\n#endif\n};\n#endif\n',
                      text)


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
