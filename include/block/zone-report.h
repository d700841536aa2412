/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zones as the schema shows them to users: the one place where the block layer's descriptors and
 * tables become ZoneDescriptor, ZoneCondition and their like.
 */
#ifndef BLOCK_ZONE_REPORT_H
#define BLOCK_ZONE_REPORT_H

#include "block/block-common.h"
#include "block/zones.h"
#include "qapi/qapi-types.h"

ZoneType zone_report_type(BlockZoneType type);
ZoneCondition zone_report_condition(BlockZoneState state);

/* Whether @zone->wp means something: not in conventional, read-only and offline zones. */
bool zone_report_has_wp(const BlockZoneDescriptor *zone);

/* A new descriptor for @zone, which is number @index. */
ZoneDescriptor *zone_report_descriptor(uint32_t index, const BlockZoneDescriptor *zone);

/* How many zones of the table are in each condition; new. */
ZoneConditionCounts *zone_report_counts(const BdrvZones *zones);

/*
 * The table of @bs's zones, or of the node's below that @bs passes requests to; NULL where @bs has
 * no zones.  For looking, in the node's thread, and not to be kept.
 */
const BdrvZones *bdrv_zone_table(const BlockDriverState *bs);

#endif
