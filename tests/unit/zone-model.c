/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plain model of a zoned device, see zone-model.h.
 */
#include "qemu/osdep.h"

#include "zone-model.h"

#define FOR_EACH_ZONE(model, zone)                                                                 \
    for (ModelZone *zone = (model)->zones; zone < (model)->zones + (model)->nr_zones; zone++)

#define FOR_EACH_ZONE_IN(model, zone, offset, len)                                                 \
    FOR_EACH_ZONE(model, zone)                                                                     \
        if (zone->start >= (offset) && zone->start < (offset) + (len))

ModelZones *model_new(const ZonesGeometry *geometry)
{
    ModelZones *model = g_new0(ModelZones, 1);
    GArray *zones = g_array_new(false, true, sizeof(ModelZone));
    int64_t start;

    for (start = 0; start < geometry->device_size; start += geometry->zone_size) {
        bool is_conventional = zones->len < geometry->nr_conventional;
        ModelZone zone = {
            .start = start,
            .length = MIN(geometry->zone_size, geometry->device_size - start),
            .wp = start,
            .state = is_conventional ? BLK_ZS_NOT_WP : BLK_ZS_EMPTY,
            .writes = g_ptr_array_new(),
        };

        zone.capacity = is_conventional ? zone.length : MIN(zone.length, geometry->zone_capacity);
        g_array_append_val(zones, zone);
    }
    model->geometry = *geometry;
    model->nr_zones = zones->len;
    model->zones = (ModelZone *)(void *)g_array_free(zones, false);
    return model;
}

void model_free(ModelZones *model)
{
    FOR_EACH_ZONE(model, zone) {
        g_ptr_array_free(zone->writes, true);
    }
    g_free(model->zones);
    g_free(model);
}

static BlockZoneState resting_state(const ModelZone *zone)
{
    if (zone->wp == zone->start) {
        return BLK_ZS_EMPTY;
    }
    return zone->wp >= zone->start + zone->capacity ? BLK_ZS_FULL : BLK_ZS_CLOSED;
}

int model_load_wp(ModelZones *model, unsigned int index, int64_t wp)
{
    ModelZone *zone = &model->zones[index];

    if (zone->state == BLK_ZS_NOT_WP || wp < zone->start || wp > zone->start + zone->length ||
        wp % model->geometry.write_granularity != 0) {
        return -EINVAL;
    }
    zone->wp = wp;
    zone->state = resting_state(zone);
    return 0;
}

/* ---- looking ---- */

ModelZone *model_zone_at(ModelZones *model, int64_t offset)
{
    FOR_EACH_ZONE(model, zone) {
        if (offset >= zone->start && offset < zone->start + zone->length) {
            return zone;
        }
    }
    g_assert_not_reached();
}

BlockZoneState model_state(const ModelZone *zone)
{
    return zone->defect ? zone->defect : zone->state;
}

int64_t model_wp(const ModelZone *zone)
{
    return zone->is_finished ? zone->start + zone->length : zone->wp;
}

int64_t model_submitted(const ModelZone *zone)
{
    int64_t end = zone->wp;
    unsigned int i;

    for (i = 0; i < zone->writes->len; i++) {
        const ModelWrite *write = g_ptr_array_index(zone->writes, i);

        end = MAX(end, write->offset + write->bytes);
    }
    return end;
}

void model_describe(const ModelZone *zone, BlockZoneDescriptor *descriptor)
{
    descriptor->start = zone->start;
    descriptor->length = zone->length;
    descriptor->cap = zone->capacity;
    descriptor->state = model_state(zone);
    descriptor->type = zone->state == BLK_ZS_NOT_WP ? BLK_ZT_CONV : BLK_ZT_SWR;
    descriptor->wp = model_state(zone) >= BLK_ZS_RDONLY ? zone->start + zone->length : zone->wp;
}

static unsigned int count_state(const ModelZones *model, BlockZoneState state)
{
    unsigned int n = 0;

    FOR_EACH_ZONE(model, zone) {
        if (model_state(zone) == state) {
            n++;
        }
    }
    return n;
}

static bool is_open(const ModelZone *zone)
{
    return model_state(zone) == BLK_ZS_IOPEN || model_state(zone) == BLK_ZS_EOPEN;
}

