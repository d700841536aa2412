/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CoMutex: mutual exclusion between coroutines, also of different threads.
 *
 * One compare-and-exchange takes a free mutex, one gives it back when nobody waits.  Otherwise the
 * guard is taken: a newcomer turns HELD into CONTENDED and queues up; an unlock that finds
 * CONTENDED hands the mutex to the first waiter. While the state is CONTENDED it changes only under
 * the guard, and the mutex is never free in between: so no newcomer overtakes a waiter, and no
 * wake-up is lost.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "qemu/coroutine_int.h"

enum {
    FREE,
    HELD,
    CONTENDED, /* held, and there are waiters */
};

static bool change_state(CoMutex *mutex, unsigned int from, unsigned int to)
{
    return __atomic_compare_exchange_n(&mutex->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

void qemu_co_mutex_init(CoMutex *mutex)
{
    *mutex = (CoMutex){.state = FREE};
    g_mutex_init(&mutex->guard);
    STAILQ_INIT(&mutex->waiters);
}

/* Take @mutex if it has become free, else queue up.  Returns whether it was taken. */
static bool coroutine_fn take_or_queue_up(CoMutex *mutex, Coroutine *self)
{
    bool is_taken = false;

    g_mutex_lock(&mutex->guard);
    /* FREE and HELD may turn into each other any time; CONTENDED stays while the guard is held. */
    while (!change_state(mutex, CONTENDED, CONTENDED) && !change_state(mutex, HELD, CONTENDED)) {
        if (change_state(mutex, FREE, HELD)) {
            is_taken = true;
            break;
        }
    }
    if (!is_taken) {
        STAILQ_INSERT_TAIL(&mutex->waiters, self, link);
    }
    g_mutex_unlock(&mutex->guard);
    return is_taken;
}

void coroutine_fn qemu_co_mutex_lock(CoMutex *mutex)
{
    Coroutine *self = qemu_coroutine_self();

    if (likely(change_state(mutex, FREE, HELD))) {
        mutex->holder = self;
        return;
    }
    assert(mutex->holder != self);
    if (take_or_queue_up(mutex, self)) {
        mutex->holder = self;
        return;
    }
    qemu_coroutine_yield();
    assert(mutex->holder == self);
}

void coroutine_fn qemu_co_mutex_unlock(CoMutex *mutex)
{
    Coroutine *successor;

    assert(mutex->holder == qemu_coroutine_self());
    mutex->holder = NULL;
    if (likely(change_state(mutex, HELD, FREE))) {
        return;
    }
    g_mutex_lock(&mutex->guard);
    successor = STAILQ_FIRST(&mutex->waiters);
    STAILQ_REMOVE_HEAD(&mutex->waiters, link);
    mutex->holder = successor;
    if (STAILQ_EMPTY(&mutex->waiters)) {
        change_state(mutex, CONTENDED, HELD);
    }
    g_mutex_unlock(&mutex->guard);
    aio_co_wake(successor);
}

void qemu_co_mutex_assert_locked(const CoMutex *mutex)
{
    assert(__atomic_load_n(&mutex->state, __ATOMIC_RELAXED) != FREE);
}

CoMutexGuard coroutine_fn qemu_co_mutex_guard(CoMutex *mutex)
{
    qemu_co_mutex_lock(mutex);
    return mutex;
}

void qemu_co_mutex_guard_done(CoMutexGuard *guard)
{
    if (*guard) {
        qemu_co_mutex_unlock(*guard);
        *guard = NULL;
    }
}
