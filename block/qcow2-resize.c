/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing the size of the disk, and preallocation.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"

/* Preallocation links this much at a time, so that no single run has to be longer. */
#define PREALLOC_CHUNK (64 * MiB)

/* ---- preallocation ---- */

/*
 * New clusters for the unallocated, cluster aligned @bytes at @guest_offset.  The file reaches to
 * their end before anything behind them is written: what it then has got only a length for would
 * stay without space.
 */
static int coroutine_fn preallocate_extent(BlockDriverState *bs, int64_t guest_offset,
                                           int64_t bytes, PreallocMode mode)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t zero_from = s->zero_from;
    int64_t host_offset = qcow2_alloc_clusters(bs, bytes);
    int ret = 0;

    if (host_offset < 0) {
        return host_offset;
    }
    if (host_offset < zero_from) {
        ret = qcow2_pre_write_overlap_check(bs, 0, host_offset, bytes, false);
        if (ret == 0) {
            ret = bdrv_co_pwrite_zeroes(bs->file, host_offset, bytes, 0);
        }
        s->data_seq = ++s->write_seq;
    }
    if (ret == 0 && host_offset + bytes > qcow2_file_length(bs)) {
        ret = bdrv_co_truncate(bs->file, host_offset + bytes, false,
                               mode == PREALLOC_MODE_METADATA ? PREALLOC_MODE_OFF : mode, 0,
                               NULL);
    }
    return ret < 0 ? ret : qcow2_link_clusters(bs, guest_offset, host_offset, bytes);
}

static int coroutine_fn map_all(BlockDriverState *bs, int64_t guest_offset, int64_t end,
                                PreallocMode mode)
{
    BDRVQcow2State *s = bs->opaque;

    while (guest_offset < end) {
        int64_t bytes = MIN(end - guest_offset, PREALLOC_CHUNK);
        int64_t host_offset;
        Qcow2ClusterType type;
        int ret = qcow2_get_host_offset(bs, guest_offset, &bytes, &host_offset, &type);

        if (ret == 0 && type == QCOW2_CLUSTER_UNALLOCATED) {
            ret = preallocate_extent(bs, guest_offset, bytes, mode);
        }
        if (ret < 0) {
            return ret;
        }
        guest_offset += bytes;
    }
    return qcow2_offset_into_cluster(s, guest_offset) ? -EINVAL : 0;
}

int coroutine_fn qcow2_preallocate(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                   PreallocMode mode, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    bool cannot_reserve = s->cannot_reserve;
    int ret;

    /* The file grows as @mode says, and not ahead. */
    s->cannot_reserve = true;
    ret = map_all(bs, qcow2_start_of_cluster(s, guest_offset),
                  ROUND_UP(guest_offset + bytes, s->cluster_size), mode);
    s->cannot_reserve = cannot_reserve;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not preallocate clusters");
    }
    return ret;
}

/* ---- growing ---- */

/* What lies behind the present end in its last cluster may be anything, but will be seen. */
static int coroutine_fn zero_old_tail(BlockDriverState *bs, int64_t old_size)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t bytes = s->cluster_size - qcow2_offset_into_cluster(s, old_size);
    int64_t host_offset;
    Qcow2ClusterType type;
    int ret;

    if (bytes == s->cluster_size) {
        return 0;
    }
    qcow2_wait_for_allocs(bs, old_size, bytes);
    ret = qcow2_get_host_offset(bs, old_size, &bytes, &host_offset, &type);
    if (ret < 0 || type != QCOW2_CLUSTER_NORMAL || host_offset >= qcow2_file_length(bs)) {
        return ret;
    }
    ret = qcow2_pre_write_overlap_check(bs, 0, host_offset, bytes, false);
    return ret < 0 ? ret : bdrv_co_pwrite_zeroes(bs->file, host_offset, bytes, 0);
}

/*
 * Where the backing file is longer than the disk was, its content must not show in what is added:
 * zeroes hide it.  The part of the last cluster is written, which is why the lock is not held.
 */
static int coroutine_fn hide_backing_tail(BlockDriverState *bs, int64_t old_size)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t bytes = ROUND_UP(old_size, s->cluster_size) - old_size;

    return bytes && old_size < qcow2_backing_length(bs)
               ? qcow2_write_zeroes_as_data(bs, old_size, bytes)
               : 0;
}

/* The same for all clusters behind the last one. */
static int coroutine_fn hide_backing(BlockDriverState *bs, int64_t old_size, int64_t size)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t first = ROUND_UP(old_size, s->cluster_size);
    int64_t end = MIN(size, qcow2_backing_length(bs));

    return first < end ? qcow2_zero_clusters(bs, first, end - first, 0) : 0;
}

