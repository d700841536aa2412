/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * L1 and L2 tables: finding the slice of an L2 table that maps a guest offset, and making tables.
 *
 * A new L2 table exists in memory at once; that its refcount, its content and then the L1 entry
 * reach the disk in this order is left to qcow2-flush.c.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "qemu/bswap.h"

/* Host offset of the slice that maps @guest_offset in the L2 table at @l2_offset. */
static int64_t slice_offset(const BDRVQcow2State *s, uint64_t l2_offset, int64_t guest_offset)
{
    unsigned int first_entry = ROUND_DOWN(qcow2_l2_index(s, guest_offset), 1u << s->l2_slice_bits);

    return l2_offset + first_entry * sizeof(uint64_t);
}

bool qcow2_l2_peek(BDRVQcow2State *s, int64_t guest_offset, uint64_t **slice, unsigned int *index)
{
    uint64_t l1_index = qcow2_l1_index(s, guest_offset);
    uint64_t l2_offset;

    *index = qcow2_l2_slice_index(s, guest_offset);
    *slice = NULL;
    if (unlikely(l1_index >= s->l1_size)) {
        return true;
    }
    l2_offset = s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK;
    if (l2_offset == 0) {
        return true;
    }
    *slice = qcow2_cache_peek(s->l2_cache, slice_offset(s, l2_offset, guest_offset));
    return *slice != NULL;
}

/* Whether an L1 entry can be followed. */
static int coroutine_fn check_l1_entry(BlockDriverState *bs, uint64_t l1_index)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t l2_offset = s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK;

    if (qcow2_offset_into_cluster(s, l2_offset)) {
        qcow2_signal_corruption(bs, true, -1, -1,
                                "L2 table offset %#" PRIx64 " unaligned (L1 index: %#" PRIx64 ")",
                                l2_offset, l1_index);
        return -EIO;
    }
    return 0;
}

int coroutine_fn qcow2_l2_get(BlockDriverState *bs, int64_t guest_offset, uint64_t **slice,
                              unsigned int *index)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t l1_index = qcow2_l1_index(s, guest_offset);
    uint64_t l2_offset;
    void *table;
    int ret;

    *index = qcow2_l2_slice_index(s, guest_offset);
    *slice = NULL;
    if (l1_index >= s->l1_size) {
        return 0;
    }
    l2_offset = s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK;
    if (l2_offset == 0) {
        return 0;
    }
    ret = check_l1_entry(bs, l1_index);
    if (ret == 0) {
        ret = qcow2_cache_get(bs, s->l2_cache, slice_offset(s, l2_offset, guest_offset), &table);
    }
    if (ret == 0) {
        *slice = table;
    }
    return ret;
}

/* ---- making tables ---- */

static void set_l1_entry(BDRVQcow2State *s, uint64_t l1_index, uint64_t l2_offset)
{
    s->l1_table[l1_index] = l2_offset | QCOW2_OFLAG_COPIED;
    qcow2_mark_l1_dirty(s, l1_index);
    qcow2_overlap_added(s, QCOW2_OL_ACTIVE_L2, l2_offset);
}

/* A cluster for an L2 table; *@is_zero: it reads as zeroes. */
static int64_t coroutine_fn alloc_l2_table(BlockDriverState *bs, bool *is_zero)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t zero_from = s->zero_from;
    int64_t offset = qcow2_alloc_clusters(bs, s->cluster_size);

    if (offset < 0) {
        return offset;
    }
    *is_zero = offset >= zero_from;
    /* Slices of an earlier table in this place may still be in the cache. */
    qcow2_cache_forget(s->l2_cache, offset, s->cluster_size);
    return offset;
}

/* Make an empty L2 table for @l1_index. */
static int coroutine_fn make_l2_table(BlockDriverState *bs, uint64_t l1_index)
{
    BDRVQcow2State *s = bs->opaque;
    bool is_zero;
    int64_t offset = alloc_l2_table(bs, &is_zero);
    int ret = 0;

    if (offset < 0) {
        return offset;
    }
    if (!is_zero) {
        ret = qcow2_pre_write_overlap_check(bs, 0, offset, s->cluster_size, false);
        if (ret == 0) {
            ret = bdrv_co_pwrite_zeroes(bs->file, offset, s->cluster_size, 0);
        }
        if (ret < 0) {
            qcow2_free_clusters(bs, offset, s->cluster_size, QCOW2_DISCARD_OTHER);
            return ret;
        }
        s->l2_seq = ++s->write_seq;
    }
    set_l1_entry(s, l1_index, offset);
    return 0;
}

/* Replace the L2 table of @l1_index, which others use too, by a copy of its own. */
static int coroutine_fn unshare_l2_table(BlockDriverState *bs, uint64_t l1_index)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t old_offset = s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK;
    g_autofree void *table = NULL;
    bool is_zero;
    int64_t offset;
    int ret = check_l1_entry(bs, l1_index);

    if (ret < 0) {
        return ret;
    }
    table = g_try_malloc(s->cluster_size);
    if (!table) {
        return -ENOMEM;
    }
    offset = alloc_l2_table(bs, &is_zero);
    if (offset < 0) {
        return offset;
    }
    /* What is shared is never changed in the cache, so that the file has all of it. */
    ret = qcow2_file_pread(bs, old_offset, s->cluster_size, table);
    if (ret == 0) {
        ret = qcow2_file_pwrite(bs, 0, offset, s->cluster_size, table);
    }
    if (ret < 0) {
        qcow2_free_clusters(bs, offset, s->cluster_size, QCOW2_DISCARD_OTHER);
        return ret;
    }
    s->l2_seq = ++s->write_seq;
    set_l1_entry(s, l1_index, offset);
    qcow2_overlap_reset(s);
    return qcow2_free_clusters_later(bs, old_offset, s->cluster_size, QCOW2_DISCARD_OTHER);
}

