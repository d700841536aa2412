/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stack switch of the C library: for processors without one of our own, and under the
 * sanitizers, which must be told of each switch.
 *
 * It costs a system call for the signal mask each time; nobody measures speed with it.
 */
#include "qemu/osdep.h"

#include "qemu/coroutine_int.h"

#if COROUTINE_WITH_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#if COROUTINE_WITH_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Tell AddressSanitizer that the next switch goes to the given stack; @fake_stack NULL: the present
 * one is not returned to. */
static inline void announce_switch(void **fake_stack, const void *bottom, size_t size)
{
#if COROUTINE_WITH_ASAN
    __sanitizer_start_switch_fiber(fake_stack, bottom, size);
#endif
}

static inline void conclude_switch(void *fake_stack, const void **old_bottom, size_t *old_size)
{
#if COROUTINE_WITH_ASAN
    __sanitizer_finish_switch_fiber(fake_stack, old_bottom, old_size);
#endif
}

/* The same for ThreadSanitizer, which has an object of its own for each stack. */
static inline void announce_fiber(CoroutinePlace *from, CoroutinePlace *to)
{
#if COROUTINE_WITH_TSAN
    from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/* makecontext() passes ints; the pointer travels in two. */
static void coroutine_first_step(unsigned int high, unsigned int low)
{
    Coroutine *co = (Coroutine *)(uintptr_t)((uint64_t)high << 32 | low);

    conclude_switch(NULL, &co->enterer.stack_bottom, &co->enterer.stack_size);
    coroutine_main(co);
}

void coroutine_place_init(Coroutine *co)
{
    ucontext_t *registers = &co->own.registers;
    uint64_t address = (uintptr_t)co;

#if COROUTINE_WITH_TSAN
    co->own.fiber = __tsan_create_fiber(0);
#endif
    if (getcontext(registers) < 0) {
        g_error("getcontext: %s", g_strerror(errno));
    }
    registers->uc_stack.ss_sp = coroutine_stack_bottom(co);
    registers->uc_stack.ss_size = ROUND_DOWN(coroutine_stack_size(co), 16);
    registers->uc_link = NULL;
    makecontext(registers, (void (*)(void))coroutine_first_step, 2, (unsigned int)(address >> 32),
                (unsigned int)address);
}

/*
 * Not swapcontext(), because AddressSanitizer prints a warning about each program that calls it.
 * ThreadSanitizer, which counts calls and returns for each stack, must not see it either.
 */
__attribute__((no_sanitize_thread)) static COROUTINE_NEVER_INLINE void
place_switch(CoroutinePlace *save, CoroutinePlace *load)
{
    volatile bool is_back = false;
    int ret = getcontext(&save->registers);

    if (ret == 0 && !is_back) {
        is_back = true;
        ret = setcontext(&load->registers);
    }
    if (ret < 0) {
        g_error("cannot switch stacks: %s", g_strerror(errno));
    }
}

void coroutine_switch_in(Coroutine *co)
{
    announce_switch(&co->enterer.fake_stack, coroutine_stack_bottom(co), coroutine_stack_size(co));
    announce_fiber(&co->enterer, &co->own);
    place_switch(&co->enterer, &co->own);
    conclude_switch(co->enterer.fake_stack, NULL, NULL);
}

static void switch_back(Coroutine *co, void **fake_stack)
{
    co->own.fake_stack = NULL;
    announce_switch(fake_stack, co->enterer.stack_bottom, co->enterer.stack_size);
    announce_fiber(&co->own, &co->enterer);
    place_switch(&co->own, &co->enterer);
    conclude_switch(co->own.fake_stack, &co->enterer.stack_bottom, &co->enterer.stack_size);
}

void coroutine_switch_out(Coroutine *co)
{
    switch_back(co, &co->own.fake_stack);
}

void coroutine_switch_end(Coroutine *co)
{
    switch_back(co, NULL);
}
