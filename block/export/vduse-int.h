/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the export type vduse-blk share: the export, its queues, and its messages.
 *
 * All of it runs in the thread of the exported node.
 */
#ifndef BLOCK_EXPORT_VDUSE_INT_H
#define BLOCK_EXPORT_VDUSE_INT_H

#include "block/export.h"
#include "vduse-dev.h"
#include "vduse-iotlb.h"
#include "vduse-log.h"
#include "virtio-blk-handler.h"

/* Bits of a virtio device's status. */
enum {
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
};

typedef struct VduseBlk VduseBlk;

/*
 * A ring.  It is live while requests are taken from it.  It has a kick descriptor since it was
 * first live and until the device is reset; meanwhile @base is where to go on when it is at rest.
 */
typedef struct VduseQueue {
    VduseBlk *vduse;
    unsigned int index;
    VirtIOBlkQueue *queue;
    int kick_fd; /* -1: none */
    bool is_live;
    uint16_t base;
    QEMUTimer *interrupt_timer; /* runs while the kernel refuses an interrupt */
    unsigned int nr_refused;
} VduseQueue;

/*
 * The export.  Its status is kept in the log.  While @is_busy a coroutine handles a message, or
 * ends the export; no other message is read then.
 */
struct VduseBlk {
    BlockExport exp;
    AioContext *ctx;
    VirtIOBlkHandler *handler;
    VduseDev dev;
    VduseLog *log;
    VduseIotlb iotlb;
    int damage_event;
    uint64_t features; /* negotiated, without VIRTIO_F_ACCESS_PLATFORM */
    bool is_damaged;   /* no ring is served until the device is reset */
    bool is_in_use;    /* a driver is at work, for which we have a reference to @exp */
    bool is_lost;      /* the kernel has given the device up */
    bool is_busy;
    struct vduse_dev_request request; /* the one that is handled */
    VduseQueue *queues;
    unsigned int nr_queues, queue_size;
};

/* ---- rings (vduse-queue.c) ---- */

void vduse_queue_init(VduseQueue *queue, VduseBlk *vduse, unsigned int index);
/* It is at rest. */
void vduse_queue_done(VduseQueue *queue);

/*
 * Serve the ring where the driver has set it up and nothing is damaged, otherwise not; the features
 * are negotiated.  False with @errp set where what the driver has set up is impossible.
 */
bool vduse_queue_start(VduseQueue *queue, Error **errp);
/* Take no more requests, and wait for those taken; vduse_queue_start() goes on. */
void coroutine_fn vduse_queue_rest(VduseQueue *queue);
/* The next entry to take of a ring at rest: returns 0, or a negative errno. */
int vduse_queue_get_base(const VduseQueue *queue, uint16_t *base);
/* Start the ring, which is at rest, when the driver kicks. */
void vduse_queue_start_on_kick(VduseQueue *queue);
/* The device is reset: the ring, which is at rest, does not exist any more. */
void vduse_queue_forget(VduseQueue *queue);
/* The ring's memory is gone: take no more requests from it. */
void vduse_queue_break(VduseQueue *queue);
/* Interrupt the driver, now or when the kernel is ready for it. */
void vduse_queue_interrupt(VduseQueue *queue);

/* ---- messages (vduse-message.c) ---- */

/* Go on where a process before us ended: the status is that of the log. */
bool vduse_resume(VduseBlk *vduse, Error **errp);
/* Begin to serve the kernel's messages. */
void vduse_messages_start(VduseBlk *vduse);
/*
 * Serve no more messages, after the one that is at work; take all rings to rest, let go of the
 * driver's memory, and call vduse_ended() outside of all of that.
 */
void vduse_messages_stop(VduseBlk *vduse);

/* ---- the export (vduse-blk.c) ---- */

void coroutine_fn vduse_ended(VduseBlk *vduse);

#endif
