/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding free host clusters, and making the refcount blocks and table that count them.
 *
 * Clusters without a refcount block are all free.  A search may therefore end in such a region;
 * before the clusters are handed out, the blocks that will count them (and themselves) take the
 * first clusters of the run that was found.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "block/qcow2-refalloc.h"
#include "qemu/bswap.h"

/* Host offsets have 56 bits. */
#define MAX_HOST_OFFSET (INT64_C(1) << 56)

static uint64_t block_entries(const BDRVQcow2State *s)
{
    return UINT64_C(1) << s->refcount_block_bits;
}

static bool has_refblock(const BDRVQcow2State *s, uint64_t table_index)
{
    return table_index < s->reftable_entries &&
           (s->reftable[table_index] & QCOW2_REFTABLE_OFFSET_MASK);
}

/* ---- blocks ---- */

/* Make an empty block for @table_index at host cluster @cluster_index, which is not counted yet. */
static int coroutine_fn place_refblock(BlockDriverState *bs, uint64_t table_index,
                                       uint64_t cluster_index, void **block)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t offset = cluster_index << s->cluster_bits;
    int ret;

    if (offset == 0) {
        qcow2_signal_corruption(bs, true, -1, -1, "Preventing invalid allocation of refcount block"
                                " at offset 0");
        return -EIO;
    }
    ret = qcow2_cache_get_empty(bs, s->refcount_cache, offset, block);
    if (ret < 0) {
        return ret;
    }
    qcow2_cache_mark_dirty(s->refcount_cache, *block);
    s->reftable[table_index] = offset;
    qcow2_mark_reftable_dirty(s, table_index);
    s->zero_from = MAX(s->zero_from, offset + s->cluster_size);
    qcow2_overlap_added(s, QCOW2_OL_REFCOUNT_BLOCK, offset);
    return 0;
}

static int coroutine_fn grow_reftable(BlockDriverState *bs, uint64_t min_entries);

int coroutine_fn qcow2_refblock_make(BlockDriverState *bs, uint64_t table_index, void **block)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    if (table_index >= s->reftable_entries) {
        ret = grow_reftable(bs, table_index + 1);
        if (ret < 0) {
            return ret;
        }
        ret = qcow2_refblock_get(bs, table_index, block);
        if (ret < 0 || *block) {
            return ret; /* the larger table itself lies in the region */
        }
    }
    ret = place_refblock(bs, table_index, table_index << s->refcount_block_bits, block);
    if (ret == 0) {
        s->set_refcount(*block, 0, 1);
    }
    return ret;
}

/* ---- the table ---- */

/*
 * The new structures of a larger table: @nr_blocks blocks, then the table, from cluster @start on.
 */
typedef struct ReftableLayout {
    uint64_t start;
    uint64_t nr_blocks;
    uint64_t table_clusters;
} ReftableLayout;

/* Lay a table of at least @min_entries out behind everything that the present one can count. */
static int plan_reftable(const BDRVQcow2State *s, uint64_t min_entries, ReftableLayout *layout)
{
    uint64_t entries_per_cluster = s->cluster_size / sizeof(uint64_t);
    uint64_t max_clusters = QCOW2_MAX_REFTABLE_BYTES >> s->cluster_bits;
    uint64_t needed = min_entries;

    layout->start = (uint64_t)s->reftable_entries << s->refcount_block_bits;
    layout->nr_blocks = 1;
    for (;;) {
        uint64_t wanted = MAX(needed, s->reftable_entries + s->reftable_entries / 2);
        uint64_t nr_blocks;

        if (needed > max_clusters * entries_per_cluster) {
            return -EFBIG;
        }
        layout->table_clusters = MIN(DIV_ROUND_UP(wanted, entries_per_cluster), max_clusters);
        nr_blocks = DIV_ROUND_UP(layout->nr_blocks + layout->table_clusters, block_entries(s));
        if (s->reftable_entries + nr_blocks > needed) {
            needed = s->reftable_entries + nr_blocks;
            continue;
        }
        if (nr_blocks <= layout->nr_blocks) {
            break;
        }
        layout->nr_blocks = nr_blocks;
    }
    if (layout->start + layout->nr_blocks + layout->table_clusters >
        (uint64_t)MAX_HOST_OFFSET >> s->cluster_bits) {
        return -EFBIG;
    }
    return 0;
}

