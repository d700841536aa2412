/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What reaches the disk in which order, so that a power cut leaves at worst leaked clusters.
 *
 * refcount blocks => refcount table, data and copied data => L2 slices => L1 table => refcounts
 * that go down
 *
 * "=>": stable before the next is written.  Changes of the tables stay in memory until a flush or
 * an eviction brings them here.  Freed clusters keep their refcount until the tables that do not
 * mention them any more are stable, and until no data request is on its way to them; only then can
 * they be allocated anew or be discarded on the host.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "qemu/bswap.h"

/* When this much waits to be freed, it is not left to the next flush. */
#define PENDING_MAX_BYTES (256 * MiB)
#define PENDING_MAX_RANGES 4096

#define ENTRIES_PER_SECTOR (BDRV_SECTOR_SIZE / 8)

void qcow2_mark_l1_dirty(BDRVQcow2State *s, uint32_t index)
{
    s->l1_dirty[index / ENTRIES_PER_SECTOR] = true;
    s->l1_is_dirty = true;
}

void qcow2_mark_reftable_dirty(BDRVQcow2State *s, uint32_t index)
{
    s->reftable_dirty[index / ENTRIES_PER_SECTOR] = true;
    s->reftable_is_dirty = true;
}

static bool is_unsynced(const BDRVQcow2State *s, uint64_t seq)
{
    return seq > s->synced_seq;
}

/*
 * Write the sectors of a pointer table (@table, @nr_entries, in host order, at @offset) that are
 * marked in @dirty.
 */
static int coroutine_fn write_dirty_sectors(BlockDriverState *bs, int overlap_class,
                                            const uint64_t *table, uint32_t nr_entries,
                                            uint64_t offset, bool *dirty)
{
    uint64_t sector[ENTRIES_PER_SECTOR];

    for (uint32_t first = 0; first < nr_entries; first += ENTRIES_PER_SECTOR) {
        uint32_t count = MIN(nr_entries - first, ENTRIES_PER_SECTOR);
        int ret;

        if (!dirty[first / ENTRIES_PER_SECTOR]) {
            continue;
        }
        memset(sector, 0, sizeof(sector));
        for (uint32_t i = 0; i < count; i++) {
            sector[i] = cpu_to_be64(table[first + i]);
        }
        ret = qcow2_file_pwrite(bs, overlap_class, offset + first * sizeof(uint64_t),
                                sizeof(sector), sector);
        if (ret < 0) {
            return ret;
        }
        dirty[first / ENTRIES_PER_SECTOR] = false;
    }
    return 0;
}

int coroutine_fn qcow2_flush_refcounts(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = qcow2_cache_write_range(bs, s->refcount_cache, 0, INT64_MAX, NULL);

    if (ret < 0 || !s->reftable_is_dirty) {
        return ret;
    }
    if (is_unsynced(s, s->refcounts_seq)) {
        ret = qcow2_file_sync(bs);
        if (ret < 0) {
            return ret;
        }
    }
    ret = write_dirty_sectors(bs, QCOW2_OL_REFCOUNT_TABLE, s->reftable, s->reftable_entries,
                              s->reftable_offset, s->reftable_dirty);
    if (ret < 0) {
        return ret;
    }
    s->reftable_is_dirty = false;
    s->refcounts_seq = ++s->write_seq;
    return 0;
}

int coroutine_fn qcow2_settle_before_l2(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    bool needs_sync = is_unsynced(s, s->data_seq);

    /* While the dirty bit is set, refcounts are not relied upon. */
    if (!s->use_lazy_refcounts) {
        int ret = qcow2_flush_refcounts(bs);

        if (ret < 0) {
            return ret;
        }
        needs_sync |= is_unsynced(s, s->refcounts_seq);
    }
    return needs_sync ? qcow2_file_sync(bs) : 0;
}

/* Write changed L1 entries, after the L2 tables that they point to. */
static int coroutine_fn write_l1(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    if (!s->l1_is_dirty) {
        return 0;
    }
    ret = qcow2_settle_before_l2(bs);
    if (ret == 0 && is_unsynced(s, s->l2_seq)) {
        ret = qcow2_file_sync(bs);
    }
    if (ret == 0) {
        ret = write_dirty_sectors(bs, QCOW2_OL_ACTIVE_L1, s->l1_table, s->l1_size,
                                  s->l1_table_offset, s->l1_dirty);
    }
    if (ret == 0) {
        s->l1_is_dirty = false;
    }
    return ret;
}

