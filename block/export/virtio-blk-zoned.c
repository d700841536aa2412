/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The requests that only a zoned virtio-blk disk has: append, report, and management.
 *
 * What the node would answer with -EINVAL for several causes is told apart here first, in the order
 * of the specification; conditions and resources are the node's.
 */
#include "qemu/osdep.h"

#include "qemu/bswap.h"
#include "virtio-blk-int.h"

#define REPORT_HEADER_BYTES 64
#define DESCRIPTOR_BYTES 64
/* The zones that are asked of the node at a time. */
#define REPORT_BATCH 128
/* le64 position, u8 status */
#define APPEND_FOOTER_BYTES 9

/* Whether @sector begins a zone. */
static bool is_zone_start(const VirtIOBlkHandler *handler, uint64_t sector)
{
    return sector < handler->total_bytes / BDRV_SECTOR_SIZE &&
           sector % (handler->limits->zone_size / BDRV_SECTOR_SIZE) == 0;
}

/* ---- append ---- */

static uint8_t check_append(const VirtIOBlkRequest *req)
{
    const VirtIOBlkHandler *handler = req->handler;
    uint64_t bytes = req->out.size;

    if (!handler->is_writable || req->in.size + 1 < APPEND_FOOTER_BYTES ||
        bytes % BDRV_SECTOR_SIZE != 0) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (!is_zone_start(handler, req->sector) ||
        !virtio_blk_is_sequential(handler, req->sector * BDRV_SECTOR_SIZE)) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }
    if (handler->max_append_bytes == 0) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    if (bytes == 0 || bytes > handler->max_append_bytes) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }
    return bytes % handler->block_size ? VIRTIO_BLK_S_ZONE_UNALIGNED_WP : VIRTIO_BLK_S_OK;
}

static uint8_t coroutine_fn do_append(VirtIOBlkRequest *req)
{
    VirtIOBlkHandler *handler = req->handler;
    uint8_t status = check_append(req);
    uint8_t position[8];
    int64_t offset;
    int ret;

    if (status != VIRTIO_BLK_S_OK) {
        return status;
    }
    offset = req->sector * BDRV_SECTOR_SIZE;
    if (virtqueue_has_log(virtio_blk_request_vq(req))) {
        ret = virtio_blk_write_once(req, &offset, true);
    } else {
        ret = blk_co_zone_append(handler->blk, &offset, &req->out, 0);
    }
    if (ret == 0) {
        /* Linux pads the footer: the position is at the front, whatever lies before the status. */
        stq_le_p(position, offset / BDRV_SECTOR_SIZE);
        qemu_iovec_from_buf(&req->in, 0, position, sizeof(position));
        req->nr_written = sizeof(position);
    }
    return virtio_blk_status_of(handler, ret);
}

/* ---- report ---- */

static void store_descriptor(VirtIOBlkRequest *req, size_t at, const BlockZoneDescriptor *zone)
{
    uint8_t bytes[DESCRIPTOR_BYTES] = {0};

    stq_le_p(bytes, zone->cap / BDRV_SECTOR_SIZE);
    stq_le_p(bytes + 8, zone->start / BDRV_SECTOR_SIZE);
    stq_le_p(bytes + 16, zone->wp / BDRV_SECTOR_SIZE);
    bytes[24] = zone->type;
    bytes[25] = zone->state;
    qemu_iovec_from_buf(&req->in, at, bytes, sizeof(bytes));
}

static uint8_t coroutine_fn do_report(VirtIOBlkRequest *req)
{
    VirtIOBlkHandler *handler = req->handler;
    uint8_t header[REPORT_HEADER_BYTES] = {0};
    g_autofree BlockZoneDescriptor *zones = NULL;
    uint64_t room, nr_zones = 0;
    int64_t offset;
    size_t at = sizeof(header);

    if (req->in.size < sizeof(header) ||
        req->sector >= handler->total_bytes / BDRV_SECTOR_SIZE) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }
    zones = g_new(BlockZoneDescriptor, REPORT_BATCH);
    room = (req->in.size - sizeof(header)) / DESCRIPTOR_BYTES;
    offset = req->sector * BDRV_SECTOR_SIZE;
    while (nr_zones < room && offset < (int64_t)handler->total_bytes) {
        unsigned int nr = MIN(room - nr_zones, REPORT_BATCH);
        int ret = blk_co_zone_report(handler->blk, offset, &nr, zones);

        if (ret < 0) {
            return virtio_blk_status_of(handler, ret);
        }
        if (nr == 0) {
            break;
        }
        for (unsigned int i = 0; i < nr; i++, at += DESCRIPTOR_BYTES) {
            store_descriptor(req, at, &zones[i]);
        }
        nr_zones += nr;
        offset = zones[nr - 1].start + zones[nr - 1].length;
    }
    stq_le_p(header, nr_zones);
    qemu_iovec_from_buf(&req->in, 0, header, sizeof(header));
    qemu_iovec_memset(&req->in, at, 0, req->in.size - at);
    req->nr_written = req->in.size;
    return VIRTIO_BLK_S_OK;
}

/* ---- management ---- */

static uint8_t coroutine_fn manage(VirtIOBlkRequest *req, BlockZoneOp op, int64_t offset,
                                   int64_t len)
{
    return virtio_blk_status_of(req->handler,
                                virtio_blk_mgmt_between_writes(req, op, offset, len));
}

static uint8_t coroutine_fn do_zone(VirtIOBlkRequest *req, BlockZoneOp op)
{
    const VirtIOBlkHandler *handler = req->handler;
    int64_t offset;

    if (!handler->is_writable) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (!is_zone_start(handler, req->sector)) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }
    offset = req->sector * BDRV_SECTOR_SIZE;
    return manage(req, op, offset,
                  MIN(handler->limits->zone_size, (int64_t)handler->total_bytes - offset));
}

static uint8_t coroutine_fn do_reset_all(VirtIOBlkRequest *req)
{
    if (!req->handler->is_writable) {
        return VIRTIO_BLK_S_IOERR;
    }
    return manage(req, BLK_ZO_RESET, 0, req->handler->total_bytes);
}

uint8_t coroutine_fn virtio_blk_execute_zone(VirtIOBlkRequest *req)
{
    switch (req->type) {
    case VIRTIO_BLK_T_ZONE_APPEND:
        return do_append(req);
    case VIRTIO_BLK_T_ZONE_REPORT:
        return do_report(req);
    case VIRTIO_BLK_T_ZONE_OPEN:
        return do_zone(req, BLK_ZO_OPEN);
    case VIRTIO_BLK_T_ZONE_CLOSE:
        return do_zone(req, BLK_ZO_CLOSE);
    case VIRTIO_BLK_T_ZONE_FINISH:
        return do_zone(req, BLK_ZO_FINISH);
    case VIRTIO_BLK_T_ZONE_RESET:
        return do_zone(req, BLK_ZO_RESET);
    case VIRTIO_BLK_T_ZONE_RESET_ALL:
        return do_reset_all(req);
    default:
        return VIRTIO_BLK_S_UNSUPP;
    }
}
