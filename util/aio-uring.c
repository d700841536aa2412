/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop on an io_uring.
 *
 * One ring carries file I/O, polls of descriptors and the read of the context's eventfd.  Requests
 * are collected during a turn of the loop and submitted by the call that waits for the next
 * completion: one system call a turn. A file request lives on the stack of its coroutine, which its
 * completion enters directly.
 *
 * What a completion belongs to is told by the low bits of its user_data.  Polls are armed for one
 * event and armed again after the callbacks, which makes them level triggered at the cost of an
 * SQE, not of a system call.
 */
#include "qemu/osdep.h"

#include <liburing.h>
#include <poll.h>

#include "aio-internal.h"

#define NR_SQES 256
#define NR_CQES 4096

/* A transfer of more is done by the kernel in part; also keeps the length in 32 bits. */
#define MAX_TRANSFER 0x7ffff000u

#define NANOSECONDS_PER_SECOND INT64_C(1000000000)

#define STILL_RUNNING INT_MIN

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1u << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1u << 13)
#endif

typedef enum CompletionKind {
    COMPLETES_REQUEST, /* user_data points to a UringRequest */
    COMPLETES_POLL,    /* ... to an AioFdHandler */
    COMPLETES_WAKEUP,  /* the eventfd was read */
    COMPLETES_CANCEL,  /* of no interest */
    COMPLETES_COMMAND, /* user_data points to an AioUringCmd */
    COMPLETES_ZEROING, /* of interest only if it failed */
} CompletionKind;

/* Everything that user_data points to is aligned to 8 bytes, as it contains pointers. */
#define COMPLETION_KIND_MASK UINT64_C(7)

typedef struct UringRequest {
    Coroutine *co;
    int res;
} UringRequest;

typedef struct UringLoop {
    struct io_uring ring;
    uint64_t wakeup_count; /* where the eventfd is read to */
    int zero_fd;           /* /dev/zero, opened when first needed; -1: not yet */
} UringLoop;

/* ---- submission ---- */

static void submit(UringLoop *loop)
{
    int ret;

    do {
        ret = io_uring_submit_and_get_events(&loop->ring);
    } while (ret == -EINTR);
    if (ret < 0 && ret != -EAGAIN && ret != -EBUSY) {
        g_error("io_uring_enter: %s", g_strerror(-ret));
    }
}

static struct io_uring_sqe *get_sqe(UringLoop *loop, void *owner, CompletionKind kind)
{
    struct io_uring_sqe *sqe;

    while (unlikely(!(sqe = io_uring_get_sqe(&loop->ring)))) {
        submit(loop);
    }
    /* before the request is prepared: the functions of liburing that do that leave user_data alone
     */
    sqe->user_data = (uintptr_t)owner | kind;
    return sqe;
}

/* Have room for @nr requests that reach the kernel in one call. */
static void make_room(UringLoop *loop, unsigned int nr)
{
    while (unlikely(io_uring_sq_space_left(&loop->ring) < nr)) {
        submit(loop);
    }
}

static void read_wakeups(AioContext *ctx)
{
    UringLoop *loop = ctx->backend_state;

    io_uring_prep_read(get_sqe(loop, NULL, COMPLETES_WAKEUP), ctx->wakeup_fd, &loop->wakeup_count,
                       sizeof(loop->wakeup_count), 0);
}

/* ---- life ---- */

static int uring_open(AioContext *ctx)
{
    /* from the best to what every kernel since 5.11 has */
    static const unsigned int flags_to_try[] = {
        IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_CQSIZE,
    };
    const unsigned int needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;
    g_autofree UringLoop *loop = g_new0(UringLoop, 1);
    int ret = -EINVAL;

    for (size_t i = 0; ret == -EINVAL && i < ARRAY_SIZE(flags_to_try); i++) {
        struct io_uring_params params = {.flags = flags_to_try[i], .cq_entries = NR_CQES};

        ret = io_uring_queue_init_params(NR_SQES, &loop->ring, &params);
        if (ret == 0 && (params.features & needed) != needed) {
            io_uring_queue_exit(&loop->ring);
            return -EOPNOTSUPP;
        }
    }
    if (ret < 0) {
        return ret;
    }
    /* saves a look-up of the ring's descriptor in each call; an older kernel goes on without */
    io_uring_register_ring_fd(&loop->ring);
    loop->zero_fd = -1;
    ctx->backend_state = g_steal_pointer(&loop);
    read_wakeups(ctx);
    return 0;
}

