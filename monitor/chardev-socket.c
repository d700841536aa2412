/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chardevs on a unix socket: a server with one client at a time, or a client.
 *
 * While a client is served the others wait in the socket's queue.
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <sys/socket.h>

#include "block/aio.h"
#include "chardev.h"
#include "monitor/monitor.h"
#include "qemu/error-report.h"
#include "qemu/unix-socket.h"

/* Until the next accept() after one that had no memory or descriptors. */
#define RETRY_NS (INT64_C(100) * 1000 * 1000)

/*
 * @listen_fd: of a server; -1: we are a client.  @path: of the socket that we made; NULL: none.
 * @peer_fd: the connection, or -1.  @is_told: the user knows of it.
 */
typedef struct SocketChardev {
    Chardev chr;
    int listen_fd;
    char *path;
    int peer_fd;
    bool is_told;
    QEMUTimer *retry;
} SocketChardev;

static volatile sig_atomic_t are_waits_cancelled;

void chardev_cancel_waits(void)
{
    are_waits_cancelled = true;
}

/* ---- peers ---- */

static void accept_peer(void *opaque);

static void watch(SocketChardev *s, bool is_watched)
{
    aio_set_fd_handler(qemu_get_aio_context(), s->listen_fd, is_watched ? accept_peer : NULL, NULL,
                       s);
}

static void retry(void *opaque)
{
    watch(opaque, true);
}

static void tell_user(SocketChardev *s)
{
    if (s->chr.peer_came && s->peer_fd >= 0 && !s->is_told) {
        s->is_told = true;
        chardev_peer_came(&s->chr, s->peer_fd, s->peer_fd);
    }
}

static void accept_peer(void *opaque)
{
    SocketChardev *s = opaque;

    s->peer_fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (s->peer_fd >= 0) {
        watch(s, false);
        tell_user(s);
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        warn_report("Chardev '%s': cannot accept a connection: %s", s->chr.id ?: "",
                    g_strerror(errno));
        watch(s, false);
        timer_mod_ns(s->retry, qemu_clock_get_ns() + RETRY_NS);
    }
}

static void socket_await_peer(Chardev *chr)
{
    SocketChardev *s = container_of(chr, SocketChardev, chr);

    if (s->peer_fd >= 0) {
        tell_user(s);
    } else if (s->listen_fd >= 0) {
        watch(s, true);
    }
}

static void socket_drop_peer(Chardev *chr)
{
    SocketChardev *s = container_of(chr, SocketChardev, chr);

    close(s->peer_fd);
    s->peer_fd = -1;
    s->is_told = false;
}

/* ---- life ---- */

static void socket_free(Chardev *chr)
{
    SocketChardev *s = container_of(chr, SocketChardev, chr);

    if (s->listen_fd >= 0) {
        watch(s, false);
        close(s->listen_fd);
    }
    if (s->peer_fd >= 0) {
        close(s->peer_fd);
    }
    if (s->path) {
        unlink(s->path);
    }
    timer_free(s->retry);
    g_free(s->path);
    g_free(s);
}

static const ChardevOps socket_ops = {
    .await_peer = socket_await_peer,
    .drop_peer = socket_drop_peer,
    .free = socket_free,
};

static int check_options(const ChardevSocket *options, Error **errp)
{
    if (!options->path == !options->fd) {
        error_setg(errp, "A socket is given by exactly one of 'path' and 'fd'");
        return -EINVAL;
    }
    if (!options->server && options->has_wait && options->wait) {
        error_setg(errp, "'wait' is for sockets with server=on only");
        return -EINVAL;
    }
    return 0;
}

static int open_server(SocketChardev *s, const ChardevSocket *options, Error **errp)
{
    s->listen_fd = options->path ? unix_socket_listen(options->path, errp)
                                 : unix_socket_take_listening("fd", options->fd, errp);
    if (s->listen_fd < 0) {
        return s->listen_fd;
    }
    /* It outlives the working directory. */
    s->path = options->path ? g_canonicalize_filename(options->path, NULL) : NULL;
    return 0;
}

static int open_client(SocketChardev *s, const ChardevSocket *options, Error **errp)
{
    s->peer_fd = options->path ? unix_socket_connect(options->path, errp)
                               : unix_socket_take_connected("fd", options->fd, errp);
    return MIN(s->peer_fd, 0);
}

static int wait_for_peer(SocketChardev *s, Error **errp)
{
    watch(s, true);
    AIO_WAIT_WHILE(qemu_get_aio_context(), s->peer_fd < 0 && !are_waits_cancelled);
    if (s->peer_fd < 0) {
        error_setg(errp, "Ended before a client connected");
        return -EINTR;
    }
    return 0;
}

Chardev *chardev_socket_new(const ChardevSocket *options, int *ret, Error **errp)
{
    SocketChardev *s;

    *ret = check_options(options, errp);
    if (*ret < 0) {
        return NULL;
    }
    s = g_new0(SocketChardev, 1);
    s->chr.ops = &socket_ops;
    s->listen_fd = s->peer_fd = -1;
    s->retry = aio_timer_new(qemu_get_aio_context(), retry, s);
    *ret = options->server ? open_server(s, options, errp) : open_client(s, options, errp);
    if (*ret == 0 && options->server && (!options->has_wait || options->wait)) {
        *ret = wait_for_peer(s, errp);
    }
    if (*ret < 0) {
        socket_free(&s->chr);
        return NULL;
    }
    return &s->chr;
}
