/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The handler of SIGBUS: see memory-guard.h.
 *
 * It runs in any thread at any instruction, so it takes no lock and allocates nothing: guards stand
 * in a list that only grows, whose members are used again.  A guard in use has @end set; @start is
 * written before that, so that who sees an end sees the right start.
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <sys/mman.h>

#include "qemu/memory-guard.h"

struct MemoryGuard {
    uintptr_t start, end; /* of the mapping; an @end of 0: the guard is free */
    int event;
    bool is_damaged;
    MemoryGuard *next; /* never changes */
};

static GMutex lock; /* of those who change the list */
static MemoryGuard *guards;
static struct sigaction old_action;
static uintptr_t page_bytes;

/* ---- in the handler ---- */

static MemoryGuard *find_guard(uintptr_t addr)
{
    MemoryGuard *guard;

    for (guard = __atomic_load_n(&guards, __ATOMIC_ACQUIRE); guard; guard = guard->next) {
        uintptr_t end = __atomic_load_n(&guard->end, __ATOMIC_ACQUIRE);
        uintptr_t start = __atomic_load_n(&guard->start, __ATOMIC_ACQUIRE);

        /* The second look at the end: it may be used again just now. */
        if (addr < end && addr >= start && __atomic_load_n(&guard->end, __ATOMIC_RELAXED) == end) {
            return guard;
        }
    }
    return NULL;
}

static bool replace(uintptr_t start, uintptr_t bytes)
{
    return mmap((void *)start, bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool repair(uintptr_t addr)
{
    MemoryGuard *guard = find_guard(addr);
    const uint64_t one = 1;

    if (!guard) {
        return false;
    }
    /* The kernel does not take a single page out of a mapping of huge ones. */
    if (!replace(addr & ~(page_bytes - 1), page_bytes) &&
        !replace(guard->start, guard->end - guard->start)) {
        return false;
    }
    __atomic_store_n(&guard->is_damaged, true, __ATOMIC_RELEASE);
    /* A full counter has been signalled already. */
    return write(guard->event, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    if (info->si_code != BUS_ADRERR || !repair((uintptr_t)info->si_addr)) {
        sigaction(SIGBUS, &old_action, NULL);
        if (info->si_code <= 0) {
            raise(signal_number); /* somebody has sent it: nothing is going to fault again */
        }
    }
    errno = saved_errno;
}

/* ---- outside ---- */

static void install_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

    page_bytes = sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &old_action);
}

/* A guard that is not in use; the caller holds the lock. */
static MemoryGuard *take_guard(void)
{
    MemoryGuard *guard;

    for (guard = guards; guard; guard = guard->next) {
        if (guard->end == 0) {
            return guard;
        }
    }
    guard = g_new0(MemoryGuard, 1);
    guard->next = guards;
    __atomic_store_n(&guards, guard, __ATOMIC_RELEASE);
    return guard;
}

MemoryGuard *memory_guard_new(void *base, size_t bytes, int event)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);
    MemoryGuard *guard;

    if (!page_bytes) {
        install_handler();
    }
    assert(bytes && ((uintptr_t)base | bytes) % page_bytes == 0);
    guard = take_guard();
    guard->event = event;
    guard->is_damaged = false;
    __atomic_store_n(&guard->start, (uintptr_t)base, __ATOMIC_RELAXED);
    __atomic_store_n(&guard->end, (uintptr_t)base + bytes, __ATOMIC_RELEASE);
    return guard;
}

void memory_guard_free(MemoryGuard *guard)
{
    if (guard) {
        g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&lock);

        __atomic_store_n(&guard->end, 0, __ATOMIC_RELEASE);
    }
}

bool memory_guard_is_damaged(const MemoryGuard *guard)
{
    return __atomic_load_n(&guard->is_damaged, __ATOMIC_ACQUIRE);
}
