/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making, resizing and removing files of the host.
 *
 * Everything here may take long (a preallocation writes the whole file), so it runs in a worker
 * thread.  An existing file is emptied only once the locks say that nobody uses it.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "block/file-posix.h"
#include "qemu/buffer.h"

#define DEFAULT_EXTENT_SIZE_HINT MiB
#define FULL_PREALLOC_BUFFER MiB

/* ---- length ---- */

typedef struct ResizeJob {
    int fd;
    int64_t old_length;
    int64_t new_length;
    PreallocMode prealloc;
    Error *err;
} ResizeJob;

/* Write zeroes from @offset to @end, and to the disk. */
static int write_zeroes_to_disk(int fd, int64_t offset, int64_t end)
{
    QEMU_AUTO_VFREE uint8_t *zeroes = qemu_memalign(4096, FULL_PREALLOC_BUFFER);

    memset(zeroes, 0, FULL_PREALLOC_BUFFER);
    while (offset < end) {
        ssize_t ret = pwrite(fd, zeroes, MIN(FULL_PREALLOC_BUFFER, end - offset), offset);

        if (ret < 0 && errno != EINTR) {
            return -errno;
        }
        offset += MAX(ret, 0);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int preallocate(const ResizeJob *job)
{
    int64_t bytes = job->new_length - job->old_length;

    if (bytes == 0 || job->prealloc == PREALLOC_MODE_OFF) {
        return 0;
    }
    if (job->prealloc == PREALLOC_MODE_FALLOC) {
        return -posix_fallocate(job->fd, job->old_length, bytes);
    }
    return write_zeroes_to_disk(job->fd, job->old_length, job->new_length);
}

static int resize_in_thread(void *arg)
{
    ResizeJob *job = arg;
    int ret;

    if (ftruncate(job->fd, job->new_length) < 0) {
        ret = -errno;
        error_setg_errno(&job->err, -ret, "Could not resize file to %" PRId64 " bytes",
                         job->new_length);
        return ret;
    }
    ret = preallocate(job);
    if (ret < 0) {
        error_setg_errno(&job->err, -ret, "Could not preallocate space for %" PRId64 " bytes",
                         job->new_length - job->old_length);
        if (ftruncate(job->fd, job->old_length) < 0) {
            error_append_hint(&job->err, "The file keeps its new size: %s\n", g_strerror(errno));
        }
    }
    return ret;
}

static bool check_prealloc(PreallocMode prealloc, Error **errp)
{
    if (prealloc == PREALLOC_MODE_METADATA) {
        error_setg(errp, "Unsupported preallocation mode '%s'", PreallocMode_str(prealloc));
        return false;
    }
    return true;
}

int coroutine_fn file_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                                  PreallocMode prealloc, BdrvRequestFlags flags, Error **errp)
{
    FilePosix *s = bs->opaque;
    ResizeJob job = {.fd = s->handle.fd, .new_length = offset, .prealloc = prealloc};
    struct stat st;
    int ret;

    if (!check_prealloc(prealloc, errp)) {
        return -ENOTSUP;
    }
    if (fstat(s->handle.fd, &st) < 0) {
        ret = -errno;
        error_setg_errno(errp, -ret, "Could not get the size of '%s'", s->filename);
        return ret;
    }
    job.old_length = st.st_size;
    if (prealloc != PREALLOC_MODE_OFF && offset < job.old_length) {
        error_setg(errp, "Preallocation can't be used for shrinking files");
        return -EINVAL;
    }
    ret = thread_pool_submit_co(resize_in_thread, &job);
    error_propagate(errp, job.err);
    return ret;
}

/* ---- creation ---- */

typedef struct CreateJob {
    const BlockdevCreateOptionsFile *options;
    bool is_new; /* the file was not there before */
    Error *err;
} CreateJob;

int file_create_check(const BlockdevCreateOptions *options, Error **errp)
{
    const BlockdevCreateOptionsFile *file = &options->u.file;

    if (file->size > BDRV_MAX_LENGTH) {
        error_setg(errp, "Image size %" PRIu64 " is too large: the limit is %" PRId64 " bytes",
                   file->size, BDRV_MAX_LENGTH);
        return -EFBIG;
    }
    if (file->has_extent_size_hint && file->extent_size_hint > UINT32_MAX) {
        error_setg(errp, "Extent size hint is too large: %" PRIu64, file->extent_size_hint);
        return -EINVAL;
    }
    return check_prealloc(file->preallocation, errp) ? 0 : -ENOTSUP;
}

/* Neither is known to every file system, and an image without them is as good. */
static void set_attributes(int fd, const BlockdevCreateOptionsFile *options)
{
    uint64_t hint = options->has_extent_size_hint ? options->extent_size_hint
                                                  : DEFAULT_EXTENT_SIZE_HINT;
    struct fsxattr attributes;
    int flags;

    if (options->nocow && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    if (hint > 0 && ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
        attributes.fsx_xflags |= FS_XFLAG_EXTSIZE;
        attributes.fsx_extsize = hint;
        (void)ioctl(fd, FS_IOC_FSSETXATTR, &attributes);
    }
}

/* Open the file without touching what is in it. */
static int open_for_create(CreateJob *job)
{
    const char *filename = job->options->filename;
    int fd = open(filename, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    job->is_new = fd >= 0;
    if (fd < 0 && errno == EEXIST) {
        fd = open(filename, O_RDWR | O_CLOEXEC);
    }
    return fd;
}

/* Empty the file, which nobody uses, and give it its size. */
static int fill_new_file(CreateJob *job, int fd)
{
    const BlockdevCreateOptionsFile *options = job->options;
    ResizeJob resize = {
        .fd = fd, .new_length = options->size, .prealloc = options->preallocation,
    };
    FileLocks locks;
    int ret;

    file_locks_init(&locks, false, ON_OFF_AUTO_AUTO);
    ret = file_locks_set(&locks, fd, options->filename, BLK_PERM_WRITE | BLK_PERM_RESIZE,
                         BLK_PERM_ALL & ~BLK_PERM_RESIZE, &job->err);
    if (ret < 0) {
        return ret;
    }
    if (ftruncate(fd, 0) < 0) {
        ret = -errno;
        error_setg_errno(&job->err, -ret, "Could not clear '%s'", options->filename);
        return ret;
    }
    set_attributes(fd, options);
    ret = resize_in_thread(&resize);
    error_propagate(&job->err, resize.err);
    return ret;
}

static int create_in_thread(void *arg)
{
    CreateJob *job = arg;
    const char *filename = job->options->filename;
    int fd = open_for_create(job);
    struct stat st;
    int ret;

    if (fd < 0 || fstat(fd, &st) < 0) {
        ret = -errno;
        error_setg_errno(&job->err, -ret, "Could not create '%s'", filename);
    } else if (!S_ISREG(st.st_mode)) {
        ret = -EINVAL;
        error_setg(&job->err, "Could not create '%s': not a regular file", filename);
    } else {
        ret = fill_new_file(job, fd);
    }
    if (fd >= 0 && close(fd) < 0 && ret == 0) {
        ret = -errno;
        error_setg_errno(&job->err, -ret, "Could not create '%s'", filename);
    }
    if (ret < 0 && job->is_new) {
        unlink(filename);
    }
    return ret;
}

int coroutine_fn file_co_create(BlockdevCreateOptions *options, Error **errp)
{
    CreateJob job = {.options = &options->u.file};
    int ret = thread_pool_submit_co(create_in_thread, &job);

    error_propagate(errp, job.err);
    return ret;
}

int coroutine_fn file_co_delete_file(const char *filename, Error **errp)
{
    struct stat st;

    if (stat(filename, &st) == 0 && !S_ISREG(st.st_mode)) {
        error_setg(errp, "'%s' is not a regular file, so it is not removed", filename);
        return -EINVAL;
    }
    if (unlink(filename) < 0) {
        int err = errno;

        error_setg_errno(errp, err, "Could not remove '%s'", filename);
        return -err;
    }
    return 0;
}
