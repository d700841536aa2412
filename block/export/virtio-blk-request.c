/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the requests of a virtio-blk disk do, zoned or not: reads, writes, flushes, discards, writes
 * of zeroes, the serial number.
 *
 * A guest chooses every number in a request: all are checked here before they are used.
 */
#include "qemu/osdep.h"

#include "export-zoned.h"
#include "qemu/bswap.h"
#include "virtio-blk-int.h"

uint8_t virtio_blk_status_of(const VirtIOBlkHandler *handler, int ret)
{
    if (likely(ret == 0)) {
        return VIRTIO_BLK_S_OK;
    }
    if (ret == -ENOTSUP) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    if (!handler->is_zoned) {
        return VIRTIO_BLK_S_IOERR;
    }
    switch (-ret) {
    case ZONE_ERR_NOT_AT_WP:
    case EINVAL: /* no multiple of the write granularity: the rest was checked before */
        return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
    case ZONE_ERR_OPEN_RESOURCE:
        return VIRTIO_BLK_S_ZONE_OPEN_RESOURCE;
    case ZONE_ERR_ACTIVE_RESOURCE:
        return VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE;
    case ZONE_ERR_PAST_CAPACITY:
    case ZONE_ERR_FULL:
    case ZONE_ERR_RDONLY:
    case ZONE_ERR_OFFLINE:
    case ZONE_ERR_CONVENTIONAL:
    case ZONE_ERR_CONDITION:
    case ZONE_ERR_APPEND:
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    default:
        return VIRTIO_BLK_S_IOERR;
    }
}

/* Whether the disk has @bytes at @sector; @bytes is a multiple of 512. */
static bool is_in_disk(const VirtIOBlkHandler *handler, uint64_t sector, uint64_t bytes)
{
    uint64_t capacity = handler->total_bytes / BDRV_SECTOR_SIZE;

    return sector <= capacity && bytes / BDRV_SECTOR_SIZE <= capacity - sector;
}

static bool is_range_ok(const VirtIOBlkHandler *handler, uint64_t sector, uint64_t bytes)
{
    return bytes % BDRV_SECTOR_SIZE == 0 && bytes <= BDRV_REQUEST_MAX_BYTES &&
           is_in_disk(handler, sector, bytes);
}

static bool is_block_aligned(const VirtIOBlkHandler *handler, uint64_t offset, uint64_t bytes)
{
    return ((offset | bytes) & (handler->block_size - 1)) == 0;
}

static uint8_t coroutine_fn do_read(VirtIOBlkRequest *req)
{
    VirtIOBlkHandler *handler = req->handler;
    uint64_t bytes = req->in.size;
    uint64_t offset = req->sector * BDRV_SECTOR_SIZE;
    int ret;

    if (!is_range_ok(handler, req->sector, bytes) || !is_block_aligned(handler, offset, bytes)) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (bytes == 0) {
        return VIRTIO_BLK_S_OK;
    }
    if (virtio_blk_is_sequential(handler, offset + bytes - 1) &&
        offset / handler->limits->zone_size != (offset + bytes - 1) / handler->limits->zone_size) {
        return VIRTIO_BLK_S_ZONE_INVALID_CMD;
    }
    ret = blk_co_preadv(handler->blk, offset, bytes, &req->in, 0);
    req->nr_written = ret == 0 ? bytes : 0;
    return virtio_blk_status_of(handler, ret);
}

static int coroutine_fn write_to_node(VirtIOBlkRequest *req, int64_t offset, bool is_sequential)
{
    VirtIOBlkHandler *handler = req->handler;
    uint64_t bytes = req->out.size;

    /* In a sequential zone alignment is one of the zone's rules, behind others. */
    if (is_sequential && !is_block_aligned(handler, offset, bytes)) {
        return blk_exp_co_judge_unaligned(handler->blk, offset, bytes);
    }
    if (is_sequential && virtqueue_has_log(virtio_blk_request_vq(req))) {
        return virtio_blk_write_once(req, &offset, false);
    }
    return blk_co_pwritev(handler->blk, offset, bytes, &req->out, 0);
}

static uint8_t coroutine_fn do_write(VirtIOBlkRequest *req)
{
    VirtIOBlkHandler *handler = req->handler;
    uint64_t bytes = req->out.size;
    int64_t offset = req->sector * BDRV_SECTOR_SIZE;
    bool is_sequential;

    if (!virtio_blk_may_write(handler) || !is_range_ok(handler, req->sector, bytes)) {
        return VIRTIO_BLK_S_IOERR;
    }
    is_sequential = virtio_blk_is_sequential(handler, offset);
    if (!is_sequential && !is_block_aligned(handler, offset, bytes)) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (bytes == 0) {
        return VIRTIO_BLK_S_OK;
    }
    return virtio_blk_status_of(handler, write_to_node(req, offset, is_sequential));
}

