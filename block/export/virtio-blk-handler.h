/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio-blk device (virtio 1.3, section 5.2) without a transport.
 *
 * The handler is the device: features, configuration space, and what a request does to the node.
 * A VirtIOBlkQueue is one of its request queues: it takes requests from a VirtQueue, runs each in a
 * coroutine, and answers.  Every transport (vhost-user, ...) uses these two.
 *
 * A host-managed zoned node becomes a host-managed zoned disk.  All of it runs in the context of
 * the backend.
 */
#ifndef BLOCK_EXPORT_VIRTIO_BLK_HANDLER_H
#define BLOCK_EXPORT_VIRTIO_BLK_HANDLER_H

#include "block/block-backend.h"
#include "virtqueue.h"

#define VIRTIO_BLK_CONFIG_BYTES 96
#define VIRTIO_BLK_MAX_QUEUES 64

typedef struct VirtIOBlkHandler VirtIOBlkHandler;
typedef struct VirtIOBlkQueue VirtIOBlkQueue;

typedef struct VirtIOBlkOptions {
    BlockBackend *blk;           /* stays the caller's, and outlives the handler */
    const char *name;            /* of the export */
    const char *serial;          /* at most 20 bytes; NULL: the first 20 of @name */
    bool is_writable;
    bool is_writethrough;        /* writes are durable when they are answered */
    /*
     * A driver that does not know zoned disks, such as a firmware's, may read one; otherwise it is
     * refused.
     */
    bool allows_unzoned_readers;
    /* Bytes; 0: what fits the node.  On a zoned node it is the granularity of writes too. */
    uint64_t logical_block_size;
    unsigned int num_queues;
} VirtIOBlkOptions;

/* ---- the device ---- */

/* NULL with @errp set where an option is impossible. */
VirtIOBlkHandler *virtio_blk_handler_new(const VirtIOBlkOptions *options, Error **errp);
void virtio_blk_handler_free(VirtIOBlkHandler *handler);

/* What is offered: bits of the device, the ring and virtio 1. */
uint64_t virtio_blk_handler_features(const VirtIOBlkHandler *handler);

/*
 * What the driver has chosen.  False with @errp set, and nothing changed, where it is more than
 * what was offered, or leaves out what the disk cannot be used without (VERSION_1; ZONED on a zoned
 * disk, unless the options allow that: then every write fails).  Without FLUSH every write is made
 * durable.  Nothing is in flight.
 */
bool virtio_blk_handler_set_features(VirtIOBlkHandler *handler, uint64_t features, Error **errp);
/* As before any driver came. */
void virtio_blk_handler_reset(VirtIOBlkHandler *handler);

/*
 * Another daemon may have left @inflight, the log of a queue of up to @size
 * descriptors (virtqueue_start()): settle which of the writes in flight it has carried out.  For the
 * logs of all queues before the first of them is started, as afterwards zones change.  Returns 0, or
 * what a zone report returns.
 */
int virtio_blk_handler_recover(VirtIOBlkHandler *handler, void *inflight, unsigned int size);

/* The configuration space; 96 bytes, little endian. */
const uint8_t *virtio_blk_handler_config(const VirtIOBlkHandler *handler);

/* ---- its queues ---- */

/* What a queue tells its transport. */
typedef struct VirtIOBlkQueueOps {
    void (*notify)(void *opaque);                     /* interrupt the driver */
    void (*broken)(void *opaque, const char *reason); /* once, see virtqueue_broken() */
} VirtIOBlkQueueOps;

/* It does nothing before its VirtQueue is started and fetching is on. */
VirtIOBlkQueue *virtio_blk_queue_new(VirtIOBlkHandler *handler, VirtQueueMemory memory,
                                     const VirtIOBlkQueueOps *ops, void *opaque);
/* Nothing is in flight. */
void virtio_blk_queue_free(VirtIOBlkQueue *queue);

VirtQueue *virtio_blk_queue_vq(VirtIOBlkQueue *queue);

/* Whether requests are taken; turning it on takes those that wait.  Off at first. */
void virtio_blk_queue_set_fetching(VirtIOBlkQueue *queue, bool is_fetching);

/* Take and start what the driver has added, unless fetching is off: what a notification means.
 * From outside coroutines. */
void virtio_blk_queue_run(VirtIOBlkQueue *queue);

/* Wait until all that was taken has been answered visibly; fetching is off. */
void coroutine_fn virtio_blk_queue_drain(VirtIOBlkQueue *queue);

#endif