static void uring_close(AioContext *ctx)
{
    UringLoop *loop = ctx->backend_state;

    io_uring_queue_exit(&loop->ring);
    if (loop->zero_fd >= 0) {
        close(loop->zero_fd);
    }
    g_free(loop);
}

/* ---- waiting ---- */

/* True where completions are due that only a system call brings into the completion queue. */
static bool kernel_has_completions(const struct io_uring *ring)
{
    return IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

static void uring_wait(AioContext *ctx, int64_t timeout_ns)
{
    UringLoop *loop = ctx->backend_state;
    struct io_uring *ring = &loop->ring;
    struct io_uring_cqe *cqe;
    int ret;

    if (timeout_ns == 0 || io_uring_cq_ready(ring)) {
        if (io_uring_sq_ready(ring) || kernel_has_completions(ring)) {
            submit(loop);
        }
        return;
    }
    if (timeout_ns == AIO_WAIT_FOREVER) {
        ret = io_uring_submit_and_wait(ring, 1);
    } else {
        struct __kernel_timespec timeout = {
            .tv_sec = timeout_ns / NANOSECONDS_PER_SECOND,
            .tv_nsec = timeout_ns % NANOSECONDS_PER_SECOND,
        };

        ret = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);
    }
    if (ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY) {
        g_error("io_uring_enter: %s", g_strerror(-ret));
    }
}

/* Copies the completion, because a callback may run a nested loop that goes on with the queue. */
static bool take_completion(struct io_uring *ring, uint64_t *user_data, int *res)
{
    struct io_uring_cqe *cqe;
    unsigned int head;

    io_uring_for_each_cqe(ring, head, cqe)
    {
        *user_data = cqe->user_data;
        *res = cqe->res;
        io_uring_cq_advance(ring, 1);
        return true;
    }
    return false;
}

static bool complete_poll(AioFdHandler *handler, int res)
{
    handler->watched_events = 0;
    handler->is_cancelling = false;
    if (res == -ECANCELED) {
        res = 0;
    }
    return aio_fd_dispatch(handler, res < 0 ? POLLERR : res);
}

static bool uring_dispatch(AioContext *ctx)
{
    UringLoop *loop = ctx->backend_state;
    unsigned int budget = NR_CQES;
    bool has_run = false;
    uint64_t user_data;
    int res;

    while (budget-- && take_completion(&loop->ring, &user_data, &res)) {
        void *owner = (void *)(uintptr_t)(user_data & ~COMPLETION_KIND_MASK);
        CompletionKind kind = user_data & COMPLETION_KIND_MASK;

        if (likely(kind == COMPLETES_REQUEST)) {
            UringRequest *request = owner;

            request->res = res;
            qemu_coroutine_enter(request->co);
            has_run = true;
        } else if (kind == COMPLETES_POLL) {
            has_run |= complete_poll(owner, res);
        } else if (kind == COMPLETES_WAKEUP) {
            read_wakeups(ctx);
        } else if (kind == COMPLETES_COMMAND) {
            AioUringCmd *cmd = owner;

            cmd->cb(cmd, res);
            has_run = true;
        } else if (kind == COMPLETES_ZEROING && res < 0) {
            g_error("io_uring read of /dev/zero: %s", g_strerror(-res));
        }
    }
    return has_run;
}

/* ---- descriptors ---- */

