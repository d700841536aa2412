/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bottom halves.
 *
 * Whoever schedules one pushes it on the context's list of incoming ones, if it is not there
 * already; at each turn the loop takes the whole list and appends it, oldest first, to those that
 * are ready.  Both are linked by @next, which belongs to whoever set IS_QUEUED until the loop
 * clears it.
 */
#include "qemu/osdep.h"

#include "aio-internal.h"

enum {
    IS_QUEUED = 1 << 0,
    IS_SCHEDULED = 1 << 1,
    IS_DELETED = 1 << 2, /* free it when its turn comes */
    IS_ONESHOT = 1 << 3,
};

struct QEMUBH {
    AioContext *ctx;
    QEMUBHFunc *cb;
    void *opaque;
    QEMUBH *next;
    unsigned int flags; /* atomic */
};

void aio_bh_init(AioContext *ctx)
{
    ctx->last_ready_bh = &ctx->first_ready_bh;
}

static QEMUBH *bh_new(AioContext *ctx, QEMUBHFunc *cb, void *opaque, unsigned int flags)
{
    QEMUBH *bh = g_new(QEMUBH, 1);

    *bh = (QEMUBH){.ctx = ctx, .cb = cb, .opaque = opaque, .flags = flags};
    return bh;
}

QEMUBH *aio_bh_new(AioContext *ctx, QEMUBHFunc *cb, void *opaque)
{
    return bh_new(ctx, cb, opaque, 0);
}

static void bh_set_flags(QEMUBH *bh, unsigned int flags)
{
    AioContext *ctx = bh->ctx;

    if (!(__atomic_fetch_or(&bh->flags, flags | IS_QUEUED, __ATOMIC_ACQ_REL) & IS_QUEUED)) {
        QEMUBH *head = __atomic_load_n(&ctx->incoming_bhs, __ATOMIC_RELAXED);

        do {
            bh->next = head;
        } while (!__atomic_compare_exchange_n(&ctx->incoming_bhs, &head, bh, true, __ATOMIC_SEQ_CST,
                                              __ATOMIC_RELAXED));
    }
    if (ctx != qemu_get_current_aio_context()) {
        aio_notify(ctx);
    }
}

void qemu_bh_schedule(QEMUBH *bh)
{
    bh_set_flags(bh, IS_SCHEDULED);
}

void aio_bh_schedule_oneshot(AioContext *ctx, QEMUBHFunc *cb, void *opaque)
{
    bh_set_flags(bh_new(ctx, cb, opaque, IS_ONESHOT), IS_SCHEDULED);
}

void qemu_bh_cancel(QEMUBH *bh)
{
    __atomic_fetch_and(&bh->flags, ~IS_SCHEDULED, __ATOMIC_ACQ_REL);
}

void qemu_bh_delete(QEMUBH *bh)
{
    if (bh) {
        bh_set_flags(bh, IS_DELETED);
    }
}

bool aio_bh_is_pending(AioContext *ctx)
{
    return ctx->first_ready_bh || __atomic_load_n(&ctx->incoming_bhs, __ATOMIC_SEQ_CST);
}

static void collect_incoming(AioContext *ctx)
{
    QEMUBH *bh = __atomic_exchange_n(&ctx->incoming_bhs, NULL, __ATOMIC_SEQ_CST);
    QEMUBH *oldest_first = NULL;
    QEMUBH *newest = bh;

    while (bh) {
        QEMUBH *older = bh->next;

        bh->next = oldest_first;
        oldest_first = bh;
        bh = older;
    }
    if (newest) {
        *ctx->last_ready_bh = oldest_first;
        ctx->last_ready_bh = &newest->next;
    }
}

static QEMUBH *take_first_ready(AioContext *ctx)
{
    QEMUBH *bh = ctx->first_ready_bh;

    if (bh) {
        ctx->first_ready_bh = bh->next;
        if (!bh->next) {
            ctx->last_ready_bh = &ctx->first_ready_bh;
        }
    }
    return bh;
}

/* Returns whether its callback ran. */
static bool bh_take_turn(QEMUBH *bh)
{
    unsigned int flags =
        __atomic_fetch_and(&bh->flags, ~(IS_QUEUED | IS_SCHEDULED), __ATOMIC_ACQ_REL);
    bool is_due = (flags & IS_SCHEDULED) && !(flags & IS_DELETED);

    if (is_due) {
        bh->cb(bh->opaque);
    }
    if (flags & (IS_DELETED | IS_ONESHOT)) {
        g_free(bh);
    }
    return is_due;
}

/*
 * Runs those that are scheduled now; what they schedule is incoming again, and has its turn after
 * the kernel was asked.  A callback may run a nested loop, which takes the rest.
 */
bool aio_bh_run(AioContext *ctx)
{
    bool has_run = false;
    QEMUBH *bh;

    if (!aio_bh_is_pending(ctx)) {
        return false;
    }
    collect_incoming(ctx);
    while ((bh = take_first_ready(ctx))) {
        has_run |= bh_take_turn(bh);
    }
    return has_run;
}

/* Those that were deleted or can run only once are freed unrun; the others belong to whoever made
 * them. */
void aio_bh_cleanup(AioContext *ctx)
{
    QEMUBH *bh;

    collect_incoming(ctx);
    while ((bh = take_first_ready(ctx))) {
        if (bh->flags & (IS_DELETED | IS_ONESHOT)) {
            g_free(bh);
        } else {
            bh->flags = 0;
        }
    }
}
