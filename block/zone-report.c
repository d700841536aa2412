/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zones in the terms of the schema: see block/zone-report.h.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "block/zone-report.h"

ZoneType zone_report_type(BlockZoneType type)
{
    switch (type) {
    case BLK_ZT_CONV:
        return ZONE_TYPE_CONVENTIONAL;
    case BLK_ZT_SWR:
        return ZONE_TYPE_SEQUENTIAL_WRITE_REQUIRED;
    case BLK_ZT_SWP:
        return ZONE_TYPE_SEQUENTIAL_WRITE_PREFERRED;
    }
    g_assert_not_reached();
}

ZoneCondition zone_report_condition(BlockZoneState state)
{
    switch (state) {
    case BLK_ZS_NOT_WP:
        return ZONE_CONDITION_NOT_WRITE_POINTER;
    case BLK_ZS_EMPTY:
        return ZONE_CONDITION_EMPTY;
    case BLK_ZS_IOPEN:
        return ZONE_CONDITION_IMPLICITLY_OPEN;
    case BLK_ZS_EOPEN:
        return ZONE_CONDITION_EXPLICITLY_OPEN;
    case BLK_ZS_CLOSED:
        return ZONE_CONDITION_CLOSED;
    case BLK_ZS_RDONLY:
        return ZONE_CONDITION_READ_ONLY;
    case BLK_ZS_FULL:
        return ZONE_CONDITION_FULL;
    case BLK_ZS_OFFLINE:
        return ZONE_CONDITION_OFFLINE;
    }
    g_assert_not_reached();
}

bool zone_report_has_wp(const BlockZoneDescriptor *zone)
{
    return zone->state != BLK_ZS_NOT_WP && zone->state != BLK_ZS_RDONLY &&
           zone->state != BLK_ZS_OFFLINE;
}

ZoneDescriptor *zone_report_descriptor(uint32_t index, const BlockZoneDescriptor *zone)
{
    ZoneDescriptor *info = g_new0(ZoneDescriptor, 1);

    info->index = index;
    info->start = zone->start;
    info->length = zone->length;
    info->capacity = zone->cap;
    info->has_write_pointer = zone_report_has_wp(zone);
    info->write_pointer = info->has_write_pointer ? zone->wp : 0;
    info->type = zone_report_type(zone->type);
    info->condition = zone_report_condition(zone->state);
    return info;
}

ZoneConditionCounts *zone_report_counts(const BdrvZones *zones)
{
    ZoneConditionCounts *info = g_new0(ZoneConditionCounts, 1);
    ZonesCounts counts;

    zones_counts(zones, &counts);
    info->empty = counts.empty;
    info->implicitly_open = counts.implicitly_open;
    info->explicitly_open = counts.explicitly_open;
    info->closed = counts.closed;
    info->full = counts.full;
    info->read_only = counts.read_only;
    info->offline = counts.offline;
    info->conventional = counts.conventional;
    return info;
}

const BdrvZones *bdrv_zone_table(const BlockDriverState *bs)
{
    while (bs->drv && bs->drv->is_passthrough && bs->file) {
        bs = bs->file->bs;
    }
    return bs->drv && bs->drv->bdrv_get_zones ? bs->drv->bdrv_get_zones(bs) : NULL;
}
