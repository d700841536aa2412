/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a coroutine: for util/ only.
 *
 * A coroutine keeps two places: where it goes on itself when entered, and where the one that
 * entered it goes on when it yields.  So a thread needs no object of its own to be able to enter
 * one.
 *
 * A compiler may keep the address of a thread-local variable in a register, which is wrong once a
 * coroutine has moved to another thread in a yield.  Thread-locals are therefore touched only in
 * functions that are never inlined and that use none after a yield.
 */
#ifndef QEMU_COROUTINE_INT_H
#define QEMU_COROUTINE_INT_H

#include "qemu/coroutine.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define COROUTINE_WITH_ASAN 1
#else
#define COROUTINE_WITH_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define COROUTINE_WITH_TSAN 1
#else
#define COROUTINE_WITH_TSAN 0
#endif

#ifdef CONFIG_COROUTINE_ASM

/* The assembly of util/coroutine-asm.h has the offsets of these. */
typedef struct CoroutinePlace {
    void *stack_pointer;
    void *resume_address;
    void *frame_pointer;
} CoroutinePlace;

#else

#include <ucontext.h>

typedef struct CoroutinePlace {
    ucontext_t registers;
    void *fake_stack;         /* AddressSanitizer's, while away */
    const void *stack_bottom; /* of the one who entered, known while the coroutine runs */
    size_t stack_size;
    void *fiber; /* ThreadSanitizer's */
} CoroutinePlace;

#endif

/*
 * It waits in at most one queue at any time, and @link is for that one: of a CoQueue, a lock, the
 * wake-ups of a thread, the scheduled coroutines of an AioContext, or the pool.
 */
struct Coroutine {
    CoroutinePlace own;
    CoroutinePlace enterer;
    CoroutineEntry *entry;
    void *opaque;
    Coroutine *caller; /* the coroutine that entered this one, NULL for a thread's ordinary code */
    AioContext *ctx;   /* where it runs, or will run; NULL in a thread without event loop */
    STAILQ_ENTRY(Coroutine) link;
    bool is_running;   /* entered and has not yielded since, though another one that it entered may
                          run now */
    bool is_entered;   /* between its first instruction and its last */
    bool is_scheduled; /* atomic: waits to be entered by an AioContext */
    void *mapping;     /* guard page and stack; this struct lies at the top of it */
};

#if defined(__GNUC__) && !defined(__clang__)
#define COROUTINE_NEVER_INLINE __attribute__((noipa))
#else
#define COROUTINE_NEVER_INLINE __attribute__((noinline))
#endif

/* ---- stacks: util/coroutine-stack.c ---- */

/* Map a stack with a guard page and a zeroed Coroutine at its top. */
Coroutine *coroutine_stack_new(void);
void coroutine_stack_free(Coroutine *co);
/* The usable part of the stack of @co: its lowest address and its size in bytes. */
void *coroutine_stack_bottom(const Coroutine *co);
size_t coroutine_stack_size(const Coroutine *co);

/* ---- switching: util/coroutine-asm.h or util/coroutine-ucontext.c ---- */

/*
 * coroutine_place_init(co): make the next switch to @co call coroutine_main(@co), which does not
 * return.
 *
 * coroutine_switch_in(co): from the one who enters to @co; returns when @co switches out.
 *
 * coroutine_switch_out(co): from @co back; returns when it is entered again.
 *
 * coroutine_switch_end(co): from @co back for the last time of this life.  When it is entered
 * again, either this returns or coroutine_main() is called anew.
 */
void coroutine_main(Coroutine *co);

#ifdef CONFIG_COROUTINE_ASM
#include "../../util/coroutine-asm.h"
#else
void coroutine_place_init(Coroutine *co);
void coroutine_switch_in(Coroutine *co);
void coroutine_switch_out(Coroutine *co);
void coroutine_switch_end(Coroutine *co);
#endif

/* ---- the calling thread: util/coroutine.c ---- */

/* Enter @co once the coroutine that runs now, and all that entered it, have yielded; in its
 * AioContext. */
void coroutine_fn coroutine_wake_later(Coroutine *co);

/* The AioContext that the calling thread runs at the moment. */
void coroutine_thread_set_context(AioContext *ctx);

#endif
