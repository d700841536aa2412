/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace events: what the generated trace.h of each directory builds on, and the switch for users.
 *
 * An event is described in its directory's trace-events file and happens by calling trace_NAME();
 * docs/devel/tracing.rst tells how to add and how to watch one.  While nobody listens an event
 * costs one load and one branch that is not taken, besides a nop where there are static probes.
 */
#ifndef QEMU_TRACE_H
#define QEMU_TRACE_H

#include "qemu/osdep.h"
#include "qapi/error.h"

#ifdef CONFIG_SDT
#include <sys/sdt.h>
#endif

/* ---- for main programs ---- */

/*
 * Act on @option, the argument of --trace: `[enable=]PATTERN[,events=FILE][,file=FILE]`.
 *
 * PATTERN is an event's name, * and ? standing for any text and any character; `-PATTERN` disables.
 * `events` names a file of patterns, one a line (blank lines and lines from # on ignored), which is
 * done before `enable`.  `file` takes the log in place of stderr; it is emptied first.  A pattern
 * that fits no event is worth a warning.  `help` lists the events on stdout and exits with 0.
 *
 * May be called more than once, before there are other threads that trace.  Returns false with
 * @errp set where the argument is malformed or a file cannot be opened or read.
 */
bool trace_opt_parse(const char *option, Error **errp);

/*
 * Log the events that fit @pattern from now on, or no longer where it starts with -.  Any thread.
 * Returns how many fit.
 */
size_t trace_enable_events(const char *pattern);

/* ---- for generated code ---- */

/* The events of one directory; all three arrays and the group itself are static. */
typedef struct TraceGroup TraceGroup;
struct TraceGroup {
    const char *const *names; /* [nr_events] */
    uint8_t *enabled;         /* [nr_events]: 1 while the event is logged */
    size_t nr_events;
    TraceGroup *next;
};

/* Make @group known; called by constructors, before main(). */
void trace_register_group(TraceGroup *group);

/* Write the line `PID@SECONDS.MICROSECONDS:NAME ARGS` to the log, in one piece. */
void trace_log(const char *name, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Events are switched while other threads run; the order of that and other memory does not matter.
 */
static inline bool trace_is_set(const uint8_t *enabled)
{
    return __atomic_load_n(enabled, __ATOMIC_RELAXED);
}

#endif
