/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The request path: reads and writes on their way from a parent to the driver of a node.
 *
 * A request is checked, tracked, and handed to the driver.  One that the driver can take as it is,
 * which is nearly every one, costs some dozens of instructions here; the others go through
 * io-align.c.
 *
 * Host-managed zoned nodes announce request_alignment 1 and no max_transfer: their drivers judge
 * position and alignment themselves, and nothing here may rewrite a block or cut a write in two.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"
#include "block/trace.h"

/*
 * A read that is not inside the node: an error, except past the end of a file, where there are
 * zeroes.
 */
static int coroutine_fn read_outside(BdrvChild *child, int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov, size_t qiov_offset,
                                     BdrvRequestFlags flags)
{
    BlockDriverState *bs = child->bs;
    int64_t inside = MAX(bs->total_bytes - offset, 0);
    int ret = 0;

    if (offset < 0 || bytes < 0 || bytes > INT64_MAX - offset || !bs->is_growable) {
        bs->stats.counters[BDRV_STATS_READ].invalid++;
        return -EIO;
    }
    if (inside > 0) {
        ret = bdrv_co_preadv_part(child, offset, inside, qiov, qiov_offset, flags);
    }
    if (ret == 0) {
        qemu_iovec_memset(qiov, qiov_offset + inside, 0, bytes - inside);
    }
    return ret;
}

int coroutine_fn bdrv_co_preadv_part(BdrvChild *child, int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov, size_t qiov_offset,
                                     BdrvRequestFlags flags)
{
    BlockDriverState *bs = child->bs;
    BdrvTrackedRequest req;
    int ret;

    trace_bdrv_co_preadv(bs, offset, bytes, flags);
    if (unlikely(!bs->drv)) {
        return -ENOMEDIUM;
    }
    if (unlikely(!io_is_inside(bs, offset, bytes))) {
        return read_outside(child, offset, bytes, qiov, qiov_offset, flags);
    }
    if (unlikely(bytes == 0)) {
        return 0;
    }
    io_tracked_begin(&req, bs, offset, bytes);
    if (unlikely(!bs->drv)) {
        ret = -ENOMEDIUM;
    } else if (likely(io_fits(bs, offset, bytes, qiov, qiov_offset))) {
        ret = bs->drv->bdrv_co_preadv_part(bs, offset, bytes, qiov, qiov_offset, flags);
    } else {
        ret = io_read_in_pieces(bs, offset, bytes, qiov, qiov_offset, flags);
    }
    io_tracked_end(&req);
    return io_count(bs, BDRV_STATS_READ, bytes, ret);
}

int coroutine_fn bdrv_co_pwritev_part(BdrvChild *child, int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov, size_t qiov_offset,
                                      BdrvRequestFlags flags)
{
    BlockDriverState *bs = child->bs;
    BdrvRequestFlags driver_flags = flags & bs->supported_write_flags;
    BdrvTrackedRequest req;
    int ret = io_check_change(bs, offset, bytes);

    trace_bdrv_co_pwritev(bs, offset, bytes, flags);
    if (unlikely(ret < 0)) {
        bs->stats.counters[BDRV_STATS_WRITE].invalid++;
        return ret;
    }
    if (unlikely(bytes == 0)) {
        return 0;
    }
    if (likely(!(flags & BDRV_REQ_SERIALISING) && io_is_aligned(bs, offset, bytes))) {
        io_tracked_begin(&req, bs, offset, bytes);
    } else {
        io_tracked_begin_serialising(&req, bs, offset, bytes);
    }
    if (unlikely(!bs->drv)) {
        ret = -ENOMEDIUM;
    } else if (likely(io_fits(bs, offset, bytes, qiov, qiov_offset))) {
        ret = bs->drv->bdrv_co_pwritev_part(bs, offset, bytes, qiov, qiov_offset, driver_flags);
    } else {
        ret = io_write_in_pieces(bs, offset, bytes, qiov, qiov_offset, driver_flags);
    }
    io_note_change(bs, offset + bytes, ret);
    io_tracked_end(&req);
    if (unlikely(flags & ~driver_flags & BDRV_REQ_FUA) && ret == 0) {
        ret = bdrv_co_flush(bs);
    }
    return io_count_write(bs, BDRV_STATS_WRITE, offset + bytes, bytes, ret);
}

int coroutine_fn bdrv_co_preadv(BdrvChild *child, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
                                BdrvRequestFlags flags)
{
    return bdrv_co_preadv_part(child, offset, bytes, qiov, 0, flags);
}

int coroutine_fn bdrv_co_pwritev(BdrvChild *child, int64_t offset, int64_t bytes,
                                 QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return bdrv_co_pwritev_part(child, offset, bytes, qiov, 0, flags);
}

int coroutine_fn bdrv_co_pread(BdrvChild *child, int64_t offset, int64_t bytes, void *buf,
                               BdrvRequestFlags flags)
{
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, buf, MAX(bytes, 0));
    return bdrv_co_preadv_part(child, offset, bytes, &qiov, 0, flags);
}

int coroutine_fn bdrv_co_pwrite(BdrvChild *child, int64_t offset, int64_t bytes, const void *buf,
                                BdrvRequestFlags flags)
{
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, (void *)buf, MAX(bytes, 0));
    return bdrv_co_pwritev_part(child, offset, bytes, &qiov, 0, flags);
}

void *bdrv_blockalign(BlockDriverState *bs, size_t size)
{
    return qemu_memalign(MAX(bs->bl.opt_mem_alignment, bs->bl.min_mem_alignment), size);
}

const struct BlockLimits *bdrv_limits(const BlockDriverState *bs)
{
    return &bs->bl;
}

void bdrv_inc_in_flight(BlockDriverState *bs)
{
    bs->in_flight++;
}

void bdrv_dec_in_flight(BlockDriverState *bs)
{
    assert(bs->in_flight > 0);
    bs->in_flight--;
}
