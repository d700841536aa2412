# SPDX-License-Identifier: GPL-2.0-or-later
"""How sphinx builds the manual: all of docs/ as HTML, docs/tools/ as manual pages too."""

import os

project = 'Zoned storage'
copyright = 'the contributors'
author = ''

# The build gives the version of the project (-D version=...); without it pages show none.
root_doc = 'index'
source_suffix = '.rst'
exclude_patterns = ['meson.build']
nitpicky = True
highlight_language = 'none'

html_theme = 'alabaster'
html_copy_source = False
html_theme_options = {'description': 'A zoned disk in a file', 'page_width': '60em'}


def manual_pages():
    """Each page of docs/tools is one of section 1, summed up by its second title."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'tools')
    for name in sorted(os.listdir(folder)):
        base, extension = os.path.splitext(name)
        if extension == '.rst' and base != 'index':
            yield (f'tools/{base}', base, summary_of(os.path.join(folder, name)), [], 1)


def summary_of(path):
    """The text of the line `.. summary: TEXT` near the top of a page."""
    with open(path, encoding='utf-8') as page:
        for line in page:
            if line.startswith('.. summary: '):
                return line[len('.. summary: '):].strip()
    raise ValueError(f'{path}: a manual page needs a line ".. summary: TEXT"')


man_pages = list(manual_pages())
man_make_section_directory = False
