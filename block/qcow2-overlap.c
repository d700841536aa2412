/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The overlap check: no write to the image file may hit live metadata, whatever damaged tables say.
 *
 * Asked before every write, so it works on what is in memory: L2 tables and refcount blocks, which
 * may be many, are kept in a hash of clusters, made at the first write and kept up to date; the few
 * contiguous structures are compared as ranges.  An image with snapshots is not written to, except
 * by repair, which knows from its own count what a cluster is used for.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"

/* Clusters of tables => QCOW2_OL_* classes; a damaged image may use one for two things. */
static gpointer cluster_key(const BDRVQcow2State *s, int64_t offset)
{
    return GSIZE_TO_POINTER((gsize)(offset >> s->cluster_bits));
}

void qcow2_overlap_added(BDRVQcow2State *s, int overlap_class, int64_t offset)
{
    gpointer key = cluster_key(s, offset);
    int classes;

    if (!s->overlap_state) {
        return;
    }
    classes = GPOINTER_TO_INT(g_hash_table_lookup(s->overlap_state, key)) | overlap_class;
    g_hash_table_insert(s->overlap_state, key, GINT_TO_POINTER(classes));
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

static bool overlaps(uint64_t offset, uint64_t size, uint64_t start, uint64_t bytes)
{
    return bytes && offset < start + bytes && start < offset + size;
}

static bool hits_zone_table(BlockDriverState *bs, int64_t offset, int64_t size)
{
    Qcow2HostRange ranges[2];
    int count = qcow2_zoned_metadata_ranges(bs, ranges);

    for (int i = 0; i < count; i++) {
        if (overlaps(offset, size, ranges[i].offset, ranges[i].bytes)) {
            return true;
        }
    }
    return false;
}

/* Which contiguous structures the range hits. */
static int find_ranges(BlockDriverState *bs, int64_t offset, int64_t size)
{
    BDRVQcow2State *s = bs->opaque;
    int found = 0;

    if (offset < s->cluster_size) {
        found |= QCOW2_OL_MAIN_HEADER;
    }
    if (overlaps(offset, size, s->l1_table_offset, s->l1_size * sizeof(uint64_t))) {
        found |= QCOW2_OL_ACTIVE_L1;
    }
    if (overlaps(offset, size, s->reftable_offset,
                 (uint64_t)s->reftable_clusters << s->cluster_bits)) {
        found |= QCOW2_OL_REFCOUNT_TABLE;
    }
    if (s->nb_snapshots && overlaps(offset, size, s->snapshots_offset, s->cluster_size)) {
        found |= QCOW2_OL_SNAPSHOT_TABLE;
    }
    if (hits_zone_table(bs, offset, size)) {
        found |= QCOW2_OL_ZONE_TABLE;
    }
    return found;
}

/* Which of @classes have a table in one of the clusters that the range touches. */
static int find_tables(BDRVQcow2State *s, int classes, int64_t offset, int64_t size)
{
    if (!s->overlap_state) {
        make_picture(s);
    }
    for (int64_t at = qcow2_start_of_cluster(s, offset); at < offset + size;
         at += s->cluster_size) {
        int found = GPOINTER_TO_INT(g_hash_table_lookup(s->overlap_state, cluster_key(s, at)));

        if (unlikely(found & classes)) {
            return found & classes;
        }
    }
    return 0;
}

/* The name of the lowest class in @classes. */
static const char *class_name(int classes)
{
    static const struct {
        int overlap_class;
        const char *name;
    } names[] = {
        {QCOW2_OL_MAIN_HEADER, "qcow2_header"},
        {QCOW2_OL_ACTIVE_L1, "active L1 table"},
        {QCOW2_OL_ACTIVE_L2, "active L2 table"},
        {QCOW2_OL_REFCOUNT_BLOCK, "refcount block"},
        {QCOW2_OL_REFCOUNT_TABLE, "refcount table"},
        {QCOW2_OL_SNAPSHOT_TABLE, "snapshot table"},
        {QCOW2_OL_ZONE_TABLE, "zone table"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (classes & names[i].overlap_class) {
            return names[i].name;
        }
    }
    g_assert_not_reached();
}

int coroutine_fn qcow2_pre_write_overlap_check(BlockDriverState *bs, int ign, int64_t offset,
                                               int64_t size, bool data_file)
{
    BDRVQcow2State *s = bs->opaque;
    int classes = s->options.overlap_check & ~ign;
    int found;

    if (data_file || !classes || size == 0) {
        return 0;
    }
    found = find_ranges(bs, offset, size) & classes;
    if (!found && (classes & (QCOW2_OL_ACTIVE_L2 | QCOW2_OL_REFCOUNT_BLOCK))) {
        found = find_tables(s, classes, offset, size);
    }
    if (likely(!found)) {
        return 0;
    }
    qcow2_signal_corruption(bs, true, offset, size,
                            "Preventing invalid write on metadata (overlaps with %s)",
                            class_name(found));
    return -EIO;
}
