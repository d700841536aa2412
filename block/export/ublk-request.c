/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a request of the ublk driver does, zoned or not.
 *
 * Data is copied: the driver has it at an offset of its file that tells queue, tag and position
 * (user copy).  Zoned disks need this mode, and a copy of the others' data costs less than having
 * two ways.
 */
#include "qemu/osdep.h"

#include <linux/blkzoned.h>

#include "qemu/buffer.h"
#include "ublk-int.h"

/* Data of up to this size stays in a buffer of the tag. */
#define SMALL_BUFFER_BYTES (64 * 1024)

/* The zones that are asked of the node at a time. */
#define REPORT_BATCH 128

/* As many bytes as were wanted: the driver takes the length of the request for what is more. */
#define RESULT_ALL INT32_MAX

static unsigned int op_of(const UblkRequest *req)
{
    return req->desc.op_flags & UBLK_IO_OP_MASK;
}

/*
 * The driver has a word of its own for few errors; all else is an I/O error for its users.  ENOMEM,
 * EAGAIN and EBUSY would make them try again, ENODEV would look like a device that has gone.
 */
static int result_of_error(int ret)
{
    switch (-ret) {
    case ENOTSUP:
        return -EOPNOTSUPP;
    case ENOSPC:
    case ZONE_ERR_OPEN_RESOURCE:
    case ZONE_ERR_ACTIVE_RESOURCE:
        return ret;
    default:
        return -EIO;
    }
}

/* The range of @req in bytes, if it is one of the disk in whole blocks, and at most @limit long. */
static bool get_range(const UblkRequest *req, int64_t limit, int64_t *offset, int64_t *bytes)
{
    const UblkDisk *disk = req->disk;
    uint64_t start = req->desc.start_sector;
    uint64_t nr = req->desc.nr_sectors_or_zones;
    uint64_t capacity = disk->total_bytes / BDRV_SECTOR_SIZE;

    if (nr == 0 || start >= capacity || nr > capacity - start ||
        nr > (uint64_t)limit / BDRV_SECTOR_SIZE) {
        return false;
    }
    *offset = start * BDRV_SECTOR_SIZE;
    *bytes = nr * BDRV_SECTOR_SIZE;
    return ((*offset | *bytes) & (disk->block_size - 1)) == 0;
}

/* ---- data ---- */

/* Move all @bytes at @at of the request's data; 0 or a negative errno. */
static int move_data(const UblkRequest *req, bool to_driver, void *buffer, size_t bytes, size_t at)
{
    uint8_t *next = buffer;

    while (bytes) {
        off_t position = UBLK_USER_COPY_OFFSET(req->queue, req->tag, at);
        ssize_t ret = to_driver ? pwrite(req->disk->char_fd, next, bytes, position)
                                : pread(req->disk->char_fd, next, bytes, position);

        if (ret < 0 && errno == EINTR) {
            continue;
        }
        if (ret <= 0) {
            return ret < 0 ? -errno : -EIO;
        }
        next += ret;
        at += ret;
        bytes -= ret;
    }
    return 0;
}

/* Memory for @bytes of data; *@to_free is what to free afterwards.  NULL where there is none. */
static void *get_buffer(UblkRequest *req, size_t bytes, void **to_free)
{
    const BlockLimits *limits = req->disk->limits;
    size_t alignment = MAX(limits->opt_mem_alignment, limits->min_mem_alignment);

    if (bytes > SMALL_BUFFER_BYTES) {
        return *to_free = qemu_try_memalign(alignment, bytes);
    }
    if (!req->small_buffer) {
        req->small_buffer = qemu_try_memalign(alignment, SMALL_BUFFER_BYTES);
    }
    return req->small_buffer;
}

static int coroutine_fn do_read(UblkRequest *req)
{
    UblkDisk *disk = req->disk;
    QEMU_AUTO_VFREE void *large = NULL;
    int64_t offset, bytes;
    QEMUIOVector qiov;
    struct iovec iov;
    int ret;

    if (!get_range(req, disk->max_io_bytes, &offset, &bytes)) {
        return -EIO;
    }
    iov = (struct iovec){get_buffer(req, bytes, &large), bytes};
    if (!iov.iov_base) {
        return -EIO;
    }
    qemu_iovec_init_external(&qiov, &iov, 1);
    ret = blk_co_preadv(disk->blk, offset, bytes, &qiov, 0);
    if (ret == 0) {
        ret = move_data(req, true, iov.iov_base, bytes, 0);
    }
    return ret < 0 ? ret : (int)bytes;
}

