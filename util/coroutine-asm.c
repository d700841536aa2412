/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first steps of a coroutine, for the stack switch of coroutine-asm.h.
 *
 * A new coroutine's place is set so that the first switch to it lands in coroutine_first_step with
 * the coroutine itself in the frame pointer; that is also where the unwinding of its stack ends.
 */
#include "qemu/osdep.h"

#include "qemu/coroutine_int.h"

#if defined(__x86_64__)
__asm__(".text\n"
        ".globl coroutine_first_step\n"
        ".hidden coroutine_first_step\n"
        ".type coroutine_first_step, @function\n"
        "coroutine_first_step:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_undefined rip\n\t"
        "movq %rbp, %rdi\n\t"
        "xorl %ebp, %ebp\n\t"
        "call coroutine_main\n\t"
        "ud2\n\t"
        ".cfi_endproc\n\t"
        ".size coroutine_first_step, . - coroutine_first_step\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl coroutine_first_step\n"
        ".hidden coroutine_first_step\n"
        ".type coroutine_first_step, %function\n"
        "coroutine_first_step:\n\t"
        ".cfi_startproc\n\t"
        ".cfi_undefined x30\n\t"
        "hint #36\n\t"
        "mov x0, x29\n\t"
        "mov x29, xzr\n\t"
        "mov x30, xzr\n\t"
        "bl coroutine_main\n\t"
        "brk #1\n\t"
        ".cfi_endproc\n\t"
        ".size coroutine_first_step, . - coroutine_first_step\n");
#endif
