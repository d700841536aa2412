# SPDX-License-Identifier: GPL-2.0-or-later
"""The QAPI schema compiler: reads qapi/*.json, writes C tables, wrappers and a reference."""
