/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile rings: honest requests, then something about the ring is wrong, perhaps while the daemon
 * reads it; the log of requests in flight, and memory that goes away.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "../../block/export/virtqueue.h"
#include "hostile.h"

#define DESC_BYTES 16

static uint8_t *descriptor(FrontEndQueue *queue, unsigned int i)
{
    return queue->fe->memory.bytes + queue->ring.desc + DESC_BYTES * i;
}

static bool is_indirect(const FrontEndQueue *queue)
{
    return queue->fe->features & BIT(VIRTIO_RING_F_INDIRECT_DESC);
}

/* Descriptor @i of the chain of @req, wherever it is. */
static uint8_t *chain_descriptor(FrontEndQueue *queue, const FrontEndRequest *req, unsigned int i)
{
    return is_indirect(queue) ? queue->fe->memory.bytes + req->table_at + DESC_BYTES * i
                              : descriptor(queue, 3 * req->slot + i);
}

/* An address: of anything in the memory, at its ends, or outside. */
static uint64_t strange_address(Hostile *h, const FrontEndQueue *queue)
{
    uint64_t size = queue->fe->memory.size;

    switch (hostile_below(h, 5)) {
    case 0:
        return DRIVER_BASE + queue->ring.desc + hostile_below(h, ROUND_UP(QUEUE_SIZE * 26, 4096));
    case 1:
        return DRIVER_BASE + hostile_below(h, size);
    case 2:
        return DRIVER_BASE + size - hostile_below(h, 32);
    case 3:
        return DRIVER_BASE - hostile_below(h, 32);
    default:
        return hostile_number(h, DRIVER_BASE);
    }
}

static void break_descriptor(Hostile *h, const FrontEndQueue *queue, uint8_t *desc)
{
    switch (hostile_below(h, 5)) {
    case 0:
        stq_le_p(desc, strange_address(h, queue));
        break;
    case 1:
        stl_le_p(desc + 8, hostile_number(h, ldl_le_p(desc + 8)));
        break;
    case 2:
        stw_le_p(desc + 12, hostile_below(h, 4) ? hostile_below(h, 8) : hostile_number(h, 1));
        break;
    case 3:
        stw_le_p(desc + 14, hostile_below(h, 2) ? hostile_below(h, QUEUE_SIZE)
                                                : hostile_number(h, QUEUE_SIZE));
        break;
    default: /* a cycle */
        stw_le_p(desc + 12, lduw_le_p(desc + 12) | DESC_NEXT);
        stw_le_p(desc + 14, hostile_below(h, 4));
    }
}

static void break_indexes(Hostile *h, FrontEndQueue *queue)
{
    uint8_t *avail = queue->fe->memory.bytes + queue->ring.avail;
    uint8_t *used = queue->fe->memory.bytes + queue->ring.used;

    switch (hostile_below(h, 6)) {
    case 0: /* how much is available */
        stw_le_p(avail + 2, hostile_number(h, queue->ring.avail_idx));
        break;
    case 1: /* what is */
        stw_le_p(avail + 4 + 2 * hostile_below(h, 3), hostile_number(h, QUEUE_SIZE));
        break;
    case 2: /* the same twice */
        stw_le_p(avail + 4 + 2, lduw_le_p(avail + 4));
        stw_le_p(avail + 2, queue->ring.avail_idx + 1);
        break;
    case 3: /* what belongs to the device */
        stw_le_p(used + 2 * hostile_below(h, 4), hostile_number(h, 0));
        break;
    case 4: /* flags and event indexes */
        stw_le_p(avail, hostile_number(h, 0));
        stw_le_p(avail + 4 + 2 * QUEUE_SIZE, hostile_number(h, queue->ring.used_seen));
        break;
    default: /* many chains that are one */
        for (unsigned int i = 0; i < QUEUE_SIZE; i++) {
            stw_le_p(avail + 4 + 2 * i, hostile_below(h, 3));
        }
        stw_le_p(avail + 2, queue->ring.avail_idx + QUEUE_SIZE);
    }
}

