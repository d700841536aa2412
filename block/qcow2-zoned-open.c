/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a zoned image: open, sessions of writing, reopen, close.
 *
 * Opening loads the write-pointer table into a zone table, refusing what no table can say, and
 * takes over what a dead process has left.  A session of writing begins and ends with nothing owed
 * to the disk.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"

/* Piece of the write-pointer table that is read at once. */
#define ZONE_TABLE_CHUNK_BYTES (1 * MiB)

/* ---- the table ---- */

/* Whether a table entry may stand for zone @index. */
static bool zoned_entry_is_valid(const BdrvZones *zones, uint32_t index, uint64_t entry)
{
    uint64_t start = zones_start(zones, index);

    if (zones_is_conventional(zones, index)) {
        return entry == (start | QCOW2_ZONE_WP_CONV);
    }
    return entry >= start && entry <= start + zones_geometry(zones)->zone_size &&
           QEMU_IS_ALIGNED(entry, ZONE_WRITE_GRANULARITY);
}

typedef struct ZoneTableScan {
    BlockDriverState *bs;
    bool is_check;        /* bad entries are counted, not refused */
    uint32_t index;       /* of the next entry */
    uint64_t nr_bad;
    uint64_t nr_bad_swapped; /* had the table the other byte order */
    uint32_t first_bad;
    uint64_t first_bad_entry;
} ZoneTableScan;

/* An entry that does not say what an empty zone's says. */
static void zone_table_entry_load(ZoneTableScan *scan, BdrvZones *zones, uint32_t index,
                                  uint64_t entry)
{
    int64_t full = zones_start(zones, index) + zones_capacity(zones, index);

    if (!zoned_entry_is_valid(zones, index, entry)) {
        if (scan->nr_bad++ == 0) {
            scan->first_bad = index;
            scan->first_bad_entry = entry;
        }
        if (scan->is_check && !zones_is_conventional(zones, index)) {
            zones_set_defect(zones, index, BLK_ZS_OFFLINE);
        }
    } else if (!(entry & QCOW2_ZONE_WP_CONV)) {
        /* A finished zone says start + zone_size, even where it is shorter or has less capacity. */
        int64_t end = zones_start(zones, index) + zones_length(zones, index);

        zones_load_wp(zones, index, (int64_t)entry > full ? end : (int64_t)entry);
    }
    scan->nr_bad_swapped += !zoned_entry_is_valid(zones, index, GUINT64_SWAP_LE_BE(entry));
}

static int coroutine_fn zoned_scan_table(ZoneTableScan *scan, Error **errp)
{
    BDRVQcow2State *s = scan->bs->opaque;
    Qcow2Zoned *z = s->zoned;
    const ZonesGeometry *geometry = zones_geometry(z->zones);
    QEMU_AUTO_VFREE uint8_t *buf =
        qemu_memalign(4096, MIN(ZONE_TABLE_CHUNK_BYTES, z->table_bytes));

    for (int64_t at = 0; at < z->table_bytes; at += ZONE_TABLE_CHUNK_BYTES) {
        int64_t bytes = MIN(ZONE_TABLE_CHUNK_BYTES, z->table_bytes - at);
        int ret = qcow2_file_pread(scan->bs, z->table_offset + at, bytes, buf);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not read the write-pointer table");
            return ret;
        }
        for (int64_t i = 0; i < bytes; i += 8, scan->index++) {
            uint64_t entry = ldq_be_p(buf + i);
            uint64_t start = scan->index * geometry->zone_size;

            /* Nearly all entries of a large disk are this one. */
            if (likely(entry == start && scan->index >= geometry->nr_conventional)) {
                scan->nr_bad_swapped += entry != 0;
                continue;
            }
            zone_table_entry_load(scan, z->zones, scan->index, entry);
        }
    }
    return 0;
}

static int coroutine_fn zoned_load_table(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneTableScan scan = {.bs = bs, .is_check = flags & BDRV_O_CHECK};
    int ret = zoned_scan_table(&scan, errp);

    if (ret < 0 || scan.nr_bad == 0) {
        return ret;
    }
    s->zoned->nr_bad_entries = scan.nr_bad;
    s->zoned->is_table_swapped = scan.nr_bad_swapped == 0;
    if (scan.is_check) {
        return 0;
    }
    if (s->zoned->is_table_swapped) {
        error_setg(errp, "The write-pointer table is little-endian, as an earlier implementation "
                         "wrote it; 'check -r all' converts it");
    } else {
        error_setg(errp,
                   "Write pointer of zone %" PRIu32 " is %#" PRIx64
                   ", which no such zone can have (%" PRIu64 " bad entries)",
                   scan.first_bad, scan.first_bad_entry, scan.nr_bad);
    }
    return -EINVAL;
}

/* ---- open ---- */

/* An image from elsewhere has no area for live pointers: give it one. */
static int coroutine_fn zoned_adopt(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = qcow2_zoned_add_live_area(bs, zones_nr(s->zoned->zones));

    if (ret == 0) {
        qemu_co_mutex_lock(&s->lock);
        ret = qcow2_update_header(bs);
        qemu_co_mutex_unlock(&s->lock);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not add an area for live write pointers");
        return ret;
    }
    return qcow2_zoned_load_live_ext(bs, errp);
}

