/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AioContext: the event loop of a thread.
 *
 * It waits for file I/O to complete, descriptors to become ready, timers to expire and bottom
 * halves to be scheduled, and runs their callbacks.  With io_uring one ring carries everything and
 * one system call a turn submits and waits; where io_uring is absent or forbidden the loop is
 * epoll, and file I/O goes to libaio or a thread pool.  Which of the two is decided when a context
 * is made.
 *
 * Unless a function says "from any thread", it is called in the context's own thread.
 */
#ifndef BLOCK_AIO_H
#define BLOCK_AIO_H

#include <sys/uio.h>

#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/iov.h"

typedef struct AioContext AioContext;
typedef struct QEMUBH QEMUBH;
typedef void QEMUBHFunc(void *opaque);
typedef void IOHandler(void *opaque);

/* How a file's requests reach the kernel (BlockdevAioOptions of the schema has the same three). */
typedef enum AioEngine {
    AIO_ENGINE_THREADS,
    AIO_ENGINE_NATIVE, /* libaio; asynchronous only for O_DIRECT */
    AIO_ENGINE_IO_URING,
} AioEngine;

/* ---- life ---- */

/*
 * A new context for the calling thread to run, and its current one unless it has one.  The
 * environment variable AIO_BACKEND=epoll forbids io_uring, AIO_BACKEND=io_uring insists on it (for
 * tests).  NULL with an error where the kernel refuses.
 */
AioContext *aio_context_new(Error **errp);
void aio_context_ref(AioContext *ctx);
/*
 * The last reference is given back in the context's own thread, when no request, coroutine or timer
 * of it is pending.  NULL is fine.
 */
void aio_context_unref(AioContext *ctx);

/* The context of the program's main thread (made by qemu_init_main_loop()). */
AioContext *qemu_get_aio_context(void);
/* The context that the calling thread runs; NULL in other threads. */
AioContext *qemu_get_current_aio_context(void);
bool qemu_init_main_loop(Error **errp);

/* True where the context's loop is an io_uring, so that AIO_ENGINE_IO_URING can be used. */
bool aio_context_has_io_uring(const AioContext *ctx);

/*
 * Run what is ready: once, waiting for something first if @blocking.  Returns whether anything ran;
 * a blocking call may return false, after aio_notify() or a signal.  May be nested (called from a
 * callback), so that synchronous functions can wait for their coroutine.  Not from a coroutine.
 */
bool aio_poll(AioContext *ctx, bool blocking);

/* aio_poll() until @condition is false; for use outside coroutines only. */
#define AIO_WAIT_WHILE(ctx, condition) \
    do {                               \
        while (condition) {            \
            aio_poll((ctx), true);     \
        }                              \
    } while (0)

/* Make a blocking aio_poll() in another thread return.  From any thread. */
void aio_notify(AioContext *ctx);

/* ---- bottom halves: callbacks that run soon, from a clean stack ---- */

QEMUBH *aio_bh_new(AioContext *ctx, QEMUBHFunc *cb, void *opaque);
/* Run it in the next turn of the loop; scheduling twice before it runs is as once.  From any
 * thread. */
void qemu_bh_schedule(QEMUBH *bh);
void qemu_bh_cancel(QEMUBH *bh);
/* Never runs again after this; from the callback itself too. */
void qemu_bh_delete(QEMUBH *bh);
/* Run @cb once.  From any thread. */
void aio_bh_schedule_oneshot(AioContext *ctx, QEMUBHFunc *cb, void *opaque);

/* ---- coroutines ---- */

/* Enter @co, which has yielded, in a later turn of @ctx.  From any thread. */
void aio_co_schedule(AioContext *ctx, Coroutine *co);
/*
 * Continue @co, which has yielded or is about to: at once when called in its context outside a
 * coroutine, otherwise through its context's loop (from inside a coroutine: as soon as that one
 * yields).  From any thread.
 */
void aio_co_wake(Coroutine *co);
/* Enter the new coroutine @co in @ctx: at once in its thread outside a coroutine, otherwise like
 * aio_co_wake(). */
void aio_co_enter(AioContext *ctx, Coroutine *co);
/* Go on in @ctx. */
void coroutine_fn aio_co_reschedule_self(AioContext *ctx);

/* ---- descriptors ---- */

/* Call @io_read / @io_write (either may be NULL) while @fd is readable / writable; both NULL
 * removes it.  Level triggered; errors and hang-ups count as both.  While its callbacks run, @fd is
 * not polled, not by a nested loop either.  To be removed before @fd is closed.
 */
