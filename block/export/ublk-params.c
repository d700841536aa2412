/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node is like as a ublk disk, and how the driver is told.
 *
 * The driver and the kernel's zone code have limits of their own, beyond what a zoned node must
 * keep; they are checked here, where the reason can still be given.
 */
#include "qemu/osdep.h"

#include <linux/blkzoned.h>

#include "export-zoned.h"
#include "qemu/cutils.h"
#include "ublk-int.h"

/* Also what one report of 16384 zones takes. */
#define DEFAULT_IO_BYTES (1u << 20)
/* The kernel has no buffers for longer reports, and must get all zones in one. */
#define MAX_ZONES 65536u

#define MAX_RANGE_SECTORS (1u << 21)

/* ---- the disk ---- */

static bool choose_block_size(UblkDisk *disk, uint64_t wanted, Error **errp)
{
    uint32_t largest = getpagesize();
    uint64_t size = wanted;

    if (!size) {
        size = disk->is_zoned ? disk->limits->write_granularity : 512;
    }
    if (!is_power_of_2(size) || size < 512 || size > largest) {
        error_setg(errp,
                   "logical-block-size must be a power of two from 512 to %u, got %" PRIu64,
                   largest, size);
        return false;
    }
    disk->block_size = size;
    return !disk->is_zoned || blk_exp_check_zoned_block_size(disk->blk, size, errp);
}

static bool check_zones(const UblkDisk *disk, Error **errp)
{
    const BlockLimits *limits = disk->limits;

    if (!is_power_of_2(limits->zone_size) ||
        limits->zone_size / BDRV_SECTOR_SIZE > (int64_t)UINT32_MAX) {
        error_setg(errp, "ublk cannot show zones of %" PRId64 " bytes", limits->zone_size);
        return false;
    }
    if (disk->total_bytes % limits->zone_size) {
        error_setg(errp,
                   "ublk cannot show a last zone that is shorter than others: the length %" PRId64
                   " is no multiple of the zone size %" PRId64,
                   disk->total_bytes, limits->zone_size);
        return false;
    }
    if (limits->nr_zones > MAX_ZONES) {
        error_setg(errp, "ublk cannot show more than %u zones, the node has %u", MAX_ZONES,
                   limits->nr_zones);
        return false;
    }
    if (limits->max_append_bytes < disk->block_size) {
        error_setg(errp,
                   "ublk cannot show a zoned disk without zone append: the node allows %u bytes",
                   limits->max_append_bytes);
        return false;
    }
    return true;
}

bool ublk_disk_init(UblkDisk *disk, BlockBackend *blk, bool is_writable, uint64_t block_size,
                    Error **errp)
{
    const BlockLimits *limits = bdrv_limits(blk_bs(blk));
    int64_t length = blk_getlength(blk);

    if (length < 0) {
        error_setg_errno(errp, -length, "Cannot get the length of the node");
        return false;
    }
    *disk = (UblkDisk){
        .blk = blk,
        .limits = limits,
        .is_writable = is_writable,
        .is_zoned = limits->zoned == BLK_Z_HM,
        .max_io_bytes = DEFAULT_IO_BYTES,
        .char_fd = -1,
    };
    for (unsigned int i = 0; i < UBLK_ZONE_LOCKS; i++) {
        qemu_co_mutex_init(&disk->zone_locks[i]);
    }
    if (!choose_block_size(disk, block_size, errp)) {
        return false;
    }
    disk->total_bytes = ROUND_DOWN(length, (int64_t)disk->block_size);
    if (disk->total_bytes == 0) {
        error_setg(errp, "The node is too small for a disk: %" PRId64 " bytes", length);
        return false;
    }
    if (!disk->is_zoned) {
        return true;
    }
    if (!check_zones(disk, errp)) {
        return false;
    }
    disk->max_io_bytes = MAX(disk->max_io_bytes,
                             ROUND_UP(limits->nr_zones * (uint32_t)sizeof(struct blk_zone),
                                      (uint32_t)getpagesize()));
    disk->max_append_bytes = ROUND_DOWN(MIN(limits->max_append_bytes, disk->max_io_bytes),
                                        disk->block_size);
    return true;
}

