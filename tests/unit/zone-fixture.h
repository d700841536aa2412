/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small device for the zone table's unit tests, and whole requests on it in one call each.
 *
 * 8 zones of 64 KiB with 48 KiB capacity; the first one is conventional, the last one only 32 KiB
 * long. Each call also has the table check itself.
 */
#ifndef TESTS_ZONE_FIXTURE_H
#define TESTS_ZONE_FIXTURE_H

#include "block/zones.h"

#define NR_ZONES 8
#define ZONE_SIZE (64 * KiB)
#define CAPACITY (48 * KiB)
#define BLOCK (4 * KiB)
#define APPEND_MAX (16 * KiB)
#define START(index) ((index) * ZONE_SIZE)

/* Each open zone has a uint64_t of driver's memory. */
BdrvZones *make_device(uint32_t max_open, uint32_t max_active);
int64_t device_size(const BdrvZones *zones);

/* Begin a write that must be admitted. */
void begin_write(BdrvZones *zones, ZoneWrite *write, int64_t offset, int64_t bytes);
/* End a write that must then be the only one to be settled; returns its result. */
int end_one(BdrvZones *zones, ZoneWrite *write, int ret);
/* End a write that must wait for those before it. */
void end_none(BdrvZones *zones, ZoneWrite *write, int ret);

/* Begin and end a write or append; returns the refusal, or 0.  @where is -1 after a refusal. */
int write_now(BdrvZones *zones, int64_t offset, int64_t bytes);
int append_now(BdrvZones *zones, int64_t offset, int64_t bytes, int64_t *where);

/* Hold, check, apply where that is allowed, and release. */
int manage(BdrvZones *zones, BlockZoneOp op, int64_t offset, int64_t len);
int manage_one(BdrvZones *zones, BlockZoneOp op, uint32_t index);

void assert_state(const BdrvZones *zones, uint32_t index, BlockZoneState state);
uint32_t nr_active(const BdrvZones *zones);

#endif
