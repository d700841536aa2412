/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the data of a zone lies in the image file.
 *
 * Clusters are mapped ahead of the write pointer in runs that are contiguous in the file, and an
 * open zone remembers its run, so most writes neither change nor look up metadata.  Runs are cut
 * from a reserve whose refcounts were made durable before: an L2 entry into it may reach the disk
 * at any time and in any order without ever pointing at a cluster that the refcounts call free.  A
 * power cut leaks what is left of the reserve, nothing worse.
 *
 * The mapping of a run is handed to the kernel before the first write into it is acknowledged, so
 * that it survives the process.
 *
 * Called by qcow2-zoned.c without s->lock.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"

/* How far ahead of a write clusters are mapped. */
#define ZONE_RUN_BYTES (8 * MiB)
/* How much the reserve takes at once: the first time, and at most; it doubles in between. */
#define ZONE_RESERVE_FIRST_BYTES (2 * ZONE_RUN_BYTES)
#define ZONE_RESERVE_BYTES (256 * MiB)
/* With small clusters the reserve is smaller, so that its refcounts stay few. */
#define ZONE_RESERVE_MAX_CLUSTERS 4096

/* ---- the reserve ---- */

/* The size of the next one. */
static int64_t zone_reserve_bytes(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t grown = MAX(2 * s->zoned->reserve.taken_bytes, ZONE_RESERVE_FIRST_BYTES);
    int64_t bytes =
        MIN(MIN(ZONE_RESERVE_BYTES, grown), ZONE_RESERVE_MAX_CLUSTERS * s->cluster_size);

    return MAX(s->cluster_size, ROUND_UP(MIN(bytes, bs->total_bytes / 16), s->cluster_size));
}

/*
 * Writes that make a file longer go one at a time in the kernel; make it longer before them.
 */
static int coroutine_fn zone_reserve_extend_file(BlockDriverState *bs, int64_t end)
{
    if (!bs->file->bs->is_growable || qcow2_file_length(bs) >= end) {
        return 0;
    }
    return bdrv_co_truncate(bs->file, end, false, PREALLOC_MODE_OFF, 0, NULL);
}

/* Take clusters and make their refcounts durable.  s->lock is not held while the disk works. */
static int coroutine_fn zone_reserve_allocate(BlockDriverState *bs, Qcow2HostRange *range)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t bytes = zone_reserve_bytes(bs);
    int64_t offset;
    int ret = 0;

    qemu_co_mutex_lock(&s->lock);
    offset = qcow2_alloc_clusters(bs, bytes);
    if (offset >= 0) {
        ret = qcow2_flush_refcounts(bs);
    }
    qemu_co_mutex_unlock(&s->lock);
    if (offset < 0) {
        return offset;
    }
    if (ret == 0) {
        ret = zone_reserve_extend_file(bs, offset + bytes);
    }
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret < 0) {
        qemu_co_mutex_lock(&s->lock);
        qcow2_free_clusters(bs, offset, bytes, QCOW2_DISCARD_NEVER);
        qemu_co_mutex_unlock(&s->lock);
        return ret;
    }
    *range = (Qcow2HostRange){.offset = offset, .bytes = bytes};
    s->zoned->reserve.taken_bytes = bytes;
    return 0;
}

/* Fill reserve.next; one at a time, those who find one at work wait for it and look again. */
static int coroutine_fn zone_reserve_refill(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneReserve *reserve = &s->zoned->reserve;
    int ret;

    if (reserve->is_refilling) {
        qemu_co_queue_wait(&reserve->refilled, NULL);
        return 0;
    }
    reserve->is_refilling = true;
    ret = zone_reserve_allocate(bs, &reserve->next);
    reserve->is_refilling = false;
    qemu_co_queue_restart_all(&reserve->refilled);
    return ret;
}

static void coroutine_fn zone_reserve_refill_entry(void *opaque)
{
    BlockDriverState *bs = opaque;
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;

    /*
     * Whoever needs the clusters in the end will meet the error, if it is still there, and report
     * it.
     */
    if (z->reserve.next.bytes == 0 && !z->reserve.is_refilling) {
        zone_reserve_refill(bs);
    }
    zone_background_end(bs);
}

/*
 * Up to @wanted bytes of contiguous clusters with durable refcounts: at least one cluster.
 */
