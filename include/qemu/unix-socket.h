/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix stream sockets: where a program listens, and what it connects to.
 *
 * Every descriptor returned is non-blocking and closed on exec.  All functions may be called from
 * any thread and return a negative errno, with @errp set, where they fail: -EINVAL for what cannot
 * be a path or a descriptor of the kind wanted, otherwise what the system call said.
 */
#ifndef QEMU_UNIX_SOCKET_H
#define QEMU_UNIX_SOCKET_H

#include "qapi/error.h"

/*
 * Make a socket at @path and listen.  Nobody but the owner can ever connect: its mode is 0600 from
 * the moment that it has a name.  A socket that is there and on which nobody listens any more is
 * replaced; this blocks for up to a second while the kernel still clears up after its program, which
 * was killed.  One that is in use gives -EADDRINUSE.
 */
int unix_socket_listen(const char *path, Error **errp);

/* Connect to the socket at @path, on which somebody must be listening. */
int unix_socket_connect(const char *path, Error **errp);

/*
 * The descriptor that the program was started with and whose number is @number, in decimal, once it
 * is clear that it is a listening, or a connected, unix stream socket.  @param: the option's name.
 */
int unix_socket_take_listening(const char *param, const char *number, Error **errp);
int unix_socket_take_connected(const char *param, const char *number, Error **errp);

#endif
