/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests for code outside coroutines: each runs in a coroutine of the node's AioContext, whose
 * loop is run until it has ended.  A caller in another thread sleeps meanwhile.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

typedef struct SyncCall {
    AioContext *ctx;
    BdrvCoFunc *func;
    void *arg;
    int ret;
    bool is_done;
} SyncCall;

static void coroutine_fn sync_call_entry(void *opaque)
{
    SyncCall *call = opaque;

    call->ret = call->func(call->arg);
    call->is_done = true;
}

static void sync_call_run(void *opaque)
{
    SyncCall *call = opaque;

    qemu_coroutine_enter(qemu_coroutine_create(sync_call_entry, call));
    AIO_WAIT_WHILE(call->ctx, !call->is_done);
}

int bdrv_run_co(AioContext *ctx, BdrvCoFunc *func, void *arg)
{
    SyncCall call = {.ctx = ctx, .func = func, .arg = arg};

    if (qemu_in_coroutine()) {
        assert(ctx == qemu_get_current_aio_context());
        return func(arg);
    }
    aio_run_in(ctx, sync_call_run, &call);
    return call.ret;
}

typedef struct SyncRequest {
    BdrvChild *child;
    BlockDriverState *bs;
    int64_t offset;
    int64_t bytes;
    void *buf;
    BdrvRequestFlags flags;
    bool exact;
    PreallocMode prealloc;
    int64_t length;
    Error **errp;
} SyncRequest;

static int coroutine_fn pread_entry(void *arg)
{
    SyncRequest *req = arg;

    return bdrv_co_pread(req->child, req->offset, req->bytes, req->buf, req->flags);
}

int bdrv_pread(BdrvChild *child, int64_t offset, int64_t bytes, void *buf, BdrvRequestFlags flags)
{
    SyncRequest req = {
        .child = child, .offset = offset, .bytes = bytes, .buf = buf, .flags = flags,
    };

    return bdrv_run_co(child->bs->aio_context, pread_entry, &req);
}

static int coroutine_fn pwrite_entry(void *arg)
{
    SyncRequest *req = arg;

    return bdrv_co_pwrite(req->child, req->offset, req->bytes, req->buf, req->flags);
}

int bdrv_pwrite(BdrvChild *child, int64_t offset, int64_t bytes, const void *buf,
                BdrvRequestFlags flags)
{
    SyncRequest req = {
        .child = child, .offset = offset, .bytes = bytes, .buf = (void *)buf, .flags = flags,
    };

    return bdrv_run_co(child->bs->aio_context, pwrite_entry, &req);
}

static int coroutine_fn flush_entry(void *arg)
{
    return bdrv_co_flush(arg);
}

int bdrv_flush(BlockDriverState *bs)
{
    return bdrv_run_co(bs->aio_context, flush_entry, bs);
}

static int coroutine_fn getlength_entry(void *arg)
{
    SyncRequest *req = arg;

    req->length = bdrv_co_getlength(req->bs);
    return 0;
}

int64_t bdrv_getlength(BlockDriverState *bs)
{
    SyncRequest req = {.bs = bs};

    bdrv_run_co(bs->aio_context, getlength_entry, &req);
    return req.length;
}

static int coroutine_fn truncate_entry(void *arg)
{
    SyncRequest *req = arg;

    return bdrv_co_truncate(req->child, req->offset, req->exact, req->prealloc, req->flags,
                            req->errp);
}

int bdrv_truncate(BdrvChild *child, int64_t offset, bool exact, PreallocMode prealloc,
                  BdrvRequestFlags flags, Error **errp)
{
    SyncRequest req = {
        .child = child, .offset = offset, .exact = exact, .prealloc = prealloc, .flags = flags,
        .errp = errp,
    };

    return bdrv_run_co(child->bs->aio_context, truncate_entry, &req);
}
