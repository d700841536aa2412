/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CoQueue: coroutines that wait for an event which another one announces.
 *
 * There is no lock: what orders the users of a queue is the CoMutex that they hold, or that they
 * run in one thread. A waiter enters the queue before it lets go of the mutex, so that no
 * announcement is lost.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "qemu/coroutine_int.h"

void qemu_co_queue_init(CoQueue *queue)
{
    STAILQ_INIT(&queue->waiting);
}

void coroutine_fn qemu_co_queue_wait(CoQueue *queue, CoMutex *mutex)
{
    Coroutine *self = qemu_coroutine_self();

    STAILQ_INSERT_TAIL(&queue->waiting, self, link);
    if (mutex) {
        qemu_co_mutex_unlock(mutex);
    }
    qemu_coroutine_yield();
    if (mutex) {
        qemu_co_mutex_lock(mutex);
    }
}

bool qemu_co_queue_next(CoQueue *queue)
{
    Coroutine *co = STAILQ_FIRST(&queue->waiting);

    if (!co) {
        return false;
    }
    STAILQ_REMOVE_HEAD(&queue->waiting, link);
    aio_co_wake(co);
    return true;
}

void qemu_co_queue_restart_all(CoQueue *queue)
{
    CoQueue woken;

    qemu_co_queue_init(&woken);
    STAILQ_CONCAT(&woken.waiting, &queue->waiting);
    while (qemu_co_queue_next(&woken)) {
        /* the next one */
    }
}

bool qemu_co_queue_empty(const CoQueue *queue)
{
    return STAILQ_EMPTY(&queue->waiting);
}

void qemu_co_queue_move(CoQueue *queue, AioContext *ctx)
{
    Coroutine *co;

    STAILQ_FOREACH(co, &queue->waiting, link) {
        __atomic_store_n(&co->ctx, ctx, __ATOMIC_RELAXED);
    }
}
