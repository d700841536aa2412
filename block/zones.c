/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone table: conditions, open and active accounting, and the admission and settling of writes.
 * Management commands are in zones-mgmt.c; zones-int.h has the structs and what must hold.
 *
 * The contract is block/zones.h.  Nothing here yields, locks or touches the disk.  The way of a
 * write to an open zone allocates nothing and divides nothing.
 */
#include "qemu/osdep.h"

#include "block/zones-int.h"

/* ---- life ---- */

BdrvZones *zones_new(const ZonesGeometry *geometry, size_t open_data_size, Error **errp)
{
    uint32_t nr_zones = geometry_nr_zones(geometry);
    /*
     * Memory that calloc() knows to be zero is not touched, so empty zones cost address space only.
     */
    Zone *table = g_try_new0(Zone, nr_zones);
    BdrvZones *zones;

    if (!table) {
        error_setg(errp, "cannot allocate memory for the table of %" PRIu32 " zones", nr_zones);
        return NULL;
    }
    zones = g_new0(BdrvZones, 1);
    zones->geometry = *geometry;
    zones->zones = table;
    zones->nr_zones = nr_zones;
    zones->zone_bits = ilog2(geometry->zone_size);
    zones->last_length = geometry->device_size - ((int64_t)(nr_zones - 1) << zones->zone_bits);
    zones->last_capacity = MIN(geometry->zone_capacity, zones->last_length);
    zones->open_data_size = open_data_size;
    zones->nr_in_state[BLK_ZS_NOT_WP] = geometry->nr_conventional;
    zones->nr_in_state[BLK_ZS_EMPTY] = nr_zones - geometry->nr_conventional;
    TAILQ_INIT(&zones->implicitly_open);
    TAILQ_INIT(&zones->explicitly_open);
    LIST_INIT(&zones->holds);
    return zones;
}

static void free_open_list(ZoneOpenList *list)
{
    ZoneOpen *open;

    while ((open = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, open, link);
        g_free(open);
    }
}

void zones_free(BdrvZones *zones)
{
    ZoneHold *hold;

    if (!zones) {
        return;
    }
    assert(!zones->nr_in_flight);
    free_open_list(&zones->implicitly_open);
    free_open_list(&zones->explicitly_open);
    while ((hold = LIST_FIRST(&zones->holds))) {
        LIST_REMOVE(hold, link);
        g_free(hold);
    }
    g_free(zones->zones);
    g_free(zones);
}

int zones_load_wp(BdrvZones *zones, uint32_t index, int64_t wp)
{
    int64_t start = zones_start(zones, index);
    Zone *zone = &zones->zones[index];

    if (zones_is_conventional(zones, index) || wp < start ||
        wp - start > zones_length(zones, index) ||
        (wp & (zones->geometry.write_granularity - 1))) {
        return -EINVAL;
    }
    assert(!zone->open && !zone_is_defective(zone));
    if (zone->wp != wp - start) {
        zone->wp = wp - start;
        zone_enter_state(zones, index, zone_state_at_rest(zones, index));
    }
    return 0;
}

/* ---- looking ---- */

const ZonesGeometry *zones_geometry(const BdrvZones *zones)
{
    return &zones->geometry;
}

uint32_t zones_nr(const BdrvZones *zones)
{
    return zones->nr_zones;
}

uint32_t zones_index(const BdrvZones *zones, int64_t offset)
{
    assert(offset >= 0 && offset < zones->geometry.device_size);
    return offset >> zones->zone_bits;
}

int64_t zones_start(const BdrvZones *zones, uint32_t index)
{
    assert(index < zones->nr_zones);
    return (int64_t)index << zones->zone_bits;
}

int64_t zones_length(const BdrvZones *zones, uint32_t index)
{
    return index == zones->nr_zones - 1 ? zones->last_length : zones->geometry.zone_size;
}

static inline int64_t sequential_capacity(const BdrvZones *zones, uint32_t index)
{
    return index == zones->nr_zones - 1 ? zones->last_capacity : zones->geometry.zone_capacity;
}

int64_t zones_capacity(const BdrvZones *zones, uint32_t index)
{
    return zones_is_conventional(zones, index) ? zones_length(zones, index)
                                               : sequential_capacity(zones, index);
}

