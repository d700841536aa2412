/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events from all threads, in the order in which they come, for the main thread.
 */
#ifndef MONITOR_QMP_EVENTS_H
#define MONITOR_QMP_EVENTS_H

#include <jansson.h>

/*
 * Become the process's handler of events.  @arrived is called in the main thread when there are
 * some to take: at once for one that comes from that thread, in a turn of its loop for others.
 * Before threads that send events are started.
 */
void qmp_events_init(void (*arrived)(void));

/* The oldest event that was not taken yet (new reference), or NULL.  Main thread. */
json_t *qmp_events_take(void);

#endif