/* The L2 slices in a range of the image file, and L1. */
static int coroutine_fn write_mapping(BlockDriverState *bs, int64_t l2_offset, int64_t l2_bytes)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = 0;

    if (qcow2_cache_is_dirty(s->l2_cache)) {
        ret = qcow2_settle_before_l2(bs);
        if (ret == 0) {
            ret = qcow2_cache_write_range(bs, s->l2_cache, l2_offset, l2_bytes, NULL);
        }
    }
    return ret < 0 ? ret : write_l1(bs);
}

int coroutine_fn qcow2_write_caches(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = write_mapping(bs, 0, INT64_MAX);

    if (ret < 0 || s->use_lazy_refcounts) {
        return ret;
    }
    return qcow2_flush_refcounts(bs);
}

int coroutine_fn qcow2_write_l2_range(BlockDriverState *bs, int64_t guest_offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t slice_guest_bytes = INT64_C(1) << (s->l2_slice_bits + s->cluster_bits);
    int64_t end = guest_offset + bytes;

    for (int64_t at = ROUND_DOWN(guest_offset, slice_guest_bytes); at < end;
         at += slice_guest_bytes) {
        uint64_t l1_index = qcow2_l1_index(s, at);
        uint64_t l2_offset;
        int ret;

        if (l1_index >= s->l1_size) {
            break;
        }
        l2_offset = s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK;
        if (l2_offset == 0) {
            continue;
        }
        ret = write_mapping(bs, l2_offset + qcow2_l2_index(s, at) * sizeof(uint64_t),
                            s->l2_slice_bytes);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* ---- clusters that wait to be freed ---- */

/*
 * Free what was put into the list no later than @last_id.  The tables without them are stable.
 */
static int coroutine_fn release_pending(BlockDriverState *bs, uint64_t last_id)
{
    BDRVQcow2State *s = bs->opaque;
    int result = 0;

    if (s->pending_frees->len == 0) {
        return 0;
    }
    qcow2_data_io_wait(s);
    while (s->pending_frees->len > 0) {
        Qcow2PendingFree pending = g_array_index(s->pending_frees, Qcow2PendingFree, 0);
        unsigned int count = 0;
        int ret;

        while (count < s->pending_frees->len) {
            const Qcow2PendingFree *next =
                &g_array_index(s->pending_frees, Qcow2PendingFree, count);

            if (next->id > last_id || next->type != pending.type ||
                (count && next->range.offset != pending.range.offset + pending.range.bytes)) {
                break;
            }
            if (count) {
                pending.range.bytes += next->range.bytes;
            }
            count++;
        }
        if (count == 0) {
            break;
        }
        g_array_remove_range(s->pending_frees, 0, count);
        s->pending_free_bytes -= pending.range.bytes;
        ret = qcow2_free_clusters(bs, pending.range.offset, pending.range.bytes, pending.type);
        if (ret < 0 && result == 0) {
            result = ret;
        }
    }
    return result;
}

int coroutine_fn qcow2_process_pending_frees(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t last_id = s->last_free_id;
    int ret;

    if (s->pending_frees->len == 0) {
        return 0;
    }
    ret = qcow2_write_caches(bs);
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    return ret < 0 ? ret : release_pending(bs, last_id);
}

int coroutine_fn qcow2_free_clusters_later(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                           Qcow2DiscardType type)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2PendingFree pending = {
        .id = ++s->last_free_id,
        .range = {.offset = offset, .bytes = bytes},
        .type = type,
    };

    g_array_append_val(s->pending_frees, pending);
    s->pending_free_bytes += bytes;
    if (s->pending_free_bytes > PENDING_MAX_BYTES || s->pending_frees->len > PENDING_MAX_RANGES) {
        return qcow2_process_pending_frees(bs);
    }
    return 0;
}

int coroutine_fn qcow2_flush_all(BlockDriverState *bs)
{
    int ret = qcow2_process_pending_frees(bs);
    int write_ret = qcow2_write_caches(bs);

    /* With lazy refcounts they are still in the cache. */
    if (write_ret == 0) {
        write_ret = qcow2_flush_refcounts(bs);
    }
    if (write_ret == 0) {
        write_ret = qcow2_file_sync(bs);
    }
    return ret < 0 ? ret : write_ret;
}

int coroutine_fn qcow2_flush_unlocked(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t last_id;
    int ret;

    qemu_co_mutex_lock(&s->lock);
    last_id = s->pending_frees->len > 0 ? s->last_free_id : 0;
    ret = qcow2_write_caches(bs);
    qemu_co_mutex_unlock(&s->lock);

    /* The longest part goes without the lock. */
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret == 0 && last_id) {
        qemu_co_mutex_lock(&s->lock);
        ret = release_pending(bs, last_id);
        qemu_co_mutex_unlock(&s->lock);
    }
    return ret;
}
