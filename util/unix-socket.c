/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix stream sockets: see qemu/unix-socket.h.
 *
 * On Linux a socket's name gets the mode that the descriptor has when it is bound, so that the mode
 * can be set before anybody can see the name.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "qemu/cutils.h"
#include "qemu/unix-socket.h"

/* Enough for clients of one server to start at the same time. */
#define BACKLOG 16

/* How long a dying program's socket is waited for: 1 s. */
#define MAX_ATTEMPTS        100
#define ATTEMPT_INTERVAL_US 10000

static int set_address(struct sockaddr_un *address, const char *path, Error **errp)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof(address->sun_path)) {
        error_setg(errp, "A socket's path must have 1 to %zu bytes, got '%s'",
                   sizeof(address->sun_path) - 1, path);
        return -EINVAL;
    }
    memcpy(address->sun_path, path, len);
    return 0;
}

/* ---- listening ---- */

typedef enum Listener {
    LISTENER_ALIVE, /* as far as can be seen */
    LISTENER_DYING, /* the process that began to listen has ended, the socket lives on */
    LISTENER_GONE,
} Listener;

/*
 * Who listens on the socket at @address.
 *
 * The kernel takes down the io_uring of a killed process, and the files that its requests hold,
 * some time after the process has gone.  Or it gave its socket to another process.
 */
static Listener find_listener(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    Listener listener = LISTENER_ALIVE;
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (fd < 0) {
        return LISTENER_ALIVE;
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
        /* Nobody takes the connections to a dying one, and soon its queue is full. */
        listener = errno == EAGAIN                            ? LISTENER_DYING
                   : errno == ECONNREFUSED || errno == ENOENT ? LISTENER_GONE
                                                              : LISTENER_ALIVE;
    } else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.pid > 0 &&
               kill(peer.pid, 0) < 0 && errno == ESRCH) {
        listener = LISTENER_DYING;
    }
    close(fd);
    return listener;
}

static bool is_socket(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Replaces a dead program's socket, and waits for a dying one's to become that. */
static int bind_to(int fd, const struct sockaddr_un *address)
{
    const char *path = address->sun_path;

    for (int i = 0; i < MAX_ATTEMPTS; i++) {
        Listener listener;

        if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0) {
            return 0;
        }
        if (errno != EADDRINUSE) {
            return -errno;
        }
        if (!is_socket(path)) {
            return -EADDRINUSE;
        }
        listener = find_listener(address);
        if (listener == LISTENER_ALIVE || (listener == LISTENER_GONE && unlink(path) < 0)) {
            return -EADDRINUSE;
        }
        if (listener == LISTENER_DYING) {
            g_usleep(ATTEMPT_INTERVAL_US);
        }
    }
    return -EADDRINUSE;
}

int unix_socket_listen(const char *path, Error **errp)
{
    struct sockaddr_un address;
    int fd, ret = set_address(&address, path, errp);

    if (ret < 0) {
        return ret;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ret = fd < 0 || fchmod(fd, 0600) < 0 ? -errno : bind_to(fd, &address);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot make the socket '%s'", path);
    } else if (listen(fd, BACKLOG) < 0) {
        ret = -errno;
        error_setg_errno(errp, -ret, "Cannot listen on the socket '%s'", path);
        unlink(path);
    }
    if (ret < 0 && fd >= 0) {
        close(fd);
    }
    return ret < 0 ? ret : fd;
}

/* ---- connecting ---- */

int unix_socket_connect(const char *path, Error **errp)
{
    struct sockaddr_un address;
    int fd, ret = set_address(&address, path, errp);

    if (ret < 0) {
        return ret;
    }
    /* Unix sockets connect at once or not at all; only a full queue would block. */
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        ret = -errno;
        error_setg_errno(errp, -ret, "Cannot connect to the socket '%s'", path);
        if (fd >= 0) {
            close(fd);
        }
        return ret;
    }
    return fd;
}

/* ---- descriptors that the program was started with ---- */

static bool has_option(int fd, int option, int expected)
{
    socklen_t len = sizeof(int);
    int value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == expected;
}

static int parse_fd(const char *param, const char *number, Error **errp)
{
    int fd;

    if (qemu_strtoi(number, NULL, 10, &fd) < 0 || fd < 0) {
        error_setg(errp, "%s must be the number of a descriptor, got '%s'", param, number);
        return -EINVAL;
    }
    return fd;
}

static int prepare_fd(int fd, Error **errp)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        int ret = -errno;

        error_setg_errno(errp, -ret, "Cannot use descriptor %d", fd);
        return ret;
    }
    return fd;
}

static bool is_unix_stream(int fd)
{
    return has_option(fd, SO_DOMAIN, AF_UNIX) && has_option(fd, SO_TYPE, SOCK_STREAM);
}

int unix_socket_take_listening(const char *param, const char *number, Error **errp)
{
    int fd = parse_fd(param, number, errp);

    if (fd >= 0 && !(is_unix_stream(fd) && has_option(fd, SO_ACCEPTCONN, 1))) {
        error_setg(errp, "Descriptor %d is no listening unix socket", fd);
        return -EINVAL;
    }
    return fd < 0 ? fd : prepare_fd(fd, errp);
}

int unix_socket_take_connected(const char *param, const char *number, Error **errp)
{
    struct sockaddr_un peer;
    socklen_t len = sizeof(peer);
    int fd = parse_fd(param, number, errp);

    if (fd >= 0 && !(is_unix_stream(fd) && getpeername(fd, (struct sockaddr *)&peer, &len) == 0)) {
        error_setg(errp, "Descriptor %d is no connected unix socket", fd);
        return -EINVAL;
    }
    return fd < 0 ? fd : prepare_fd(fd, errp);
}
