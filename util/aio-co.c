/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entering coroutines through an AioContext.
 *
 * Another thread pushes a coroutine on the context's incoming list; the loop takes the whole list
 * at each turn, and enters them oldest first.  As the loop's thread has then left all coroutines, a
 * coroutine may be scheduled by another thread while it is still on its way to its yield.
 */
#include "qemu/osdep.h"

#include "aio-internal.h"

void aio_co_schedule(AioContext *ctx, Coroutine *co)
{
    Coroutine *head = __atomic_load_n(&ctx->incoming_coroutines, __ATOMIC_RELAXED);
    bool was_scheduled = __atomic_exchange_n(&co->is_scheduled, true, __ATOMIC_ACQ_REL);

    assert(!was_scheduled);
    __atomic_store_n(&co->ctx, ctx, __ATOMIC_RELAXED);
    do {
        STAILQ_NEXT(co, link) = head;
    } while (!__atomic_compare_exchange_n(&ctx->incoming_coroutines, &head, co, true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    if (ctx != qemu_get_current_aio_context()) {
        aio_notify(ctx);
    }
}

void aio_co_wake(Coroutine *co)
{
    aio_co_enter(__atomic_load_n(&co->ctx, __ATOMIC_RELAXED), co);
}

void aio_co_enter(AioContext *ctx, Coroutine *co)
{
    if (ctx != qemu_get_current_aio_context()) {
        aio_co_schedule(ctx, co);
    } else if (qemu_in_coroutine()) {
        co->ctx = ctx;
        coroutine_wake_later(co);
    } else {
        qemu_coroutine_enter(co);
    }
}

/* The wake-up is carried out after the yield below, and looks where the coroutine wants to be. */
void coroutine_fn aio_co_reschedule_self(AioContext *ctx)
{
    Coroutine *self = qemu_coroutine_self();

    if (ctx != qemu_get_current_aio_context()) {
        self->ctx = ctx;
        coroutine_wake_later(self);
        qemu_coroutine_yield();
    }
}

bool aio_co_is_pending(AioContext *ctx)
{
    return !STAILQ_EMPTY(&ctx->ready_coroutines) ||
           __atomic_load_n(&ctx->incoming_coroutines, __ATOMIC_SEQ_CST);
}

static void collect_incoming(AioContext *ctx)
{
    Coroutine *co = __atomic_exchange_n(&ctx->incoming_coroutines, NULL, __ATOMIC_SEQ_CST);
    STAILQ_HEAD(, Coroutine) oldest_first = STAILQ_HEAD_INITIALIZER(oldest_first);

    while (co) {
        Coroutine *older = STAILQ_NEXT(co, link);

        STAILQ_INSERT_HEAD(&oldest_first, co, link);
        co = older;
    }
    STAILQ_CONCAT(&ctx->ready_coroutines, &oldest_first);
}

/* A coroutine that schedules itself again has its turn after the kernel was asked again. */
bool aio_co_run(AioContext *ctx)
{
    bool has_run = false;

    if (!aio_co_is_pending(ctx)) {
        return false;
    }
    collect_incoming(ctx);
    while (!STAILQ_EMPTY(&ctx->ready_coroutines)) {
        Coroutine *co = STAILQ_FIRST(&ctx->ready_coroutines);

        STAILQ_REMOVE_HEAD(&ctx->ready_coroutines, link);
        __atomic_store_n(&co->is_scheduled, false, __ATOMIC_RELEASE);
        qemu_coroutine_enter(co);
        has_run = true;
    }
    return has_run;
}
