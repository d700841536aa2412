/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rings of a VDUSE device: see vduse-int.h.
 *
 * A driver's kick comes by an eventfd, an interrupt for it is an ioctl.  The kernel refuses
 * interrupts until it has noted that the driver is ready, which it does some time after it was told
 * so; those are tried again.
 */
#include "qemu/osdep.h"

#include <sys/eventfd.h>

#include "qemu/error-report.h"
#include "vduse-int.h"

/* The first pause is a millisecond, each is twice as long as the one before; a second in all. */
#define MAX_REFUSED 10
#define FIRST_PAUSE_NS 1000000

/* ---- interrupts ---- */

void vduse_queue_interrupt(VduseQueue *queue)
{
    VduseBlk *vduse = queue->vduse;
    int ret = vduse_dev_interrupt(&vduse->dev, queue->index);

    if (ret == -EINVAL && queue->nr_refused < MAX_REFUSED) {
        timer_mod_ns(queue->interrupt_timer,
                     qemu_clock_get_ns() + (FIRST_PAUSE_NS << queue->nr_refused));
        queue->nr_refused++;
        return;
    }
    if (ret < 0 && !vduse->is_lost) {
        warn_report("Export '%s': cannot interrupt the driver of queue %u: %s", vduse->exp.id,
                    queue->index, strerror(-ret));
    }
    timer_del(queue->interrupt_timer);
    queue->nr_refused = 0;
}

static void interrupt_again(void *opaque)
{
    vduse_queue_interrupt(opaque);
}

static void notify_driver(void *opaque)
{
    vduse_queue_interrupt(opaque);
}

static void report_broken(void *opaque, const char *reason)
{
    VduseQueue *queue = opaque;

    warn_report("Export '%s': queue %u is broken: %s", queue->vduse->exp.id, queue->index, reason);
}

static const VirtIOBlkQueueOps queue_ops = {.notify = notify_driver, .broken = report_broken};

/* ---- life ---- */

void vduse_queue_init(VduseQueue *queue, VduseBlk *vduse, unsigned int index)
{
    VirtQueueMemory memory = {vduse_iotlb_translate, &vduse->iotlb};

    *queue = (VduseQueue){
        .vduse = vduse,
        .index = index,
        .queue = virtio_blk_queue_new(vduse->handler, memory, &queue_ops, queue),
        .kick_fd = -1,
        .interrupt_timer = aio_timer_new(vduse->ctx, interrupt_again, queue),
    };
}

static void watch_kicks(VduseQueue *queue, IOHandler *on_kick)
{
    if (queue->kick_fd >= 0) {
        aio_set_fd_handler(queue->vduse->ctx, queue->kick_fd, on_kick, NULL, queue);
    }
}

void vduse_queue_forget(VduseQueue *queue)
{
    assert(!queue->is_live);
    timer_del(queue->interrupt_timer);
    queue->nr_refused = 0;
    if (queue->kick_fd >= 0) {
        watch_kicks(queue, NULL);
        close(queue->kick_fd);
        queue->kick_fd = -1;
    }
}

void vduse_queue_done(VduseQueue *queue)
{
    vduse_queue_forget(queue);
    timer_free(queue->interrupt_timer);
    virtio_blk_queue_free(queue->queue);
}

/* ---- serving ---- */

static bool take_kick(VduseQueue *queue)
{
    uint64_t count;

    return read(queue->kick_fd, &count, sizeof(count)) == sizeof(count);
}

static void on_kick(void *opaque)
{
    VduseQueue *queue = opaque;

    if (take_kick(queue)) {
        virtio_blk_queue_run(queue->queue);
    }
}

static void on_first_kick(void *opaque)
{
    VduseQueue *queue = opaque;
    Error *err = NULL;

    if (!take_kick(queue)) {
        return;
    }
    watch_kicks(queue, NULL);
    if (!vduse_queue_start(queue, &err)) {
        warn_report("Export '%s': %s", queue->vduse->exp.id, error_get_pretty(err));
        error_free(err);
    }
}

void vduse_queue_start_on_kick(VduseQueue *queue)
{
    assert(!queue->is_live);
    watch_kicks(queue, on_first_kick);
}

