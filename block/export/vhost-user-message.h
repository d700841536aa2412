/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the vhost-user protocol (docs/devel/exports.rst) and their way through a unix socket.
 *
 * Integers are in the host's byte order.  Descriptors that arrive with a message belong to it until
 * they are taken out, and are closed with it.
 */
#ifndef BLOCK_EXPORT_VHOST_USER_MESSAGE_H
#define BLOCK_EXPORT_VHOST_USER_MESSAGE_H

#include "block/aio.h"
#include "qapi/error.h"

#define VHOST_USER_HEADER_BYTES 12
#define VHOST_USER_MAX_PAYLOAD 272
#define VHOST_USER_MAX_FDS 8

enum {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_GET_INFLIGHT_FD = 31,
    VHOST_USER_SET_INFLIGHT_FD = 32,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
};

enum {
    VHOST_USER_VERSION = 1,
    VHOST_USER_VERSION_MASK = 3,
    VHOST_USER_REPLY = 4,
    VHOST_USER_NEED_REPLY = 8,
};

#define VHOST_USER_F_PROTOCOL_FEATURES 30

enum {
    VHOST_USER_PROTOCOL_F_MQ = 0,
    VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
    VHOST_USER_PROTOCOL_F_CONFIG = 9,
    VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
    VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
};

typedef struct VhostUserRegion {
    uint64_t guest_addr, bytes, user_addr, mmap_offset;
} VhostUserRegion;

typedef struct VhostUserVringState {
    uint32_t index, num;
} VhostUserVringState;

typedef struct VhostUserVringAddr {
    uint32_t index, flags;
    uint64_t desc, used, avail, log;
} VhostUserVringAddr;

typedef struct VhostUserConfig {
    uint32_t offset, bytes, flags;
    uint8_t data[256];
} VhostUserConfig;

typedef struct VhostUserInflight {
    uint64_t mmap_bytes, mmap_offset;
    uint16_t num_queues, queue_size;
    uint32_t padding;
} VhostUserInflight;

typedef struct VhostUserMessage {
    uint32_t request, flags, bytes;
    union {
        uint64_t u64;
        VhostUserVringState state;
        VhostUserVringAddr addr;
        struct {
            uint32_t nr_regions, padding;
            VhostUserRegion regions[VHOST_USER_MAX_FDS];
        } table;
        struct {
            uint64_t padding;
            VhostUserRegion region;
        } single;
        VhostUserConfig config;
        VhostUserInflight inflight;
        uint8_t raw[VHOST_USER_MAX_PAYLOAD];
    } payload;
    int fds[VHOST_USER_MAX_FDS];
    unsigned int nr_fds;
} VhostUserMessage;

/*
 * Read one message; the descriptors in @msg must have been closed.  Returns 1, 0 at the end of the
 * connection, or a negative errno with @errp set.
 */
int coroutine_fn vhost_user_receive(int socket, VhostUserMessage *msg, Error **errp);

/*
 * Send the first @bytes of the payload of @msg as the reply to it, with @fd unless that is -1.
 * False where the connection is gone.
 */
bool coroutine_fn vhost_user_reply(int socket, const VhostUserMessage *msg, uint32_t bytes, int fd);

/* Take descriptor @i out of @msg: it is the caller's now. */
int vhost_user_take_fd(VhostUserMessage *msg, unsigned int i);
void vhost_user_close_fds(VhostUserMessage *msg);

#endif
