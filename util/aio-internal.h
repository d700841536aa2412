/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of an AioContext: for util/ only.
 *
 * aio-context.c owns the turn of the loop and calls, in this order: the backend (aio-uring.c or
 * aio-epoll.c) to wait and to dispatch what the kernel has to say, then scheduled coroutines,
 * bottom halves (aio-bh.c) and timers (aio-timer.c).
 *
 * Invariant: what other threads may touch is atomic and said to be so; everything else belongs to
 * the thread of the context.
 */
#ifndef UTIL_AIO_INTERNAL_H
#define UTIL_AIO_INTERNAL_H

#include "block/aio.h"
#include "qemu/coroutine_int.h"

#define AIO_WAIT_FOREVER (-1)

typedef struct AioFdHandler AioFdHandler;
typedef struct LinuxAio LinuxAio;
typedef struct ThreadPool ThreadPool;

/* What a loop needs of the kernel. */
typedef struct AioBackend {
    const char *name;

    /* Make the context's @backend_state.  Returns 0 or a negative errno: the kernel has no such
     * thing for us. */
    int (*open)(AioContext *ctx);
    void (*close)(AioContext *ctx);

    /* Hand what was collected to the kernel and wait for something to happen, at most @timeout_ns
     * (0: not at all). */
    void (*wait)(AioContext *ctx, int64_t timeout_ns);
    /* Run the callbacks of what has happened.  Returns whether there were any. */
    bool (*dispatch)(AioContext *ctx);

    /*
     * Make the kernel watch for aio_fd_wanted_events(@handler), and keep its @watched_events.  What
     * is watched for may change later; then the backend calls aio_fd_dispatch(), with what has
     * happened or without events.
     */
    void (*watch)(AioContext *ctx, AioFdHandler *handler);
} AioBackend;

extern const AioBackend aio_backend_uring;
extern const AioBackend aio_backend_epoll;

/* Timers ordered as a binary heap: entry 0 is the next to expire. */
typedef struct AioTimerHeap {
    GPtrArray *timers;
    uint64_t nr_armed; /* ever; orders timers of the same time */
} AioTimerHeap;

struct AioContext {
    unsigned int refcount; /* atomic */
    GThread *home;         /* the thread that runs this context */
    const AioBackend *backend;
    void *backend_state;

    /* atomic, from any thread */
    bool is_sleeping;     /* about to wait in the kernel, or waiting: who sets work up must write to
                             @wakeup_fd */
    bool is_notified;     /* the next wait must return at once */
    QEMUBH *incoming_bhs; /* last first */
    Coroutine *incoming_coroutines; /* last first */

    int wakeup_fd; /* an eventfd, non-blocking; the backend watches it */
    QEMUBH *first_ready_bh;
    QEMUBH **last_ready_bh; /* where the next one is linked */
    STAILQ_HEAD(, Coroutine) ready_coroutines;
    AioTimerHeap timer_heap;
    GHashTable *fd_handlers;                /* fd -> AioFdHandler */
    LIST_HEAD(, AioFdHandler) all_handlers; /* those too that are deleted but not freed */
    LinuxAio *linux_aio;                    /* made when first needed */
    ThreadPool *thread_pool;                /* likewise */
};

/* ---- bottom halves: aio-bh.c ---- */

void aio_bh_init(AioContext *ctx);
void aio_bh_cleanup(AioContext *ctx);
/* Whether any is due; sees what other threads scheduled before they looked at @is_sleeping. */
bool aio_bh_is_pending(AioContext *ctx);
bool aio_bh_run(AioContext *ctx);

/* ---- coroutines: aio-co.c ---- */

bool aio_co_is_pending(AioContext *ctx);
bool aio_co_run(AioContext *ctx);

/* ---- timers: aio-timer.c ---- */

struct QEMUTimer {
    AioContext *ctx;
    QEMUBHFunc *cb;
    void *opaque;
    int64_t expire_ns;
    uint64_t order; /* among timers of the same time */
    int position;   /* in the heap, or -1 */
};

void aio_timers_init(AioContext *ctx);
void aio_timers_cleanup(AioContext *ctx);
/* Nanoseconds until the first timer expires (0 if it has), or AIO_WAIT_FOREVER. */
int64_t aio_timers_timeout(const AioContext *ctx);
bool aio_timers_run(AioContext *ctx);
/* For timers that are not allocated; done with once it has fired or timer_del() was called. */
void aio_timer_init(QEMUTimer *timer, AioContext *ctx, QEMUBHFunc *cb, void *opaque);

/* ---- descriptors: aio-fd.c ---- */

struct AioFdHandler {
    AioContext *ctx;
    int fd;
    IOHandler *io_read;
    IOHandler *io_write;
    void *opaque;
    Coroutine *reader; /* waits in qemu_co_wait_fd() */
    Coroutine *writer;
    LIST_ENTRY(AioFdHandler) all;
    bool is_dispatching; /* its callbacks run; it wants no events meanwhile */
    bool is_deleted;     /* out of the table; freed when neither dispatching nor watched */

    /* the backend's */
    unsigned int watched_events; /* what the kernel watches for now */
    bool is_cancelling;          /* the kernel was asked to end that */
    bool is_always_ready;        /* a file that epoll does not take; not watched */
};

void aio_fd_init(AioContext *ctx);
void aio_fd_cleanup(AioContext *ctx);
/* POLLIN, POLLOUT, both or 0. */
unsigned int aio_fd_wanted_events(const AioFdHandler *handler);
/* Run the callbacks for @events (POLLxxx), then watch anew; returns whether there were any.  Frees
 * @handler if it is deleted. */
bool aio_fd_dispatch(AioFdHandler *handler, unsigned int events);
/* The handler of @fd, or NULL. */
AioFdHandler *aio_fd_find(AioContext *ctx, int fd);

/* ---- file I/O ---- */

typedef enum AioFileOpType {
    AIO_FILE_READ,
    AIO_FILE_WRITE,
    AIO_FILE_FDATASYNC,
    AIO_FILE_FALLOCATE,
} AioFileOpType;

/* One request to the kernel: as long as it takes, or less where the kernel does less. */
typedef struct AioFileOp {
    AioFileOpType type;
    int fd;
    int flags; /* RWF_xxx of a write, mode of fallocate */
    int niov;  /* at most IOV_MAX */
    const struct iovec *iov;
    int64_t offset;
    int64_t len; /* of fallocate */
} AioFileOp;

/* The bytes that were read or written, 0 for what moves none, or a negative errno. */
int coroutine_fn aio_uring_co_run(AioContext *ctx, const AioFileOp *op);
int coroutine_fn linux_aio_co_run(AioContext *ctx, const AioFileOp *op);
int coroutine_fn thread_pool_co_run(const AioFileOp *op);

/* Wait for POLLIN or POLLOUT with a request of its own in the ring. */
void coroutine_fn aio_uring_co_wait_fd(AioContext *ctx, int fd, unsigned int events);

/* Start what linux_aio_co_run() collected in this turn. */
void linux_aio_submit(LinuxAio *aio);
void linux_aio_free(LinuxAio *aio);
void thread_pool_free(ThreadPool *pool);

#endif
