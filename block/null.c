/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The null drivers: devices backed by nothing, to measure everything above them.
 *
 * Writes go nowhere and reads leave the buffer as it is, or zero it.  null-co answers at once,
 * null-aio from the event loop; either can take a given time for a request, and be a zoned device.
 */
#include "qemu/osdep.h"
#include "block/null-zoned.h"

#define NULL_DEFAULT_SIZE GiB

typedef struct NullState {
    int64_t latency_ns;
    bool reads_zeroes;
    bool uses_event_loop;
    NullZoned zoned; /* .zones is NULL where the device is not zoned */
} NullState;

static void null_parse_filename(const char *filename, json_t *options, Error **errp)
{
    const char *rest = strchr(filename, ':');

    if (!rest || strcmp(rest, "://")) {
        error_setg(errp, "'%s' is not a name of a null device: only null-co:// and null-aio:// are",
                   filename);
    }
}

static int null_open_common(BlockDriverState *bs, const BlockdevOptionsNull *options,
                            bool uses_event_loop, Error **errp)
{
    NullState *s = bs->opaque;
    uint64_t size = options->has_size ? options->size : NULL_DEFAULT_SIZE;

    if (size > BDRV_MAX_LENGTH || size % BDRV_SECTOR_SIZE != 0) {
        error_setg(errp, "size must be a multiple of 512 up to %" PRId64 ", got %" PRIu64,
                   BDRV_MAX_LENGTH, size);
        return -EINVAL;
    }
    if (options->latency_ns > INT64_MAX / 2) {
        error_setg(errp, "latency-ns is invalid: %" PRIu64, options->latency_ns);
        return -EINVAL;
    }
    s->latency_ns = options->latency_ns;
    s->reads_zeroes = options->read_zeroes;
    s->uses_event_loop = uses_event_loop;
    bs->total_bytes = size;
    bs->supported_write_flags = BDRV_REQ_FUA;
    bs->supported_zero_flags = BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK;
    return options->zone ? null_zoned_open(&s->zoned, options->zone, size, errp) : 0;
}

static int null_co_open(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                        Error **errp)
{
    return null_open_common(bs, &options->u.null_co, false, errp);
}

static int null_aio_open(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                         Error **errp)
{
    return null_open_common(bs, &options->u.null_aio, true, errp);
}

static void null_close(BlockDriverState *bs)
{
    NullState *s = bs->opaque;

    null_zoned_close(&s->zoned);
}

static void null_refresh_limits(BlockDriverState *bs, Error **errp)
{
    NullState *s = bs->opaque;

    if (s->zoned.zones) {
        null_zoned_refresh_limits(&s->zoned, &bs->bl);
    }
}

/* There is nothing to keep or to change; the driver only has to agree. */
static int null_reopen_prepare(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                               Error **errp)
{
    return 0;
}

/* Take the time that a request takes. */
static void coroutine_fn null_work(BlockDriverState *bs)
{
    NullState *s = bs->opaque;

    if (s->latency_ns > 0) {
        qemu_co_sleep_ns(s->latency_ns);
    } else if (s->uses_event_loop) {
        aio_co_schedule(bs->aio_context, qemu_coroutine_self());
        qemu_coroutine_yield();
    }
}

static int coroutine_fn null_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            QEMUIOVector *qiov, size_t qiov_offset,
                                            BdrvRequestFlags flags)
{
    NullState *s = bs->opaque;

    if (s->reads_zeroes) {
        qemu_iovec_memset(qiov, qiov_offset, 0, bytes);
    }
    null_work(bs);
    return 0;
}

static int coroutine_fn null_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             QEMUIOVector *qiov, size_t qiov_offset,
                                             BdrvRequestFlags flags)
{
    NullState *s = bs->opaque;

    if (s->zoned.zones) {
        return null_zoned_write(&s->zoned, bs, offset, bytes, null_work);
    }
    null_work(bs);
    return 0;
}

static int coroutine_fn null_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    NullState *s = bs->opaque;
    int ret = s->zoned.zones ? null_zoned_check_conventional(&s->zoned, offset, bytes) : 0;

    if (ret == 0) {
        null_work(bs);
    }
    return ret;
}

static int coroutine_fn null_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                              BdrvRequestFlags flags)
{
    return null_co_pdiscard(bs, offset, bytes);
}

static int coroutine_fn null_co_flush(BlockDriverState *bs)
{
    null_work(bs);
    return 0;
}

static int coroutine_fn null_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    NullState *s = bs->opaque;

    *pnum = bytes;
    *map = offset;
    *file = bs;
    return BDRV_BLOCK_OFFSET_VALID | (s->reads_zeroes ? BDRV_BLOCK_ZERO : BDRV_BLOCK_DATA);
}

static int64_t coroutine_fn null_co_get_allocated_file_size(BlockDriverState *bs)
{
    return 0;
}

static int coroutine_fn null_co_zone_report(BlockDriverState *bs, int64_t offset,
                                            unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    NullState *s = bs->opaque;

    zones_report(s->zoned.zones, offset, nr_zones, zones);
    return 0;
}

static int coroutine_fn null_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                          int64_t len)
{
    NullState *s = bs->opaque;

    null_work(bs);
    return null_zoned_mgmt(&s->zoned, op, offset, len);
}

static int coroutine_fn null_co_zone_append(BlockDriverState *bs, int64_t *offset,
                                            QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    NullState *s = bs->opaque;

    return null_zoned_append(&s->zoned, bs, offset, qiov->size, null_work);
}

static const BdrvZones *null_get_zones(const BlockDriverState *bs)
{
    const NullState *s = bs->opaque;

    return s->zoned.zones;
}

static const char *const null_strong_options[] = {"size", "read-zeroes", "zone", NULL};

#define NULL_DRIVER(name, open_function)                                                           \
    {                                                                                              \
        .format_name = name,                                                                       \
        .protocol_name = name,                                                                     \
        .instance_size = sizeof(NullState),                                                        \
        .strong_options = null_strong_options,                                                     \
        .bdrv_parse_filename = null_parse_filename,                                                \
        .bdrv_open = open_function,                                                                \
        .bdrv_close = null_close,                                                                  \
        .bdrv_reopen_prepare = null_reopen_prepare,                                                \
        .bdrv_refresh_limits = null_refresh_limits,                                                \
        .bdrv_co_preadv_part = null_co_preadv_part,                                                \
        .bdrv_co_pwritev_part = null_co_pwritev_part,                                              \
        .bdrv_co_pwrite_zeroes = null_co_pwrite_zeroes,                                            \
        .bdrv_co_pdiscard = null_co_pdiscard,                                                      \
        .bdrv_co_flush = null_co_flush,                                                            \
        .bdrv_co_block_status = null_co_block_status,                                              \
        .bdrv_co_get_allocated_file_size = null_co_get_allocated_file_size,                        \
        .bdrv_co_zone_report = null_co_zone_report,                                                \
        .bdrv_co_zone_mgmt = null_co_zone_mgmt,                                                    \
        .bdrv_co_zone_append = null_co_zone_append,                                                \
        .bdrv_get_zones = null_get_zones,                                                          \
    }

static BlockDriver bdrv_null_co = NULL_DRIVER("null-co", null_co_open);
static BlockDriver bdrv_null_aio = NULL_DRIVER("null-aio", null_aio_open);

static void bdrv_null_init(void)
{
    bdrv_register(&bdrv_null_co);
    bdrv_register(&bdrv_null_aio);
}

block_init(bdrv_null_init)
