/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a zoned device's requests in flight, by which each of them is carried out exactly once
 * though a daemon dies and the driver gives its requests to the next one.
 *
 * Most requests may be carried out twice.  A write to a sequential zone may not: it would be
 * refused, an append would be there twice; and a zone that was closed cannot always be closed
 * again.  So, before such a request has any effect, its entry says where the write pointer stands,
 * and nothing else writes to the zone until it is done.  The write pointer moves past a write in
 * one step, and outlives the process: afterwards it stands either where it was noted (the write is
 * to be done) or behind the write (it is to be answered only).
 *
 * The verdict is passed before the next daemon takes requests, and stored.  Which requests are to
 * come again is known exactly, see UblkLogEntry.
 *
 * The log is a file in memory (/run): a reboot ends both.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "block/trace.h"
#include "qemu/error-report.h"
#include "ublk-int.h"

#define LOG_MAGIC UINT64_C(0x31676f6c6b6c6275)

typedef enum UblkLogState {
    LOG_NOTHING = 0,
    LOG_STARTED = 1, /* it may have been carried out */
    LOG_DONE = 2,    /* it was, by a daemon that could not answer any more */
} UblkLogState;

typedef struct LogHeader {
    uint64_t magic; /* stored last */
    uint64_t cookie;
    uint32_t nr_queues, depth;
    uint64_t padding;
} LogHeader;

G_STATIC_ASSERT(sizeof(LogHeader) == 32 && sizeof(UblkLogEntry) == 32);

struct UblkLog {
    char *path;
    LogHeader *header; /* the mapped file */
    UblkLogEntry *entries;
    unsigned int nr_entries, depth;
    size_t bytes;
};

/* ---- the file ---- */

static UblkLog *map_log(int fd, const char *path, unsigned int nr_queues, unsigned int depth,
                        Error **errp)
{
    size_t bytes = sizeof(LogHeader) + (size_t)nr_queues * depth * sizeof(UblkLogEntry);
    void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    UblkLog *log;

    if (mapping == MAP_FAILED) {
        error_setg_errno(errp, errno, "Cannot map the recovery log '%s'", path);
        return NULL;
    }
    log = g_new0(UblkLog, 1);
    log->path = g_canonicalize_filename(path, NULL); /* it outlives the working directory */
    log->header = mapping;
    log->entries = (UblkLogEntry *)(log->header + 1);
    log->nr_entries = nr_queues * depth;
    log->depth = depth;
    log->bytes = bytes;
    return log;
}

/* A file that has room for the whole log, so that no store in it can fail. */
static int make_file(const char *path, size_t bytes, Error **errp)
{
    int fd, ret;

    if (unlink(path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "Cannot remove the old recovery log '%s'", path);
        return -1;
    }
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Cannot make the recovery log '%s'", path);
        return -1;
    }
    ret = posix_fallocate(fd, 0, bytes);
    if (ret != 0) {
        error_setg_errno(errp, ret, "Cannot allocate %zu bytes for the recovery log '%s'", bytes,
                         path);
        close(fd);
        unlink(path);
        return -1;
    }
    return fd;
}

UblkLog *ublk_log_new(const char *path, uint64_t cookie, unsigned int nr_queues, unsigned int depth,
                      Error **errp)
{
    size_t bytes = sizeof(LogHeader) + (size_t)nr_queues * depth * sizeof(UblkLogEntry);
    int fd = make_file(path, bytes, errp);
    UblkLog *log;

    if (fd < 0) {
        return NULL;
    }
    log = map_log(fd, path, nr_queues, depth, errp);
    close(fd);
    if (!log) {
        unlink(path);
        return NULL;
    }
    log->header->cookie = cookie;
    log->header->nr_queues = nr_queues;
    log->header->depth = depth;
    __atomic_store_n(&log->header->magic, LOG_MAGIC, __ATOMIC_RELEASE);
    return log;
}

void ublk_log_free(UblkLog *log, bool remove_file)
{
    if (!log) {
        return;
    }
    if (remove_file) {
        unlink(log->path);
    }
    munmap(log->header, log->bytes);
    g_free(log->path);
    g_free(log);
}

