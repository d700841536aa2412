/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receiving and sending vhost-user messages: see vhost-user-message.h.
 */
#include "qemu/osdep.h"

#include <sys/socket.h>

#include "vhost-user-message.h"

/* The descriptors of a received header; false where some were lost. */
static bool collect_fds(struct msghdr *hdr, VhostUserMessage *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
        unsigned int nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (unsigned int i = 0; i < nr; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (msg->nr_fds == VHOST_USER_MAX_FDS) {
                close(fd);
                hdr->msg_flags |= MSG_CTRUNC;
            } else {
                msg->fds[msg->nr_fds++] = fd;
            }
        }
    }
    return !(hdr->msg_flags & MSG_CTRUNC);
}

/* As read(2) of all of @bytes, with descriptors; 1, 0 at the end before the first byte, -errno. */
static int coroutine_fn receive_all(int socket, void *buffer, size_t bytes, VhostUserMessage *msg)
{
    size_t done = 0;

    while (done < bytes) {
        char control[CMSG_SPACE(VHOST_USER_MAX_FDS * sizeof(int))];
        struct iovec iov = {(uint8_t *)buffer + done, bytes - done};
        struct msghdr hdr = {
            .msg_iov = &iov, .msg_iovlen = 1,
            .msg_control = control, .msg_controllen = sizeof(control),
        };
        ssize_t ret = recvmsg(socket, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

        if (ret < 0 && (errno == EAGAIN || errno == EINTR)) {
            qemu_co_wait_fd(socket, false);
            continue;
        }
        if (ret < 0) {
            return -errno;
        }
        if (ret == 0) {
            return done ? -EPIPE : 0;
        }
        if (!collect_fds(&hdr, msg)) {
            return -E2BIG;
        }
        done += ret;
    }
    return 1;
}

int coroutine_fn vhost_user_receive(int socket, VhostUserMessage *msg, Error **errp)
{
    uint32_t header[3];
    int ret;

    msg->nr_fds = 0;
    memset(&msg->payload, 0, sizeof(msg->payload));
    ret = receive_all(socket, header, sizeof(header), msg);
    if (ret > 0) {
        msg->request = header[0];
        msg->flags = header[1];
        msg->bytes = header[2];
        if ((msg->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
            msg->bytes > sizeof(msg->payload)) {
            error_setg(errp, "message %u has flags 0x%x and a payload of %u bytes", msg->request,
                       msg->flags, msg->bytes);
            vhost_user_close_fds(msg);
            return -EINVAL;
        }
        ret = msg->bytes ? receive_all(socket, &msg->payload, msg->bytes, msg) : 1;
        ret = ret == 0 ? -EPIPE : ret;
    }
    if (ret <= 0) {
        vhost_user_close_fds(msg);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot read a message");
    }
    return ret;
}

bool coroutine_fn vhost_user_reply(int socket, const VhostUserMessage *msg, uint32_t bytes, int fd)
{
    uint8_t buffer[VHOST_USER_HEADER_BYTES + VHOST_USER_MAX_PAYLOAD];
    uint32_t header[3] = {msg->request, VHOST_USER_VERSION | VHOST_USER_REPLY, bytes};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    size_t total = sizeof(header) + bytes;
    size_t done = 0;

    memcpy(buffer, header, sizeof(header));
    memcpy(buffer + sizeof(header), &msg->payload, bytes);
    while (done < total) {
        struct iovec iov = {buffer + done, total - done};
        struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t ret;

        if (fd >= 0 && done == 0) {
            hdr.msg_control = control;
            hdr.msg_controllen = sizeof(control);
            *CMSG_FIRSTHDR(&hdr) = (struct cmsghdr){
                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd)),
            };
            memcpy(CMSG_DATA(CMSG_FIRSTHDR(&hdr)), &fd, sizeof(fd));
        }
        ret = sendmsg(socket, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (ret < 0 && (errno == EAGAIN || errno == EINTR)) {
            qemu_co_wait_fd(socket, true);
            continue;
        }
        if (ret < 0) {
            return false;
        }
        done += ret;
    }
    return true;
}

int vhost_user_take_fd(VhostUserMessage *msg, unsigned int i)
{
    int fd = msg->fds[i];

    msg->fds[i] = -1;
    return fd;
}

void vhost_user_close_fds(VhostUserMessage *msg)
{
    for (unsigned int i = 0; i < msg->nr_fds; i++) {
        if (msg->fds[i] >= 0) {
            close(msg->fds[i]);
        }
    }
    msg->nr_fds = 0;
}
