/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands of the block layer (block/qmp-*.c) share.
 */
#ifndef BLOCK_QMP_INT_H
#define BLOCK_QMP_INT_H

#include "block/block_int.h"

/* The node called @node_name, or NULL with @errp set.  Main thread. */
BlockDriverState *qmp_find_node(const char *node_name, Error **errp);

#endif
