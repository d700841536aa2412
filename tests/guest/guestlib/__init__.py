# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests/guest/fetch and tests/guest/run are made of."""