static bool is_log_of(const LogHeader *header, uint64_t cookie, unsigned int nr_queues,
                      unsigned int depth)
{
    return header->magic == LOG_MAGIC && header->cookie == cookie &&
           header->nr_queues == nr_queues && header->depth == depth;
}

UblkLog *ublk_log_open(const char *path, uint64_t cookie, unsigned int nr_queues,
                       unsigned int depth, Error **errp)
{
    off_t bytes = sizeof(LogHeader) + (size_t)nr_queues * depth * sizeof(UblkLogEntry);
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    UblkLog *log = NULL;
    struct stat st;

    if (fd < 0) {
        error_setg_errno(errp, errno, "Cannot open the recovery log '%s'", path);
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != bytes) {
        error_setg(errp, "'%s' is no recovery log of %" PRId64 " bytes", path, (int64_t)bytes);
    } else {
        log = map_log(fd, path, nr_queues, depth, errp);
    }
    close(fd);
    if (log && !is_log_of(log->header, cookie, nr_queues, depth)) {
        error_setg(errp, "'%s' is the recovery log of another device", path);
        ublk_log_free(log, false);
        return NULL;
    }
    return log;
}

UblkLogEntry *ublk_log_entry(UblkLog *log, unsigned int queue, unsigned int tag)
{
    assert(queue * log->depth + tag < log->nr_entries && tag < log->depth);
    return &log->entries[queue * log->depth + tag];
}

/* ---- after a death ---- */

/* The end of what was written to a zone, as far as its write pointer tells. */
static int64_t written_end(const BlockZoneDescriptor *zone)
{
    switch (zone->state) {
    case BLK_ZS_FULL:
        return zone->start + zone->cap;
    case BLK_ZS_RDONLY:
    case BLK_ZS_OFFLINE:
        return zone->start;
    default:
        return zone->wp;
    }
}

/* Whether the request of @entry was carried out; a negative errno where that cannot be known. */
static int coroutine_fn was_carried_out(const UblkLogEntry *entry, BlockBackend *blk)
{
    int64_t length = blk_getlength(blk);
    BlockZoneDescriptor zone;
    unsigned int nr = 1;
    int ret;

    if (entry->op == UBLK_IO_OP_ZONE_CLOSE) {
        return true; /* by its death the daemon has closed all zones */
    }
    if (length < 0 || entry->position >= (uint64_t)length / BDRV_SECTOR_SIZE) {
        return -EINVAL;
    }
    ret = blk_co_zone_report(blk, entry->position * BDRV_SECTOR_SIZE, &nr, &zone);
    if (ret < 0 || nr == 0) {
        return ret < 0 ? ret : -EINVAL;
    }
    return written_end(&zone) >=
           (int64_t)(entry->position + entry->nr_sectors) * BDRV_SECTOR_SIZE;
}

static void forget(UblkLogEntry *entry)
{
    __atomic_store_n(&entry->state, LOG_NOTHING, __ATOMIC_RELEASE);
}

bool coroutine_fn ublk_log_settle(UblkLog *log, BlockBackend *blk, Error **errp)
{
    unsigned int nr_done = 0, nr_not_done = 0;

    for (unsigned int i = 0; i < log->nr_entries; i++) {
        UblkLogEntry *entry = &log->entries[i];
        int ret;

        /* A verdict of before stays: other writes may have moved the write pointer since. */
        if (entry->state != LOG_STARTED) {
            continue;
        }
        ret = was_carried_out(entry, blk);
        if (ret < 0) {
            error_setg_errno(errp, -ret,
                             "Cannot find out whether a write at %" PRIu64 " was carried out",
                             entry->position * BDRV_SECTOR_SIZE);
            return false;
        }
        if (ret) {
            __atomic_store_n(&entry->state, LOG_DONE, __ATOMIC_RELEASE);
            nr_done++;
        } else {
            forget(entry);
            nr_not_done++;
        }
    }
    trace_ublk_log_settled(log->path, nr_done, nr_not_done);
    return true;
}

/*
 * Whether a daemon before us carried out @req; then *@offset becomes where its data is.  What the
 * log says of the tag is used up.
 */
