/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Management of zones: holding ranges against new writes, the rules of open, close, finish and
 * reset, and defects.
 *
 * The contract is block/zones.h.  A command is checked for all its zones before it is applied to
 * the first one, so that it applies to all or to none.
 */
#include "qemu/osdep.h"

#include "block/zones-int.h"

/* ---- ranges ---- */

int zones_check_range(const BdrvZones *zones, int64_t offset, int64_t len)
{
    int64_t device_size = zones->geometry.device_size;
    int64_t in_zone_mask = zones->geometry.zone_size - 1;

    if (offset < 0 || offset >= device_size || (offset & in_zone_mask) ||
        len <= 0 || len > device_size - offset) {
        return -EINVAL;
    }
    return (len & in_zone_mask) && len != device_size - offset ? -EINVAL : 0;
}

/* A checked range as zones [*@first, *@end). */
static void range_to_zones(const BdrvZones *zones, int64_t offset, int64_t len, uint32_t *first,
                           uint32_t *end)
{
    assert(zones_check_range(zones, offset, len) == 0);
    *first = zones_index(zones, offset);
    *end = zones_index(zones, offset + len - 1) + 1;
}

int zones_hold(BdrvZones *zones, int64_t offset, int64_t len)
{
    uint32_t first, end;
    ZoneHold *hold;

    range_to_zones(zones, offset, len, &first, &end);
    LIST_FOREACH(hold, &zones->holds, link) {
        if (first < hold->end && hold->first < end) {
            return -EAGAIN;
        }
    }
    hold = g_new(ZoneHold, 1);
    hold->first = first;
    hold->end = end;
    LIST_INSERT_HEAD(&zones->holds, hold, link);
    return 0;
}

/* The hold that covers zones [@first, @end), or NULL. */
static ZoneHold *find_hold(const BdrvZones *zones, uint32_t first, uint32_t end)
{
    ZoneHold *hold;

    LIST_FOREACH(hold, &zones->holds, link) {
        if (first >= hold->first && end <= hold->end) {
            return hold;
        }
    }
    return NULL;
}

void zones_release(BdrvZones *zones, int64_t offset, int64_t len)
{
    uint32_t first, end;
    ZoneHold *hold;

    range_to_zones(zones, offset, len, &first, &end);
    hold = find_hold(zones, first, end);
    assert(hold && hold->first == first && hold->end == end);
    LIST_REMOVE(hold, link);
    g_free(hold);
}

bool zones_is_busy(const BdrvZones *zones, int64_t offset, int64_t len)
{
    uint32_t first, end, index;

    range_to_zones(zones, offset, len, &first, &end);
    if (!zones->nr_in_flight || len == zones->geometry.device_size) {
        return zones->nr_in_flight != 0;
    }
    for (index = first; index < end; index++) {
        if (zone_has_writes(&zones->zones[index])) {
            return true;
        }
    }
    return false;
}

/* ---- deciding ---- */

/* May @op be done to zone @index, resources aside? */
static int zone_check_op(const BdrvZones *zones, BlockZoneOp op, uint32_t index)
{
    switch (zones_state(zones, index)) {
    case BLK_ZS_NOT_WP:
        return -ZONE_ERR_CONVENTIONAL;
    case BLK_ZS_OFFLINE:
        return -ZONE_ERR_OFFLINE;
    case BLK_ZS_RDONLY:
        return -ZONE_ERR_RDONLY;
    case BLK_ZS_FULL:
        if (op == BLK_ZO_OPEN) {
            return -ZONE_ERR_FULL;
        }
        return op == BLK_ZO_CLOSE ? -ZONE_ERR_CONDITION : 0;
    case BLK_ZS_EMPTY:
        return op == BLK_ZO_CLOSE ? -ZONE_ERR_CONDITION : 0;
    default:
        return 0;
    }
}

/*
 * Are there resources to have all zones [@first, @end) explicitly open at once?
 *
 * Every implicitly open zone outside the range can give up its slot, those inside merely change
 * their kind, so only the explicitly open zones outside stand in the way.
 */
static int check_open_resources(const BdrvZones *zones, uint32_t first, uint32_t end)
{
    const ZonesGeometry *geometry = &zones->geometry;
    uint32_t nr_empty = 0, nr_explicit = 0;
    uint32_t nr_open_after, index;

    for (index = first; index < end; index++) {
        BlockZoneState state = zones_state(zones, index);

        nr_empty += state == BLK_ZS_EMPTY;
        nr_explicit += state == BLK_ZS_EOPEN;
    }
    if (nr_empty && geometry->max_active_zones &&
        zones_nr_active(zones) + nr_empty > geometry->max_active_zones) {
        return -ZONE_ERR_ACTIVE_RESOURCE;
    }
    nr_open_after = zones->nr_in_state[BLK_ZS_EOPEN] - nr_explicit + (end - first);
    if (geometry->max_open_zones && nr_open_after > geometry->max_open_zones) {
        return -ZONE_ERR_OPEN_RESOURCE;
    }
    return 0;
}

