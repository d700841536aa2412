/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `host_device` driver: block devices of the host.
 *
 * Reads, writes and flushes are those of a file (file-posix.c).  Zeroing and discarding are ioctls
 * of the device, which a worker thread waits for.  A device cannot be created, removed or resized.
 */
#include "qemu/osdep.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "block/file-posix.h"

static int device_probe(const char *filename)
{
    struct stat st;

    return stat(filename, &st) == 0 && S_ISBLK(st.st_mode) ? 100 : 0;
}

/* ---- ranges ---- */

typedef struct RangeJob {
    int fd;
    unsigned long request; /* BLKDISCARD, BLKZEROOUT */
    uint64_t range[2];     /* offset and length, bytes */
} RangeJob;

static int range_in_thread(void *arg)
{
    RangeJob *job = arg;
    int ret;

    do {
        ret = ioctl(job->fd, job->request, job->range);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

static int coroutine_fn range_request(BlockDriverState *bs, unsigned long request, int64_t offset,
                                      int64_t bytes)
{
    FilePosix *s = bs->opaque;
    RangeJob job = {.fd = s->handle.fd, .request = request, .range = {offset, bytes}};
    int ret;

    if ((offset | bytes) & (s->sector_size - 1)) {
        return -ENOTSUP;
    }
    ret = thread_pool_submit_co(range_in_thread, &job);
    return ret == -ENOTTY || ret == -ENOSYS || ret == -EOPNOTSUPP ? -ENOTSUP : ret;
}

static int coroutine_fn device_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                                BdrvRequestFlags flags)
{
    return range_request(bs, BLKZEROOUT, offset, bytes);
}

static int coroutine_fn device_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    return range_request(bs, BLKDISCARD, offset, bytes);
}

/* ---- size ---- */

static int64_t coroutine_fn device_co_getlength(BlockDriverState *bs)
{
    FilePosix *s = bs->opaque;
    uint64_t bytes;

    if (ioctl(s->handle.fd, BLKGETSIZE64, &bytes) < 0) {
        return -errno;
    }
    return MIN(bytes, (uint64_t)INT64_MAX);
}

static int coroutine_fn device_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                                           PreallocMode prealloc, BdrvRequestFlags flags,
                                           Error **errp)
{
    int64_t length = device_co_getlength(bs);

    if (length < 0) {
        error_setg_errno(errp, -length, "Could not get the size of the device");
        return length;
    }
    if (offset > length) {
        error_setg(errp, "Cannot grow a device from %" PRId64 " to %" PRId64 " bytes", length,
                   offset);
        return -ENOSPC;
    }
    if (offset != length && exact) {
        error_setg(errp, "Cannot resize a device of %" PRId64 " bytes", length);
        return -ENOTSUP;
    }
    if (prealloc != PREALLOC_MODE_OFF) {
        error_setg(errp, "Preallocation mode '%s' is not supported on a device",
                   PreallocMode_str(prealloc));
        return -ENOTSUP;
    }
    return 0;
}

/* ---- the driver ---- */

static void device_parse_filename(const char *filename, json_t *options, Error **errp)
{
    file_parse_filename_with("host_device", filename, options);
}

static int device_open(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                       Error **errp)
{
    return file_open_common(bs, &options->u.host_device, flags, true, errp);
}

static int device_reopen_prepare(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                                 Error **errp)
{
    return file_reopen_common(bs, &options->u.host_device, flags, errp);
}

static BlockDriver bdrv_host_device = {
    .format_name = "host_device",
    .protocol_name = "host_device",
    .instance_size = sizeof(FilePosix),
    .mutable_options = file_mutable_options,
    .bdrv_probe_device = device_probe,
    .bdrv_parse_filename = device_parse_filename,
    .bdrv_open = device_open,
    .bdrv_close = file_close,
    .bdrv_reopen_prepare = device_reopen_prepare,
    .bdrv_reopen_commit = file_reopen_commit,
    .bdrv_reopen_abort = file_reopen_abort,
    .bdrv_can_change_aio_context = file_can_change_aio_context,
    .bdrv_attach_aio_context = file_attach_aio_context,
    .bdrv_refresh_limits = file_refresh_limits,
    .bdrv_set_perm = file_set_perm,
    .bdrv_co_preadv_part = file_co_preadv_part,
    .bdrv_co_pwritev_part = file_co_pwritev_part,
    .bdrv_co_pwrite_zeroes = device_co_pwrite_zeroes,
    .bdrv_co_pdiscard = device_co_pdiscard,
    .bdrv_co_flush = file_co_flush,
    .bdrv_co_truncate = device_co_truncate,
    .bdrv_co_getlength = device_co_getlength,
};

static void bdrv_host_device_init(void)
{
    bdrv_register(&bdrv_host_device);
}

block_init(bdrv_host_device_init)