static unsigned int count_open(const ModelZones *model)
{
    return count_state(model, BLK_ZS_IOPEN) + count_state(model, BLK_ZS_EOPEN);
}

static unsigned int count_active(const ModelZones *model)
{
    return count_open(model) + count_state(model, BLK_ZS_CLOSED);
}

void model_counts(const ModelZones *model, ZonesCounts *counts)
{
    counts->nr_zones = model->nr_zones;
    counts->empty = count_state(model, BLK_ZS_EMPTY);
    counts->implicitly_open = count_state(model, BLK_ZS_IOPEN);
    counts->explicitly_open = count_state(model, BLK_ZS_EOPEN);
    counts->closed = count_state(model, BLK_ZS_CLOSED);
    counts->full = count_state(model, BLK_ZS_FULL);
    counts->read_only = count_state(model, BLK_ZS_RDONLY);
    counts->offline = count_state(model, BLK_ZS_OFFLINE);
    counts->conventional = count_state(model, BLK_ZS_NOT_WP);
}

static bool byte_is_data(const ModelZone *zone, int64_t offset)
{
    return offset < zone->start + zone->capacity &&
           (zone->state == BLK_ZS_NOT_WP || zone->is_finished || offset < zone->wp);
}

int model_read_extent(ModelZones *model, int64_t offset, int64_t bytes, int64_t *count)
{
    ModelZone *zone = model_zone_at(model, offset);
    bool is_data = byte_is_data(zone, offset);
    int64_t end = offset;

    if (zone->defect == BLK_ZS_OFFLINE) {
        return -ZONE_ERR_OFFLINE;
    }
    while (end < offset + bytes && end < zone->start + zone->length &&
           byte_is_data(zone, end) == is_data) {
        end += BDRV_SECTOR_SIZE;
    }
    *count = MIN(end - offset, bytes);
    return is_data;
}

/* ---- changing conditions ---- */

static void set_state(ModelZone *zone, BlockZoneState state)
{
    zone->state = state;
    if (!is_open(zone) && zone->writes->len == 0) {
        zone->driver_data = 0;
    }
}

static void close_zone(ModelZone *zone)
{
    set_state(zone, model_submitted(zone) == zone->start ? BLK_ZS_EMPTY : BLK_ZS_CLOSED);
}

/* Close the implicitly open zone whose last write is the longest ago; false where there is none. */
static bool evict(ModelZones *model)
{
    ModelZone *victim = NULL;

    FOR_EACH_ZONE(model, zone) {
        if (model_state(zone) == BLK_ZS_IOPEN &&
            (!victim || zone->written_at < victim->written_at)) {
            victim = zone;
        }
    }
    if (victim) {
        close_zone(victim);
        model->stats.evictions++;
    }
    return victim != NULL;
}

static bool open_slots_are_used_up(const ModelZones *model)
{
    return model->geometry.max_open_zones && count_open(model) >= model->geometry.max_open_zones;
}

static int open_for_write(ModelZones *model, ModelZone *zone)
{
    unsigned int max_active = model->geometry.max_active_zones;

    if (is_open(zone)) {
        return 0;
    }
    if (zone->state == BLK_ZS_EMPTY && max_active && count_active(model) >= max_active) {
        return -ZONE_ERR_ACTIVE_RESOURCE;
    }
    if (open_slots_are_used_up(model) && !evict(model)) {
        return -ZONE_ERR_OPEN_RESOURCE;
    }
    set_state(zone, BLK_ZS_IOPEN);
    model->stats.implicit_opens++;
    return 0;
}

/* ---- writing ---- */

static bool is_settling(const ModelZone *zone)
{
    unsigned int i;

    for (i = 0; i < zone->writes->len; i++) {
        const ModelWrite *write = g_ptr_array_index(zone->writes, i);

        if (write->has_ended && write->ret < 0) {
            return true;
        }
    }
    return zone->is_broken;
}

