/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user front-end and its driver: see front-end.h.
 *
 * The memory is one file: rings, then for each request its header, footer and descriptors, then the
 * data of all.
 */
#include "qemu/osdep.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "../../block/export/virtio-blk-int.h"
#include "front-end.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define PAGE 4096
/* Header and footer, then three descriptors. */
#define REQUEST_BYTES 128
#define TABLE_AT 64
#define FOOTER_BYTES 16
#define MAX_QUEUES 16

/* What the driver below can live with. */
#define KNOWN_FEATURES                                                                       \
    (BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_BLK_SIZE) |         \
     BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_MQ) |           \
     BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) | BIT(VIRTIO_BLK_F_ZONED) |  \
     BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |                       \
     BIT(VHOST_USER_F_PROTOCOL_FEATURES) | BIT(VIRTIO_F_VERSION_1))
#define KNOWN_PROTOCOL_FEATURES                                                              \
    (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |                  \
     BIT(VHOST_USER_PROTOCOL_F_CONFIG) | BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |         \
     BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))

static bool has_feature(const FrontEnd *fe, unsigned int bit)
{
    return fe->features & BIT(bit);
}

static bool has_protocol(const FrontEnd *fe, unsigned int bit)
{
    return fe->protocol_features & BIT(bit);
}

/* ---- life ---- */

static size_t ring_bytes(unsigned int size)
{
    return ROUND_UP(16 * (size_t)size + 6 + 2 * (size_t)size + 4 + 6 + 8 * (size_t)size, PAGE);
}

void front_end_reset_queue(FrontEndQueue *queue)
{
    const FrontEndOptions *options = &queue->fe->options;

    driver_ring_init(&queue->ring, &queue->fe->memory, queue->ring.desc, options->queue_size);
    queue->nr_in_flight = 0;
    SLIST_INIT(&queue->spare);
    for (unsigned int i = options->depth; i-- > 0;) {
        queue->requests[i].is_submitted = false;
        SLIST_INSERT_HEAD(&queue->spare, &queue->requests[i], link);
    }
}

static void init_queue(FrontEnd *fe, unsigned int index, size_t *at, size_t *data_at)
{
    const FrontEndOptions *options = &fe->options;
    FrontEndQueue *queue = &fe->queues[index];

    *queue = (FrontEndQueue){.fe = fe, .index = index, .kick = -1, .call = -1, .ring.desc = *at};
    *at += ring_bytes(options->queue_size);
    queue->requests = g_new0(FrontEndRequest, options->depth);
    for (unsigned int i = 0; i < options->depth; i++) {
        FrontEndRequest *req = &queue->requests[i];

        req->slot = i;
        req->header_at = *at + i * REQUEST_BYTES;
        req->table_at = req->header_at + TABLE_AT;
        req->data = fe->memory.bytes + *data_at + i * (size_t)options->data_bytes;
    }
    *at += ROUND_UP(options->depth * REQUEST_BYTES, PAGE);
    *data_at += options->depth * (size_t)options->data_bytes;
    front_end_reset_queue(queue);
}