static int coroutine_fn zone_reserve_take(BlockDriverState *bs, int64_t wanted,
                                          Qcow2HostRange *range)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneReserve *reserve = &s->zoned->reserve;

    while (reserve->ready.bytes == 0) {
        if (reserve->next.bytes == 0) {
            int ret = zone_reserve_refill(bs);

            if (ret < 0) {
                return ret;
            }
            continue;
        }
        reserve->ready = reserve->next;
        reserve->next = (Qcow2HostRange){0};
    }

    range->offset = reserve->ready.offset;
    range->bytes = MIN(reserve->ready.bytes, wanted);
    reserve->ready.offset += range->bytes;
    reserve->ready.bytes -= range->bytes;
    if (reserve->next.bytes == 0 && !reserve->is_refilling &&
        reserve->ready.bytes < reserve->taken_bytes / 2) {
        zone_background_start(bs, zone_reserve_refill_entry);
    }
    return 0;
}

/* Give back what zone_reserve_take() handed out and nothing points to. */
static void coroutine_fn zone_reserve_put(BlockDriverState *bs, const Qcow2HostRange *range)
{
    BDRVQcow2State *s = bs->opaque;

    if (range->bytes) {
        qemu_co_mutex_lock(&s->lock);
        qcow2_free_clusters(bs, range->offset, range->bytes, QCOW2_DISCARD_ALWAYS);
        qemu_co_mutex_unlock(&s->lock);
    }
}

void coroutine_fn qcow2_zone_release_reserve(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneReserve *reserve = &s->zoned->reserve;

    zone_reserve_put(bs, &reserve->ready);
    zone_reserve_put(bs, &reserve->next);
    reserve->ready = reserve->next = (Qcow2HostRange){0};
}

/* ---- mapping ---- */

/*
 * Map the unmapped clusters at @guest (cluster aligned), up to @bytes, and hand the mapping to the
 * kernel. What of the first cluster lies below @offset is below the write pointer: it must read as
 * the zeroes it read as before.
 */
static int coroutine_fn zone_map_new(BlockDriverState *bs, int64_t guest, int64_t bytes,
                                     int64_t offset, Qcow2HostRange *range)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = zone_reserve_take(bs, bytes, range);

    g_hash_table_add(s->zoned->mapped_ahead, GUINT_TO_POINTER(zones_index(s->zoned->zones, guest)));
    if (ret == 0 && offset > guest) {
        ret = bdrv_co_pwrite_zeroes(bs->file, range->offset, offset - guest, 0);
    }
    if (ret < 0) {
        return ret;
    }

    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_link_clusters(bs, guest, range->offset, range->bytes);
    if (ret == 0) {
        ret = qcow2_write_l2_range(bs, guest, range->bytes);
    }
    qemu_co_mutex_unlock(&s->lock);
    /* After an error some of it may be linked: the clusters stay with the zone, or leak. */
    return ret;
}

/* What the L2 tables say of @guest; a cluster that is not the zone's own to overwrite is damage. */
static int coroutine_fn zone_map_look_up(BlockDriverState *bs, int64_t guest, int64_t *bytes,
                                         int64_t *host_offset)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ClusterType type;
    int ret;

    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_get_host_offset(bs, guest, bytes, host_offset, &type);
    qemu_co_mutex_unlock(&s->lock);
    if (ret < 0) {
        return ret;
    }
    switch (type) {
    case QCOW2_CLUSTER_NORMAL:
        return 0;
    case QCOW2_CLUSTER_UNALLOCATED:
        *host_offset = -1;
        return 0;
    default:
        qcow2_signal_corruption(bs, false, guest, *bytes,
                                "Cluster at guest offset %#" PRIx64
                                " of a sequential zone is neither plain data nor unallocated",
                                guest);
        return -EIO;
    }
}

/* Find or make the run that contains @offset, and remember it. */
static int coroutine_fn zone_map_extend(BlockDriverState *bs, ZoneRun *run, int64_t zone_end,
                                        int64_t offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t guest = qcow2_start_of_cluster(s, offset);
    int64_t most = ROUND_UP(zone_end, s->cluster_size) - guest;
    int64_t wanted = MIN(MAX(offset + bytes - guest, ZONE_RUN_BYTES), most);
    Qcow2HostRange range = {.bytes = ROUND_UP(wanted, s->cluster_size)};
    int ret = s->zoned->session_error;

    if (ret == 0) {
        ret = zone_live_prepare(bs, zones_index(s->zoned->zones, offset));
    }
    if (ret == 0) {
        ret = zone_map_look_up(bs, guest, &range.bytes, &range.offset);
    }
    if (ret == 0 && range.offset < 0) {
        ret = zone_map_new(bs, guest, range.bytes, offset, &range);
    }
    if (ret < 0) {
        return ret;
    }

    if (run->guest_end == guest &&
        run->host_start + (run->guest_end - run->guest_start) == range.offset) {
        run->guest_end += range.bytes;
    } else {
        run->guest_start = guest;
        run->guest_end = guest + range.bytes;
        run->host_start = range.offset;
    }
    return 0;
}

