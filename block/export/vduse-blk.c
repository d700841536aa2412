/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export type vduse-blk: a disk that the kernel of this machine sees on its vDPA bus.
 *
 * Ends in order when the device is not attached: then it is destroyed.  While it is attached it
 * stays, as its disk does, whose requests wait for an export of the same name.
 */
#include "qemu/osdep.h"

#include <sys/eventfd.h>

#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "vduse-int.h"
#include "virtio-blk-int.h"

#define DEFAULT_QUEUE_SIZE 256
/* A request of all segments fits even where the driver uses no indirect descriptors. */
#define MIN_QUEUE_SIZE 128
#define MAX_QUEUE_SIZE 1024

/* The event loop may hold the character device open for some time after it was closed. */
#define DESTROY_TRIES 25
#define DESTROY_PAUSE_NS 20000000

/* ---- making it ---- */

static bool set_up_device(VduseBlk *vduse, const BlockExportOptions *options, Error **errp)
{
    const BlockExportOptionsVduseBlk *opts = &options->u.vduse_blk;
    VirtIOBlkOptions device = {
        .blk = vduse->exp.blk,
        .name = vduse->exp.id,
        .serial = opts->serial,
        .is_writable = vduse->exp.is_writable,
        .is_writethrough = options->writethrough,
        .logical_block_size = opts->logical_block_size,
        .num_queues = opts->has_num_queues ? opts->num_queues : 1,
    };
    unsigned int queue_size = opts->has_queue_size ? opts->queue_size : DEFAULT_QUEUE_SIZE;

    if (opts->has_logical_block_size && opts->logical_block_size == 0) {
        error_setg(errp, "logical-block-size must be a power of two from 512 to 65536, got 0");
        return false;
    }
    if (!is_power_of_2(queue_size) || queue_size < MIN_QUEUE_SIZE || queue_size > MAX_QUEUE_SIZE) {
        error_setg(errp, "queue-size must be a power of two from %d to %d, got %u", MIN_QUEUE_SIZE,
                   MAX_QUEUE_SIZE, queue_size);
        return false;
    }
    vduse->handler = virtio_blk_handler_new(&device, errp);
    vduse->nr_queues = device.num_queues;
    vduse->queue_size = queue_size;
    return vduse->handler;
}

/* Where it is attached its driver knows the disk as it was: only a plain one may have grown. */
static bool adopt_config(VduseBlk *vduse, const VduseDevOptions *options, Error **errp)
{
    const uint8_t *known = vduse_log_config(vduse->log);
    bool has_grown = ldq_le_p(options->config) > ldq_le_p(known);
    bool is_zoned = virtio_blk_handler_features(vduse->handler) &
                    (UINT64_C(1) << VIRTIO_BLK_F_ZONED);
    int ret;

    if (!memcmp(known, options->config, options->config_bytes)) {
        return true;
    }
    /* The capacity comes first. */
    if (!has_grown || is_zoned ||
        memcmp(known + 8, options->config + 8, options->config_bytes - 8)) {
        error_setg(errp, "'%s' is attached, and its disk was not like this one", vduse->dev.path);
        return false;
    }
    ret = vduse_dev_set_config(&vduse->dev, options->config, options->config_bytes);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot change the configuration of '%s'", vduse->dev.path);
        return false;
    }
    vduse_log_set_config(vduse->log, options->config);
    return true;
}

static bool set_up_new(VduseBlk *vduse, const VduseDevOptions *options, Error **errp)
{
    int ret;

    vduse->log = vduse_log_create(&vduse->dev, options, errp);
    if (!vduse->log) {
        return false;
    }
    ret = vduse_dev_set_up_queues(&vduse->dev, options);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot set up the queues of '%s'", vduse->dev.path);
    }
    return ret == 0;
}

/* Which writes has the process before us carried out? */
static bool recover(VduseBlk *vduse, Error **errp)
{
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        int ret = virtio_blk_handler_recover(vduse->handler, vduse_log_queue(vduse->log, i),
                                             vduse->queue_size);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "what was done of the requests in flight is not known");
            return false;
        }
    }
    return true;
}

/* An attached device goes on where the process before us ended. */
static bool take_over(VduseBlk *vduse, const VduseDevOptions *options, Error **errp)
{
    ERRP_GUARD();

    vduse->log = vduse_log_open(&vduse->dev, options, errp);
    if (!vduse->log || !adopt_config(vduse, options, errp) || !recover(vduse, errp) ||
        !vduse_resume(vduse, errp)) {
        error_prepend(errp, "Cannot go on with the attached device '%s': ", vduse->dev.path);
        error_append_hint(errp, "Detach it first (vdpa dev del %s).\n", options->name);
        return false;
    }
    return true;
}