int model_write_begin(ModelZones *model, ModelWrite *write, int64_t offset, int64_t bytes)
{
    ModelZone *zone = model_zone_at(model, offset);
    int64_t writable_end = zone->start + zone->capacity;
    int ret;

    if (zone->is_held || is_settling(zone)) {
        return -EAGAIN;
    }
    if (zone->defect) {
        return zone->defect == BLK_ZS_OFFLINE ? -ZONE_ERR_OFFLINE : -ZONE_ERR_RDONLY;
    }
    if (zone->state == BLK_ZS_FULL || model_submitted(zone) == writable_end) {
        return -ZONE_ERR_FULL;
    }
    if (offset + bytes > writable_end) {
        return -ZONE_ERR_PAST_CAPACITY;
    }
    if (offset % model->geometry.write_granularity || bytes % model->geometry.write_granularity) {
        return -EINVAL;
    }
    if (offset != model_submitted(zone)) {
        return -ZONE_ERR_NOT_AT_WP;
    }
    ret = open_for_write(model, zone);
    if (ret < 0) {
        return ret;
    }
    *write = (ModelWrite) {.offset = offset, .bytes = bytes};
    g_ptr_array_add(zone->writes, write);
    zone->written_at = ++model->now;
    return 0;
}

int model_append_begin(ModelZones *model, ModelWrite *write, int64_t zone_start, int64_t bytes)
{
    ModelZone *zone = model_zone_at(model, zone_start);

    if (zone->state == BLK_ZS_NOT_WP) {
        return -ZONE_ERR_CONVENTIONAL;
    }
    if (zone_start != zone->start || bytes > model->geometry.max_append_bytes) {
        return -ZONE_ERR_APPEND;
    }
    /* A zone with no room left at all may have its write pointer outside itself. */
    return model_write_begin(model, write,
                             MIN(model_submitted(zone), zone->start + zone->length - 1), bytes);
}

void model_write_end(ModelZones *model, ModelWrite *write, int ret, GPtrArray *answered)
{
    ModelZone *zone = model_zone_at(model, write->offset);

    write->has_ended = true;
    write->ret = ret;
    while (zone->writes->len > 0) {
        ModelWrite *first = g_ptr_array_index(zone->writes, 0);

        if (!first->has_ended) {
            return;
        }
        g_ptr_array_remove_index(zone->writes, 0);
        g_ptr_array_add(answered, first);
        if (zone->is_broken) {
            first->ret = -EIO;
        } else if (first->ret < 0) {
            zone->is_broken = true;
        } else {
            zone->wp = first->offset + first->bytes;
        }
    }
    if (zone->is_broken) {
        zone->is_broken = false;
        zone->driver_data = 0;
    }
    if (zone->wp == zone->start + zone->capacity) {
        set_state(zone, BLK_ZS_FULL);
    } else if (zone->state == BLK_ZS_CLOSED) {
        close_zone(zone);
    }
}

/* ---- management ---- */

int model_check_range(const ModelZones *model, int64_t offset, int64_t len)
{
    FOR_EACH_ZONE(model, first) {
        if (first->start == offset) {
            for (ModelZone *last = first; last < model->zones + model->nr_zones; last++) {
                if (last->start + last->length - offset == len) {
                    return 0;
                }
            }
        }
    }
    return -EINVAL;
}

int model_hold(ModelZones *model, int64_t offset, int64_t len)
{
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        if (zone->is_held) {
            return -EAGAIN;
        }
    }
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        zone->is_held = true;
    }
    return 0;
}

void model_release(ModelZones *model, int64_t offset, int64_t len)
{
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        zone->is_held = false;
    }
}

bool model_is_busy(const ModelZones *model, int64_t offset, int64_t len)
{
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        if (zone->writes->len > 0) {
            return true;
        }
    }
    return false;
}

static int check_one(const ModelZone *zone, BlockZoneOp op)
{
    BlockZoneState state = model_state(zone);

    if (state == BLK_ZS_NOT_WP) {
        return -ZONE_ERR_CONVENTIONAL;
    }
    if (state == BLK_ZS_OFFLINE) {
        return -ZONE_ERR_OFFLINE;
    }
    if (state == BLK_ZS_RDONLY) {
        return -ZONE_ERR_RDONLY;
    }
    if (op == BLK_ZO_OPEN && state == BLK_ZS_FULL) {
        return -ZONE_ERR_FULL;
    }
    if (op == BLK_ZO_CLOSE && (state == BLK_ZS_FULL || state == BLK_ZS_EMPTY)) {
        return -ZONE_ERR_CONDITION;
    }
    return 0;
}