static void break_table(Hostile *h, FrontEndQueue *queue, FrontEndRequest *req)
{
    uint8_t *outer = descriptor(queue, req->slot);

    if (hostile_below(h, 3) == 0) {
        /* A long one over other things, which form it. */
        stl_le_p(outer + 8, DESC_BYTES * hostile_below(h, 1100));
    }
    break_descriptor(h, queue, outer);
}

static void scramble(Hostile *h, uint8_t *bytes, size_t size)
{
    for (unsigned int nr = 1 + hostile_below(h, 64); nr > 0; nr--) {
        bytes[hostile_below(h, size)] = hostile_below(h, 2) ? 0 : hostile_below(h, 256);
    }
}

static void break_something(Hostile *h, FrontEndQueue *queue)
{
    FrontEndRequest *req = &queue->requests[hostile_below(h, 3)];

    switch (hostile_below(h, 6)) {
    case 0 ... 1:
        break_descriptor(h, queue, chain_descriptor(queue, req, hostile_below(h, 3)));
        break;
    case 2:
        break_indexes(h, queue);
        break;
    case 3:
        break_table(h, queue, req);
        break;
    case 4:
        scramble(h, queue->fe->memory.bytes + queue->ring.desc, QUEUE_SIZE * DESC_BYTES);
        break;
    default:
        scramble(h, chain_descriptor(queue, req, 0), 3 * DESC_BYTES);
    }
}

/* ---- memory that changes while it is read ---- */

typedef struct Flipper {
    uint8_t *at;
    uint64_t values[2];
    bool is_over;
} Flipper;

static gpointer flip(gpointer opaque)
{
    Flipper *flipper = opaque;

    for (unsigned int i = 0; !__atomic_load_n(&flipper->is_over, __ATOMIC_RELAXED); i++) {
        memcpy(flipper->at, &flipper->values[i % 2], 8);
    }
    memcpy(flipper->at, &flipper->values[0], 8);
    return NULL;
}

/* The ring is served; make the daemon look at it while eight bytes of it change all the time. */
static void flip_while_running(Hostile *h, FrontEndQueue *queue)
{
    FrontEndRequest *req = &queue->requests[0];
    uint8_t *at[] = {
        chain_descriptor(queue, req, hostile_below(h, 3)) + 8 * hostile_below(h, 2),
        descriptor(queue, req->slot) + 8,
        queue->fe->memory.bytes + queue->ring.avail,
        queue->fe->memory.bytes + queue->ring.avail + 4,
    };
    Flipper flipper = {.at = at[hostile_below(h, ARRAY_SIZE(at))]};
    g_autoptr(GThread) thread = NULL;
    uint64_t before[2];

    memcpy(before, flipper.at, sizeof(before));
    scramble(h, flipper.at, 8);
    memcpy(&flipper.values[1], flipper.at, 8);
    memcpy(flipper.at, before, 8);
    flipper.values[0] = before[0];
    thread = g_thread_new("flipper", flip, &flipper);
    for (unsigned int i = 0; i < 20; i++) {
        uint64_t one = 1;

        g_assert(write(queue->kick, &one, sizeof(one)) == sizeof(one));
        g_usleep(20);
    }
    __atomic_store_n(&flipper.is_over, true, __ATOMIC_RELAXED);
    g_thread_join(g_steal_pointer(&thread));
}

/* ---- the log of requests in flight ---- */

static void break_entry(Hostile *h, uint8_t *entry)
{
    entry[0] = hostile_below(h, 3);
    stw_le_p(entry + 6, hostile_below(h, 2) ? hostile_below(h, 4) : hostile_number(h, QUEUE_SIZE));
    stq_le_p(entry + 8, hostile_number(h, 0));
}

/* The note of a request: behind the entries. */
static void break_note(Hostile *h, uint8_t *note)
{
    stl_le_p(note, hostile_below(h, 4));
    for (unsigned int i = 1; i < 4; i++) {
        stl_le_p(note + 4 * i, hostile_below(h, 2) ? hostile_below(h, NR_ZONES)
                                                   : hostile_number(h, 8));
    }
}

