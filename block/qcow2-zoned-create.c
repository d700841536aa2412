/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a zoned image out of a freshly formatted plain one: the geometry from the create options,
 * the write-pointer table, the extensions.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

#define ZONE_SIZE_DEFAULT (256 * MiB)
#define ZONE_SIZE_MIN (64 * KiB)
/* What every export can carry in one request. */
#define ZONE_APPEND_DEFAULT (1 * MiB)

/* A disk of default-sized zones should have some even where it is small. */
static int64_t zone_size_for(int64_t device_size, int64_t cluster_size)
{
    int64_t zone_size = ZONE_SIZE_DEFAULT;

    while (device_size < ZONE_SIZE_DEFAULT && zone_size > device_size / 8 &&
           zone_size > MAX(ZONE_SIZE_MIN, cluster_size)) {
        zone_size /= 2;
    }
    return zone_size;
}

static void zoned_geometry_from_options(const BlockdevZoneOptions *zone, int64_t device_size,
                                        int64_t cluster_size, ZonesGeometry *geometry)
{
    uint64_t size = zone->has_size ? zone->size : (uint64_t)zone_size_for(device_size, cluster_size);
    uint64_t capacity = zone->has_capacity ? zone->capacity : size;

    *geometry = (ZonesGeometry){
        .device_size = device_size,
        .zone_size = size,
        .zone_capacity = capacity,
        .nr_conventional = zone->has_conventional_zones ? zone->conventional_zones : 0,
        .max_active_zones = zone->has_max_active_zones ? zone->max_active_zones : 0,
        .write_granularity = ZONE_WRITE_GRANULARITY,
    };
    geometry->max_open_zones =
        zone->has_max_open_zones ? zone->max_open_zones : geometry->max_active_zones;
    if (!zone->has_max_append_bytes) {
        /* Never 0, which would mean that the device has no append. */
        geometry->max_append_bytes = MAX(MIN(ZONE_APPEND_DEFAULT, geometry->zone_capacity / 2) &
                                             ~(ZONE_WRITE_GRANULARITY - 1),
                                         ZONE_WRITE_GRANULARITY);
    } else {
        geometry->max_append_bytes = MIN(zone->max_append_bytes, (uint64_t)UINT32_MAX);
    }
}

static int zoned_create_geometry(const BlockdevCreateOptionsQcow2 *options, int64_t size,
                                 int64_t cluster_size, ZonesGeometry *geometry, Error **errp)
{
    const BlockdevZoneOptions *zone = options->zone;

    if ((zone->has_size && zone->size > INT64_MAX) ||
        (zone->has_capacity && zone->capacity > INT64_MAX)) {
        bool is_size = zone->has_size && zone->size > INT64_MAX;

        error_setg(errp, "%s must be below 8 EiB, got %" PRIu64,
                   is_size ? "zone.size" : "zone.capacity", is_size ? zone->size : zone->capacity);
        return -EINVAL;
    }
    zoned_geometry_from_options(zone, size, cluster_size, geometry);
    if (zone->has_max_append_bytes && zone->max_append_bytes > UINT32_MAX) {
        error_setg(errp, "zone.max_append_bytes must be below 4 GiB, got %" PRIu64,
                   zone->max_append_bytes);
        return -EINVAL;
    }
    if (!zones_check_geometry(geometry, errp)) {
        return -EINVAL;
    }
    if (!QEMU_IS_ALIGNED(geometry->zone_size, cluster_size)) {
        error_setg(errp,
                   "zone.size must be a multiple of the cluster size %" PRId64 ", got %" PRId64,
                   cluster_size, geometry->zone_size);
        return -EINVAL;
    }
    return 0;
}

int qcow2_zoned_create_check(const BlockdevCreateOptionsQcow2 *options, int64_t size,
                             int64_t cluster_size, Error **errp)
{
    ZonesGeometry geometry;

    if (options->has_version && options->version == BLOCKDEV_QCOW2_VERSION_V2) {
        error_setg(errp, "Zoned images need compatibility level 1.1 or above (version=v3)");
        return -EINVAL;
    }
    return zoned_create_geometry(options, size, cluster_size, &geometry, errp);
}

/* Write the table of a new disk: every zone at its start. */
static int coroutine_fn zoned_write_new_table(BlockDriverState *bs, const ZonesGeometry *geometry,
                                              int64_t table_offset)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t nr_zones = DIV_ROUND_UP(geometry->device_size, geometry->zone_size);
    int64_t end = ROUND_UP((int64_t)nr_zones * 8, s->cluster_size);
    int64_t chunk = MIN(end, MAX(1 * MiB, s->cluster_size));
    QEMU_AUTO_VFREE uint8_t *buf = qemu_memalign(4096, chunk);
    uint64_t index = 0;

    for (int64_t at = 0; at < end; at += chunk) {
        int64_t bytes = MIN(chunk, end - at);
        int ret;

        memset(buf, 0, bytes);
        for (int64_t i = 0; i < bytes / 8 && index < nr_zones; i++, index++) {
            uint64_t flag = index < geometry->nr_conventional ? QCOW2_ZONE_WP_CONV : 0;

            stq_be_p(buf + i * 8, index * geometry->zone_size | flag);
        }
        ret = bdrv_co_pwrite(bs->file, table_offset + at, bytes, buf, 0);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

int coroutine_fn qcow2_zoned_create(BlockDriverState *bs,
                                    const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZonesGeometry geometry;
    uint32_t nr_zones;
    int64_t table_offset;
    int ret = zoned_create_geometry(options, bs->total_bytes, s->cluster_size, &geometry, errp);

    if (ret < 0) {
        return ret;
    }
    nr_zones = DIV_ROUND_UP(geometry.device_size, geometry.zone_size);
    qemu_co_mutex_lock(&s->lock);
    table_offset = qcow2_alloc_clusters(bs, ROUND_UP((int64_t)nr_zones * 8, s->cluster_size));
    qemu_co_mutex_unlock(&s->lock);
    ret = table_offset < 0 ? (int)table_offset : 0;
    if (ret == 0) {
        ret = zoned_write_new_table(bs, &geometry, table_offset);
    }
    if (ret == 0) {
        ret = qcow2_zoned_add_live_area(bs, nr_zones);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the write-pointer table");
        return ret;
    }

    qcow2_zoned_store_ext(s, &geometry, table_offset);
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_update_header(bs);
    qemu_co_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the zoned header extension");
    }
    return ret;
}
