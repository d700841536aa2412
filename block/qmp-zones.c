/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of a monitor about zones: see qapi/block-zones.json.
 *
 * What they do to a node is done in its thread, and a long report in one go there would keep its
 * requests waiting: the number of zones that one command looks at is bounded.
 */
#include "qemu/osdep.h"

#include "block/block-backend.h"
#include "block/export.h"
#include "block/qmp-int.h"
#include "block/zone-report.h"
#include "qapi/qapi-commands.h"

/* In one answer; both numbers are in the documentation of the command. */
#define MAX_RETURNED_ZONES 4096
#define MAX_EXAMINED_ZONES (1024 * 1024)

#define REPORT_CHUNK 4096

static bool check_zoned(const BlockDriverState *bs, Error **errp)
{
    if (!bs->drv) {
        error_setg(errp, "Node '%s' is not usable after an error", bs->node_name);
        return false;
    }
    if (bs->bl.zoned == BLK_Z_NONE) {
        error_setg(errp, "Node '%s' has no zones", bs->node_name);
        return false;
    }
    return true;
}

/* ---- query-block-zones ---- */

typedef struct ZonesQuery {
    BlockDriverState *bs;
    int64_t offset;
    uint32_t count;      /* how many zones to return at most; 0: none */
    uint32_t conditions; /* a bit for each ZoneCondition that is wanted */
    BlockZonesInfo *info;
    Error *err;
} ZonesQuery;

static BlockZonesInfo *device_info(const BlockDriverState *bs, const BdrvZones *zones)
{
    BlockZonesInfo *info = g_new0(BlockZonesInfo, 1);

    *info = (BlockZonesInfo){
        .node_name = g_strdup(bs->node_name),
        .model = ZONE_MODEL_HOST_MANAGED,
        .zone_size = bs->bl.zone_size,
        .zone_capacity = bs->bl.zone_capacity,
        .nr_zones = bs->bl.nr_zones,
        .conventional_zones = bs->bl.nr_conventional_zones,
        .max_open_zones = bs->bl.max_open_zones,
        .max_active_zones = bs->bl.max_active_zones,
        .max_append_bytes = bs->bl.max_append_bytes,
        .write_granularity = bs->bl.write_granularity,
        .conditions = zone_report_counts(zones),
    };
    return info;
}

/*
 * Append those of the @nr zones from number @first on that are wanted, until the answer has enough
 * (*@left is 0).  Returns how many zones were looked at.
 */
static unsigned int take_zones(const ZonesQuery *query, uint32_t first,
                               const BlockZoneDescriptor *zones, unsigned int nr, uint32_t *left,
                               ZoneDescriptorList ***tail)
{
    unsigned int i;

    for (i = 0; i < nr && *left > 0; i++) {
        if (query->conditions & (1u << zone_report_condition(zones[i].state))) {
            QAPI_LIST_APPEND(*tail, zone_report_descriptor(first + i, &zones[i]));
            --*left;
        }
    }
    return i;
}

static void collect_zones(ZonesQuery *query, const BdrvZones *zones)
{
    g_autofree BlockZoneDescriptor *chunk = g_new(BlockZoneDescriptor, REPORT_CHUNK);
    ZoneDescriptorList **tail = &query->info->zones;
    uint32_t nr_zones = zones_nr(zones);
    uint32_t index = zones_index(zones, query->offset);
    uint32_t end = index + MIN(nr_zones - index, MAX_EXAMINED_ZONES);
    uint32_t left = MIN(query->count, MAX_RETURNED_ZONES);

    query->info->has_zones = true;
    while (index < end && left > 0) {
        unsigned int nr = MIN(end - index, REPORT_CHUNK);

        zones_report(zones, zones_start(zones, index), &nr, chunk);
        index += take_zones(query, index, chunk, nr, &left, &tail);
    }
    query->info->has_next = index < nr_zones;
    query->info->next = query->info->has_next ? zones_start(zones, index) : 0;
}

static void query_zones(void *opaque)
{
    ZonesQuery *query = opaque;
    BlockDriverState *bs = query->bs;
    const BdrvZones *zones;

    if (!check_zoned(bs, &query->err)) {
        return;
    }
    if (query->offset >= bs->total_bytes) {
        error_setg(&query->err,
                   "Offset %" PRId64 " is past the end of node '%s' (%" PRId64 " bytes)",
                   query->offset, bs->node_name, bs->total_bytes);
        return;
    }
    zones = bdrv_zone_table(bs);
    query->info = device_info(bs, zones);
    if (query->count > 0) {
        collect_zones(query, zones);
    }
}

static uint32_t condition_bits(const ZoneConditionList *list)
{
    uint32_t bits = 0;

    for (; list; list = list->next) {
        bits |= 1u << list->value;
    }
    return bits;
}

