/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events from all threads: see qmp-events.h.
 *
 * The main thread may be busy for long, so there is a limit to what other threads can leave here.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "qapi/qmp-event.h"
#include "qemu/error-report.h"
#include "qmp-events.h"

#define MAX_EVENTS 4096

static void (*arrived_handler)(void);

/* Under @lock: what has come, whether the bottom half is on its way, and how many were too many. */
static GMutex lock;
static GQueue events = G_QUEUE_INIT;
static bool is_scheduled;
static unsigned int nr_lost;

static void announce(void *opaque)
{
    unsigned int lost;

    g_mutex_lock(&lock);
    is_scheduled = false;
    lost = nr_lost;
    nr_lost = 0;
    g_mutex_unlock(&lock);
    if (lost) {
        warn_report("%u events were lost: more than %d at once", lost, MAX_EVENTS);
    }
    arrived_handler();
}

/* From any thread. */
static void queue_event(json_t *event, void *opaque)
{
    AioContext *main_context = qemu_get_aio_context();
    bool is_main_thread = qemu_get_current_aio_context() == main_context;

    g_mutex_lock(&lock);
    if (g_queue_get_length(&events) < MAX_EVENTS) {
        g_queue_push_tail(&events, json_incref(event));
    } else {
        nr_lost++;
    }
    if (!is_main_thread && !is_scheduled) {
        is_scheduled = true;
        aio_bh_schedule_oneshot(main_context, announce, NULL);
    }
    g_mutex_unlock(&lock);
    if (is_main_thread) {
        arrived_handler();
    }
}

void qmp_events_init(void (*arrived)(void))
{
    arrived_handler = arrived;
    qapi_event_set_handler(queue_event, NULL);
}

json_t *qmp_events_take(void)
{
    json_t *event;

    g_mutex_lock(&lock);
    event = g_queue_pop_head(&events);
    g_mutex_unlock(&lock);
    return event;
}