int64_t zones_wp(const BdrvZones *zones, uint32_t index)
{
    return zones_start(zones, index) + zones->zones[index].wp;
}

BlockZoneState zones_state(const BdrvZones *zones, uint32_t index)
{
    assert(index < zones->nr_zones);
    return zones_is_conventional(zones, index) ? BLK_ZS_NOT_WP : zone_state(&zones->zones[index]);
}

bool zones_is_conventional(const BdrvZones *zones, uint32_t index)
{
    return index < zones->geometry.nr_conventional;
}

void zones_counts(const BdrvZones *zones, ZonesCounts *counts)
{
    *counts = (ZonesCounts) {
        .nr_zones = zones->nr_zones,
        .empty = zones->nr_in_state[BLK_ZS_EMPTY],
        .implicitly_open = zones->nr_in_state[BLK_ZS_IOPEN],
        .explicitly_open = zones->nr_in_state[BLK_ZS_EOPEN],
        .closed = zones->nr_in_state[BLK_ZS_CLOSED],
        .full = zones->nr_in_state[BLK_ZS_FULL],
        .read_only = zones->nr_in_state[BLK_ZS_RDONLY],
        .offline = zones->nr_in_state[BLK_ZS_OFFLINE],
        .conventional = zones->nr_in_state[BLK_ZS_NOT_WP],
    };
}

const ZonesStats *zones_stats(const BdrvZones *zones)
{
    return &zones->stats;
}

static void describe_zone(const BdrvZones *zones, uint32_t index, BlockZoneDescriptor *descriptor)
{
    BlockZoneState state = zones_state(zones, index);
    int64_t start = zones_start(zones, index);
    int64_t length = zones_length(zones, index);
    bool has_no_wp = state == BLK_ZS_FULL || state == BLK_ZS_RDONLY || state == BLK_ZS_OFFLINE;

    *descriptor = (BlockZoneDescriptor) {
        .start = start,
        .length = length,
        .cap = zones_capacity(zones, index),
        .wp = has_no_wp ? start + length : zones_wp(zones, index),
        .type = state == BLK_ZS_NOT_WP ? BLK_ZT_CONV : BLK_ZT_SWR,
        .state = state,
    };
}

void zones_report(const BdrvZones *zones, int64_t offset, unsigned int *nr_zones,
                  BlockZoneDescriptor *descriptors)
{
    uint32_t first, n, i;

    assert(offset >= 0);
    if (offset >= zones->geometry.device_size) {
        *nr_zones = 0;
        return;
    }
    first = zones_index(zones, offset);
    n = MIN(*nr_zones, zones->nr_zones - first);
    for (i = 0; i < n; i++) {
        describe_zone(zones, first + i, &descriptors[i]);
    }
    *nr_zones = n;
}

int zones_read_extent(const BdrvZones *zones, int64_t offset, int64_t bytes, int64_t *count)
{
    uint32_t index = zones_index(zones, offset);
    int64_t position = offset - zones_start(zones, index);
    int64_t data_end = zones_capacity(zones, index); /* of what must be fetched */
    int64_t length = zones_length(zones, index);

    assert(bytes > 0 && bytes <= zones->geometry.device_size - offset);
    if (!zones_is_conventional(zones, index)) {
        if (zones->zones[index].stored_state == BLK_ZS_OFFLINE) {
            return -ZONE_ERR_OFFLINE;
        }
        data_end = MIN(data_end, zones->zones[index].wp);
    }
    if (position < data_end) {
        *count = MIN(bytes, data_end - position);
        return 1;
    }
    *count = MIN(bytes, length - position);
    return 0;
}

/* ---- conditions ---- */

