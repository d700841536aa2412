/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls to the kernel: see vduse-dev.h.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "vduse-dev.h"
#include "virtqueue.h"

#define VDUSE_FOLDER "/dev/vduse/"
#define VIRTIO_ID_BLOCK 2
#define QUEUE_ALIGNMENT 4096

/* How long to wait for another process to let go of the device. */
#define OPEN_TRIES 250
#define OPEN_PAUSE_US 20000

static int open_file(const char *path)
{
    return open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static int call_ioctl(int fd, unsigned long request, void *argument)
{
    return ioctl(fd, request, argument);
}

static const VduseKernel real_kernel = {
    .open = open_file,
    .ioctl = call_ioctl,
    .log_folder = "/dev/shm",
};

const VduseKernel *vduse_kernel = &real_kernel;

static int call(int fd, unsigned long request, void *argument)
{
    return vduse_kernel->ioctl(fd, request, argument) < 0 ? -errno : 0;
}

/* ---- life ---- */

static bool check_name(const char *name, Error **errp)
{
    bool is_wellformed = g_ascii_isalnum(*name) && strlen(name) < VDUSE_NAME_MAX / 2;

    for (const char *c = name; *c && is_wellformed; c++) {
        is_wellformed = g_ascii_isalnum(*c) || strchr("-._", *c);
    }
    if (!is_wellformed) {
        error_setg(errp,
                   "name must have 1 to %d letters, digits, '-', '.' and '_', and begin with a "
                   "letter or digit, got '%s'",
                   VDUSE_NAME_MAX / 2 - 1, name);
    }
    return is_wellformed;
}

static bool open_control(VduseDev *dev, Error **errp)
{
    uint64_t version = 0;

    dev->control = vduse_kernel->open(VDUSE_FOLDER "control");
    if (dev->control < 0) {
        error_setg_errno(errp, errno, "Cannot open '%scontrol'", VDUSE_FOLDER);
        error_append_hint(errp, "Is the kernel module 'vduse' loaded?\n");
        return false;
    }
    if (call(dev->control, VDUSE_SET_API_VERSION, &version) < 0) {
        error_setg_errno(errp, errno, "The kernel does not know version 0 of VDUSE");
        return false;
    }
    return true;
}

static int create_device(VduseDev *dev, const VduseDevOptions *options)
{
    g_autofree struct vduse_dev_config *config =
        g_malloc0(sizeof(*config) + options->config_bytes);

    g_strlcpy(config->name, options->name, sizeof(config->name));
    config->device_id = VIRTIO_ID_BLOCK;
    config->features = options->features | UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM;
    config->vq_num = options->nr_queues;
    config->vq_align = QUEUE_ALIGNMENT;
    config->config_size = options->config_bytes;
    memcpy(config->config, options->config, options->config_bytes);
    return call(dev->control, VDUSE_CREATE_DEV, config);
}

/* Create it, once more if only a leftover is in the way; -EBUSY where it is in use. */
static int create_or_replace(VduseDev *dev, const VduseDevOptions *options)
{
    int ret = create_device(dev, options);

    if (ret == -EEXIST) {
        ret = vduse_dev_destroy(dev);
        ret = ret < 0 ? ret : create_device(dev, options);
    }
    return ret;
}

static bool open_device(VduseDev *dev, Error **errp)
{
    for (unsigned int tries = 1; dev->fd < 0; tries++) {
        dev->fd = vduse_kernel->open(dev->path);
        if (dev->fd < 0 && (errno != EBUSY || tries == OPEN_TRIES)) {
            error_setg_errno(errp, errno, "Cannot open '%s'", dev->path);
            return false;
        }
        if (dev->fd < 0) {
            g_usleep(OPEN_PAUSE_US);
        }
    }
    return true;
}

bool vduse_dev_connect(VduseDev *dev, const VduseDevOptions *options, bool *is_new, Error **errp)
{
    ERRP_GUARD();
    int ret;

    *dev = (VduseDev){.control = -1, .fd = -1};
    if (!check_name(options->name, errp)) {
        return false;
    }
    dev->path = g_strconcat(VDUSE_FOLDER, options->name, NULL);
    if (!open_control(dev, errp)) {
        vduse_dev_done(dev);
        return false;
    }
    ret = create_or_replace(dev, options);
    *is_new = ret == 0;
    if (ret < 0 && ret != -EBUSY) {
        error_setg_errno(errp, -ret, "Cannot create the VDUSE device '%s'", options->name);
        vduse_dev_done(dev);
        return false;
    }
    if (!open_device(dev, errp)) {
        if (*is_new) {
            vduse_dev_destroy(dev);
        }
        vduse_dev_done(dev);
        return false;
    }
    return true;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void vduse_dev_disconnect(VduseDev *dev)
{
    close_fd(&dev->fd);
}

int vduse_dev_destroy(const VduseDev *dev)
{
    char name[VDUSE_NAME_MAX] = {0};

    g_strlcpy(name, dev->path + strlen(VDUSE_FOLDER), sizeof(name));
    return call(dev->control, VDUSE_DESTROY_DEV, name);
}

void vduse_dev_done(VduseDev *dev)
{
    close_fd(&dev->fd);
    close_fd(&dev->control);
    g_clear_pointer(&dev->path, g_free);
}

int vduse_dev_set_up_queues(const VduseDev *dev, const VduseDevOptions *options)
{
    int ret = 0;

    for (uint32_t i = 0; i < options->nr_queues && ret == 0; i++) {
        struct vduse_vq_config queue = {.index = i, .max_size = options->queue_size};

        ret = call(dev->fd, VDUSE_VQ_SETUP, &queue);
    }
    return ret;
}

/* ---- use ---- */

int vduse_dev_get_features(const VduseDev *dev, uint64_t *features)
{
    return call(dev->fd, VDUSE_DEV_GET_FEATURES, features);
}

int vduse_dev_set_config(const VduseDev *dev, const uint8_t *config, uint32_t bytes)
{
    g_autofree struct vduse_config_data *data = g_malloc0(sizeof(*data) + bytes);
    int ret;

    data->length = bytes;
    memcpy(data->buffer, config, bytes);
    ret = call(dev->fd, VDUSE_DEV_SET_CONFIG, data);
    if (ret == 0) {
        ret = call(dev->fd, VDUSE_DEV_INJECT_CONFIG_IRQ, NULL);
    }
    /* Without a driver there is nobody to tell. */
    return ret == -EINVAL ? 0 : ret;
}

int vduse_dev_get_queue(const VduseDev *dev, uint32_t index, struct vduse_vq_info *info)
{
    *info = (struct vduse_vq_info){.index = index};
    return call(dev->fd, VDUSE_VQ_GET_INFO, info);
}

int vduse_dev_set_kick(const VduseDev *dev, uint32_t index, int fd)
{
    struct vduse_vq_eventfd event = {.index = index, .fd = fd};

    return call(dev->fd, VDUSE_VQ_SETUP_KICKFD, &event);
}

int vduse_dev_interrupt(const VduseDev *dev, uint32_t index)
{
    return call(dev->fd, VDUSE_VQ_INJECT_IRQ, &index);
}

int vduse_dev_get_region(const VduseDev *dev, uint64_t iova, struct vduse_iotlb_entry *region)
{
    int fd;

    *region = (struct vduse_iotlb_entry){.start = iova, .last = iova};
    fd = vduse_kernel->ioctl(dev->fd, VDUSE_IOTLB_GET_FD, region);
    if (fd < 0) {
        return -errno;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}
