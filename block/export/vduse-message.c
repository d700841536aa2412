/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's messages to a VDUSE device, and what each does to it.
 *
 * One is handled at a time, by a coroutine, as some wait for requests in flight.  The kernel gives
 * the device up for good where an answer takes longer than its limit (30 seconds by default).
 *
 * What a message did is in the log before it is answered: whoever dies in between gets the message
 * again, and does nothing the second time.
 */
#include "qemu/osdep.h"

#include <poll.h>

#include "qemu/error-report.h"
#include "vduse-int.h"

static void coroutine_fn rest_all(VduseBlk *vduse)
{
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        vduse_queue_rest(&vduse->queues[i]);
    }
}

static void coroutine_fn forget_driver(VduseBlk *vduse)
{
    rest_all(vduse);
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        vduse_queue_forget(&vduse->queues[i]);
    }
    vduse_iotlb_invalidate(&vduse->iotlb, 0, UINT64_MAX);
    virtio_blk_handler_reset(vduse->handler);
    vduse->features = 0;
}

/* ---- the status ---- */

static bool negotiate(VduseBlk *vduse, Error **errp)
{
    uint64_t features = 0;
    int ret = vduse_dev_get_features(&vduse->dev, &features);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot learn the driver's features");
        return false;
    }
    /* The kernel's part; who uses the device from a virtual machine need not take it. */
    features &= ~(UINT64_C(1) << VIRTIO_F_ACCESS_PLATFORM);
    if (!virtio_blk_handler_set_features(vduse->handler, features, errp)) {
        return false;
    }
    vduse->features = features;
    return true;
}

static bool start_all(VduseBlk *vduse, Error **errp)
{
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        if (!vduse_queue_start(&vduse->queues[i], errp)) {
            return false;
        }
    }
    return true;
}

static void set_in_use(VduseBlk *vduse, bool is_in_use)
{
    if (is_in_use && !vduse->is_in_use) {
        blk_exp_ref(&vduse->exp);
    } else if (!is_in_use && vduse->is_in_use) {
        blk_exp_unref(&vduse->exp);
    }
    vduse->is_in_use = is_in_use;
}

static void coroutine_fn reset(VduseBlk *vduse)
{
    uint64_t count;

    forget_driver(vduse);
    /* What happened to its memory is over, noticed or not. */
    if (read(vduse->damage_event, &count, sizeof(count)) < 0) {
        assert(errno == EAGAIN);
    }
    vduse->is_damaged = false;
    vduse_log_clear(vduse->log);
}

static bool coroutine_fn set_status(VduseBlk *vduse, const struct vduse_dev_request *request,
                                    struct vduse_dev_response *response, Error **errp)
{
    uint8_t status = request->s.status;
    uint8_t added = status & ~vduse_log_status(vduse->log);

    if (status == 0) {
        reset(vduse);
    }
    if (added & VIRTIO_STATUS_FEATURES_OK && !negotiate(vduse, errp)) {
        return false;
    }
    if (added & VIRTIO_STATUS_DRIVER_OK) {
        if (!(status & VIRTIO_STATUS_FEATURES_OK)) {
            error_setg(errp, "status 0x%x: nothing was negotiated", status);
            return false;
        }
        if (!start_all(vduse, errp)) {
            rest_all(vduse);
            return false;
        }
    }
    vduse_log_set_status(vduse->log, status);
    set_in_use(vduse, status != 0);
    return true;
}

/* ---- other messages ---- */

static bool coroutine_fn get_vq_state(VduseBlk *vduse, const struct vduse_dev_request *request,
                                      struct vduse_dev_response *response, Error **errp)
{
    uint32_t index = request->vq_state.index;
    VduseQueue *queue;
    int ret;

    if (index >= vduse->nr_queues) {
        error_setg(errp, "there is no queue %u, only %u", index, vduse->nr_queues);
        return false;
    }
    queue = &vduse->queues[index];
    vduse_queue_rest(queue);
    ret = vduse_queue_get_base(queue, &response->vq_state.split.avail_index);
    response->vq_state.index = index;
    if (ret < 0) {
        error_setg_errno(errp, -ret, "cannot learn about queue %u", index);
        return false;
    }
    vduse_queue_start_on_kick(queue);
    return true;
}

/* Rings whose memory is not there at present start again after the message that brings it back. */
static bool coroutine_fn update_iotlb(VduseBlk *vduse, const struct vduse_dev_request *request,
                                      struct vduse_dev_response *response, Error **errp)
{
    rest_all(vduse);
    vduse_iotlb_invalidate(&vduse->iotlb, request->iova.start, request->iova.last);
    if (!(vduse_log_status(vduse->log) & VIRTIO_STATUS_DRIVER_OK)) {
        return true;
    }
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        Error *err = NULL;

        if (!vduse_queue_start(&vduse->queues[i], &err)) {
            warn_report("Export '%s': %s", vduse->exp.id, error_get_pretty(err));
            error_free(err);
        }
    }
    return true;
}

/*
 * Do what @request says and fill in the payload of @response; false with @errp set where that is
 * impossible.
 */
typedef bool coroutine_fn MessageFunc(VduseBlk *vduse, const struct vduse_dev_request *request,
                                      struct vduse_dev_response *response, Error **errp);

static MessageFunc *const message_types[] = {
    [VDUSE_GET_VQ_STATE] = get_vq_state,
    [VDUSE_SET_STATUS] = set_status,
    [VDUSE_UPDATE_IOTLB] = update_iotlb,
};

