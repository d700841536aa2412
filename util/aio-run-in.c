/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a function in the thread of another AioContext, and waiting for it.
 *
 * The caller sleeps on a condition and runs no loop meanwhile, so nothing of its own thread happens
 * behind its back.  That is also why only one direction is allowed: from the main thread to the
 * others, never back.
 */
#include "qemu/osdep.h"

#include <pthread.h>

#include "aio-internal.h"

/* In the frame of the waiting caller. */
typedef struct RunInCall {
    void (*func)(void *opaque);
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t has_ended;
    bool is_done; /* under @lock */
} RunInCall;

static void run_in_bh(void *opaque)
{
    RunInCall *call = opaque;

    call->func(call->opaque);
    /* Once the lock is free @call may be gone, so the condition is signalled inside. */
    pthread_mutex_lock(&call->lock);
    call->is_done = true;
    pthread_cond_signal(&call->has_ended);
    pthread_mutex_unlock(&call->lock);
}

void aio_run_in(AioContext *ctx, void (*func)(void *opaque), void *opaque)
{
    RunInCall call = {.func = func, .opaque = opaque};

    assert(!qemu_in_coroutine());
    if (ctx == qemu_get_current_aio_context()) {
        func(opaque);
        return;
    }
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.has_ended, NULL);
    aio_bh_schedule_oneshot(ctx, run_in_bh, &call);
    pthread_mutex_lock(&call.lock);
    while (!call.is_done) {
        pthread_cond_wait(&call.has_ended, &call.lock);
    }
    pthread_mutex_unlock(&call.lock);
    pthread_mutex_destroy(&call.lock);
    pthread_cond_destroy(&call.has_ended);
}
