/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes that a program's user made by name (blockdev-add, --blockdev), which the program keeps
 * until the user deletes them or the program ends.
 *
 * Main thread, outside coroutines.
 */
#ifndef BLOCK_MONITOR_NODES_H
#define BLOCK_MONITOR_NODES_H

#include "block/block-common.h"

/*
 * Give back all nodes that qmp_blockdev_add() made, each before those that it uses: they are
 * flushed, which writes what is in caches, and closed.
 *
 * To be called at the end of a program, when exports and jobs are gone; a node that something else
 * still refers to is flushed and stays.  Failures are reported to stderr, one line a node.
 *
 * Returns 0, or the negative errno of the first flush that failed.
 */
int bdrv_close_all_monitor_nodes(void);

#endif
