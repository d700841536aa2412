/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests without data: writes of zeroes, and discards.
 *
 * Both are cut at the driver's own boundaries, so that it gets the largest aligned middle in one go
 * and the odd ends apart.  A driver that cannot write zeroes gets buffers of them; a discard that
 * it cannot do is left.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

/*
 * The length of the next piece of a range: up to the first multiple of @alignment, then all whole
 * multiples, then the rest; never longer than @max_bytes (0: no limit).
 */
static int64_t next_piece(int64_t offset, int64_t bytes, int64_t alignment, int64_t max_bytes)
{
    int64_t misalignment = offset % alignment;
    int64_t length = bytes;

    if (misalignment > 0) {
        length = MIN(bytes, alignment - misalignment);
    } else if (bytes > alignment) {
        length = bytes - bytes % alignment;
    }
    if (max_bytes > 0 && length > max_bytes) {
        length = max_bytes >= alignment ? max_bytes - max_bytes % alignment : max_bytes;
    }
    return length;
}

/* Zero a range of whole blocks. */
static int coroutine_fn zero_blocks(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                    BdrvRequestFlags flags)
{
    const BlockLimits *bl = &bs->bl;
    int64_t alignment = MAX(bl->pwrite_zeroes_alignment, bl->request_alignment);
    /* A zoned device decides itself what a zero write means; buffers would move write pointers. */
    bool may_fall_back = !(flags & BDRV_REQ_NO_FALLBACK) && bl->zoned != BLK_Z_HM;

    while (bytes > 0) {
        int64_t length = next_piece(offset, bytes, alignment,
                                    ROUND_DOWN(bl->max_pwrite_zeroes, bl->request_alignment));
        int ret = -ENOTSUP;

        if (!bs->drv) {
            return -ENOMEDIUM;
        }
        if (bs->drv->bdrv_co_pwrite_zeroes) {
            ret = bs->drv->bdrv_co_pwrite_zeroes(bs, offset, length,
                                                 flags & bs->supported_zero_flags);
        }
        if (ret == -ENOTSUP && may_fall_back) {
            ret = io_write_in_pieces(bs, offset, length, NULL, 0,
                                     flags & bs->supported_write_flags);
        }
        if (ret < 0) {
            return ret;
        }
        offset += length;
        bytes -= length;
    }
    return 0;
}

/* Zero any range; the blocks at its ends that it covers only in part are rewritten. */
static int coroutine_fn zero_range(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                   BdrvRequestFlags flags)
{
    int64_t first = ROUND_UP(offset, bs->bl.request_alignment);
    int64_t last = ROUND_DOWN(offset + bytes, bs->bl.request_alignment);
    BdrvRequestFlags write_flags = flags & bs->supported_write_flags;
    int ret = 0;

    if (!io_is_aligned(bs, offset, bytes) && (flags & BDRV_REQ_NO_FALLBACK)) {
        return -ENOTSUP;
    }
    if (first >= last) {
        return io_write_in_pieces(bs, offset, bytes, NULL, 0, write_flags);
    }
    if (offset < first) {
        ret = io_write_in_pieces(bs, offset, first - offset, NULL, 0, write_flags);
    }
    if (ret == 0) {
        ret = zero_blocks(bs, first, last - first, flags);
    }
    if (ret == 0 && last < offset + bytes) {
        ret = io_write_in_pieces(bs, last, offset + bytes - last, NULL, 0, write_flags);
    }
    return ret;
}

/*
 * Of a host-managed device the conventional zones, its first ones, can be zeroed and discarded.  It
 * is checked before a request is cut into pieces, so that a refused one changes nothing.
 * 0, -ENOTSUP for a sequential zone, -ZONE_ERR_PAST_CAPACITY where the range runs into one.
 */
static int check_zones(const BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t end_of_conventional = bs->bl.nr_conventional_zones * bs->bl.zone_size;

    if (bs->bl.zoned != BLK_Z_HM || bytes == 0 || offset + bytes <= end_of_conventional) {
        return 0;
    }
    return offset < end_of_conventional ? -ZONE_ERR_PAST_CAPACITY : -ENOTSUP;
}

int coroutine_fn bdrv_co_pwrite_zeroes(BdrvChild *child, int64_t offset, int64_t bytes,
                                       BdrvRequestFlags flags)
{
    BlockDriverState *bs = child->bs;
    bool is_fua_emulated = false;
    BdrvTrackedRequest req;
    int ret = io_check_change(bs, offset, bytes);

    if (ret == 0) {
        ret = check_zones(bs, offset, bytes);
    }
    if (ret < 0) {
        bs->stats.counters[BDRV_STATS_WRITE_ZEROES].invalid++;
        return ret;
    }
    if (bytes == 0) {
        return 0;
    }
    /* Some pieces may become plain writes, so that FUA counts only where both ways have it. */
    if (flags & BDRV_REQ_FUA & ~(bs->supported_zero_flags & bs->supported_write_flags)) {
        is_fua_emulated = true;
        flags &= ~BDRV_REQ_FUA;
    }
    if (io_is_aligned(bs, offset, bytes) && !(flags & BDRV_REQ_SERIALISING)) {
        io_tracked_begin(&req, bs, offset, bytes);
    } else {
        io_tracked_begin_serialising(&req, bs, offset, bytes);
    }
    ret = bs->drv ? zero_range(bs, offset, bytes, flags) : -ENOMEDIUM;
    io_note_change(bs, offset + bytes, ret);
    io_tracked_end(&req);
    if (is_fua_emulated && ret == 0) {
        ret = bdrv_co_flush(bs);
    }
    return io_count_write(bs, BDRV_STATS_WRITE_ZEROES, offset + bytes, bytes, ret);
}

static int coroutine_fn discard_blocks(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    const BlockLimits *bl = &bs->bl;
    int64_t alignment = MAX(bl->pdiscard_alignment, bl->request_alignment);

    while (bytes > 0) {
        int64_t length = next_piece(offset, bytes, alignment,
                                    ROUND_DOWN(bl->max_pdiscard, bl->request_alignment));
        int ret;

        if (!bs->drv) {
            return -ENOMEDIUM;
        }
        ret = bs->drv->bdrv_co_pdiscard(bs, offset, length);
        /* The ends of a range may be too small to give back where its middle is not. */
        if (ret < 0 && (ret != -ENOTSUP || bl->zoned == BLK_Z_HM)) {
            return ret;
        }
        offset += length;
        bytes -= length;
    }
    return 0;
}

int coroutine_fn bdrv_co_pdiscard(BdrvChild *child, int64_t offset, int64_t bytes)
{
    BlockDriverState *bs = child->bs;
    uint32_t align = bs->bl.request_alignment;
    BdrvTrackedRequest req;
    int64_t first, last;
    int ret = io_check_change(bs, offset, bytes);

    if (ret == 0) {
        ret = check_zones(bs, offset, bytes);
    }
    if (ret < 0) {
        bs->stats.counters[BDRV_STATS_UNMAP].invalid++;
        return ret;
    }
    first = ROUND_UP(offset, align);
    last = ROUND_DOWN(MIN(offset + bytes, bs->total_bytes), align);
    if (first >= last || !(bs->open_flags & BDRV_O_UNMAP) || !bs->drv->bdrv_co_pdiscard) {
        return 0;
    }
    io_tracked_begin(&req, bs, first, last - first);
    ret = discard_blocks(bs, first, last - first);
    io_note_change(bs, last, ret);
    io_tracked_end(&req);
    return io_count(bs, BDRV_STATS_UNMAP, last - first, ret);
}
