/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile messages: an honest beginning of a session in which one thing is wrong, or more.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "hostile.h"

#define MAX_SCRIPT 48

typedef struct Message {
    uint32_t request, flags, bytes, announced_bytes;
    uint8_t payload[512];
    int fds[WIRE_MAX_FDS]; /* borrowed */
    unsigned int nr_fds;
} Message;

typedef struct Script {
    Message messages[MAX_SCRIPT];
    unsigned int nr;
    int kick, call, log;
} Script;

#define LOG_BYTES (64 * KiB)

static void add(Script *script, uint32_t request, const void *payload, uint32_t bytes, int fd)
{
    Message *msg = &script->messages[script->nr++];

    *msg = (Message){.request = request, .bytes = bytes, .announced_bytes = bytes};
    if (bytes) {
        memcpy(msg->payload, payload, bytes);
    }
    if (fd >= 0) {
        msg->fds[msg->nr_fds++] = fd;
    }
}

static void add_ring(Script *script, const FrontEnd *fe, uint32_t index)
{
    const DriverRing *ring = &fe->queues[index].ring;
    VhostUserVringAddr addr = {
        .index = index,
        .desc = FRONT_END_USER_BASE + ring->desc,
        .avail = FRONT_END_USER_BASE + ring->avail,
        .used = FRONT_END_USER_BASE + ring->used,
    };
    uint64_t number = index;

    add(script, VHOST_USER_SET_VRING_NUM, &(VhostUserVringState){index, QUEUE_SIZE}, 8, -1);
    add(script, VHOST_USER_SET_VRING_BASE, &(VhostUserVringState){index, 0}, 8, -1);
    add(script, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1);
    add(script, VHOST_USER_SET_VRING_ERR, &number, 8, script->call);
    add(script, VHOST_USER_SET_VRING_CALL, &number, 8, script->call);
    add(script, VHOST_USER_SET_VRING_KICK, &number, 8, script->kick);
    add(script, VHOST_USER_SET_VRING_ENABLE, &(VhostUserVringState){index, 1}, 8, -1);
}

/* What a front-end of good manners says. */
static void write_script(Script *script, Hostile *h)
{
    FrontEnd *fe = h->fe;
    struct {
        uint64_t number;
        VhostUserRegion region;
    } memory = {1, {.guest_addr = DRIVER_BASE, .bytes = fe->memory.size,
                    .user_addr = FRONT_END_USER_BASE}};
    VhostUserInflight inflight = {.mmap_bytes = LOG_BYTES, .num_queues = QUEUES,
                                  .queue_size = QUEUE_SIZE};
    uint8_t config[12 + 96] = {0};
    bool has_table = hostile_below(h, 2);

    stl_le_p(config + 4, 96);
    add(script, VHOST_USER_GET_FEATURES, NULL, 0, -1);
    add(script, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, -1);
    add(script, VHOST_USER_SET_PROTOCOL_FEATURES, &fe->protocol_features, 8, -1);
    add(script, VHOST_USER_GET_QUEUE_NUM, NULL, 0, -1);
    add(script, VHOST_USER_GET_MAX_MEM_SLOTS, NULL, 0, -1);
    add(script, VHOST_USER_SET_OWNER, NULL, 0, -1);
    add(script, VHOST_USER_SET_FEATURES, &fe->features, 8, -1);
    add(script, VHOST_USER_GET_CONFIG, config, sizeof(config), -1);
    memcpy(config + 12, fe->config, 96);
    add(script, VHOST_USER_SET_CONFIG, config, sizeof(config), -1);
    add(script, has_table ? VHOST_USER_SET_MEM_TABLE : VHOST_USER_ADD_MEM_REG, &memory,
        sizeof(memory), fe->memory.fd);
    add(script, VHOST_USER_GET_INFLIGHT_FD, &inflight, sizeof(inflight), -1);
    if (hostile_below(h, 2)) {
        add(script, VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight), script->log);
    }
    for (uint32_t i = 0; i < QUEUES; i++) {
        add_ring(script, fe, i);
    }
    if (hostile_below(h, 4) == 0) {
        add(script, VHOST_USER_REM_MEM_REG, &memory, sizeof(memory), -1);
        add(script, VHOST_USER_ADD_MEM_REG, &memory, sizeof(memory), fe->memory.fd);
    }
    add(script, VHOST_USER_GET_VRING_BASE, &(VhostUserVringState){0, 0}, 8, -1);
}

/* ---- what may be wrong ---- */

static void break_payload(Hostile *h, Message *msg)
{
    unsigned int width = 1u << hostile_below(h, 4);
    unsigned int at = msg->bytes ? hostile_below(h, MAX(1, msg->bytes / width)) * width : 0;
    uint64_t honest = ldq_le_p(msg->payload + at);
    uint64_t value = hostile_number(h, width == 8 ? honest : honest & (BIT(8 * width) - 1));

    memcpy(msg->payload + at, &value, width);
}

static void break_size(Hostile *h, Message *msg)
{
    if (hostile_below(h, 4) == 0) {
        /* Announced and sent differ: what follows is out of step. */
        msg->announced_bytes = hostile_number(h, msg->bytes);
        return;
    }
    msg->bytes = hostile_below(h, 2) ? hostile_below(h, 300)
                                     : msg->bytes + hostile_below(h, 17) - 8;
    msg->bytes = MIN(msg->bytes, sizeof(msg->payload));
    msg->announced_bytes = msg->bytes;
}

