/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coroutines: functions that can stop in the middle (yield) and be entered again later, so that
 * asynchronous code reads like straight-line code.
 *
 * A function that may yield is marked coroutine_fn and is called only from a coroutine.  A
 * coroutine runs in one AioContext at a time; it moves only where it is told to
 * (aio_co_reschedule_self). Stacks come from a pool of the thread and have a guard page below.
 */
#ifndef QEMU_COROUTINE_H
#define QEMU_COROUTINE_H

#include "qemu/osdep.h"

typedef struct Coroutine Coroutine;
typedef struct AioContext AioContext;

typedef void coroutine_fn CoroutineEntry(void *opaque);

/* ---- create, enter, yield ---- */

/* A coroutine that runs @entry(@opaque) when it is first entered, and ceases to exist when that
 * returns. */
Coroutine *qemu_coroutine_create(CoroutineEntry *entry, void *opaque);

/*
 * Run @co until it yields or ends.  @co must not be running.  May be called from inside another
 * coroutine, which waits meanwhile.
 */
void qemu_coroutine_enter(Coroutine *co);

/* Go back to whoever entered the running coroutine. */
void coroutine_fn qemu_coroutine_yield(void);

/* The running coroutine; outside of any, an object that stands for the thread. */
Coroutine *qemu_coroutine_self(void);

bool qemu_in_coroutine(void);

/* True between the first qemu_coroutine_enter() of @co and its end, running or not. */
bool qemu_coroutine_entered(const Coroutine *co);

/* Free the pooled coroutines of the calling thread; called at thread exit too. */
void qemu_coroutine_pool_drain(void);

/* ---- queues: coroutines waiting for something that another one announces ---- */

/*
 * FIFO of waiting coroutines.  Not for use between threads: the users of one queue hold one CoMutex
 * or run in one AioContext.
 */
typedef struct CoQueue {
    STAILQ_HEAD(, Coroutine) waiting;
} CoQueue;

typedef struct CoMutex CoMutex;

void qemu_co_queue_init(CoQueue *queue);

/* Wait until woken; @mutex, if not NULL, is released meanwhile and held again on return. */
void coroutine_fn qemu_co_queue_wait(CoQueue *queue, CoMutex *mutex);

/*
 * Wake the first waiter as aio_co_wake() does: it runs once the calling coroutine has yielded;
 * called outside of a coroutine, in its AioContext, it runs at once.  False if there was none.
 */
bool qemu_co_queue_next(CoQueue *queue);

/* Wake all that wait now, in order; one that waits again is not woken twice. */
void qemu_co_queue_restart_all(CoQueue *queue);

bool qemu_co_queue_empty(const CoQueue *queue);

/*
 * Let all that wait now go on in @ctx when they are woken: what they work on moves there.  In the
 * thread that they wait in.
 */
void qemu_co_queue_move(CoQueue *queue, AioContext *ctx);

/* ---- mutex ---- */

/*
 * Mutual exclusion between coroutines, of any AioContext.  Fair: first come, first served;
 * unlocking hands the mutex to the first waiter.  Uncontended lock and unlock never yield and cost
 * a few instructions.
 *
 * The coroutine that locks unlocks.  Needs no destruction; nobody may wait when its memory goes.
 */
struct CoMutex {
    unsigned int
        state;    /* atomic: free, held, or held with waiters (then changed under @guard only) */
    GMutex guard; /* protects @waiters */
    Coroutine *holder;
    STAILQ_HEAD(, Coroutine) waiters;
};

void qemu_co_mutex_init(CoMutex *mutex);
void coroutine_fn qemu_co_mutex_lock(CoMutex *mutex);
void coroutine_fn qemu_co_mutex_unlock(CoMutex *mutex);

/* Assert that somebody holds @mutex. */
void qemu_co_mutex_assert_locked(const CoMutex *mutex);

/* QEMU_LOCK_GUARD-style: `g_auto(CoMutexGuard) guard = qemu_co_mutex_guard(&s->lock);` */
typedef CoMutex *CoMutexGuard;
CoMutexGuard coroutine_fn qemu_co_mutex_guard(CoMutex *mutex);
void qemu_co_mutex_guard_done(CoMutexGuard *guard);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CoMutexGuard, qemu_co_mutex_guard_done)

/* ---- reader/writer lock ---- */

struct CoRwlockTicket;

/*
 * Many readers or one writer, of any AioContext; fair: a waiting writer keeps out later readers, so
 * a reader must not lock again what it holds.  Uncontended it costs what a CoMutex costs.
 */
typedef struct CoRwlock {
    unsigned int state; /* atomic: readers inside, or a writer; and whether @tickets wait */
    GMutex guard;       /* protects @tickets, and @state while they are not empty */
    STAILQ_HEAD(, CoRwlockTicket) tickets;
} CoRwlock;

void qemu_co_rwlock_init(CoRwlock *lock);
void coroutine_fn qemu_co_rwlock_rdlock(CoRwlock *lock);
void coroutine_fn qemu_co_rwlock_wrlock(CoRwlock *lock);
void coroutine_fn qemu_co_rwlock_unlock(CoRwlock *lock);
/* A writer becomes a reader without letting another writer in between. */
void coroutine_fn qemu_co_rwlock_downgrade(CoRwlock *lock);

/* ---- time ---- */

/* Yield for @ns nanoseconds of the monotonic clock, in the current AioContext. */
void coroutine_fn qemu_co_sleep_ns(int64_t ns);

#endif