static void make_queues(VduseBlk *vduse)
{
    vduse->queues = g_new0(VduseQueue, vduse->nr_queues);
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        vduse_queue_init(&vduse->queues[i], vduse, i);
    }
}

static void free_queues(VduseBlk *vduse)
{
    for (unsigned int i = 0; i < vduse->nr_queues; i++) {
        vduse_queue_done(&vduse->queues[i]);
    }
    g_free(vduse->queues);
}

static bool connect_device(VduseBlk *vduse, const VduseDevOptions *options, Error **errp)
{
    bool is_new, is_ok;

    if (!vduse_dev_connect(&vduse->dev, options, &is_new, errp)) {
        return false;
    }
    make_queues(vduse);
    vduse_iotlb_init(&vduse->iotlb, &vduse->dev, vduse->damage_event);
    is_ok = is_new ? set_up_new(vduse, options, errp) : take_over(vduse, options, errp);
    if (is_ok) {
        return true;
    }
    free_queues(vduse);
    vduse_iotlb_done(&vduse->iotlb);
    vduse_dev_disconnect(&vduse->dev);
    if (is_new) {
        vduse_dev_destroy(&vduse->dev);
    }
    if (vduse->log) {
        (is_new ? vduse_log_remove : vduse_log_free)(vduse->log);
    }
    vduse_dev_done(&vduse->dev);
    return false;
}

static int create_export(BlockExport *exp, BlockExportOptions *options, Error **errp)
{
    VduseBlk *vduse = container_of(exp, VduseBlk, exp);
    VduseDevOptions device = {.name = options->u.vduse_blk.name,
                              .config_bytes = VIRTIO_BLK_CONFIG_BYTES};

    vduse->ctx = blk_get_aio_context(exp->blk);
    if (!set_up_device(vduse, options, errp)) {
        return -EINVAL;
    }
    device.features = virtio_blk_handler_features(vduse->handler);
    device.config = virtio_blk_handler_config(vduse->handler);
    device.nr_queues = vduse->nr_queues;
    device.queue_size = vduse->queue_size;
    vduse->damage_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vduse->damage_event < 0) {
        error_setg_errno(errp, errno, "Cannot make an eventfd");
    }
    if (vduse->damage_event < 0 || !connect_device(vduse, &device, errp)) {
        close(vduse->damage_event);
        virtio_blk_handler_free(vduse->handler);
        return -EINVAL;
    }
    vduse_messages_start(vduse);
    return 0;
}

/* ---- ending it ---- */

static void shut_down_export(BlockExport *exp)
{
    VduseBlk *vduse = container_of(exp, VduseBlk, exp);

    blk_exp_ref(exp);
    vduse_messages_stop(vduse);
}

void coroutine_fn vduse_ended(VduseBlk *vduse)
{
    int ret;

    vduse_dev_disconnect(&vduse->dev);
    ret = vduse_dev_destroy(&vduse->dev);
    for (unsigned int tries = 1; ret == -EBUSY && tries < DESTROY_TRIES; tries++) {
        qemu_co_sleep_ns(DESTROY_PAUSE_NS);
        ret = vduse_dev_destroy(&vduse->dev);
    }
    if (ret == 0) {
        vduse_log_remove(vduse->log);
    } else {
        vduse_log_free(vduse->log);
        warn_report("Export '%s': '%s' stays, as it is %s; its disk waits for an export of that "
                    "name", vduse->exp.id, vduse->dev.path,
                    ret == -EBUSY ? "attached" : strerror(-ret));
    }
    blk_exp_unref(&vduse->exp);
}

static void delete_export(BlockExport *exp)
{
    VduseBlk *vduse = container_of(exp, VduseBlk, exp);

    free_queues(vduse);
    vduse_iotlb_done(&vduse->iotlb);
    close(vduse->damage_event);
    vduse_dev_done(&vduse->dev);
    virtio_blk_handler_free(vduse->handler);
}

static const char *name_device(BlockExport *exp)
{
    return container_of(exp, VduseBlk, exp)->dev.path;
}

static BlockExportDriver vduse_blk = {
    .type = BLOCK_EXPORT_TYPE_VDUSE_BLK,
    .instance_size = sizeof(VduseBlk),
    .create = create_export,
    .request_shutdown = shut_down_export,
    .delete = delete_export,
    .device = name_device,
};

static void vduse_blk_init(void)
{
    blk_exp_driver_register(&vduse_blk);
}

block_init(vduse_blk_init);
