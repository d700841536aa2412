/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of character devices: see chardev.h.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "chardev.h"
#include "monitor/monitor.h"

static TAILQ_HEAD(, Chardev) chardevs = TAILQ_HEAD_INITIALIZER(chardevs);

Chardev *chardev_find(const char *id)
{
    Chardev *chr;

    TAILQ_FOREACH (chr, &chardevs, link) {
        if (!strcmp(chr->id, id)) {
            return chr;
        }
    }
    return NULL;
}

static Chardev *new_of_kind(const ChardevOptions *options, int *ret, Error **errp)
{
    switch (options->backend) {
    case CHARDEV_BACKEND_TYPE_SOCKET:
        return chardev_socket_new(&options->u.socket, ret, errp);
    case CHARDEV_BACKEND_TYPE_STDIO:
        return chardev_stdio_new(ret, errp);
    default:
        g_assert_not_reached();
    }
}

int chardev_add(ChardevOptions *options, Error **errp)
{
    Chardev *chr;
    int ret = 0;

    if (chardev_find(options->id)) {
        error_setg(errp, "Duplicate chardev id '%s'", options->id);
        return -EEXIST;
    }
    /* A peer that has gone is an error of write(2), and not the program's end. */
    signal(SIGPIPE, SIG_IGN);
    chr = new_of_kind(options, &ret, errp);
    if (!chr) {
        return ret;
    }
    chr->id = g_strdup(options->id);
    TAILQ_INSERT_TAIL(&chardevs, chr, link);
    return 0;
}

int chardev_use(Chardev *chr, ChardevPeerFunc *peer_came, void *opaque, Error **errp)
{
    if (chr->peer_came) {
        error_setg(errp, "Chardev '%s' is in use", chr->id);
        return -EBUSY;
    }
    chr->peer_came = peer_came;
    chr->opaque = opaque;
    chr->ops->await_peer(chr);
    return 0;
}

void chardev_drop_peer(Chardev *chr)
{
    chr->ops->drop_peer(chr);
    chr->ops->await_peer(chr);
}

void chardev_free_all(void)
{
    while (!TAILQ_EMPTY(&chardevs)) {
        Chardev *chr = TAILQ_FIRST(&chardevs);

        TAILQ_REMOVE(&chardevs, chr, link);
        g_free(chr->id);
        chr->ops->free(chr);
    }
}
