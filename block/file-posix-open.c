/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening, closing and reopening files and devices of the host, and what they ask of requests.
 *
 * Outside coroutines.  A reopen opens the file a second time and swaps the descriptors when it is
 * committed; until then the node goes on with the old one.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "block/file-posix.h"
#include "qemu/buffer.h"

/* What any device and file system takes that knows O_DIRECT. */
#define SAFE_ALIGNMENT 4096

const char *const file_mutable_options[] = {"aio", NULL};

void file_parse_filename_with(const char *protocol, const char *filename, json_t *options)
{
    size_t len = strlen(protocol);

    if (!strncmp(filename, protocol, len) && filename[len] == ':') {
        filename += len + 1;
    }
    json_object_set_new(options, "filename", json_stringn_nocheck(filename, strlen(filename)));
}

/* ---- alignment of O_DIRECT ---- */

/* The kernel's own word, since Linux 6.1; false where it gives none. */
static bool ask_alignment(FileHandle *handle)
{
#ifdef STATX_DIOALIGN
    struct statx stx;

    if (statx(handle->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN) && is_power_of_2(stx.stx_dio_offset_align) &&
        is_power_of_2(stx.stx_dio_mem_align)) {
        handle->request_alignment = stx.stx_dio_offset_align;
        handle->memory_alignment = stx.stx_dio_mem_align;
        return true;
    }
#endif
    return false;
}

/* Whether the kernel takes a read of @bytes into memory at @shift bytes from a page. */
static bool read_works(int fd, uint8_t *page, size_t shift, size_t bytes)
{
    ssize_t ret;

    do {
        ret = pread(fd, page + shift, bytes, 0);
    } while (ret < 0 && errno == EINTR);
    /* Only EINVAL speaks of alignment; and the end of a file may come before any check. */
    return ret > 0 || (ret < 0 && errno != EINVAL);
}

/* The smallest alignment from 512 on that a read gets away with. */
static void probe_alignment(FileHandle *handle)
{
    QEMU_AUTO_VFREE uint8_t *page = qemu_memalign(SAFE_ALIGNMENT, 2 * SAFE_ALIGNMENT);
    uint32_t align = BDRV_SECTOR_SIZE;

    while (align < SAFE_ALIGNMENT && !read_works(handle->fd, page, 0, align)) {
        align *= 2;
    }
    handle->request_alignment = align;
    align = BDRV_SECTOR_SIZE;
    while (align < SAFE_ALIGNMENT && !read_works(handle->fd, page, align, SAFE_ALIGNMENT)) {
        align *= 2;
    }
    handle->memory_alignment = align;
}

static void find_alignment(FileHandle *handle)
{
    int block_size;

    handle->request_alignment = 1;
    handle->memory_alignment = 1;
    if (!handle->is_direct || ask_alignment(handle)) {
        return;
    }
    if (ioctl(handle->fd, BLKSSZGET, &block_size) == 0 && is_power_of_2(block_size)) {
        handle->request_alignment = block_size;
        handle->memory_alignment = block_size;
        return;
    }
    probe_alignment(handle);
}

/* ---- handles ---- */

static void handle_close(FileHandle *handle)
{
    if (handle->fd >= 0) {
        close(handle->fd);
    }
    handle->fd = -1;
}

/*
 * Refuse what the driver is not for before open(2), which waits on a FIFO and acts on some devices.
 */
static int check_file_type(const char *filename, bool is_device, Error **errp)
{
    struct stat st;

    if (stat(filename, &st) < 0) {
        int err = errno;

        error_setg_errno(errp, err, "Could not open '%s'", filename);
        return -err;
    }
    if (is_device ? S_ISBLK(st.st_mode) : S_ISREG(st.st_mode)) {
        return 0;
    }
    if (S_ISDIR(st.st_mode)) {
        error_setg(errp, "'%s' is a directory", filename);
        return -EISDIR;
    }
    if (is_device) {
        error_setg(errp, "'host_device' driver requires '%s' to be a block device", filename);
    } else {
        error_setg(errp, "'file' driver requires '%s' to be a regular file", filename);
    }
    return -EINVAL;
}