static bool is_sequential(const UblkDisk *disk, int64_t offset)
{
    return disk->is_zoned &&
           offset >= disk->limits->nr_conventional_zones * disk->limits->zone_size;
}

/* A write, or an append where @is_append; the latter sets the answer's position. */
static int coroutine_fn do_write(UblkRequest *req, bool is_append)
{
    UblkDisk *disk = req->disk;
    BdrvRequestFlags flags = req->desc.op_flags & UBLK_IO_F_FUA ? BDRV_REQ_FUA : 0;
    QEMU_AUTO_VFREE void *large = NULL;
    int64_t offset, bytes;
    QEMUIOVector qiov;
    struct iovec iov;
    int ret;

    if (!disk->is_writable ||
        !get_range(req, is_append ? disk->max_append_bytes : disk->max_io_bytes, &offset,
                   &bytes)) {
        return -EIO;
    }
    iov = (struct iovec){get_buffer(req, bytes, &large), bytes};
    if (!iov.iov_base) {
        return -EIO;
    }
    qemu_iovec_init_external(&qiov, &iov, 1);
    ret = move_data(req, false, iov.iov_base, bytes, 0);
    if (ret < 0) {
        return ret;
    }
    if (req->log_entry && !is_sequential(disk, offset)) {
        /* Formats keep mappings of ordinary data in memory, which would die with us. */
        flags |= BDRV_REQ_FUA;
    }
    if (req->log_entry && is_sequential(disk, offset)) {
        ret = ublk_log_write(req, &qiov, &offset, is_append, flags);
    } else if (is_append) {
        ret = blk_co_zone_append(disk->blk, &offset, &qiov, flags);
    } else {
        ret = blk_co_pwritev(disk->blk, offset, bytes, &qiov, flags);
    }
    if (ret == 0 && is_append) {
        req->append_lba = offset / BDRV_SECTOR_SIZE;
    }
    return ret < 0 ? ret : (int)bytes;
}

/* ---- without data ---- */

static int coroutine_fn do_discard(UblkRequest *req)
{
    int64_t offset, bytes;

    if (!req->disk->is_writable ||
        !get_range(req, BDRV_REQUEST_MAX_BYTES, &offset, &bytes)) {
        return -EIO;
    }
    return blk_co_pdiscard(req->disk->blk, offset, bytes);
}

static int coroutine_fn do_write_zeroes(UblkRequest *req)
{
    BdrvRequestFlags flags = req->desc.op_flags & UBLK_IO_F_NOUNMAP ? 0 : BDRV_REQ_MAY_UNMAP;
    int64_t offset, bytes;

    if (!req->disk->is_writable ||
        !get_range(req, BDRV_REQUEST_MAX_BYTES, &offset, &bytes)) {
        return -EIO;
    }
    if (req->desc.op_flags & UBLK_IO_F_FUA) {
        flags |= BDRV_REQ_FUA;
    }
    return blk_co_pwrite_zeroes(req->disk->blk, offset, bytes, flags);
}

/* ---- zones ---- */

/* Describe @nr zones to the driver, behind the first @nr_before. */
static int store_zones(const UblkRequest *req, const BlockZoneDescriptor *zones, unsigned int nr,
                       size_t nr_before)
{
    struct blk_zone entries[REPORT_BATCH] = {0};

    for (unsigned int i = 0; i < nr; i++) {
        entries[i] = (struct blk_zone){
            .start = zones[i].start / BDRV_SECTOR_SIZE,
            .len = zones[i].length / BDRV_SECTOR_SIZE,
            .wp = zones[i].wp / BDRV_SECTOR_SIZE,
            .type = zones[i].type,
            .cond = zones[i].state,
            .capacity = zones[i].cap / BDRV_SECTOR_SIZE,
        };
    }
    return move_data(req, true, entries, nr * sizeof(entries[0]), nr_before * sizeof(entries[0]));
}

/*
 * All zones that were asked for, as far as there are any: the driver goes wrong about shorter
 * reports, and asks for ever where a report is empty.
 */
