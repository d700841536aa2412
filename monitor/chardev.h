/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Character devices, as their one user sees them: peers that come and go.
 *
 * A peer is a pair of non-blocking descriptors, one to read from and one to write to, which may be
 * the same.  There is one at a time.  Main thread.
 */
#ifndef MONITOR_CHARDEV_H
#define MONITOR_CHARDEV_H

#include "qapi/qapi-types.h"

typedef struct Chardev Chardev;

/* A peer has come.  The descriptors stay the chardev's. */
typedef void ChardevPeerFunc(int in_fd, int out_fd, void *opaque);

typedef struct ChardevOps {
    /* Call chardev_peer_came() when there is a peer, which may be now. */
    void (*await_peer)(Chardev *chr);
    /* Part from the peer that came last. */
    void (*drop_peer)(Chardev *chr);
    /* Close everything, and free the struct.  A peer may still be there. */
    void (*free)(Chardev *chr);
} ChardevOps;

/* What all kinds have in common; they embed it first. */
struct Chardev {
    const ChardevOps *ops;
    char *id;
    ChardevPeerFunc *peer_came; /* NULL: nobody uses it */
    void *opaque;
    TAILQ_ENTRY(Chardev) link;
};

/* ---- for users ---- */

/* The chardev called @id, or NULL. */
Chardev *chardev_find(const char *id);

/*
 * Become the user of @chr: @peer_came is called for its first peer, at once if that is there
 * already, and after each chardev_drop_peer() for the next.  -EBUSY with @errp set if it has a
 * user.
 */
int chardev_use(Chardev *chr, ChardevPeerFunc *peer_came, void *opaque, Error **errp);

/* The peer is no longer needed; the next may come. */
void chardev_drop_peer(Chardev *chr);

/* Free all chardevs.  Their users must not watch the descriptors any more. */
void chardev_free_all(void);

/* ---- for kinds of chardevs ---- */

static inline void chardev_peer_came(Chardev *chr, int in_fd, int out_fd)
{
    chr->peer_came(in_fd, out_fd, chr->opaque);
}

/* Each returns a new one without an id, or NULL with an error number in @ret and @errp set. */
Chardev *chardev_socket_new(const ChardevSocket *options, int *ret, Error **errp);
Chardev *chardev_stdio_new(int *ret, Error **errp);

#endif
