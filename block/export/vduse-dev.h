/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's interface of VDUSE: devices whose control path is in the kernel, and whose rings are
 * served by the process that has the character device open.  API version 0.
 *
 * A device outlives the process, until it is destroyed: while it is attached to the vDPA bus a new
 * process of the same name connects to it again.
 *
 * All functions return 0 or a negative errno unless they say otherwise.  -EPERM: the kernel has
 * given the device up, because a message was not answered in time.
 */
#ifndef BLOCK_EXPORT_VDUSE_DEV_H
#define BLOCK_EXPORT_VDUSE_DEV_H

#include <linux/vduse.h>

#include "qapi/error.h"
#include "qemu/osdep.h"

/*
 * How the kernel is called; a test puts one of its own in the place of vduse_kernel.  The calls
 * are as open(2), with O_RDWR | O_CLOEXEC | O_NONBLOCK, and ioctl(2).
 */
typedef struct VduseKernel {
    int (*open)(const char *path);
    int (*ioctl)(int fd, unsigned long request, void *argument);
    const char *log_folder; /* where vduse-log.h keeps its files: lost when the devices are */
} VduseKernel;

extern const VduseKernel *vduse_kernel;

typedef struct VduseDevOptions {
    const char *name;      /* letters, digits, '-', '.', '_'; begins with a letter or digit */
    uint64_t features;     /* of virtio, without VIRTIO_F_ACCESS_PLATFORM */
    uint32_t nr_queues;
    uint16_t queue_size;   /* the most descriptors that a queue may have */
    const uint8_t *config; /* the configuration space of a virtio-blk device */
    uint32_t config_bytes;
} VduseDevOptions;

typedef struct VduseDev {
    char *path;  /* of the character device; NULL: no device */
    int control; /* /dev/vduse/control */
    int fd;      /* the character device: one message a read() or write() */
} VduseDev;

/*
 * Make the device, or connect to it where it exists and is attached (*@is_new is false then).  One
 * that exists and is not attached is a leftover, and made anew.  Waits for up to five seconds where
 * another process has it open: it may be dying.  A new one waits for vduse_dev_set_up_queues().
 *
 * False with @errp set, and nothing left behind.
 */
bool vduse_dev_connect(VduseDev *dev, const VduseDevOptions *options, bool *is_new, Error **errp);
/* Close the character device; the device stays. */
void vduse_dev_disconnect(VduseDev *dev);
/* -EBUSY: it is attached, or still open. */
int vduse_dev_destroy(const VduseDev *dev);
/* Forget about it. */
void vduse_dev_done(VduseDev *dev);

/* From then on it can be attached. */
int vduse_dev_set_up_queues(const VduseDev *dev, const VduseDevOptions *options);

/* What the driver has chosen; 0 before it has. */
int vduse_dev_get_features(const VduseDev *dev, uint64_t *features);
/* Change the configuration space, and tell the driver where there is one. */
int vduse_dev_set_config(const VduseDev *dev, const uint8_t *config, uint32_t bytes);

int vduse_dev_get_queue(const VduseDev *dev, uint32_t index, struct vduse_vq_info *info);
/* Have the eventfd @fd signalled when the driver kicks. */
int vduse_dev_set_kick(const VduseDev *dev, uint32_t index, int fd);
/* Interrupt the driver.  -EINVAL: the kernel has not noted yet that the driver is ready. */
int vduse_dev_interrupt(const VduseDev *dev, uint32_t index);

/*
 * The region of the driver's memory that @iova is in: returns a descriptor to map, the caller's to
 * close, and sets @region.  -EINVAL: there is none.
 */
int vduse_dev_get_region(const VduseDev *dev, uint64_t iova, struct vduse_iotlb_entry *region);

#endif