static int coroutine_fn do_report(UblkRequest *req)
{
    UblkDisk *disk = req->disk;
    uint64_t start = req->desc.start_sector;
    size_t room = MIN(req->desc.nr_sectors_or_zones, disk->limits->nr_zones), nr_stored = 0;
    g_autofree BlockZoneDescriptor *zones = NULL;
    int64_t offset;

    if (start >= (uint64_t)(disk->total_bytes / BDRV_SECTOR_SIZE) || room == 0) {
        return -EIO;
    }
    zones = g_new(BlockZoneDescriptor, REPORT_BATCH);
    offset = start * BDRV_SECTOR_SIZE;
    while (nr_stored < room && offset < disk->total_bytes) {
        unsigned int nr = MIN(room - nr_stored, REPORT_BATCH);
        int ret = blk_co_zone_report(disk->blk, offset, &nr, zones);

        if (ret == 0 && nr > 0) {
            ret = store_zones(req, zones, nr, nr_stored);
        }
        if (ret < 0 || nr == 0) {
            return ret < 0 ? ret : -EIO;
        }
        nr_stored += nr;
        offset = zones[nr - 1].start + zones[nr - 1].length;
    }
    return RESULT_ALL;
}

/* Whether @req is about the zone that starts at its sector; sets *@offset to that in bytes. */
static bool get_zone(const UblkRequest *req, int64_t *offset)
{
    const UblkDisk *disk = req->disk;
    uint64_t start = req->desc.start_sector;

    if (!disk->is_writable || start >= (uint64_t)(disk->total_bytes / BDRV_SECTOR_SIZE)) {
        return false;
    }
    *offset = start * BDRV_SECTOR_SIZE;
    return *offset % disk->limits->zone_size == 0;
}

static int coroutine_fn manage(UblkRequest *req, BlockZoneOp op, int64_t offset, int64_t bytes)
{
    return req->log_entry ? ublk_log_manage(req, op, offset, bytes)
                          : blk_co_zone_mgmt(req->disk->blk, op, offset, bytes);
}

static int coroutine_fn do_zone(UblkRequest *req, BlockZoneOp op)
{
    int64_t offset;

    if (!get_zone(req, &offset)) {
        return -EIO;
    }
    return manage(req, op, offset, req->disk->limits->zone_size);
}

static int coroutine_fn do_reset_all(UblkRequest *req)
{
    UblkDisk *disk = req->disk;

    if (!disk->is_writable) {
        return -EIO;
    }
    return manage(req, BLK_ZO_RESET, 0, disk->total_bytes);
}

static int coroutine_fn run_zone_request(UblkRequest *req)
{
    switch (op_of(req)) {
    case UBLK_IO_OP_REPORT_ZONES:
        return do_report(req);
    case UBLK_IO_OP_ZONE_APPEND:
        return do_write(req, true);
    case UBLK_IO_OP_ZONE_OPEN:
        return do_zone(req, BLK_ZO_OPEN);
    case UBLK_IO_OP_ZONE_CLOSE:
        return do_zone(req, BLK_ZO_CLOSE);
    case UBLK_IO_OP_ZONE_FINISH:
        return do_zone(req, BLK_ZO_FINISH);
    case UBLK_IO_OP_ZONE_RESET:
        return do_zone(req, BLK_ZO_RESET);
    case UBLK_IO_OP_ZONE_RESET_ALL:
        return do_reset_all(req);
    default:
        return -ENOTSUP;
    }
}

static int coroutine_fn run_request(UblkRequest *req)
{
    switch (op_of(req)) {
    case UBLK_IO_OP_READ:
        return do_read(req);
    case UBLK_IO_OP_WRITE:
        return do_write(req, false);
    case UBLK_IO_OP_FLUSH:
        return blk_co_flush(req->disk->blk);
    case UBLK_IO_OP_DISCARD:
        return do_discard(req);
    case UBLK_IO_OP_WRITE_ZEROES:
        return do_write_zeroes(req);
    default:
        return req->disk->is_zoned ? run_zone_request(req) : -ENOTSUP;
    }
}

void coroutine_fn ublk_request_run(UblkRequest *req)
{
    int ret;

    req->append_lba = 0;
    ret = run_request(req);
    req->result = ret < 0 ? result_of_error(ret) : ret;
}
