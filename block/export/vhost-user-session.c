/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a vhost-user session, and what each message does.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "qemu/error-report.h"
#include "vhost-user-session.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define PROTOCOL_FEATURES                                                           \
    (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |         \
     BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) | \
     BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

#define VRING_INDEX_MASK 0xff
#define VRING_NO_FD BIT(8)

/*
 * Do what @msg says; false with @errp set where that is impossible.  Those that have an answer put
 * it into the payload, and its length into msg->bytes; *@fd is a descriptor to go with it.
 */
typedef bool coroutine_fn MessageFunc(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                      Error **errp);

static VhostUserVring *find_vring(VhostUserSession *s, uint64_t index, Error **errp)
{
    if (index >= s->nr_vrings) {
        error_setg(errp, "there is no queue %" PRIu64 ", only %u", index, s->nr_vrings);
        return NULL;
    }
    return &s->vrings[index];
}

static void coroutine_fn rest_all(VhostUserSession *s)
{
    for (unsigned int i = 0; i < s->nr_vrings; i++) {
        vhost_user_vring_rest(&s->vrings[i]);
    }
}

static bool update_all(VhostUserSession *s, Error **errp)
{
    for (unsigned int i = 0; i < s->nr_vrings; i++) {
        if (!vhost_user_vring_update(&s->vrings[i], errp)) {
            return false;
        }
    }
    return true;
}

static bool answer_u64(VhostUserMessage *msg, uint64_t value)
{
    msg->payload.u64 = value;
    msg->bytes = sizeof(value);
    return true;
}

/* ---- negotiation ---- */

static bool coroutine_fn get_features(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                      Error **errp)
{
    return answer_u64(msg, virtio_blk_handler_features(s->handler) |
                               BIT(VHOST_USER_F_PROTOCOL_FEATURES));
}

static bool coroutine_fn set_features(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                      Error **errp)
{
    uint64_t features = msg->payload.u64;

    if (s->has_features && s->features == features) {
        return true;
    }
    rest_all(s);
    if (!virtio_blk_handler_set_features(s->handler,
                                         features & ~BIT(VHOST_USER_F_PROTOCOL_FEATURES), errp)) {
        return false;
    }
    s->features = features;
    s->has_features = true;
    for (unsigned int i = 0; i < s->nr_vrings; i++) {
        s->vrings[i].is_enabled |= !(features & BIT(VHOST_USER_F_PROTOCOL_FEATURES));
    }
    return update_all(s, errp);
}

static bool coroutine_fn do_nothing(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                    Error **errp)
{
    return true;
}

static bool coroutine_fn get_protocol_features(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                               Error **errp)
{
    return answer_u64(msg, PROTOCOL_FEATURES);
}

static bool coroutine_fn set_protocol_features(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                               Error **errp)
{
    uint64_t excess = msg->payload.u64 & ~PROTOCOL_FEATURES;

    if (excess) {
        error_setg(errp, "protocol features 0x%" PRIx64 " were not offered", excess);
        return false;
    }
    s->protocol_features = msg->payload.u64;
    return true;
}

static bool coroutine_fn get_queue_num(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                       Error **errp)
{
    return answer_u64(msg, s->nr_vrings);
}

static bool coroutine_fn get_config(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                    Error **errp)
{
    VhostUserConfig *config = &msg->payload.config;
    uint8_t space[VIRTIO_BLK_CONFIG_BYTES + sizeof(config->data)] = {0};

    memcpy(space, virtio_blk_handler_config(s->handler), VIRTIO_BLK_CONFIG_BYTES);
    if (config->bytes > sizeof(config->data) || config->offset > VIRTIO_BLK_CONFIG_BYTES ||
        msg->bytes != offsetof(VhostUserConfig, data) + config->bytes) {
        warn_report("Export '%s': front-end asks for %u bytes of configuration at %u", s->name,
                    config->bytes, config->offset);
        config->bytes = 0;
        msg->bytes = offsetof(VhostUserConfig, data);
        return true;
    }
    memcpy(config->data, space + config->offset, config->bytes);
    return true;
}

