/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of a BlockBackend for callers that wait: each runs in a coroutine while the event loop
 * turns, or in the caller's coroutine where there is one.
 */
#include "qemu/osdep.h"

#include "block/backend-int.h"

typedef struct BlkSyncRequest {
    BlockBackend *blk;
    int64_t offset;
    int64_t bytes;
    int64_t *append_offset;
    QEMUIOVector *qiov;
    BdrvRequestFlags flags;
    unsigned int *nr_zones;
    BlockZoneDescriptor *zones;
    BlockZoneOp op;
    bool is_exact;
    PreallocMode prealloc;
    Error **errp;
} BlkSyncRequest;

static int coroutine_fn preadv_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_preadv(req->blk, req->offset, req->qiov->size, req->qiov, req->flags);
}

int blk_preadv(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    BlkSyncRequest req = {.blk = blk, .offset = offset, .qiov = qiov, .flags = flags};

    return bdrv_run_co(blk->ctx, preadv_entry, &req);
}

int blk_pread(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf, BdrvRequestFlags flags)
{
    QEMUIOVector qiov;

    if (bytes < 0) {
        return -EIO;
    }
    qemu_iovec_init_buf(&qiov, buf, bytes);
    return blk_preadv(blk, offset, &qiov, flags);
}

static int coroutine_fn pwritev_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_pwritev(req->blk, req->offset, req->qiov->size, req->qiov, req->flags);
}

int blk_pwritev(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    BlkSyncRequest req = {.blk = blk, .offset = offset, .qiov = qiov, .flags = flags};

    return bdrv_run_co(blk->ctx, pwritev_entry, &req);
}

int blk_pwrite(BlockBackend *blk, int64_t offset, int64_t bytes, const void *buf,
               BdrvRequestFlags flags)
{
    QEMUIOVector qiov;

    if (bytes < 0) {
        return -EIO;
    }
    /* A vector has no const form; a write does not change what it points to. */
    qemu_iovec_init_buf(&qiov, (void *)buf, bytes);
    return blk_pwritev(blk, offset, &qiov, flags);
}

static int coroutine_fn pwrite_zeroes_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_pwrite_zeroes(req->blk, req->offset, req->bytes, req->flags);
}

int blk_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, BdrvRequestFlags flags)
{
    BlkSyncRequest req = {.blk = blk, .offset = offset, .bytes = bytes, .flags = flags};

    return bdrv_run_co(blk->ctx, pwrite_zeroes_entry, &req);
}

static int coroutine_fn pdiscard_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_pdiscard(req->blk, req->offset, req->bytes);
}

int blk_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    BlkSyncRequest req = {.blk = blk, .offset = offset, .bytes = bytes};

    return bdrv_run_co(blk->ctx, pdiscard_entry, &req);
}

static int coroutine_fn flush_entry(void *arg)
{
    return blk_co_flush(arg);
}

int blk_flush(BlockBackend *blk)
{
    return bdrv_run_co(blk->ctx, flush_entry, blk);
}

static int coroutine_fn truncate_entry(void *arg)
{
    BlkSyncRequest *req = arg;
    BlockBackend *blk = req->blk;
    int ret = blk_begin_change(blk, req->offset, 0);

    if (ret < 0) {
        error_setg_errno(req->errp, -ret, "Cannot change the length");
        return ret;
    }
    return blk_end_request(blk, bdrv_co_truncate(blk->root, req->offset, req->is_exact,
                                                 req->prealloc, req->flags, req->errp));
}

int blk_truncate(BlockBackend *blk, int64_t offset, bool exact, PreallocMode prealloc,
                 BdrvRequestFlags flags, Error **errp)
{
    BlkSyncRequest req = {
        .blk = blk,
        .offset = offset,
        .is_exact = exact,
        .prealloc = prealloc,
        .flags = flags,
        .errp = errp,
    };
    int ret;

    if (blk->root && blk_is_writable(blk)) {
        ret = bdrv_child_try_set_perm(blk->root, blk->perm | BLK_PERM_RESIZE, blk->shared_perm,
                                      errp);
        if (ret < 0) {
            return ret;
        }
    }
    ret = bdrv_run_co(blk->ctx, truncate_entry, &req);
    if (blk->root) {
        bdrv_child_try_set_perm(blk->root, blk->perm, blk->shared_perm, NULL);
    }
    return ret;
}

static int coroutine_fn zone_report_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_zone_report(req->blk, req->offset, req->nr_zones, req->zones);
}

int blk_zone_report(BlockBackend *blk, int64_t offset, unsigned int *nr_zones,
                    BlockZoneDescriptor *zones)
{
    BlkSyncRequest req = {.blk = blk, .offset = offset, .nr_zones = nr_zones, .zones = zones};

    return bdrv_run_co(blk->ctx, zone_report_entry, &req);
}

static int coroutine_fn zone_mgmt_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_zone_mgmt(req->blk, req->op, req->offset, req->bytes);
}

int blk_zone_mgmt(BlockBackend *blk, BlockZoneOp op, int64_t offset, int64_t len)
{
    BlkSyncRequest req = {.blk = blk, .op = op, .offset = offset, .bytes = len};

    return bdrv_run_co(blk->ctx, zone_mgmt_entry, &req);
}

static int coroutine_fn zone_append_entry(void *arg)
{
    BlkSyncRequest *req = arg;

    return blk_co_zone_append(req->blk, req->append_offset, req->qiov, req->flags);
}

int blk_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    BlkSyncRequest req = {.blk = blk, .append_offset = offset, .qiov = qiov, .flags = flags};

    return bdrv_run_co(blk->ctx, zone_append_entry, &req);
}
