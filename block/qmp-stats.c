/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command that tells what requests nodes had: see qapi/block-runtime.json.
 *
 * The numbers of a node, and of the file below it, are those of one instant: its thread is asked
 * once for all of them.
 */
#include "qemu/osdep.h"

#include "block/qmp-int.h"
#include "block/zone-report.h"
#include "qapi/qapi-commands.h"

typedef struct StatsCall {
    BlockDriverState *bs;
    BlockStats *info;
} StatsCall;

static BlockDeviceStats *request_stats(const BdrvStats *stats)
{
    const BdrvCounter *rd = &stats->counters[BDRV_STATS_READ];
    const BdrvCounter *wr = &stats->counters[BDRV_STATS_WRITE];
    const BdrvCounter *zeroes = &stats->counters[BDRV_STATS_WRITE_ZEROES];
    const BdrvCounter *append = &stats->counters[BDRV_STATS_ZONE_APPEND];
    const BdrvCounter *unmap = &stats->counters[BDRV_STATS_UNMAP];
    const BdrvCounter *flush = &stats->counters[BDRV_STATS_FLUSH];
    const BdrvCounter *mgmt = &stats->counters[BDRV_STATS_ZONE_MGMT];
    BlockDeviceStats *info = g_new0(BlockDeviceStats, 1);

    *info = (BlockDeviceStats){
        .rd_bytes = rd->bytes,
        .wr_bytes = wr->bytes + zeroes->bytes,
        .zone_append_bytes = append->bytes,
        .unmap_bytes = unmap->bytes,
        .rd_operations = rd->operations,
        .wr_operations = wr->operations + zeroes->operations,
        .zone_append_operations = append->operations,
        .flush_operations = flush->operations,
        .unmap_operations = unmap->operations,
        .zone_mgmt_operations = mgmt->operations,
        .failed_rd_operations = rd->failed,
        .failed_wr_operations = wr->failed + zeroes->failed,
        .failed_zone_append_operations = append->failed,
        .failed_flush_operations = flush->failed,
        .failed_unmap_operations = unmap->failed,
        .failed_zone_mgmt_operations = mgmt->failed,
        .invalid_rd_operations = rd->invalid,
        .invalid_wr_operations = wr->invalid + zeroes->invalid,
        .invalid_zone_append_operations = append->invalid,
        .invalid_flush_operations = flush->invalid,
        .invalid_unmap_operations = unmap->invalid,
        .invalid_zone_mgmt_operations = mgmt->invalid,
        .wr_highest_offset = stats->wr_highest_offset,
    };
    return info;
}

/* Data only: zeroes mostly take no room and no time. */
static uint64_t written_bytes(const BdrvStats *stats)
{
    return stats->counters[BDRV_STATS_WRITE].bytes +
           stats->counters[BDRV_STATS_ZONE_APPEND].bytes;
}

static BlockZoneStats *zone_stats(const BlockDriverState *bs)
{
    const BdrvZones *zones = bdrv_zone_table(bs);
    BlockZoneStats *info;
    const ZonesStats *stats;
    ZonesCounts counts;

    if (!zones) {
        return NULL;
    }
    stats = zones_stats(zones);
    zones_counts(zones, &counts);
    info = g_new0(BlockZoneStats, 1);
    *info = (BlockZoneStats){
        .implicit_opens = stats->implicit_opens,
        .explicit_opens = stats->explicit_opens,
        .evictions = stats->evictions,
        .closes = stats->closes,
        .finishes = stats->finishes,
        .resets = stats->resets,
        .reset_alls = stats->whole_resets,
        .appends = bs->stats.counters[BDRV_STATS_ZONE_APPEND].operations,
        .open = counts.implicitly_open + counts.explicitly_open,
        .active = counts.implicitly_open + counts.explicitly_open + counts.closed,
        .full = counts.full,
        .empty = counts.empty,
        .has_write_amplification = bs->file && written_bytes(&bs->stats) > 0,
    };
    if (info->has_write_amplification) {
        info->write_amplification =
            (double)written_bytes(&bs->file->bs->stats) / written_bytes(&bs->stats);
    }
    return info;
}

static BlockStats *node_stats(const BlockDriverState *bs)
{
    BlockStats *info = g_new0(BlockStats, 1);

    info->node_name = g_strdup(bs->node_name);
    info->stats = request_stats(&bs->stats);
    info->zones = zone_stats(bs);
    return info;
}

static BlockStats *tree_stats(const BlockDriverState *bs)
{
    BlockStats *info = node_stats(bs);

    info->parent = bs->file ? tree_stats(bs->file->bs) : NULL;
    info->backing = bs->backing ? tree_stats(bs->backing->bs) : NULL;
    return info;
}

static void query_node(void *opaque)
{
    StatsCall *call = opaque;

    call->info = node_stats(call->bs);
}

static void query_tree(void *opaque)
{
    StatsCall *call = opaque;

    call->info = tree_stats(call->bs);
}

static bool is_used_by_a_node(const BlockDriverState *bs)
{
    const BdrvChild *child;

    LIST_FOREACH(child, &bs->parents, next_parent) {
        if (child->parent_is_node) {
            return true;
        }
    }
    return false;
}

BlockStatsList *qmp_query_blockstats(bool has_query_nodes, bool query_nodes, Error **errp)
{
    BlockStatsList *list = NULL, **tail = &list;
    BlockDriverState *bs = NULL;

    while ((bs = bdrv_next_node(bs))) {
        StatsCall call = {.bs = bs};

        if (!query_nodes && is_used_by_a_node(bs)) {
            continue;
        }
        aio_run_in(bdrv_get_aio_context(bs), query_nodes ? query_node : query_tree, &call);
        QAPI_LIST_APPEND(tail, call.info);
    }
    return list;
}
