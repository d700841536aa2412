/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device of the zone table's unit tests, see zone-fixture.h.
 */
#include "qemu/osdep.h"

#include "zone-fixture.h"

BdrvZones *make_device(uint32_t max_open, uint32_t max_active)
{
    const ZonesGeometry geometry = {
        .device_size = (NR_ZONES - 1) * ZONE_SIZE + ZONE_SIZE / 2,
        .zone_size = ZONE_SIZE,
        .zone_capacity = CAPACITY,
        .nr_conventional = 1,
        .max_open_zones = max_open,
        .max_active_zones = max_active,
        .max_append_bytes = APPEND_MAX,
        .write_granularity = BLOCK,
    };

    g_assert_true(zones_check_geometry(&geometry, &error_abort));
    return zones_new(&geometry, sizeof(uint64_t), &error_abort);
}

int end_one(BdrvZones *zones, ZoneWrite *write, int ret)
{
    ZoneWriteList settled = TAILQ_HEAD_INITIALIZER(settled);

    zones_write_end(zones, write, ret, &settled);
    g_assert_true(TAILQ_FIRST(&settled) == write);
    g_assert_null(TAILQ_NEXT(write, link));
    zones_assert_valid(zones);
    return write->ret;
}

void end_none(BdrvZones *zones, ZoneWrite *write, int ret)
{
    ZoneWriteList settled = TAILQ_HEAD_INITIALIZER(settled);

    zones_write_end(zones, write, ret, &settled);
    g_assert_true(TAILQ_EMPTY(&settled));
    zones_assert_valid(zones);
}

void begin_write(BdrvZones *zones, ZoneWrite *write, int64_t offset, int64_t bytes)
{
    g_assert_cmpint(zones_write_begin(zones, write, offset, bytes), ==, 0);
    zones_assert_valid(zones);
}

int write_now(BdrvZones *zones, int64_t offset, int64_t bytes)
{
    ZoneWrite write;
    int ret = zones_write_begin(zones, &write, offset, bytes);

    return ret < 0 ? ret : end_one(zones, &write, 0);
}

int append_now(BdrvZones *zones, int64_t offset, int64_t bytes, int64_t *where)
{
    ZoneWrite write;
    int ret = zones_append_begin(zones, &write, offset, bytes);

    *where = -1;
    if (ret < 0) {
        return ret;
    }
    *where = write.offset;
    return end_one(zones, &write, 0);
}

int manage(BdrvZones *zones, BlockZoneOp op, int64_t offset, int64_t len)
{
    int ret;

    g_assert_cmpint(zones_check_range(zones, offset, len), ==, 0);
    g_assert_cmpint(zones_hold(zones, offset, len), ==, 0);
    g_assert_false(zones_is_busy(zones, offset, len));
    ret = zones_mgmt_check(zones, op, offset, len);
    if (ret == 0) {
        zones_mgmt_apply(zones, op, offset, len);
    }
    zones_release(zones, offset, len);
    zones_assert_valid(zones);
    return ret;
}

int manage_one(BdrvZones *zones, BlockZoneOp op, uint32_t index)
{
    return manage(zones, op, zones_start(zones, index), zones_length(zones, index));
}

int64_t device_size(const BdrvZones *zones)
{
    return zones_geometry(zones)->device_size;
}

void assert_state(const BdrvZones *zones, uint32_t index, BlockZoneState state)
{
    g_assert_cmpint(zones_state(zones, index), ==, state);
}

uint32_t nr_active(const BdrvZones *zones)
{
    ZonesCounts counts;

    zones_counts(zones, &counts);
    return counts.implicitly_open + counts.explicitly_open + counts.closed;
}
