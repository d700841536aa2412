/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests for code outside coroutines: each runs in a coroutine of the node's AioContext, and the
 * caller runs the event loop until it has ended.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

typedef struct SyncCall {
    BdrvCoFunc *func;
    void *arg;
    int ret;
    AioContext *waiter;
    bool is_done; /* set last, by the coroutine; read by the waiter, perhaps in another thread */
} SyncCall;

static void coroutine_fn sync_call_entry(void *opaque)
{
    SyncCall *call = opaque;
    AioContext *waiter = call->waiter;

    call->ret = call->func(call->arg);
    /* From here on @call may be gone. */
    __atomic_store_n(&call->is_done, true, __ATOMIC_RELEASE);
    aio_notify(waiter);
}

int bdrv_run_co(AioContext *ctx, BdrvCoFunc *func, void *arg)
{
    SyncCall call = {.func = func, .arg = arg, .waiter = qemu_get_current_aio_context()};

    if (qemu_in_coroutine()) {
        return func(arg);
    }
    aio_co_enter(ctx, qemu_coroutine_create(sync_call_entry, &call));
    AIO_WAIT_WHILE(call.waiter, !__atomic_load_n(&call.is_done, __ATOMIC_ACQUIRE));
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
