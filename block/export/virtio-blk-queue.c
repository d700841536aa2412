/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request queue of the virtio-blk device: from the ring into coroutines, and answers back.
 *
 * Answers are collected and published together, after a round of fetching or when all that
 * completed in this turn of the loop has, so that many share one interrupt.
 */
#include "qemu/osdep.h"

#include "qemu/bswap.h"
#include "virtio-blk-int.h"

struct VirtIOBlkQueue {
    VirtIOBlkHandler *handler;
    VirtQueue *vq;
    const VirtIOBlkQueueOps *ops;
    void *opaque;
    bool is_fetching;     /* requests may be taken */
    bool is_running;      /* virtio_blk_queue_run() is at work and publishes at its end */
    bool is_broken_known; /* the transport was told */
    QEMUBH *publish_bh, *run_bh;
    CoQueue idle;
};

VirtQueue *virtio_blk_request_vq(const VirtIOBlkRequest *req)
{
    return req->queue->vq;
}

VirtQueue *virtio_blk_queue_vq(VirtIOBlkQueue *queue)
{
    return queue->vq;
}

/* ---- answers ---- */

static void publish(void *opaque)
{
    VirtIOBlkQueue *queue = opaque;

    if (virtqueue_flush(queue->vq)) {
        queue->ops->notify(queue->opaque);
    }
    if (virtqueue_nr_inflight(queue->vq) == 0) {
        qemu_co_queue_restart_all(&queue->idle);
    }
}

static void answer(VirtIOBlkRequest *req, uint8_t status)
{
    VirtIOBlkQueue *queue = req->queue;
    /* The status is the last byte: the count includes it where all before it was written. */
    uint64_t len = req->nr_written == req->in.size ? req->in.size + 1 : req->nr_written;

    *req->status = status;
    virtqueue_push(queue->vq, &req->elem, len);
    if (!queue->is_running) {
        qemu_bh_schedule(queue->publish_bh);
    }
}

static void coroutine_fn run_request(void *opaque)
{
    VirtIOBlkRequest *req = opaque;

    answer(req, virtio_blk_execute(req));
}

/* ---- taking requests ---- */

/* Cut the header off the front of the readable memory. */
static void parse_header(VirtIOBlkRequest *req)
{
    struct iovec *iov = req->elem.iov;
    unsigned int nr = req->elem.nr_out;
    uint8_t header[VIRTIO_BLK_HEADER_BYTES];
    size_t done = 0;

    while (done < sizeof(header)) {
        size_t len = MIN(iov->iov_len, sizeof(header) - done);

        memcpy(header + done, iov->iov_base, len);
        done += len;
        iov->iov_base = (uint8_t *)iov->iov_base + len;
        iov->iov_len -= len;
        if (iov->iov_len == 0) {
            iov++;
            nr--;
        }
    }
    /* Bit 31 was a barrier once; bytes 4 to 7 are a priority that we have no use for. */
    req->type = ldl_le_p(header) & 0x7fffffff;
    req->sector = ldq_le_p(header + 8);
    qemu_iovec_init_external(&req->out, iov, nr);
}

/* Cut the status off the end of the writable memory. */
static void parse_footer(VirtIOBlkRequest *req)
{
    struct iovec *iov = req->elem.iov + req->elem.nr_out;
    unsigned int nr = req->elem.nr_in;
    struct iovec *last = &iov[nr - 1];

    last->iov_len--;
    req->status = (uint8_t *)last->iov_base + last->iov_len;
    if (last->iov_len == 0) {
        nr--;
    }
    qemu_iovec_init_external(&req->in, iov, nr);
}

/* False where the queue is broken by it. */
static bool start_request(VirtIOBlkQueue *queue, VirtIOBlkRequest *req)
{
    if (unlikely(req->elem.out_bytes < VIRTIO_BLK_HEADER_BYTES || req->elem.in_bytes == 0)) {
        /* It cannot be answered in words: give the memory back and leave it at that. */
        virtqueue_push(queue->vq, &req->elem, 0);
        virtqueue_break(queue->vq, "a request has no room for header or status");
        return false;
    }
    req->queue = queue;
    req->handler = queue->handler;
    req->nr_written = 0;
    parse_header(req);
    parse_footer(req);
    qemu_coroutine_enter(qemu_coroutine_create(run_request, req));
    return true;
}

static void check_broken(VirtIOBlkQueue *queue)
{
    const char *reason = virtqueue_broken(queue->vq);

    if (unlikely(reason && !queue->is_broken_known)) {
        queue->is_broken_known = true;
        queue->ops->broken(queue->opaque, reason);
    }
}

void virtio_blk_queue_run(VirtIOBlkQueue *queue)
{
    VirtQueueElement *elem;

    if (!queue->is_fetching || queue->is_running) {
        return;
    }
    queue->is_running = true;
    virtqueue_disable_notification(queue->vq);
    /* Ends: as nothing is published meanwhile the driver cannot use a head twice. */
    while ((elem = virtqueue_pop(queue->vq)) &&
           start_request(queue, container_of(elem, VirtIOBlkRequest, elem))) {
    }
    queue->is_running = false;
    publish(queue);
    check_broken(queue);
    if (!virtqueue_broken(queue->vq) && virtqueue_enable_notification(queue->vq)) {
        /* Let others have a turn first. */
        qemu_bh_schedule(queue->run_bh);
    }
}

static void run_again(void *opaque)
{
    virtio_blk_queue_run(opaque);
}

void virtio_blk_queue_set_fetching(VirtIOBlkQueue *queue, bool is_fetching)
{
    queue->is_fetching = is_fetching;
    if (is_fetching) {
        queue->is_broken_known &= virtqueue_broken(queue->vq) != NULL;
        qemu_bh_schedule(queue->run_bh);
    } else {
        qemu_bh_cancel(queue->run_bh);
    }
}

void coroutine_fn virtio_blk_queue_drain(VirtIOBlkQueue *queue)
{
    assert(!queue->is_fetching);
    while (virtqueue_nr_inflight(queue->vq)) {
        qemu_co_queue_wait(&queue->idle, NULL);
    }
}

/* ---- life ---- */

VirtIOBlkQueue *virtio_blk_queue_new(VirtIOBlkHandler *handler, VirtQueueMemory memory,
                                     const VirtIOBlkQueueOps *ops, void *opaque)
{
    AioContext *ctx = blk_get_aio_context(handler->blk);
    VirtIOBlkQueue *queue = g_new0(VirtIOBlkQueue, 1);

    queue->handler = handler;
    queue->vq = virtqueue_new(memory, sizeof(VirtIOBlkRequest));
    queue->ops = ops;
    queue->opaque = opaque;
    queue->publish_bh = aio_bh_new(ctx, publish, queue);
    queue->run_bh = aio_bh_new(ctx, run_again, queue);
    qemu_co_queue_init(&queue->idle);
    return queue;
}

void virtio_blk_queue_free(VirtIOBlkQueue *queue)
{
    qemu_bh_delete(queue->publish_bh);
    qemu_bh_delete(queue->run_bh);
    virtqueue_free(queue->vq);
    g_free(queue);
}
