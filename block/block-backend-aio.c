/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a BlockBackend that end in a callback.
 *
 * Each runs in a coroutine of its own.  One that yields calls back when it ends; one that ends at
 * once is queued, and a single bottom half calls back for all that were queued meanwhile.  So no
 * callback comes before the function that started the request has returned, and a driver that never
 * waits costs one turn of the loop for a whole batch.
 */
#include "qemu/osdep.h"

#include "block/backend-int.h"

/* As many as a deep queue needs; more are freed. */
#define MAX_SPARE_REQUESTS 256

struct BlkAioRequest {
    BlockBackend *blk;
    BlockCompletionFunc *cb;
    void *opaque;
    int64_t offset;
    int64_t bytes;
    int64_t *append_offset;
    QEMUIOVector *qiov;
    BdrvRequestFlags flags;
    int ret;
    bool has_returned; /* the function that started it: the callback may be called */
    union {
        STAILQ_ENTRY(BlkAioRequest) completed_link;
        SLIST_ENTRY(BlkAioRequest) spare_link;
    };
};

static BlkAioRequest *new_request(BlockBackend *blk, BlockCompletionFunc *cb, void *opaque)
{
    BlkAioRequest *req = SLIST_FIRST(&blk->spare);

    if (likely(req)) {
        SLIST_REMOVE_HEAD(&blk->spare, spare_link);
        blk->nr_spare--;
    } else {
        req = g_new(BlkAioRequest, 1);
    }
    req->blk = blk;
    req->cb = cb;
    req->opaque = opaque;
    req->has_returned = false;
    return req;
}

static void free_request(BlkAioRequest *req)
{
    BlockBackend *blk = req->blk;

    if (unlikely(blk->nr_spare >= MAX_SPARE_REQUESTS)) {
        g_free(req);
        return;
    }
    SLIST_INSERT_HEAD(&blk->spare, req, spare_link);
    blk->nr_spare++;
}

void blk_free_spare(BlockBackend *blk)
{
    BlkAioRequest *req;

    while ((req = SLIST_FIRST(&blk->spare))) {
        SLIST_REMOVE_HEAD(&blk->spare, spare_link);
        g_free(req);
    }
}

/* The memory of @req goes first, so that a request started by the callback finds it warm. */
static void call_back(BlkAioRequest *req)
{
    BlockBackend *blk = req->blk;
    BlockCompletionFunc *cb = req->cb;
    void *opaque = req->opaque;
    int ret = req->ret;

    free_request(req);
    cb(opaque, ret);
    blk->in_flight--;
}

void blk_run_completed(void *opaque)
{
    BlockBackend *blk = opaque;
    unsigned int nr_left = blk->nr_completed;

    if (!nr_left) {
        return;
    }
    /*
     * For requests that complete meanwhile, and for the rest of these where a callback runs the
     * event loop.
     */
    qemu_bh_schedule(blk->completed_bh);
    blk->in_flight++;
    while (nr_left-- && blk->nr_completed) {
        BlkAioRequest *req = STAILQ_FIRST(&blk->completed);

        STAILQ_REMOVE_HEAD(&blk->completed, completed_link);
        blk->nr_completed--;
        call_back(req);
    }
    blk->in_flight--;
}

static void coroutine_fn end_request(BlkAioRequest *req, int ret)
{
    BlockBackend *blk = req->blk;

    req->ret = ret;
    if (req->has_returned) {
        call_back(req);
        return;
    }
    STAILQ_INSERT_TAIL(&blk->completed, req, completed_link);
    if (blk->nr_completed++ == 0) {
        qemu_bh_schedule(blk->completed_bh);
    }
}

/* @req outlives the first run of its coroutine: it ends in the event loop, never here. */
static void start_request(BlkAioRequest *req, CoroutineEntry *entry)
{
    req->blk->in_flight++;
    qemu_coroutine_enter(qemu_coroutine_create(entry, req));
    req->has_returned = true;
}

static void coroutine_fn preadv_entry(void *opaque)
{
    BlkAioRequest *req = opaque;

    end_request(req, blk_co_preadv(req->blk, req->offset, req->qiov->size, req->qiov, req->flags));
}

void blk_aio_preadv(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags,
                    BlockCompletionFunc *cb, void *opaque)
{
    BlkAioRequest *req = new_request(blk, cb, opaque);

    req->offset = offset;
    req->qiov = qiov;
    req->flags = flags;
    start_request(req, preadv_entry);
}

static void coroutine_fn pwritev_entry(void *opaque)
{
    BlkAioRequest *req = opaque;

    end_request(req, blk_co_pwritev(req->blk, req->offset, req->qiov->size, req->qiov, req->flags));
}

void blk_aio_pwritev(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags,
                     BlockCompletionFunc *cb, void *opaque)
{
    BlkAioRequest *req = new_request(blk, cb, opaque);

    req->offset = offset;
    req->qiov = qiov;
    req->flags = flags;
    start_request(req, pwritev_entry);
}

static void coroutine_fn pwrite_zeroes_entry(void *opaque)
{
    BlkAioRequest *req = opaque;

    end_request(req, blk_co_pwrite_zeroes(req->blk, req->offset, req->bytes, req->flags));
}

void blk_aio_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, BdrvRequestFlags flags,
                           BlockCompletionFunc *cb, void *opaque)
{
    BlkAioRequest *req = new_request(blk, cb, opaque);

    req->offset = offset;
    req->bytes = bytes;
    req->flags = flags;
    start_request(req, pwrite_zeroes_entry);
}

static void coroutine_fn pdiscard_entry(void *opaque)
{
    BlkAioRequest *req = opaque;

    end_request(req, blk_co_pdiscard(req->blk, req->offset, req->bytes));
}

void blk_aio_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes, BlockCompletionFunc *cb,
                      void *opaque)
{
    BlkAioRequest *req = new_request(blk, cb, opaque);

    req->offset = offset;
    req->bytes = bytes;
    start_request(req, pdiscard_entry);
}

static void coroutine_fn flush_entry(void *opaque)
{
    BlkAioRequest *req = opaque;

    end_request(req, blk_co_flush(req->blk));
}

void blk_aio_flush(BlockBackend *blk, BlockCompletionFunc *cb, void *opaque)
{
    start_request(new_request(blk, cb, opaque), flush_entry);
}

static void coroutine_fn zone_append_entry(void *opaque)
{
    BlkAioRequest *req = opaque;

    end_request(req, blk_co_zone_append(req->blk, req->append_offset, req->qiov, req->flags));
}

void blk_aio_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov,
                         BdrvRequestFlags flags, BlockCompletionFunc *cb, void *opaque)
{
    BlkAioRequest *req = new_request(blk, cb, opaque);

    req->append_offset = offset;
    req->qiov = qiov;
    req->flags = flags;
    start_request(req, zone_append_entry);
}
