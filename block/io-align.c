/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that a driver cannot be given as they are: not on its block boundaries, in memory that
 * it cannot use, of too many elements, or too long.
 *
 * They are cut into pieces.  A piece goes straight from or to the requester's memory as far as that
 * fits, otherwise through a bounce buffer of whole blocks, of which a write first reads the ones
 * that it covers only in part.
 *
 * Only io.c and io-zero.c call this, with the request tracked, and serialised where it is a write
 * that is not aligned.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

/* A request on its way: the rest that has not been done yet. */
typedef struct PiecewiseRequest {
    BlockDriverState *bs;
    bool is_write;
    int64_t offset;
    int64_t bytes;
    QEMUIOVector *qiov; /* NULL: zeroes */
    size_t qiov_offset;
    BdrvRequestFlags flags;
    uint8_t *bounce; /* whole blocks; NULL until it is needed */
} PiecewiseRequest;

/* The longest piece, a multiple of the request alignment. */
static int64_t max_piece(const BlockLimits *bl)
{
    int64_t max_bytes = bl->max_transfer ? bl->max_transfer : BDRV_REQUEST_MAX_BYTES;

    return MAX(ROUND_DOWN(max_bytes, bl->request_alignment), bl->request_alignment);
}

/*
 * How many bytes of @qiov, from @skip on and at most @bytes, the driver can use: a multiple of the
 * request alignment, 0 where the first block already must be bounced.
 */
static int64_t usable_memory(const BlockLimits *bl, const QEMUIOVector *qiov, size_t skip,
                             int64_t bytes)
{
    bool has_memory_limit = bl->min_mem_alignment > 1;
    int64_t usable = 0;
    int nr_elements = 0;

    for (int i = 0; i < qiov->niov && usable < bytes; i++) {
        uintptr_t base = (uintptr_t)qiov->iov[i].iov_base + skip;
        int64_t len;

        if (skip >= qiov->iov[i].iov_len) {
            skip -= qiov->iov[i].iov_len;
            continue;
        }
        len = MIN(qiov->iov[i].iov_len - skip, bytes - usable);
        skip = 0;
        if ((bl->max_iov && nr_elements == bl->max_iov) ||
            (has_memory_limit && (base & (bl->min_mem_alignment - 1)))) {
            break;
        }
        usable += len;
        nr_elements++;
        /* Host kernels want whole blocks in each element, not only in the sum. */
        if (has_memory_limit && (len & (bl->request_alignment - 1))) {
            break;
        }
    }
    return ROUND_DOWN(usable, bl->request_alignment);
}

bool io_memory_fits(const BlockLimits *bl, const QEMUIOVector *qiov, size_t qiov_offset,
                    int64_t bytes)
{
    if (qiov->niov == 1) {
        uintptr_t base = (uintptr_t)qiov->iov[0].iov_base + qiov_offset;

        return (base & (bl->min_mem_alignment - 1)) == 0;
    }
    return usable_memory(bl, qiov, qiov_offset, bytes) == bytes;
}

static int64_t direct_length(const PiecewiseRequest *req)
{
    const BlockLimits *bl = &req->bs->bl;

    if (!req->qiov || (req->offset & (bl->request_alignment - 1))) {
        return 0;
    }
    return usable_memory(bl, req->qiov, req->qiov_offset, MIN(req->bytes, max_piece(bl)));
}

/* The block-aligned range that the next bounced piece covers, and the buffer for it. */
static int bounce_prepare(PiecewiseRequest *req, int64_t *start, int64_t *length)
{
    const BlockLimits *bl = &req->bs->bl;
    int64_t max_length = MIN(max_piece(bl), MAX(IO_BOUNCE_MAX, bl->request_alignment));

    *start = ROUND_DOWN(req->offset, bl->request_alignment);
    *length = MIN(ROUND_UP(req->offset + req->bytes, bl->request_alignment) - *start, max_length);
    if (!req->bounce) {
        /* No later piece is longer than the first: less is left to do. */
        req->bounce = qemu_try_memalign(MAX(bl->opt_mem_alignment, bl->min_mem_alignment),
                                        *length);
    }
    return req->bounce ? 0 : -ENOMEM;
}

