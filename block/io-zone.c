/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zone commands on their way to the driver.
 *
 * Here stand the checks that need only the geometry (docs/devel/request-path.rst); conditions,
 * resources and waiting for writes are the driver's.  What the caller spelled wrongly is -EINVAL,
 * before anything is looked at or waited for.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"
#include "block/trace.h"

/* 0, -ENOMEDIUM, or -ENOTSUP where @bs is no zoned device. */
static int check_zoned(const BlockDriverState *bs)
{
    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    return bs->bl.zoned == BLK_Z_NONE ? -ENOTSUP : 0;
}

static bool is_zone_start(const BlockDriverState *bs, int64_t offset)
{
    return offset >= 0 && offset < bs->total_bytes && offset % bs->bl.zone_size == 0;
}

int coroutine_fn bdrv_co_zone_report(BlockDriverState *bs, int64_t offset, unsigned int *nr_zones,
                                     BlockZoneDescriptor *zones)
{
    int ret = check_zoned(bs);

    if (ret < 0) {
        return ret;
    }
    if (!bs->drv->bdrv_co_zone_report) {
        return -ENOTSUP;
    }
    if (offset < 0 || offset >= bs->total_bytes) {
        return -EINVAL;
    }
    if (*nr_zones == 0) {
        return 0;
    }
    bdrv_inc_in_flight(bs);
    ret = bs->drv->bdrv_co_zone_report(bs, offset, nr_zones, zones);
    bdrv_dec_in_flight(bs);
    return ret;
}

/* 0; -EINVAL where the range is not of whole zones, -EIO where it is but leaves the device. */
static int check_zone_range(const BlockDriverState *bs, int64_t offset, int64_t len)
{
    if (!is_zone_start(bs, offset) || len <= 0) {
        return -EINVAL;
    }
    if (len == bs->total_bytes - offset) {
        return 0;
    }
    if (len % bs->bl.zone_size != 0) {
        return -EINVAL;
    }
    return len > bs->total_bytes - offset ? -EIO : 0;
}

static int check_mgmt(const BlockDriverState *bs, int64_t offset, int64_t len)
{
    int ret = check_zoned(bs);

    if (ret < 0) {
        return ret;
    }
    if (!bs->drv->bdrv_co_zone_mgmt) {
        return -ENOTSUP;
    }
    return bs->read_only ? -EPERM : check_zone_range(bs, offset, len);
}

int coroutine_fn bdrv_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                   int64_t len)
{
    int ret = check_mgmt(bs, offset, len);

    if (ret < 0) {
        bs->stats.counters[BDRV_STATS_ZONE_MGMT].invalid++;
        return ret;
    }
    bdrv_inc_in_flight(bs);
    ret = bs->drv->bdrv_co_zone_mgmt(bs, op, offset, len);
    trace_bdrv_co_zone_mgmt(bs, op, offset, len, ret);
    io_note_change(bs, offset, ret);
    bdrv_dec_in_flight(bs);
    return io_count(bs, BDRV_STATS_ZONE_MGMT, 0, ret);
}

static int coroutine_fn append_tracked(BlockDriverState *bs, int64_t *offset, QEMUIOVector *qiov,
                                       BdrvRequestFlags flags)
{
    BdrvRequestFlags driver_flags = flags & bs->supported_write_flags;
    int ret;

    bdrv_inc_in_flight(bs);
    ret = bs->drv->bdrv_co_zone_append(bs, offset, qiov, driver_flags);
    trace_bdrv_co_zone_append(bs, *offset, qiov->size, ret);
    io_note_change(bs, *offset, ret);
    bdrv_dec_in_flight(bs);
    if ((flags & ~driver_flags & BDRV_REQ_FUA) && ret == 0) {
        ret = bdrv_co_flush(bs);
    }
    return io_count_write(bs, BDRV_STATS_ZONE_APPEND, *offset + qiov->size, qiov->size, ret);
}

static int check_append(const BlockDriverState *bs, int64_t offset, const QEMUIOVector *qiov)
{
    const BlockLimits *bl = &bs->bl;
    int ret = check_zoned(bs);

    if (ret < 0) {
        return ret;
    }
    if (!bs->drv->bdrv_co_zone_append || bl->max_append_bytes == 0) {
        return -ENOTSUP;
    }
    if (bs->read_only) {
        return -EPERM;
    }
    if (!is_zone_start(bs, offset) || qiov->size == 0 || qiov->size > bl->max_append_bytes ||
        qiov->size % bl->write_granularity != 0) {
        return -EINVAL;
    }
    return 0;
}

int coroutine_fn bdrv_co_zone_append(BlockDriverState *bs, int64_t *offset, QEMUIOVector *qiov,
                                     BdrvRequestFlags flags)
{
    int ret = check_append(bs, *offset, qiov);

    if (ret < 0) {
        bs->stats.counters[BDRV_STATS_ZONE_APPEND].invalid++;
        return ret;
    }
    return append_tracked(bs, offset, qiov, flags);
}
