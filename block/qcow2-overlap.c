/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The overlap check: no write to the image file may hit live metadata, whatever damaged tables
 * say.
 *
 * L2 tables and refcount blocks, which may be many, are kept in a hash by cluster, made at the
 * first write and kept up to date; the few contiguous structures are compared as ranges.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"

static gpointer cluster_key(const BDRVQcow2State *s, int64_t offset)
{
    return GSIZE_TO_POINTER((gsize)(offset >> s->cluster_bits));
}

void qcow2_overlap_added(BDRVQcow2State *s, int overlap_class, int64_t offset)
{
    if (s->overlap_state) {
        g_hash_table_insert(s->overlap_state, cluster_key(s, offset),
                            GINT_TO_POINTER(overlap_class));
    }
}

void qcow2_overlap_reset(BDRVQcow2State *s)
{
    if (s->overlap_state) {
        g_hash_table_unref(s->overlap_state);
        s->overlap_state = NULL;
    }
}

static void make_picture(BDRVQcow2State *s)
{
    s->overlap_state = g_hash_table_new(g_direct_hash, g_direct_equal);
    for (uint32_t i = 0; i < s->l1_size; i++) {
        uint64_t offset = s->l1_table[i] & QCOW2_L1_OFFSET_MASK;

        if (offset) {
            qcow2_overlap_added(s, QCOW2_OL_ACTIVE_L2, offset);
        }
    }
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        uint64_t offset = s->reftable[i] & QCOW2_REFTABLE_OFFSET_MASK;

        if (offset) {
            qcow2_overlap_added(s, QCOW2_OL_REFCOUNT_BLOCK, offset);
        }
    }
}

static bool overlaps(int64_t offset, int64_t size, uint64_t start, uint64_t bytes)
{
    return bytes && (uint64_t)offset < start + bytes && start < (uint64_t)offset + size;
}

/* Which of the structures in @classes the range hits first; 0: none. */
static int find_overlap(BDRVQcow2State *s, int classes, int64_t offset, int64_t size)
{
    if ((classes & QCOW2_OL_MAIN_HEADER) && offset < s->cluster_size) {
        return QCOW2_OL_MAIN_HEADER;
    }
    if ((classes & QCOW2_OL_ACTIVE_L1) &&
        overlaps(offset, size, s->l1_table_offset, s->l1_size * sizeof(uint64_t))) {
        return QCOW2_OL_ACTIVE_L1;
    }
    if ((classes & QCOW2_OL_REFCOUNT_TABLE) &&
        overlaps(offset, size, s->reftable_offset,
                 (uint64_t)s->reftable_clusters << s->cluster_bits)) {
        return QCOW2_OL_REFCOUNT_TABLE;
    }
    if (!(classes & (QCOW2_OL_ACTIVE_L2 | QCOW2_OL_REFCOUNT_BLOCK))) {
        return 0;
    }
    if (!s->overlap_state) {
        make_picture(s);
    }
    for (int64_t at = qcow2_start_of_cluster(s, offset); at < offset + size;
         at += s->cluster_size) {
        int found = GPOINTER_TO_INT(g_hash_table_lookup(s->overlap_state, cluster_key(s, at)));

        if (found & classes) {
            return found;
        }
    }
    return 0;
}

static const char *class_name(int overlap_class)
{
    switch (overlap_class) {
    case QCOW2_OL_MAIN_HEADER:
        return "qcow2_header";
    case QCOW2_OL_ACTIVE_L1:
        return "active L1 table";
    case QCOW2_OL_ACTIVE_L2:
        return "active L2 table";
    case QCOW2_OL_REFCOUNT_TABLE:
        return "refcount table";
    default:
        return "refcount block";
    }
}

int coroutine_fn qcow2_pre_write_overlap_check(BlockDriverState *bs, int ign, int64_t offset,
                                               int64_t size, bool data_file)
{
    BDRVQcow2State *s = bs->opaque;
    int classes = s->options.overlap_check & ~ign;
    int found;

    if (data_file || !classes) {
        return 0;
    }
    found = find_overlap(s, classes, offset, size);
    if (likely(!found)) {
        return 0;
    }
    qcow2_signal_corruption(bs, true, offset, size,
                            "Preventing invalid write on metadata (overlaps with %s)",
                            class_name(found));
    return -EIO;
}
