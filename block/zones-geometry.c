/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned device may look like.
 *
 * The numbers come from command lines and from image headers and may be anything: nothing is
 * computed from one before it has been checked.  A message names the option as the user spells it,
 * and the value.
 */
#include "qemu/osdep.h"

#include "block/zones-int.h"

#define ZONE_SIZE_MIN (64 * KiB)
#define WRITE_GRANULARITY_MIN 512

static bool check_sizes(const ZonesGeometry *geometry, Error **errp)
{
    uint32_t granularity = geometry->write_granularity;

    if (!is_power_of_2(granularity) || granularity < WRITE_GRANULARITY_MIN) {
        error_setg(errp, "the write granularity must be a power of two and at least %d, got %"
                   PRIu32, WRITE_GRANULARITY_MIN, granularity);
        return false;
    }
    if (geometry->device_size <= 0 || geometry->device_size > BDRV_MAX_LENGTH ||
        geometry->device_size % granularity) {
        error_setg(errp, "the size of a zoned device must be a positive multiple of %" PRIu32
                   " and at most %" PRId64 " bytes, got %" PRId64,
                   granularity, BDRV_MAX_LENGTH, geometry->device_size);
        return false;
    }
    if (geometry->zone_size < ZONE_SIZE_MIN || !is_power_of_2(geometry->zone_size)) {
        error_setg(errp, "zone.size must be a power of two and at least 64 KiB, got %" PRId64,
                   geometry->zone_size);
        return false;
    }
    if (geometry->zone_size > geometry->device_size) {
        error_setg(errp, "zone.size must not exceed the %" PRId64 " bytes of the device, got %"
                   PRId64, geometry->device_size, geometry->zone_size);
        return false;
    }
    if (geometry->zone_capacity <= 0 || geometry->zone_capacity > geometry->zone_size) {
        error_setg(errp, "zone.capacity must be positive and at most zone.size (%" PRId64
                   "), got %" PRId64, geometry->zone_size, geometry->zone_capacity);
        return false;
    }
    if (geometry->zone_capacity % granularity) {
        error_setg(errp, "zone.capacity must be a multiple of the write granularity %" PRIu32
                   ", got %" PRId64, granularity, geometry->zone_capacity);
        return false;
    }
    return true;
}

static bool check_limit(const char *name, uint32_t limit, uint64_t nr_sequential, Error **errp)
{
    if (limit > nr_sequential) {
        error_setg(errp, "%s must be at most the number of sequential zones (%" PRIu64
                   "), got %" PRIu32, name, nr_sequential, limit);
        return false;
    }
    return true;
}

static bool check_append_limit(const ZonesGeometry *geometry, Error **errp)
{
    if (geometry->max_append_bytes % geometry->write_granularity) {
        error_setg(errp, "zone.max_append_bytes must be a multiple of the write granularity %"
                   PRIu32 ", got %" PRIu32,
                   geometry->write_granularity, geometry->max_append_bytes);
        return false;
    }
    if (geometry->max_append_bytes > geometry->zone_capacity) {
        error_setg(errp, "zone.max_append_bytes must be at most zone.capacity (%" PRId64
                   "), got %" PRIu32, geometry->zone_capacity, geometry->max_append_bytes);
        return false;
    }
    return true;
}

bool zones_check_geometry(const ZonesGeometry *geometry, Error **errp)
{
    uint64_t nr_zones, nr_sequential;

    if (!check_sizes(geometry, errp)) {
        return false;
    }
    nr_zones = geometry_nr_zones(geometry);
    if (nr_zones > ZONES_MAX_NR) {
        error_setg(errp, "zone.size must divide the device into at most %d zones, got %" PRId64
                   ", which makes %" PRIu64, ZONES_MAX_NR, geometry->zone_size, nr_zones);
        return false;
    }
    if (geometry->nr_conventional >= nr_zones) {
        error_setg(errp, "zone.conventional_zones must leave at least one of the %" PRIu64
                   " zones sequential, got %" PRIu32, nr_zones, geometry->nr_conventional);
        return false;
    }
    nr_sequential = nr_zones - geometry->nr_conventional;
    /* Active first: where only that limit was given, the other follows it. */
    if (!check_limit("zone.max_active_zones", geometry->max_active_zones, nr_sequential, errp) ||
        !check_limit("zone.max_open_zones", geometry->max_open_zones, nr_sequential, errp)) {
        return false;
    }
    if (geometry->max_active_zones && geometry->max_open_zones > geometry->max_active_zones) {
        error_setg(errp, "zone.max_open_zones must be at most zone.max_active_zones (%" PRIu32
                   "), got %" PRIu32, geometry->max_active_zones, geometry->max_open_zones);
        return false;
    }
    return check_append_limit(geometry, errp);
}