static void uring_watch(AioContext *ctx, AioFdHandler *handler)
{
    UringLoop *loop = ctx->backend_state;
    unsigned int wanted = aio_fd_wanted_events(handler);

    if (handler->watched_events == wanted || handler->is_cancelling) {
        return;
    }
    if (!handler->watched_events) {
        io_uring_prep_poll_add(get_sqe(loop, handler, COMPLETES_POLL), handler->fd, wanted);
        handler->watched_events = wanted;
        return;
    }
    io_uring_prep_poll_remove(get_sqe(loop, NULL, COMPLETES_CANCEL),
                              (uintptr_t)handler | COMPLETES_POLL);
    handler->is_cancelling = true;
    if (handler->is_deleted) {
        /* now, because the poll keeps the file open though the caller is about to close it */
        submit(loop);
    }
}

/* ---- requests ---- */

/* @request is in the ring: yield until it has completed. */
static int coroutine_fn wait_for_request(UringRequest *request)
{
    request->co = qemu_coroutine_self();
    request->res = STILL_RUNNING;
    qemu_coroutine_yield();
    assert(request->res != STILL_RUNNING);
    return request->res;
}

void coroutine_fn aio_uring_co_wait_fd(AioContext *ctx, int fd, unsigned int events)
{
    UringRequest request;

    io_uring_prep_poll_add(get_sqe(ctx->backend_state, &request, COMPLETES_REQUEST), fd, events);
    wait_for_request(&request);
}

static void prepare_transfer(struct io_uring_sqe *sqe, const AioFileOp *op)
{
    bool is_write = op->type == AIO_FILE_WRITE;

    if (op->niov == 1) {
        io_uring_prep_rw(is_write ? IORING_OP_WRITE : IORING_OP_READ, sqe, op->fd,
                         op->iov->iov_base, MIN(op->iov->iov_len, MAX_TRANSFER), op->offset);
    } else {
        io_uring_prep_rw(is_write ? IORING_OP_WRITEV : IORING_OP_READV, sqe, op->fd, op->iov,
                         op->niov, op->offset);
    }
    sqe->rw_flags = op->flags;
}

int coroutine_fn aio_uring_co_run(AioContext *ctx, const AioFileOp *op)
{
    UringRequest request;
    struct io_uring_sqe *sqe = get_sqe(ctx->backend_state, &request, COMPLETES_REQUEST);

    switch (op->type) {
    case AIO_FILE_READ:
    case AIO_FILE_WRITE:
        prepare_transfer(sqe, op);
        break;
    case AIO_FILE_FDATASYNC:
        io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
        break;
    case AIO_FILE_FALLOCATE:
        io_uring_prep_fallocate(sqe, op->fd, op->flags, op->offset, op->len);
        break;
    }
    return wait_for_request(&request);
}

/* ---- commands to drivers ---- */

void aio_uring_cmd_submit(AioContext *ctx, AioUringCmd *cmd, int fd, uint32_t cmd_op,
                          const void *payload)
{
    struct io_uring_sqe *sqe;

    assert(aio_context_has_io_uring(ctx));
    sqe = get_sqe(ctx->backend_state, cmd, COMPLETES_COMMAND);
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
    sqe->cmd_op = cmd_op;
    memcpy(sqe->cmd, payload, AIO_URING_CMD_PAYLOAD_BYTES);
}

int aio_uring_prepare_zeroing(AioContext *ctx)
{
    UringLoop *loop = ctx->backend_state;

    assert(aio_context_has_io_uring(ctx));
    if (loop->zero_fd < 0) {
        loop->zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    }
    return loop->zero_fd < 0 ? -errno : 0;
}

void aio_uring_cmd_submit_then_zero(AioContext *ctx, AioUringCmd *cmd, int fd, uint32_t cmd_op,
                                    const void *payload, void *memory, size_t bytes)
{
    UringLoop *loop = ctx->backend_state;

    assert(loop->zero_fd >= 0);
    make_room(loop, 2);
    aio_uring_cmd_submit(ctx, cmd, fd, cmd_op, payload);
    /* The kernel takes requests of one call in order, and reads of this device never wait. */
    io_uring_prep_read(get_sqe(loop, NULL, COMPLETES_ZEROING), loop->zero_fd, memory, bytes, 0);
}

const AioBackend aio_backend_uring = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .wait = uring_wait,
    .dispatch = uring_dispatch,
    .watch = uring_watch,
};