static bool coroutine_fn handle(VduseBlk *vduse, struct vduse_dev_response *response,
                                Error **errp)
{
    const struct vduse_dev_request *request = &vduse->request;

    if (request->type >= ARRAY_SIZE(message_types)) {
        error_setg(errp, "it is unknown");
        return false;
    }
    return message_types[request->type](vduse, request, response, errp);
}

static void coroutine_fn handle_and_answer(VduseBlk *vduse)
{
    struct vduse_dev_response response = {.request_id = vduse->request.request_id};
    Error *err = NULL;

    if (!handle(vduse, &response, &err)) {
        warn_report("Export '%s': VDUSE message %u refused: %s", vduse->exp.id,
                    vduse->request.type, error_get_pretty(err));
        error_free(err);
        response.result = VDUSE_REQ_RESULT_FAILED;
    }
    if (write(vduse->dev.fd, &response, sizeof(response)) != sizeof(response)) {
        warn_report("Export '%s': cannot answer VDUSE message %u: %s", vduse->exp.id,
                    vduse->request.type, strerror(errno));
    }
}

/* ---- the loop ---- */

static void on_message(void *opaque);

static void watch_messages(VduseBlk *vduse, bool is_watched)
{
    aio_set_fd_handler(vduse->ctx, vduse->dev.fd, is_watched ? on_message : NULL, NULL, vduse);
}

static void coroutine_fn end(VduseBlk *vduse)
{
    forget_driver(vduse);
    aio_set_fd_handler(vduse->ctx, vduse->damage_event, NULL, NULL, NULL);
    set_in_use(vduse, false);
    vduse_ended(vduse);
}

static void coroutine_fn run_message(void *opaque)
{
    VduseBlk *vduse = opaque;

    if (vduse->is_lost) {
        rest_all(vduse);
    } else {
        handle_and_answer(vduse);
    }
    vduse->is_busy = false;
    if (vduse->exp.is_shutting_down) {
        end(vduse);
    } else if (!vduse->is_lost) {
        watch_messages(vduse, true);
    }
}

/* Whether the kernel has given the device up: it says so in no other way. */
static bool is_given_up(const VduseBlk *vduse)
{
    struct pollfd fd = {.fd = vduse->dev.fd, .events = POLLIN};

    return poll(&fd, 1, 0) > 0 && fd.revents & (POLLERR | POLLHUP);
}

static void on_message(void *opaque)
{
    VduseBlk *vduse = opaque;
    ssize_t bytes = read(vduse->dev.fd, &vduse->request, sizeof(vduse->request));

    if (bytes < 0 && (errno == EAGAIN || errno == EINTR) && !is_given_up(vduse)) {
        return;
    }
    watch_messages(vduse, false);
    if (bytes != sizeof(vduse->request)) {
        error_report("Export '%s': the kernel has given '%s' up; it must be detached and exported "
                     "again", vduse->exp.id, vduse->dev.path);
        vduse->is_lost = true;
    }
    vduse->is_busy = true;
    qemu_coroutine_enter(qemu_coroutine_create(run_message, vduse));
}

/* A page of the driver's memory was not there when we touched it. */
static void on_damage(void *opaque)
{
    VduseBlk *vduse = opaque;
    uint64_t count;

    if (read(vduse->damage_event, &count, sizeof(count)) != sizeof(count) || vduse->is_damaged) {
        return;
    }
    vduse->is_damaged = true;
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        vduse_queue_break(&vduse->queues[i]);
    }
}

void vduse_messages_start(VduseBlk *vduse)
{
    aio_set_fd_handler(vduse->ctx, vduse->damage_event, on_damage, NULL, vduse);
    watch_messages(vduse, true);
}

static void coroutine_fn run_end(void *opaque)
{
    end(opaque);
}

void vduse_messages_stop(VduseBlk *vduse)
{
    if (vduse->is_busy) {
        return; /* run_message() will see that the export is shutting down */
    }
    watch_messages(vduse, false);
    qemu_coroutine_enter(qemu_coroutine_create(run_end, vduse));
}

/* ---- after a restart ---- */

typedef struct Resumption {
    VduseBlk *vduse;
    Error **errp;
    bool is_ok, is_done;
} Resumption;

static void coroutine_fn run_resume(void *opaque)
{
    Resumption *resumption = opaque;
    VduseBlk *vduse = resumption->vduse;
    uint8_t status = vduse_log_status(vduse->log);

    resumption->is_ok =
        (!(status & VIRTIO_STATUS_FEATURES_OK) || negotiate(vduse, resumption->errp)) &&
        (!(status & VIRTIO_STATUS_DRIVER_OK) || start_all(vduse, resumption->errp));
    if (resumption->is_ok) {
        for (unsigned int i = 0; i < vduse->nr_queues; i++) {
            if (vduse->queues[i].is_live) {
                /* The one for the last answers may have been lost. */
                vduse_queue_interrupt(&vduse->queues[i]);
            }
        }
        set_in_use(vduse, status != 0);
    } else {
        forget_driver(vduse);
    }
    resumption->is_done = true;
}

bool vduse_resume(VduseBlk *vduse, Error **errp)
{
    Resumption resumption = {.vduse = vduse, .errp = errp};

    qemu_coroutine_enter(qemu_coroutine_create(run_resume, &resumption));
    AIO_WAIT_WHILE(vduse->ctx, !resumption.is_done);
    return resumption.is_ok;
}