/* Nothing is writable; a front-end may write back what it has read. */
static bool coroutine_fn set_config(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                    Error **errp)
{
    const VhostUserConfig *config = &msg->payload.config;

    if (msg->bytes != offsetof(VhostUserConfig, data) + (uint64_t)config->bytes ||
        config->offset > VIRTIO_BLK_CONFIG_BYTES ||
        config->bytes > VIRTIO_BLK_CONFIG_BYTES - config->offset || config->flags != 0 ||
        memcmp(virtio_blk_handler_config(s->handler) + config->offset, config->data,
               config->bytes)) {
        error_setg(errp, "the configuration (%u bytes at %u) cannot be changed", config->bytes,
                   config->offset);
        return false;
    }
    return true;
}

/* ---- memory ---- */

static bool coroutine_fn set_mem_table(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                       Error **errp)
{
    uint32_t nr = msg->payload.table.nr_regions;

    if (nr > VHOST_USER_MAX_FDS || nr != msg->nr_fds ||
        msg->bytes < 8 + nr * sizeof(VhostUserRegion)) {
        error_setg(errp, "a memory table of %u regions has %u descriptors and %u bytes", nr,
                   msg->nr_fds, msg->bytes);
        return false;
    }
    rest_all(s);
    vhost_user_memory_clear(&s->memory);
    for (uint32_t i = 0; i < nr; i++) {
        if (!vhost_user_memory_add(&s->memory, &msg->payload.table.regions[i], msg->fds[i],
                                   errp)) {
            return false;
        }
    }
    return update_all(s, errp);
}

static bool coroutine_fn get_max_mem_slots(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                           Error **errp)
{
    return answer_u64(msg, VHOST_USER_MAX_SLOTS);
}

static bool coroutine_fn add_mem_reg(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                     Error **errp)
{
    if (msg->nr_fds != 1) {
        error_setg(errp, "a memory region comes with %u descriptors", msg->nr_fds);
        return false;
    }
    return vhost_user_memory_add(&s->memory, &msg->payload.single.region, msg->fds[0], errp) &&
           update_all(s, errp);
}

static bool coroutine_fn rem_mem_reg(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                     Error **errp)
{
    rest_all(s);
    return vhost_user_memory_remove(&s->memory, &msg->payload.single.region, errp) &&
           update_all(s, errp);
}

/* ---- rings ---- */

static bool coroutine_fn set_vring_num(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                       Error **errp)
{
    VhostUserVring *vring = find_vring(s, msg->payload.state.index, errp);

    if (!vring) {
        return false;
    }
    if (!is_power_of_2(msg->payload.state.num) || msg->payload.state.num > VIRTQUEUE_MAX_SIZE) {
        error_setg(errp, "queue %u has %u descriptors", vring->index, msg->payload.state.num);
        return false;
    }
    vhost_user_vring_rest(vring);
    vring->size = msg->payload.state.num;
    return vhost_user_vring_update(vring, errp);
}

static bool coroutine_fn set_vring_addr(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                        Error **errp)
{
    VhostUserVring *vring = find_vring(s, msg->payload.addr.index, errp);

    if (!vring) {
        return false;
    }
    vhost_user_vring_rest(vring);
    vring->addr = msg->payload.addr;
    vring->has_addr = true;
    return vhost_user_vring_update(vring, errp);
}

static bool coroutine_fn set_vring_base(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                        Error **errp)
{
    VhostUserVring *vring = find_vring(s, msg->payload.state.index, errp);

    if (!vring) {
        return false;
    }
    vhost_user_vring_rest(vring);
    vring->base = msg->payload.state.num;
    return vhost_user_vring_update(vring, errp);
}

static bool coroutine_fn get_vring_base(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                        Error **errp)
{
    VhostUserVring *vring = find_vring(s, msg->payload.state.index, errp);

    if (!vring) {
        return false;
    }
    vhost_user_vring_rest(vring);
    vring->has_addr = false;
    vhost_user_vring_set_kick(vring, -1, NULL);
    vhost_user_vring_set_call(vring, -1, NULL);
    msg->payload.state.num = vring->base;
    return true;
}

