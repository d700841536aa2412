/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned nodes shown with logical blocks of another size: see export-zoned.h.
 */
#include "qemu/osdep.h"

#include "export-zoned.h"

/* The zones that are asked of the node at a time. */
#define REPORT_BATCH 512

static bool check_geometry(const BlockLimits *limits, int64_t length, uint64_t block_size,
                           Error **errp)
{
    if (!is_power_of_2(block_size) || block_size < limits->write_granularity) {
        error_setg(errp,
                   "The logical block size of this zoned node must be a power of two and at least "
                   "its write granularity (%u), got %" PRIu64,
                   limits->write_granularity, block_size);
        return false;
    }
    if (length % block_size || limits->zone_size % block_size ||
        limits->zone_capacity % block_size) {
        error_setg(errp,
                   "A logical block size of %" PRIu64 " does not divide the length of the node "
                   "(%" PRId64 "), the size (%" PRId64 ") and the capacity (%" PRId64
                   ") of its zones",
                   block_size, length, limits->zone_size, limits->zone_capacity);
        return false;
    }
    if (limits->max_append_bytes && limits->max_append_bytes < block_size) {
        error_setg(errp,
                   "A logical block size of %" PRIu64 " is more than one append may have (%u)",
                   block_size, limits->max_append_bytes);
        return false;
    }
    return true;
}

static bool has_wp(const BlockZoneDescriptor *zone)
{
    return zone->state == BLK_ZS_IOPEN || zone->state == BLK_ZS_EOPEN ||
           zone->state == BLK_ZS_CLOSED;
}

static bool check_wps(BlockBackend *blk, int64_t length, uint64_t block_size, Error **errp)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor, REPORT_BATCH);
    int64_t offset = 0;

    while (offset < length) {
        unsigned int nr = REPORT_BATCH;
        int ret = blk_zone_report(blk, offset, &nr, zones);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot read the write pointers of the node");
            return false;
        }
        for (unsigned int i = 0; i < nr; i++) {
            if (has_wp(&zones[i]) && zones[i].wp % block_size) {
                error_setg(errp,
                           "The write pointer of the zone at %" PRId64 " stands at %" PRId64
                           ", which is no multiple of the logical block size %" PRIu64,
                           zones[i].start, zones[i].wp, block_size);
                return false;
            }
        }
        if (nr == 0) {
            break;
        }
        offset = zones[nr - 1].start + zones[nr - 1].length;
    }
    return true;
}

bool blk_exp_check_zoned_block_size(BlockBackend *blk, uint64_t block_size, Error **errp)
{
    const BlockLimits *limits = bdrv_limits(blk_bs(blk));
    int64_t length = blk_getlength(blk);

    if (length < 0) {
        error_setg_errno(errp, -length, "Cannot get the length of the node");
        return false;
    }
    if (!check_geometry(limits, length, block_size, errp)) {
        return false;
    }
    /* Write pointers are multiples of the node's own granularity anyway. */
    return block_size == limits->write_granularity || check_wps(blk, length, block_size, errp);
}

int coroutine_fn blk_exp_co_judge_unaligned(BlockBackend *blk, int64_t offset, int64_t bytes)
{
    BlockZoneDescriptor zone;
    unsigned int nr = 1;
    int ret = blk_co_zone_report(blk, offset, &nr, &zone);

    if (ret < 0) {
        return ret;
    }
    switch (zone.state) {
    case BLK_ZS_OFFLINE:
        return -ZONE_ERR_OFFLINE;
    case BLK_ZS_RDONLY:
        return -ZONE_ERR_RDONLY;
    case BLK_ZS_FULL:
        return -ZONE_ERR_FULL;
    default:
        return offset + bytes > zone.start + zone.cap ? -ZONE_ERR_PAST_CAPACITY
                                                      : -ZONE_ERR_NOT_AT_WP;
    }
}