static void break_log(Hostile *h, FrontEndQueue *queue)
{
    FrontEnd *fe = h->fe;
    size_t bytes;
    uint8_t *mapping, *log;

    if (fe->inflight_fd < 0) {
        return;
    }
    bytes = fe->inflight.mmap_bytes;
    mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fe->inflight_fd, 0);
    g_assert(mapping != MAP_FAILED);
    log = mapping + queue->index * (bytes / QUEUES);
    stw_le_p(log + 8, hostile_below(h, 8) ? 1 : hostile_number(h, 1));
    stw_le_p(log + 10, hostile_below(h, 8) ? QUEUE_SIZE : hostile_number(h, QUEUE_SIZE));
    stw_le_p(log + 12, hostile_below(h, 2) ? hostile_below(h, 4) : hostile_number(h, QUEUE_SIZE));
    stw_le_p(log + 14, queue->ring.used_seen - hostile_below(h, 2 + hostile_below(h, 70)));
    for (unsigned int i = 0; i < 6; i++) {
        unsigned int head = hostile_below(h, hostile_below(h, 4) ? 4 : QUEUE_SIZE);

        break_entry(h, log + 16 + 16 * head);
        break_note(h, log + 16 + 16 * (QUEUE_SIZE + head));
    }
    munmap(mapping, bytes);
    if (hostile_below(h, 2)) {
        front_end_tell(fe, VHOST_USER_SET_INFLIGHT_FD, &fe->inflight, sizeof(fe->inflight),
                       fe->inflight_fd);
    }
}

/* ---- cases ---- */

/* Wait until the daemon has done with the ring. */
static void settle(Hostile *h, FrontEndQueue *queue)
{
    uint64_t features;
    uint32_t base;

    front_end_wait(queue, hostile_below(h, 4) ? 0 : 1);
    if (!wire_ask(h->fe->socket, VHOST_USER_GET_FEATURES, &features) ||
        !front_end_stop_queue(queue, &base)) {
        front_end_disconnect(h->fe);
    }
}

void hostile_ring_case(Hostile *h)
{
    unsigned int how = hostile_below(h, 16);
    uint64_t one = 1;
    FrontEndQueue *queue;

    if (how < 2 || hostile_below(h, 64) == 0) {
        front_end_disconnect(h->fe);
    }
    if (!hostile_connect(h)) {
        return;
    }
    queue = &h->fe->queues[hostile_below(h, QUEUES)];
    if (hostile_below(h, 4) == 0) {
        driver_ring_set_idx(&queue->ring, 65533);
        for (unsigned int i = 0; i < 3; i++) {
            driver_offer(&queue->ring, is_indirect(queue) ? i : 3 * i);
        }
    }
    if (how < 2) {
        break_log(h, queue);
    } else if (how > 3) {
        break_something(h, queue);
        if (hostile_below(h, 8) == 0) {
            break_something(h, queue);
        }
    }
    if (!front_end_start_queue(queue)) {
        /* Refused: then a good one is due next. */
        front_end_disconnect(h->fe);
        return;
    }
    if (how == 2) {
        flip_while_running(h, queue);
    } else if (how == 3) {
        break_something(h, queue);
        g_assert(write(queue->kick, &one, sizeof(one)) == sizeof(one));
    }
    settle(h, queue);
}

void hostile_memory_case(Hostile *h)
{
    FrontEnd *fe;
    FrontEndQueue *queue;
    size_t size;

    front_end_disconnect(h->fe);
    if (!hostile_connect(h)) {
        return;
    }
    fe = h->fe;
    queue = &fe->queues[0];
    size = hostile_below(h, hostile_below(h, 2) ? fe->memory.size : 16 * KiB);
    if (hostile_below(h, 2)) {
        g_assert(ftruncate(fe->memory.fd, size) == 0);
        front_end_start_queue(queue);
    } else if (front_end_start_queue(queue)) {
        uint64_t one = 1;

        g_assert(ftruncate(fe->memory.fd, size) == 0);
        g_assert(write(queue->kick, &one, sizeof(one)) == sizeof(one));
        g_usleep(200);
    }
    /* Both of us would find it gone. */
    front_end_disconnect(fe);
    g_assert(ftruncate(fe->memory.fd, fe->memory.size) == 0);
}