/*
 * Write the blocks that count the new structures: everything from layout->start on has one
 * reference.
 */
static int coroutine_fn write_counting_blocks(BlockDriverState *bs, const ReftableLayout *layout)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t nr_counted = layout->nr_blocks + layout->table_clusters;
    size_t bytes = layout->nr_blocks << s->cluster_bits;
    g_autofree uint8_t *blocks = g_try_malloc0(bytes);

    if (!blocks) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < nr_counted; i++) {
        uint8_t *block = blocks + ((i >> s->refcount_block_bits) << s->cluster_bits);

        s->set_refcount(block, i & (block_entries(s) - 1), 1);
    }
    return qcow2_file_pwrite(bs, 0, layout->start << s->cluster_bits, bytes, blocks);
}

/* Build the larger table in memory (host order) and write it to its place. */
static int coroutine_fn write_larger_table(BlockDriverState *bs, const ReftableLayout *layout,
                                           uint64_t **new_table)
{
    BDRVQcow2State *s = bs->opaque;
    size_t bytes = layout->table_clusters << s->cluster_bits;
    uint64_t nr_entries = bytes / sizeof(uint64_t);
    g_autofree uint64_t *table = g_try_malloc0(bytes);
    g_autofree uint64_t *on_disk = g_try_malloc0(bytes);
    int ret;

    if (!table || !on_disk) {
        return -ENOMEM;
    }
    memcpy(table, s->reftable, s->reftable_entries * sizeof(uint64_t));
    for (uint64_t i = 0; i < layout->nr_blocks; i++) {
        table[s->reftable_entries + i] = (layout->start + i) << s->cluster_bits;
    }
    for (uint64_t i = 0; i < nr_entries; i++) {
        on_disk[i] = cpu_to_be64(table[i]);
    }
    ret = qcow2_file_pwrite(bs, 0, (layout->start + layout->nr_blocks) << s->cluster_bits, bytes,
                            on_disk);
    if (ret == 0) {
        *new_table = g_steal_pointer(&table);
    }
    return ret;
}

/* Make the header point to the table that was written, and work with it from now on. */
static int coroutine_fn switch_reftable(BlockDriverState *bs, const ReftableLayout *layout,
                                        uint64_t *new_table)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t old_offset = s->reftable_offset;
    uint32_t old_clusters = s->reftable_clusters;
    int ret;

    s->reftable_offset = (layout->start + layout->nr_blocks) << s->cluster_bits;
    s->reftable_clusters = layout->table_clusters;
    ret = qcow2_write_reftable_pointer(bs);
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret < 0) {
        s->reftable_offset = old_offset;
        s->reftable_clusters = old_clusters;
        return ret;
    }
    g_free(s->reftable);
    g_free(s->reftable_dirty);
    s->reftable = new_table;
    s->reftable_entries = (layout->table_clusters << s->cluster_bits) / sizeof(uint64_t);
    s->reftable_dirty = g_new0(bool, s->reftable_entries * sizeof(uint64_t) / BDRV_SECTOR_SIZE);
    s->reftable_is_dirty = false;
    s->zero_from = MAX(s->zero_from, (int64_t)((layout->start + layout->nr_blocks +
                                                layout->table_clusters) << s->cluster_bits));
    qcow2_overlap_reset(s);
    return qcow2_free_clusters(bs, old_offset, (int64_t)old_clusters << s->cluster_bits,
                               QCOW2_DISCARD_OTHER);
}

/* Order: all counts that the new table will point to => table => header => old table is free. */
static int coroutine_fn grow_reftable(BlockDriverState *bs, uint64_t min_entries)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree uint64_t *new_table = NULL;
    ReftableLayout layout;
    int ret = plan_reftable(s, min_entries, &layout);

    if (ret == 0) {
        ret = qcow2_flush_refcounts(bs);
    }
    if (ret == 0) {
        ret = write_counting_blocks(bs, &layout);
    }
    if (ret == 0) {
        ret = write_larger_table(bs, &layout, &new_table);
    }
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    return ret < 0 ? ret : switch_reftable(bs, &layout, g_steal_pointer(&new_table));
}

/* ---- giving blocks back ---- */

