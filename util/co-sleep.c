/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sleeping in a coroutine: a timer on its own stack wakes it.
 */
#include "qemu/osdep.h"

#include "aio-internal.h"

static void wake_sleeper(void *opaque)
{
    aio_co_wake(opaque);
}

void coroutine_fn qemu_co_sleep_ns(int64_t ns)
{
    AioContext *ctx = qemu_get_current_aio_context();
    QEMUTimer timer;

    aio_timer_init(&timer, ctx, wake_sleeper, qemu_coroutine_self());
    timer_mod_ns(&timer, qemu_clock_get_ns() + MAX(ns, 0));
    qemu_coroutine_yield();
}
