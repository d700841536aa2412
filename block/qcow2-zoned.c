/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to a zoned image.
 *
 * Each request asks block/zones.c first, which answers at once and reserves what it allows; then it
 * does its I/O; then it tells block/zones.c how that went.  Between the first and the last step
 * nothing is locked: any number of writes may be in flight in a zone, and a management command
 * keeps out and waits for those of its own zones only.
 *
 * Conventional zones are ordinary parts of the image and never come here, except to be told apart.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "block/trace.h"

/* A write in flight: what zones.c keeps of it, and who waits for it. */
typedef struct Qcow2ZoneWrite {
    ZoneWrite zone_write;
    Coroutine *waiting; /* the I/O is done, its turn has not come */
    bool is_settled;
} Qcow2ZoneWrite;

/* ---- background work ---- */

void zone_background_start(BlockDriverState *bs, CoroutineEntry *entry)
{
    BDRVQcow2State *s = bs->opaque;

    s->zoned->background++;
    aio_co_schedule(bs->aio_context, qemu_coroutine_create(entry, bs));
}

void zone_background_end(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    s->zoned->background--;
    qemu_co_queue_restart_all(&s->zoned->background_done);
}

/* ---- writing ---- */

/* Write the data of an admitted write to where the zone's run has it. */
static int coroutine_fn zone_write_data(BlockDriverState *bs, ZoneWrite *write, QEMUIOVector *qiov,
                                        size_t qiov_offset)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    uint32_t index = zones_index(zones, write->offset);
    int64_t zone_end = zones_start(zones, index) + zones_capacity(zones, index);
    ZoneRun *run = zone_write_open_data(write);
    int64_t done = 0;

    while (done < write->bytes) {
        int64_t bytes = write->bytes - done;
        int64_t host_offset;
        int ret = qcow2_zone_map_write(bs, run, zone_end, write->offset + done, &bytes,
                                       &host_offset);

        if (ret == 0) {
            ret = bdrv_co_pwritev_part(bs->file, host_offset, bytes, qiov, qiov_offset + done, 0);
        }
        if (ret < 0) {
            return ret;
        }
        done += bytes;
    }
    return 0;
}

/* Answer the writes in @settled, in their order; the caller's own is only marked. */
static void zone_answer_settled(BlockDriverState *bs, ZoneWriteList *settled, uint32_t index)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    ZoneWrite *write;

    /* Before anybody is told: the write pointer must outlive the process. */
    if (z->live) {
        zone_live_set(z->live, index, zones_wp(z->zones, index));
    }
    zone_commit_mark(z->commit, index);

    while ((write = TAILQ_FIRST(settled))) {
        Qcow2ZoneWrite *zw = container_of(write, Qcow2ZoneWrite, zone_write);

        TAILQ_REMOVE(settled, write, link);
        zw->is_settled = true;
        if (zw->waiting) {
            aio_co_wake(zw->waiting);
        }
    }
    if (unlikely(!qemu_co_queue_empty(&z->waiters))) {
        qemu_co_queue_restart_all(&z->waiters);
    }
}

/* Do the I/O of an admitted write and wait until it may be answered. */
static int coroutine_fn zone_write_run(BlockDriverState *bs, Qcow2ZoneWrite *zw, QEMUIOVector *qiov,
                                       size_t qiov_offset)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneWriteList settled = TAILQ_HEAD_INITIALIZER(settled);
    uint32_t index = zones_index(s->zoned->zones, zw->zone_write.offset);
    int ret = zone_write_data(bs, &zw->zone_write, qiov, qiov_offset);

    zones_write_end(s->zoned->zones, &zw->zone_write, ret, &settled);
    if (!TAILQ_EMPTY(&settled)) {
        zone_answer_settled(bs, &settled, index);
    }
    while (!zw->is_settled) {
        zw->waiting = qemu_coroutine_self();
        qemu_coroutine_yield();
        zw->waiting = NULL;
    }
    return zw->zone_write.ret;
}

