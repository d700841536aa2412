/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check of a qcow2 image, and its repair: the order of the steps.
 *
 * First everything that the image refers to is counted, then the counts are compared with the
 * refcounts, then the COPIED flags with these.  Repair sets refcounts right before flags, because a
 * wrong flag on a shared cluster is dangerous and a missing one is not.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"
#include "block/qcow2-zoned.h"

const char *qcow2_check_verb(bool is_repair)
{
    return is_repair ? "Repairing" : "ERROR";
}

bool qcow2_check_count(Qcow2Check *check, int64_t offset, int64_t bytes, uint64_t nr_refs)
{
    uint64_t first = (uint64_t)offset >> check->s->cluster_bits;
    uint64_t end = (uint64_t)offset + bytes;

    if (bytes == 0) {
        return true;
    }
    /* The last cluster of the file may be there in part. */
    if (offset < 0 || bytes < 0 || end >= (uint64_t)check->file_length + check->s->cluster_size) {
        fprintf(stderr,
                "ERROR: counting reference for region exceeding the end of the file by one "
                "cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64 "\n",
                (uint64_t)offset, (uint64_t)bytes);
        check->result->corruptions++;
        return false;
    }
    for (uint64_t cluster = first; cluster << check->s->cluster_bits < end; cluster++) {
        refmap_add(check->map, cluster, nr_refs);
    }
    return true;
}

bool qcow2_check_is_exclusive(Qcow2Check *check, int64_t offset, int64_t bytes, uint64_t nr_refs)
{
    uint64_t end = (uint64_t)offset + bytes;

    for (uint64_t cluster = offset >> check->s->cluster_bits;
         cluster << check->s->cluster_bits < end; cluster++) {
        if (refmap_get(check->map, cluster) != nr_refs) {
            return false;
        }
    }
    return true;
}

/* Count every reference that there is. */
static int coroutine_fn count_references(Qcow2Check *check)
{
    BDRVQcow2State *s = check->s;
    int ret;

    qcow2_check_count(check, 0, s->cluster_size, 1);
    if (qcow2_check_count(check, s->l1_table_offset, s->l1_size * sizeof(uint64_t), 1)) {
        qcow2_check_collect_l2(check, s->l1_table, s->l1_size, 1, true);
    }
    ret = qcow2_check_count_metadata(check);
    if (ret == 0) {
        ret = qcow2_check_walk_l2(check);
    }
    if (ret == 0) {
        qcow2_check_count_refcounts(check);
    }
    return ret;
}

/* Compare the refcounts, and repair or rebuild them. */
static int coroutine_fn settle_refcounts(Qcow2Check *check)
{
    BdrvCheckMode fix = check->fix;
    int ret;

    if (!fix) {
        return qcow2_check_compare(check, 0);
    }
    ret = qcow2_check_find_lost(check);
    if (ret < 0) {
        return ret;
    }
    if (!check->needs_rebuild) {
        return qcow2_check_compare(check, fix);
    }
    if (!(fix & BDRV_FIX_ERRORS)) {
        ret = qcow2_check_compare(check, 0);
        fprintf(stderr, "ERROR need to rebuild refcount structures\n");
        return ret < 0 ? ret : -EIO;
    }
    ret = qcow2_check_compare(check, fix);
    return ret < 0 ? ret : qcow2_repair_rebuild(check);
}

static int coroutine_fn check_image(Qcow2Check *check)
{
    int ret = count_references(check);

    if (ret < 0) {
        return ret;
    }
    ret = settle_refcounts(check);
    if (ret == 0) {
        ret = qcow2_repair_tables(check);
    }
    if (ret == 0 && check->s->zoned) {
        ret = qcow2_zoned_check_table(check->bs, check->result, check->fix);
    }
    check->result->image_end_offset = (check->last_used + 1) << check->s->cluster_bits;
    return ret;
}

int coroutine_fn qcow2_check_refcounts(BlockDriverState *bs, BdrvCheckResult *result,
                                       BdrvCheckMode fix)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Check check = {.bs = bs, .s = s, .result = result, .fix = fix, .last_used = -1};
    int ret = bs->read_only ? 0 : qcow2_flush_all(bs);

    if (ret < 0) {
        return ret;
    }
    /* Blocks are read and written here directly. */
    qcow2_cache_forget_all(s->refcount_cache);
    qcow2_cache_forget_all(s->l2_cache);
    check.file_length = qcow2_file_length(bs);
    check.nr_clusters = qcow2_size_to_clusters(s, check.file_length);
    check.map = refmap_new();
    check.l2_tables = g_array_new(false, false, sizeof(CheckL2Table));
    check.l2_by_offset = g_hash_table_new(g_direct_hash, g_direct_equal);
    check.refblock_places = g_hash_table_new(g_direct_hash, g_direct_equal);
    result->total_clusters = qcow2_size_to_clusters(s, bs->total_bytes);

    ret = check_image(&check);

    refmap_free(check.map);
    g_array_unref(check.l2_tables);
    g_hash_table_unref(check.l2_by_offset);
    g_hash_table_unref(check.refblock_places);
    g_free(check.refblocks);
    return ret;
}

int coroutine_fn qcow2_co_check(BlockDriverState *bs, BdrvCheckResult *result, BdrvCheckMode fix)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_check_refcounts(bs, result, fix);
    if (ret == 0 && fix && result->corruptions == 0 && result->check_errors == 0) {
        ret = qcow2_mark_clean(bs);
        if (ret == 0) {
            ret = qcow2_mark_consistent(bs);
        }
    }
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}
