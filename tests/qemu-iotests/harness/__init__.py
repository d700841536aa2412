# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of the iotests runner: which tests there are, what they see, how one is run."""
