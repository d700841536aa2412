/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors: who waits for what.
 *
 * One AioFdHandler a descriptor, with the callbacks of aio_set_fd_handler() and, where the backend
 * has no better way, the coroutines of qemu_co_wait_fd().  The backend watches for what a handler
 * wants and reports it here.
 *
 * While the callbacks of a handler run it wants nothing, so that a nested loop does not call them
 * again for what they are just dealing with.  A handler may be deleted from its own callback.
 */
#include "qemu/osdep.h"

#include <poll.h>

#include "aio-internal.h"

void aio_fd_init(AioContext *ctx)
{
    ctx->fd_handlers = g_hash_table_new(NULL, NULL);
    LIST_INIT(&ctx->all_handlers);
}

static void handler_free(AioFdHandler *handler)
{
    LIST_REMOVE(handler, all);
    g_free(handler);
}

void aio_fd_cleanup(AioContext *ctx)
{
    while (!LIST_EMPTY(&ctx->all_handlers)) {
        handler_free(LIST_FIRST(&ctx->all_handlers));
    }
    g_hash_table_destroy(ctx->fd_handlers);
}

AioFdHandler *aio_fd_find(AioContext *ctx, int fd)
{
    return g_hash_table_lookup(ctx->fd_handlers, GINT_TO_POINTER(fd));
}

static AioFdHandler *find_or_add(AioContext *ctx, int fd)
{
    AioFdHandler *handler = aio_fd_find(ctx, fd);

    if (!handler) {
        handler = g_new0(AioFdHandler, 1);
        handler->ctx = ctx;
        handler->fd = fd;
        g_hash_table_insert(ctx->fd_handlers, GINT_TO_POINTER(fd), handler);
        LIST_INSERT_HEAD(&ctx->all_handlers, handler, all);
    }
    return handler;
}

static bool is_used(const AioFdHandler *handler)
{
    return handler->io_read || handler->io_write || handler->reader || handler->writer;
}

unsigned int aio_fd_wanted_events(const AioFdHandler *handler)
{
    if (handler->is_deleted || handler->is_dispatching) {
        return 0;
    }
    return (handler->io_read || handler->reader ? POLLIN : 0) |
           (handler->io_write || handler->writer ? POLLOUT : 0);
}

/* Who waits for the descriptor of @handler has changed. */
static void handler_settle(AioFdHandler *handler)
{
    AioContext *ctx = handler->ctx;

    if (!is_used(handler) && !handler->is_deleted) {
        handler->is_deleted = true;
        g_hash_table_remove(ctx->fd_handlers, GINT_TO_POINTER(handler->fd));
    }
    if (handler->is_deleted || !handler->is_dispatching) {
        ctx->backend->watch(ctx, handler);
    }
    if (handler->is_deleted && !handler->is_dispatching && !handler->watched_events) {
        handler_free(handler);
    }
}

/* The members are looked up here and not by the caller, because the coroutine may change the
 * callback. */
static bool run_side(AioFdHandler *handler, Coroutine **waiter, IOHandler **callback)
{
    Coroutine *co = *waiter;

    if (co) {
        *waiter = NULL;
        qemu_coroutine_enter(co);
    }
    if (!*callback || handler->is_deleted) {
        return co;
    }
    (*callback)(handler->opaque);
    return true;
}

bool aio_fd_dispatch(AioFdHandler *handler, unsigned int events)
{
    bool has_failed = events & ~(POLLIN | POLLOUT);
    bool has_run = false;

    assert(!handler->is_dispatching);
    handler->is_dispatching = true;
    if ((events & POLLIN) || has_failed) {
        has_run |= run_side(handler, &handler->reader, &handler->io_read);
    }
    if ((events & POLLOUT) || has_failed) {
        has_run |= run_side(handler, &handler->writer, &handler->io_write);
    }
    handler->is_dispatching = false;
    handler_settle(handler);
    return has_run;
}

void aio_set_fd_handler(AioContext *ctx, int fd, IOHandler *io_read, IOHandler *io_write,
                        void *opaque)
{
    AioFdHandler *handler;

    if (!io_read && !io_write && !aio_fd_find(ctx, fd)) {
        return;
    }
    handler = find_or_add(ctx, fd);
    handler->io_read = io_read;
    handler->io_write = io_write;
    handler->opaque = opaque;
    handler_settle(handler);
}

void coroutine_fn qemu_co_wait_fd(int fd, bool for_write)
{
    AioContext *ctx = qemu_get_current_aio_context();
    AioFdHandler *handler;
    Coroutine **waiter;

    if (aio_context_has_io_uring(ctx)) {
        aio_uring_co_wait_fd(ctx, fd, for_write ? POLLOUT : POLLIN);
        return;
    }
    handler = find_or_add(ctx, fd);
    waiter = for_write ? &handler->writer : &handler->reader;
    assert(!*waiter);
    *waiter = qemu_coroutine_self();
    handler_settle(handler);
    qemu_coroutine_yield();
}