FrontEnd *front_end_new(const FrontEndOptions *options)
{
    FrontEnd *fe = g_new0(FrontEnd, 1);
    size_t at = 0, data_at;

    g_assert(options->nr_queues <= MAX_QUEUES);
    fe->options = *options;
    fe->options.data_bytes = ROUND_UP(options->data_bytes, PAGE);
    data_at = options->nr_queues * (ring_bytes(options->queue_size) +
                                    ROUND_UP(options->depth * REQUEST_BYTES, PAGE));
    driver_memory_init_size(&fe->memory, data_at + (size_t)options->nr_queues * options->depth *
                                                       fe->options.data_bytes);
    fe->queues = g_new0(FrontEndQueue, options->nr_queues);
    for (unsigned int i = 0; i < options->nr_queues; i++) {
        init_queue(fe, i, &at, &data_at);
    }
    fe->socket = -1;
    fe->inflight_fd = -1;
    return fe;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void front_end_disconnect(FrontEnd *fe)
{
    close_fd(&fe->socket);
    for (unsigned int i = 0; i < fe->options.nr_queues; i++) {
        close_fd(&fe->queues[i].kick);
        close_fd(&fe->queues[i].call);
    }
}

void front_end_reset(FrontEnd *fe)
{
    g_assert(fe->socket < 0);
    close_fd(&fe->inflight_fd);
    for (unsigned int i = 0; i < fe->options.nr_queues; i++) {
        front_end_reset_queue(&fe->queues[i]);
    }
}

void front_end_free(FrontEnd *fe)
{
    front_end_disconnect(fe);
    close_fd(&fe->inflight_fd);
    for (unsigned int i = 0; i < fe->options.nr_queues; i++) {
        g_free(fe->queues[i].requests);
    }
    driver_memory_done(&fe->memory);
    g_free(fe->queues);
    g_free(fe);
}

/* ---- connecting ---- */

bool front_end_tell(FrontEnd *fe, uint32_t request, const void *payload, uint32_t bytes, int fd)
{
    uint64_t answer;

    if (has_protocol(fe, VHOST_USER_PROTOCOL_F_REPLY_ACK)) {
        return wire_tell(fe->socket, request, payload, bytes, fd, &answer) && answer == 0;
    }
    return wire_send(fe->socket, request, 0, payload, bytes, &fd, fd >= 0) &&
           wire_ask(fe->socket, VHOST_USER_GET_FEATURES, &answer);
}

static bool read_config(FrontEnd *fe)
{
    struct {
        uint32_t offset, bytes, flags;
        uint8_t data[sizeof(fe->config)];
    } message = {.bytes = sizeof(fe->config)};

    if (!has_protocol(fe, VHOST_USER_PROTOCOL_F_CONFIG)) {
        return false;
    }
    /* An old back-end has a shorter one. */
    if (!(fe->features & BIT(VIRTIO_BLK_F_ZONED))) {
        message.bytes = 60;
    }
    if (!wire_send(fe->socket, VHOST_USER_GET_CONFIG, 0, &message, 12 + message.bytes, NULL, 0) ||
        wire_receive(fe->socket, VHOST_USER_GET_CONFIG, &message, sizeof(message), NULL) < 12) {
        return false;
    }
    memcpy(fe->config, message.data, sizeof(fe->config));
    return true;
}

bool front_end_negotiate(FrontEnd *fe)
{
    uint64_t features, protocol, nr_queues = 1;

    fe->socket = wire_connect(fe->options.path);
    fe->protocol_features = 0;
    if (fe->socket < 0 || !wire_ask(fe->socket, VHOST_USER_GET_FEATURES, &features) ||
        !(features & BIT(VHOST_USER_F_PROTOCOL_FEATURES)) ||
        !wire_ask(fe->socket, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol)) {
        return false;
    }
    fe->features = features & KNOWN_FEATURES & ~fe->options.without;
    fe->protocol_features = protocol & KNOWN_PROTOCOL_FEATURES;
    if (!wire_send(fe->socket, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &fe->protocol_features, 8, NULL,
                   0)) {
        return false;
    }
    if (has_protocol(fe, VHOST_USER_PROTOCOL_F_MQ) &&
        !wire_ask(fe->socket, VHOST_USER_GET_QUEUE_NUM, &nr_queues)) {
        return false;
    }
    return nr_queues >= fe->options.nr_queues &&
           wire_send(fe->socket, VHOST_USER_SET_OWNER, 0, NULL, 0, NULL, 0) &&
           front_end_tell(fe, VHOST_USER_SET_FEATURES, &fe->features, 8, -1) && read_config(fe);
}

static bool send_region(FrontEnd *fe)
{
    VhostUserRegion region = {.guest_addr = DRIVER_BASE, .bytes = fe->memory.size,
                              .user_addr = FRONT_END_USER_BASE};
    struct {
        uint64_t number_or_padding;
        VhostUserRegion region;
    } message = {.region = region};

    if (!fe->options.has_mem_table &&
        has_protocol(fe, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
        return front_end_tell(fe, VHOST_USER_ADD_MEM_REG, &message, sizeof(message),
                              fe->memory.fd);
    }
    message.number_or_padding = 1;
    return front_end_tell(fe, VHOST_USER_SET_MEM_TABLE, &message, sizeof(message), fe->memory.fd);
}

static bool send_inflight(FrontEnd *fe)
{
    if (!fe->options.has_inflight || !has_protocol(fe, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)) {
        return true;
    }
    if (fe->inflight_fd < 0) {
        fe->inflight = (VhostUserInflight){.num_queues = fe->options.nr_queues,
                                           .queue_size = fe->options.queue_size};
        if (!wire_send(fe->socket, VHOST_USER_GET_INFLIGHT_FD, 0, &fe->inflight,
                       sizeof(fe->inflight), NULL, 0) ||
            wire_receive(fe->socket, VHOST_USER_GET_INFLIGHT_FD, &fe->inflight,
                         sizeof(fe->inflight), &fe->inflight_fd) != sizeof(fe->inflight) ||
            fe->inflight_fd < 0) {
            return false;
        }
    }
    return front_end_tell(fe, VHOST_USER_SET_INFLIGHT_FD, &fe->inflight, sizeof(fe->inflight),
                          fe->inflight_fd);
}

bool front_end_send_memory(FrontEnd *fe)
{
    return send_region(fe) && send_inflight(fe);
}

static uint16_t used_idx(const DriverRing *ring)
{
    return lduw_le_p(ring->memory->bytes + ring->used + 2);
}

bool front_end_start_queue(FrontEndQueue *queue)
{
    FrontEnd *fe = queue->fe;
    const DriverRing *ring = &queue->ring;
    VhostUserVringState num = {queue->index, ring->size};
    /* After a crash: what is in flight comes out of the log, or is lost with it. */
    VhostUserVringState base = {queue->index, used_idx(ring)};
    VhostUserVringState enable = {queue->index, 1};
    VhostUserVringAddr addr = {
        .index = queue->index,
        .desc = FRONT_END_USER_BASE + ring->desc,
        .avail = FRONT_END_USER_BASE + ring->avail,
        .used = FRONT_END_USER_BASE + ring->used,
    };
    uint64_t index = queue->index;

    queue->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    queue->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    queue->kicked = ring->avail_idx;
    return front_end_tell(fe, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), -1) &&
           front_end_tell(fe, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), -1) &&
           front_end_tell(fe, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), -1) &&
           front_end_tell(fe, VHOST_USER_SET_VRING_KICK, &index, sizeof(index), queue->kick) &&
           front_end_tell(fe, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), queue->call) &&
           front_end_tell(fe, VHOST_USER_SET_VRING_ENABLE, &enable, sizeof(enable), -1);
}

