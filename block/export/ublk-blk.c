/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export type ublk: a block device of this machine's kernel.
 *
 * The device is there from create() until shutdown; whoever has it open is not known to us.
 */
#include "qemu/osdep.h"

#include <sys/prctl.h>

#include "block/export.h"
#include "ublk-int.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

typedef struct UblkExport {
    BlockExport exp;
    UblkDevice device;
    char *path; /* of the block device */
} UblkExport;

/* ---- making one ---- */

static bool check_options(const BlockExportOptionsUblk *opts, Error **errp)
{
    if (opts->has_num_queues && (opts->num_queues < 1 || opts->num_queues > UBLK_MAX_QUEUES)) {
        error_setg(errp, "num-queues must be from 1 to %d, got %u", UBLK_MAX_QUEUES,
                   opts->num_queues);
        return false;
    }
    if (opts->has_queue_depth &&
        (opts->queue_depth < 1 || opts->queue_depth > UBLK_MAX_QUEUE_DEPTH)) {
        error_setg(errp, "queue-depth must be from 1 to %d, got %u", UBLK_MAX_QUEUE_DEPTH,
                   opts->queue_depth);
        return false;
    }
    if (opts->has_dev_id && opts->dev_id > INT32_MAX) {
        error_setg(errp, "dev-id must be at most %d, got %" PRIu32, INT32_MAX, opts->dev_id);
        return false;
    }
    if (opts->has_logical_block_size && opts->logical_block_size == 0) {
        error_setg(errp, "logical-block-size must be a power of two, got 0");
        return false;
    }
    if (opts->recovery_log && !opts->recover) {
        error_setg(errp, "recovery-log needs recover=on");
        return false;
    }
    return true;
}

/*
 * Whether what is written to @bs is there after our death, because it is handed to the kernel
 * before it is acknowledged.  Formats keep mappings in memory until they are flushed.
 */
static bool is_passed_to_kernel(const BlockDriverState *bs)
{
    while (bs->drv && bs->drv->is_passthrough && bs->file) {
        bs = bs->file->bs;
    }
    return bs->drv && !bs->drv->has_file_child;
}

typedef struct StartTask {
    UblkDevice *device;
    UblkOptions options;
    Error **errp;
    bool has_ended, is_started;
} StartTask;

static void coroutine_fn start_device(void *opaque)
{
    StartTask *task = opaque;

    task->is_started = ublk_device_start(task->device, &task->options, task->errp);
    task->has_ended = true;
}

static int create_export(BlockExport *exp, BlockExportOptions *options, Error **errp)
{
    UblkExport *export = container_of(exp, UblkExport, exp);
    const BlockExportOptionsUblk *opts = &options->u.ublk;
    UblkDevice *device = &export->device;
    StartTask task = {
        .device = device,
        .errp = errp,
        .options = {
            .dev_id = opts->has_dev_id ? (int64_t)opts->dev_id : -1,
            .num_queues = opts->has_num_queues ? opts->num_queues : 1,
            .queue_depth = opts->has_queue_depth ? opts->queue_depth : UBLK_DEFAULT_QUEUE_DEPTH,
            .is_recoverable = opts->recover,
            .log_path = opts->recovery_log,
        },
    };

    device->name = exp->id;
    device->ctx = blk_get_aio_context(exp->blk);
    if (!check_options(opts, errp)) {
        return -EINVAL;
    }
    if (!aio_context_has_io_uring(device->ctx)) {
        error_setg(errp, "Exports of type 'ublk' need a kernel that allows io_uring");
        return -ENOTSUP;
    }
    if (!ublk_disk_init(&device->disk, exp->blk, exp->is_writable, opts->logical_block_size,
                        errp)) {
        return -EINVAL;
    }
    if (opts->recover && !device->disk.is_zoned && !is_passed_to_kernel(blk_bs(exp->blk))) {
        /* Users of the device take its cache for one that lives as long as they do. */
        blk_set_enable_write_cache(exp->blk, false);
    }
    /* Memory that this thread needs must not wait for the disk to be written to. A wish. */
    prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
    qemu_coroutine_enter(qemu_coroutine_create(start_device, &task));
    AIO_WAIT_WHILE(device->ctx, !task.has_ended);
    if (!task.is_started) {
        return -EINVAL;
    }
    export->path = g_strdup_printf("/dev/ublkb%u", device->info.dev_id);
    return 0;
}

/* ---- its end ---- */

static void coroutine_fn stop_device(void *opaque)
{
    UblkExport *export = opaque;

    ublk_device_stop(&export->device);
    blk_exp_unref(&export->exp);
}

static void shut_down_export(BlockExport *exp)
{
    UblkExport *export = container_of(exp, UblkExport, exp);

    blk_exp_ref(exp);
    qemu_coroutine_enter(qemu_coroutine_create(stop_device, export));
}

static void delete_export(BlockExport *exp)
{
    UblkExport *export = container_of(exp, UblkExport, exp);

    assert(export->device.nr_queues == 0);
    g_free(export->path);
}

static const char *device_of_export(BlockExport *exp)
{
    return container_of(exp, UblkExport, exp)->path;
}

static BlockExportDriver ublk = {
    .type = BLOCK_EXPORT_TYPE_UBLK,
    .instance_size = sizeof(UblkExport),
    .create = create_export,
    .request_shutdown = shut_down_export,
    .delete = delete_export,
    .device = device_of_export,
};

static void ublk_init(void)
{
    blk_exp_driver_register(&ublk);
}

block_init(ublk_init);
