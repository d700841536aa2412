/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch between two stacks, inline, for x86-64 and aarch64.
 *
 * The compiler saves what it needs of the registers that are named as clobbered; the stack and
 * frame pointers, which it cannot be told about, are kept in the CoroutinePlace.  Nothing is
 * pushed, so that neither a red zone nor the unwinding information of the function around is
 * disturbed: a debugger sees a coroutine at rest as a call of qemu_coroutine_yield().
 *
 * To be used in functions that do no floating-point arithmetic of their own.  The control words of
 * the floating-point units are not switched: they belong to the thread.
 */
#ifndef UTIL_COROUTINE_ASM_H
#define UTIL_COROUTINE_ASM_H

/* Offsets in a Coroutine, as text. */
#define OWN_STACK       "0"
#define OWN_ADDRESS     "8"
#define OWN_FRAME       "16"
#define ENTERER_STACK   "24"
#define ENTERER_ADDRESS "32"
#define ENTERER_FRAME   "40"

G_STATIC_ASSERT(offsetof(Coroutine, own.stack_pointer) == 0);
G_STATIC_ASSERT(offsetof(Coroutine, own.resume_address) == 8);
G_STATIC_ASSERT(offsetof(Coroutine, own.frame_pointer) == 16);
G_STATIC_ASSERT(offsetof(Coroutine, enterer.stack_pointer) == 24);
G_STATIC_ASSERT(offsetof(Coroutine, enterer.resume_address) == 32);
G_STATIC_ASSERT(offsetof(Coroutine, enterer.frame_pointer) == 40);

/*
 * COROUTINE_SWITCH(co, SAVE, LOAD): keep the present place in SAVE (OWN or ENTERER) of @co and go
 * to LOAD; goes on below when somebody goes to SAVE.
 *
 * COROUTINE_LEAVE(co, LOAD): go to LOAD for good.
 */
#if defined(__x86_64__)

#define GO_TO(LOAD)                                                \
    "movq " LOAD##_STACK "(%%rdi), %%rsp\n\t"                      \
                         "movq " LOAD##_FRAME "(%%rdi), %%rbp\n\t" \
                                              "jmpq *" LOAD##_ADDRESS "(%%rdi)\n"

#define COROUTINE_SWITCH(co, SAVE, LOAD)                                                        \
    do {                                                                                        \
        Coroutine *coroutine_ = (co);                                                           \
        __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"                                            \
                         "movq %%rsp, " SAVE##_STACK "(%%rdi)\n\t"                              \
                                                     "movq %%rax, " SAVE##_ADDRESS              \
                         "(%%rdi)\n\t"                                                          \
                         "movq %%rbp, " SAVE##_FRAME "(%%rdi)\n\t" GO_TO(LOAD) "1:"             \
                         : "+D"(coroutine_)                                                     \
                         :                                                                      \
                         : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12",  \
                           "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
                           "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",  \
                           "xmm14", "xmm15", "cc", "memory");                                   \
    } while (0)

#define COROUTINE_LEAVE(co, LOAD)                             \
    do {                                                      \
        __asm__ volatile(GO_TO(LOAD) : : "D"(co) : "memory"); \
        __builtin_unreachable();                              \
    } while (0)

#elif defined(__aarch64__)

#define GO_TO(LOAD)                                                                               \
    "ldr x10, [x0, #" LOAD##_STACK "]\n\t"                                                        \
                                   "ldr x9, [x0, #" LOAD##_ADDRESS "]\n\t"                        \
                                                                   "ldr x29, [x0, #" LOAD##_FRAME \
        "]\n\t"                                                                                   \
        "mov sp, x10\n\t"                                                                         \
        "br x9\n"

/* hint #36 is "bti j": a landing pad for the branch, and nothing on older processors. */
#define COROUTINE_SWITCH(co, SAVE, LOAD)                                                         \
    do {                                                                                         \
        register Coroutine *coroutine_ __asm__("x0") = (co);                                     \
        __asm__ volatile("adr x9, 1f\n\t"                                                        \
                         "mov x10, sp\n\t"                                                       \
                         "str x10, [x0, #" SAVE##_STACK "]\n\t"                                  \
                                                        "str x9, [x0, #" SAVE##_ADDRESS          \
                         "]\n\t"                                                                 \
                         "str x29, [x0, #" SAVE##_FRAME "]\n\t" GO_TO(LOAD) "1:\n\t"             \
                                                                            "hint #36"           \
                         : "+r"(coroutine_)                                                      \
                         :                                                                       \
                         : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",   \
                           "x12", "x13", "x14", "x15", "x16", "x17", "x19", "x20", "x21", "x22", \
                           "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2",    \
                           "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", \
                           "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", \
                           "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "cc",         \
                           "memory");                                                            \
    } while (0)

#define COROUTINE_LEAVE(co, LOAD)                                     \
    do {                                                              \
        register Coroutine *coroutine_ __asm__("x0") = (co);          \
        __asm__ volatile(GO_TO(LOAD) : : "r"(coroutine_) : "memory"); \
        __builtin_unreachable();                                      \
    } while (0)

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
    COROUTINE_SWITCH(co, ENTERER, OWN);
}

static inline __attribute__((always_inline)) void coroutine_switch_out(Coroutine *co)
{
    COROUTINE_SWITCH(co, OWN, ENTERER);
}

/* The next life begins with the first step again, which is cheaper than to keep this place. */
static inline __attribute__((always_inline, noreturn)) void coroutine_switch_end(Coroutine *co)
{
    coroutine_place_init(co);
    COROUTINE_LEAVE(co, ENTERER);
}

#endif