bool front_end_stop_queue(FrontEndQueue *queue, uint32_t *base)
{
    FrontEnd *fe = queue->fe;
    VhostUserVringState state = {queue->index, 0};
    bool is_ok = wire_send(fe->socket, VHOST_USER_GET_VRING_BASE, 0, &state, sizeof(state), NULL,
                           0) &&
                 wire_receive(fe->socket, VHOST_USER_GET_VRING_BASE, &state, sizeof(state),
                              NULL) == sizeof(state);

    *base = state.num;
    close_fd(&queue->kick);
    close_fd(&queue->call);
    return is_ok;
}

bool front_end_connect(FrontEnd *fe)
{
    bool is_ok = front_end_negotiate(fe) && front_end_send_memory(fe);

    for (unsigned int i = 0; i < fe->options.nr_queues && is_ok; i++) {
        is_ok = front_end_start_queue(&fe->queues[i]);
    }
    if (!is_ok) {
        front_end_disconnect(fe);
    }
    return is_ok;
}

/* ---- requests ---- */

FrontEndRequest *front_end_get(FrontEndQueue *queue)
{
    FrontEndRequest *req = SLIST_FIRST(&queue->spare);

    if (req) {
        SLIST_REMOVE_HEAD(&queue->spare, link);
    }
    return req;
}

void front_end_put(FrontEndQueue *queue, FrontEndRequest *req)
{
    SLIST_INSERT_HEAD(&queue->spare, req, link);
}

static bool is_indirect(const FrontEndQueue *queue)
{
    return has_feature(queue->fe, VIRTIO_RING_F_INDIRECT_DESC);
}

void front_end_submit(FrontEndQueue *queue, FrontEndRequest *req)
{
    DriverMemory *memory = &queue->fe->memory;
    size_t data_at = req->data - memory->bytes;
    uint32_t footer = req->type == VIRTIO_BLK_T_ZONE_APPEND ? FOOTER_BYTES : 1;
    uint16_t head = is_indirect(queue) ? req->slot : 3 * req->slot;

    g_assert(!req->is_submitted && head < queue->ring.size);
    driver_blk_chain(memory, is_indirect(queue) ? req->table_at : queue->ring.desc,
                     is_indirect(queue) ? 0 : head, req->header_at, data_at, req->type, req->sector,
                     req->bytes, req->is_read, footer);
    if (is_indirect(queue)) {
        driver_desc(memory, queue->ring.desc, head, req->table_at, 3 * 16, DESC_INDIRECT, 0);
    }
    req->is_submitted = true;
    queue->nr_in_flight++;
    driver_offer(&queue->ring, head);
}

