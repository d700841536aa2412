/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limits of a node: defaults, what follows from its children, and what its driver says.
 *
 * Request alignment and maxima are not taken over from the children: requests to them are aligned
 * and split by their own limits.  Where memory is best aligned is, because data travels down
 * without being copied; but only the node whose driver cannot use other memory bounces it.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"

#define DEFAULT_OPT_MEM_ALIGNMENT 4096

void bdrv_refresh_limits(BlockDriverState *bs, Error **errp)
{
    BlockLimits *bl = &bs->bl;
    const BdrvChild *child;

    *bl = (BlockLimits){
        .request_alignment = 1,
        .min_mem_alignment = 1,
        .opt_mem_alignment = DEFAULT_OPT_MEM_ALIGNMENT,
        .max_iov = IOV_MAX,
    };
    LIST_FOREACH(child, &bs->children, next) {
        const BlockLimits *below = &child->bs->bl;

        bl->opt_mem_alignment = MAX(bl->opt_mem_alignment, below->opt_mem_alignment);
    }
    if (bs->drv && bs->drv->bdrv_refresh_limits) {
        bs->drv->bdrv_refresh_limits(bs, errp);
    }
    assert(is_power_of_2(bl->request_alignment));
    assert(is_power_of_2(bl->min_mem_alignment) && is_power_of_2(bl->opt_mem_alignment));
    assert(bl->max_iov > 0);
}
