/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BlockBackend: its life, its node, and requests from coroutines.
 *
 * Requests are checked only for what the node cannot check itself; while the node is drained they
 * wait here, so that whoever drains sees no new ones.
 */
#include "qemu/osdep.h"

#include "block/backend-int.h"
#include "block/graph-int.h"

/* ---- life ---- */

BlockBackend *blk_new(AioContext *ctx, uint64_t perm, uint64_t shared_perm)
{
    BlockBackend *blk = g_new0(BlockBackend, 1);

    blk->refcnt = 1;
    blk->ctx = ctx;
    blk->perm = perm;
    blk->shared_perm = shared_perm;
    blk->has_write_cache = true;
    blk->completed_bh = aio_bh_new(ctx, blk_run_completed, blk);
    STAILQ_INIT(&blk->completed);
    SLIST_INIT(&blk->spare);
    return blk;
}

void blk_set_user(BlockBackend *blk, const char *user)
{
    g_free(blk->user);
    blk->user = g_strdup(user);
}

const char *blk_get_user(const BlockBackend *blk)
{
    return blk->user ?: "a block backend";
}

void blk_set_allow_aio_context_change(BlockBackend *blk, bool allow)
{
    blk->follows_node = allow;
}

void blk_set_context(BlockBackend *blk, AioContext *ctx)
{
    assert(!blk->nr_completed);
    if (blk->ctx != ctx) {
        qemu_bh_delete(blk->completed_bh);
        blk->ctx = ctx;
        blk->completed_bh = aio_bh_new(ctx, blk_run_completed, blk);
    }
}

int blk_insert_bs(BlockBackend *blk, BlockDriverState *bs, Error **errp)
{
    assert(!blk->root && !blk->in_flight);
    blk_set_context(blk, bs->aio_context);
    bdrv_ref(bs);
    blk->root = bdrv_root_attach_child(bs, "root", blk, blk->perm, blk->shared_perm, errp);
    return blk->root ? 0 : -EPERM;
}

static void remove_bs(void *opaque)
{
    BlockBackend *blk = opaque;
    BdrvChild *root = blk->root;

    if (root) {
        blk_drain(blk);
        blk->root = NULL;
        bdrv_detach_child(root);
    }
}

void blk_remove_bs(BlockBackend *blk)
{
    bdrv_call_in(blk->ctx, remove_bs, blk);
}

void blk_ref(BlockBackend *blk)
{
    assert(blk->refcnt > 0);
    blk->refcnt++;
}

static void delete_backend(void *opaque)
{
    BlockBackend *blk = opaque;

    blk_drain(blk);
    if (blk->root && blk_is_writable(blk)) {
        /* Who needs to know whether this works has flushed before. */
        blk_flush(blk);
    }
    remove_bs(blk);
    assert(STAILQ_EMPTY(&blk->completed));
    qemu_bh_delete(blk->completed_bh);
    blk_free_spare(blk);
    g_free(blk->user);
    g_free(blk);
}

void blk_unref(BlockBackend *blk)
{
    if (!blk) {
        return;
    }
    assert(blk->refcnt > 0);
    if (--blk->refcnt == 0) {
        bdrv_call_in(blk->ctx, delete_backend, blk);
    }
}

static uint64_t perm_for(int flags)
{
    uint64_t perm = 0;

    if (!(flags & BDRV_O_NO_IO)) {
        perm |= BLK_PERM_CONSISTENT_READ;
    }
    if (flags & BDRV_O_RDWR) {
        perm |= BLK_PERM_WRITE;
    }
    return perm;
}

BlockBackend *blk_new_open(const char *filename, const char *reference, json_t *options, int flags,
                           bool writethrough, Error **errp)
{
    BlockDriverState *bs = bdrv_open(filename, reference, options, flags, errp);
    g_autoptr(BlockBackend) blk = NULL;
    int ret;

    if (!bs) {
        return NULL;
    }
    if (bs->read_only && (flags & BDRV_O_AUTO_RDONLY)) {
        flags &= ~BDRV_O_RDWR;
    }
    blk = blk_new(bs->aio_context, perm_for(flags), BLK_PERM_ALL);
    blk->has_write_cache = !writethrough;
    ret = blk_insert_bs(blk, bs, errp);
    bdrv_unref(bs);
    return ret < 0 ? NULL : g_steal_pointer(&blk);
}

