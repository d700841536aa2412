/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of BlockBackend share: its state, and the check that every request begins with.
 */
#ifndef BLOCK_BACKEND_INT_H
#define BLOCK_BACKEND_INT_H

#include "block/block-backend.h"
#include "block/block_int.h"

typedef struct BlkAioRequest BlkAioRequest;

/*
 * Everything belongs to the thread of @ctx, which is its node's.
 *
 * @in_flight counts every request from its start until its callback has returned, those that wait
 * for the end of a drain included.  @completed holds requests that ended before the function that
 * started them had returned; completed_bh is scheduled while it is not empty.
 */
struct BlockBackend {
    int refcnt;
    AioContext *ctx;
    bool follows_node; /* it may be moved to another thread with its node */
    char *user;        /* who has it, for messages; NULL: unknown */
    BdrvChild *root; /* NULL: no node */
    uint64_t perm;
    uint64_t shared_perm;
    bool has_write_cache; /* off: every write is durable when it completes */
    unsigned int in_flight;

    QEMUBH *completed_bh;
    STAILQ_HEAD(, BlkAioRequest) completed;
    unsigned int nr_completed;
    SLIST_HEAD(, BlkAioRequest) spare; /* for reuse, so that a request costs no malloc() */
    unsigned int nr_spare;
};

/* Call the callbacks of what is in @completed (block-backend-aio.c). */
void blk_run_completed(void *opaque);
void blk_free_spare(BlockBackend *blk);

/* Its node moves, and all callbacks are called in @ctx from now on.  In the present thread, while
 * nothing is in @completed. */
void blk_set_context(BlockBackend *blk, AioContext *ctx);

/* Wait in a coroutine until the node is not drained; -ENOMEDIUM where there is none (any more). */
int coroutine_fn blk_wait_drained(BlockBackend *blk);

/*
 * A new request of @blk: 0, and then blk_end_request() must follow; -ENOMEDIUM; or -EIO for a range
 * that no device can have.
 */
static inline int coroutine_fn blk_begin_request(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    int ret = 0;

    if (unlikely(offset < 0 || bytes < 0 || bytes > INT64_MAX - offset)) {
        return -EIO;
    }
    if (unlikely(!blk->root || blk->root->bs->quiesce_counter)) {
        ret = blk_wait_drained(blk);
    }
    blk->in_flight += ret == 0;
    return ret;
}

/* The same for one that changes something: -EPERM where @blk was opened for reading. */
static inline int coroutine_fn blk_begin_change(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    if (unlikely(!(blk->perm & BLK_PERM_WRITE))) {
        return blk->root ? -EPERM : -ENOMEDIUM;
    }
    return blk_begin_request(blk, offset, bytes);
}

/* Returns @ret, so that it can stand around the call that does the work. */
static inline int blk_end_request(BlockBackend *blk, int ret)
{
    blk->in_flight--;
    return ret;
}

/* The flags of a write, with what the write mode of @blk asks for. */
static inline BdrvRequestFlags blk_write_flags(const BlockBackend *blk, BdrvRequestFlags flags)
{
    return blk->has_write_cache ? flags : flags | BDRV_REQ_FUA;
}

#endif
