/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runtime options: sizes of the caches, what is discarded on the host, what the overlap check
 * protects.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"

#define L2_CACHE_MAX_DEFAULT (32 * MiB)
#define L2_SLICE_DEFAULT 4096
#define REFCOUNT_CACHE_DEFAULT (256 * KiB)
#define REFCOUNT_CACHE_MIN_TABLES 4
#define L2_CACHE_MIN_TABLES 16 /* a request may hold one, and requests run in parallel */
#define CACHE_MAX_TABLES (1 << 24)
#define CACHE_CLEAN_INTERVAL_DEFAULT 600

/* Bytes of L2 slices that map the whole disk. */
static uint64_t full_l2_cache_bytes(BlockDriverState *bs, uint32_t slice_bytes)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t nr_clusters = qcow2_size_to_clusters(s, bs->total_bytes);

    return ROUND_UP(nr_clusters * sizeof(uint64_t), (uint64_t)slice_bytes);
}

static bool parse_slice_bytes(const BDRVQcow2State *s, const BlockdevOptionsQcow2 *options,
                              Qcow2Options *result, Error **errp)
{
    uint64_t bytes = MIN(L2_SLICE_DEFAULT, s->cluster_size);

    if (options && options->has_l2_cache_entry_size) {
        bytes = options->l2_cache_entry_size;
        if (!is_power_of_2(bytes) || bytes < 512 || bytes > (uint64_t)s->cluster_size) {
            error_setg(errp,
                       "L2 cache entry size must be a power of two between 512 and the cluster "
                       "size (%" PRId64 "), got %" PRIu64, s->cluster_size, bytes);
            return false;
        }
    }
    result->l2_slice_bytes = bytes;
    return true;
}

/* Divide cache-size between the two caches: L2 tables first, as far as they can use it. */
static bool split_cache_size(const BlockdevOptionsQcow2 *options, uint64_t full_l2_bytes,
                             Qcow2Options *result, Error **errp)
{
    uint64_t total = options->cache_size;

    if (options->has_l2_cache_size && options->has_refcount_cache_size) {
        error_setg(errp, "cache-size, l2-cache-size and refcount-cache-size may not be set at the "
                         "same time");
        return false;
    }
    if (options->has_l2_cache_size) {
        if (options->l2_cache_size > total) {
            error_setg(errp, "l2-cache-size may not exceed cache-size: %" PRIu64 " > %" PRIu64,
                       options->l2_cache_size, total);
            return false;
        }
        result->refcount_cache_bytes = total - options->l2_cache_size;
    } else if (options->has_refcount_cache_size) {
        if (options->refcount_cache_size > total) {
            error_setg(errp,
                       "refcount-cache-size may not exceed cache-size: %" PRIu64 " > %" PRIu64,
                       options->refcount_cache_size, total);
            return false;
        }
        result->l2_cache_bytes = total - options->refcount_cache_size;
    } else {
        result->l2_cache_bytes = MIN(full_l2_bytes, total - total / 5);
        result->refcount_cache_bytes = total - result->l2_cache_bytes;
    }
    return true;
}

static bool check_cache_tables(const char *name, uint64_t bytes, uint64_t table_bytes,
                               Error **errp)
{
    if (bytes / table_bytes > CACHE_MAX_TABLES || bytes > INT64_MAX / 2) {
        error_setg(errp, "%s is too big: %" PRIu64, name, bytes);
        return false;
    }
    return true;
}

static bool parse_cache_sizes(BlockDriverState *bs, const BlockdevOptionsQcow2 *options,
                              Qcow2Options *result, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t full_l2_bytes = full_l2_cache_bytes(bs, result->l2_slice_bytes);

    result->l2_cache_bytes = MIN(full_l2_bytes, (uint64_t)L2_CACHE_MAX_DEFAULT);
    result->refcount_cache_bytes = REFCOUNT_CACHE_DEFAULT;
    if (options && options->has_l2_cache_size) {
        result->l2_cache_bytes = options->l2_cache_size;
    }
    if (options && options->has_refcount_cache_size) {
        result->refcount_cache_bytes = options->refcount_cache_size;
    }
    if (options && options->has_cache_size &&
        !split_cache_size(options, full_l2_bytes, result, errp)) {
        return false;
    }
    result->l2_cache_bytes = MAX(result->l2_cache_bytes,
                                 (uint64_t)L2_CACHE_MIN_TABLES * result->l2_slice_bytes);
    result->refcount_cache_bytes = MAX(result->refcount_cache_bytes,
                                       (uint64_t)REFCOUNT_CACHE_MIN_TABLES * s->cluster_size);
    return check_cache_tables("L2 cache size", result->l2_cache_bytes, result->l2_slice_bytes,
                              errp) &&
           check_cache_tables("Refcount cache size", result->refcount_cache_bytes,
                              s->cluster_size, errp);
}

