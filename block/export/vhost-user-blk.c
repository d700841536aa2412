/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export type vhost-user-blk: a socket to listen on, and one front-end at a time.
 *
 * While one is connected others wait in the socket's queue.  A connection is a user of the export.
 */
#include "qemu/osdep.h"

#include <sys/socket.h>

#include "block/block_int.h"
#include "block/export.h"
#include "qemu/error-report.h"
#include "qemu/unix-socket.h"
#include "vhost-user-session.h"

typedef struct VhostUserBlkExport {
    BlockExport exp;
    VirtIOBlkHandler *handler;
    unsigned int num_queues;
    int listen_fd;
    char *path; /* of the socket that we made, absolute; NULL: none */
    VhostUserSession *session;
} VhostUserBlkExport;

/* ---- connections ---- */

static void accept_one(void *opaque);

static void watch_socket(VhostUserBlkExport *export, bool is_watched)
{
    aio_set_fd_handler(blk_get_aio_context(export->exp.blk), export->listen_fd,
                       is_watched ? accept_one : NULL, NULL, export);
}

static void session_ended(void *opaque)
{
    VhostUserBlkExport *export = opaque;

    export->session = NULL;
    if (!export->exp.is_shutting_down) {
        watch_socket(export, true);
    }
    blk_exp_unref(&export->exp);
}

static void accept_one(void *opaque)
{
    VhostUserBlkExport *export = opaque;
    int fd = accept4(export->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
            warn_report("Export '%s': cannot accept a connection: %s", export->exp.id,
                        strerror(errno));
        }
        return;
    }
    export->session = vhost_user_session_new(fd, export->exp.id, export->handler,
                                             export->num_queues, session_ended, export);
    if (!export->session) {
        warn_report("Export '%s': no descriptors are left for a connection", export->exp.id);
        return;
    }
    watch_socket(export, false);
    blk_exp_ref(&export->exp);
}

/* ---- the export ---- */

static int create_export(BlockExport *exp, BlockExportOptions *options, Error **errp)
{
    VhostUserBlkExport *export = container_of(exp, VhostUserBlkExport, exp);
    const BlockExportOptionsVhostUserBlk *opts = &options->u.vhost_user_blk;
    VirtIOBlkOptions device = {
        .blk = exp->blk,
        .name = exp->id,
        .serial = opts->serial,
        .is_writable = exp->is_writable,
        .is_writethrough = options->writethrough,
        /* Refusing it means closing the connection, on which QEMU aborts; and firmware comes first. */
        .allows_unzoned_readers = true,
        .logical_block_size = opts->logical_block_size,
        .num_queues = opts->has_num_queues ? opts->num_queues : 1,
    };

    if (opts->has_logical_block_size && opts->logical_block_size == 0) {
        error_setg(errp, "logical-block-size must be a power of two from 512 to 65536, got 0");
        return -EINVAL;
    }
    export->handler = virtio_blk_handler_new(&device, errp);
    if (!export->handler) {
        return -EINVAL;
    }
    export->num_queues = device.num_queues;
    if (opts->addr->type == SOCKET_ADDRESS_TYPE_UNIX) {
        export->listen_fd = unix_socket_listen(opts->addr->u.q_unix.path, errp);
        export->path = g_canonicalize_filename(opts->addr->u.q_unix.path, NULL);
    } else {
        export->listen_fd = unix_socket_take_listening("addr.str", opts->addr->u.fd.str, errp);
    }
    if (export->listen_fd < 0) {
        g_clear_pointer(&export->path, g_free);
        virtio_blk_handler_free(export->handler);
        return -EINVAL;
    }
    watch_socket(export, true);
    return 0;
}

static void shut_down_export(BlockExport *exp)
{
    VhostUserBlkExport *export = container_of(exp, VhostUserBlkExport, exp);

    if (export->session) {
        vhost_user_session_stop(export->session);
    } else {
        watch_socket(export, false);
    }
}

static void delete_export(BlockExport *exp)
{
    VhostUserBlkExport *export = container_of(exp, VhostUserBlkExport, exp);

    assert(!export->session);
    close(export->listen_fd);
    if (export->path) {
        unlink(export->path);
    }
    g_free(export->path);
    virtio_blk_handler_free(export->handler);
}

static BlockExportDriver vhost_user_blk = {
    .type = BLOCK_EXPORT_TYPE_VHOST_USER_BLK,
    .instance_size = sizeof(VhostUserBlkExport),
    .create = create_export,
    .request_shutdown = shut_down_export,
    .delete = delete_export,
};

static void vhost_user_blk_init(void)
{
    blk_exp_driver_register(&vhost_user_blk);
}

block_init(vhost_user_blk_init);
