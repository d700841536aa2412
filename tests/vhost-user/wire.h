/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The front-end's side of a vhost-user socket, message by message, without any opinion on what is
 * said: for honest front-ends and for others.
 *
 * Calls block.  A connection that the back-end has closed is a result, not a failure.
 */
#ifndef TESTS_VHOST_USER_WIRE_H
#define TESTS_VHOST_USER_WIRE_H

#include "qemu/osdep.h"

#include "../../block/export/vhost-user-message.h"

/* More than a back-end takes. */
#define WIRE_MAX_FDS 16
#define WIRE_MAX_BYTES 4096

/* What a call waits at most for the other side. */
#define WIRE_WAIT_S 20

/* Connect to the socket at @path; -1 with errno set. */
int wire_connect(const char *path);

/*
 * Send @request with the @bytes of @payload and descriptors; the version is added to @flags unless
 * they say another one.  False where the connection is gone.
 */
bool wire_send(int socket, uint32_t request, uint32_t flags, const void *payload, uint32_t bytes,
               const int *fds, unsigned int nr_fds);

/*
 * The reply to @request: up to @max bytes into @payload, a descriptor that comes with it into *@fd
 * unless that is NULL (otherwise, and where there is none: -1).  Returns the bytes, -1 where the
 * connection is gone or says anything else.
 */
int wire_receive(int socket, uint32_t request, void *payload, uint32_t max, int *fd);

/* Ask for a number; false where the connection is gone. */
bool wire_ask(int socket, uint32_t request, uint64_t *value);

/*
 * Send with NEED_REPLY (REPLY_ACK was negotiated); *@answer is 0, or something else if the back-end
 * refuses.  @fd is -1 where there is none.
 */
bool wire_tell(int socket, uint32_t request, const void *payload, uint32_t bytes, int fd,
               uint64_t *answer);

#endif
