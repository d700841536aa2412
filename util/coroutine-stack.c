/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stacks of coroutines.
 *
 * One mapping each: a guard page at the bottom, on which an overflow dies instead of writing into a
 * neighbour, the stack, and at the top the Coroutine itself, next to the part of the stack that is
 * always in use. Pages that are never touched cost nothing.
 *
 * If all stacks began at the same offset in a page, the hot ends of a few dozen would compete for
 * the same lines of the processor's caches; so each begins a little lower than the one before.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>

#include "qemu/coroutine_int.h"

#if COROUTINE_WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if COROUTINE_WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define STACK_MAPPING_SIZE (256 * KiB)
#define CACHE_LINE         64
#define NR_COLOURS         29 /* prime, and below a page's 64 lines with the step of two lines */

static size_t page_size(void)
{
    static size_t size;

    if (!size) {
        size = sysconf(_SC_PAGESIZE);
    }
    return size;
}

Coroutine *coroutine_stack_new(void)
{
    static unsigned int nr_made;
    unsigned int colour = __atomic_fetch_add(&nr_made, 1, __ATOMIC_RELAXED) % NR_COLOURS;
    size_t size = ROUND_UP((size_t)STACK_MAPPING_SIZE, page_size());
    size_t top = ROUND_DOWN(size - sizeof(Coroutine), CACHE_LINE) - colour * 2 * CACHE_LINE;
    char *mapping = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    Coroutine *co;

    if (mapping == MAP_FAILED || mprotect(mapping, page_size(), PROT_NONE) < 0) {
        g_error("cannot map a coroutine stack of %zu bytes: %s", size, g_strerror(errno));
    }
    co = (Coroutine *)(mapping + top);
    co->mapping = mapping;
    return co;
}

void coroutine_stack_free(Coroutine *co)
{
    size_t size = ROUND_UP((size_t)STACK_MAPPING_SIZE, page_size());

#if COROUTINE_WITH_ASAN
    /* its last frames were never left, and the next mapping of these addresses must not inherit
     * their red zones */
    ASAN_UNPOISON_MEMORY_REGION(co->mapping, size);
#endif
#if COROUTINE_WITH_TSAN
    __tsan_destroy_fiber(co->own.fiber);
#endif
    munmap(co->mapping, size);
}

void *coroutine_stack_bottom(const Coroutine *co)
{
    return (char *)co->mapping + page_size();
}

size_t coroutine_stack_size(const Coroutine *co)
{
    return (const char *)co - (const char *)coroutine_stack_bottom(co);
}
