# SPDX-License-Identifier: GPL-2.0-or-later
"""
Figures, their targets, and how both are shown.
"""

from dataclasses import asdict, dataclass
from typing import Optional


@dataclass(frozen=True)
class Target:
    """A limit for the ratio of a figure, or for the figure itself where it has no peer."""

    sense: str  # '>=', '<=' or '<'
    limit: float

    def is_met_by(self, value):
        return {'>=': value >= self.limit, '<=': value <= self.limit,
                '<': value < self.limit}[self.sense]

    def __str__(self):
        return f'{self.sense} {self.limit:g}'


@dataclass
class Figure:
    """One row of the table.  Without a target it is there for information."""

    name: str
    unit: str
    ours: Optional[float] = None  # None: could not be measured, see note
    peer: Optional[float] = None
    ratio: Optional[float] = None
    target: Optional[Target] = None
    note: str = ''

    def judged_value(self):
        return self.ours if self.ratio is None else self.ratio

    def verdict(self):
        """'yes', 'no', or '' where there is nothing to judge."""
        value = self.judged_value()
        if self.target is None or value is None:
            return ''
        return 'yes' if self.target.is_met_by(value) else 'no'

    def as_json(self):
        fields = asdict(self)
        fields['target'] = str(self.target) if self.target else None
        fields['met'] = {'yes': True, 'no': False}.get(self.verdict())
        return fields


HEADINGS = ('figure', 'unit', 'ours', 'peer', 'ratio', 'target', 'met', '')


def number(value):
    if value is None:
        return '-'
    return f'{value:.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def cells(figure):
    ratio = '-' if figure.ratio is None else f'{figure.ratio:.2f}x'
    return (figure.name, figure.unit, number(figure.ours), number(figure.peer), ratio,
            str(figure.target or '-'), figure.verdict() or '-', figure.note)


def print_table(figures):
    rows = [HEADINGS] + [cells(figure) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        padded = [cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(row, widths))]
        print('  '.join(padded).rstrip())