int qcow2_zoned_check_random_access(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;

    if (bytes == 0) {
        return 0;
    }
    if (!zones_is_conventional(zones, zones_index(zones, offset))) {
        return -ENOTSUP;
    }
    if (!zones_is_conventional(zones, zones_index(zones, offset + bytes - 1))) {
        return -ZONE_ERR_PAST_CAPACITY;
    }
    return 0;
}

int coroutine_fn qcow2_zoned_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             QEMUIOVector *qiov, size_t qiov_offset)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    Qcow2ZoneWrite zw = {.is_settled = false};
    int ret;

    if (bytes == 0) {
        return 0;
    }
    while ((ret = zones_write_begin(z->zones, &zw.zone_write, offset, bytes)) == -EAGAIN) {
        qemu_co_queue_wait(&z->waiters, NULL);
    }
    if (ret < 0) {
        trace_qcow2_zone_write_refused(offset, bytes, ret);
        return ret;
    }
    return zone_write_run(bs, &zw, qiov, qiov_offset);
}

int coroutine_fn qcow2_co_zone_append(BlockDriverState *bs, int64_t *offset, QEMUIOVector *qiov,
                                      BdrvRequestFlags flags)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    Qcow2ZoneWrite zw = {.is_settled = false};
    int ret;

    if (!z) {
        return -ENOTSUP;
    }
    while ((ret = zones_append_begin(z->zones, &zw.zone_write, *offset, qiov->size)) == -EAGAIN) {
        qemu_co_queue_wait(&z->waiters, NULL);
    }
    if (ret < 0) {
        trace_qcow2_zone_write_refused(*offset, qiov->size, ret);
        return ret;
    }
    ret = zone_write_run(bs, &zw, qiov, 0);
    if (ret == 0) {
        *offset = zw.zone_write.offset;
    }
    return ret;
}

/* ---- reading ---- */

/* Look up where [@offset, ...) is stored and hold it there: *@epoch is for qcow2_data_io_end(). */
static int coroutine_fn zone_read_map(BlockDriverState *bs, int64_t offset, int64_t *bytes,
                                      int64_t *host_offset, Qcow2ClusterType *type,
                                      unsigned int *epoch)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = 0;

    if (likely(qcow2_peek_host_offset(s, offset, bytes, host_offset, type, false))) {
        *epoch = qcow2_data_io_begin(s);
        return 0;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_get_host_offset(bs, offset, bytes, host_offset, type);
    if (ret == 0) {
        *epoch = qcow2_data_io_begin(s);
    }
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

static int coroutine_fn zone_read_extent(BlockDriverState *bs, int64_t offset, int64_t *bytes,
                                         QEMUIOVector *qiov, size_t qiov_offset)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2ClusterType type;
    int64_t host_offset;
    unsigned int epoch = 0;
    int ret = zone_read_map(bs, offset, bytes, &host_offset, &type, &epoch);

    if (ret < 0) {
        return ret;
    }
    if (type == QCOW2_CLUSTER_NORMAL) {
        ret = qcow2_file_preadv_part(bs, host_offset, *bytes, qiov, qiov_offset);
    } else if (type == QCOW2_CLUSTER_COMPRESSED) {
        ret = -EIO; /* get_host_offset() lets it pass, a sequential zone never has one */
    } else {
        qemu_iovec_memset(qiov, qiov_offset, 0, *bytes);
    }
    qcow2_data_io_end(s, epoch);
    return ret;
}

