/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue of a ublk device: requests from the driver into coroutines, and answers back.
 *
 * For each tag the driver has one command of ours.  It ends when there is a request; the answer and
 * the next command are one (COMMIT_AND_FETCH).  Answers of one turn of the loop share a system call
 * with all that the loop submits.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>

#include "qemu/buffer.h"
#include "ublk-int.h"

typedef struct UblkTag {
    AioUringCmd cmd;
    UblkQueue *queue;
    UblkRequest req;
} UblkTag;

struct UblkQueue {
    UblkDevice *device;
    const struct ublksrv_io_desc *descs; /* the driver's; one is steady while we have its tag */
    size_t descs_bytes;
    UblkTag tags[];
};

static void submit(UblkTag *tag, uint32_t cmd_op, const struct ublksrv_io_cmd *payload)
{
    UblkDevice *device = tag->queue->device;
    UblkLogEntry *entry = tag->req.log_entry;

    G_STATIC_ASSERT(sizeof(*payload) == AIO_URING_CMD_PAYLOAD_BYTES);
    if (entry && entry->state) {
        aio_uring_cmd_submit_then_zero(device->ctx, &tag->cmd, device->disk.char_fd, cmd_op,
                                       payload, entry, sizeof(*entry));
    } else {
        aio_uring_cmd_submit(device->ctx, &tag->cmd, device->disk.char_fd, cmd_op, payload);
    }
}

static void coroutine_fn serve(void *opaque)
{
    UblkTag *tag = opaque;
    UblkRequest *req = &tag->req;

    ublk_request_run(req);
    submit(tag, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
           &(struct ublksrv_io_cmd){
               .q_id = req->queue,
               .tag = req->tag,
               .result = req->result,
               .addr_or_zone_append_lba = req->append_lba,
           });
}

static void command_ended(AioUringCmd *cmd, int res)
{
    UblkTag *tag = container_of(cmd, UblkTag, cmd);

    if (unlikely(res != UBLK_IO_RES_OK)) {
        ublk_device_tag_returned(tag->queue->device, res < 0 ? res : -EIO);
        return;
    }
    tag->req.desc = tag->queue->descs[tag->req.tag];
    qemu_coroutine_enter(qemu_coroutine_create(serve, tag));
}

/* ---- life ---- */

/* Without touching the log: what it says of a tag is for the request that comes. */
static void fetch(UblkTag *tag)
{
    UblkDevice *device = tag->queue->device;
    struct ublksrv_io_cmd payload = {.q_id = tag->req.queue, .tag = tag->req.tag};

    device->nr_fetched++;
    aio_uring_cmd_submit(device->ctx, &tag->cmd, device->disk.char_fd, UBLK_U_IO_FETCH_REQ,
                         &payload);
}

UblkQueue *ublk_queue_new(UblkDevice *device, unsigned int index, Error **errp)
{
    unsigned int depth = device->info.queue_depth;
    size_t page = getpagesize();
    size_t bytes = ROUND_UP(depth * sizeof(struct ublksrv_io_desc), page);
    void *descs = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, device->disk.char_fd,
                       UBLK_DESCS_OFFSET(index, page));
    UblkQueue *queue;

    if (descs == MAP_FAILED) {
        error_setg_errno(errp, errno, "Cannot map queue %u of the device", index);
        return NULL;
    }
    queue = g_malloc0(sizeof(*queue) + depth * sizeof(UblkTag));
    queue->device = device;
    queue->descs = descs;
    queue->descs_bytes = bytes;
    for (unsigned int i = 0; i < depth; i++) {
        UblkTag *tag = &queue->tags[i];

        tag->cmd.cb = command_ended;
        tag->queue = queue;
        tag->req.disk = &device->disk;
        tag->req.log_entry = device->log ? ublk_log_entry(device->log, index, i) : NULL;
        tag->req.queue = index;
        tag->req.tag = i;
        fetch(tag);
    }
    return queue;
}

void ublk_queue_free(UblkQueue *queue)
{
    for (unsigned int i = 0; i < queue->device->info.queue_depth; i++) {
        qemu_vfree(queue->tags[i].req.small_buffer);
    }
    munmap((void *)queue->descs, queue->descs_bytes);
    g_free(queue);
}