/* Whether block @table_index counts nothing but, perhaps, itself at host @offset. */
static int coroutine_fn is_idle_block(BlockDriverState *bs, uint64_t table_index, uint64_t offset,
                                      bool *is_idle)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t first = table_index << s->refcount_block_bits;
    uint64_t own = offset >> s->cluster_bits;
    void *block;
    int ret = qcow2_refblock_get(bs, table_index, &block);

    if (ret < 0) {
        return ret;
    }
    *is_idle = true;
    for (uint64_t i = 0; i < block_entries(s) && *is_idle; i++) {
        *is_idle = first + i == own ? s->get_refcount(block, i) <= 1
                                    : s->get_refcount(block, i) == 0;
    }
    qcow2_cache_put(s->refcount_cache, block);
    return 0;
}

/*
 * Take idle blocks out of the table in memory.  Those whose clusters are counted by another block
 * are appended to @counted_elsewhere (of Qcow2HostRange).
 */
static int coroutine_fn unhook_idle_blocks(BlockDriverState *bs, GArray *counted_elsewhere)
{
    BDRVQcow2State *s = bs->opaque;

    for (uint32_t i = 1; i < s->reftable_entries; i++) {
        uint64_t offset = s->reftable[i] & QCOW2_REFTABLE_OFFSET_MASK;
        Qcow2HostRange range = {.offset = offset, .bytes = s->cluster_size};
        bool is_idle;
        int ret;

        if (offset == 0) {
            continue;
        }
        ret = is_idle_block(bs, i, offset, &is_idle);
        if (ret < 0) {
            return ret;
        }
        if (!is_idle) {
            continue;
        }
        qcow2_cache_forget(s->refcount_cache, offset, s->cluster_size);
        s->reftable[i] = 0;
        qcow2_mark_reftable_dirty(s, i);
        if ((offset >> s->cluster_bits) >> s->refcount_block_bits != i) {
            g_array_append_val(counted_elsewhere, range);
        }
    }
    return 0;
}

int coroutine_fn qcow2_drop_idle_refblocks(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    g_autoptr(GArray) freed = g_array_new(false, false, sizeof(Qcow2HostRange));
    int ret;

    /* Freeing one block can make another one idle. */
    do {
        g_array_set_size(freed, 0);
        ret = unhook_idle_blocks(bs, freed);
        if (ret == 0) {
            ret = qcow2_flush_refcounts(bs);
        }
        if (ret == 0) {
            ret = qcow2_file_sync(bs);
        }
        for (guint i = 0; i < freed->len && ret == 0; i++) {
            const Qcow2HostRange *range = &g_array_index(freed, Qcow2HostRange, i);

            ret = qcow2_free_clusters(bs, range->offset, range->bytes, QCOW2_DISCARD_OTHER);
        }
    } while (ret == 0 && freed->len > 0);
    qcow2_overlap_reset(s);
    return ret;
}

/* ---- searching ---- */

/* Find @count free clusters in a row, at or after @start; sets *@first. */
static int coroutine_fn find_free_run(BlockDriverState *bs, uint64_t start, uint64_t count,
                                      uint64_t *first)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t limit = (uint64_t)MAX_HOST_OFFSET >> s->cluster_bits;
    uint64_t entries = block_entries(s);
    uint64_t run = 0;
    uint64_t at = MAX(start, 1);

    while (run < count) {
        uint64_t block_end = ROUND_DOWN(at, entries) + entries;
        void *block;
        int ret;

        if (count - run > limit - MIN(at, limit)) {
            return -EFBIG;
        }
        ret = qcow2_refblock_get(bs, at >> s->refcount_block_bits, &block);
        if (ret < 0) {
            return ret;
        }
        if (!block) {
            uint64_t step = MIN(block_end - at, count - run);

            run += step;
            at += step;
            continue;
        }
        for (; at < block_end && run < count; at++) {
            run = s->get_refcount(block, at & (entries - 1)) == 0 ? run + 1 : 0;
        }
        qcow2_cache_put(s->refcount_cache, block);
    }
    *first = at - count;
    return 0;
}

static uint64_t count_missing_blocks(const BDRVQcow2State *s, uint64_t first, uint64_t count)
{
    uint64_t last_index = (first + count - 1) >> s->refcount_block_bits;
    uint64_t missing = 0;

    for (uint64_t i = first >> s->refcount_block_bits; i <= last_index; i++) {
        missing += !has_refblock(s, i);
    }
    return missing;
}

