/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is stored where: block status, from the node that was asked down to the protocol.
 *
 * A driver answers for its own layer, in its own blocks.  Here the answer is cut to what was asked
 * for, and completed from the layer that holds the data: a hole in the host's file reads as zeroes,
 * however the format describes it.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

/* What the driver says, rounded out to its blocks; *@pnum counts from @offset. */
static int coroutine_fn ask_driver(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                   int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    int64_t start = ROUND_DOWN(offset, bs->bl.request_alignment);
    int64_t end = ROUND_UP(offset + bytes, bs->bl.request_alignment);
    int ret = bs->drv->bdrv_co_block_status(bs, start, end - start, pnum, map, file);

    if (ret < 0) {
        return ret;
    }
    assert(*pnum > offset - start);
    *pnum = MIN(*pnum - (offset - start), bytes);
    *map += offset - start;
    return ret;
}

/* The status of a layer whose driver has no callback. */
static int coroutine_fn assume_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    if (bs->file) {
        return bdrv_co_block_status(bs->file->bs, offset, bytes, pnum, map, file);
    }
    *pnum = bytes;
    *map = offset;
    *file = bs;
    return BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_ALLOCATED;
}

/*
 * Add what the layer below knows of the data at *@map of @file: it may be a hole, or its end may
 * come earlier.
 */
static int coroutine_fn look_below(BlockDriverState *file, int64_t map, int64_t *pnum, int status)
{
    BlockDriverState *lower_file;
    int64_t lower_count, lower_map;
    int lower = bdrv_co_block_status(file, map, *pnum, &lower_count, &lower_map, &lower_file);

    if (lower < 0) {
        /* It only adds to an answer that stands without it. */
        return status;
    }
    if (lower_count == 0) {
        return status | BDRV_BLOCK_ZERO;
    }
    *pnum = lower_count;
    return status | (lower & BDRV_BLOCK_ZERO);
}

static int coroutine_fn status_inside(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    int status = bs->drv->bdrv_co_block_status
                     ? ask_driver(bs, offset, bytes, pnum, map, file)
                     : assume_status(bs, offset, bytes, pnum, map, file);

    if (status < 0) {
        return status;
    }
    if (status & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO)) {
        status |= BDRV_BLOCK_ALLOCATED;
    } else if (!(status & BDRV_BLOCK_ALLOCATED) && !bs->backing) {
        status |= BDRV_BLOCK_ZERO;
    }
    /* A protocol has answered for itself; below a format the file has not been asked yet. */
    if ((status & BDRV_BLOCK_DATA) && !(status & BDRV_BLOCK_ZERO) &&
        (status & BDRV_BLOCK_OFFSET_VALID) && *file && *file != bs) {
        status = look_below(*file, *map, pnum, status);
    }
    return status;
}

int coroutine_fn bdrv_co_block_status_above(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            int64_t *pnum, int64_t *map, BlockDriverState **file,
                                            int *depth)
{
    int status = bdrv_co_block_status(bs, offset, bytes, pnum, map, file);

    *depth = 0;
    while (status >= 0 && !(status & BDRV_BLOCK_ALLOCATED) && *pnum > 0 && bs->backing) {
        int eof = status & BDRV_BLOCK_EOF;

        bytes = *pnum;
        bs = bs->backing->bs;
        status = bdrv_co_block_status(bs, offset, bytes, pnum, map, file);
        if (status >= 0 && *pnum == 0) {
            /* It ends before: nothing but the layer above it has a say here. */
            *pnum = bytes;
            return BDRV_BLOCK_ZERO | eof;
        }
        ++*depth;
        if (status >= 0) {
            status = (status & ~BDRV_BLOCK_EOF) | (*pnum == bytes ? eof : 0);
        }
    }
    return status;
}

bool coroutine_fn bdrv_co_is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    while (bytes > 0) {
        int64_t count, map;
        BlockDriverState *file;
        int depth;
        int status = bdrv_co_block_status_above(bs, offset, bytes, &count, &map, &file, &depth);

        if (status < 0 || !(status & BDRV_BLOCK_ZERO) || count == 0) {
            return false;
        }
        offset += count;
        bytes -= count;
    }
    return true;
}

int coroutine_fn bdrv_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    int status;

    *pnum = 0;
    *map = 0;
    *file = NULL;
    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    if (offset < 0 || bytes < 0) {
        return -EIO;
    }
    if (offset >= bs->total_bytes) {
        return BDRV_BLOCK_EOF;
    }
    if (bytes == 0) {
        return 0;
    }
    bdrv_inc_in_flight(bs);
    status = status_inside(bs, offset, MIN(bytes, bs->total_bytes - offset), pnum, map, file);
    bdrv_dec_in_flight(bs);
    if (status < 0) {
        return status;
    }
    status &= ~BDRV_BLOCK_EOF;
    return offset + *pnum == bs->total_bytes ? status | BDRV_BLOCK_EOF : status;
}
