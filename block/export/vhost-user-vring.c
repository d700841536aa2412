/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rings of a vhost-user session and their event descriptors.
 *
 * A ring is served while it is enabled, has a kick descriptor, and its parts are in known memory.
 * A front-end tells these in any order, and may take memory away while the ring is in use.
 */
#include "qemu/osdep.h"

#include <fcntl.h>

#include "qemu/error-report.h"
#include "vhost-user-session.h"

static void signal_event(int fd)
{
    const uint64_t one = 1;

    /* A full counter has been signalled already. */
    if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        warn_report("vhost-user: cannot signal an event: %s", strerror(errno));
    }
}

static void notify_driver(void *opaque)
{
    VhostUserVring *vring = opaque;

    signal_event(vring->call_fd);
}

static void report_broken(void *opaque, const char *reason)
{
    VhostUserVring *vring = opaque;

    warn_report("Export '%s': queue %u is broken: %s", vring->session->name, vring->index, reason);
    signal_event(vring->err_fd);
}

static const VirtIOBlkQueueOps queue_ops = {.notify = notify_driver, .broken = report_broken};

void vhost_user_vring_init(VhostUserVring *vring, VhostUserSession *session, unsigned int index)
{
    *vring = (VhostUserVring){
        .session = session, .index = index, .kick_fd = -1, .call_fd = -1, .err_fd = -1,
    };
    vring->queue = virtio_blk_queue_new(
        session->handler, (VirtQueueMemory){vhost_user_memory_translate, &session->memory},
        &queue_ops, vring);
}

static void close_event(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void stop_kicks(VhostUserVring *vring)
{
    if (vring->kick_fd >= 0) {
        aio_set_fd_handler(qemu_get_current_aio_context(), vring->kick_fd, NULL, NULL, NULL);
    }
}

void vhost_user_vring_done(VhostUserVring *vring)
{
    assert(!vring->is_live);
    close_event(&vring->kick_fd);
    close_event(&vring->call_fd);
    close_event(&vring->err_fd);
    virtio_blk_queue_free(vring->queue);
}

/* ---- serving ---- */

static void on_kick(void *opaque)
{
    VhostUserVring *vring = opaque;
    uint64_t count;

    if (read(vring->kick_fd, &count, sizeof(count)) == sizeof(count)) {
        virtio_blk_queue_run(vring->queue);
    }
}

static bool find_rings(VhostUserVring *vring, VirtQueueRings *rings)
{
    VhostUserMemory *memory = &vring->session->memory;
    uint64_t features = vring->session->features;

    rings->desc = vhost_user_memory_at(memory, vring->addr.desc, virtqueue_desc_bytes(vring->size));
    rings->avail = vhost_user_memory_at(memory, vring->addr.avail,
                                        virtqueue_avail_bytes(vring->size, features));
    rings->used = vhost_user_memory_at(memory, vring->addr.used,
                                       virtqueue_used_bytes(vring->size, features));
    return rings->desc && rings->avail && rings->used;
}

/* The log of this ring; NULL where there is none. */
static void *find_log(const VhostUserVring *vring)
{
    const VhostUserSession *session = vring->session;

    if (!session->inflight.host || vring->index >= session->inflight_queues) {
        return NULL;
    }
    return session->inflight.host +
           vring->index * virtqueue_inflight_bytes(session->inflight_size);
}

bool vhost_user_vring_update(VhostUserVring *vring, Error **errp)
{
    VhostUserSession *session = vring->session;
    VirtQueueStart start = {.size = vring->size, .features = session->features,
                            .base = vring->base, .inflight = find_log(vring)};

    if (vring->is_live || !vring->is_enabled || vring->kick_fd < 0 || !vring->size ||
        !vring->has_addr || !session->has_features || !find_rings(vring, &start.rings)) {
        return true;
    }
    if (start.inflight && session->inflight_size != vring->size) {
        error_setg(errp, "queue %u has %u descriptors, its inflight area %u", vring->index,
                   vring->size, session->inflight_size);
        return false;
    }
    if (!virtqueue_start(virtio_blk_queue_vq(vring->queue), &start, errp)) {
        return false;
    }
    vring->is_live = true;
    aio_set_fd_handler(qemu_get_current_aio_context(), vring->kick_fd, on_kick, NULL, vring);
    /* What was announced before comes with no kick, and an answer may have lost its call. */
    virtio_blk_queue_set_fetching(vring->queue, true);
    signal_event(vring->call_fd);
    return true;
}

void coroutine_fn vhost_user_vring_rest(VhostUserVring *vring)
{
    if (!vring->is_live) {
        return;
    }
    stop_kicks(vring);
    virtio_blk_queue_set_fetching(vring->queue, false);
    virtio_blk_queue_drain(vring->queue);
    vring->base = virtqueue_base(virtio_blk_queue_vq(vring->queue));
    vring->is_live = false;
}

/* ---- event descriptors ---- */

/*
 * Anything else could block us, or be readable for ever.  The flag is of the file itself, and the
 * peer's too: all front-ends set it.
 */
static bool check_event(int fd, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *target = g_file_read_link(path, NULL);

    if (!target || strcmp(target, "anon_inode:[eventfd]")) {
        error_setg(errp, "a descriptor for events is no eventfd");
        return false;
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
        error_setg_errno(errp, errno, "cannot use a descriptor for events");
        return false;
    }
    return true;
}

static bool replace_event(int *event, int fd, Error **errp)
{
    if (fd >= 0 && !check_event(fd, errp)) {
        close(fd);
        return false;
    }
    close_event(event);
    *event = fd;
    return true;
}

bool vhost_user_vring_set_call(VhostUserVring *vring, int fd, Error **errp)
{
    if (!replace_event(&vring->call_fd, fd, errp)) {
        return false;
    }
    if (vring->is_live) {
        signal_event(fd);
    }
    return true;
}

bool vhost_user_vring_set_err(VhostUserVring *vring, int fd, Error **errp)
{
    return replace_event(&vring->err_fd, fd, errp);
}

bool vhost_user_vring_set_kick(VhostUserVring *vring, int fd, Error **errp)
{
    assert(!vring->is_live);
    return replace_event(&vring->kick_fd, fd, errp);
}
