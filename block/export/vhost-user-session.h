/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user connection: what a front-end says, and the rings it sets up meanwhile.
 *
 * A coroutine reads the messages and answers them; a message that cannot be obeyed ends the
 * connection, unless the front-end asked to be told.  Nothing of a session outlives it but what
 * stands in the front-end's own memory.
 */
#ifndef BLOCK_EXPORT_VHOST_USER_SESSION_H
#define BLOCK_EXPORT_VHOST_USER_SESSION_H

#include "vhost-user-memory.h"
#include "virtio-blk-handler.h"

typedef struct VhostUserSession VhostUserSession;

/* A ring as the front-end has described it. */
typedef struct VhostUserVring {
    VhostUserSession *session;
    VirtIOBlkQueue *queue;
    unsigned int index;
    unsigned int size;
    VhostUserVringAddr addr;
    bool has_addr;
    uint16_t base;
    int kick_fd, call_fd, err_fd; /* -1: none */
    bool is_enabled;
    bool is_live; /* the VirtQueue has been started on the ring */
} VhostUserVring;

struct VhostUserSession {
    int socket;
    const char *name; /* of the export, for messages */
    VirtIOBlkHandler *handler;
    void (*ended)(void *opaque);
    void *opaque;

    uint64_t protocol_features;
    uint64_t features; /* virtio's and bit 30 */
    bool has_features;
    VhostUserMemory memory;
    VhostUserVring *vrings;
    unsigned int nr_vrings;

    VhostUserMapping inflight; /* host is NULL: none */
    unsigned int inflight_queues, inflight_size;
};

/*
 * Serve the connected @socket, which is taken over, in the calling context.  @ended(@opaque) is
 * called when the connection is over and all of it has been freed.  NULL where the process has no
 * descriptors left: then @socket is closed, and nothing is called.
 */
VhostUserSession *vhost_user_session_new(int socket, const char *name, VirtIOBlkHandler *handler,
                                         unsigned int nr_vrings, void (*ended)(void *opaque),
                                         void *opaque);
/* Disconnect; the session ends later, when its requests have been answered. */
void vhost_user_session_stop(VhostUserSession *session);

/* ---- rings (vhost-user-vring.c) ---- */

void vhost_user_vring_init(VhostUserVring *vring, VhostUserSession *session, unsigned int index);
/* It is at rest. */
void vhost_user_vring_done(VhostUserVring *vring);
/* Serve the ring where all that it takes is known, otherwise not; false with @errp set where what
 * is known is impossible. */
bool vhost_user_vring_update(VhostUserVring *vring, Error **errp);
/* Take no more requests, and wait for those taken; vhost_user_vring_update() goes on. */
void coroutine_fn vhost_user_vring_rest(VhostUserVring *vring);
/* Use the event @fd, which is taken over (-1: none), from now on; false if it is no eventfd. */
bool vhost_user_vring_set_call(VhostUserVring *vring, int fd, Error **errp);
bool vhost_user_vring_set_err(VhostUserVring *vring, int fd, Error **errp);
bool vhost_user_vring_set_kick(VhostUserVring *vring, int fd, Error **errp);

#endif