/* ---- what the driver is told ---- */

static uint32_t attributes(const UblkDisk *disk)
{
    if (!disk->is_writable) {
        return UBLK_ATTR_READ_ONLY;
    }
    return blk_enable_write_cache(disk->blk) ? UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA : 0;
}

/* A physical block is what the node writes without reading first, as far as the driver allows. */
static uint32_t physical_block_size(const UblkDisk *disk)
{
    return disk->is_zoned ? disk->block_size
                          : MIN(MAX(disk->block_size, disk->limits->request_alignment),
                                (uint32_t)getpagesize());
}

void ublk_disk_params(const UblkDisk *disk, struct ublk_params *params)
{
    const BlockLimits *limits = disk->limits;
    uint32_t physical_shift = ilog2(physical_block_size(disk));

    *params = (struct ublk_params){
        .len = sizeof(*params),
        .types = UBLK_PARAM_TYPE_BASIC,
        .basic = {
            .attrs = attributes(disk),
            .logical_bs_shift = ilog2(disk->block_size),
            .physical_bs_shift = physical_shift,
            .io_opt_shift = physical_shift,
            .io_min_shift = physical_shift,
            .max_sectors = disk->max_io_bytes / BDRV_SECTOR_SIZE,
            .dev_sectors = disk->total_bytes / BDRV_SECTOR_SIZE,
        },
    };
    if (disk->is_zoned) {
        params->types |= UBLK_PARAM_TYPE_ZONED;
        params->basic.chunk_sectors = limits->zone_size / BDRV_SECTOR_SIZE;
        params->zoned = (struct ublk_param_zoned){
            .max_open_zones = limits->max_open_zones,
            .max_active_zones = limits->max_active_zones,
            .max_zone_append_sectors = disk->max_append_bytes / BDRV_SECTOR_SIZE,
        };
    } else if (disk->is_writable) {
        params->types |= UBLK_PARAM_TYPE_DISCARD;
        params->discard = (struct ublk_param_discard){
            .discard_granularity = MAX(disk->block_size, limits->pdiscard_alignment),
            .max_discard_sectors = MAX_RANGE_SECTORS,
            .max_write_zeroes_sectors = MAX_RANGE_SECTORS,
            .max_discard_segments = 1,
        };
    }
}

bool ublk_disk_check_params(const UblkDisk *disk, const struct ublk_params *theirs, Error **errp)
{
    struct ublk_params ours;

    ublk_disk_params(disk, &ours);
    const struct {
        const char *what;
        uint64_t ours, theirs;
    } values[] = {
        {"size in sectors", ours.basic.dev_sectors, theirs->basic.dev_sectors},
        {"attributes", ours.basic.attrs, theirs->basic.attrs},
        {"logical block size (as a power of two)", ours.basic.logical_bs_shift,
         theirs->basic.logical_bs_shift},
        {"largest request in sectors", ours.basic.max_sectors, theirs->basic.max_sectors},
        {"zone size in sectors", ours.basic.chunk_sectors, theirs->basic.chunk_sectors},
        {"limit of open zones", ours.zoned.max_open_zones, theirs->zoned.max_open_zones},
        {"limit of active zones", ours.zoned.max_active_zones, theirs->zoned.max_active_zones},
        {"limit of zone appends in sectors", ours.zoned.max_zone_append_sectors,
         theirs->zoned.max_zone_append_sectors},
    };

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (values[i].ours != values[i].theirs) {
            error_setg(errp, "the %s of the node is %" PRIu64 ", that of the device %" PRIu64,
                       values[i].what, values[i].ours, values[i].theirs);
            return false;
        }
    }
    return true;
}