BlockZonesInfo *qmp_query_block_zones(const char *node_name, bool has_offset, uint64_t offset,
                                      bool has_count, uint32_t count, bool has_conditions,
                                      ZoneConditionList *conditions, bool has_summary, bool summary,
                                      Error **errp)
{
    ZonesQuery query = {
        .bs = qmp_find_node(node_name, errp),
        .offset = MIN(offset, INT64_MAX),
        .count = has_count ? count : UINT32_MAX,
        .conditions = has_conditions ? condition_bits(conditions) : UINT32_MAX,
    };

    if (!query.bs) {
        return NULL;
    }
    if (summary && (has_offset || has_count || has_conditions)) {
        error_setg(errp, "Parameter 'summary' cannot be used together with '%s'",
                   has_offset ? "offset" : has_count ? "count" : "conditions");
        return NULL;
    }
    if (has_count && count == 0) {
        error_setg(errp, "Parameter 'count' must be at least 1, got 0");
        return NULL;
    }
    if (summary) {
        query.count = 0;
    }
    aio_run_in(bdrv_get_aio_context(query.bs), query_zones, &query);
    error_propagate(errp, query.err);
    return query.info;
}

/* ---- block-zone-mgmt ---- */

typedef struct ZonesMgmt {
    BlockDriverState *bs;
    BlockBackend *blk; /* of a writable export of the node, NULL where there is none */
    BlockZoneCommand command;
    bool has_length;
    int64_t offset;
    int64_t length;
    Error *err;
} ZonesMgmt;

static BlockZoneOp zone_op(BlockZoneCommand command)
{
    switch (command) {
    case BLOCK_ZONE_COMMAND_OPEN:
        return BLK_ZO_OPEN;
    case BLOCK_ZONE_COMMAND_CLOSE:
        return BLK_ZO_CLOSE;
    case BLOCK_ZONE_COMMAND_FINISH:
        return BLK_ZO_FINISH;
    case BLOCK_ZONE_COMMAND_RESET:
        return BLK_ZO_RESET;
    default:
        g_assert_not_reached();
    }
}

/* Nobody but the one writer may change zones, and commands count as its own. */
static BlockBackend *writable_export_of(const BlockDriverState *bs)
{
    for (BlockExport *exp = blk_exp_next(NULL); exp; exp = blk_exp_next(exp)) {
        if (exp->is_writable && blk_bs(exp->blk) == bs) {
            return exp->blk;
        }
    }
    return NULL;
}

static bool check_range(const ZonesMgmt *mgmt, Error **errp)
{
    const BlockDriverState *bs = mgmt->bs;
    int64_t rest = bs->total_bytes - mgmt->offset;

    if (rest <= 0) {
        error_setg(errp, "Offset %" PRId64 " is past the end of node '%s' (%" PRId64 " bytes)",
                   mgmt->offset, bs->node_name, bs->total_bytes);
        return false;
    }
    if (mgmt->offset % bs->bl.zone_size != 0) {
        error_setg(errp, "Offset %" PRId64 " is not the start of a zone of %" PRId64 " bytes",
                   mgmt->offset, bs->bl.zone_size);
        return false;
    }
    if (!mgmt->has_length || mgmt->length == rest) {
        return true;
    }
    if (mgmt->length == 0 || mgmt->length % bs->bl.zone_size != 0) {
        error_setg(errp, "Length %" PRId64 " is not a multiple of the zone size %" PRId64,
                   mgmt->length, bs->bl.zone_size);
        return false;
    }
    if (mgmt->length > rest) {
        error_setg(errp, "Length %" PRId64 " from offset %" PRId64 " passes the end of node '%s'",
                   mgmt->length, mgmt->offset, bs->node_name);
        return false;
    }
    return true;
}

static void manage_zones(void *opaque)
{
    ZonesMgmt *mgmt = opaque;
    BlockDriverState *bs = mgmt->bs;
    g_autoptr(BlockBackend) blk = NULL;
    int64_t length;
    int ret;

    if (!check_zoned(bs, &mgmt->err)) {
        return;
    }
    if (bs->read_only) {
        error_setg(&mgmt->err, "Node '%s' is read-only", bs->node_name);
        return;
    }
    if (!check_range(mgmt, &mgmt->err)) {
        return;
    }
    if (mgmt->blk) {
        blk = mgmt->blk;
        blk_ref(blk);
    } else {
        blk = blk_new(bdrv_get_aio_context(bs), BLK_PERM_WRITE, BLK_PERM_ALL);
        if (blk_insert_bs(blk, bs, &mgmt->err) < 0) {
            return;
        }
    }
    length = mgmt->has_length ? mgmt->length : bs->total_bytes - mgmt->offset;
    ret = blk_zone_mgmt(blk, zone_op(mgmt->command), mgmt->offset, length);
    if (ret < 0) {
        error_setg(&mgmt->err, "Could not %s zones [%" PRId64 ", %" PRId64 ") of node '%s': %s",
                   BlockZoneCommand_str(mgmt->command), mgmt->offset, mgmt->offset + length,
                   bs->node_name, bdrv_strerror(-ret));
    }
}

void qmp_block_zone_mgmt(const char *node_name, BlockZoneCommand op, bool has_offset,
                         uint64_t offset, bool has_length, uint64_t length, Error **errp)
{
    ZonesMgmt mgmt = {
        .bs = qmp_find_node(node_name, errp),
        .command = op,
        .offset = MIN(offset, INT64_MAX),
        .has_length = has_length,
        .length = MIN(length, INT64_MAX),
    };

    if (!mgmt.bs) {
        return;
    }
    mgmt.blk = writable_export_of(mgmt.bs);
    aio_run_in(bdrv_get_aio_context(mgmt.bs), manage_zones, &mgmt);
    error_propagate(errp, mgmt.err);
}