void zone_assert_valid(const BdrvZones *zones, uint32_t index)
{
    const Zone *zone = &zones->zones[index];
    BlockZoneState state = zone_state(zone);
    bool is_open = zone_is_open(zone);

    if (!zone->open) {
        assert(zone->wp >= 0 && zone->wp <= zones_length(zones, index));
        assert(state != BLK_ZS_FULL || zone->wp >= zones_capacity(zones, index));
        assert(!is_open);
        assert(state != BLK_ZS_EMPTY || zone->wp == 0);
        assert(state != BLK_ZS_CLOSED || zone->wp > 0);
        return;
    }
    assert(zone->open->index == index);
    assert(is_open || (state == BLK_ZS_CLOSED && zone_has_writes(zone)));
    assert(is_open || zone->open->submitted > 0);
    assert(zone->wp >= 0 && zone->wp <= zone->open->submitted);
    assert(zone->wp < zones_capacity(zones, index));
    assert(zone->open->submitted <= zones_capacity(zones, index));
    assert(zone_has_writes(zone) == (zone->wp != zone->open->submitted));
}

static ZoneOpenList *open_list(BdrvZones *zones, BlockZoneState state)
{
    switch (state) {
    case BLK_ZS_IOPEN:
        return &zones->implicitly_open;
    case BLK_ZS_EOPEN:
        return &zones->explicitly_open;
    default:
        return NULL;
    }
}

static ZoneOpen *zone_open_new(const BdrvZones *zones, uint32_t index)
{
    ZoneOpen *open = g_malloc0(sizeof(*open) + zones->open_data_size);

    TAILQ_INIT(&open->in_flight);
    open->index = index;
    open->submitted = zones->zones[index].wp;
    return open;
}

void zone_enter_state(BdrvZones *zones, uint32_t index, BlockZoneState state)
{
    Zone *zone = &zones->zones[index];
    BlockZoneState old_state = zone_state(zone);
    ZoneOpenList *old_list = open_list(zones, old_state);
    ZoneOpenList *new_list = open_list(zones, state);

    if (old_list) {
        TAILQ_REMOVE(old_list, zone->open, link);
    }
    if (new_list) {
        if (!zone->open) {
            zone->open = zone_open_new(zones, index);
        }
        TAILQ_INSERT_TAIL(new_list, zone->open, link);
    } else if (zone->open && !zone_has_writes(zone)) {
        g_free(zone->open);
        zone->open = NULL;
    }
    zone->stored_state = state == BLK_ZS_EMPTY ? 0 : state;
    zones->nr_in_state[old_state]--;
    zones->nr_in_state[state]++;
}

BlockZoneState zone_state_at_rest(const BdrvZones *zones, uint32_t index)
{
    int64_t wp = zones->zones[index].wp;

    if (wp == 0) {
        return BLK_ZS_EMPTY;
    }
    return wp < zones_capacity(zones, index) ? BLK_ZS_CLOSED : BLK_ZS_FULL;
}

void zone_close(BdrvZones *zones, uint32_t index)
{
    /*
     * A write in flight counts as written: the zone keeps its active resource until that is
     * settled.
     */
    bool is_unwritten = zone_submitted(&zones->zones[index]) == 0;

    zone_enter_state(zones, index, is_unwritten ? BLK_ZS_EMPTY : BLK_ZS_CLOSED);
}

int zones_make_open_room(BdrvZones *zones)
{
    uint32_t max_open = zones->geometry.max_open_zones;
    ZoneOpen *oldest = TAILQ_FIRST(&zones->implicitly_open);

    if (!max_open || zones_nr_open(zones) < max_open) {
        return 0;
    }
    if (!oldest) {
        return -ZONE_ERR_OPEN_RESOURCE;
    }
    zone_assert_valid(zones, oldest->index);
    zone_close(zones, oldest->index);
    zones->stats.evictions++;
    return 0;
}

/* Open a closed or empty zone because it is written to. */
static int zone_open_implicitly(BdrvZones *zones, uint32_t index)
{
    uint32_t max_active = zones->geometry.max_active_zones;
    int ret;

    zone_assert_valid(zones, index);
    /* Before anything is evicted: a refused write changes nothing. */
    if (zone_state(&zones->zones[index]) == BLK_ZS_EMPTY && max_active &&
        zones_nr_active(zones) >= max_active) {
        return -ZONE_ERR_ACTIVE_RESOURCE;
    }
    ret = zones_make_open_room(zones);
    if (ret < 0) {
        return ret;
    }
    zone_enter_state(zones, index, BLK_ZS_IOPEN);
    zones->stats.implicit_opens++;
    return 0;
}