static bool find_rings(VduseQueue *queue, const struct vduse_vq_info *info, VirtQueueRings *rings)
{
    VduseIotlb *iotlb = &queue->vduse->iotlb;
    uint64_t features = queue->vduse->features;

    rings->desc = vduse_iotlb_at(iotlb, info->desc_addr, virtqueue_desc_bytes(info->num));
    rings->avail = vduse_iotlb_at(iotlb, info->driver_addr,
                                  virtqueue_avail_bytes(info->num, features));
    rings->used = vduse_iotlb_at(iotlb, info->device_addr,
                                 virtqueue_used_bytes(info->num, features));
    return rings->desc && rings->avail && rings->used;
}

static bool check_info(const VduseQueue *queue, const struct vduse_vq_info *info, Error **errp)
{
    if (info->num == 0 || info->num > queue->vduse->queue_size) {
        error_setg(errp, "queue %u has %u descriptors, at most %u are possible", queue->index,
                   info->num, queue->vduse->queue_size);
        return false;
    }
    return true;
}

/* Have the eventfd of the ring, which is made when it is first needed, signalled by the kernel. */
static bool set_up_kick(VduseQueue *queue, Error **errp)
{
    int ret;

    if (queue->kick_fd >= 0) {
        return true;
    }
    queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->kick_fd < 0) {
        error_setg_errno(errp, errno, "cannot make an eventfd for queue %u", queue->index);
        return false;
    }
    ret = vduse_dev_set_kick(&queue->vduse->dev, queue->index, queue->kick_fd);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot have the kicks of queue %u", queue->index);
        close(queue->kick_fd);
        queue->kick_fd = -1;
    }
    return ret == 0;
}

bool vduse_queue_start(VduseQueue *queue, Error **errp)
{
    VduseBlk *vduse = queue->vduse;
    VirtQueueStart start = {
        .features = vduse->features,
        .inflight = vduse_log_queue(vduse->log, queue->index),
    };
    struct vduse_vq_info info;
    int ret = vduse_dev_get_queue(&vduse->dev, queue->index, &info);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot learn about queue %u", queue->index);
        return false;
    }
    if (queue->is_live || !info.ready || vduse->is_damaged) {
        return true;
    }
    if (!check_info(queue, &info, errp)) {
        return false;
    }
    if (!find_rings(queue, &info, &start.rings)) {
        error_setg(errp, "queue %u is not in the driver's memory", queue->index);
        return false;
    }
    start.size = info.num;
    start.base = queue->kick_fd >= 0 ? queue->base : info.split.avail_index;
    if (!virtqueue_start(virtio_blk_queue_vq(queue->queue), &start, errp) ||
        !set_up_kick(queue, errp)) {
        return false;
    }
    queue->is_live = true;
    watch_kicks(queue, on_kick);
    /* What was announced before may come with no kick. */
    virtio_blk_queue_set_fetching(queue->queue, true);
    return true;
}

void coroutine_fn vduse_queue_rest(VduseQueue *queue)
{
    watch_kicks(queue, NULL);
    if (!queue->is_live) {
        return;
    }
    virtio_blk_queue_set_fetching(queue->queue, false);
    virtio_blk_queue_drain(queue->queue);
    queue->base = virtqueue_base(virtio_blk_queue_vq(queue->queue));
    queue->is_live = false;
}

int vduse_queue_get_base(const VduseQueue *queue, uint16_t *base)
{
    struct vduse_vq_info info;
    int ret;

    assert(!queue->is_live);
    if (queue->kick_fd >= 0) {
        *base = queue->base;
        return 0;
    }
    ret = vduse_dev_get_queue(&queue->vduse->dev, queue->index, &info);
    *base = info.split.avail_index;
    return ret;
}

void vduse_queue_break(VduseQueue *queue)
{
    if (queue->is_live) {
        virtqueue_break(virtio_blk_queue_vq(queue->queue), "a part of the driver's memory is gone");
        /* Takes nothing, and reports. */
        virtio_blk_queue_run(queue->queue);
    }
}
