/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image file below a qcow2 node: reading, writing and syncing it, for metadata and data.
 *
 * Also the bracket around data I/O that keeps clusters from being given to somebody else while a
 * request that found them in the L2 tables is still on its way to them.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"

int64_t qcow2_file_length(BlockDriverState *bs)
{
    return bs->file->bs->total_bytes;
}

int coroutine_fn qcow2_file_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        QEMUIOVector *qiov, size_t qiov_offset)
{
    int64_t inside = MIN(bytes, qcow2_file_length(bs) - offset);

    if (unlikely(inside < bytes)) {
        inside = MAX(inside, 0);
        qemu_iovec_memset(qiov, qiov_offset + inside, 0, bytes - inside);
        if (inside == 0) {
            return 0;
        }
    }
    return bdrv_co_preadv_part(bs->file, offset, inside, qiov, qiov_offset, 0);
}

int coroutine_fn qcow2_file_pread(BlockDriverState *bs, int64_t offset, int64_t bytes, void *buf)
{
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, buf, bytes);
    return qcow2_file_preadv_part(bs, offset, bytes, &qiov, 0);
}

int coroutine_fn qcow2_file_pwritev(BlockDriverState *bs, int ign, int64_t offset,
                                    QEMUIOVector *qiov)
{
    int ret = qcow2_pre_write_overlap_check(bs, ign, offset, qiov->size, false);

    if (ret < 0) {
        return ret;
    }
    return bdrv_co_pwritev(bs->file, offset, qiov->size, qiov, 0);
}

int coroutine_fn qcow2_file_pwrite(BlockDriverState *bs, int ign, int64_t offset, int64_t bytes,
                                   const void *buf)
{
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, (void *)buf, bytes);
    return qcow2_file_pwritev(bs, ign, offset, &qiov);
}

int coroutine_fn qcow2_file_sync(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t seq = s->write_seq;
    int ret = bdrv_co_flush(bs->file->bs);

    if (ret == 0) {
        s->synced_seq = MAX(s->synced_seq, seq);
    }
    return ret;
}

/* How much space is taken at the end of the file at once: the more the longer it is. */
#define RESERVE_MIN_BYTES MiB
#define RESERVE_MAX_BYTES (64 * MiB)

void coroutine_fn qcow2_file_reserve(BlockDriverState *bs, int64_t end)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t length = qcow2_file_length(bs);
    int64_t start = MAX(ROUND_UP(length, s->cluster_size), s->zero_from);
    int64_t ahead = CLAMP(length / 4, RESERVE_MIN_BYTES, RESERVE_MAX_BYTES);
    int64_t new_length = ROUND_UP(end + ahead, s->cluster_size);

    if (end <= length || !bs->file->bs->is_growable || s->cannot_reserve) {
        return;
    }
    if (bdrv_co_pwrite_zeroes(bs->file, start, new_length - start,
                              BDRV_REQ_NO_FALLBACK | BDRV_REQ_SERIALISING) < 0) {
        s->cannot_reserve = true;
    } else {
        s->has_reserve = true;
    }
}

/* ---- data requests in flight ---- */

unsigned int qcow2_data_io_begin(BDRVQcow2State *s)
{
    unsigned int epoch = s->io_epoch & 1;

    s->io_in_flight[epoch]++;
    return epoch;
}

void qcow2_data_io_end(BDRVQcow2State *s, unsigned int epoch)
{
    assert(s->io_in_flight[epoch] > 0);
    if (--s->io_in_flight[epoch] == 0 && unlikely(!qemu_co_queue_empty(&s->io_epoch_waiters))) {
        qemu_co_queue_restart_all(&s->io_epoch_waiters);
    }
}

static void coroutine_fn wait_for_epoch(BDRVQcow2State *s, unsigned int epoch)
{
    while (s->io_in_flight[epoch] > 0) {
        qemu_co_queue_wait(&s->io_epoch_waiters, NULL);
    }
}

void coroutine_fn qcow2_data_io_wait(BDRVQcow2State *s)
{
    unsigned int epoch = s->io_epoch & 1;

    /*
     * Those of the epoch before that are still there must go first, or the next turn would mix with
     * them.
     */
    wait_for_epoch(s, !epoch);
    if (s->io_in_flight[epoch] > 0) {
        s->io_epoch++;
        wait_for_epoch(s, epoch);
    }
}
