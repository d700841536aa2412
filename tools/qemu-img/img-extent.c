/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block status, as the commands of qemu-img want it.  See img-extent.h.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/img-extent.h"

typedef struct ExtentQuery {
    BlockDriverState *bs;
    int64_t offset;
    int64_t bytes;
    ImgExtent *extent;
} ExtentQuery;

static int coroutine_fn extent_entry(void *opaque)
{
    ExtentQuery *query = opaque;
    ImgExtent *extent = query->extent;
    int64_t map;
    BlockDriverState *file;
    int ret = bdrv_co_block_status_above(query->bs, query->offset, query->bytes, &extent->length,
                                         &map, &file, &extent->depth);

    if (ret < 0) {
        return ret;
    }
    extent->has_offset = ret & BDRV_BLOCK_OFFSET_VALID;
    extent->offset = map;
    extent->file = file;
    extent->is_present = ret & BDRV_BLOCK_ALLOCATED;
    extent->is_zero = (ret & BDRV_BLOCK_ZERO) || !extent->is_present;
    extent->is_data = ret & BDRV_BLOCK_DATA;
    extent->is_compressed = ret & BDRV_BLOCK_COMPRESSED;
    return 0;
}

bool img_extent_at(BlockBackend *blk, int64_t offset, int64_t bytes, ImgExtent *extent)
{
    ExtentQuery query = {.bs = blk_bs(blk), .offset = offset, .bytes = bytes, .extent = extent};
    int ret;

    *extent = (ImgExtent){.start = offset};
    ret = bdrv_run_co(blk_get_aio_context(blk), extent_entry, &query);
    if (ret < 0) {
        error_report("Failed to read the map at offset %" PRId64 ": %s", offset, strerror(-ret));
        return false;
    }
    return true;
}