int coroutine_fn qcow2_zoned_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            QEMUIOVector *qiov, size_t qiov_offset)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;

    while (bytes) {
        int64_t count;
        int ret = zones_read_extent(zones, offset, bytes, &count);

        if (ret > 0) {
            ret = zone_read_extent(bs, offset, &count, qiov, qiov_offset);
        } else if (ret == 0) {
            qemu_iovec_memset(qiov, qiov_offset, 0, count);
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

int qcow2_zoned_data_extent(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t *count)
{
    BDRVQcow2State *s = bs->opaque;

    return zones_read_extent(s->zoned->zones, offset, bytes, count);
}

/* ---- management ---- */

int coroutine_fn qcow2_co_zone_report(BlockDriverState *bs, int64_t offset, unsigned int *nr_zones,
                                      BlockZoneDescriptor *zones)
{
    BDRVQcow2State *s = bs->opaque;

    if (!s->zoned) {
        return -ENOTSUP;
    }
    zones_report(s->zoned->zones, offset, nr_zones, zones);
    return 0;
}

/*
 * The storage side of a finish, before it is committed: what lies above the write pointer must read
 * as zeroes.
 */
static int coroutine_fn zone_finish_data(BlockDriverState *bs, int64_t offset, int64_t len)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    int64_t zone_size = zones_geometry(zones)->zone_size;

    for (int64_t at = offset; at < offset + len; at += zone_size) {
        uint32_t index = zones_index(zones, at);
        int ret;

        if (!zones_mgmt_moves_wp(zones, BLK_ZO_FINISH, index)) {
            continue;
        }
        ret = qcow2_zone_trim(bs, zones_wp(zones, index), at + zones_length(zones, index));
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/*
 * Give the space of the reset zones back.  The reset itself is done: an error here costs space,
 * which the zone uses again when it is written.
 */
static void coroutine_fn zone_reset_data(BlockDriverState *bs, int64_t offset, int64_t len)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    int64_t zone_size = zones_geometry(zones)->zone_size;

    int64_t end = MIN(offset + len, bs->total_bytes);
    int64_t from = offset;

    for (int64_t at = offset; at < end; at += zone_size) {
        bool is_empty = zones_state(zones, zones_index(zones, at)) == BLK_ZS_EMPTY;
        int64_t next = MIN(at + zone_size, end);
        int ret;

        if (is_empty && next < end) {
            continue;
        }
        ret = qcow2_zone_unmap(bs, from, is_empty ? ROUND_UP(next, s->cluster_size) : at);
        if (ret < 0) {
            trace_qcow2_zone_unmap_failed(from, ret);
        }
        from = next;
    }
}

/* Carry out @op on held zones with nothing in flight. */
static int coroutine_fn zone_mgmt_held(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                       int64_t len)
{
    BDRVQcow2State *s = bs->opaque;
    BdrvZones *zones = s->zoned->zones;
    int ret = zones_mgmt_check(zones, op, offset, len);

    if (ret < 0) {
        return ret;
    }
    switch (op) {
    case BLK_ZO_OPEN:
    case BLK_ZO_CLOSE:
        zones_mgmt_apply(zones, op, offset, len);
        return 0;
    case BLK_ZO_FINISH:
        ret = zone_finish_data(bs, offset, len);
        if (ret == 0) {
            ret = zone_commit_mgmt(bs, op, offset, len);
        }
        if (ret < 0) {
            /* No open zone may remember a run that has been given back. */
            zones_mgmt_apply(zones, BLK_ZO_CLOSE, offset, len);
        }
        return ret;
    case BLK_ZO_RESET:
        ret = zone_commit_mgmt(bs, op, offset, len);
        if (ret == 0) {
            zone_reset_data(bs, offset, len);
        }
        return ret;
    }
    return -EINVAL;
}

int coroutine_fn qcow2_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                    int64_t len)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret;

    if (!z) {
        return -ENOTSUP;
    }
    ret = zones_check_range(z->zones, offset, len);
    if (ret < 0) {
        return ret;
    }
    while (zones_hold(z->zones, offset, len) == -EAGAIN) {
        qemu_co_queue_wait(&z->waiters, NULL);
    }
    while (zones_is_busy(z->zones, offset, len)) {
        qemu_co_queue_wait(&z->waiters, NULL);
    }
    ret = zone_mgmt_held(bs, op, offset, len);
    trace_qcow2_zone_mgmt(op, offset, len, ret);
    zones_release(z->zones, offset, len);
    qemu_co_queue_restart_all(&z->waiters);
    return ret;
}

int coroutine_fn qcow2_zoned_co_flush(BlockDriverState *bs)
{
    return zone_commit_flush(bs);
}
