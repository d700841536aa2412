/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The `file` driver: regular files of the host.
 *
 * Requests go to the kernel through the AioContext (block/aio.h), by whichever engine the node has.
 * With cache.direct the block layer has aligned them to what O_DIRECT asks for.  Zero writes and
 * discards are fallocate(2), holes are found with lseek(2).
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "block/file-posix.h"

/* ---- data ---- */

typedef int coroutine_fn VectorIO(FilePosix *s, int64_t offset, QEMUIOVector *qiov, bool is_fua);

/* Call @io with the part of @qiov that the request is about. */
static int coroutine_fn with_part(FilePosix *s, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
                                  size_t qiov_offset, bool is_fua, VectorIO *io)
{
    QEMUIOVector part;
    int ret;

    if (likely(qiov_offset == 0 && bytes == qiov->size)) {
        return io(s, offset, qiov, is_fua);
    }
    qemu_iovec_init_slice(&part, qiov, qiov_offset, bytes);
    ret = io(s, offset, &part, is_fua);
    qemu_iovec_destroy(&part);
    return ret;
}

static int coroutine_fn read_vector(FilePosix *s, int64_t offset, QEMUIOVector *qiov, bool is_fua)
{
    return aio_co_preadv(s->handle.engine, s->handle.fd, offset, qiov);
}

static int coroutine_fn write_vector(FilePosix *s, int64_t offset, QEMUIOVector *qiov, bool is_fua)
{
    return aio_co_pwritev(s->handle.engine, s->handle.fd, offset, qiov, is_fua);
}

int coroutine_fn file_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    return with_part(bs->opaque, offset, bytes, qiov, qiov_offset, false, read_vector);
}

int coroutine_fn file_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov, size_t qiov_offset,
                                      BdrvRequestFlags flags)
{
    bool is_fua = (flags & BDRV_REQ_FUA) && !(bs->open_flags & BDRV_O_NO_FLUSH);

    return with_part(bs->opaque, offset, bytes, qiov, qiov_offset, is_fua, write_vector);
}

int coroutine_fn file_co_flush(BlockDriverState *bs)
{
    FilePosix *s = bs->opaque;
    int ret;

    if (s->flush_error < 0) {
        return s->flush_error;
    }
    ret = aio_co_fdatasync(s->handle.engine, s->handle.fd);
    if (ret < 0 && !s->handle.is_direct) {
        /*
         * The kernel forgets which pages it could not write: the next call would find nothing
         * wrong.
         */
        s->flush_error = ret;
    }
    return ret;
}

/* ---- zeroes and holes ---- */

/* fallocate(2); -ENOTSUP, and *@cannot is set, where the file system does not have @mode. */
static int coroutine_fn try_fallocate(FilePosix *s, int mode, int64_t offset, int64_t bytes,
                                      bool *cannot)
{
    int ret;

    if (*cannot) {
        return -ENOTSUP;
    }
    ret = aio_co_fallocate(s->handle.engine, s->handle.fd, mode, offset, bytes);
    if (ret == -ENOSYS || ret == -EOPNOTSUPP) {
        *cannot = true;
        return -ENOTSUP;
    }
    /* Some file systems refuse what they cannot do for this very range. */
    return ret == -EINVAL || ret == -ENODEV ? -ENOTSUP : ret;
}

static int coroutine_fn punch_hole(FilePosix *s, int64_t offset, int64_t bytes)
{
    return try_fallocate(s, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes,
                         &s->cannot_punch_hole);
}

static int coroutine_fn file_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                              BdrvRequestFlags flags)
{
    FilePosix *s = bs->opaque;
    /* A hole cannot extend the file, and ftruncate(2) would race with writes that do. */
    bool can_be_hole = offset + bytes <= bs->total_bytes;
    int ret = -ENOTSUP;

    if ((flags & BDRV_REQ_MAY_UNMAP) && can_be_hole) {
        ret = punch_hole(s, offset, bytes);
    }
    if (ret == -ENOTSUP) {
        ret = try_fallocate(s, FALLOC_FL_ZERO_RANGE, offset, bytes, &s->cannot_zero_range);
    }
    if (ret == -ENOTSUP && can_be_hole) {
        bool cannot_allocate = false;

        ret = punch_hole(s, offset, bytes);
        if (ret == 0 && !(flags & BDRV_REQ_MAY_UNMAP)) {
            /* Space for it is kept if the file system can; the zeroes are there anyway. */
            try_fallocate(s, 0, offset, bytes, &cannot_allocate);
        }
    }
    return ret;
}

static int coroutine_fn file_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    return punch_hole(bs->opaque, offset, bytes);
}

/*
 * The extent at @offset: sets *@end to where it ends (INT64_MAX: at the end of the file) and
 * returns whether it holds data, or a negative errno.
 */
