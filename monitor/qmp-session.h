/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QMP session: one client from the greeting to the end of its connection.
 *
 * Sessions take turns: one command of one of them runs at a time, so that a command which waits in
 * a nested event loop does not meet another one half-way.  Each session's commands run in order and
 * are answered in order.  A client that does not read its answers is not served further; a client
 * that does not read at all loses events.  Everything here happens in the main thread.
 */
#ifndef MONITOR_QMP_SESSION_H
#define MONITOR_QMP_SESSION_H

#include "qapi/qmp-dispatch.h"

typedef struct QmpSession QmpSession;

typedef struct QmpSessionOptions {
    const QmpCommandTable *commands; /* must have qmp_capabilities */
    const char *name;                /* for warnings; outlives the session */
    int in_fd, out_fd;               /* non-blocking; they stay the caller's */
    bool is_pretty;
    /* The client has gone, or has sent its last and been answered: to free the session.  Comes from
     * a clean stack. */
    void (*ended)(void *opaque);
    void *opaque;
} QmpSessionOptions;

/* Greet the client. */
QmpSession *qmp_session_new(const QmpSessionOptions *options);

/* No command of @session may be running.  NULL is fine. */
void qmp_session_free(QmpSession *session);

/* Send the events that have come (qmp-events.h) to all clients that have negotiated. */
void qmp_sessions_send_events(void);

/* No session runs a further command, now and for good. */
void qmp_sessions_stop(void);

/* Wait for the command that is running, if there is one.  Outside coroutines, and not from it. */
void qmp_sessions_wait_for_command(void);

/* Whether anything is still to be sent. */
bool qmp_sessions_has_output(void);

#endif
