/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AioContext: life, and the turn of the loop.
 *
 * How a thread goes to sleep without missing work from others: it sets is_sleeping, then looks
 * whether there is work, then waits.  Others set work up (atomically), then look at is_sleeping,
 * and write to the eventfd if it is set.  All four are sequentially consistent, so one of the two
 * sees the other; and while a loop is busy, giving it work costs no system call.
 */
#include "qemu/osdep.h"

#include <sys/eventfd.h>

#include "aio-internal.h"
#include "util/trace.h"

static AioContext *main_context;

/* ---- life ---- */

/* The backends to try, in order, ended by NULL; or NULL where AIO_BACKEND names none. */
static const AioBackend *const *backends_to_try(Error **errp)
{
    static const AioBackend *const any[] = {&aio_backend_uring, &aio_backend_epoll, NULL};
    static const AioBackend *const only_uring[] = {&aio_backend_uring, NULL};
    static const AioBackend *const only_epoll[] = {&aio_backend_epoll, NULL};
    const char *wanted = g_getenv("AIO_BACKEND");

    if (!wanted || !*wanted) {
        return any;
    }
    if (g_str_equal(wanted, aio_backend_epoll.name)) {
        return only_epoll;
    }
    if (g_str_equal(wanted, aio_backend_uring.name)) {
        return only_uring;
    }
    error_setg(errp, "AIO_BACKEND must be io_uring or epoll, got '%s'", wanted);
    return NULL;
}

static bool open_backend(AioContext *ctx, Error **errp)
{
    const AioBackend *const *candidate = backends_to_try(errp);
    int ret = 0;

    if (!candidate) {
        return false;
    }
    for (; *candidate; candidate++) {
        ctx->backend = *candidate;
        ret = ctx->backend->open(ctx);
        if (ret == 0) {
            trace_aio_backend_chosen(ctx, ctx->backend->name);
            return true;
        }
        trace_aio_backend_unavailable(ctx->backend->name, ret);
    }
    error_setg_errno(errp, -ret, "Cannot set up the event loop with %s", ctx->backend->name);
    return false;
}

AioContext *aio_context_new(Error **errp)
{
    AioContext *ctx = g_new0(AioContext, 1);

    ctx->refcount = 1;
    ctx->home = g_thread_self();
    ctx->wakeup_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ctx->wakeup_fd < 0) {
        error_setg_errno(errp, errno, "Cannot make an eventfd");
        g_free(ctx);
        return NULL;
    }
    STAILQ_INIT(&ctx->ready_coroutines);
    aio_bh_init(ctx);
    aio_timers_init(ctx);
    aio_fd_init(ctx);
    if (!open_backend(ctx, errp)) {
        aio_timers_cleanup(ctx);
        aio_fd_cleanup(ctx);
        close(ctx->wakeup_fd);
        g_free(ctx);
        return NULL;
    }
    if (!qemu_get_current_aio_context()) {
        coroutine_thread_set_context(ctx);
    }
    return ctx;
}

static void aio_context_free(AioContext *ctx)
{
    assert(ctx->home == g_thread_self());
    g_clear_pointer(&ctx->thread_pool, thread_pool_free);
    g_clear_pointer(&ctx->linux_aio, linux_aio_free);
    aio_bh_cleanup(ctx);
    assert(!aio_co_is_pending(ctx));
    aio_timers_cleanup(ctx);
    ctx->backend->close(ctx);
    aio_fd_cleanup(ctx);
    close(ctx->wakeup_fd);
    if (qemu_get_current_aio_context() == ctx) {
        coroutine_thread_set_context(NULL);
    }
    if (main_context == ctx) {
        main_context = NULL;
    }
    g_free(ctx);
}

void aio_context_ref(AioContext *ctx)
{
    __atomic_fetch_add(&ctx->refcount, 1, __ATOMIC_RELAXED);
}

void aio_context_unref(AioContext *ctx)
{
    if (ctx && __atomic_sub_fetch(&ctx->refcount, 1, __ATOMIC_ACQ_REL) == 0) {
        aio_context_free(ctx);
    }
}

bool qemu_init_main_loop(Error **errp)
{
    assert(!main_context);
    main_context = aio_context_new(errp);
    return main_context;
}

AioContext *qemu_get_aio_context(void)
{
    assert(main_context);
    return main_context;
}

bool aio_context_has_io_uring(const AioContext *ctx)
{
    return ctx->backend == &aio_backend_uring;
}

/* ---- the turn ---- */

void aio_notify(AioContext *ctx)
{
    static const uint64_t one = 1;

    __atomic_store_n(&ctx->is_notified, true, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ctx->is_sleeping, __ATOMIC_SEQ_CST) &&
        __atomic_exchange_n(&ctx->is_sleeping, false, __ATOMIC_SEQ_CST)) {
        /* fails only when the counter is at its limit, and then it is readable as it should be */
        ssize_t unused G_GNUC_UNUSED = write(ctx->wakeup_fd, &one, sizeof(one));
    }
}

static bool has_work(AioContext *ctx)
{
    return __atomic_load_n(&ctx->is_notified, __ATOMIC_SEQ_CST) || aio_bh_is_pending(ctx) ||
           aio_co_is_pending(ctx);
}

static void wait_for_something(AioContext *ctx)
{
    int64_t timeout_ns = aio_timers_timeout(ctx);

    __atomic_store_n(&ctx->is_sleeping, true, __ATOMIC_SEQ_CST);
    if (has_work(ctx)) {
        timeout_ns = 0;
    }
    ctx->backend->wait(ctx, timeout_ns);
    __atomic_store_n(&ctx->is_sleeping, false, __ATOMIC_RELAXED);
}

bool aio_poll(AioContext *ctx, bool blocking)
{
    AioContext *outer = qemu_get_current_aio_context();
    bool has_run;

    assert(ctx->home == g_thread_self());
    assert(!qemu_in_coroutine());
    if (outer != ctx) {
        coroutine_thread_set_context(ctx);
    }
    if (ctx->linux_aio) {
        linux_aio_submit(ctx->linux_aio);
    }
    if (blocking) {
        wait_for_something(ctx);
    } else {
        ctx->backend->wait(ctx, 0);
    }
    /* before the queues are emptied, so that what is set up from now on sets it again */
    if (__atomic_load_n(&ctx->is_notified, __ATOMIC_RELAXED)) {
        __atomic_store_n(&ctx->is_notified, false, __ATOMIC_SEQ_CST);
    }
    has_run = ctx->backend->dispatch(ctx);
    has_run |= aio_co_run(ctx);
    has_run |= aio_bh_run(ctx);
    has_run |= aio_timers_run(ctx);
    if (outer != ctx) {
        coroutine_thread_set_context(outer);
    }
    return has_run;
}
