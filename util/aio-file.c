/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File I/O in coroutines, whatever the engine.
 *
 * The usual request is one request to the kernel, described on the stack.  What the kernel did only
 * in part, or cannot do in one piece, is gone on with here; so the callers see a range read or
 * written, or an error.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "aio-internal.h"
#include "util/trace.h"

/* The kernel transfers no more at once, however long the vector. */
#define MAX_TRANSFER 0x7ffff000u

/* ---- one request ---- */

static int file_op_in_thread(void *arg)
{
    const AioFileOp *op = arg;
    ssize_t ret = -1;

    switch (op->type) {
    case AIO_FILE_READ:
        ret = preadv2(op->fd, op->iov, op->niov, op->offset, op->flags);
        break;
    case AIO_FILE_WRITE:
        ret = pwritev2(op->fd, op->iov, op->niov, op->offset, op->flags);
        break;
    case AIO_FILE_FDATASYNC:
        ret = fdatasync(op->fd);
        break;
    case AIO_FILE_FALLOCATE:
        ret = fallocate(op->fd, op->flags, op->offset, op->len);
        break;
    }
    return ret < 0 ? -errno : ret;
}

int coroutine_fn thread_pool_co_run(const AioFileOp *op)
{
    return thread_pool_submit_co(file_op_in_thread, (void *)op);
}

static int coroutine_fn run_once(AioEngine engine, const AioFileOp *op)
{
    bool is_transfer = op->type == AIO_FILE_READ || op->type == AIO_FILE_WRITE;

    if (engine == AIO_ENGINE_IO_URING) {
        return aio_uring_co_run(qemu_get_current_aio_context(), op);
    }
    if (engine == AIO_ENGINE_NATIVE && is_transfer) {
        return linux_aio_co_run(qemu_get_current_aio_context(), op);
    }
    return thread_pool_co_run(op);
}

static int coroutine_fn run(AioEngine engine, const AioFileOp *op)
{
    int ret;

    do {
        ret = run_once(engine, op);
    } while (unlikely(ret == -EINTR || ret == -EAGAIN));
    return ret;
}

/* ---- reading and writing ---- */

/*
 * True where a read that ended at @offset has met the end of the file.  To read on there, as
 * read(2) would have it, is refused for O_DIRECT where the end is not aligned.
 */
static bool is_at_end(int fd, int64_t offset)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && offset >= st.st_size;
}

/* Transfer what is left of @qiov after its first @done bytes. */
static int coroutine_fn
transfer_rest(AioEngine engine, AioFileOp op, QEMUIOVector *qiov, size_t done)
{
    const int64_t start = op.offset;

    while (done < qiov->size) {
        QEMUIOVector rest;
        int ret;

        if (op.type == AIO_FILE_READ && done > 0 && is_at_end(op.fd, start + done)) {
            break;
        }
        qemu_iovec_init_slice(&rest, qiov, done, MIN(qiov->size - done, MAX_TRANSFER));
        op.iov = rest.iov;
        op.niov = MIN(rest.niov, IOV_MAX);
        op.offset = start + done;
        ret = run(engine, &op);
        qemu_iovec_destroy(&rest);
        if (ret < 0) {
            return ret;
        }
        if (ret == 0) {
            break;
        }
        done += ret;
    }
    if (done == qiov->size) {
        return 0;
    }
    if (op.type == AIO_FILE_WRITE) {
        return -ENOSPC;
    }
    qemu_iovec_memset(qiov, done, 0, qiov->size - done);
    return 0;
}

static int coroutine_fn
transfer(AioEngine engine, AioFileOpType type, int fd, int64_t offset, QEMUIOVector *qiov,
         int flags)
{
    AioFileOp op = {
        .type = type,
        .fd = fd,
        .flags = flags,
        .niov = qiov->niov,
        .iov = qiov->iov,
        .offset = offset,
    };
    int ret = 0;

    if (likely(qiov->niov <= IOV_MAX && qiov->size > 0)) {
        ret = run(engine, &op);
        if (likely(ret < 0 || ret == qiov->size)) {
            return MIN(ret, 0);
        }
        if (ret == 0 && type == AIO_FILE_READ) {
            qemu_iovec_memset(qiov, 0, 0, qiov->size);
            return 0;
        }
    }
    return transfer_rest(engine, op, qiov, ret);
}

int coroutine_fn aio_co_preadv(AioEngine engine, int fd, int64_t offset, QEMUIOVector *qiov)
{
    trace_aio_co_preadv(fd, offset, qiov->size);
    return transfer(engine, AIO_FILE_READ, fd, offset, qiov, 0);
}

int coroutine_fn
aio_co_pwritev(AioEngine engine, int fd, int64_t offset, QEMUIOVector *qiov, bool is_fua)
{
    trace_aio_co_pwritev(fd, offset, qiov->size, is_fua);
    return transfer(engine, AIO_FILE_WRITE, fd, offset, qiov, is_fua ? RWF_DSYNC : 0);
}

/* ---- the others ---- */

int coroutine_fn aio_co_fdatasync(AioEngine engine, int fd)
{
    const AioFileOp op = {.type = AIO_FILE_FDATASYNC, .fd = fd};

    trace_aio_co_fdatasync(fd);
    return run(engine, &op);
}

int coroutine_fn aio_co_fallocate(AioEngine engine, int fd, int mode, int64_t offset, int64_t len)
{
    const AioFileOp op = {
        .type = AIO_FILE_FALLOCATE,
        .fd = fd,
        .flags = mode,
        .offset = offset,
        .len = len,
    };

    trace_aio_co_fallocate(fd, mode, offset, len);
    return run(engine, &op);
}

/* ---- which engine ---- */

bool aio_engine_for_file(AioContext *ctx, AioEngine wanted, bool is_direct, Error **errp)
{
    if (wanted == AIO_ENGINE_NATIVE && !is_direct) {
        error_setg(errp, "aio=native needs cache.direct=on: without it the kernel's native "
                         "asynchronous I/O is not asynchronous");
        return false;
    }
    if (wanted == AIO_ENGINE_IO_URING && !aio_context_has_io_uring(ctx)) {
        error_setg(errp, "aio=io_uring needs an event loop on io_uring, which the kernel or its "
                         "configuration does not allow here");
        return false;
    }
    return true;
}

AioEngine aio_engine_default(AioContext *ctx)
{
    return aio_context_has_io_uring(ctx) ? AIO_ENGINE_IO_URING : AIO_ENGINE_THREADS;
}