static int coroutine_fn call_driver(BlockDriverState *bs, bool is_write, int64_t offset,
                                    int64_t bytes, QEMUIOVector *qiov, size_t qiov_offset,
                                    BdrvRequestFlags flags)
{
    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    return is_write ? bs->drv->bdrv_co_pwritev_part(bs, offset, bytes, qiov, qiov_offset, flags)
                    : bs->drv->bdrv_co_preadv_part(bs, offset, bytes, qiov, qiov_offset, flags);
}

/* Read @length bytes at @offset to the start of the bounce buffer. */
static int coroutine_fn read_blocks(PiecewiseRequest *req, int64_t offset, int64_t length)
{
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, req->bounce, length);
    return call_driver(req->bs, false, offset, length, &qiov, 0, 0);
}

/*
 * Read the blocks of the bounce buffer that the write covers only in part: the first @head bytes
 * and what follows the first @end bytes stay as they are on disk.
 */
static int coroutine_fn read_partial_blocks(PiecewiseRequest *req, int64_t start, int64_t head,
                                            int64_t end)
{
    int64_t align = req->bs->bl.request_alignment;
    int64_t last_block = ROUND_DOWN(end, align);
    int ret = 0;

    /*
     * Memory may have to be aligned to more than a block, so each is read to the start of the
     * buffer.
     */
    if (end != last_block && (head == 0 || last_block > 0)) {
        ret = read_blocks(req, start + last_block, align);
        memmove(req->bounce + last_block, req->bounce, align);
    }
    if (ret >= 0 && head > 0) {
        ret = read_blocks(req, start, align);
    }
    return ret;
}

static int coroutine_fn read_bounced(PiecewiseRequest *req, int64_t start, int64_t length,
                                     int64_t head, int64_t wanted)
{
    int ret = read_blocks(req, start, length);

    if (ret >= 0) {
        qemu_iovec_from_buf(req->qiov, req->qiov_offset, req->bounce + head, wanted);
    }
    return ret;
}

static int coroutine_fn write_bounced(PiecewiseRequest *req, int64_t start, int64_t length,
                                      int64_t head, int64_t wanted)
{
    QEMUIOVector qiov;
    int ret = read_partial_blocks(req, start, head, head + wanted);

    if (ret < 0) {
        return ret;
    }
    if (req->qiov) {
        qemu_iovec_to_buf(req->qiov, req->qiov_offset, req->bounce + head, wanted);
    } else {
        memset(req->bounce + head, 0, wanted);
    }
    qemu_iovec_init_buf(&qiov, req->bounce, length);
    return call_driver(req->bs, true, start, length, &qiov, 0, req->flags);
}

/* Do the next piece; *@done is how much of the request that was. */
static int coroutine_fn do_piece(PiecewiseRequest *req, int64_t *done)
{
    int64_t start, length, head;
    int ret;

    *done = direct_length(req);
    if (*done > 0) {
        return call_driver(req->bs, req->is_write, req->offset, *done, req->qiov, req->qiov_offset,
                           req->flags);
    }
    ret = bounce_prepare(req, &start, &length);
    if (ret < 0) {
        return ret;
    }
    head = req->offset - start;
    *done = MIN(length - head, req->bytes);
    return req->is_write ? write_bounced(req, start, length, head, *done)
                         : read_bounced(req, start, length, head, *done);
}

static int coroutine_fn do_in_pieces(PiecewiseRequest *req)
{
    int64_t done;
    int ret = 0;

    while (req->bytes > 0 && ret >= 0) {
        ret = do_piece(req, &done);
        req->offset += done;
        req->bytes -= done;
        req->qiov_offset += done;
    }
    qemu_vfree(req->bounce);
    return ret;
}

int coroutine_fn io_read_in_pieces(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                   QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    PiecewiseRequest req = {
        .bs = bs, .is_write = false, .offset = offset, .bytes = bytes,
        .qiov = qiov, .qiov_offset = qiov_offset, .flags = flags,
    };

    return do_in_pieces(&req);
}

int coroutine_fn io_write_in_pieces(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                    QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    PiecewiseRequest req = {
        .bs = bs, .is_write = true, .offset = offset, .bytes = bytes,
        .qiov = qiov, .qiov_offset = qiov_offset, .flags = flags,
    };

    return do_in_pieces(&req);
}
