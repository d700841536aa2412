/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CoRwlock: many readers or one writer, also of different threads.
 *
 * The state counts the readers, or says that a writer is inside.  Without waiters it changes by
 * compare-and-exchange alone. WAITED_FOR is set under the guard by the first who must wait; from
 * then on until the last waiter is let in, the state changes only under the guard.  Whoever leaves
 * lets in those at the head of the queue: a writer, or all readers up to the next writer.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "qemu/coroutine_int.h"

#define WRITER     (1u << 31)
#define WAITED_FOR (1u << 30)

/* Lives on the stack of the coroutine that waits. */
typedef struct CoRwlockTicket {
    Coroutine *co;
    bool is_writer;
    STAILQ_ENTRY(CoRwlockTicket) next;
} CoRwlockTicket;

static unsigned int load_state(const CoRwlock *lock)
{
    return __atomic_load_n(&lock->state, __ATOMIC_RELAXED);
}

static bool change_state(CoRwlock *lock, unsigned int from, unsigned int to)
{
    return __atomic_compare_exchange_n(&lock->state, &from, to, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

void qemu_co_rwlock_init(CoRwlock *lock)
{
    *lock = (CoRwlock){.state = 0};
    g_mutex_init(&lock->guard);
    STAILQ_INIT(&lock->tickets);
}

static bool may_enter(unsigned int state, bool is_writer)
{
    return is_writer ? state == 0 : !(state & (WRITER | WAITED_FOR));
}

static unsigned int state_after_entry(unsigned int state, bool is_writer)
{
    return is_writer ? WRITER : state + 1;
}

/* Enter, as the others allow it, without waiting. */
static bool try_to_enter(CoRwlock *lock, bool is_writer)
{
    unsigned int state = load_state(lock);

    while (may_enter(state, is_writer)) {
        if (change_state(lock, state, state_after_entry(state, is_writer))) {
            return true;
        }
        state = load_state(lock);
    }
    return false;
}

static bool coroutine_fn enter_or_queue_up(CoRwlock *lock, CoRwlockTicket *ticket)
{
    bool is_inside = false;
    unsigned int state;

    g_mutex_lock(&lock->guard);
    do {
        is_inside = try_to_enter(lock, ticket->is_writer);
        state = load_state(lock);
    } while (!is_inside && (may_enter(state, ticket->is_writer) ||
                            !change_state(lock, state, state | WAITED_FOR)));
    if (!is_inside) {
        STAILQ_INSERT_TAIL(&lock->tickets, ticket, next);
    }
    g_mutex_unlock(&lock->guard);
    return is_inside;
}

static void coroutine_fn lock_as(CoRwlock *lock, bool is_writer)
{
    CoRwlockTicket ticket = {.is_writer = is_writer};

    if (likely(try_to_enter(lock, is_writer))) {
        return;
    }
    ticket.co = qemu_coroutine_self();
    if (!enter_or_queue_up(lock, &ticket)) {
        /* whoever wakes this coroutine has let it in */
        qemu_coroutine_yield();
    }
}

void coroutine_fn qemu_co_rwlock_rdlock(CoRwlock *lock)
{
    lock_as(lock, false);
}

void coroutine_fn qemu_co_rwlock_wrlock(CoRwlock *lock)
{
    lock_as(lock, true);
}

/*
 * The holders of the lock are now as @state says, without WAITED_FOR; let in whom that allows.
 * Called with the guard held; collects those to wake in @woken.
 */
static void let_in(CoRwlock *lock, unsigned int state, CoQueue *woken)
{
    CoRwlockTicket *ticket;

    while ((ticket = STAILQ_FIRST(&lock->tickets)) && may_enter(state, ticket->is_writer)) {
        state = state_after_entry(state, ticket->is_writer);
        STAILQ_REMOVE_HEAD(&lock->tickets, next);
        STAILQ_INSERT_TAIL(&woken->waiting, ticket->co, link);
    }
    __atomic_store_n(&lock->state, state | (ticket ? WAITED_FOR : 0), __ATOMIC_RELEASE);
}

/* A holder leaves, or a writer stays on as a reader. */
static void coroutine_fn give_up(CoRwlock *lock, bool stays_as_reader)
{
    unsigned int state = load_state(lock);
    unsigned int rest;
    CoQueue woken;

    do {
        state = load_state(lock);
        assert(state & ~WAITED_FOR);
        rest = state & WRITER ? stays_as_reader : (state & ~WAITED_FOR) - 1;
    } while (!(state & WAITED_FOR) && !change_state(lock, state, rest));
    if (!(state & WAITED_FOR)) {
        return;
    }

    qemu_co_queue_init(&woken);
    g_mutex_lock(&lock->guard);
    /* other readers may have left meanwhile */
    state = load_state(lock) & ~WAITED_FOR;
    let_in(lock, state & WRITER ? stays_as_reader : state - 1, &woken);
    g_mutex_unlock(&lock->guard);
    qemu_co_queue_restart_all(&woken);
}

void coroutine_fn qemu_co_rwlock_unlock(CoRwlock *lock)
{
    give_up(lock, false);
}

void coroutine_fn qemu_co_rwlock_downgrade(CoRwlock *lock)
{
    assert(load_state(lock) & WRITER);
    give_up(lock, true);
}