void aio_set_fd_handler(AioContext *ctx, int fd, IOHandler *io_read, IOHandler *io_write,
                        void *opaque);

/*
 * Wait until @fd is readable (or writable), or has an error, which the read (or write) will tell.
 * One coroutine at a time for each of the two.
 */
void coroutine_fn qemu_co_wait_fd(int fd, bool for_write);

/* ---- timers, in nanoseconds of the monotonic clock ---- */

typedef struct QEMUTimer QEMUTimer;
int64_t qemu_clock_get_ns(void);
QEMUTimer *aio_timer_new(AioContext *ctx, QEMUBHFunc *cb, void *opaque);
void timer_mod_ns(QEMUTimer *timer, int64_t expire_ns); /* (re)arm: absolute time */
void timer_del(QEMUTimer *timer);
bool timer_pending(const QEMUTimer *timer);
void timer_free(QEMUTimer *timer);

/* ---- threads ---- */

/*
 * Call @func(@opaque) in the thread that runs @ctx, outside coroutines, and return when it has: at
 * once where that is the calling thread, otherwise from a bottom half of @ctx, while the caller
 * sleeps and runs no loop.  @func may poll @ctx.
 *
 * From outside coroutines, and to a context whose loop is being run.  Only the main thread may wait
 * for another: what runs in @ctx must not wait for the main thread in turn.
 */
void aio_run_in(AioContext *ctx, void (*func)(void *opaque), void *opaque);

typedef int ThreadPoolFunc(void *arg);
/* Run @func(@arg) in a worker thread and wait for it; returns what it returned. */
int coroutine_fn thread_pool_submit_co(ThreadPoolFunc *func, void *arg);

/* ---- file I/O ---- */

/*
 * Read or write a whole range of a file.  All four yield until the kernel is done, and retry short
 * transfers and EINTR/EAGAIN.
 *
 * @engine: chosen by the caller once per file: aio_engine_for_file() tells what works.
 * Returns 0 or a negative errno, as pread(2), pwrite(2), fdatasync(2) or fallocate(2) set it;
 * -ENOSPC where a write makes no progress.  A read that meets the end of the file fills the rest
 * with zeroes.  aio_co_pwritev() writes with RWF_DSYNC where @is_fua.
 */
int coroutine_fn aio_co_preadv(AioEngine engine, int fd, int64_t offset, QEMUIOVector *qiov);
int coroutine_fn
aio_co_pwritev(AioEngine engine, int fd, int64_t offset, QEMUIOVector *qiov, bool is_fua);
int coroutine_fn aio_co_fdatasync(AioEngine engine, int fd);
/* @mode: as fallocate(2). */
int coroutine_fn aio_co_fallocate(AioEngine engine, int fd, int mode, int64_t offset, int64_t len);

/*
 * The engine to use for a file in @ctx: @wanted where it works, otherwise an error that says why it
 * does not (native without @is_direct, io_uring where the context has none).
 */
bool aio_engine_for_file(AioContext *ctx, AioEngine wanted, bool is_direct, Error **errp);
AioEngine aio_engine_default(AioContext *ctx);

/* ---- commands to drivers (IORING_OP_URING_CMD); only where aio_context_has_io_uring() ---- */

#define AIO_URING_CMD_PAYLOAD_BYTES 16

/* A command in the kernel's hands; part of the caller's state, which lives until the callback. */
typedef struct AioUringCmd AioUringCmd;
struct AioUringCmd {
    /* From the loop, outside coroutines; @res is the driver's answer or a negative errno. */
    void (*cb)(AioUringCmd *cmd, int res);
};

/*
 * Send @cmd_op, with a copy of the 16 bytes @payload, to the driver behind @fd, together with all
 * else that the loop submits in this turn.  Commands cannot be cancelled: each has its callback.
 */
void aio_uring_cmd_submit(AioContext *ctx, AioUringCmd *cmd, int fd, uint32_t cmd_op,
                          const void *payload);

/*
 * The same, and the kernel zeroes @memory in the same system call as soon as it has begun the
 * command.  Not even the death of the process comes between the two: who finds memory that outlives
 * the process not zeroed knows that the driver has not had the command.
 *
 * aio_uring_prepare_zeroing() comes once before; it returns 0 or a negative errno of open(2).
 */
int aio_uring_prepare_zeroing(AioContext *ctx);
void aio_uring_cmd_submit_then_zero(AioContext *ctx, AioUringCmd *cmd, int fd, uint32_t cmd_op,
                                    const void *payload, void *memory, size_t bytes);

#endif
