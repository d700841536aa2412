/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the service manager is told, if there is one: the protocol of sd_notify(3), one datagram of
 * `NAME=VALUE` lines to the socket that the environment names.
 */
#include "qemu/osdep.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "qemu/error-report.h"
#include "tools/qemu-storage-daemon/daemon.h"

/* Fills @address with that of the socket @name, a path or after @ an abstract name. */
static bool fill_address(const char *name, struct sockaddr_un *address, socklen_t *address_len)
{
    size_t length = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof(address->sun_path)) {
        return false;
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, length);
    /* The length alone ends an abstract name; a path may come without its zero byte, too. */
    if (name[0] == '@') {
        address->sun_path[0] = '\0';
    }
    *address_len = offsetof(struct sockaddr_un, sun_path) + length;
    return true;
}

static void send_state(const char *state)
{
    const char *name = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {0};
    socklen_t address_len;
    ssize_t nr_sent;
    int fd;

    if (!name || !*name) {
        return;
    }
    if (!fill_address(name, &address, &address_len)) {
        warn_report("Cannot notify the service manager: NOTIFY_SOCKET is '%s', which is neither "
                    "an absolute path nor an abstract socket",
                    name);
        return;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    nr_sent = fd < 0 ? -1
                     : sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                              address_len);
    if (nr_sent < 0) {
        warn_report("Cannot notify the service manager at '%s': %s", name, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

void notify_ready(bool is_new_process)
{
    g_autofree char *state = is_new_process
                                 ? g_strdup_printf("MAINPID=%d\nREADY=1\n", (int)getpid())
                                 : g_strdup("READY=1\n");

    send_state(state);
}

void notify_stopping(void)
{
    send_state("STOPPING=1\n");
}
