/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch between two stacks, inline, for x86-64 and aarch64.
 *
 * The compiler saves what it needs of the registers that are named as clobbered; the stack and frame pointers, which it cannot
 * be told about, are kept in the CoroutinePlace.  Nothing is pushed, so that neither a red zone nor the unwinding
 * information of the function around is disturbed: a debugger sees a coroutine at rest as a call of qemu_coroutine_yield().
 *
 * To be used in functions that do no floating-point arithmetic of their own.  The control words of the
 * floating-point units are not switched: they belong to the thread.
 */
#ifndef UTIL_COROUTINE_ASM_H
#define UTIL_COROUTINE_ASM_H

#if defined(__x86_64__)

static inline __attribute__((always_inline)) void coroutine_place_switch(CoroutinePlace *save,
                                                                         CoroutinePlace *load)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, 0(%%rdi)\n\t"
                     "movq %%rax, 8(%%rdi)\n\t"
                     "movq %%rbp, 16(%%rdi)\n\t"
                     "movq 0(%%rsi), %%rsp\n\t"
                     "movq 16(%%rsi), %%rbp\n\t"
                     "jmpq *8(%%rsi)\n"
                     "1:"
                     : "+D"(save), "+S"(load)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                       "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc",
                       "memory");
}

static inline __attribute__((always_inline, noreturn)) void
coroutine_place_leave_for(CoroutinePlace *load)
{
    __asm__ volatile("movq 0(%%rsi), %%rsp\n\t"
                     "movq 16(%%rsi), %%rbp\n\t"
                     "jmpq *8(%%rsi)"
                     :
                     : "S"(load)
                     : "memory");
    __builtin_unreachable();
}

#elif defined(__aarch64__)

/* hint #36 is "bti j": a landing pad for the branch, and nothing on older processors. */
static inline __attribute__((always_inline)) void coroutine_place_switch(CoroutinePlace *save,
                                                                         CoroutinePlace *load)
{
    register CoroutinePlace *from __asm__("x0") = save;
    register CoroutinePlace *to __asm__("x1") = load;

    __asm__ volatile("adr x9, 1f\n\t"
                     "mov x10, sp\n\t"
                     "stp x10, x9, [x0]\n\t"
                     "str x29, [x0, #16]\n\t"
                     "ldp x10, x9, [x1]\n\t"
                     "ldr x29, [x1, #16]\n\t"
                     "mov sp, x10\n\t"
                     "br x9\n"
                     "1:\n\t"
                     "hint #36"
                     : "+r"(from), "+r"(to)
                     :
                     : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13",
                       "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
                       "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",
                       "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
                       "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                       "v30", "v31", "cc", "memory");
}

static inline __attribute__((always_inline, noreturn)) void
coroutine_place_leave_for(CoroutinePlace *load)
{
    register CoroutinePlace *to __asm__("x1") = load;

    __asm__ volatile("ldp x10, x9, [x1]\n\t"
                     "ldr x29, [x1, #16]\n\t"
                     "mov sp, x10\n\t"
                     "br x9"
                     :
                     : "r"(to)
                     : "memory");
    __builtin_unreachable();
}

#else
#error "no stack switch for this processor: configure with -Dcoroutine_backend=ucontext"
#endif

/* Of util/coroutine-asm.c: calls coroutine_main() with what it finds in the frame pointer. */
void coroutine_first_step(void);

/* The stack ends where the Coroutine begins. */
static inline void coroutine_place_init(Coroutine *co)
{
    co->own.stack_pointer = (void *)ROUND_DOWN((uintptr_t)co, 16);
    co->own.resume_address = (void *)coroutine_first_step;
    co->own.frame_pointer = co;
}

static inline __attribute__((always_inline)) void coroutine_switch_in(Coroutine *co)
{
    coroutine_place_switch(&co->enterer, &co->own);
}

static inline __attribute__((always_inline)) void coroutine_switch_out(Coroutine *co)
{
    coroutine_place_switch(&co->own, &co->enterer);
}

/* The next life begins with the first step again, which is cheaper than to keep this place. */
static inline __attribute__((always_inline, noreturn)) void coroutine_switch_end(Coroutine *co)
{
    coroutine_place_init(co);
    coroutine_place_leave_for(&co->enterer);
}

#endif