static int open_descriptor(const char *filename, int flags, bool *is_read_only)
{
    int mode = O_CLOEXEC | (flags & BDRV_O_NOCACHE ? O_DIRECT : 0);
    int fd = -1;

    *is_read_only = !(flags & BDRV_O_RDWR);
    if (!*is_read_only) {
        fd = open(filename, O_RDWR | mode);
        if (fd >= 0 || !(flags & BDRV_O_AUTO_RDONLY) ||
            (errno != EACCES && errno != EPERM && errno != EROFS)) {
            return fd;
        }
        *is_read_only = true;
    }
    return open(filename, O_RDONLY | mode);
}

static bool choose_engine(FileHandle *handle, AioContext *ctx, const BlockdevOptionsFile *options,
                          Error **errp)
{
    static const AioEngine engines[] = {
        [BLOCKDEV_AIO_OPTIONS_THREADS] = AIO_ENGINE_THREADS,
        [BLOCKDEV_AIO_OPTIONS_NATIVE] = AIO_ENGINE_NATIVE,
        [BLOCKDEV_AIO_OPTIONS_IO_URING] = AIO_ENGINE_IO_URING,
    };

    handle->is_engine_given = options->has_aio;
    if (!options->has_aio) {
        handle->engine = aio_engine_default(ctx);
        return true;
    }
    handle->engine = engines[options->aio];
    return aio_engine_for_file(ctx, handle->engine, handle->is_direct, errp);
}

static int handle_open(FileHandle *handle, AioContext *ctx, const BlockdevOptionsFile *options,
                       int flags, bool is_device, Error **errp)
{
    ERRP_GUARD();
    int ret = check_file_type(options->filename, is_device, errp);

    handle->fd = -1;
    if (ret < 0) {
        return ret;
    }
    handle->is_direct = flags & BDRV_O_NOCACHE;
    if (!choose_engine(handle, ctx, options, errp)) {
        return -EINVAL;
    }
    handle->fd = open_descriptor(options->filename, flags, &handle->is_read_only);
    if (handle->fd < 0) {
        ret = -errno;
        error_setg_errno(errp, -ret, "Could not open '%s'", options->filename);
        if (ret == -EINVAL && handle->is_direct) {
            error_append_hint(errp, "The file system may not support cache.direct (O_DIRECT).\n");
        }
        return ret;
    }
    find_alignment(handle);
    return 0;
}

/* ---- driver callbacks ---- */

/* The length now, in bytes, or a negative errno. */
static int64_t current_length(int fd)
{
    struct stat st;
    uint64_t bytes;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (!S_ISBLK(st.st_mode)) {
        return st.st_size;
    }
    if (ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
        return -errno;
    }
    return MIN(bytes, (uint64_t)INT64_MAX);
}

static int find_length(BlockDriverState *bs, Error **errp)
{
    FilePosix *s = bs->opaque;
    int64_t length = current_length(s->handle.fd);

    if (length < 0) {
        error_setg_errno(errp, -length, "Could not get the size of '%s'", s->filename);
        return length;
    }
    if (length > BDRV_MAX_LENGTH) {
        error_setg(errp, "The size of '%s' is too large: %" PRId64 " bytes", s->filename, length);
        return -EFBIG;
    }
    bs->total_bytes = ROUND_UP(length, BDRV_SECTOR_SIZE);
    return 0;
}