int blk_reopen(BlockBackend *blk, json_t *options, int flags, Error **errp)
{
    BlockDriverState *bs = blk->root->bs;
    uint64_t perm = (blk->perm & ~BLK_PERM_WRITE) | (flags & BDRV_O_RDWR ? BLK_PERM_WRITE : 0);
    int old_flags = bs->open_flags;
    int ret;

    /* What is given up goes before the node loses it, what is new comes when the node has it. */
    blk_drain(blk);
    bdrv_child_try_set_perm(blk->root, blk->perm & perm, blk->shared_perm, NULL);
    ret = bdrv_reopen(bs, options, flags, errp);
    if (ret == 0) {
        ret = bdrv_child_try_set_perm(blk->root, perm, blk->shared_perm, errp);
        if (ret == 0) {
            blk->perm = perm;
            return 0;
        }
        bdrv_reopen(bs, NULL, old_flags, NULL);
    }
    bdrv_child_try_set_perm(blk->root, blk->perm, blk->shared_perm, NULL);
    return ret;
}

BlockDriverState *blk_bs(BlockBackend *blk)
{
    return blk->root ? blk->root->bs : NULL;
}

AioContext *blk_get_aio_context(BlockBackend *blk)
{
    return blk->ctx;
}

void blk_set_enable_write_cache(BlockBackend *blk, bool enable)
{
    blk->has_write_cache = enable;
}

bool blk_enable_write_cache(const BlockBackend *blk)
{
    return blk->has_write_cache;
}

bool blk_is_writable(const BlockBackend *blk)
{
    return blk->perm & BLK_PERM_WRITE;
}

int64_t blk_getlength(BlockBackend *blk)
{
    return blk->root ? bdrv_getlength(blk->root->bs) : -ENOMEDIUM;
}

void *blk_blockalign(BlockBackend *blk, size_t size)
{
    assert(blk->root);
    return bdrv_blockalign(blk->root->bs, size);
}

static void drain(void *opaque)
{
    BlockBackend *blk = opaque;

    AIO_WAIT_WHILE(blk->ctx, blk->in_flight > 0);
}

void blk_drain(BlockBackend *blk)
{
    bdrv_call_in(blk->ctx, drain, blk);
}

/* ---- requests ---- */

int coroutine_fn blk_wait_drained(BlockBackend *blk)
{
    blk->in_flight++;
    while (blk->root && blk->root->bs->quiesce_counter) {
        qemu_co_queue_wait(&blk->root->bs->quiesce_queue, NULL);
    }
    blk->in_flight--;
    return blk->root ? 0 : -ENOMEDIUM;
}

int coroutine_fn blk_co_preadv(BlockBackend *blk, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
                               BdrvRequestFlags flags)
{
    int ret = blk_begin_request(blk, offset, bytes);

    if (unlikely(ret < 0)) {
        return ret;
    }
    return blk_end_request(blk,
                           bdrv_co_preadv_part(blk->root, offset, bytes, qiov, 0, flags));
}

int coroutine_fn blk_co_pwritev(BlockBackend *blk, int64_t offset, int64_t bytes,
                                QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    int ret = blk_begin_change(blk, offset, bytes);

    if (unlikely(ret < 0)) {
        return ret;
    }
    return blk_end_request(blk, bdrv_co_pwritev_part(blk->root, offset, bytes, qiov, 0,
                                                     blk_write_flags(blk, flags)));
}

int coroutine_fn blk_co_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes,
                                      BdrvRequestFlags flags)
{
    int ret = blk_begin_change(blk, offset, bytes);

    if (ret < 0) {
        return ret;
    }
    return blk_end_request(
        blk, bdrv_co_pwrite_zeroes(blk->root, offset, bytes, blk_write_flags(blk, flags)));
}

int coroutine_fn blk_co_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    int ret = blk_begin_change(blk, offset, bytes);

    return ret < 0 ? ret : blk_end_request(blk, bdrv_co_pdiscard(blk->root, offset, bytes));
}

int coroutine_fn blk_co_flush(BlockBackend *blk)
{
    int ret = blk_begin_request(blk, 0, 0);

    return ret < 0 ? ret : blk_end_request(blk, bdrv_co_flush(blk->root->bs));
}

int coroutine_fn blk_co_zone_report(BlockBackend *blk, int64_t offset, unsigned int *nr_zones,
                                    BlockZoneDescriptor *zones)
{
    int ret = blk_begin_request(blk, offset, 0);

    if (ret < 0) {
        return ret;
    }
    return blk_end_request(blk, bdrv_co_zone_report(blk->root->bs, offset, nr_zones, zones));
}

int coroutine_fn blk_co_zone_mgmt(BlockBackend *blk, BlockZoneOp op, int64_t offset, int64_t len)
{
    int ret = blk_begin_change(blk, offset, len);

    return ret < 0 ? ret : blk_end_request(blk, bdrv_co_zone_mgmt(blk->root->bs, op, offset, len));
}

int coroutine_fn blk_co_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov,
                                    BdrvRequestFlags flags)
{
    int ret = blk_begin_change(blk, *offset, qiov->size);

    if (unlikely(ret < 0)) {
        return ret;
    }
    return blk_end_request(blk, bdrv_co_zone_append(blk->root->bs, offset, qiov,
                                                    blk_write_flags(blk, flags)));
}