static bool coroutine_fn set_vring_enable(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                          Error **errp)
{
    VhostUserVring *vring = find_vring(s, msg->payload.state.index, errp);

    if (!vring) {
        return false;
    }
    vring->is_enabled = msg->payload.state.num;
    if (!vring->is_enabled) {
        vhost_user_vring_rest(vring);
    }
    return vhost_user_vring_update(vring, errp);
}

/* The ring of a message with an event descriptor; *@event is -1 where it says there is none. */
static VhostUserVring *event_of(VhostUserSession *s, VhostUserMessage *msg, int *event,
                                Error **errp)
{
    bool has_fd = !(msg->payload.u64 & VRING_NO_FD);

    if (msg->nr_fds != has_fd) {
        error_setg(errp, "%u descriptors where there should be %u", msg->nr_fds, has_fd);
        return NULL;
    }
    VhostUserVring *vring = find_vring(s, msg->payload.u64 & VRING_INDEX_MASK, errp);

    *event = vring && has_fd ? vhost_user_take_fd(msg, 0) : -1;
    return vring;
}

static bool coroutine_fn set_vring_kick(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                        Error **errp)
{
    int event;
    VhostUserVring *vring = event_of(s, msg, &event, errp);

    if (!vring) {
        return false;
    }
    if (event < 0) {
        error_setg(errp, "queue %u is to be polled, which is not supported", vring->index);
        return false;
    }
    vhost_user_vring_rest(vring);
    return vhost_user_vring_set_kick(vring, event, errp) && vhost_user_vring_update(vring, errp);
}

static bool coroutine_fn set_vring_call(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                        Error **errp)
{
    int event;
    VhostUserVring *vring = event_of(s, msg, &event, errp);

    return vring && vhost_user_vring_set_call(vring, event, errp);
}

static bool coroutine_fn set_vring_err(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                       Error **errp)
{
    int event;
    VhostUserVring *vring = event_of(s, msg, &event, errp);

    return vring && vhost_user_vring_set_err(vring, event, errp);
}

/* ---- the log of requests in flight ---- */

static void unmap_inflight(VhostUserSession *s)
{
    if (s->inflight.host) {
        vhost_user_unmap(&s->inflight);
        s->inflight.host = NULL;
    }
}

static bool check_inflight(const VhostUserSession *s, const VhostUserInflight *inflight,
                           Error **errp)
{
    if (inflight->num_queues == 0 || inflight->num_queues > s->nr_vrings ||
        !is_power_of_2(inflight->queue_size) || inflight->queue_size > VIRTQUEUE_MAX_SIZE) {
        error_setg(errp, "an inflight area for %u queues of %u descriptors", inflight->num_queues,
                   inflight->queue_size);
        return false;
    }
    return true;
}

static bool coroutine_fn get_inflight_fd(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                         Error **errp)
{
    VhostUserInflight *inflight = &msg->payload.inflight;

    if (!check_inflight(s, inflight, errp)) {
        return false;
    }
    inflight->mmap_offset = 0;
    inflight->mmap_bytes = inflight->num_queues * virtqueue_inflight_bytes(inflight->queue_size);
    *fd = memfd_create("vhost-user-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || ftruncate(*fd, inflight->mmap_bytes) < 0 ||
        fcntl(*fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        error_setg_errno(errp, errno, "cannot make an inflight area");
        return false;
    }
    return true;
}

static bool coroutine_fn recover(VhostUserSession *s, Error **errp)
{
    size_t stride = virtqueue_inflight_bytes(s->inflight_size);

    for (unsigned int i = 0; i < s->inflight_queues; i++) {
        int ret = virtio_blk_handler_recover(s->handler, s->inflight.host + i * stride,
                                             s->inflight_size);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "cannot tell what was done of the requests in flight");
            return false;
        }
    }
    return true;
}