/* ---- writing ---- */

/* Everything that can refuse a write of @bytes at @position, except resources. */
static inline int zone_check_write(const BdrvZones *zones, uint32_t index, int64_t position,
                                   int64_t bytes)
{
    const Zone *zone = &zones->zones[index];
    int64_t capacity = sequential_capacity(zones, index);
    int64_t submitted = zone_submitted(zone);

    if (unlikely((zone->open && zone->open->has_failed) || zones_is_held(zones, index))) {
        return -EAGAIN;
    }
    if (unlikely(zone_is_defective(zone))) {
        return zone->stored_state == BLK_ZS_OFFLINE ? -ZONE_ERR_OFFLINE : -ZONE_ERR_RDONLY;
    }
    if (submitted >= capacity) {
        return -ZONE_ERR_FULL;
    }
    if (bytes > capacity - position) {
        return -ZONE_ERR_PAST_CAPACITY;
    }
    if ((position | bytes) & (zones->geometry.write_granularity - 1)) {
        return -EINVAL;
    }
    return position == submitted ? 0 : -ZONE_ERR_NOT_AT_WP;
}

/* Put a write that has passed every check at the submitted write pointer of an open zone. */
static inline void zone_admit(BdrvZones *zones, ZoneWrite *write, uint32_t index, int64_t bytes)
{
    Zone *zone = &zones->zones[index];
    ZoneOpen *open = zone->open;

    if (zone->stored_state == BLK_ZS_IOPEN && TAILQ_NEXT(open, link)) {
        TAILQ_REMOVE(&zones->implicitly_open, open, link);
        TAILQ_INSERT_TAIL(&zones->implicitly_open, open, link);
    }
    write->offset = ((int64_t)index << zones->zone_bits) + open->submitted;
    write->bytes = bytes;
    write->is_done = false;
    write->zone = open;
    TAILQ_INSERT_TAIL(&open->in_flight, write, link);
    open->submitted += bytes;
    zones->nr_in_flight++;
}

/* Apart from zone_begin_write(), lest its calls make every write save registers. */
static G_GNUC_NO_INLINE int zone_open_and_admit(BdrvZones *zones, ZoneWrite *write, uint32_t index,
                                                int64_t bytes)
{
    int ret = zone_open_implicitly(zones, index);

    if (ret == 0) {
        zone_admit(zones, write, index, bytes);
    }
    return ret;
}

static inline int zone_begin_write(BdrvZones *zones, ZoneWrite *write, uint32_t index,
                                   int64_t position, int64_t bytes)
{
    int ret = zone_check_write(zones, index, position, bytes);

    if (unlikely(ret < 0)) {
        return ret;
    }
    if (unlikely(!zone_is_open(&zones->zones[index]))) {
        return zone_open_and_admit(zones, write, index, bytes);
    }
    zone_admit(zones, write, index, bytes);
    return 0;
}

int zones_write_begin(BdrvZones *zones, ZoneWrite *write, int64_t offset, int64_t bytes)
{
    uint32_t index = zones_index(zones, offset);
    int64_t position = offset & (zones->geometry.zone_size - 1);

    assert(bytes > 0 && bytes <= zones->geometry.device_size - offset);
    assert(!zones_is_conventional(zones, index));
    return zone_begin_write(zones, write, index, position, bytes);
}

int zones_append_begin(BdrvZones *zones, ZoneWrite *write, int64_t zone_start, int64_t bytes)
{
    uint32_t index = zones_index(zones, zone_start);

    assert(bytes > 0);
    if (zones_is_conventional(zones, index)) {
        return -ZONE_ERR_CONVENTIONAL;
    }
    if (zone_start != zones_start(zones, index) || bytes > zones->geometry.max_append_bytes) {
        return -ZONE_ERR_APPEND;
    }
    return zone_begin_write(zones, write, index, zone_submitted(&zones->zones[index]), bytes);
}

void *zone_write_open_data(const ZoneWrite *write)
{
    return write->zone->data;
}

