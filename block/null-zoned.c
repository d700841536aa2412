/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zoned side of the null drivers: see null-zoned.h.
 *
 * The rules are block/zones.c's; here requests wait where it says so, and are answered in the order
 * in which it settles them.
 */
#include "qemu/osdep.h"
#include "block/null-zoned.h"

/* As long as a request of an export is at most. */
#define DEFAULT_MAX_APPEND_BYTES MiB

#define WRITE_GRANULARITY 4096

typedef struct NullWrite {
    ZoneWrite write;
    Coroutine *co;    /* waits to be settled; NULL while the work goes on */
    bool is_settled;
} NullWrite;

static bool fill_geometry(ZonesGeometry *geometry, const BlockdevZoneOptions *options,
                          int64_t device_size, Error **errp)
{
    uint64_t zone_size = options->has_size ? options->size : 256 * MiB;
    uint64_t capacity = options->has_capacity ? options->capacity : zone_size;
    uint64_t max_append = options->has_max_append_bytes ? options->max_append_bytes
                                                        : MIN(capacity, DEFAULT_MAX_APPEND_BYTES);

    if (zone_size > BDRV_MAX_LENGTH) {
        error_setg(errp, "zone.size is too large: %" PRIu64, zone_size);
        return false;
    }
    if (capacity > zone_size) {
        error_setg(errp, "zone.capacity must not be larger than zone.size (%" PRIu64 "), got %" PRIu64,
                   zone_size, capacity);
        return false;
    }
    if (max_append > UINT32_MAX) {
        error_setg(errp, "zone.max_append_bytes is too large: %" PRIu64, max_append);
        return false;
    }
    *geometry = (ZonesGeometry){
        .device_size = device_size,
        .zone_size = zone_size,
        .zone_capacity = capacity,
        .nr_conventional = options->conventional_zones,
        .max_open_zones = options->has_max_open_zones ? options->max_open_zones
                                                      : options->max_active_zones,
        .max_active_zones = options->max_active_zones,
        .max_append_bytes = max_append,
        .write_granularity = WRITE_GRANULARITY,
    };
    return true;
}

int null_zoned_open(NullZoned *zoned, const BlockdevZoneOptions *options, int64_t device_size,
                    Error **errp)
{
    ZonesGeometry geometry;

    if (device_size == 0 || device_size % WRITE_GRANULARITY != 0) {
        error_setg(errp, "The size of a zoned device must be a multiple of %d, got %" PRId64,
                   WRITE_GRANULARITY, device_size);
        return -EINVAL;
    }
    if (!fill_geometry(&geometry, options, device_size, errp) ||
        !zones_check_geometry(&geometry, errp)) {
        return -EINVAL;
    }
    zoned->zones = zones_new(&geometry, 0, errp);
    if (!zoned->zones) {
        return -ENOMEM;
    }
    qemu_co_queue_init(&zoned->waiters);
    return 0;
}

void null_zoned_close(NullZoned *zoned)
{
    g_clear_pointer(&zoned->zones, zones_free);
}

void null_zoned_refresh_limits(const NullZoned *zoned, BlockLimits *bl)
{
    const ZonesGeometry *geometry = zones_geometry(zoned->zones);

    bl->zoned = BLK_Z_HM;
    bl->zone_size = geometry->zone_size;
    bl->zone_capacity = geometry->zone_capacity;
    bl->nr_zones = zones_nr(zoned->zones);
    bl->nr_conventional_zones = geometry->nr_conventional;
    bl->max_open_zones = geometry->max_open_zones;
    bl->max_active_zones = geometry->max_active_zones;
    bl->max_append_bytes = geometry->max_append_bytes;
    bl->write_granularity = geometry->write_granularity;
}

static int64_t conventional_end(const NullZoned *zoned)
{
    const ZonesGeometry *geometry = zones_geometry(zoned->zones);

    return geometry->nr_conventional * geometry->zone_size;
}

int null_zoned_check_conventional(const NullZoned *zoned, int64_t offset, int64_t bytes)
{
    return offset + bytes <= conventional_end(zoned) ? 0 : -ENOTSUP;
}

/* A write has left the table or a command its zones: whoever waits for that looks again. */
static void wake_waiters(NullZoned *zoned)
{
    if (unlikely(!qemu_co_queue_empty(&zoned->waiters))) {
        qemu_co_queue_restart_all(&zoned->waiters);
    }
}

/* The work of a write that was admitted; returns when it is its turn to be answered. */
static int coroutine_fn carry_out(NullZoned *zoned, BlockDriverState *bs, NullWrite *write,
                                  NullWork *work)
{
    ZoneWriteList settled = TAILQ_HEAD_INITIALIZER(settled);
    ZoneWrite *item, *next;

    work(bs);
    zones_write_end(zoned->zones, &write->write, 0, &settled);
    for (item = TAILQ_FIRST(&settled); item; item = next) {
        NullWrite *done = container_of(item, NullWrite, write);

        next = TAILQ_NEXT(item, link);
        done->is_settled = true;
        if (done->co) {
            aio_co_wake(done->co);
        }
    }
    wake_waiters(zoned);
    if (!write->is_settled) {
        write->co = qemu_coroutine_self();
        qemu_coroutine_yield();
        assert(write->is_settled);
    }
    return write->write.ret;
}

int coroutine_fn null_zoned_write(NullZoned *zoned, BlockDriverState *bs, int64_t offset,
                                  int64_t bytes, NullWork *work)
{
    NullWrite write = {.is_settled = false};
    int ret;

    if (bytes == 0) {
        return 0;
    }
    if (offset < conventional_end(zoned)) {
        if (offset + bytes > conventional_end(zoned)) {
            return -ZONE_ERR_PAST_CAPACITY;
        }
        work(bs);
        return 0;
    }
    while ((ret = zones_write_begin(zoned->zones, &write.write, offset, bytes)) == -EAGAIN) {
        qemu_co_queue_wait(&zoned->waiters, NULL);
    }
    return ret < 0 ? ret : carry_out(zoned, bs, &write, work);
}

int coroutine_fn null_zoned_append(NullZoned *zoned, BlockDriverState *bs, int64_t *offset,
                                   int64_t bytes, NullWork *work)
{
    NullWrite write = {.is_settled = false};
    int ret;

    while ((ret = zones_append_begin(zoned->zones, &write.write, *offset, bytes)) == -EAGAIN) {
        qemu_co_queue_wait(&zoned->waiters, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    ret = carry_out(zoned, bs, &write, work);
    if (ret == 0) {
        *offset = write.write.offset;
    }
    return ret;
}

int coroutine_fn null_zoned_mgmt(NullZoned *zoned, BlockZoneOp op, int64_t offset, int64_t len)
{
    int ret = zones_check_range(zoned->zones, offset, len);

    if (ret < 0) {
        return ret;
    }
    while (zones_hold(zoned->zones, offset, len) == -EAGAIN) {
        qemu_co_queue_wait(&zoned->waiters, NULL);
    }
    while (zones_is_busy(zoned->zones, offset, len)) {
        qemu_co_queue_wait(&zoned->waiters, NULL);
    }
    ret = zones_mgmt_check(zoned->zones, op, offset, len);
    if (ret == 0) {
        zones_mgmt_apply(zoned->zones, op, offset, len);
    }
    zones_release(zoned->zones, offset, len);
    wake_waiters(zoned);
    return ret;
}
