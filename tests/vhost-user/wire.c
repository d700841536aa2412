/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages to and from a vhost-user back-end: see wire.h.
 */
#include "qemu/osdep.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "wire.h"

int wire_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = WIRE_WAIT_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    return fd;
}

bool wire_send(int socket, uint32_t request, uint32_t flags, const void *payload, uint32_t bytes,
               const int *fds, unsigned int nr_fds)
{
    uint8_t buffer[VHOST_USER_HEADER_BYTES + WIRE_MAX_BYTES];
    uint32_t version = flags & VHOST_USER_VERSION_MASK ? 0 : VHOST_USER_VERSION;
    uint32_t header[3] = {request, flags | version, bytes};
    union {
        struct cmsghdr hdr;
        char bytes[CMSG_SPACE(WIRE_MAX_FDS * sizeof(int))];
    } control = {0};
    struct iovec iov = {buffer, VHOST_USER_HEADER_BYTES + bytes};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};

    g_assert(bytes <= WIRE_MAX_BYTES && nr_fds <= WIRE_MAX_FDS);
    memcpy(buffer, header, sizeof(header));
    if (bytes) {
        memcpy(buffer + sizeof(header), payload, bytes);
    }
    if (nr_fds) {
        hdr.msg_control = &control;
        hdr.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
        control.hdr = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(nr_fds * sizeof(int)),
        };
        memcpy(CMSG_DATA(&control.hdr), fds, nr_fds * sizeof(int));
    }
    return sendmsg(socket, &hdr, MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

static bool receive_header(int socket, uint32_t header[3], int *fd)
{
    union {
        struct cmsghdr hdr;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {header, VHOST_USER_HEADER_BYTES};
    struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof(control)};

    *fd = -1;
    if (recvmsg(socket, &hdr, MSG_WAITALL | MSG_CMSG_CLOEXEC) != VHOST_USER_HEADER_BYTES) {
        return false;
    }
    if (CMSG_FIRSTHDR(&hdr)) {
        memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&hdr)), sizeof(*fd));
    }
    return true;
}

int wire_receive(int socket, uint32_t request, void *payload, uint32_t max, int *fd)
{
    uint32_t header[3];
    int received_fd;
    bool is_ok = receive_header(socket, header, &received_fd) && header[0] == request &&
                 header[1] == (VHOST_USER_VERSION | VHOST_USER_REPLY) && header[2] <= max &&
                 (header[2] == 0 ||
                  recv(socket, payload, header[2], MSG_WAITALL) == (ssize_t)header[2]);

    if (fd) {
        *fd = is_ok ? received_fd : -1;
    }
    if (received_fd >= 0 && (!fd || !is_ok)) {
        close(received_fd);
    }
    return is_ok ? (int)header[2] : -1;
}

bool wire_ask(int socket, uint32_t request, uint64_t *value)
{
    return wire_send(socket, request, 0, NULL, 0, NULL, 0) &&
           wire_receive(socket, request, value, sizeof(*value), NULL) == sizeof(*value);
}

bool wire_tell(int socket, uint32_t request, const void *payload, uint32_t bytes, int fd,
               uint64_t *answer)
{
    return wire_send(socket, request, VHOST_USER_NEED_REPLY, payload, bytes, &fd, fd >= 0) &&
           wire_receive(socket, request, answer, sizeof(*answer), NULL) == sizeof(*answer);
}