/* ---- overlap check ---- */

static int template_classes(Qcow2OverlapCheckMode mode)
{
    switch (mode) {
    case QCOW2_OVERLAP_CHECK_MODE_NONE:
        return 0;
    case QCOW2_OVERLAP_CHECK_MODE_CONSTANT:
        return QCOW2_OL_CONSTANT;
    case QCOW2_OVERLAP_CHECK_MODE_ALL:
        return QCOW2_OL_ALL;
    default:
        return QCOW2_OL_CACHED;
    }
}

static void apply_class(int *classes, int class_bit, bool is_given, bool is_on)
{
    if (is_given) {
        *classes = is_on ? *classes | class_bit : *classes & ~class_bit;
    }
}

static int parse_overlap_check(const Qcow2OverlapChecks *checks)
{
    const Qcow2OverlapCheckFlags *flags;
    int classes = QCOW2_OL_CACHED;

    if (!checks) {
        return classes;
    }
    if (checks->type == QCOW2_OVERLAP_CHECKS_KIND_MODE) {
        return template_classes(checks->u.mode);
    }
    flags = &checks->u.flags;
    if (flags->has_template) {
        classes = template_classes(flags->template);
    }
    apply_class(&classes, QCOW2_OL_MAIN_HEADER, flags->has_main_header, flags->main_header);
    apply_class(&classes, QCOW2_OL_ACTIVE_L1, flags->has_active_l1, flags->active_l1);
    apply_class(&classes, QCOW2_OL_ACTIVE_L2, flags->has_active_l2, flags->active_l2);
    apply_class(&classes, QCOW2_OL_REFCOUNT_TABLE, flags->has_refcount_table,
                flags->refcount_table);
    apply_class(&classes, QCOW2_OL_REFCOUNT_BLOCK, flags->has_refcount_block,
                flags->refcount_block);
    apply_class(&classes, QCOW2_OL_SNAPSHOT_TABLE, flags->has_snapshot_table,
                flags->snapshot_table);
    apply_class(&classes, QCOW2_OL_INACTIVE_L1, flags->has_inactive_l1, flags->inactive_l1);
    apply_class(&classes, QCOW2_OL_INACTIVE_L2, flags->has_inactive_l2, flags->inactive_l2);
    apply_class(&classes, QCOW2_OL_BITMAP_DIRECTORY, flags->has_bitmap_directory,
                flags->bitmap_directory);
    apply_class(&classes, QCOW2_OL_ZONE_TABLE, flags->has_zone_table, flags->zone_table);
    return classes;
}

/* ---- all of them ---- */

static void parse_discards(const BlockdevOptionsQcow2 *options, int flags, Qcow2Options *result)
{
    bool *pass = result->pass_discard;

    pass[QCOW2_DISCARD_NEVER] = false;
    pass[QCOW2_DISCARD_ALWAYS] = true;
    pass[QCOW2_DISCARD_REQUEST] = options && options->has_pass_discard_request
                                      ? options->pass_discard_request
                                      : (flags & BDRV_O_UNMAP) != 0;
    pass[QCOW2_DISCARD_SNAPSHOT] =
        !(options && options->has_pass_discard_snapshot) || options->pass_discard_snapshot;
    pass[QCOW2_DISCARD_OTHER] =
        options && options->has_pass_discard_other && options->pass_discard_other;
    result->discard_no_unref =
        options && options->has_discard_no_unref && options->discard_no_unref;
}

bool qcow2_parse_options(BlockDriverState *bs, const BlockdevOptionsQcow2 *options, int flags,
                         Qcow2Options *result, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    bool is_lazy = s->compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;

    *result = (Qcow2Options){0};
    if (options && options->has_lazy_refcounts) {
        is_lazy = options->lazy_refcounts;
    }
    if (is_lazy && s->qcow_version < 3) {
        error_setg(errp, "Lazy refcounts require a qcow2 image with at least qemu 1.1 "
                         "compatibility level");
        return false;
    }
    result->lazy_refcounts = is_lazy;
    result->cache_clean_interval = options && options->has_cache_clean_interval
                                       ? options->cache_clean_interval
                                       : CACHE_CLEAN_INTERVAL_DEFAULT;
    if (result->cache_clean_interval > INT64_MAX / 1000000000) {
        error_setg(errp, "Cache clean interval too big: %" PRIu64 " seconds",
                   result->cache_clean_interval);
        return false;
    }
    parse_discards(options, flags, result);
    result->overlap_check = parse_overlap_check(options ? options->overlap_check : NULL);
    return parse_slice_bytes(s, options, result, errp) &&
           parse_cache_sizes(bs, options, result, errp);
}
