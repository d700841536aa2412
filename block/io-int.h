/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the request path share: tracking of requests in flight, the test whether a
 * request can go to the driver as it is, and the slow path for those that cannot.
 *
 * Private to block/io*.c.  The inline functions are the hot path: each aligned request runs all of
 * them once, so they allocate nothing and call nothing unless something unusual is the case.
 */
#ifndef BLOCK_IO_INT_H
#define BLOCK_IO_INT_H

#include "block/block_int.h"

/* The most memory that one request takes to bounce data, in bytes. */
#define IO_BOUNCE_MAX MiB

/* ---- tracked requests (io-tracked.c) ---- */

/* Wait until no older request stands against @req. */
void coroutine_fn io_tracked_wait(BdrvTrackedRequest *req);

/*
 * Begin a request that waits for, and keeps out, every request in [@offset, @offset + @bytes),
 * rounded out to the node's request alignment.
 */
void coroutine_fn io_tracked_begin_serialising(BdrvTrackedRequest *req, BlockDriverState *bs,
                                               int64_t offset, int64_t bytes);

/* Begin a request that only waits for serialising ones. */
static inline void coroutine_fn io_tracked_begin(BdrvTrackedRequest *req, BlockDriverState *bs,
                                                 int64_t offset, int64_t bytes)
{
    req->bs = bs;
    req->offset = offset;
    req->bytes = bytes;
    req->is_serialising = false;
    STAILQ_INIT(&req->wait_queue.waiting);
    LIST_INSERT_HEAD(&bs->tracked_requests, req, link);
    bs->in_flight++;
    if (unlikely(bs->serialising_in_flight)) {
        io_tracked_wait(req);
    }
}

static inline void io_tracked_end(BdrvTrackedRequest *req)
{
    BlockDriverState *bs = req->bs;

    LIST_REMOVE(req, link);
    bs->serialising_in_flight -= req->is_serialising;
    bs->in_flight--;
    if (unlikely(!STAILQ_EMPTY(&req->wait_queue.waiting))) {
        qemu_co_queue_restart_all(&req->wait_queue);
    }
}

/* ---- checks ---- */

static inline bool io_is_inside(const BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    return offset >= 0 && bytes >= 0 && offset <= bs->total_bytes &&
           bytes <= bs->total_bytes - offset;
}

static inline bool io_is_aligned(const BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    return ((offset | bytes) & (bs->bl.request_alignment - 1)) == 0;
}

/*
 * Whether a change of this range is allowed: 0, -ENOMEDIUM, -EIO (outside of the node), -EFBIG
 * (past what a file can grow to) or -EPERM.
 */
static inline int io_check_change(const BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    if (unlikely(!bs->drv)) {
        return -ENOMEDIUM;
    }
    if (unlikely(!io_is_inside(bs, offset, bytes))) {
        if (offset < 0 || bytes < 0 || !bs->is_growable) {
            return -EIO;
        }
        if (offset > BDRV_MAX_LENGTH || bytes > BDRV_MAX_LENGTH - offset) {
            return -EFBIG;
        }
    }
    return unlikely(bs->read_only) ? -EPERM : 0;
}

/*
 * A change of [..., @end) has ended, well or not: a flush has something to do, and a file may have
 * grown.
 */
static inline void io_note_change(BlockDriverState *bs, int64_t end, int ret)
{
    bs->write_gen++;
    if (unlikely(end > bs->total_bytes) && ret == 0 && bs->is_growable) {
        bs->total_bytes = ROUND_UP(end, BDRV_SECTOR_SIZE);
    }
}

/* ---- counting (block-stats.c) ---- */

/* A request of @type ended with @err (negative): count it as invalid or as failed. */
void io_count_error(BlockDriverState *bs, BdrvStatsType type, int err);

/* A request of @type of @bytes ended with @ret.  Returns @ret. */
static inline int io_count(BlockDriverState *bs, BdrvStatsType type, int64_t bytes, int ret)
{
    BdrvCounter *counter = &bs->stats.counters[type];

    if (unlikely(ret < 0)) {
        io_count_error(bs, type, ret);
        return ret;
    }
    counter->bytes += bytes;
    counter->operations++;
    return ret;
}

/* The same for a change of the @bytes before @end. */
static inline int io_count_write(BlockDriverState *bs, BdrvStatsType type, int64_t end,
                                 int64_t bytes, int ret)
{
    if (ret == 0 && end > bs->stats.wr_highest_offset) {
        bs->stats.wr_highest_offset = end;
    }
    return io_count(bs, type, bytes, ret);
}

/* ---- alignment, splitting, bounce buffers (io-align.c) ---- */

/* Whether every element of the part of @qiov lies in memory that the driver can use. */
bool io_memory_fits(const BlockLimits *bl, const QEMUIOVector *qiov, size_t qiov_offset,
                    int64_t bytes);

/* Whether the driver can be given this request as it is. */
static inline bool io_fits(const BlockDriverState *bs, int64_t offset, int64_t bytes,
                           const QEMUIOVector *qiov, size_t qiov_offset)
{
    const BlockLimits *bl = &bs->bl;

    return io_is_aligned(bs, offset, bytes) &&
           (bl->max_transfer == 0 || bytes <= bl->max_transfer) &&
           (bl->max_iov == 0 || qiov->niov <= bl->max_iov) &&
           (bl->min_mem_alignment <= 1 || io_memory_fits(bl, qiov, qiov_offset, bytes));
}

/*
 * Do a request that does not fit, in pieces that do.  Where @offset or @bytes is not aligned, a
 * write reads and rewrites the blocks at its ends; the caller has serialised it.
 *
 * @qiov NULL: write zeroes.
 */
int coroutine_fn io_read_in_pieces(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                   QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags);
int coroutine_fn io_write_in_pieces(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                    QEMUIOVector *qiov, size_t qiov_offset,
                                    BdrvRequestFlags flags);

#endif