/* Settle the oldest write of a zone, which has ended. */
static inline void zone_settle_first(BdrvZones *zones, Zone *zone, ZoneWriteList *settled)
{
    ZoneOpen *open = zone->open;
    ZoneWrite *write = TAILQ_FIRST(&open->in_flight);
    int64_t position = write->offset & (zones->geometry.zone_size - 1);

    if (unlikely(position != zone->wp)) {
        /* A write before this one failed, and no acknowledged data may lie behind the gap. */
        write->ret = -EIO;
    } else if (likely(write->ret == 0)) {
        zone->wp += write->bytes;
    }
    write->zone = NULL;
    zones->nr_in_flight--;
    TAILQ_REMOVE(&open->in_flight, write, link);
    TAILQ_INSERT_TAIL(settled, write, link);
}

/* The last write in flight of a zone that is not full has been settled. */
static void zone_become_idle(BdrvZones *zones, Zone *zone)
{
    ZoneOpen *open = zone->open;

    if (unlikely(open->has_failed)) {
        open->submitted = zone->wp;
        open->has_failed = false;
        memset(open->data, 0, zones->open_data_size);
    }
    if (unlikely(zone->stored_state == BLK_ZS_CLOSED)) {
        /* It lost its slot with writes in flight; where all of them failed it is empty again. */
        zone_close(zones, open->index);
    }
}

void zones_write_end(BdrvZones *zones, ZoneWrite *write, int ret, ZoneWriteList *settled)
{
    ZoneOpen *open = write->zone;
    uint32_t index = open->index;
    Zone *zone = &zones->zones[index];
    ZoneWrite *first;

    assert(ret <= 0 && !write->is_done && zone->wp < open->submitted);
    write->ret = ret;
    write->is_done = true;
    if (unlikely(ret < 0)) {
        open->has_failed = true;
    }
    while ((first = TAILQ_FIRST(&open->in_flight)) && first->is_done) {
        zone_settle_first(zones, zone, settled);
    }
    if (unlikely(zone->wp == sequential_capacity(zones, index))) {
        assert(!first);
        zone_enter_state(zones, index, BLK_ZS_FULL);
    } else if (!first) {
        zone_become_idle(zones, zone);
    }
}

/* ---- checking ---- */

/* Walk the list of one open condition; returns how many zones are in it. */
static uint32_t assert_open_list(const BdrvZones *zones, const ZoneOpenList *list,
                                 BlockZoneState state)
{
    const ZoneOpen *open;
    uint32_t n = 0;

    TAILQ_FOREACH(open, list, link) {
        assert(zones->zones[open->index].open == open);
        assert(zones_state(zones, open->index) == state);
        n++;
    }
    return n;
}

void zones_assert_valid(const BdrvZones *zones)
{
    const ZonesGeometry *geometry = &zones->geometry;
    uint32_t nr_in_state[ARRAY_SIZE(zones->nr_in_state)] = {0};
    uint64_t nr_in_flight = 0;
    uint32_t index;

    for (index = 0; index < zones->nr_zones; index++) {
        const Zone *zone = &zones->zones[index];
        const ZoneWrite *write;
        int64_t next = zones_wp(zones, index);

        zone_assert_valid(zones, index);
        nr_in_state[zones_state(zones, index)]++;
        if (zone->open) {
            TAILQ_FOREACH(write, &zone->open->in_flight, link) {
                assert(write->zone == zone->open);
                assert(write->offset == next || (zone->open->has_failed && write->offset > next));
                next = write->offset + write->bytes;
                nr_in_flight++;
            }
            assert(next == zones_start(zones, index) + zone->open->submitted);
        }
    }
    assert(!memcmp(nr_in_state, zones->nr_in_state, sizeof(nr_in_state)));
    assert(nr_in_flight == zones->nr_in_flight);
    assert(assert_open_list(zones, &zones->implicitly_open, BLK_ZS_IOPEN) ==
           nr_in_state[BLK_ZS_IOPEN]);
    assert(assert_open_list(zones, &zones->explicitly_open, BLK_ZS_EOPEN) ==
           nr_in_state[BLK_ZS_EOPEN]);
    assert(!geometry->max_open_zones || zones_nr_open(zones) <= geometry->max_open_zones);
}