static bool coroutine_fn set_inflight_fd(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                         Error **errp)
{
    const VhostUserInflight *inflight = &msg->payload.inflight;
    VhostUserMapping area;
    uint64_t needed;

    if (!check_inflight(s, inflight, errp)) {
        return false;
    }
    needed = inflight->num_queues * virtqueue_inflight_bytes(inflight->queue_size);
    if (msg->nr_fds != 1 || inflight->mmap_bytes < needed || inflight->mmap_offset % 64) {
        error_setg(errp, "an inflight area of %" PRIu64 " bytes with %u descriptors",
                   inflight->mmap_bytes, msg->nr_fds);
        return false;
    }
    if (!vhost_user_map_file(&area, msg->fds[0], inflight->mmap_offset, needed,
                             s->memory.loss_event, errp)) {
        return false;
    }
    rest_all(s);
    unmap_inflight(s);
    s->inflight = area;
    s->inflight_queues = inflight->num_queues;
    s->inflight_size = inflight->queue_size;
    return recover(s, errp) && update_all(s, errp);
}

/* ---- dispatch ---- */

typedef struct MessageType {
    MessageFunc *handle;
    uint32_t min_bytes;
    bool has_answer;
    bool takes_fds;
} MessageType;

#define CONFIG_BYTES offsetof(VhostUserConfig, data)

static const MessageType message_types[] = {
    [VHOST_USER_GET_FEATURES] = {get_features, 0, .has_answer = true},
    [VHOST_USER_SET_FEATURES] = {set_features, 8},
    [VHOST_USER_SET_OWNER] = {do_nothing, 0},
    [VHOST_USER_RESET_OWNER] = {do_nothing, 0},
    [VHOST_USER_SET_MEM_TABLE] = {set_mem_table, 8, .takes_fds = true},
    [VHOST_USER_SET_VRING_NUM] = {set_vring_num, 8},
    [VHOST_USER_SET_VRING_ADDR] = {set_vring_addr, 40},
    [VHOST_USER_SET_VRING_BASE] = {set_vring_base, 8},
    [VHOST_USER_GET_VRING_BASE] = {get_vring_base, 8, .has_answer = true},
    [VHOST_USER_SET_VRING_KICK] = {set_vring_kick, 8, .takes_fds = true},
    [VHOST_USER_SET_VRING_CALL] = {set_vring_call, 8, .takes_fds = true},
    [VHOST_USER_SET_VRING_ERR] = {set_vring_err, 8, .takes_fds = true},
    [VHOST_USER_GET_PROTOCOL_FEATURES] = {get_protocol_features, 0, .has_answer = true},
    [VHOST_USER_SET_PROTOCOL_FEATURES] = {set_protocol_features, 8},
    [VHOST_USER_GET_QUEUE_NUM] = {get_queue_num, 0, .has_answer = true},
    [VHOST_USER_SET_VRING_ENABLE] = {set_vring_enable, 8},
    [VHOST_USER_GET_CONFIG] = {get_config, CONFIG_BYTES, .has_answer = true},
    [VHOST_USER_SET_CONFIG] = {set_config, CONFIG_BYTES},
    [VHOST_USER_GET_INFLIGHT_FD] = {get_inflight_fd, 20, .has_answer = true},
    [VHOST_USER_SET_INFLIGHT_FD] = {set_inflight_fd, 20, .takes_fds = true},
    [VHOST_USER_GET_MAX_MEM_SLOTS] = {get_max_mem_slots, 0, .has_answer = true},
    [VHOST_USER_ADD_MEM_REG] = {add_mem_reg, 40, .takes_fds = true},
    [VHOST_USER_REM_MEM_REG] = {rem_mem_reg, 40, .takes_fds = true},
};

static bool coroutine_fn handle_message(VhostUserSession *s, VhostUserMessage *msg, int *fd,
                                        Error **errp)
{
    const MessageType *type = &message_types[msg->request];

    if (msg->bytes < type->min_bytes || (msg->nr_fds && !type->takes_fds)) {
        error_setg(errp, "it has %u bytes and %u descriptors", msg->bytes, msg->nr_fds);
        return false;
    }
    return type->handle(s, msg, fd, errp);
}