static uint8_t do_get_id(VirtIOBlkRequest *req)
{
    size_t len = MIN(req->in.size, VIRTIO_BLK_ID_BYTES);

    qemu_iovec_from_buf(&req->in, 0, req->handler->serial, len);
    req->nr_written = len;
    return VIRTIO_BLK_S_OK;
}

/* ---- ranges ---- */

typedef struct Range {
    uint64_t sector;
    uint32_t nr_sectors;
    uint32_t flags;
} Range;

#define RANGE_F_UNMAP 1

static uint8_t check_range(const VirtIOBlkRequest *req, const Range *range)
{
    uint64_t bytes = (uint64_t)range->nr_sectors * BDRV_SECTOR_SIZE;
    uint32_t known = req->type == VIRTIO_BLK_T_WRITE_ZEROES ? RANGE_F_UNMAP : 0;

    if (range->flags & ~known) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    if (range->nr_sectors > VIRTIO_BLK_MAX_RANGE_SECTORS ||
        !is_in_disk(req->handler, range->sector, bytes) ||
        !is_block_aligned(req->handler, range->sector * BDRV_SECTOR_SIZE, bytes)) {
        return VIRTIO_BLK_S_IOERR;
    }
    return VIRTIO_BLK_S_OK;
}

/* Copy the list, so that the guest cannot change it any more, and check all of it. */
static uint8_t read_ranges(const VirtIOBlkRequest *req, Range *ranges, unsigned int *nr)
{
    if (req->out.size == 0 || req->out.size % VIRTIO_BLK_RANGE_BYTES != 0) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (req->out.size > VIRTIO_BLK_MAX_RANGES * VIRTIO_BLK_RANGE_BYTES) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    *nr = req->out.size / VIRTIO_BLK_RANGE_BYTES;
    for (unsigned int i = 0; i < *nr; i++) {
        uint8_t bytes[VIRTIO_BLK_RANGE_BYTES];
        uint8_t status;

        qemu_iovec_to_buf(&req->out, i * sizeof(bytes), bytes, sizeof(bytes));
        ranges[i] = (Range){
            .sector = ldq_le_p(bytes),
            .nr_sectors = ldl_le_p(bytes + 8),
            .flags = ldl_le_p(bytes + 12),
        };
        status = check_range(req, &ranges[i]);
        if (status != VIRTIO_BLK_S_OK) {
            return status;
        }
    }
    return VIRTIO_BLK_S_OK;
}

static uint8_t coroutine_fn do_ranges(VirtIOBlkRequest *req, unsigned int feature)
{
    VirtIOBlkHandler *handler = req->handler;
    Range ranges[VIRTIO_BLK_MAX_RANGES];
    unsigned int nr = 0;
    uint8_t status;

    if (!virtio_blk_may_write(handler)) {
        return VIRTIO_BLK_S_IOERR;
    }
    if (!virtio_blk_has_feature(handler, feature)) {
        return VIRTIO_BLK_S_UNSUPP;
    }
    status = read_ranges(req, ranges, &nr);
    for (unsigned int i = 0; i < nr && status == VIRTIO_BLK_S_OK; i++) {
        int64_t offset = ranges[i].sector * BDRV_SECTOR_SIZE;
        int64_t bytes = (int64_t)ranges[i].nr_sectors * BDRV_SECTOR_SIZE;
        int ret;

        if (req->type == VIRTIO_BLK_T_DISCARD) {
            ret = blk_co_pdiscard(handler->blk, offset, bytes);
        } else {
            ret = blk_co_pwrite_zeroes(handler->blk, offset, bytes,
                                       ranges[i].flags & RANGE_F_UNMAP ? BDRV_REQ_MAY_UNMAP : 0);
        }
        status = virtio_blk_status_of(handler, ret);
    }
    return status;
}

uint8_t coroutine_fn virtio_blk_execute(VirtIOBlkRequest *req)
{
    switch (req->type) {
    case VIRTIO_BLK_T_IN:
        return do_read(req);
    case VIRTIO_BLK_T_OUT:
        return do_write(req);
    case VIRTIO_BLK_T_FLUSH:
        return virtio_blk_status_of(req->handler, blk_co_flush(req->handler->blk));
    case VIRTIO_BLK_T_GET_ID:
        return do_get_id(req);
    case VIRTIO_BLK_T_DISCARD:
        return do_ranges(req, VIRTIO_BLK_F_DISCARD);
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return do_ranges(req, VIRTIO_BLK_F_WRITE_ZEROES);
    default:
        if (virtio_blk_has_feature(req->handler, VIRTIO_BLK_F_ZONED)) {
            return virtio_blk_execute_zone(req);
        }
        return VIRTIO_BLK_S_UNSUPP;
    }
}