/* Take back the blocks of the table entries in @made: they could not be counted. */
static void drop_refblocks(BDRVQcow2State *s, const GArray *made)
{
    for (guint i = 0; i < made->len; i++) {
        uint64_t table_index = g_array_index(made, uint64_t, i);

        qcow2_cache_forget(s->refcount_cache, s->reftable[table_index], s->cluster_size);
        s->reftable[table_index] = 0;
    }
    qcow2_overlap_reset(s);
}

/* Place the blocks missing for [@first, @first + @count) in the first of these, and count them. */
static int coroutine_fn make_missing_blocks(BlockDriverState *bs, uint64_t first, uint64_t count)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t last_index = (first + count - 1) >> s->refcount_block_bits;
    g_autoptr(GArray) made = g_array_new(false, false, sizeof(uint64_t));
    int ret = 0;

    for (uint64_t i = first >> s->refcount_block_bits; i <= last_index && ret == 0; i++) {
        void *block;

        if (has_refblock(s, i)) {
            continue;
        }
        ret = place_refblock(bs, i, first + made->len, &block);
        if (ret == 0) {
            qcow2_cache_put(s->refcount_cache, block);
            g_array_append_val(made, i);
        }
    }
    if (ret == 0) {
        ret = qcow2_update_refcount(bs, first << s->cluster_bits, made->len * s->cluster_size, 1,
                                    QCOW2_DISCARD_NEVER);
    }
    if (ret < 0) {
        drop_refblocks(s, made);
    }
    return ret;
}

/*
 * Find @count free clusters in a row, with refcount blocks that can count them.  Blocks are made as
 * needed at the beginning of a longer run.  The refcounts are still 0.
 */
static int coroutine_fn reserve_run(BlockDriverState *bs, uint64_t count, uint64_t *first)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t nr_blocks = 0;

    for (;;) {
        uint64_t missing;
        uint64_t table_end;
        int ret = find_free_run(bs, s->free_cluster_index, count + nr_blocks, first);

        if (ret < 0) {
            return ret;
        }
        table_end = ((*first + count + nr_blocks - 1) >> s->refcount_block_bits) + 1;
        if (table_end > s->reftable_entries) {
            ret = grow_reftable(bs, table_end);
            if (ret < 0) {
                return ret;
            }
            continue;
        }
        missing = count_missing_blocks(s, *first, count + nr_blocks);
        if (missing > nr_blocks) {
            nr_blocks = missing;
            continue;
        }
        ret = make_missing_blocks(bs, *first, count + nr_blocks);
        *first += missing;
        return ret;
    }
}

int64_t coroutine_fn qcow2_alloc_clusters(BlockDriverState *bs, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t count = qcow2_size_to_clusters(s, bytes);
    uint64_t first;
    int64_t offset;
    int ret;

    assert(bytes > 0);
    ret = reserve_run(bs, count, &first);
    if (ret < 0) {
        return ret;
    }
    offset = first << s->cluster_bits;
    ret = qcow2_update_refcount(bs, offset, count << s->cluster_bits, 1, QCOW2_DISCARD_NEVER);
    if (ret < 0) {
        return ret;
    }
    s->free_cluster_index = first + count;
    qcow2_file_reserve(bs, offset + (count << s->cluster_bits));
    s->zero_from = MAX(s->zero_from, (int64_t)((first + count) << s->cluster_bits));
    return offset;
}

int coroutine_fn qcow2_alloc_clusters_at(BlockDriverState *bs, int64_t host_offset,
                                         int64_t *nr_clusters)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t first = host_offset >> s->cluster_bits;
    int64_t count;
    int ret;

    assert(host_offset > 0 && !qcow2_offset_into_cluster(s, host_offset));
    for (count = 0; count < *nr_clusters; count++) {
        uint64_t refcount;

        if (!has_refblock(s, (first + count) >> s->refcount_block_bits)) {
            break;
        }
        ret = qcow2_get_refcount(bs, first + count, &refcount);
        if (ret < 0) {
            return ret;
        }
        if (refcount > 0) {
            break;
        }
    }
    *nr_clusters = count;
    ret = qcow2_update_refcount(bs, host_offset, count << s->cluster_bits, 1, QCOW2_DISCARD_NEVER);
    if (ret == 0 && count) {
        qcow2_file_reserve(bs, host_offset + (count << s->cluster_bits));
        s->zero_from = MAX(s->zero_from, host_offset + (count << s->cluster_bits));
    }
    return ret;
}
