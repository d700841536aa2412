/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the virtio-blk device share: its state, and a request on its way.
 */
#ifndef BLOCK_EXPORT_VIRTIO_BLK_INT_H
#define BLOCK_EXPORT_VIRTIO_BLK_INT_H

#include "block/block_int.h"
#include "virtio-blk-handler.h"

enum {
    VIRTIO_BLK_F_SEG_MAX = 2,
    VIRTIO_BLK_F_RO = 5,
    VIRTIO_BLK_F_BLK_SIZE = 6,
    VIRTIO_BLK_F_FLUSH = 9,
    VIRTIO_BLK_F_TOPOLOGY = 10,
    VIRTIO_BLK_F_MQ = 12,
    VIRTIO_BLK_F_DISCARD = 13,
    VIRTIO_BLK_F_WRITE_ZEROES = 14,
    VIRTIO_BLK_F_ZONED = 17,
};

enum {
    VIRTIO_BLK_T_IN = 0,
    VIRTIO_BLK_T_OUT = 1,
    VIRTIO_BLK_T_FLUSH = 4,
    VIRTIO_BLK_T_GET_ID = 8,
    VIRTIO_BLK_T_DISCARD = 11,
    VIRTIO_BLK_T_WRITE_ZEROES = 13,
    VIRTIO_BLK_T_ZONE_APPEND = 15,
    VIRTIO_BLK_T_ZONE_REPORT = 16,
    VIRTIO_BLK_T_ZONE_OPEN = 18,
    VIRTIO_BLK_T_ZONE_CLOSE = 20,
    VIRTIO_BLK_T_ZONE_FINISH = 22,
    VIRTIO_BLK_T_ZONE_RESET = 24,
    VIRTIO_BLK_T_ZONE_RESET_ALL = 26,
};

enum {
    VIRTIO_BLK_S_OK = 0,
    VIRTIO_BLK_S_IOERR = 1,
    VIRTIO_BLK_S_UNSUPP = 2,
    VIRTIO_BLK_S_ZONE_INVALID_CMD = 3,
    VIRTIO_BLK_S_ZONE_UNALIGNED_WP = 4,
    VIRTIO_BLK_S_ZONE_OPEN_RESOURCE = 5,
    VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE = 6,
};

#define VIRTIO_BLK_HEADER_BYTES 16
#define VIRTIO_BLK_ID_BYTES 20
#define VIRTIO_BLK_RANGE_BYTES 16
/* Data segments of a request; with header and status it fits a ring of 128 without indirection. */
#define VIRTIO_BLK_SEG_MAX 126
/* Ranges in a discard or a write of zeroes, and the length of each in sectors (1 GiB). */
#define VIRTIO_BLK_MAX_RANGES 32
#define VIRTIO_BLK_MAX_RANGE_SECTORS (1u << 21)

#define VIRTIO_BLK_ZONE_LOCKS 64

struct VirtIOBlkHandler {
    BlockBackend *blk;
    const BlockLimits *limits;
    char serial[VIRTIO_BLK_ID_BYTES]; /* padded with zeroes, not terminated */
    bool is_writable, is_writethrough, allows_unzoned_readers;
    bool is_zoned;
    uint64_t total_bytes;
    uint32_t block_size;
    uint32_t max_append_bytes;
    uint64_t offered, features;
    uint8_t config[VIRTIO_BLK_CONFIG_BYTES];

    /* See virtio-blk-replay.c: serialise changes of a zone by its number, made when needed. */
    CoMutex *zone_locks;
};

/*
 * @header fields come from the request's readable memory, which has been copied.  @data is the
 * payload: what is left of the readable memory where @type carries some, otherwise of the writable
 * memory.
 */
typedef struct VirtIOBlkRequest {
    VirtQueueElement elem; /* first: a VirtQueue makes it */
    VirtIOBlkQueue *queue;
    VirtIOBlkHandler *handler;
    uint32_t type;
    uint64_t sector;
    uint8_t *status;
    QEMUIOVector out, in; /* behind the header; before the status */
    uint64_t nr_written;  /* bytes from the start of @in */
} VirtIOBlkRequest;

VirtQueue *virtio_blk_request_vq(const VirtIOBlkRequest *req);

static inline bool virtio_blk_has_feature(const VirtIOBlkHandler *handler, unsigned int bit)
{
    return handler->features & (UINT64_C(1) << bit);
}

/* Whether the driver may change anything: on a zoned disk only one that knows what it is. */
static inline bool virtio_blk_may_write(const VirtIOBlkHandler *handler)
{
    return handler->is_writable &&
           (!handler->is_zoned || virtio_blk_has_feature(handler, VIRTIO_BLK_F_ZONED));
}

/* Do what the parsed request asks for; returns the status.  May yield. */
uint8_t coroutine_fn virtio_blk_execute(VirtIOBlkRequest *req);

/* The same for the types that only a zoned disk has; ZONED was negotiated. */
uint8_t coroutine_fn virtio_blk_execute_zone(VirtIOBlkRequest *req);

/* The status for what a request to the node returned. */
uint8_t virtio_blk_status_of(const VirtIOBlkHandler *handler, int ret);

static inline bool virtio_blk_is_sequential(const VirtIOBlkHandler *handler, uint64_t offset)
{
    return handler->is_zoned && (int64_t)offset >= handler->limits->nr_conventional_zones *
                                                       handler->limits->zone_size;
}

/*
 * Carry out a write to (@is_append: an append to the zone at) *@offset in a sequential zone exactly
 * once, even if it was begun by a daemon that died; as blk_co_pwritev() and blk_co_zone_append().
 */
int coroutine_fn virtio_blk_write_once(VirtIOBlkRequest *req, int64_t *offset, bool is_append);
void virtio_blk_replay_done(VirtIOBlkHandler *handler);
/* A command to the zones of a range, between their writes; as blk_co_zone_mgmt(). */
int coroutine_fn virtio_blk_mgmt_between_writes(VirtIOBlkRequest *req, BlockZoneOp op,
                                                int64_t offset, int64_t len);

#endif
