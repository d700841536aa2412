/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the zone table, for block/zones*.c only.
 *
 * Positions in these structs are bytes from the start of their zone, so that an empty zone is all
 * zero bytes and the table of a new device costs no memory until it is used.
 *
 * What holds for every sequential zone between two calls (zone_assert_valid() checks it):
 *  1. Empty: the write pointer is 0 and nothing is in flight.
 *  2. Closed: 0 < submitted write pointer.
 *  3. Not full: completed write pointer < capacity.  Full: >= capacity, nothing in flight.
 *  4. Completed <= submitted <= capacity; they are equal when nothing is in flight.
 *  5. A ZoneOpen exists while the zone is open or has writes in flight, and at no other time.
 *  6. The implicit list holds the implicitly open zones, least recently written first; the explicit
 *     list holds the explicitly open ones.
 *  7. #open <= max_open_zones where that is set.  (#active may exceed its limit after
 *     zones_load_wp() or a repaired defect; then no empty zone opens.)
 */
#ifndef BLOCK_ZONES_INT_H
#define BLOCK_ZONES_INT_H

#include "block/zones.h"

/* What only an open zone, or one with writes in flight, needs. */
struct ZoneOpen {
    ZoneWriteList in_flight; /* in the order in which they began */
    TAILQ_ENTRY(ZoneOpen) link; /* in the list of its condition; in none while closed */
    int64_t submitted;          /* where the next write must start */
    uint32_t index;
    bool has_failed; /* some write in flight has failed: none is admitted until all are settled */
    _Alignas(max_align_t) char data[]; /* the driver's, see zone_write_open_data() */
};

typedef TAILQ_HEAD(ZoneOpenList, ZoneOpen) ZoneOpenList;

typedef struct Zone {
    int64_t wp; /* completed write pointer; the zone's length once finished */
    ZoneOpen *open;
    uint8_t stored_state; /* BlockZoneState, except that empty is 0; use zone_state() */
} Zone;

_Static_assert(sizeof(Zone) <= 32, "a zone at rest takes at most 32 bytes");

/* Zones [first, end) are kept for one management command. */
typedef struct ZoneHold {
    LIST_ENTRY(ZoneHold) link;
    uint32_t first, end;
} ZoneHold;

struct BdrvZones {
    ZonesGeometry geometry;
    Zone *zones;
    uint32_t nr_zones;
    unsigned int zone_bits; /* zone_size == 1 << zone_bits */
    int64_t last_length, last_capacity;
    size_t open_data_size;
    uint64_t nr_in_flight;                /* writes, in all zones */
    uint32_t nr_in_state[BLK_ZS_OFFLINE + 1];
    ZoneOpenList implicitly_open;
    ZoneOpenList explicitly_open;
    LIST_HEAD(, ZoneHold) holds;
    ZonesStats stats;
};

/* How many zones a geometry with checked sizes has; the last one may be short. */
static inline uint64_t geometry_nr_zones(const ZonesGeometry *geometry)
{
    return (uint64_t)(geometry->device_size - 1) / geometry->zone_size + 1;
}

/* The condition of a sequential zone. */
static inline BlockZoneState zone_state(const Zone *zone)
{
    return zone->stored_state ? zone->stored_state : BLK_ZS_EMPTY;
}

static inline bool zone_is_defective(const Zone *zone)
{
    return zone->stored_state == BLK_ZS_RDONLY || zone->stored_state == BLK_ZS_OFFLINE;
}

static inline bool zone_is_open(const Zone *zone)
{
    return zone->stored_state == BLK_ZS_IOPEN || zone->stored_state == BLK_ZS_EOPEN;
}

static inline int64_t zone_submitted(const Zone *zone)
{
    return zone->open ? zone->open->submitted : zone->wp;
}

static inline bool zone_has_writes(const Zone *zone)
{
    return zone->open && !TAILQ_EMPTY(&zone->open->in_flight);
}

static inline uint32_t zones_nr_open(const BdrvZones *zones)
{
    return zones->nr_in_state[BLK_ZS_IOPEN] + zones->nr_in_state[BLK_ZS_EOPEN];
}

static inline uint32_t zones_nr_active(const BdrvZones *zones)
{
    return zones_nr_open(zones) + zones->nr_in_state[BLK_ZS_CLOSED];
}

/* Whether a management command holds zone @index.  Costs nothing while there is none. */
static inline bool zones_is_held(const BdrvZones *zones, uint32_t index)
{
    const ZoneHold *hold;

    LIST_FOREACH(hold, &zones->holds, link) {
        if (index >= hold->first && index < hold->end) {
            return true;
        }
    }
    return false;
}

/* Assert the invariants of one zone, sequential or not; takes constant time. */
void zone_assert_valid(const BdrvZones *zones, uint32_t index);

/*
 * Change the condition of a sequential zone, and with it the counts, the lists and the ZoneOpen.
 * Checks no limit; the zone's write pointer must already be what @state asks for.
 */
void zone_enter_state(BdrvZones *zones, uint32_t index, BlockZoneState state);

/*
 * The condition in which a zone with nothing in flight rests by its write pointer alone: empty,
 * closed, full.
 */
BlockZoneState zone_state_at_rest(const BdrvZones *zones, uint32_t index);

/*
 * Take away the open slot of a zone: it becomes closed, or empty where nothing was submitted to it.
 */
void zone_close(BdrvZones *zones, uint32_t index);

/*
 * Free a slot where all max_open_zones are taken, by closing the least recently written implicitly
 * open zone. Returns 0, or -ZONE_ERR_OPEN_RESOURCE where every open zone is explicitly open.
 */
int zones_make_open_room(BdrvZones *zones);

#endif
