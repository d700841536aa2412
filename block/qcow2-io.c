/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest requests: reads, writes, writes of zeroes, discards, and block status.
 *
 * Where the L2 slice is cached, reads and writes to allocated clusters need neither the lock nor
 * metadata I/O.  Data always moves without the lock.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/error-report.h"

/* Look [@offset, ...) up, by the short way if possible.  After 0 nothing has yielded since the
 * entry was seen. */
static int coroutine_fn look_up(BlockDriverState *bs, int64_t offset, int64_t *bytes,
                                int64_t *host_offset, Qcow2ClusterType *type)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    if (likely(qcow2_peek_host_offset(s, offset, bytes, host_offset, type, false))) {
        return 0;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_get_host_offset(bs, offset, bytes, host_offset, type);
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

static int report_compressed(BlockDriverState *bs, int64_t offset)
{
    error_report("qcow2: '%s': compressed clusters are not supported (guest offset %#" PRIx64 ")",
                 bs->filename, offset);
    return -ENOTSUP;
}

/* ---- reading ---- */

/* What shows where this image has nothing: the backing node, and zeroes behind its end. */
static int coroutine_fn read_unallocated(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         QEMUIOVector *qiov, size_t qiov_offset)
{
    int64_t inside = MIN(bytes, qcow2_backing_length(bs) - offset);

    if (inside > 0) {
        int ret = bdrv_co_preadv_part(bs->backing, offset, inside, qiov, qiov_offset, 0);

        if (ret < 0) {
            return ret;
        }
        bytes -= inside;
        qiov_offset += inside;
    }
    qemu_iovec_memset(qiov, qiov_offset, 0, bytes);
    return 0;
}

int coroutine_fn qcow2_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov, size_t qiov_offset,
                                      BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->zoned) {
        return qcow2_zoned_co_preadv_part(bs, offset, bytes, qiov, qiov_offset);
    }
    while (bytes > 0) {
        int64_t count = bytes;
        int64_t host_offset;
        Qcow2ClusterType type;
        unsigned int epoch;
        int ret = look_up(bs, offset, &count, &host_offset, &type);

        if (ret < 0) {
            return ret;
        }
        switch (type) {
        case QCOW2_CLUSTER_NORMAL:
            epoch = qcow2_data_io_begin(s);
            ret = qcow2_file_preadv_part(bs, host_offset, count, qiov, qiov_offset);
            qcow2_data_io_end(s, epoch);
            break;
        case QCOW2_CLUSTER_COMPRESSED:
            ret = report_compressed(bs, offset);
            break;
        case QCOW2_CLUSTER_UNALLOCATED:
            ret = read_unallocated(bs, offset, count, qiov, qiov_offset);
            break;
        default:
            qemu_iovec_memset(qiov, qiov_offset, 0, count);
            break;
        }
        if (ret < 0) {
            return ret;
        }
        offset += count;
        qiov_offset += count;
        bytes -= count;
    }
    return 0;
}

/* ---- writing ---- */

static int coroutine_fn write_in_place(BlockDriverState *bs, int64_t host_offset, int64_t bytes,
                                       QEMUIOVector *qiov, size_t qiov_offset)
{
    BDRVQcow2State *s = bs->opaque;
    unsigned int epoch = qcow2_data_io_begin(s);
    int ret = qcow2_pre_write_overlap_check(bs, 0, host_offset, bytes, false);

    if (unlikely(host_offset + bytes > qcow2_file_length(bs))) {
        s->cannot_reserve = true; /* the file had lost its end, or its driver cannot grow it */
    }
    if (likely(ret == 0)) {
        ret = bdrv_co_pwritev_part(bs->file, host_offset, bytes, qiov, qiov_offset, 0);
    }
    qcow2_data_io_end(s, epoch);
    return ret;
}

/* Fetch the content of @bytes at @offset, in one cluster, whose L2 entry is (still) @entry. */
static int coroutine_fn read_old_content(BlockDriverState *bs, uint64_t entry, int64_t offset,
                                         int64_t bytes, uint8_t *buf)
{
    BDRVQcow2State *s = bs->opaque;
    QEMUIOVector qiov;

    if (bytes == 0) {
        return 0;
    }
    switch (qcow2_cluster_type(entry)) {
    case QCOW2_CLUSTER_NORMAL:
        return qcow2_file_pread(bs,
                                (entry & QCOW2_L2_OFFSET_MASK) +
                                    qcow2_offset_into_cluster(s, offset), bytes, buf);
    case QCOW2_CLUSTER_UNALLOCATED:
        qemu_iovec_init_buf(&qiov, buf, bytes);
        return read_unallocated(bs, offset, bytes, &qiov, 0);
    default:
        memset(buf, 0, bytes);
        return 0;
    }
}