/* Imagine every zone of the range open on top of what must stay open, and see whether that fits. */
static int imagine_open(const ModelZones *model, int64_t offset, int64_t len)
{
    unsigned int nr_open_after = 0, nr_active_after = 0;
    bool needs_active = false;

    FOR_EACH_ZONE(model, zone) {
        BlockZoneState state = model_state(zone);
        bool is_target = zone->start >= offset && zone->start < offset + len;

        nr_open_after += is_target || state == BLK_ZS_EOPEN;
        nr_active_after += is_target || is_open(zone) || state == BLK_ZS_CLOSED;
        needs_active |= is_target && state == BLK_ZS_EMPTY;
    }
    if (needs_active && model->geometry.max_active_zones &&
        nr_active_after > model->geometry.max_active_zones) {
        return -ZONE_ERR_ACTIVE_RESOURCE;
    }
    if (model->geometry.max_open_zones && nr_open_after > model->geometry.max_open_zones) {
        return -ZONE_ERR_OPEN_RESOURCE;
    }
    return 0;
}

int model_mgmt_check(const ModelZones *model, BlockZoneOp op, int64_t offset, int64_t len)
{
    bool is_reset_all = op == BLK_ZO_RESET && len == model->geometry.device_size;

    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        int ret = check_one(zone, op);

        if (ret < 0 && !is_reset_all) {
            return ret;
        }
    }
    return op == BLK_ZO_OPEN ? imagine_open(model, offset, len) : 0;
}

bool model_mgmt_moves_wp(const ModelZone *zone, BlockZoneOp op)
{
    if (zone->defect || zone->state == BLK_ZS_NOT_WP) {
        return false;
    }
    return (op == BLK_ZO_RESET && model_wp(zone) != zone->start) ||
           (op == BLK_ZO_FINISH && zone->state != BLK_ZS_FULL);
}

static void apply_open(ModelZones *model, int64_t offset, int64_t len)
{
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        if (zone->state != BLK_ZS_EOPEN) {
            model->stats.explicit_opens++;
        }
        if (zone->state == BLK_ZS_IOPEN) {
            zone->state = BLK_ZS_EOPEN;
        }
    }
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        if (zone->state != BLK_ZS_EOPEN) {
            if (open_slots_are_used_up(model)) {
                g_assert_true(evict(model));
            }
            zone->state = BLK_ZS_EOPEN;
        }
    }
}

static void apply_one(ModelZones *model, ModelZone *zone, BlockZoneOp op)
{
    if (zone->defect || zone->state == BLK_ZS_NOT_WP) {
        return;
    }
    if (op == BLK_ZO_CLOSE && is_open(zone)) {
        close_zone(zone);
        model->stats.closes++;
    }
    if (op == BLK_ZO_FINISH && zone->state != BLK_ZS_FULL) {
        zone->is_finished = true;
        set_state(zone, BLK_ZS_FULL);
        model->stats.finishes++;
    }
    if (op == BLK_ZO_RESET && zone->state != BLK_ZS_EMPTY) {
        zone->wp = zone->start;
        zone->is_finished = false;
        set_state(zone, BLK_ZS_EMPTY);
        model->stats.resets++;
    }
}

void model_mgmt_apply(ModelZones *model, BlockZoneOp op, int64_t offset, int64_t len)
{
    if (op == BLK_ZO_OPEN) {
        apply_open(model, offset, len);
        return;
    }
    FOR_EACH_ZONE_IN(model, zone, offset, len) {
        apply_one(model, zone, op);
    }
    if (op == BLK_ZO_RESET && offset == 0 && len == model->geometry.device_size) {
        model->stats.whole_resets++;
    }
}

void model_set_defect(ModelZones *model, unsigned int index, BlockZoneState state)
{
    ModelZone *zone = &model->zones[index];

    if (state == BLK_ZS_EMPTY) {
        zone->defect = 0;
        return;
    }
    zone->defect = state;
    /* What lies under the defect has lost its resources; that shows once the defect is gone. */
    set_state(zone, zone->is_finished ? BLK_ZS_FULL : resting_state(zone));
}