static int find_extent(int fd, int64_t offset, int64_t *end)
{
    off_t data = lseek(fd, offset, SEEK_DATA);

    if (data < 0) {
        *end = INT64_MAX;
        return errno == ENXIO ? 0 : -errno;
    }
    if (data > offset) {
        *end = data;
        return 0;
    }
    *end = lseek(fd, offset, SEEK_HOLE);
    return *end < 0 ? -errno : 1;
}

static int coroutine_fn file_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    FilePosix *s = bs->opaque;
    int64_t align = bs->bl.request_alignment;
    int64_t end = INT64_MAX;
    int has_data = s->cannot_seek_data ? 1 : find_extent(s->handle.fd, offset, &end);

    *map = offset;
    *file = bs;
    if (has_data < 0) {
        s->cannot_seek_data = has_data == -EINVAL;
        has_data = 1;
        end = INT64_MAX;
    }
    /* Only whole blocks: one that is a hole in part counts as data. */
    if (end < INT64_MAX - align) {
        end = has_data ? ROUND_UP(end, align) : ROUND_DOWN(end, align);
    }
    if (end <= offset) {
        has_data = 1;
        end = offset + align;
    }
    *pnum = MIN(bytes, end - offset);
    return BDRV_BLOCK_OFFSET_VALID | (has_data ? BDRV_BLOCK_DATA : BDRV_BLOCK_ZERO);
}

/* ---- size ---- */

static int64_t coroutine_fn file_co_getlength(BlockDriverState *bs)
{
    FilePosix *s = bs->opaque;
    struct stat st;

    return fstat(s->handle.fd, &st) < 0 ? -errno : st.st_size;
}

static int64_t coroutine_fn file_co_get_allocated_file_size(BlockDriverState *bs)
{
    FilePosix *s = bs->opaque;
    struct stat st;

    return fstat(s->handle.fd, &st) < 0 ? -errno : (int64_t)st.st_blocks * 512;
}

/* ---- shared memory ---- */

static void *file_map_shared(BlockDriverState *bs, int64_t offset, size_t bytes, Error **errp)
{
    FilePosix *s = bs->opaque;
    int protection = s->handle.is_read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void *address = mmap(NULL, bytes, protection, MAP_SHARED, s->handle.fd, offset);

    if (address == MAP_FAILED) {
        error_setg_errno(errp, errno, "Could not map '%s' into memory", s->filename);
        return NULL;
    }
    return address;
}

static void file_unmap_shared(BlockDriverState *bs, void *address, size_t bytes)
{
    munmap(address, bytes);
}

/* ---- the driver ---- */

static void file_parse_filename(const char *filename, json_t *options, Error **errp)
{
    file_parse_filename_with("file", filename, options);
}

static int file_open(BlockDriverState *bs, const BlockdevOptions *options, int flags, Error **errp)
{
    return file_open_common(bs, &options->u.file, flags, false, errp);
}

static int file_reopen_prepare(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                               Error **errp)
{
    return file_reopen_common(bs, &options->u.file, flags, errp);
}

static BlockDriver bdrv_file = {
    .format_name = "file",
    .protocol_name = "file",
    .instance_size = sizeof(FilePosix),
    .mutable_options = file_mutable_options,
    .bdrv_parse_filename = file_parse_filename,
    .bdrv_open = file_open,
    .bdrv_close = file_close,
    .bdrv_reopen_prepare = file_reopen_prepare,
    .bdrv_reopen_commit = file_reopen_commit,
    .bdrv_reopen_abort = file_reopen_abort,
    .bdrv_can_change_aio_context = file_can_change_aio_context,
    .bdrv_attach_aio_context = file_attach_aio_context,
    .bdrv_refresh_limits = file_refresh_limits,
    .bdrv_set_perm = file_set_perm,
    .bdrv_co_preadv_part = file_co_preadv_part,
    .bdrv_co_pwritev_part = file_co_pwritev_part,
    .bdrv_co_pwrite_zeroes = file_co_pwrite_zeroes,
    .bdrv_co_pdiscard = file_co_pdiscard,
    .bdrv_co_flush = file_co_flush,
    .bdrv_co_block_status = file_co_block_status,
    .bdrv_co_truncate = file_co_truncate,
    .bdrv_co_getlength = file_co_getlength,
    .bdrv_co_get_allocated_file_size = file_co_get_allocated_file_size,
    .bdrv_create_check = file_create_check,
    .bdrv_co_create = file_co_create,
    .bdrv_co_delete_file = file_co_delete_file,
    .bdrv_map_shared = file_map_shared,
    .bdrv_unmap_shared = file_unmap_shared,
};

static void bdrv_file_init(void)
{
    bdrv_register(&bdrv_file);
}

block_init(bdrv_file_init)