void front_end_kick(FrontEndQueue *queue)
{
    const DriverRing *ring = &queue->ring;
    uint64_t one = 1;
    bool is_wanted;

    if (queue->kicked == ring->avail_idx) {
        return;
    }
    if (has_feature(queue->fe, VIRTIO_RING_F_EVENT_IDX)) {
        is_wanted = driver_needs_kick(ring, queue->kicked);
    } else {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        is_wanted = !(lduw_le_p(ring->memory->bytes + ring->used) & 1);
    }
    queue->kicked = ring->avail_idx;
    if (is_wanted && queue->kick >= 0) {
        queue->nr_kicks++;
        g_assert(write(queue->kick, &one, sizeof(one)) == sizeof(one));
    }
}

FrontEndRequest *front_end_reap(FrontEndQueue *queue)
{
    DriverMemory *memory = &queue->fe->memory;
    unsigned int slot;
    uint32_t head, len;
    FrontEndRequest *req;

    if (!driver_take(&queue->ring, &head, &len)) {
        return NULL;
    }
    slot = is_indirect(queue) ? head : head / 3;
    g_assert(slot < queue->fe->options.depth);
    req = &queue->requests[slot];
    g_assert(req->is_submitted);
    req->is_submitted = false;
    queue->nr_in_flight--;
    if (req->type == VIRTIO_BLK_T_ZONE_APPEND) {
        req->append_sector = ldq_le_p(memory->bytes + req->header_at + 16);
        req->status = memory->bytes[req->header_at + 16 + FOOTER_BYTES - 1];
    } else {
        req->status = memory->bytes[req->header_at + 16];
    }
    return req;
}

/* Ask to be called for answers; whether there is one already. */
static bool want_calls(FrontEndQueue *queues, unsigned int nr)
{
    bool has_answer = false;

    for (unsigned int i = 0; i < nr; i++) {
        driver_want_call(&queues[i].ring);
        has_answer |= driver_has_answer(&queues[i].ring);
    }
    return has_answer;
}

static bool wait_for(FrontEndQueue *queues, unsigned int nr, int timeout_ms)
{
    struct pollfd polled[MAX_QUEUES + 1];
    uint64_t count;

    for (unsigned int i = 0; i < nr; i++) {
        polled[i] = (struct pollfd){.fd = queues[i].call, .events = POLLIN};
    }
    polled[nr] = (struct pollfd){.fd = queues->fe->socket, .events = POLLRDHUP};
    while (!want_calls(queues, nr)) {
        bool is_called = false;

        if (queues->fe->socket < 0 || poll(polled, nr + 1, timeout_ms) <= 0) {
            return false;
        }
        for (unsigned int i = 0; i < nr; i++) {
            if (polled[i].revents & POLLIN && read(queues[i].call, &count, 8) == 8) {
                queues[i].nr_calls++;
                is_called = true;
            }
        }
        if (!is_called) {
            return want_calls(queues, nr);
        }
    }
    return true;
}

bool front_end_wait(FrontEndQueue *queue, int timeout_ms)
{
    return wait_for(queue, 1, timeout_ms);
}

bool front_end_wait_any(FrontEnd *fe, int timeout_ms)
{
    return wait_for(fe->queues, fe->options.nr_queues, timeout_ms);
}

int front_end_do(FrontEndQueue *queue, uint32_t type, uint64_t sector, void *data, uint32_t bytes,
                 bool is_read)
{
    FrontEndRequest *req = front_end_get(queue);
    int status = -1;

    g_assert(req && bytes <= queue->fe->options.data_bytes);
    req->type = type;
    req->sector = sector;
    req->bytes = bytes;
    req->is_read = is_read;
    if (data && !is_read) {
        memcpy(req->data, data, bytes);
    }
    front_end_submit(queue, req);
    front_end_kick(queue);
    if (front_end_wait(queue, 20000)) {
        g_assert(front_end_reap(queue) == req);
        status = req->status;
        if (data && is_read) {
            memcpy(data, req->data, bytes);
        }
        front_end_put(queue, req);
    }
    return status;
}
