/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A qemu-storage-daemon as a child process, and the other programs that a test of it needs.
 */
#ifndef TESTS_VHOST_USER_DAEMON_H
#define TESTS_VHOST_USER_DAEMON_H

#include "qemu/osdep.h"

typedef struct Daemon {
    GPid pid; /* 0: it has ended */
    int status; /* of waitpid(), then */
} Daemon;

/*
 * Start @arguments (the program first, NULL last) with its error output appended to the file @log,
 * and wait until somebody accepts connections at @socket.  False where that takes more than 20 s,
 * or the program ends.
 */
bool daemon_start(Daemon *daemon, const char *const *arguments, const char *log,
                  const char *socket);

/* Whether it runs; otherwise daemon->status is how it has ended. */
bool daemon_is_alive(Daemon *daemon);

/* Send @signal_number, and wait until it has ended; false, and killed, if that takes 20 s. */
bool daemon_end(Daemon *daemon, int signal_number);

/* Run a program to its end with its output appended to @log; the exit status, -1 for none. */
int run_program(const char *const *arguments, const char *log);

#endif
