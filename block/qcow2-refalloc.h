/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two files on refcounts (qcow2-refcount.c, qcow2-refalloc.c) offer each other.
 */
#ifndef BLOCK_QCOW2_REFALLOC_H
#define BLOCK_QCOW2_REFALLOC_H

#include "block/qcow2.h"

/*
 * The refcount block of table entry @table_index, held in the cache; *@block is NULL where there is
 * none, which means that all its refcounts are 0.  With s->lock held.  0, -EIO (damage, signalled),
 * or -errno.
 */
int coroutine_fn qcow2_refblock_get(BlockDriverState *bs, uint64_t table_index, void **block);

/*
 * Make the missing block of @table_index, held in the cache like above, in the first cluster of
 * those that it counts. With s->lock held.  0, -EFBIG, -EIO (damage: cluster 0 is not counted), or
 * -errno.
 */
int coroutine_fn qcow2_refblock_make(BlockDriverState *bs, uint64_t table_index, void **block);

#endif
