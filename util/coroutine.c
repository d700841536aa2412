/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coroutines: life, enter, yield.
 *
 * Each thread keeps a pool of coroutines that have ended, with their stacks, and a list of
 * coroutines to wake.  A wake-up that is asked for inside a coroutine waits in that list until
 * control is back in the thread's ordinary code; so a chain of coroutines that wake one another,
 * however long, never nests.
 *
 * Enter and yield are the hottest functions of the program: what they do not need on every call
 * stands elsewhere.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "qemu/coroutine_int.h"

#define POOL_SIZE 256

typedef struct CoroutineThread {
    Coroutine *current; /* NULL in ordinary code */
    AioContext *ctx;
    Coroutine *first_to_wake;
    Coroutine *last_to_wake;
    Coroutine *pool; /* linked by @link */
    unsigned int pool_size;
    bool is_drained_at_exit;
    Coroutine ordinary_code; /* never entered: only an identity */
} CoroutineThread;

static __thread CoroutineThread thread;

static void drain_pool_at_exit(void *unused)
{
    qemu_coroutine_pool_drain();
}

static GPrivate drain_at_exit = G_PRIVATE_INIT(drain_pool_at_exit);

/* ---- the thread ---- */

COROUTINE_NEVER_INLINE Coroutine *qemu_coroutine_self(void)
{
    return thread.current ? thread.current : &thread.ordinary_code;
}

COROUTINE_NEVER_INLINE bool qemu_in_coroutine(void)
{
    return thread.current;
}

COROUTINE_NEVER_INLINE AioContext *qemu_get_current_aio_context(void)
{
    return thread.ctx;
}

COROUTINE_NEVER_INLINE void coroutine_thread_set_context(AioContext *ctx)
{
    thread.ctx = ctx;
}

COROUTINE_NEVER_INLINE void qemu_coroutine_pool_drain(void)
{
    while (thread.pool) {
        Coroutine *co = thread.pool;

        thread.pool = STAILQ_NEXT(co, link);
        coroutine_stack_free(co);
    }
    thread.pool_size = 0;
}

/* ---- life ---- */

static COROUTINE_NEVER_INLINE Coroutine *coroutine_make(void)
{
    Coroutine *co = coroutine_stack_new();

    coroutine_place_init(co);
    return co;
}

COROUTINE_NEVER_INLINE Coroutine *qemu_coroutine_create(CoroutineEntry *entry, void *opaque)
{
    Coroutine *co = thread.pool;

    if (likely(co)) {
        thread.pool = STAILQ_NEXT(co, link);
        thread.pool_size--;
    } else {
        co = coroutine_make();
    }
    co->entry = entry;
    co->opaque = opaque;
    return co;
}

static COROUTINE_NEVER_INLINE void coroutine_begin(Coroutine *co)
{
    co->is_entered = true;
    co->ctx = thread.ctx;
}

static COROUTINE_NEVER_INLINE void make_room_in_pool(void)
{
    Coroutine *surplus = thread.pool;

    if (!thread.is_drained_at_exit) {
        thread.is_drained_at_exit = true;
        g_private_set(&drain_at_exit, &thread);
    }
    if (thread.pool_size == POOL_SIZE) {
        thread.pool = STAILQ_NEXT(surplus, link);
        thread.pool_size--;
        coroutine_stack_free(surplus);
    }
}

/*
 * Give @co, which is still running, to the pool and leave it.  Nobody else can take it before the
 * switch, because the pool is the thread's own.
 */
static COROUTINE_NEVER_INLINE void coroutine_end(Coroutine *co)
{
    if (unlikely(thread.pool_size == POOL_SIZE || !thread.is_drained_at_exit)) {
        make_room_in_pool();
    }
    STAILQ_NEXT(co, link) = thread.pool;
    thread.pool = co;
    thread.pool_size++;
    co->is_entered = false;
    co->is_running = false;
    thread.current = co->caller;
    coroutine_switch_end(co);
}

__attribute__((used, no_sanitize_address)) void coroutine_main(Coroutine *co)
{
    for (;;) {
        coroutine_begin(co);
        co->entry(co->opaque);
        coroutine_end(co);
    }
}

bool qemu_coroutine_entered(const Coroutine *co)
{
    return co->is_entered;
}

/* ---- enter and yield ---- */

static inline __attribute__((always_inline)) void coroutine_run(Coroutine *co)
{
    assert(!co->is_running);
    co->is_running = true;
    co->caller = thread.current;
    thread.current = co;
    coroutine_switch_in(co);
}

static COROUTINE_NEVER_INLINE void run_one(Coroutine *co)
{
    coroutine_run(co);
}

static COROUTINE_NEVER_INLINE void wake_waiting(void)
{
    if (thread.current) {
        return;
    }
    while (thread.first_to_wake) {
        Coroutine *co = thread.first_to_wake;

        thread.first_to_wake = STAILQ_NEXT(co, link);
        if (co->ctx == thread.ctx) {
            run_one(co);
        } else {
            aio_co_schedule(co->ctx, co);
        }
    }
}

COROUTINE_NEVER_INLINE void qemu_coroutine_enter(Coroutine *co)
{
    coroutine_run(co);
    /* Still the same thread: the one who enters waits here and cannot be moved. */
    if (unlikely(thread.first_to_wake)) {
        wake_waiting();
    }
}

/* Outside of a coroutine this dies of the NULL pointer, in the first access. */
COROUTINE_NEVER_INLINE void coroutine_fn qemu_coroutine_yield(void)
{
    Coroutine *co = thread.current;

    co->is_running = false;
    thread.current = co->caller;
    coroutine_switch_out(co);
}

COROUTINE_NEVER_INLINE void coroutine_fn coroutine_wake_later(Coroutine *co)
{
    assert(thread.current);
    STAILQ_NEXT(co, link) = NULL;
    if (thread.first_to_wake) {
        STAILQ_NEXT(thread.last_to_wake, link) = co;
    } else {
        thread.first_to_wake = co;
    }
    thread.last_to_wake = co;
}
