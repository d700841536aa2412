/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a VDUSE device's driver, mapped region by region when it is first used.
 *
 * With virtio_vdpa that is a bounce area of the kernel, whose pages exist from when the driver first
 * used them, and a region for each ring; with vhost_vdpa it is the memory of a guest.  Who names a
 * page that does not exist, or shrinks the file behind a region, makes us fault: all mappings are
 * guarded (qemu/memory-guard.h), so that it damages the device and not the daemon.
 *
 * The kernel does not tell when rings are freed: mappings must go when the device is reset.
 */
#ifndef BLOCK_EXPORT_VDUSE_IOTLB_H
#define BLOCK_EXPORT_VDUSE_IOTLB_H

#include "vduse-dev.h"

typedef struct VduseIotlb {
    const VduseDev *dev;
    int event;            /* signalled when a mapping was damaged */
    GArray *regions;      /* of mapped regions, by address */
    unsigned int last_hit;
} VduseIotlb;

/* @dev and the non-blocking eventfd @event stay the caller's, and outlive the mappings. */
void vduse_iotlb_init(VduseIotlb *iotlb, const VduseDev *dev, int event);
void vduse_iotlb_done(VduseIotlb *iotlb);

/* Unmap the regions that have an address from @start to @last; nobody uses them. */
void vduse_iotlb_invalidate(VduseIotlb *iotlb, uint64_t start, uint64_t last);

/* The callback of a VirtQueueMemory. */
void *vduse_iotlb_translate(void *iotlb, uint64_t iova, uint64_t *len);
/* @bytes at @iova, all in one region; otherwise NULL. */
void *vduse_iotlb_at(VduseIotlb *iotlb, uint64_t iova, uint64_t bytes);

#endif