int coroutine_fn qcow2_zone_map_write(BlockDriverState *bs, ZoneRun *run, int64_t zone_end,
                                      int64_t offset, int64_t *bytes, int64_t *host_offset)
{
    BDRVQcow2State *s = bs->opaque;

    while (unlikely(offset < run->guest_start || offset >= run->guest_end)) {
        int ret;

        if (run->is_mapping) {
            qemu_co_queue_wait(&s->zoned->waiters, NULL);
            continue;
        }
        run->is_mapping = true;
        ret = zone_map_extend(bs, run, zone_end, offset, *bytes);
        run->is_mapping = false;
        qemu_co_queue_restart_all(&s->zoned->waiters);
        if (ret < 0) {
            return ret;
        }
    }
    *bytes = MIN(*bytes, run->guest_end - offset);
    *host_offset = run->host_start + (offset - run->guest_start);
    return 0;
}

/* ---- giving back ---- */

/* Punch the data of @ranges out of the file, then let the clusters be freed. */
static void coroutine_fn zone_free_ranges(BlockDriverState *bs, const GArray *ranges)
{
    BDRVQcow2State *s = bs->opaque;

    for (guint i = 0; i < ranges->len; i++) {
        const Qcow2HostRange *range = &g_array_index(ranges, Qcow2HostRange, i);

        /*
         * The entries on disk may still point here after a power cut.  That does not matter to the
         * content: it lies above the write pointer.  To the refcounts it does, hence
         * free_clusters_later.
         */
        bdrv_co_pdiscard(bs->file, range->offset, range->bytes);
        qemu_co_mutex_lock(&s->lock);
        qcow2_free_clusters_later(bs, range->offset, range->bytes, QCOW2_DISCARD_NEVER);
        qemu_co_mutex_unlock(&s->lock);
    }
}

static void coroutine_fn zone_free_entry(void *opaque)
{
    BlockDriverState *bs = opaque;
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;

    while (z->unlinked->len) {
        g_autoptr(GArray) ranges = z->unlinked;

        z->unlinked = g_array_new(false, false, sizeof(Qcow2HostRange));
        zone_free_ranges(bs, ranges);
    }
    z->is_freeing = false;
    /* On an error the clusters stay pending: the next flush tries again. */
    qemu_co_mutex_lock(&s->lock);
    qcow2_process_pending_frees(bs);
    qemu_co_mutex_unlock(&s->lock);
    zone_background_end(bs);
}

int coroutine_fn qcow2_zone_unmap(BlockDriverState *bs, int64_t offset, int64_t end)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    /* Not z->unlinked: that one may be taken away while this waits for the tables. */
    g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(Qcow2HostRange));
    int ret;

    if (offset >= end) {
        return 0;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_unlink_clusters(bs, offset, end - offset, ranges);
    qemu_co_mutex_unlock(&s->lock);
    g_array_append_vals(z->unlinked, ranges->data, ranges->len);

    /* A file system may take long to punch: nobody waits for it. */
    if (z->unlinked->len && !z->is_freeing) {
        z->is_freeing = true;
        zone_background_start(bs, zone_free_entry);
    }
    return ret;
}

int coroutine_fn qcow2_zone_unmap_ahead(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    GHashTableIter iter;
    gpointer key;
    int ret = 0;

    g_hash_table_iter_init(&iter, z->mapped_ahead);
    while (ret == 0 && g_hash_table_iter_next(&iter, &key, NULL)) {
        uint32_t index = GPOINTER_TO_UINT(key);
        BlockZoneState state = zones_state(z->zones, index);
        int64_t end = zones_start(z->zones, index) + zones_capacity(z->zones, index);

        if (state == BLK_ZS_CLOSED || state == BLK_ZS_EMPTY) {
            ret = qcow2_zone_unmap(bs, ROUND_UP(zones_wp(z->zones, index), s->cluster_size),
                                   ROUND_UP(end, s->cluster_size));
        }
    }
    g_hash_table_remove_all(z->mapped_ahead);
    return ret;
}

int coroutine_fn qcow2_zone_trim(BlockDriverState *bs, int64_t wp, int64_t end)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t next_cluster = ROUND_UP(wp, s->cluster_size);
    int64_t bytes = next_cluster - wp;
    int64_t host_offset;

    if (bytes) {
        int ret = zone_map_look_up(bs, wp, &bytes, &host_offset);

        if (ret == 0 && host_offset >= 0) {
            ret = bdrv_co_pwrite_zeroes(bs->file, host_offset, bytes, 0);
        }
        if (ret < 0) {
            return ret;
        }
    }
    return qcow2_zone_unmap(bs, next_cluster, ROUND_UP(end, s->cluster_size));
}
