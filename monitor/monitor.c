/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitors: a chardev, and a QMP session for each peer that comes by it.  See monitor/monitor.h.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "chardev.h"
#include "monitor/monitor.h"
#include "qapi/qapi-commands.h"
#include "qmp-events.h"
#include "qmp-session.h"

/* How long clients have to take what is still to be sent in the end. */
#define FLUSH_NS (INT64_C(1000) * 1000 * 1000)

typedef struct Monitor {
    char *id; /* may be NULL */
    Chardev *chr;
    bool is_pretty;
    QmpSession *session; /* NULL: no peer */
    TAILQ_ENTRY(Monitor) link;
} Monitor;

static TAILQ_HEAD(, Monitor) monitors = TAILQ_HEAD_INITIALIZER(monitors);

/* ---- peers ---- */

static void session_ended(void *opaque)
{
    Monitor *mon = opaque;

    g_clear_pointer(&mon->session, qmp_session_free);
    chardev_drop_peer(mon->chr);
}

static void peer_came(int in_fd, int out_fd, void *opaque)
{
    Monitor *mon = opaque;
    QmpSessionOptions options = {
        .commands = &qmp_commands,
        .name = mon->id ?: mon->chr->id,
        .in_fd = in_fd,
        .out_fd = out_fd,
        .is_pretty = mon->is_pretty,
        .ended = session_ended,
        .opaque = mon,
    };

    mon->session = qmp_session_new(&options);
}

/* ---- beginning ---- */

static bool has_monitor(const char *id)
{
    Monitor *mon;

    TAILQ_FOREACH (mon, &monitors, link) {
        if (!g_strcmp0(mon->id, id)) {
            return true;
        }
    }
    return false;
}

static void free_monitor(Monitor *mon)
{
    qmp_session_free(mon->session);
    g_free(mon->id);
    g_free(mon);
}

int monitor_add(MonitorOptions *options, Error **errp)
{
    Chardev *chr = chardev_find(options->chardev);
    Monitor *mon;
    int ret;

    if (!chr) {
        error_setg(errp, "chardev \"%s\" not found", options->chardev);
        return -ENOENT;
    }
    if (options->id && has_monitor(options->id)) {
        error_setg(errp, "Duplicate monitor id '%s'", options->id);
        return -EEXIST;
    }
    qmp_events_init(qmp_sessions_send_events);
    mon = g_new0(Monitor, 1);
    mon->id = g_strdup(options->id);
    mon->chr = chr;
    mon->is_pretty = options->pretty;
    ret = chardev_use(chr, peer_came, mon, errp);
    if (ret < 0) {
        free_monitor(mon);
        return ret;
    }
    TAILQ_INSERT_TAIL(&monitors, mon, link);
    return 0;
}

/* ---- end ---- */

static void set_true(void *opaque)
{
    *(bool *)opaque = true;
}

static void flush_output(void)
{
    AioContext *ctx = qemu_get_aio_context();
    bool is_over = false;
    QEMUTimer *timer = aio_timer_new(ctx, set_true, &is_over);

    timer_mod_ns(timer, qemu_clock_get_ns() + FLUSH_NS);
    qmp_sessions_send_events();
    AIO_WAIT_WHILE(ctx, qmp_sessions_has_output() && !is_over);
    timer_free(timer);
}

void monitor_close_all(void)
{
    qmp_sessions_stop();
    qmp_sessions_wait_for_command();
    flush_output();
    while (!TAILQ_EMPTY(&monitors)) {
        Monitor *mon = TAILQ_FIRST(&monitors);

        TAILQ_REMOVE(&monitors, mon, link);
        free_monitor(mon);
    }
    chardev_free_all();
}