int file_open_common(BlockDriverState *bs, const BlockdevOptionsFile *options, int flags,
                     bool is_device, Error **errp)
{
    FilePosix *s = bs->opaque;
    int ret = handle_open(&s->handle, bs->aio_context, options, flags, is_device, errp);

    if (ret < 0) {
        return ret;
    }
    s->reopened.fd = -1;
    s->filename = g_strdup(options->filename);
    s->is_device = is_device;
    if (is_device && ioctl(s->handle.fd, BLKSSZGET, &s->sector_size) < 0) {
        s->sector_size = SAFE_ALIGNMENT;
    }
    file_locks_init(&s->locks, options->has_locking, options->locking);
    ret = find_length(bs, errp);
    if (ret < 0) {
        file_close(bs);
        return ret;
    }
    if (s->handle.is_read_only) {
        bs->read_only = true;
        bs->open_flags &= ~BDRV_O_RDWR;
    }
    bs->is_growable = !is_device;
    bs->supported_write_flags = BDRV_REQ_FUA;
    bs->supported_zero_flags = BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK;
    return 0;
}

void file_close(BlockDriverState *bs)
{
    FilePosix *s = bs->opaque;

    file_locks_release(&s->locks, s->handle.fd);
    handle_close(&s->handle);
    g_clear_pointer(&s->filename, g_free);
}

/* Engines are an event loop's: the one that was chosen for the old loop may be missing here. */
bool file_can_change_aio_context(BlockDriverState *bs, AioContext *ctx, Error **errp)
{
    const FilePosix *s = bs->opaque;
    const FileHandle *handle = &s->handle;

    return !handle->is_engine_given ||
           aio_engine_for_file(ctx, handle->engine, handle->is_direct, errp);
}

void file_attach_aio_context(BlockDriverState *bs, AioContext *ctx)
{
    FilePosix *s = bs->opaque;

    if (!s->handle.is_engine_given) {
        s->handle.engine = aio_engine_default(ctx);
    }
}

int file_reopen_common(BlockDriverState *bs, const BlockdevOptionsFile *options, int flags,
                       Error **errp)
{
    FilePosix *s = bs->opaque;
    struct stat old_st, new_st;
    int ret = handle_open(&s->reopened, bs->aio_context, options, flags, s->is_device, errp);

    if (ret < 0) {
        return ret;
    }
    if (fstat(s->handle.fd, &old_st) < 0 || fstat(s->reopened.fd, &new_st) < 0 ||
        old_st.st_dev != new_st.st_dev || old_st.st_ino != new_st.st_ino) {
        error_setg(errp, "'%s' is not the file any more that was opened", s->filename);
        handle_close(&s->reopened);
        return -ESTALE;
    }
    return 0;
}

void file_reopen_commit(BlockDriverState *bs, int flags)
{
    FilePosix *s = bs->opaque;
    Error *err = NULL;

    /*
     * Permissions have changed since the new descriptor was opened: only now is it known what to
     * hold.
     */
    if (file_locks_move(&s->locks, s->reopened.fd, &err) < 0) {
        warn_report_err(err);
    }
    file_locks_release(&s->locks, s->handle.fd);
    handle_close(&s->handle);
    s->handle = s->reopened;
    s->reopened.fd = -1;
    if (s->handle.is_read_only) {
        bs->read_only = true;
        bs->open_flags &= ~BDRV_O_RDWR;
    }
}

void file_reopen_abort(BlockDriverState *bs)
{
    FilePosix *s = bs->opaque;

    handle_close(&s->reopened);
}

void file_refresh_limits(BlockDriverState *bs, Error **errp)
{
    FilePosix *s = bs->opaque;

    bs->bl.request_alignment = s->handle.request_alignment;
    bs->bl.min_mem_alignment = s->handle.memory_alignment;
    bs->bl.opt_mem_alignment = MAX(s->handle.memory_alignment, SAFE_ALIGNMENT);
    bs->bl.max_iov = IOV_MAX;
    if (s->is_device) {
        bs->bl.pdiscard_alignment = s->sector_size;
        bs->bl.pwrite_zeroes_alignment = s->sector_size;
    }
}

int file_set_perm(BlockDriverState *bs, uint64_t perm, uint64_t shared, Error **errp)
{
    FilePosix *s = bs->opaque;

    return file_locks_set(&s->locks, s->handle.fd, s->filename, perm, shared, errp);
}
