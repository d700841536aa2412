/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned image tells others: its limits, and its part of the image information.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "block/zone-report.h"

void qcow2_zoned_refresh_limits(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    const ZonesGeometry *geometry = zones_geometry(s->zoned->zones);

    bs->bl.zoned = BLK_Z_HM;
    bs->bl.zone_size = geometry->zone_size;
    bs->bl.zone_capacity = geometry->zone_capacity;
    bs->bl.nr_zones = zones_nr(s->zoned->zones);
    bs->bl.nr_conventional_zones = geometry->nr_conventional;
    bs->bl.max_open_zones = geometry->max_open_zones;
    bs->bl.max_active_zones = geometry->max_active_zones;
    bs->bl.max_append_bytes = geometry->max_append_bytes;
    bs->bl.write_granularity = geometry->write_granularity;
}

Qcow2ZonedInfo *qcow2_zoned_specific_info(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    const ZonesGeometry *geometry = zones_geometry(zones);
    Qcow2ZonedInfo *info = g_new0(Qcow2ZonedInfo, 1);

    info->mode = ZONE_MODEL_HOST_MANAGED;
    info->size = geometry->zone_size;
    info->capacity = geometry->zone_capacity;
    info->nr_zones = zones_nr(zones);
    info->conventional_zones = geometry->nr_conventional;
    info->max_append_bytes = geometry->max_append_bytes;
    info->max_active_zones = geometry->max_active_zones;
    info->max_open_zones = geometry->max_open_zones;
    info->conditions = zone_report_counts(zones);
    return info;
}

const BdrvZones *qcow2_get_zones(const BlockDriverState *bs)
{
    const BDRVQcow2State *s = bs->opaque;

    return s->zoned ? s->zoned->zones : NULL;
}