static bool was_done(UblkRequest *req, int64_t *offset)
{
    UblkLogEntry *entry = req->log_entry;
    bool is_same = entry->op == (req->desc.op_flags & UBLK_IO_OP_MASK) &&
                   entry->start == req->desc.start_sector &&
                   entry->nr_sectors == req->desc.nr_sectors_or_zones;

    if (entry->state != LOG_DONE) {
        return false;
    }
    if (!is_same) {
        warn_report("ublk: queue %u tag %u: the request is not the one in the recovery log",
                    req->queue, req->tag);
        forget(entry);
        return false;
    }
    *offset = entry->position * BDRV_SECTOR_SIZE;
    trace_ublk_log_replayed(req->queue, req->tag, *offset);
    return true;
}

/* ---- requests ---- */

static void begin(UblkRequest *req, int64_t position)
{
    UblkLogEntry *entry = req->log_entry;

    forget(entry);
    entry->op = req->desc.op_flags & UBLK_IO_OP_MASK;
    entry->start = req->desc.start_sector;
    entry->nr_sectors = req->desc.nr_sectors_or_zones;
    entry->position = position / BDRV_SECTOR_SIZE;
    __atomic_store_n(&entry->state, LOG_STARTED, __ATOMIC_RELEASE);
}

static CoMutex *lock_of(UblkDisk *disk, int64_t offset)
{
    return &disk->zone_locks[(offset / disk->limits->zone_size) % UBLK_ZONE_LOCKS];
}

int coroutine_fn ublk_log_write(UblkRequest *req, QEMUIOVector *qiov, int64_t *offset,
                                bool is_append, BdrvRequestFlags flags)
{
    UblkDisk *disk = req->disk;
    g_auto(CoMutexGuard) guard = qemu_co_mutex_guard(lock_of(disk, *offset));
    BlockZoneDescriptor zone;
    unsigned int nr = 1;
    int ret;

    if (was_done(req, offset)) {
        bool is_durable = flags & BDRV_REQ_FUA || !blk_enable_write_cache(disk->blk);

        return is_durable ? blk_co_flush(disk->blk) : 0;
    }
    ret = blk_co_zone_report(disk->blk, *offset, &nr, &zone);
    if (ret < 0 || nr == 0) {
        return ret < 0 ? ret : -EIO;
    }
    /* A write elsewhere is going to be refused, again and again if need be. */
    if (is_append || *offset == zone.wp) {
        begin(req, zone.wp);
    }
    if (is_append) {
        ret = blk_co_zone_append(disk->blk, offset, qiov, flags);
    } else {
        ret = blk_co_pwritev(disk->blk, *offset, qiov->size, qiov, flags);
    }
    if (ret < 0) {
        /* Before another write takes its place at the write pointer. */
        forget(req->log_entry);
    }
    return ret;
}

static int coroutine_fn close_zone(UblkRequest *req, int64_t offset, int64_t bytes)
{
    int64_t position = offset;
    int ret;

    if (was_done(req, &position)) {
        return 0;
    }
    begin(req, offset);
    ret = blk_co_zone_mgmt(req->disk->blk, BLK_ZO_CLOSE, offset, bytes);
    if (ret < 0) {
        forget(req->log_entry);
    }
    return ret;
}

int coroutine_fn ublk_log_manage(UblkRequest *req, BlockZoneOp op, int64_t offset, int64_t bytes)
{
    UblkDisk *disk = req->disk;
    int64_t nr_locks = MIN(bytes / disk->limits->zone_size, UBLK_ZONE_LOCKS);
    int ret;

    /* Always all of them, in this order, or one: nobody waits in a circle. */
    assert(nr_locks == 1 || offset == 0);
    for (int64_t i = 0; i < nr_locks; i++) {
        qemu_co_mutex_lock(lock_of(disk, offset + i * disk->limits->zone_size));
    }
    ret = op == BLK_ZO_CLOSE ? close_zone(req, offset, bytes)
                             : blk_co_zone_mgmt(disk->blk, op, offset, bytes);
    for (int64_t i = 0; i < nr_locks; i++) {
        qemu_co_mutex_unlock(lock_of(disk, offset + i * disk->limits->zone_size));
    }
    return ret;
}
