/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File I/O through the kernel's older asynchronous interface (libaio), for O_DIRECT.
 *
 * Requests live on the stacks of their coroutines.  Those of one turn of the loop are submitted
 * together; when as many as the kernel context takes are in flight, later ones wait here, in order.
 * Completions are announced through an eventfd, which either kind of loop watches.  Only reads and
 * writes are done this way.
 */
#include "qemu/osdep.h"

#include <libaio.h>
#include <sys/eventfd.h>

#include "aio-internal.h"

#define MAX_IN_FLIGHT 1024
#define MAX_BATCH     128

typedef struct LinuxAioRequest {
    struct iocb iocb;
    Coroutine *co;
    long res;
    STAILQ_ENTRY(LinuxAioRequest) next;
} LinuxAioRequest;

/* Invariant: something is in flight, or @retry is scheduled, while @waiting is not empty and the
 * loop sleeps. */
struct LinuxAio {
    AioContext *ctx;
    io_context_t kernel;
    int completion_fd;
    unsigned int nr_in_flight;
    STAILQ_HEAD(, LinuxAioRequest) waiting; /* not submitted yet */
    QEMUBH *retry;                          /* does nothing: the next turn submits again */
};

/* ---- completion ---- */

static void read_completions(void *opaque)
{
    LinuxAio *aio = opaque;
    struct io_event events[MAX_BATCH];
    struct timespec at_once = {0};
    uint64_t count;
    int nr_events;
    /* another reader cannot be; 0 would mean that there is nothing, as io_getevents() will tell */
    ssize_t unused G_GNUC_UNUSED = read(aio->completion_fd, &count, sizeof(count));

    do {
        nr_events = io_getevents(aio->kernel, 0, MAX_BATCH, events, &at_once);
        for (int i = 0; i < nr_events; i++) {
            LinuxAioRequest *request = container_of(events[i].obj, LinuxAioRequest, iocb);

            request->res = (long)events[i].res;
            aio->nr_in_flight--;
        }
        for (int i = 0; i < nr_events; i++) {
            qemu_coroutine_enter(container_of(events[i].obj, LinuxAioRequest, iocb)->co);
        }
    } while (nr_events == MAX_BATCH || nr_events == -EINTR);
}

/* ---- life ---- */

static void do_nothing(void *opaque)
{
}

/* The context's own, made when it is first asked for; NULL with errno set where the kernel refuses.
 */
static LinuxAio *linux_aio_of(AioContext *ctx)
{
    g_autofree LinuxAio *aio = NULL;
    int ret;

    if (ctx->linux_aio) {
        return ctx->linux_aio;
    }
    aio = g_new0(LinuxAio, 1);
    aio->ctx = ctx;
    STAILQ_INIT(&aio->waiting);
    ret = io_setup(MAX_IN_FLIGHT, &aio->kernel);
    if (ret < 0) {
        errno = -ret;
        return NULL;
    }
    aio->completion_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (aio->completion_fd < 0) {
        io_destroy(aio->kernel);
        return NULL;
    }
    aio->retry = aio_bh_new(ctx, do_nothing, NULL);
    aio_set_fd_handler(ctx, aio->completion_fd, read_completions, NULL, aio);
    ctx->linux_aio = g_steal_pointer(&aio);
    return ctx->linux_aio;
}

void linux_aio_free(LinuxAio *aio)
{
    assert(aio->nr_in_flight == 0 && STAILQ_EMPTY(&aio->waiting));
    aio_set_fd_handler(aio->ctx, aio->completion_fd, NULL, NULL, NULL);
    qemu_bh_delete(aio->retry);
    close(aio->completion_fd);
    io_destroy(aio->kernel);
    g_free(aio);
}

/* ---- submission ---- */

/* The kernel took none of the waiting requests, for reason @error; returns whether it is worth
 * going on with the others. */
static bool submission_failed(LinuxAio *aio, int error)
{
    LinuxAioRequest *first = STAILQ_FIRST(&aio->waiting);

    if (error == -EAGAIN) {
        if (aio->nr_in_flight == 0) {
            qemu_bh_schedule(aio->retry);
        }
        return false;
    }
    STAILQ_REMOVE_HEAD(&aio->waiting, next);
    first->res = error;
    qemu_coroutine_enter(first->co);
    return true;
}

static int collect_batch(LinuxAio *aio, struct iocb **batch)
{
    int nr_max = MIN(MAX_BATCH, MAX_IN_FLIGHT - aio->nr_in_flight);
    int nr = 0;
    LinuxAioRequest *request;

    STAILQ_FOREACH (request, &aio->waiting, next) {
        if (nr == nr_max) {
            break;
        }
        batch[nr++] = &request->iocb;
    }
    return nr;
}

void linux_aio_submit(LinuxAio *aio)
{
    struct iocb *batch[MAX_BATCH];
    int nr_requests;

    while ((nr_requests = collect_batch(aio, batch)) > 0) {
        int ret = io_submit(aio->kernel, nr_requests, batch);

        if (ret > 0) {
            aio->nr_in_flight += ret;
            while (ret--) {
                STAILQ_REMOVE_HEAD(&aio->waiting, next);
            }
        } else if (ret != -EINTR && !submission_failed(aio, ret)) {
            break;
        }
    }
}

int coroutine_fn linux_aio_co_run(AioContext *ctx, const AioFileOp *op)
{
    LinuxAio *aio = linux_aio_of(ctx);
    LinuxAioRequest request = {.co = qemu_coroutine_self()};

    if (!aio) {
        return -errno;
    }
    if (op->type == AIO_FILE_WRITE) {
        io_prep_pwritev(&request.iocb, op->fd, op->iov, op->niov, op->offset);
    } else {
        io_prep_preadv(&request.iocb, op->fd, op->iov, op->niov, op->offset);
    }
    request.iocb.aio_rw_flags = op->flags;
    io_set_eventfd(&request.iocb, aio->completion_fd);
    STAILQ_INSERT_TAIL(&aio->waiting, &request, next);
    qemu_coroutine_yield();
    return request.res;
}
