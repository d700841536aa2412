/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes and appends to sequential zones that are carried out exactly once, though the daemon dies
 * and the log of its queues gives them to the next one again.
 *
 * Doing such a write twice is not the same as doing it once.  So before one is carried out, the
 * zone's write pointer is noted in the log, and nothing else writes to the zone until it is done.
 * Whoever finds the note compares: as the write pointer moves past a write in one step, and
 * outlives the process, either it stands where it was noted (do it) or behind the write (it was
 * done).
 *
 * The next daemon may have written to the zone on behalf of another queue before it sees the note.
 * Therefore it compares with the write pointer that the zone had when the handler first touched it.
 */
#include "qemu/osdep.h"

#include "virtio-blk-int.h"

void virtio_blk_replay_done(VirtIOBlkHandler *handler)
{
    g_clear_pointer(&handler->zone_locks, g_free);
    g_clear_pointer(&handler->first_wps, g_hash_table_destroy);
}

static void begin(VirtIOBlkHandler *handler)
{
    if (handler->first_wps) {
        return;
    }
    handler->first_wps = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    handler->zone_locks = g_new0(CoMutex, VIRTIO_BLK_ZONE_LOCKS);
    for (unsigned int i = 0; i < VIRTIO_BLK_ZONE_LOCKS; i++) {
        qemu_co_mutex_init(&handler->zone_locks[i]);
    }
}

static CoMutex *lock_of(VirtIOBlkHandler *handler, int64_t zone_start)
{
    return &handler->zone_locks[(zone_start / handler->limits->zone_size) % VIRTIO_BLK_ZONE_LOCKS];
}

/* The end of what was written to a zone; all of a full one. */
static int64_t written_end(const BlockZoneDescriptor *zone)
{
    return zone->state == BLK_ZS_FULL ? zone->start + zone->cap : zone->wp;
}

/* Describe the zone that @offset is in, and remember it when it is the first time. */
static int coroutine_fn look_at_zone(VirtIOBlkHandler *handler, int64_t offset,
                                     BlockZoneDescriptor *zone)
{
    unsigned int nr = 1;
    int ret = blk_co_zone_report(handler->blk, offset, &nr, zone);

    if (ret < 0) {
        return ret;
    }
    if (!g_hash_table_contains(handler->first_wps, &zone->start)) {
        g_hash_table_insert(handler->first_wps, g_memdup2(&zone->start, sizeof(zone->start)),
                            g_memdup2(&(int64_t){written_end(zone)}, sizeof(int64_t)));
    }
    return 0;
}

/* Whether @req was carried out by a daemon before us; then it went to *@offset. */
static bool was_done(VirtIOBlkRequest *req, const BlockZoneDescriptor *zone, int64_t *offset)
{
    const int64_t *first_wp = g_hash_table_lookup(req->handler->first_wps, &zone->start);
    int64_t noted;
    uint32_t note;

    if (!req->elem.is_resubmitted || !virtqueue_get_note(virtio_blk_request_vq(req), &req->elem,
                                                         &note)) {
        return false;
    }
    noted = zone->start + note * BDRV_SECTOR_SIZE;
    if (*first_wp < noted + (int64_t)req->out.size) {
        return false;
    }
    *offset = noted;
    return true;
}

int coroutine_fn virtio_blk_write_once(VirtIOBlkRequest *req, int64_t *offset, bool is_append)
{
    VirtIOBlkHandler *handler = req->handler;
    BlockZoneDescriptor zone;
    int ret;

    begin(handler);
    g_auto(CoMutexGuard) guard = qemu_co_mutex_guard(lock_of(handler, *offset));

    ret = look_at_zone(handler, *offset, &zone);
    if (ret < 0) {
        return ret;
    }
    if (was_done(req, &zone, offset)) {
        return 0;
    }
    if (is_append || *offset == zone.wp) {
        virtqueue_set_note(virtio_blk_request_vq(req), &req->elem,
                           (zone.wp - zone.start) / BDRV_SECTOR_SIZE);
    }
    if (is_append) {
        return blk_co_zone_append(handler->blk, offset, &req->out, 0);
    }
    return blk_co_pwritev(handler->blk, *offset, req->out.size, &req->out, 0);
}

int coroutine_fn virtio_blk_replay_before_mgmt(VirtIOBlkRequest *req, int64_t offset, int64_t len)
{
    VirtIOBlkHandler *handler = req->handler;

    if (!virtqueue_has_log(virtio_blk_request_vq(req))) {
        return 0;
    }
    begin(handler);
    for (int64_t at = offset; at < offset + len; at += handler->limits->zone_size) {
        BlockZoneDescriptor zone;
        int ret = look_at_zone(handler, at, &zone);

        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}
