/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the ways out have in common where the exported node is zoned.
 *
 * A user of an export may be shown larger blocks than the node has: most programs want 4096 bytes,
 * while an image may allow writes of 512.  Then the export's logical blocks are the granularity of
 * writes, and a write pointer must never stand inside one.
 */
#ifndef BLOCK_EXPORT_EXPORT_ZONED_H
#define BLOCK_EXPORT_EXPORT_ZONED_H

#include "block/block-backend.h"
#include "block/block_int.h"
#include "qapi/error.h"

/*
 * Whether the zoned node of @blk can be shown with logical blocks of @block_size bytes: a power of
 * two, a multiple of the node's write granularity, that divides its length, the size and the
 * capacity of its zones, and is not above its limit for appends; and no zone's write pointer stands
 * inside a block.  False with @errp set otherwise.
 *
 * In the thread of @blk, outside coroutines, before anybody can write.
 */
bool blk_exp_check_zoned_block_size(BlockBackend *blk, uint64_t block_size, Error **errp);

/*
 * Why a write of @bytes at @offset, which does not consist of whole logical blocks, is refused: the
 * sequential zone at @offset may have reasons that come before its alignment.  Returns a negative
 * errno, mostly -ZONE_ERR_NOT_AT_WP, as blk_co_pwritev() does; the range lies in the node.
 */
int coroutine_fn blk_exp_co_judge_unaligned(BlockBackend *blk, int64_t offset, int64_t bytes);

#endif