/*
 * Write the whole clusters of @alloc: the guest's @bytes, which begin @head bytes into them,
 * between what was there before.
 */
static int coroutine_fn write_new_clusters(BlockDriverState *bs, const Qcow2Alloc *alloc,
                                           int64_t head, int64_t bytes, QEMUIOVector *qiov,
                                           size_t qiov_offset)
{
    int64_t tail = alloc->bytes - head - bytes;
    g_autofree uint8_t *edges = g_try_malloc(head + tail + 1);
    g_auto(QEMUIOVector) whole;
    int ret;

    qemu_iovec_init(&whole, 3);
    if (!edges) {
        return -ENOMEM;
    }
    ret = read_old_content(bs, alloc->head_entry, alloc->guest_offset, head, edges);
    if (ret == 0) {
        ret = read_old_content(bs, alloc->tail_entry, alloc->guest_offset + alloc->bytes - tail,
                               tail, edges + head);
    }
    if (ret == 0) {
        ret = qcow2_pre_write_overlap_check(bs, 0, alloc->host_offset, alloc->bytes, false);
    }
    if (ret < 0) {
        return ret;
    }
    if (head > 0) {
        qemu_iovec_add(&whole, edges, head);
    }
    qemu_iovec_concat(&whole, qiov, qiov_offset, bytes);
    if (tail > 0) {
        qemu_iovec_add(&whole, edges + head, tail);
    }
    return bdrv_co_pwritev(bs->file, alloc->host_offset, alloc->bytes, &whole, 0);
}

/* Write a beginning of the range to clusters that have to be found or made; *@count: how much. */
static int coroutine_fn write_allocating(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         QEMUIOVector *qiov, size_t qiov_offset, int64_t *count)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2WriteTarget target;
    int ret;

    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_prepare_write(bs, offset, bytes, &target);
    qemu_co_mutex_unlock(&s->lock);
    if (ret == -ENOTSUP) {
        return report_compressed(bs, offset);
    }
    if (ret < 0) {
        return ret;
    }
    *count = target.bytes;
    if (!target.alloc) {
        return write_in_place(bs, target.host_offset, target.bytes, qiov, qiov_offset);
    }
    ret = write_new_clusters(bs, target.alloc, qcow2_offset_into_cluster(s, offset), target.bytes,
                             qiov, qiov_offset);
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_alloc_finish(bs, target.alloc, ret);
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

int coroutine_fn qcow2_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       QEMUIOVector *qiov, size_t qiov_offset,
                                       BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->zoned) {
        int ret = qcow2_zoned_check_random_access(bs, offset, bytes);

        if (ret == -ENOTSUP) {
            return qcow2_zoned_co_pwritev_part(bs, offset, bytes, qiov, qiov_offset);
        }
        if (ret < 0) {
            return ret;
        }
    }
    while (bytes > 0) {
        int64_t count = bytes;
        int64_t host_offset;
        Qcow2ClusterType type;
        int ret;

        if (qcow2_peek_host_offset(s, offset, &count, &host_offset, &type, true)) {
            ret = write_in_place(bs, host_offset, count, qiov, qiov_offset);
        } else {
            ret = write_allocating(bs, offset, bytes, qiov, qiov_offset, &count);
        }
        if (ret < 0) {
            return ret;
        }
        offset += count;
        qiov_offset += count;
        bytes -= count;
    }
    return 0;
}

/* ---- requests without data ---- */

/* Whether the range is made of whole clusters; the last one of the disk may be a part. */
static bool is_cluster_aligned(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;

    return qcow2_offset_into_cluster(s, offset) == 0 &&
           (qcow2_offset_into_cluster(s, bytes) == 0 || offset + bytes == bs->total_bytes);
}

/* Whether the backing node, if there is one, is known to have nothing but zeroes there. */
static bool coroutine_fn backing_is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t inside = MIN(bytes, qcow2_backing_length(bs) - offset);

    return inside <= 0 || bdrv_co_is_zero(bs->backing->bs, offset, inside);
}

