/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * References against refcounts, and setting refcounts right where their blocks are sound.
 *
 * Refcounts are read block by block from the file, whose blocks are all up to date when a check
 * begins.  Where there is no block, all refcounts are 0; then only clusters that somebody uses
 * matter, which are found in the map, so that the time follows from the image's content and not
 * from the length that its file claims.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"

/* What a comparison of a block or a region is to do. */
typedef struct CompareState {
    Qcow2Check *check;
    BdrvCheckMode fix; /* which differences are, or will be, set right */
    bool is_silent;    /* only look for clusters in use with refcount 0 */
    bool do_write;     /* fixes go to the blocks */
    uint8_t *block;    /* cluster_size bytes */
} CompareState;

static uint64_t block_entries(const BDRVQcow2State *s)
{
    return UINT64_C(1) << s->refcount_block_bits;
}

/* Tell of a difference.  Returns whether it is to be set right. */
static bool report_difference(const CompareState *state, uint64_t cluster, uint64_t refcount,
                              uint64_t references)
{
    Qcow2Check *check = state->check;
    bool is_leak = refcount > references;
    bool is_repair = is_leak ? state->fix & BDRV_FIX_LEAKS : state->fix & BDRV_FIX_ERRORS;
    const char *what = is_repair ? "Repairing" : is_leak ? "Leaked" : "ERROR";

    if (references > check->s->refcount_max && state->do_write) {
        what = "ERROR";
        is_repair = false;
    }
    fprintf(stderr, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64 "\n", what,
            cluster, refcount, references);
    if (is_repair) {
        *(is_leak ? &check->result->leaks_fixed : &check->result->corruptions_fixed) += 1;
    } else {
        *(is_leak ? &check->result->leaks : &check->result->corruptions) += 1;
    }
    return is_repair;
}

/* Returns the refcount that is in force afterwards. */
static uint64_t settle_difference(CompareState *state, uint64_t cluster, uint64_t refcount,
                                  uint64_t references)
{
    Qcow2Check *check = state->check;

    if (refcount == 0 && references > 0) {
        check->needs_rebuild = true;
    }
    if (state->is_silent || report_difference(state, cluster, refcount, references)) {
        return references;
    }
    /* From here on the map says what is in force: the flags are compared with that. */
    if (references > 0 && (state->do_write || !state->fix)) {
        refmap_set(check->map, cluster, refcount);
    }
    return refcount;
}

/* The same for clusters with and without a difference. */
static uint64_t compare_cluster(CompareState *state, uint64_t cluster, uint64_t refcount,
                                uint64_t references)
{
    uint64_t in_force = refcount;

    if (unlikely(refcount != references)) {
        in_force = settle_difference(state, cluster, refcount, references);
    }
    if (in_force | references) {
        state->check->last_used = MAX(state->check->last_used, (int64_t)cluster);
    }
    return in_force;
}

static int coroutine_fn compare_block(CompareState *state, uint64_t table_index)
{
    Qcow2Check *check = state->check;
    BDRVQcow2State *s = check->s;
    uint64_t first = table_index << s->refcount_block_bits;
    uint64_t count = MIN(block_entries(s), check->nr_clusters - MIN(first, check->nr_clusters));
    int64_t offset = s->reftable[table_index] & QCOW2_REFTABLE_OFFSET_MASK;
    bool is_changed = false;
    int ret = qcow2_file_pread(check->bs, offset, s->cluster_size, state->block);

    if (ret < 0) {
        fprintf(stderr, "ERROR could not read refcount block %" PRIu64 ": %s\n", table_index,
                strerror(-ret));
        check->result->check_errors++;
        return ret;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t refcount = s->get_refcount(state->block, i);
        uint64_t references = refmap_get(check->map, first + i);
        uint64_t in_force = compare_cluster(state, first + i, refcount, references);

        if (in_force != refcount && state->do_write) {
            s->set_refcount(state->block, i, in_force);
            is_changed = true;
        }
    }
    return is_changed ? qcow2_file_pwrite(check->bs, QCOW2_OL_REFCOUNT_BLOCK, offset,
                                          s->cluster_size, state->block)
                      : 0;
}

/* Clusters in use that no block counts. */
static void compare_regions_without_block(CompareState *state)
{
    Qcow2Check *check = state->check;
    RefMapIter iter;
    uint64_t cluster, references;

    refmap_iter_init(&iter, check->map);
    while (refmap_iter_next(&iter, &cluster, &references)) {
        uint64_t table_index = cluster >> check->s->refcount_block_bits;

        if (cluster < check->nr_clusters &&
            (table_index >= check->s->reftable_entries ||
             check->refblocks[table_index] == CHECK_REFBLOCK_NONE)) {
            compare_cluster(state, cluster, 0, references);
        }
    }
    refmap_iter_clear(&iter);
}

static int coroutine_fn compare(CompareState *state)
{
    Qcow2Check *check = state->check;
    QEMU_AUTO_VFREE uint8_t *block = qemu_try_memalign(4096, check->s->cluster_size);
    int ret = 0;

    if (!block) {
        return -ENOMEM;
    }
    state->block = block;
    for (uint64_t i = 0; i < check->s->reftable_entries && ret == 0; i++) {
        if (check->refblocks[i] == CHECK_REFBLOCK_GOOD) {
            ret = compare_block(state, i);
        }
    }
    if (ret == 0) {
        compare_regions_without_block(state);
    }
    return ret;
}

int coroutine_fn qcow2_check_find_lost(Qcow2Check *check)
{
    CompareState state = {.check = check, .is_silent = true};

    return compare(&state);
}

int coroutine_fn qcow2_check_compare(Qcow2Check *check, BdrvCheckMode fix)
{
    CompareState state = {.check = check, .fix = fix, .do_write = fix && !check->needs_rebuild};

    return compare(&state);
}
