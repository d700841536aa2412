/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio-blk device itself: what it offers, its configuration space, and what was negotiated.
 */
#include "qemu/osdep.h"

#include "export-zoned.h"
#include "qemu/bswap.h"
#include "virtio-blk-int.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))

/* Offsets in the configuration space. */
enum {
    CONFIG_CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_BLOCK_EXP = 24,
    CONFIG_MIN_IO_SIZE = 26,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_MAX_DISCARD_SECTORS = 36,
    CONFIG_MAX_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_MAX_ZEROES_SECTORS = 48,
    CONFIG_MAX_ZEROES_SEG = 52,
    CONFIG_ZEROES_MAY_UNMAP = 56,
    CONFIG_ZONE_SECTORS = 72,
    CONFIG_MAX_OPEN_ZONES = 76,
    CONFIG_MAX_ACTIVE_ZONES = 80,
    CONFIG_MAX_APPEND_SECTORS = 84,
    CONFIG_WRITE_GRANULARITY = 88,
    CONFIG_ZONE_MODEL = 92,
};

static uint64_t features_of(const VirtIOBlkHandler *handler, unsigned int num_queues)
{
    uint64_t features = FEATURE(VIRTIO_BLK_F_SEG_MAX) | FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
                        FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_TOPOLOGY) |
                        FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | FEATURE(VIRTIO_RING_F_EVENT_IDX) |
                        FEATURE(VIRTIO_F_VERSION_1);

    if (num_queues > 1) {
        features |= FEATURE(VIRTIO_BLK_F_MQ);
    }
    if (!handler->is_writable) {
        features |= FEATURE(VIRTIO_BLK_F_RO);
    }
    if (handler->is_zoned) {
        features |= FEATURE(VIRTIO_BLK_F_ZONED);
    } else if (handler->is_writable) {
        features |= FEATURE(VIRTIO_BLK_F_DISCARD) | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
    }
    return features;
}

static void fill_config(VirtIOBlkHandler *handler, unsigned int num_queues)
{
    const BlockLimits *limits = handler->limits;
    uint8_t *config = handler->config;
    uint32_t physical = MAX(handler->block_size, limits->request_alignment);

    stq_le_p(config + CONFIG_CAPACITY, handler->total_bytes / BDRV_SECTOR_SIZE);
    stl_le_p(config + CONFIG_SEG_MAX, VIRTIO_BLK_SEG_MAX);
    stl_le_p(config + CONFIG_BLK_SIZE, handler->block_size);
    config[CONFIG_PHYSICAL_BLOCK_EXP] = ilog2(physical / handler->block_size);
    stw_le_p(config + CONFIG_MIN_IO_SIZE, MIN(physical / handler->block_size, UINT16_MAX));
    stw_le_p(config + CONFIG_NUM_QUEUES, num_queues);
    if (handler->is_zoned) {
        stl_le_p(config + CONFIG_ZONE_SECTORS, limits->zone_size / BDRV_SECTOR_SIZE);
        stl_le_p(config + CONFIG_MAX_OPEN_ZONES, limits->max_open_zones);
        stl_le_p(config + CONFIG_MAX_ACTIVE_ZONES, limits->max_active_zones);
        stl_le_p(config + CONFIG_MAX_APPEND_SECTORS, handler->max_append_bytes / BDRV_SECTOR_SIZE);
        stl_le_p(config + CONFIG_WRITE_GRANULARITY, handler->block_size);
        config[CONFIG_ZONE_MODEL] = limits->zoned;
    } else if (handler->is_writable) {
        stl_le_p(config + CONFIG_MAX_DISCARD_SECTORS, VIRTIO_BLK_MAX_RANGE_SECTORS);
        stl_le_p(config + CONFIG_MAX_DISCARD_SEG, VIRTIO_BLK_MAX_RANGES);
        stl_le_p(config + CONFIG_DISCARD_ALIGNMENT, handler->block_size / BDRV_SECTOR_SIZE);
        stl_le_p(config + CONFIG_MAX_ZEROES_SECTORS, VIRTIO_BLK_MAX_RANGE_SECTORS);
        stl_le_p(config + CONFIG_MAX_ZEROES_SEG, VIRTIO_BLK_MAX_RANGES);
        config[CONFIG_ZEROES_MAY_UNMAP] = 1;
    }
}

