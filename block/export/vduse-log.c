/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file with what outlives the process: see vduse-log.h.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "vduse-log.h"
#include "virtio-blk-handler.h"
#include "virtqueue.h"

#define LOG_MAGIC "vduse-blk log 1"
/* The logs of queues begin behind the header, which has room to grow. */
#define HEADER_BYTES 4096

typedef struct LogHeader {
    char magic[16];
    uint64_t device_inode, device_number; /* which device of this name */
    uint32_t nr_queues, queue_size;
    uint32_t status;
    uint8_t config[VIRTIO_BLK_CONFIG_BYTES];
} LogHeader;

G_STATIC_ASSERT(sizeof(LogHeader) <= HEADER_BYTES);

struct VduseLog {
    char *path;
    uint8_t *base;
    size_t bytes;
};

static LogHeader *header_of(const VduseLog *log)
{
    return (LogHeader *)log->base;
}

static VduseLog *new_log(const VduseDevOptions *options)
{
    VduseLog *log = g_new0(VduseLog, 1);

    log->path = g_strdup_printf("%s/vduse-blk-%s", vduse_kernel->log_folder, options->name);
    log->bytes = HEADER_BYTES + options->nr_queues * virtqueue_inflight_bytes(options->queue_size);
    return log;
}

static bool map_log(VduseLog *log, int fd, Error **errp)
{
    void *base = mmap(NULL, log->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (base == MAP_FAILED) {
        error_setg_errno(errp, errno, "Cannot map '%s'", log->path);
        return false;
    }
    log->base = base;
    return true;
}

static LogHeader header_for(const VduseDevOptions *options, const struct stat *device)
{
    LogHeader header = {
        .magic = LOG_MAGIC,
        .device_inode = device->st_ino,
        .device_number = device->st_rdev,
        .nr_queues = options->nr_queues,
        .queue_size = options->queue_size,
    };

    memcpy(header.config, options->config, sizeof(header.config));
    return header;
}

/* ---- a new one ---- */

static bool create_file(VduseLog *log, Error **errp)
{
    int fd, ret;
    bool is_mapped;

    if (unlink(log->path) < 0 && errno != ENOENT) {
        error_setg_errno(errp, errno, "Cannot remove the old '%s'", log->path);
        return false;
    }
    fd = open(log->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Cannot create '%s'", log->path);
        return false;
    }
    /* All of its space now: later a full file system would be a fault. */
    ret = posix_fallocate(fd, 0, log->bytes);
    if (ret != 0) {
        error_setg_errno(errp, ret, "Cannot allocate %zu bytes for '%s'", log->bytes, log->path);
    }
    is_mapped = ret == 0 && map_log(log, fd, errp);
    close(fd);
    if (!is_mapped) {
        unlink(log->path);
    }
    return is_mapped;
}

VduseLog *vduse_log_create(const VduseDev *dev, const VduseDevOptions *options, Error **errp)
{
    VduseLog *log = new_log(options);
    struct stat device;

    if (fstat(dev->fd, &device) < 0) {
        error_setg_errno(errp, errno, "Cannot identify '%s'", dev->path);
        vduse_log_free(log);
        return NULL;
    }
    if (!create_file(log, errp)) {
        vduse_log_free(log);
        return NULL;
    }
    *header_of(log) = header_for(options, &device);
    return log;
}

/* ---- one that exists ---- */

static bool open_file(VduseLog *log, Error **errp)
{
    int fd = open(log->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    bool is_mapped = false;

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "Cannot open '%s', which tells what was in flight",
                         log->path);
    } else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 ||
               (st.st_mode & 077)) {
        error_setg(errp, "'%s' is not a file of our own", log->path);
    } else if (st.st_size != (off_t)log->bytes) {
        error_setg(errp, "'%s' has %" PRId64 " bytes instead of %zu: num-queues or queue-size "
                   "were different", log->path, (int64_t)st.st_size, log->bytes);
    } else {
        is_mapped = map_log(log, fd, errp);
    }
    if (fd >= 0) {
        close(fd);
    }
    return is_mapped;
}

static bool check_header(const VduseLog *log, const VduseDev *dev, const VduseDevOptions *options,
                         Error **errp)
{
    const LogHeader *header = header_of(log);
    struct stat device;

    if (fstat(dev->fd, &device) < 0) {
        error_setg_errno(errp, errno, "Cannot identify '%s'", dev->path);
        return false;
    }
    if (memcmp(header->magic, LOG_MAGIC, sizeof(header->magic)) ||
        header->device_inode != device.st_ino || header->device_number != device.st_rdev) {
        error_setg(errp, "'%s' belongs to another device than '%s'", log->path, dev->path);
        return false;
    }
    if (header->nr_queues != options->nr_queues || header->queue_size != options->queue_size) {
        error_setg(errp, "'%s' has %u queues of %u descriptors, not %u of %u", dev->path,
                   header->nr_queues, header->queue_size, options->nr_queues,
                   options->queue_size);
        return false;
    }
    return true;
}

VduseLog *vduse_log_open(const VduseDev *dev, const VduseDevOptions *options, Error **errp)
{
    VduseLog *log = new_log(options);

    if (!open_file(log, errp) || !check_header(log, dev, options, errp)) {
        vduse_log_free(log);
        return NULL;
    }
    return log;
}

/* ---- use ---- */

void vduse_log_free(VduseLog *log)
{
    if (log->base) {
        munmap(log->base, log->bytes);
    }
    g_free(log->path);
    g_free(log);
}

void vduse_log_remove(VduseLog *log)
{
    unlink(log->path);
    vduse_log_free(log);
}

const uint8_t *vduse_log_config(const VduseLog *log)
{
    return header_of(log)->config;
}

void vduse_log_set_config(VduseLog *log, const uint8_t *config)
{
    memcpy(header_of(log)->config, config, VIRTIO_BLK_CONFIG_BYTES);
}

uint8_t vduse_log_status(const VduseLog *log)
{
    return __atomic_load_n(&header_of(log)->status, __ATOMIC_ACQUIRE);
}

void vduse_log_set_status(VduseLog *log, uint8_t status)
{
    __atomic_store_n(&header_of(log)->status, status, __ATOMIC_SEQ_CST);
}

void *vduse_log_queue(const VduseLog *log, unsigned int index)
{
    return log->base + HEADER_BYTES +
           index * virtqueue_inflight_bytes(header_of(log)->queue_size);
}

void vduse_log_clear(VduseLog *log)
{
    memset(log->base + HEADER_BYTES, 0, log->bytes - HEADER_BYTES);
}
