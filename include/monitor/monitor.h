/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitors: management clients that send QMP commands and get answers and events.
 *
 * A chardev is a way in, a unix socket or the standard streams; a monitor speaks QMP over one.
 * Commands go to the table `qmp_commands` of the program.  They are run one at a time, whichever
 * monitor they came from, in the main thread and outside coroutines unless the schema says
 * otherwise.  docs/devel/monitor.rst tells more.
 *
 * All of this is called in the main thread, after qemu_init_main_loop().  Events may come from any
 * thread (qapi/qmp-event.h).
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "qapi/qapi-types.h"

/*
 * Make a chardev.
 *
 * A socket that is a server listens when this returns, and with `wait` its first client has
 * connected (this blocks until then).  Clients are served one after the other.
 *
 * From the first chardev on the program ignores SIGPIPE.
 *
 * Returns 0, or with @errp set: -EINVAL for options that do not go together or a descriptor that
 * is none of the right kind; -EEXIST where there is a chardev of that id, or one on the standard
 * streams, already; -EADDRINUSE where somebody listens on the socket; -EINTR after
 * chardev_cancel_waits(); or what socket(2), bind(2) or connect(2) said.
 */
int chardev_add(ChardevOptions *options, Error **errp);

/*
 * The program is about to end: a chardev_add() that waits for a client fails, as soon as its event
 * loop goes on.  From callbacks of the main thread's loop, and from signal handlers followed by
 * anything that wakes it.
 */
void chardev_cancel_waits(void);

/*
 * Make a monitor on a chardev that exists and has no other user.
 *
 * Returns 0, or with @errp set: -ENOENT where there is no such chardev, -EBUSY where it has a
 * monitor, -EEXIST where there is a monitor of that id.
 */
int monitor_add(MonitorOptions *options, Error **errp);

/* @fn is called when a client sends `quit`, and only notes it: the answer is still to be sent. */
void monitor_set_quit_handler(void (*fn)(void));

/*
 * Tell all clients, with the event SHUTDOWN, that the program is about to end, and why.  A command
 * that is running is waited for; those that come later are never answered.  Only the first call
 * does anything.  Outside coroutines.
 */
void monitor_announce_shutdown(ShutdownCause reason);

/*
 * End all monitors and chardevs: what is still to be sent is sent, for a second at most, then
 * connections are closed, sockets removed and the standard streams restored.  A command that is
 * running is waited for.  Outside coroutines.
 */
void monitor_close_all(void);

#endif