int zones_mgmt_check(const BdrvZones *zones, BlockZoneOp op, int64_t offset, int64_t len)
{
    uint32_t first, end, index;

    range_to_zones(zones, offset, len, &first, &end);
    assert(find_hold(zones, first, end));
    if (op == BLK_ZO_RESET && len == zones->geometry.device_size) {
        return 0; /* zones that cannot be reset are passed over */
    }
    for (index = first; index < end; index++) {
        int ret = zone_check_op(zones, op, index);

        if (ret < 0) {
            return ret;
        }
    }
    return op == BLK_ZO_OPEN ? check_open_resources(zones, first, end) : 0;
}

/* Whether zone @index is one that management can change at all. */
static bool zone_is_manageable(const BdrvZones *zones, uint32_t index)
{
    return !zones_is_conventional(zones, index) && !zone_is_defective(&zones->zones[index]);
}

bool zones_mgmt_moves_wp(const BdrvZones *zones, BlockZoneOp op, uint32_t index)
{
    if (!zone_is_manageable(zones, index)) {
        return false;
    }
    switch (op) {
    case BLK_ZO_RESET:
        return zones->zones[index].wp > 0;
    case BLK_ZO_FINISH:
        return zones_state(zones, index) != BLK_ZS_FULL;
    default:
        return false;
    }
}

/* ---- doing ---- */

static void zone_open_explicitly(BdrvZones *zones, uint32_t index)
{
    zone_enter_state(zones, index, BLK_ZS_EOPEN);
    zones->stats.explicit_opens++;
}

static void open_zones(BdrvZones *zones, uint32_t first, uint32_t end)
{
    uint32_t index;

    /* First those that have a slot, lest they be evicted to make room for the others. */
    for (index = first; index < end; index++) {
        if (zones_state(zones, index) == BLK_ZS_IOPEN) {
            zone_open_explicitly(zones, index);
        }
    }
    for (index = first; index < end; index++) {
        if (zones_state(zones, index) != BLK_ZS_EOPEN) {
            int ret = zones_make_open_room(zones);

            assert(ret == 0);
            zone_open_explicitly(zones, index);
        }
    }
}

static void finish_zone(BdrvZones *zones, uint32_t index)
{
    zones->zones[index].wp = zones_length(zones, index);
    zone_enter_state(zones, index, BLK_ZS_FULL);
    zones->stats.finishes++;
}

static void reset_zone(BdrvZones *zones, uint32_t index)
{
    zones->zones[index].wp = 0;
    zone_enter_state(zones, index, BLK_ZS_EMPTY);
    zones->stats.resets++;
}

/*
 * Close, finish or reset one zone; where it is already, or RESET ALL passes over it, it stays as it
 * is.
 */
static void zone_apply(BdrvZones *zones, BlockZoneOp op, uint32_t index)
{
    BlockZoneState state = zones_state(zones, index);

    if (!zone_is_manageable(zones, index)) {
        return;
    }
    if (op == BLK_ZO_CLOSE && zone_is_open(&zones->zones[index])) {
        zone_close(zones, index);
        zones->stats.closes++;
    } else if (op == BLK_ZO_FINISH && state != BLK_ZS_FULL) {
        finish_zone(zones, index);
    } else if (op == BLK_ZO_RESET && state != BLK_ZS_EMPTY) {
        reset_zone(zones, index);
    }
}

void zones_mgmt_apply(BdrvZones *zones, BlockZoneOp op, int64_t offset, int64_t len)
{
    uint32_t first, end, index;

    range_to_zones(zones, offset, len, &first, &end);
    assert(find_hold(zones, first, end));
    for (index = first; index < end; index++) {
        zone_assert_valid(zones, index);
        assert(!zone_has_writes(&zones->zones[index]));
    }
    if (op == BLK_ZO_OPEN) {
        open_zones(zones, first, end);
        return;
    }
    for (index = first; index < end; index++) {
        zone_apply(zones, op, index);
    }
    zones->stats.whole_resets += op == BLK_ZO_RESET && len == zones->geometry.device_size;
}

void zones_set_defect(BdrvZones *zones, uint32_t index, BlockZoneState state)
{
    Zone *zone = &zones->zones[index];

    assert(!zones_is_conventional(zones, index) && !zone_has_writes(zone));
    assert(state == BLK_ZS_RDONLY || state == BLK_ZS_OFFLINE || state == BLK_ZS_EMPTY);
    if (state == BLK_ZS_EMPTY) {
        if (!zone_is_defective(zone)) {
            return;
        }
        state = zone_state_at_rest(zones, index);
    }
    zone_enter_state(zones, index, state);
}