static int coroutine_fn grow(BlockDriverState *bs, int64_t size, PreallocMode prealloc,
                             Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t old_size = bs->total_bytes;
    int64_t prealloc_from = bs->backing ? ROUND_UP(old_size, s->cluster_size) : old_size;
    int ret = zero_old_tail(bs, old_size);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not zero the end of the last cluster");
        return ret;
    }
    ret = qcow2_l1_grow(bs, qcow2_l1_entries_for(s, size));
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to grow the L1 table");
        return ret;
    }
    ret = hide_backing(bs, old_size, size);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to hide the backing file, which is longer, in what is "
                         "added");
        return ret;
    }
    return prealloc == PREALLOC_MODE_OFF || prealloc_from >= size
               ? 0
               : qcow2_preallocate(bs, prealloc_from, size - prealloc_from, prealloc, errp);
}

/* ---- shrinking ---- */

/* Free the L2 tables that map nothing of the first @size bytes; their entries are empty. */
static int coroutine_fn drop_l2_tables(BlockDriverState *bs, int64_t size)
{
    BDRVQcow2State *s = bs->opaque;

    for (uint64_t i = qcow2_l1_entries_for(s, size); i < s->l1_size; i++) {
        uint64_t l2_offset = s->l1_table[i] & QCOW2_L1_OFFSET_MASK;
        int ret;

        if (l2_offset == 0 || qcow2_offset_into_cluster(s, l2_offset)) {
            continue;
        }
        s->l1_table[i] = 0;
        qcow2_mark_l1_dirty(s, i);
        qcow2_cache_forget(s->l2_cache, l2_offset, s->cluster_size);
        ret = qcow2_free_clusters_later(bs, l2_offset, s->cluster_size, QCOW2_DISCARD_ALWAYS);
        if (ret < 0) {
            return ret;
        }
    }
    qcow2_overlap_reset(s);
    return 0;
}

void coroutine_fn qcow2_cut_file(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t last = qcow2_last_used_cluster(bs);
    int64_t end = (last + 1) << s->cluster_bits;

    if (last >= 0 && end < qcow2_file_length(bs) &&
        bdrv_co_truncate(bs->file, end, false, PREALLOC_MODE_OFF, 0, NULL) == 0) {
        s->free_cluster_index = MIN(s->free_cluster_index, (uint64_t)last + 1);
    }
}

static int coroutine_fn shrink(BlockDriverState *bs, int64_t size, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t first = ROUND_UP(size, s->cluster_size);
    int64_t end = ROUND_UP(bs->total_bytes, s->cluster_size);
    int ret = 0;

    if (first < end) {
        ret = qcow2_discard_clusters(bs, first, end - first, QCOW2_DISCARD_ALWAYS);
    }
    if (ret == 0) {
        ret = qcow2_write_caches(bs);
    }
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret == 0) {
        ret = drop_l2_tables(bs, size);
    }
    if (ret == 0) {
        ret = qcow2_flush_all(bs);
    }
    if (ret == 0) {
        ret = qcow2_drop_idle_refblocks(bs);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Failed to discard the clusters behind the new end");
    }
    return ret;
}

/* ---- both ---- */

static int check_resize(BlockDriverState *bs, int64_t size, PreallocMode prealloc, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;

    if (!QEMU_IS_ALIGNED(size, BDRV_SECTOR_SIZE)) {
        error_setg(errp, "The new size must be a multiple of %d", (int)BDRV_SECTOR_SIZE);
        return -EINVAL;
    }
    if (qcow2_l1_entries_for(s, size) > QCOW2_MAX_L1_BYTES / sizeof(uint64_t)) {
        error_setg(errp, "The image size is too large for file format 'qcow2' (try using a larger "
                         "cluster size)");
        return -EFBIG;
    }
    if (s->zoned) {
        error_setg(errp, "Resizing a zoned image is not supported");
        return -ENOTSUP;
    }
    if (size < bs->total_bytes && prealloc != PREALLOC_MODE_OFF) {
        error_setg(errp, "Preallocation can't be used for shrinking an image");
        return -EINVAL;
    }
    return 0;
}

int coroutine_fn qcow2_co_truncate(BlockDriverState *bs, int64_t size, bool exact,
                                   PreallocMode prealloc, BdrvRequestFlags flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    g_auto(CoMutexGuard) guard = NULL;
    int64_t old_size = bs->total_bytes;
    bool is_shrinking = size < old_size;
    int ret = check_resize(bs, size, prealloc, errp);

    if (ret == 0 && !is_shrinking) {
        ret = hide_backing_tail(bs, old_size);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not zero the end of the last cluster");
        }
    }
    if (ret < 0) {
        return ret;
    }
    guard = qemu_co_mutex_guard(&s->lock);
    ret = is_shrinking ? shrink(bs, size, errp) : grow(bs, size, prealloc, errp);
    if (ret < 0) {
        return ret;
    }
    bs->total_bytes = size;
    ret = qcow2_update_header(bs);
    if (ret == 0) {
        ret = qcow2_flush_all(bs);
    }
    if (ret < 0) {
        bs->total_bytes = old_size;
        error_setg_errno(errp, -ret, "Failed to update the image size");
        return ret;
    }
    if (is_shrinking) {
        qcow2_cut_file(bs);
    }
    return 0;
}