/*
 * For an opener that will write: what a dead process left becomes durable, then a new session
 * begins.
 */
static int coroutine_fn zoned_start_session(BlockDriverState *bs, bool has_recovered, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret = 0;

    if (has_recovered) {
        ret = zone_commit_flush(bs);
    }
    if (ret == 0 && z->live_offset) {
        ret = zone_live_forget(bs);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not update the write pointers");
        return ret;
    }
    if (!z->live_offset) {
        ret = zoned_adopt(bs, errp);
    }
    if (ret == 0) {
        z->live = zone_live_start(bs);
    }
    return ret;
}

static void zoned_free(BDRVQcow2State *s)
{
    Qcow2Zoned *z = s->zoned;

    zone_commit_free(z->commit);
    zones_free(z->zones);
    g_array_free(z->unlinked, true);
    g_hash_table_destroy(z->mapped_ahead);
    g_free(z);
    s->zoned = NULL;
}

static int coroutine_fn zoned_open_table(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    bool has_recovered = false;
    int ret = qcow2_zoned_load_table_place(bs, errp);

    if (ret == 0) {
        ret = zoned_load_table(bs, flags, errp);
    }
    if (ret < 0) {
        return ret;
    }
    z->commit = zone_commit_new(bs);
    ret = qcow2_zoned_load_live_ext(bs, errp);
    if (ret == 0 && z->live_offset && !(flags & BDRV_O_CHECK)) {
        ret = zone_live_recover(bs, &has_recovered, errp);
    }
    if (ret == 0 && (flags & BDRV_O_RDWR) && !(flags & BDRV_O_CHECK)) {
        ret = zoned_start_session(bs, has_recovered, errp);
    }
    return ret;
}

int coroutine_fn qcow2_zoned_open(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZonesGeometry geometry;
    Qcow2Zoned *z;
    int ret = qcow2_zoned_load_ext(bs, &geometry, errp);

    if (ret <= 0) {
        return ret;
    }
    z = s->zoned = g_new0(Qcow2Zoned, 1);
    qemu_co_queue_init(&z->waiters);
    qemu_co_queue_init(&z->reserve.refilled);
    qemu_co_queue_init(&z->background_done);
    z->mapped_ahead = g_hash_table_new(NULL, NULL);
    z->unlinked = g_array_new(false, false, sizeof(Qcow2HostRange));
    z->zones = zones_new(&geometry, sizeof(ZoneRun), errp);
    ret = z->zones ? zoned_open_table(bs, flags, errp) : -ENOMEM;
    if (ret < 0) {
        zoned_free(s);
    }
    return ret;
}

/* ---- close and reopen ---- */

/* A session ends with no zone open, as a restart would find them. */
static void zoned_close_open_zones(Qcow2Zoned *z)
{
    int64_t zone_size = zones_geometry(z->zones)->zone_size;

    for (uint32_t i = 0; i < zones_nr(z->zones); i++) {
        BlockZoneState state = zones_state(z->zones, i);
        int64_t start = zones_start(z->zones, i);
        int64_t len = MIN(zone_size, zones_length(z->zones, i));

        if (state == BLK_ZS_IOPEN || state == BLK_ZS_EOPEN) {
            zones_hold(z->zones, start, len);
            zones_mgmt_apply(z->zones, BLK_ZO_CLOSE, start, len);
            zones_release(z->zones, start, len);
        }
    }
}

static void coroutine_fn zoned_wait_for_background(Qcow2Zoned *z)
{
    while (z->background) {
        qemu_co_queue_wait(&z->background_done, NULL);
    }
}

void coroutine_fn qcow2_zoned_wait_for_background(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->zoned) {
        zoned_wait_for_background(s->zoned);
    }
}

int coroutine_fn qcow2_zoned_inactivate(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret;

    zoned_wait_for_background(z);
    zoned_close_open_zones(z);
    /* Space only: what cannot be unmapped now is used when the zone is written again. */
    qcow2_zone_unmap_ahead(bs);
    zoned_wait_for_background(z);
    qcow2_zone_release_reserve(bs);
    ret = zone_commit_flush(bs);
    zone_live_stop(bs, ret == 0);
    return ret;
}

void coroutine_fn qcow2_zoned_activate(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Error *err = NULL;

    s->zoned->session_error = zoned_start_session(bs, true, &err);
    if (err) {
        error_reportf_err(err, "Zones of '%s' cannot be written: ", bs->filename);
    }
}

void coroutine_fn qcow2_zoned_close(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret = 0;

    if (!z) {
        return;
    }
    zoned_wait_for_background(z);
    if (!bs->drv) {
        zone_live_stop(bs, false);
    } else if (!bs->read_only && !(bs->open_flags & BDRV_O_CHECK)) {
        ret = qcow2_zoned_inactivate(bs);
    }
    if (ret < 0) {
        error_report("Could not make the write pointers of '%s' durable: %s", bs->filename,
                     strerror(-ret));
    }
    zoned_free(s);
}
