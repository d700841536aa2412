# SPDX-License-Identifier: GPL-2.0-or-later
"""
Zone reports, from whoever made them, as lists of Zone that can be compared.

Positions and lengths are bytes.  The write pointer is None where it means nothing: in conventional
zones, and in full ones, where some report the end of the zone and some that of its capacity.
"""

import re
from collections import namedtuple

Zone = namedtuple('Zone', 'start length capacity wp condition')

SECTOR = 512
BLKZONE_CONDITIONS = {'nw': 'not-write-pointer', 'em': 'empty', 'oi': 'implicitly-open',
                      'oe': 'explicitly-open', 'cl': 'closed', 'ro': 'read-only', 'fu': 'full',
                      'of': 'offline'}
BLKZONE_LINE = re.compile(r'start: (\w+), len (\w+), cap (\w+), wptr (\S+) .*zcond:\s*\d+\((\w+)\)')
WITH_WP = 'empty', 'implicitly-open', 'explicitly-open', 'closed'


def from_blkzone(text):
    """Return the zones in a report of blkzone."""
    zones = []
    for start, length, capacity, wp, condition in BLKZONE_LINE.findall(text):
        start = int(start, 16) * SECTOR
        condition = BLKZONE_CONDITIONS[condition]
        zones.append(Zone(start, int(length, 16) * SECTOR, int(capacity, 16) * SECTOR,
                          start + int(wp, 16) * SECTOR if condition in WITH_WP else None,
                          condition))
    return zones


def from_json(report):
    """Return the zones in a report of `qemu-img zone report` or query-block-zones."""
    return [Zone(zone['start'], zone['length'], zone['capacity'],
                 zone['write-pointer'] if zone['condition'] in WITH_WP else None,
                 zone['condition']) for zone in report]


def after_power_off(zones):
    """Return what becomes of @zones when nobody uses the disk: open zones are closed or empty."""
    def closed(zone):
        if zone.condition not in ('implicitly-open', 'explicitly-open'):
            return zone
        return zone._replace(condition='empty' if zone.wp == zone.start else 'closed')
    return [closed(zone) for zone in zones]