/* Handle and answer; false ends the session. */
static bool coroutine_fn serve_message(VhostUserSession *s, VhostUserMessage *msg)
{
    bool wants_ack = msg->flags & VHOST_USER_NEED_REPLY &&
                     s->protocol_features & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK);
    bool is_known = msg->request < ARRAY_SIZE(message_types) &&
                    message_types[msg->request].handle;
    bool is_ok = false, goes_on = true;
    Error *err = NULL;
    int fd = -1;

    if (is_known) {
        is_ok = handle_message(s, msg, &fd, &err);
    }
    vhost_user_close_fds(msg);
    if (!is_ok) {
        warn_report("Export '%s': vhost-user message %u refused: %s", s->name, msg->request,
                    err ? error_get_pretty(err) : "it is unknown");
        error_free(err);
        goes_on = wants_ack || !is_known;
    }
    if (is_ok && message_types[msg->request].has_answer) {
        goes_on = vhost_user_reply(s->socket, msg, msg->bytes, fd);
    } else if (is_known && message_types[msg->request].has_answer) {
        goes_on = false;
    } else if (wants_ack) {
        answer_u64(msg, is_ok ? 0 : 1);
        goes_on = vhost_user_reply(s->socket, msg, msg->bytes, -1);
    }
    if (fd >= 0) {
        close(fd);
    }
    return goes_on;
}

/* ---- life ---- */

static void memory_lost(void *opaque)
{
    VhostUserSession *s = opaque;
    uint64_t count;

    if (read(s->memory.loss_event, &count, sizeof(count)) == sizeof(count)) {
        warn_report("Export '%s': the front-end has taken memory away: disconnected", s->name);
        vhost_user_session_stop(s);
    }
}

static void coroutine_fn run_session(void *opaque)
{
    VhostUserSession *s = opaque;
    void (*ended)(void *) = s->ended;
    void *ended_opaque = s->opaque;
    VhostUserMessage msg;
    Error *err = NULL;

    while (vhost_user_receive(s->socket, &msg, &err) > 0 && serve_message(s, &msg)) {
    }
    if (err) {
        warn_report("Export '%s': vhost-user connection closed: %s", s->name,
                    error_get_pretty(err));
        error_free(err);
    }
    rest_all(s);
    for (unsigned int i = 0; i < s->nr_vrings; i++) {
        vhost_user_vring_done(&s->vrings[i]);
    }
    unmap_inflight(s);
    vhost_user_memory_clear(&s->memory);
    aio_set_fd_handler(qemu_get_current_aio_context(), s->memory.loss_event, NULL, NULL, NULL);
    close(s->memory.loss_event);
    virtio_blk_handler_reset(s->handler);
    close(s->socket);
    g_free(s->vrings);
    g_free(s);
    ended(ended_opaque);
}

VhostUserSession *vhost_user_session_new(int socket, const char *name, VirtIOBlkHandler *handler,
                                         unsigned int nr_vrings, void (*ended)(void *opaque),
                                         void *opaque)
{
    VhostUserSession *s;
    int loss_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (loss_event < 0) {
        close(socket);
        return NULL;
    }
    s = g_new0(VhostUserSession, 1);
    s->memory.loss_event = loss_event;
    aio_set_fd_handler(qemu_get_current_aio_context(), loss_event, memory_lost, NULL, s);
    s->socket = socket;
    s->name = name;
    s->handler = handler;
    s->ended = ended;
    s->opaque = opaque;
    s->nr_vrings = nr_vrings;
    s->vrings = g_new0(VhostUserVring, nr_vrings);
    for (unsigned int i = 0; i < nr_vrings; i++) {
        vhost_user_vring_init(&s->vrings[i], s, i);
    }
    aio_co_schedule(qemu_get_current_aio_context(), qemu_coroutine_create(run_session, s));
    return s;
}

void vhost_user_session_stop(VhostUserSession *s)
{
    shutdown(s->socket, SHUT_RDWR);
}