int coroutine_fn qcow2_l2_get_for_write(BlockDriverState *bs, int64_t guest_offset,
                                        uint64_t **slice, unsigned int *index)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t l1_index = qcow2_l1_index(s, guest_offset);
    int ret = 0;

    if (l1_index >= s->l1_size) {
        return -EIO; /* behind the end of the disk: the block layer does not let it come here */
    }
    if (s->use_lazy_refcounts) {
        ret = qcow2_mark_dirty(bs);
    }
    if (ret == 0 && (s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK) == 0) {
        ret = make_l2_table(bs, l1_index);
    } else if (ret == 0 && !(s->l1_table[l1_index] & QCOW2_OFLAG_COPIED)) {
        ret = unshare_l2_table(bs, l1_index);
    }
    return ret < 0 ? ret : qcow2_l2_get(bs, guest_offset, slice, index);
}

/* ---- the L1 table ---- */

/* Take over an L1 table in memory; frees the present one. */
static int adopt_l1(BDRVQcow2State *s, uint64_t *table, uint32_t nr_entries)
{
    bool *dirty = g_try_new0(bool, nr_entries * sizeof(uint64_t) / BDRV_SECTOR_SIZE + 1);

    if (!dirty) {
        g_free(table);
        return -ENOMEM;
    }
    g_free(s->l1_table);
    g_free(s->l1_dirty);
    s->l1_table = table;
    s->l1_dirty = dirty;
    s->l1_is_dirty = false;
    s->l1_size = nr_entries;
    return 0;
}

int coroutine_fn qcow2_l1_load(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    size_t bytes = s->l1_size * sizeof(uint64_t);
    uint64_t *table = g_try_malloc0(MAX(bytes, 1));
    int ret;

    assert(bytes <= QCOW2_MAX_L1_BYTES);
    if (!table || adopt_l1(s, table, s->l1_size) < 0) {
        error_setg(errp, "Could not allocate %zu bytes for the L1 table", bytes);
        return -ENOMEM;
    }
    ret = qcow2_file_pread(bs, s->l1_table_offset, bytes, s->l1_table);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the L1 table");
        return ret;
    }
    for (uint32_t i = 0; i < s->l1_size; i++) {
        s->l1_table[i] = be64_to_cpu(s->l1_table[i]);
    }
    return 0;
}

/* Write an L1 table of @nr_entries, the present one and then zeroes, to @offset. */
static int coroutine_fn write_grown_l1(BlockDriverState *bs, int64_t offset, uint64_t nr_entries)
{
    BDRVQcow2State *s = bs->opaque;
    size_t bytes = ROUND_UP(nr_entries * sizeof(uint64_t), BDRV_SECTOR_SIZE);
    g_autofree uint64_t *on_disk = g_try_malloc0(bytes);

    if (!on_disk) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < s->l1_size; i++) {
        on_disk[i] = cpu_to_be64(s->l1_table[i]);
    }
    return qcow2_file_pwrite(bs, 0, offset, bytes, on_disk);
}

/*
 * Point the header and the state to the table of @nr_entries that was written to @offset, and free
 * the old one.
 */
static int coroutine_fn switch_l1(BlockDriverState *bs, int64_t offset, uint64_t nr_entries)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t old_offset = s->l1_table_offset;
    uint32_t old_size = s->l1_size;
    uint64_t *table = g_try_new0(uint64_t, nr_entries);
    int ret;

    if (!table) {
        return -ENOMEM;
    }
    memcpy(table, s->l1_table, old_size * sizeof(uint64_t));
    ret = adopt_l1(s, table, nr_entries);
    if (ret < 0) {
        return ret;
    }
    s->l1_table_offset = offset;
    ret = qcow2_write_l1_pointer(bs);
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret < 0) {
        s->l1_table_offset = old_offset;
        s->l1_size = old_size;
        return ret;
    }
    qcow2_overlap_reset(s);
    return old_size ? qcow2_free_clusters(bs, old_offset, old_size * sizeof(uint64_t),
                                          QCOW2_DISCARD_OTHER)
                    : 0;
}

/*
 * Order: everything that the present table says, and the refcounts => new table => header => old
 * table is free.
 */
int coroutine_fn qcow2_l1_grow(BlockDriverState *bs, uint64_t min_size)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t max_size = QCOW2_MAX_L1_BYTES / sizeof(uint64_t);
    uint64_t bytes;
    int64_t offset;
    int ret;

    if (min_size <= s->l1_size) {
        return 0;
    }
    if (min_size > max_size) {
        return -EFBIG;
    }
    bytes = min_size * sizeof(uint64_t);
    offset = qcow2_alloc_clusters(bs, bytes);
    if (offset < 0) {
        return offset;
    }
    ret = qcow2_write_caches(bs);
    if (ret == 0) {
        ret = qcow2_flush_refcounts(bs);
    }
    if (ret == 0) {
        ret = write_grown_l1(bs, offset, min_size);
    }
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret < 0) {
        qcow2_free_clusters(bs, offset, bytes, QCOW2_DISCARD_OTHER);
        return ret;
    }
    return switch_l1(bs, offset, min_size);
}