static void break_fds(Hostile *h, Message *msg, const int *strange, unsigned int nr_strange)
{
    switch (hostile_below(h, 3)) {
    case 0:
        msg->nr_fds = 0;
        break;
    case 1:
        msg->nr_fds = 1 + hostile_below(h, WIRE_MAX_FDS);
        for (unsigned int i = 0; i < msg->nr_fds; i++) {
            msg->fds[i] = strange[hostile_below(h, nr_strange)];
        }
        break;
    default:
        msg->nr_fds = 1;
        msg->fds[0] = strange[hostile_below(h, nr_strange)];
    }
}

static void break_order(Hostile *h, Script *script, unsigned int i)
{
    unsigned int j = hostile_below(h, script->nr);
    Message msg = script->messages[i];

    switch (hostile_below(h, 3)) {
    case 0: /* left out */
        script->nr--;
        memmove(&script->messages[i], &script->messages[i + 1],
                (script->nr - i) * sizeof(msg));
        break;
    case 1: /* exchanged */
        script->messages[i] = script->messages[j];
        script->messages[j] = msg;
        break;
    default: /* said again */
        if (script->nr < MAX_SCRIPT) {
            memmove(&script->messages[j + 1], &script->messages[j],
                    (script->nr - j) * sizeof(msg));
            script->messages[j] = msg;
            script->nr++;
        }
    }
}

static void break_script(Hostile *h, Script *script, const int *strange, unsigned int nr_strange)
{
    unsigned int i = hostile_below(h, script->nr);
    Message *msg = &script->messages[i];

    switch (hostile_below(h, 8)) {
    case 0 ... 2:
        break_payload(h, msg);
        break;
    case 3:
        break_size(h, msg);
        break;
    case 4:
        break_fds(h, msg, strange, nr_strange);
        break;
    case 5:
        break_order(h, script, i);
        break;
    case 6:
        msg->request = hostile_below(h, 4) ? hostile_below(h, 48) : hostile_number(h, msg->request);
        break;
    default:
        msg->flags = hostile_number(h, VHOST_USER_NEED_REPLY);
    }
}

/* ---- saying it ---- */

static bool send_message(Hostile *h, int socket, const Message *msg)
{
    uint8_t header[VHOST_USER_HEADER_BYTES];
    uint32_t flags = msg->flags & VHOST_USER_VERSION_MASK ? msg->flags : msg->flags | 1;

    if (msg->announced_bytes == msg->bytes) {
        return wire_send(socket, msg->request, msg->flags, msg->payload, msg->bytes, msg->fds,
                         msg->nr_fds);
    }
    stl_le_p(header, msg->request);
    stl_le_p(header + 4, flags);
    stl_le_p(header + 8, msg->announced_bytes);
    return send(socket, header, hostile_below(h, 2) ? sizeof(header) : 5, MSG_NOSIGNAL) > 0 &&
           send(socket, msg->payload, msg->bytes, MSG_NOSIGNAL) >= 0;
}

/* Say no more, and listen until the daemon has said its last word. */
static void part(Hostile *h, int socket)
{
    uint8_t bytes[4096];
    ssize_t ret;

    shutdown(socket, SHUT_WR);
    do {
        ret = recv(socket, bytes, sizeof(bytes), 0);
    } while (ret > 0);
    if (ret < 0 && errno != ECONNRESET) {
        hostile_fail(h, "the daemon does not end a connection: %s", strerror(errno));
    }
}

/* Descriptors that are nothing that a back-end wants; returns their number. */
static unsigned int open_strange(const Hostile *h, int *fds)
{
    int sealed = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int tiny = memfd_create("tiny", MFD_CLOEXEC);
    int full = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    uint64_t most = UINT64_MAX - 1;

    g_assert(ftruncate(sealed, 1 * MiB) == 0 && ftruncate(tiny, 100) == 0);
    g_assert(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE) == 0);
    g_assert(write(full, &most, sizeof(most)) == sizeof(most));
    fds[0] = sealed;
    fds[1] = tiny;
    fds[2] = full;
    fds[3] = open("/dev/zero", O_RDWR | O_CLOEXEC);
    fds[4] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fds[5] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fds[6] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    fds[7] = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    return 8;
}

void hostile_message_case(Hostile *h)
{
    g_autofree Script *script = g_new0(Script, 1);
    unsigned int nr_wrong = 1 + (hostile_below(h, 4) == 0 ? hostile_below(h, 5) : 0);
    int strange[16], socket;
    unsigned int nr_strange = open_strange(h, strange);
    uint64_t one = 1;

    front_end_disconnect(h->fe);
    hostile_fill_rings(h);
    script->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    script->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    script->log = memfd_create("log", MFD_CLOEXEC);
    g_assert(ftruncate(script->log, LOG_BYTES) == 0);
    write_script(script, h);
    while (nr_wrong--) {
        break_script(h, script, strange, nr_strange);
    }
    socket = wire_connect(h->path);
    if (socket < 0) {
        hostile_fail(h, "the daemon does not listen: %s", strerror(errno));
    } else {
        for (unsigned int i = 0; i < script->nr && send_message(h, socket, &script->messages[i]);
             i++) {
        }
        g_assert(write(script->kick, &one, sizeof(one)) == sizeof(one));
        part(h, socket);
        close(socket);
    }
    close(script->kick);
    close(script->call);
    close(script->log);
    for (unsigned int i = 0; i < nr_strange; i++) {
        close(strange[i]);
    }
}
