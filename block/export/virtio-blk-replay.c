/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes and appends to sequential zones that are carried out exactly once, though the daemon dies
 * and the log of its queues gives them to the next one again.
 *
 * Doing such a write twice is not the same as doing it once.  So before one is carried out, the
 * zone's write pointer is noted in the log, and nothing else changes the zone until it is done.  As
 * the write pointer moves past a write in one step, and outlives the process, it stands where it
 * was noted (the write was not done), or behind the write.
 *
 * The next daemon compares before it changes any zone, for the logs of all queues at once, and puts
 * down in the log what it finds: it may die before it comes to a request, when zones have changed.
 */
#include "qemu/osdep.h"

#include "virtio-blk-int.h"
#include "virtqueue-inflight.h"

enum {
    NOTE_NONE = 0,
    NOTE_BEGUN = 1, /* the write may have been carried out */
    NOTE_DONE = 2,  /* it was */
};

/* Words of a note: the zone's number, its write pointer from its start, the write; in sectors. */
enum { WORD_ZONE, WORD_WP, WORD_LENGTH };

void virtio_blk_replay_done(VirtIOBlkHandler *handler)
{
    g_clear_pointer(&handler->zone_locks, g_free);
}

/* ---- after a restart ---- */

/* The end of what was written to a zone; all of a full one. */
static int64_t written_end(const BlockZoneDescriptor *zone)
{
    return zone->state == BLK_ZS_FULL ? zone->start + zone->cap : zone->wp;
}

static int settle_note(VirtIOBlkHandler *handler, VirtQueueNote *note)
{
    int64_t offset = note->words[WORD_ZONE] * handler->limits->zone_size;
    BlockZoneDescriptor zone;
    unsigned int nr = 1;
    int64_t end;
    int ret;

    note->state = NOTE_NONE;
    if (note->words[WORD_ZONE] >= handler->limits->nr_zones) {
        return 0;
    }
    ret = blk_zone_report(handler->blk, offset, &nr, &zone);
    end = offset + ((int64_t)note->words[WORD_WP] + note->words[WORD_LENGTH]) * BDRV_SECTOR_SIZE;
    if (ret == 0 && written_end(&zone) >= end) {
        note->state = NOTE_DONE;
    }
    return ret;
}

int virtio_blk_handler_recover(VirtIOBlkHandler *handler, void *inflight, unsigned int size)
{
    InflightLog *log = inflight_find(inflight, &size);

    for (unsigned int i = 0; i < size && log && handler->is_zoned; i++) {
        VirtQueueNote note = inflight_note(log, size, i);
        int ret;

        if (!inflight_is_begun(log, i) || note.state != NOTE_BEGUN) {
            continue;
        }
        ret = settle_note(handler, &note);
        if (ret < 0) {
            return ret;
        }
        inflight_set_note(log, size, i, &note);
    }
    return 0;
}

/* Whether @req was carried out by a daemon before us; then it went to *@offset. */
static bool was_done(VirtIOBlkRequest *req, int64_t *offset)
{
    int64_t zone_size = req->handler->limits->zone_size;
    VirtQueueNote note;

    if (!req->elem.is_resubmitted ||
        !virtqueue_get_note(virtio_blk_request_vq(req), &req->elem, &note) ||
        note.state != NOTE_DONE || note.words[WORD_ZONE] != *offset / zone_size) {
        return false;
    }
    *offset = note.words[WORD_ZONE] * zone_size + note.words[WORD_WP] * BDRV_SECTOR_SIZE;
    return true;
}

/* ---- before a write ---- */

static CoMutex *first_lock(VirtIOBlkHandler *handler)
{
    if (!handler->zone_locks) {
        handler->zone_locks = g_new0(CoMutex, VIRTIO_BLK_ZONE_LOCKS);
        for (unsigned int i = 0; i < VIRTIO_BLK_ZONE_LOCKS; i++) {
            qemu_co_mutex_init(&handler->zone_locks[i]);
        }
    }
    return handler->zone_locks;
}

static CoMutex *lock_of(VirtIOBlkHandler *handler, int64_t offset)
{
    return first_lock(handler) + offset / handler->limits->zone_size % VIRTIO_BLK_ZONE_LOCKS;
}

/* Note where the write is going to begin, unless the zone refuses it. */
static void note_write(VirtIOBlkRequest *req, const BlockZoneDescriptor *zone)
{
    VirtQueueNote note = {
        .state = NOTE_BEGUN,
        .words = {[WORD_ZONE] = zone->start / req->handler->limits->zone_size,
                  [WORD_WP] = (zone->wp - zone->start) / BDRV_SECTOR_SIZE,
                  [WORD_LENGTH] = req->out.size / BDRV_SECTOR_SIZE},
    };
    bool has_wp = zone->state == BLK_ZS_EMPTY || zone->state == BLK_ZS_IOPEN ||
                  zone->state == BLK_ZS_EOPEN || zone->state == BLK_ZS_CLOSED;

    if (has_wp && (int64_t)req->out.size <= zone->start + zone->cap - zone->wp) {
        virtqueue_set_note(virtio_blk_request_vq(req), &req->elem, &note);
    }
}

int coroutine_fn virtio_blk_write_once(VirtIOBlkRequest *req, int64_t *offset, bool is_append)
{
    VirtIOBlkHandler *handler = req->handler;
    BlockZoneDescriptor zone;
    unsigned int nr = 1;
    int ret;

    if (was_done(req, offset)) {
        return 0;
    }
    g_auto(CoMutexGuard) guard = qemu_co_mutex_guard(lock_of(handler, *offset));

    ret = blk_co_zone_report(handler->blk, *offset, &nr, &zone);
    if (ret < 0) {
        return ret;
    }
    if (is_append || *offset == zone.wp) {
        note_write(req, &zone);
    }
    ret = is_append ? blk_co_zone_append(handler->blk, offset, &req->out, 0)
                    : blk_co_pwritev(handler->blk, *offset, req->out.size, &req->out, 0);
    if (ret < 0) {
        /* The next write begins where this one would have: it must not be taken for this one. */
        virtqueue_set_note(virtio_blk_request_vq(req), &req->elem,
                           &(VirtQueueNote){.state = NOTE_NONE});
    }
    return ret;
}

int coroutine_fn virtio_blk_mgmt_between_writes(VirtIOBlkRequest *req, BlockZoneOp op,
                                                int64_t offset, int64_t len)
{
    VirtIOBlkHandler *handler = req->handler;
    bool has_log = virtqueue_has_log(virtio_blk_request_vq(req));
    bool is_single = len <= handler->limits->zone_size;
    CoMutex *locks = !has_log ? NULL : is_single ? lock_of(handler, offset) : first_lock(handler);
    unsigned int nr_locks = !has_log ? 0 : is_single ? 1 : VIRTIO_BLK_ZONE_LOCKS;
    int ret;

    for (unsigned int i = 0; i < nr_locks; i++) {
        qemu_co_mutex_lock(&locks[i]);
    }
    ret = blk_co_zone_mgmt(handler->blk, op, offset, len);
    for (unsigned int i = 0; i < nr_locks; i++) {
        qemu_co_mutex_unlock(&locks[i]);
    }
    return ret;
}