static bool check_options(const VirtIOBlkOptions *options, const BlockLimits *limits, Error **errp)
{
    uint64_t size = options->logical_block_size;

    if (size && (!is_power_of_2(size) || size < 512 || size > 65536)) {
        error_setg(errp,
                   "logical-block-size must be a power of two from 512 to 65536, got %" PRIu64,
                   size);
        return false;
    }
    if (size && limits->zoned != BLK_Z_NONE &&
        !blk_exp_check_zoned_block_size(options->blk, size, errp)) {
        return false;
    }
    if (options->serial && strlen(options->serial) > VIRTIO_BLK_ID_BYTES) {
        error_setg(errp, "serial must have at most %d bytes, got '%s'", VIRTIO_BLK_ID_BYTES,
                   options->serial);
        return false;
    }
    if (options->num_queues < 1 || options->num_queues > VIRTIO_BLK_MAX_QUEUES) {
        error_setg(errp, "num-queues must be from 1 to %d, got %u", VIRTIO_BLK_MAX_QUEUES,
                   options->num_queues);
        return false;
    }
    if (limits->zoned != BLK_Z_NONE &&
        limits->zone_size / BDRV_SECTOR_SIZE > (int64_t)UINT32_MAX) {
        error_setg(errp, "Zones of %" PRId64 " bytes are too large for virtio-blk",
                   limits->zone_size);
        return false;
    }
    return true;
}

/* Appends are never split: one must fit a request whose segments are pages. */
static uint32_t append_limit(const VirtIOBlkHandler *handler)
{
    uint32_t bytes = MIN(handler->limits->max_append_bytes, VIRTIO_BLK_SEG_MAX * 4096u);

    return handler->is_zoned ? ROUND_DOWN(bytes, handler->block_size) : 0;
}

VirtIOBlkHandler *virtio_blk_handler_new(const VirtIOBlkOptions *options, Error **errp)
{
    const BlockLimits *limits = bdrv_limits(blk_bs(options->blk));
    int64_t length = blk_getlength(options->blk);
    VirtIOBlkHandler *handler;
    const char *serial;

    if (length < 0) {
        error_setg_errno(errp, -length, "Cannot get the length of the node");
        return NULL;
    }
    if (!check_options(options, limits, errp)) {
        return NULL;
    }
    handler = g_new0(VirtIOBlkHandler, 1);
    handler->blk = options->blk;
    handler->limits = limits;
    handler->is_writable = options->is_writable;
    handler->is_writethrough = options->is_writethrough;
    handler->allows_unzoned_readers = options->allows_unzoned_readers;
    handler->is_zoned = limits->zoned != BLK_Z_NONE;
    handler->block_size = options->logical_block_size;
    if (!handler->block_size) {
        handler->block_size = handler->is_zoned ? limits->write_granularity : 512;
    }
    handler->total_bytes = ROUND_DOWN(length, (int64_t)handler->block_size);
    handler->max_append_bytes = append_limit(handler);
    serial = options->serial ? options->serial : options->name;
    memcpy(handler->serial, serial, MIN(strlen(serial), VIRTIO_BLK_ID_BYTES));
    handler->offered = features_of(handler, options->num_queues);
    fill_config(handler, options->num_queues);
    return handler;
}

void virtio_blk_handler_free(VirtIOBlkHandler *handler)
{
    virtio_blk_replay_done(handler);
    g_free(handler);
}

uint64_t virtio_blk_handler_features(const VirtIOBlkHandler *handler)
{
    return handler->offered;
}

bool virtio_blk_handler_set_features(VirtIOBlkHandler *handler, uint64_t features, Error **errp)
{
    uint64_t excess = features & ~handler->offered;

    if (excess) {
        error_setg(errp, "The driver wants features 0x%" PRIx64 ", which were not offered", excess);
        return false;
    }
    if (!(features & FEATURE(VIRTIO_F_VERSION_1))) {
        error_setg(errp, "The driver does not know virtio 1 (features 0x%" PRIx64 ")", features);
        return false;
    }
    if (handler->is_zoned && !handler->allows_unzoned_readers &&
        !(features & FEATURE(VIRTIO_BLK_F_ZONED))) {
        error_setg(errp,
                   "The driver cannot handle a host-managed zoned disk (features 0x%" PRIx64 ")",
                   features);
        return false;
    }
    handler->features = features;
    blk_set_enable_write_cache(handler->blk, !handler->is_writethrough &&
                                                 (features & FEATURE(VIRTIO_BLK_F_FLUSH)));
    return true;
}

void virtio_blk_handler_reset(VirtIOBlkHandler *handler)
{
    handler->features = 0;
}

const uint8_t *virtio_blk_handler_config(const VirtIOBlkHandler *handler)
{
    return handler->config;
}
