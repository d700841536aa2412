/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timers: a binary heap a context, ordered by time and then by when they were armed.
 *
 * Each timer knows its place in the heap, so that arming, moving and deleting one cost a walk along
 * one branch.  A context without timers never reads the clock.
 */
#include "qemu/osdep.h"

#include <time.h>

#include "aio-internal.h"

int64_t qemu_clock_get_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ---- the heap ---- */

static QEMUTimer *timer_at(const AioTimerHeap *heap, int position)
{
    return g_ptr_array_index(heap->timers, position);
}

static void put_at(AioTimerHeap *heap, int position, QEMUTimer *timer)
{
    g_ptr_array_index(heap->timers, position) = timer;
    timer->position = position;
}

static bool is_before(const QEMUTimer *a, const QEMUTimer *b)
{
    return a->expire_ns != b->expire_ns ? a->expire_ns < b->expire_ns : a->order < b->order;
}

static void sift_up(AioTimerHeap *heap, QEMUTimer *timer, int position)
{
    while (position > 0 && is_before(timer, timer_at(heap, (position - 1) / 2))) {
        put_at(heap, position, timer_at(heap, (position - 1) / 2));
        position = (position - 1) / 2;
    }
    put_at(heap, position, timer);
}

static void sift_down(AioTimerHeap *heap, QEMUTimer *timer, int position)
{
    int nr_timers = heap->timers->len;
    int child;

    while ((child = 2 * position + 1) < nr_timers) {
        if (child + 1 < nr_timers && is_before(timer_at(heap, child + 1), timer_at(heap, child))) {
            child++;
        }
        if (!is_before(timer_at(heap, child), timer)) {
            break;
        }
        put_at(heap, position, timer_at(heap, child));
        position = child;
    }
    put_at(heap, position, timer);
}

void aio_timers_init(AioContext *ctx)
{
    ctx->timer_heap.timers = g_ptr_array_new();
}

void aio_timers_cleanup(AioContext *ctx)
{
    assert(ctx->timer_heap.timers->len == 0);
    g_ptr_array_free(ctx->timer_heap.timers, true);
}

/* ---- timers ---- */

void aio_timer_init(QEMUTimer *timer, AioContext *ctx, QEMUBHFunc *cb, void *opaque)
{
    *timer = (QEMUTimer){.ctx = ctx, .cb = cb, .opaque = opaque, .position = -1};
}

QEMUTimer *aio_timer_new(AioContext *ctx, QEMUBHFunc *cb, void *opaque)
{
    QEMUTimer *timer = g_new(QEMUTimer, 1);

    aio_timer_init(timer, ctx, cb, opaque);
    return timer;
}

void timer_mod_ns(QEMUTimer *timer, int64_t expire_ns)
{
    AioTimerHeap *heap = &timer->ctx->timer_heap;

    timer_del(timer);
    timer->expire_ns = expire_ns;
    timer->order = heap->nr_armed++;
    g_ptr_array_add(heap->timers, timer);
    sift_up(heap, timer, heap->timers->len - 1);
}

void timer_del(QEMUTimer *timer)
{
    AioTimerHeap *heap = &timer->ctx->timer_heap;
    int position = timer->position;
    QEMUTimer *last;

    if (position < 0) {
        return;
    }
    last = g_ptr_array_steal_index_fast(heap->timers, heap->timers->len - 1);
    timer->position = -1;
    if (last != timer) {
        sift_up(heap, last, position);
        sift_down(heap, last, last->position);
    }
}

bool timer_pending(const QEMUTimer *timer)
{
    return timer->position >= 0;
}

void timer_free(QEMUTimer *timer)
{
    if (timer) {
        timer_del(timer);
        g_free(timer);
    }
}

/* ---- the loop's side ---- */

int64_t aio_timers_timeout(const AioContext *ctx)
{
    const AioTimerHeap *heap = &ctx->timer_heap;
    int64_t timeout_ns;

    if (heap->timers->len == 0) {
        return AIO_WAIT_FOREVER;
    }
    timeout_ns = timer_at(heap, 0)->expire_ns - qemu_clock_get_ns();
    return MAX(timeout_ns, 0);
}

/* A timer that is armed again for a time that has passed fires in the next turn, as the clock is
 * read once. */
bool aio_timers_run(AioContext *ctx)
{
    AioTimerHeap *heap = &ctx->timer_heap;
    uint64_t nr_armed_before = heap->nr_armed;
    bool has_run = false;
    int64_t now;

    if (heap->timers->len == 0) {
        return false;
    }
    now = qemu_clock_get_ns();
    while (heap->timers->len > 0) {
        QEMUTimer *timer = timer_at(heap, 0);

        if (timer->expire_ns > now || timer->order >= nr_armed_before) {
            break;
        }
        timer_del(timer);
        timer->cb(timer->opaque);
        has_run = true;
    }
    return has_run;
}