/* A part of a cluster is zeroed without writing only if it reads as zeroes already. */
static int coroutine_fn zero_partial_cluster(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    while (bytes > 0) {
        int64_t count = bytes;
        int64_t host_offset;
        Qcow2ClusterType type;
        int ret = look_up(bs, offset, &count, &host_offset, &type);

        if (ret < 0) {
            return ret;
        }
        if (type == QCOW2_CLUSTER_NORMAL || type == QCOW2_CLUSTER_COMPRESSED ||
            (type == QCOW2_CLUSTER_UNALLOCATED && !backing_is_zero(bs, offset, count))) {
            return -ENOTSUP;
        }
        offset += count;
        bytes -= count;
    }
    return 0;
}

int coroutine_fn qcow2_write_zeroes_as_data(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    QEMU_AUTO_VFREE void *zeroes = qemu_memalign(4096, bytes);
    QEMUIOVector qiov;

    memset(zeroes, 0, bytes);
    qemu_iovec_init_buf(&qiov, zeroes, bytes);
    return qcow2_co_pwritev_part(bs, offset, bytes, &qiov, 0, 0);
}

int coroutine_fn qcow2_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = s->zoned ? qcow2_zoned_check_random_access(bs, offset, bytes) : 0;

    if (ret < 0) {
        return ret;
    }
    if (!is_cluster_aligned(bs, offset, bytes) || s->qcow_version < 3) {
        ret = zero_partial_cluster(bs, offset, bytes);
        /* In a conventional zone the block layer, which knows no zones, leaves it to the driver. */
        return ret == -ENOTSUP && s->zoned && !(flags & BDRV_REQ_NO_FALLBACK)
                   ? qcow2_write_zeroes_as_data(bs, offset, bytes)
                   : ret;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_zero_clusters(bs, offset, bytes,
                              flags & BDRV_REQ_MAY_UNMAP ? QCOW2_ZERO_UNMAP : 0);
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

int coroutine_fn qcow2_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = s->zoned ? qcow2_zoned_check_random_access(bs, offset, bytes) : 0;

    if (ret < 0) {
        return ret;
    }
    if (!is_cluster_aligned(bs, offset, bytes)) {
        /* Of a zoned device the block layer takes this for the refusal of a sequential zone. */
        return s->zoned ? 0 : -ENOTSUP;
    }
    qemu_co_mutex_lock(&s->lock);
    if (s->qcow_version >= 3) {
        /* Zeroes, not a hole: what is behind the image must not show, be it again or still. */
        ret = qcow2_zero_clusters(
            bs, offset, bytes,
            (offset < qcow2_backing_length(bs) ? 0 : QCOW2_ZERO_ONLY_ALLOCATED) |
                (s->options.discard_no_unref ? 0 : QCOW2_ZERO_UNMAP));
    } else if (offset < qcow2_backing_length(bs)) {
        ret = -ENOTSUP; /* version 2 has no zero clusters to hide it with */
    } else {
        ret = qcow2_discard_clusters(bs, offset, bytes, QCOW2_DISCARD_REQUEST);
    }
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

int coroutine_fn qcow2_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t host_offset;
    Qcow2ClusterType type;
    int ret;

    *pnum = bytes;
    if (s->zoned) {
        /* What lies above a write pointer is zeroes, whatever the tables have there. */
        ret = qcow2_zoned_data_extent(bs, offset, bytes, pnum);
        if (ret <= 0) {
            return ret < 0 ? ret : BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED;
        }
    }
    ret = look_up(bs, offset, pnum, &host_offset, &type);
    if (ret < 0) {
        return ret;
    }
    switch (type) {
    case QCOW2_CLUSTER_UNALLOCATED:
        /* A sequential zone says itself what is in it. */
        return s->zoned && qcow2_zoned_check_random_access(bs, offset, 1) == -ENOTSUP
                   ? BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED
                   : 0;
    case QCOW2_CLUSTER_ZERO_PLAIN:
        return BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED;
    case QCOW2_CLUSTER_ZERO_ALLOC:
        *map = host_offset;
        *file = bs->file->bs;
        return BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED | BDRV_BLOCK_OFFSET_VALID;
    case QCOW2_CLUSTER_COMPRESSED:
        return BDRV_BLOCK_DATA | BDRV_BLOCK_ALLOCATED | BDRV_BLOCK_COMPRESSED;
    default:
        *map = host_offset;
        *file = bs->file->bs;
        return BDRV_BLOCK_DATA | BDRV_BLOCK_ALLOCATED | BDRV_BLOCK_OFFSET_VALID;
    }
}

int coroutine_fn qcow2_co_flush(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    return s->zoned ? qcow2_zoned_co_flush(bs) : qcow2_flush_unlocked(bs);
}
