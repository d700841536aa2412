/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device's side of a virtio split ring (virtio 1.3, section 2.7).
 *
 * Takes chains of buffers out of the ring as lists of host memory, and puts answers into it, many
 * with one publication and at most one notification.  All that the driver controls is read once and
 * checked; what breaks the rules of rings breaks the queue: nothing more is taken from it, answers
 * are still given.  Optionally keeps the log by which a restarted device finds the requests that
 * were in flight (the inflight area of vhost-user).
 *
 * One thread uses a queue.  Nothing here yields.
 */
#ifndef BLOCK_EXPORT_VIRTQUEUE_H
#define BLOCK_EXPORT_VIRTQUEUE_H

#include "qapi/error.h"
#include "qemu/osdep.h"

#include <sys/uio.h>

#define VIRTQUEUE_MAX_SIZE 32768
/* The longest indirect table that is taken, in descriptors. */
#define VIRTQUEUE_MAX_INDIRECT 1024

enum {
    VIRTIO_RING_F_INDIRECT_DESC = 28,
    VIRTIO_RING_F_EVENT_IDX = 29,
    VIRTIO_F_VERSION_1 = 32,
    VIRTIO_F_ACCESS_PLATFORM = 33,
    VIRTIO_F_RING_PACKED = 34,
};

/* The driver's memory. */
typedef struct VirtQueueMemory {
    /*
     * Where the driver's address @addr is in this process.  *@len is how much is wanted from there,
     * then how much of it is contiguous (> 0).  NULL where @addr is not the driver's memory.
     */
    void *(*translate)(void *opaque, uint64_t addr, uint64_t *len);
    void *opaque;
} VirtQueueMemory;

/*
 * A request: first the memory to read, then the memory to write.  The user may change @iov and what
 * it says.  A user's own state stands behind it (virtqueue_new()).
 */
typedef struct VirtQueueElement {
    struct iovec *iov;
    unsigned int nr_out, nr_in; /* elements of @iov to read from, and behind them to write to */
    uint64_t out_bytes, in_bytes;
    unsigned int iov_allocated;
    uint16_t head;
    /* It was in flight when the device died: it may have been carried out, in part or in full. */
    bool is_resubmitted;
    SLIST_ENTRY(VirtQueueElement) link;
} VirtQueueElement;

/* The three parts of a ring, in this process. */
typedef struct VirtQueueRings {
    void *desc, *avail, *used;
} VirtQueueRings;

typedef struct VirtQueueStart {
    unsigned int size;       /* descriptors; a power of two up to VIRTQUEUE_MAX_SIZE */
    uint64_t features;       /* negotiated; bits of the ring and of virtio */
    VirtQueueRings rings;
    uint16_t base;           /* the next entry of the available ring to take */
    void *inflight;          /* virtqueue_inflight_bytes() of memory, zeroed when new; or NULL */
} VirtQueueStart;

/* A device's own words about a request; a @state of 0: none. */
typedef struct VirtQueueNote {
    uint32_t state;
    uint32_t words[3];
} VirtQueueNote;

typedef struct VirtQueue VirtQueue;

/* A queue that has not been started; its elements have @element_size bytes, zeroed when new. */
VirtQueue *virtqueue_new(VirtQueueMemory memory, size_t element_size);
/* Nothing is in flight. */
void virtqueue_free(VirtQueue *vq);

/* Bytes of each of the three parts for @size descriptors and the negotiated @features. */
size_t virtqueue_desc_bytes(unsigned int size);
size_t virtqueue_avail_bytes(unsigned int size, uint64_t features);
size_t virtqueue_used_bytes(unsigned int size, uint64_t features);
/* Bytes of the log of a queue, a multiple of 64. */
size_t virtqueue_inflight_bytes(unsigned int size);

/*
 * Begin to serve a ring; nothing is in flight.  With a log that says that requests were, these come
 * out of virtqueue_pop() first, in the order in which they had been taken, and start->base is
 * ignored.  False with @errp set where size, alignment or log are impossible.
 */
bool virtqueue_start(VirtQueue *vq, const VirtQueueStart *start, Error **errp);

/*
 * Take the next request: NULL where there is none, or the queue is broken.  It is in flight until
 * virtqueue_push().
 */
VirtQueueElement *virtqueue_pop(VirtQueue *vq);

/*
 * Ask to be notified of new requests.  True where some have arrived meanwhile: then
 * virtqueue_pop() them, as no notification will come.
 */
bool virtqueue_enable_notification(VirtQueue *vq);
/* New requests need no notification for now. */
void virtqueue_disable_notification(VirtQueue *vq);

/*
 * Answer @elem, of which @len bytes from the start of the writable memory were written.  The driver
 * does not see it before virtqueue_flush().  @elem goes back to the queue.
 */
void virtqueue_push(VirtQueue *vq, VirtQueueElement *elem, uint32_t len);

/* Publish what was pushed; true where the driver wants to be notified. */
bool virtqueue_flush(VirtQueue *vq);

/* Break the queue for @reason, a constant; the first reason stays. */
void virtqueue_break(VirtQueue *vq, const char *reason);
/* Why the queue is broken; NULL where it is not. */
const char *virtqueue_broken(const VirtQueue *vq);

/* Requests taken and not flushed. */
unsigned int virtqueue_nr_inflight(const VirtQueue *vq);
/* Where virtqueue_start() would go on. */
uint16_t virtqueue_base(const VirtQueue *vq);

/*
 * What the log keeps with @elem for who finds it in flight after a restart; nothing without a log.
 * False: there is none.  Whoever does must see all of the note, or none.
 */
bool virtqueue_has_log(const VirtQueue *vq);
void virtqueue_set_note(VirtQueue *vq, const VirtQueueElement *elem, const VirtQueueNote *note);
bool virtqueue_get_note(const VirtQueue *vq, const VirtQueueElement *elem, VirtQueueNote *note);

#endif
