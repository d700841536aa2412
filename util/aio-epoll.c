/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop on epoll, for kernels and sandboxes without io_uring.
 *
 * epoll is level triggered as aio_set_fd_handler() is, so a registration stays.  Regular files,
 * which epoll does not take, are always ready, as poll(2) has it.
 */
#include "qemu/osdep.h"

#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

#include "aio-internal.h"

#define MAX_EVENTS 128

#define NANOSECONDS_PER_SECOND      INT64_C(1000000000)
#define NANOSECONDS_PER_MILLISECOND INT64_C(1000000)

G_STATIC_ASSERT(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT);
G_STATIC_ASSERT(POLLERR == EPOLLERR && POLLHUP == EPOLLHUP);

/* Events from @next to @nr_events are still to be dispatched; a nested loop takes them over. */
typedef struct EpollLoop {
    int epoll_fd;
    int nr_always_ready;
    int next;
    int nr_events;
    struct epoll_event events[MAX_EVENTS];
    bool has_no_pwait2;
} EpollLoop;

static int epoll_loop_open(AioContext *ctx)
{
    struct epoll_event wakeup = {.events = EPOLLIN, .data.fd = ctx->wakeup_fd};
    EpollLoop *loop;
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    if (epoll_ctl(fd, EPOLL_CTL_ADD, ctx->wakeup_fd, &wakeup) < 0) {
        int ret = -errno;

        close(fd);
        return ret;
    }
    loop = g_new0(EpollLoop, 1);
    loop->epoll_fd = fd;
    ctx->backend_state = loop;
    return 0;
}

static void epoll_loop_close(AioContext *ctx)
{
    EpollLoop *loop = ctx->backend_state;

    close(loop->epoll_fd);
    g_free(loop);
}

/* ---- waiting ---- */

static int wait_for_events(EpollLoop *loop, int64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = timeout_ns / NANOSECONDS_PER_SECOND,
        .tv_nsec = timeout_ns % NANOSECONDS_PER_SECOND,
    };
    int64_t timeout_ms = DIV_ROUND_UP(timeout_ns, NANOSECONDS_PER_MILLISECOND);

    if (timeout_ns > 0 && !loop->has_no_pwait2) {
        int ret = epoll_pwait2(loop->epoll_fd, loop->events, MAX_EVENTS, &timeout, NULL);

        if (ret >= 0 || errno != ENOSYS) {
            return ret;
        }
        loop->has_no_pwait2 = true;
    }
    return epoll_wait(loop->epoll_fd, loop->events, MAX_EVENTS,
                      timeout_ns == AIO_WAIT_FOREVER ? -1 : (int)MIN(timeout_ms, INT_MAX));
}

static void epoll_loop_wait(AioContext *ctx, int64_t timeout_ns)
{
    EpollLoop *loop = ctx->backend_state;
    int ret;

    if (loop->next < loop->nr_events) {
        return;
    }
    ret = wait_for_events(loop, loop->nr_always_ready ? 0 : timeout_ns);
    if (ret < 0 && errno != EINTR) {
        g_error("epoll_wait: %s", g_strerror(errno));
    }
    loop->next = 0;
    loop->nr_events = MAX(ret, 0);
}

static bool dispatch_fd(AioContext *ctx, int fd, unsigned int events)
{
    AioFdHandler *handler = aio_fd_find(ctx, fd);

    if (!handler) {
        return false;
    }
    if (handler->is_dispatching) {
        /* of an outer loop: not to be told of it again until that is done */
        ctx->backend->watch(ctx, handler);
        return false;
    }
    return aio_fd_dispatch(handler, events);
}

static bool dispatch_always_ready(AioContext *ctx)
{
    g_autoptr(GArray) fds = g_array_new(false, false, sizeof(int));
    bool has_run = false;
    AioFdHandler *handler;

    LIST_FOREACH (handler, &ctx->all_handlers, all) {
        if (handler->is_always_ready && !handler->is_deleted) {
            g_array_append_val(fds, handler->fd);
        }
    }
    for (unsigned int i = 0; i < fds->len; i++) {
        handler = aio_fd_find(ctx, g_array_index(fds, int, i));
        if (handler && handler->is_always_ready && !handler->is_dispatching) {
            has_run |= aio_fd_dispatch(handler, aio_fd_wanted_events(handler));
        }
    }
    return has_run;
}

static bool epoll_loop_dispatch(AioContext *ctx)
{
    EpollLoop *loop = ctx->backend_state;
    bool has_run = false;

    while (loop->next < loop->nr_events) {
        struct epoll_event event = loop->events[loop->next++];

        if (event.data.fd == ctx->wakeup_fd) {
            uint64_t count;
            /* fails only when the count is 0 already */
            ssize_t unused G_GNUC_UNUSED = read(ctx->wakeup_fd, &count, sizeof(count));
        } else {
            has_run |= dispatch_fd(ctx, event.data.fd, event.events);
        }
    }
    if (loop->nr_always_ready) {
        has_run |= dispatch_always_ready(ctx);
    }
    return has_run;
}

/* ---- descriptors ---- */

/* What was reported of @fd but not dispatched yet is of the file that it stood for until now. */
static void forget_events(EpollLoop *loop, int fd)
{
    for (int i = loop->next; i < loop->nr_events; i++) {
        if (loop->events[i].data.fd == fd) {
            loop->events[i].data.fd = -1;
        }
    }
}

static void set_always_ready(EpollLoop *loop, AioFdHandler *handler, bool is_always_ready)
{
    loop->nr_always_ready += is_always_ready - handler->is_always_ready;
    handler->is_always_ready = is_always_ready;
}

static void epoll_loop_watch(AioContext *ctx, AioFdHandler *handler)
{
    EpollLoop *loop = ctx->backend_state;
    unsigned int wanted = aio_fd_wanted_events(handler);
    struct epoll_event event = {.events = wanted, .data.fd = handler->fd};
    int operation = EPOLL_CTL_MOD;

    if (handler->is_deleted) {
        set_always_ready(loop, handler, false);
    }
    if (handler->watched_events == wanted || handler->is_always_ready) {
        return;
    }
    if (!wanted) {
        operation = EPOLL_CTL_DEL;
        forget_events(loop, handler->fd);
    } else if (!handler->watched_events) {
        operation = EPOLL_CTL_ADD;
    }
    handler->watched_events = wanted;
    if (epoll_ctl(loop->epoll_fd, operation, handler->fd, &event) == 0 || !wanted) {
        /* it does no harm when a descriptor that was closed too early cannot be removed */
        return;
    }
    if (errno != EPERM) {
        g_error("cannot watch file descriptor %d: %s", handler->fd, g_strerror(errno));
    }
    handler->watched_events = 0;
    set_always_ready(loop, handler, true);
}

const AioBackend aio_backend_epoll = {
    .name = "epoll",
    .open = epoll_loop_open,
    .close = epoll_loop_close,
    .wait = epoll_loop_wait,
    .dispatch = epoll_loop_dispatch,
    .watch = epoll_loop_watch,
};
