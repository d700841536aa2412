/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split rings: see virtqueue.h.
 *
 * The driver may write to its memory at any time.  So each word of a ring is loaded once, by an
 * atomic load, into a local, and only locals are checked and used.
 */
#include "qemu/osdep.h"

#include "qemu/bswap.h"
#include "virtqueue-inflight.h"
#include "virtqueue.h"

enum {
    DESC_F_NEXT = 1,
    DESC_F_WRITE = 2,
    DESC_F_INDIRECT = 4,
    AVAIL_F_NO_INTERRUPT = 1,
    USED_F_NO_NOTIFY = 1,
};

#define DESC_BYTES 16
/* Larger arrays are not kept for the next request. */
#define MAX_KEPT_IOV 2048

typedef struct Descriptor {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
} Descriptor;

/*
 * The indexes are free running.  @last_avail: the next entry of the available ring to take;
 * @avail_idx: how far it was filled when last looked at.  @used_idx: what the driver sees;
 * heads_pushed[] are the answers behind it.  in_flight[head] tells which heads the driver may not
 * use again yet.
 */
struct VirtQueue {
    VirtQueueMemory memory;
    size_t element_size;
    const char *broken;

    unsigned int size, mask;
    bool has_event_idx, has_indirect;
    const uint8_t *desc;
    uint16_t *avail;
    uint16_t *used;
    uint16_t last_avail, avail_idx, used_idx;
    bool is_signalled_valid;

    bool *in_flight;
    unsigned int nr_in_flight;
    uint16_t *heads_pushed;
    unsigned int nr_pushed;

    InflightLog *log;
    uint64_t log_counter;
    uint16_t *resubmit;
    unsigned int nr_resubmit, next_resubmit;

    uint8_t *table; /* a copy of an indirect table that is not contiguous here */
    SLIST_HEAD(, VirtQueueElement) spare;
};

static uint16_t load16(const uint16_t *word)
{
    return le16_to_cpu(__atomic_load_n(word, __ATOMIC_RELAXED));
}

static void store16(uint16_t *word, uint16_t value)
{
    __atomic_store_n(word, cpu_to_le16(value), __ATOMIC_RELAXED);
}

static uint16_t load_avail_idx(const VirtQueue *vq)
{
    return le16_to_cpu(__atomic_load_n(&vq->avail[1], __ATOMIC_ACQUIRE));
}

static uint16_t *avail_event(const VirtQueue *vq)
{
    return &vq->used[2 + 4 * vq->size];
}

/* ---- life ---- */

VirtQueue *virtqueue_new(VirtQueueMemory memory, size_t element_size)
{
    VirtQueue *vq = g_new0(VirtQueue, 1);

    assert(element_size >= sizeof(VirtQueueElement));
    vq->memory = memory;
    vq->element_size = element_size;
    SLIST_INIT(&vq->spare);
    return vq;
}

void virtqueue_free(VirtQueue *vq)
{
    VirtQueueElement *elem;

    assert(vq->nr_in_flight == 0);
    while ((elem = SLIST_FIRST(&vq->spare))) {
        SLIST_REMOVE_HEAD(&vq->spare, link);
        g_free(elem->iov);
        g_free(elem);
    }
    g_free(vq->in_flight);
    g_free(vq->heads_pushed);
    g_free(vq->resubmit);
    g_free(vq->table);
    g_free(vq);
}

size_t virtqueue_desc_bytes(unsigned int size)
{
    return (size_t)size * DESC_BYTES;
}

static bool has_feature(uint64_t features, unsigned int bit)
{
    return features & (UINT64_C(1) << bit);
}

size_t virtqueue_avail_bytes(unsigned int size, uint64_t features)
{
    return 4 + 2 * (size_t)size + (has_feature(features, VIRTIO_RING_F_EVENT_IDX) ? 2 : 0);
}

size_t virtqueue_used_bytes(unsigned int size, uint64_t features)
{
    return 4 + 8 * (size_t)size + (has_feature(features, VIRTIO_RING_F_EVENT_IDX) ? 2 : 0);
}

size_t virtqueue_inflight_bytes(unsigned int size)
{
    return ROUND_UP(sizeof(InflightLog) + size * (sizeof(InflightEntry) + sizeof(VirtQueueNote)),
                    64);
}

static bool is_aligned(const void *p, uintptr_t alignment)
{
    return p && ((uintptr_t)p & (alignment - 1)) == 0;
}

static bool open_log(VirtQueue *vq, const VirtQueueStart *start, Error **errp)
{
    vq->log = start->inflight;
    vq->nr_resubmit = 0;
    vq->next_resubmit = 0;
    if (!vq->log) {
        return true;
    }
    if (!inflight_open(vq->log, vq->size, vq->used_idx, vq->resubmit, &vq->nr_resubmit,
                       &vq->log_counter, errp)) {
        return false;
    }
    /* What was taken and is not answered lies between the two. */
    vq->last_avail = vq->used_idx + vq->nr_resubmit;
    return true;
}

bool virtqueue_start(VirtQueue *vq, const VirtQueueStart *start, Error **errp)
{
    const VirtQueueRings *rings = &start->rings;

    assert(vq->nr_in_flight == 0 && vq->nr_pushed == 0);
    if (!is_power_of_2(start->size) || start->size > VIRTQUEUE_MAX_SIZE) {
        error_setg(errp, "The size of a queue must be a power of two up to %d, got %u",
                   VIRTQUEUE_MAX_SIZE, start->size);
        return false;
    }
    if (!is_aligned(rings->desc, 16) || !is_aligned(rings->avail, 2) ||
        !is_aligned(rings->used, 4)) {
        error_setg(errp, "The rings of the queue are not aligned");
        return false;
    }
    vq->size = start->size;
    vq->mask = start->size - 1;
    vq->has_event_idx = has_feature(start->features, VIRTIO_RING_F_EVENT_IDX);
    vq->has_indirect = has_feature(start->features, VIRTIO_RING_F_INDIRECT_DESC);
    vq->in_flight = g_realloc(vq->in_flight, vq->size * sizeof(vq->in_flight[0]));
    memset(vq->in_flight, 0, vq->size * sizeof(vq->in_flight[0]));
    vq->heads_pushed = g_renew(uint16_t, vq->heads_pushed, vq->size);
    vq->resubmit = g_renew(uint16_t, vq->resubmit, vq->size);
    vq->desc = rings->desc;
    vq->avail = rings->avail;
    vq->used = rings->used;
    vq->broken = NULL;
    vq->last_avail = start->base;
    vq->used_idx = load16(&vq->used[1]);
    vq->is_signalled_valid = false;
    if (!open_log(vq, start, errp)) {
        vq->broken = "its inflight area is damaged";
        return false;
    }
    vq->avail_idx = vq->last_avail;
    return true;
}

/* ---- chains ---- */

static void add_piece(VirtQueueElement *elem, void *base, uint64_t len)
{
    unsigned int nr = elem->nr_out + elem->nr_in;

    if (unlikely(nr == elem->iov_allocated)) {
        elem->iov_allocated = MAX(16, 2 * nr);
        elem->iov = g_renew(struct iovec, elem->iov, elem->iov_allocated);
    }
    elem->iov[nr] = (struct iovec){.iov_base = base, .iov_len = len};
}

/* These return NULL, or what is wrong. */

static const char *add_buffer(VirtQueue *vq, VirtQueueElement *elem, const Descriptor *desc)
{
    bool is_writable = desc->flags & DESC_F_WRITE;
    uint64_t addr = desc->addr;
    uint64_t left = desc->len;

    if (left == 0) {
        return "a descriptor is empty";
    }
    if (addr + left < addr) {
        return "a descriptor passes the end of the address space";
    }
    if (!is_writable && elem->nr_in) {
        return "a readable descriptor follows a writable one";
    }
    if (elem->out_bytes + elem->in_bytes + left > UINT32_MAX) {
        return "a chain is longer than 4 GiB";
    }
    *(is_writable ? &elem->in_bytes : &elem->out_bytes) += left;
    while (left) {
        uint64_t len = left;
        void *base = vq->memory.translate(vq->memory.opaque, addr, &len);

        if (!base) {
            return "a descriptor points outside of the driver's memory";
        }
        add_piece(elem, base, len);
        *(is_writable ? &elem->nr_in : &elem->nr_out) += 1;
        addr += len;
        left -= len;
    }
    return NULL;
}

static Descriptor load_descriptor(const uint8_t *table, unsigned int index)
{
    const uint8_t *from = table + (size_t)index * DESC_BYTES;
    uint8_t bytes[DESC_BYTES];

    memcpy(bytes, from, DESC_BYTES);
    /* From here on the compiler may not look at the driver's memory instead of the copy. */
    __asm__ volatile("" : : : "memory");
    return (Descriptor){
        .addr = ldq_le_p(bytes),
        .len = ldl_le_p(bytes + 8),
        .flags = lduw_le_p(bytes + 12),
        .next = lduw_le_p(bytes + 14),
    };
}

/* An indirect table in this process: where it is, or a copy where it lies in several pieces. */
static const uint8_t *map_table(VirtQueue *vq, uint64_t addr, uint32_t bytes)
{
    uint64_t len = bytes;
    const uint8_t *base = vq->memory.translate(vq->memory.opaque, addr, &len);

    if (!base || len == bytes) {
        return base;
    }
    if (!vq->table) {
        vq->table = g_malloc(VIRTQUEUE_MAX_INDIRECT * DESC_BYTES);
    }
    for (uint32_t done = 0; done < bytes; done += len) {
        len = bytes - done;
        base = vq->memory.translate(vq->memory.opaque, addr + done, &len);
        if (!base) {
            return NULL;
        }
        memcpy(vq->table + done, base, len);
    }
    return vq->table;
}

static const char *walk_indirect(VirtQueue *vq, VirtQueueElement *elem, const Descriptor *outer)
{
    unsigned int size = outer->len / DESC_BYTES;
    const uint8_t *table;
    unsigned int i = 0;

    if (!vq->has_indirect) {
        return "an indirect descriptor was not negotiated";
    }
    if (outer->flags & DESC_F_NEXT) {
        return "an indirect descriptor has a successor";
    }
    if (outer->len == 0 || outer->len % DESC_BYTES != 0 || size > VIRTQUEUE_MAX_INDIRECT) {
        return "an indirect table has an impossible length";
    }
    table = outer->addr + outer->len < outer->addr ? NULL : map_table(vq, outer->addr, outer->len);
    if (!table) {
        return "an indirect table is outside of the driver's memory";
    }
    for (unsigned int seen = 0; seen < size; seen++) {
        Descriptor desc = load_descriptor(table, i);
        const char *error = desc.flags & DESC_F_INDIRECT ? "an indirect table contains another one"
                                                         : add_buffer(vq, elem, &desc);

        if (error || !(desc.flags & DESC_F_NEXT)) {
            return error;
        }
        i = desc.next;
        if (i >= size) {
            return "a descriptor's successor is outside of its indirect table";
        }
    }
    return "the descriptors of an indirect table form a loop";
}

static const char *walk_chain(VirtQueue *vq, VirtQueueElement *elem)
{
    unsigned int i = elem->head;

    for (unsigned int seen = 0; seen < vq->size; seen++) {
        Descriptor desc = load_descriptor(vq->desc, i);
        const char *error;

        if (desc.flags & DESC_F_INDIRECT) {
            return walk_indirect(vq, elem, &desc);
        }
        error = add_buffer(vq, elem, &desc);
        if (error || !(desc.flags & DESC_F_NEXT)) {
            return error;
        }
        i = desc.next;
        if (i >= vq->size) {
            return "a descriptor's successor is outside of the ring";
        }
    }
    return "the descriptors of a chain form a loop";
}

/* ---- taking ---- */

static VirtQueueElement *new_element(VirtQueue *vq, uint16_t head)
{
    VirtQueueElement *elem = SLIST_FIRST(&vq->spare);

    if (likely(elem)) {
        SLIST_REMOVE_HEAD(&vq->spare, link);
    } else {
        elem = g_malloc0(vq->element_size);
    }
    elem->nr_out = 0;
    elem->nr_in = 0;
    elem->out_bytes = 0;
    elem->in_bytes = 0;
    elem->head = head;
    return elem;
}

static void recycle(VirtQueue *vq, VirtQueueElement *elem)
{
    if (unlikely(elem->iov_allocated > MAX_KEPT_IOV)) {
        g_clear_pointer(&elem->iov, g_free);
        elem->iov_allocated = 0;
    }
    SLIST_INSERT_HEAD(&vq->spare, elem, link);
}

/* The head of the next chain; -1 where there is none, or the queue is broken now. */
static int next_head(VirtQueue *vq)
{
    uint16_t head;

    if (vq->avail_idx == vq->last_avail) {
        vq->avail_idx = load_avail_idx(vq);
        if ((uint16_t)(vq->avail_idx - vq->last_avail) > vq->size) {
            virtqueue_break(vq, "more requests are announced than the ring has room for");
            return -1;
        }
        if (vq->avail_idx == vq->last_avail) {
            return -1;
        }
    }
    head = load16(&vq->avail[2 + (vq->last_avail & vq->mask)]);
    if (head >= vq->size) {
        virtqueue_break(vq, "a request begins outside of the ring");
        return -1;
    }
    if (vq->in_flight[head]) {
        virtqueue_break(vq, "a request is announced that is in flight");
        return -1;
    }
    return head;
}

VirtQueueElement *virtqueue_pop(VirtQueue *vq)
{
    bool is_resubmitted = vq->next_resubmit < vq->nr_resubmit;
    VirtQueueElement *elem;
    const char *error;
    int head;

    if (unlikely(vq->broken)) {
        return NULL;
    }
    head = is_resubmitted ? vq->resubmit[vq->next_resubmit] : next_head(vq);
    if (head < 0) {
        return NULL;
    }
    elem = new_element(vq, head);
    elem->is_resubmitted = is_resubmitted;
    error = walk_chain(vq, elem);
    if (unlikely(error)) {
        recycle(vq, elem);
        virtqueue_break(vq, error);
        return NULL;
    }
    if (unlikely(is_resubmitted)) {
        vq->next_resubmit++;
    } else {
        vq->last_avail++;
        if (vq->log) {
            inflight_begin(vq->log, vq->size, head, vq->log_counter++);
        }
    }
    vq->in_flight[head] = true;
    vq->nr_in_flight++;
    return elem;
}

bool virtqueue_enable_notification(VirtQueue *vq)
{
    if (vq->has_event_idx) {
        store16(avail_event(vq), vq->last_avail);
    } else {
        store16(&vq->used[0], 0);
    }
    /* The driver adds a request, then looks whether to notify; we the other way round. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !vq->broken && load_avail_idx(vq) != vq->last_avail;
}

void virtqueue_disable_notification(VirtQueue *vq)
{
    if (!vq->has_event_idx) {
        store16(&vq->used[0], USED_F_NO_NOTIFY);
    }
}

/* ---- answering ---- */

void virtqueue_push(VirtQueue *vq, VirtQueueElement *elem, uint32_t len)
{
    uint16_t slot = (vq->used_idx + vq->nr_pushed) & vq->mask;
    uint32_t *entry = (uint32_t *)(vq->used + 2) + 2 * (size_t)slot;

    assert(vq->in_flight[elem->head] && vq->nr_pushed < vq->nr_in_flight);
    entry[0] = cpu_to_le32(elem->head);
    entry[1] = cpu_to_le32(len);
    if (vq->log) {
        inflight_answered(vq->log, elem->head);
    }
    vq->heads_pushed[vq->nr_pushed++] = elem->head;
    recycle(vq, elem);
}

static bool wants_notification(VirtQueue *vq, uint16_t old)
{
    /* The new index must be visible before the driver's wish is read. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!vq->has_event_idx) {
        return !(load16(&vq->avail[0]) & AVAIL_F_NO_INTERRUPT);
    }
    if (!vq->is_signalled_valid) {
        vq->is_signalled_valid = true;
        return true;
    }
    uint16_t event = load16(&vq->avail[2 + vq->size]);

    return (uint16_t)(vq->used_idx - event - 1) < (uint16_t)(vq->used_idx - old);
}

bool virtqueue_flush(VirtQueue *vq)
{
    uint16_t old = vq->used_idx;

    if (vq->nr_pushed == 0) {
        return false;
    }
    vq->used_idx += vq->nr_pushed;
    __atomic_store_n(&vq->used[1], cpu_to_le16(vq->used_idx), __ATOMIC_RELEASE);
    if (vq->log) {
        inflight_published(vq->log, vq->heads_pushed, vq->nr_pushed, vq->used_idx);
    }
    for (unsigned int i = 0; i < vq->nr_pushed; i++) {
        vq->in_flight[vq->heads_pushed[i]] = false;
    }
    vq->nr_in_flight -= vq->nr_pushed;
    vq->nr_pushed = 0;
    return wants_notification(vq, old);
}

/* ---- state ---- */

void virtqueue_break(VirtQueue *vq, const char *reason)
{
    if (!vq->broken) {
        vq->broken = reason;
    }
}

const char *virtqueue_broken(const VirtQueue *vq)
{
    return vq->broken;
}

unsigned int virtqueue_nr_inflight(const VirtQueue *vq)
{
    return vq->nr_in_flight;
}

uint16_t virtqueue_base(const VirtQueue *vq)
{
    return vq->last_avail;
}

bool virtqueue_has_log(const VirtQueue *vq)
{
    return vq->log;
}

void virtqueue_set_note(VirtQueue *vq, const VirtQueueElement *elem, const VirtQueueNote *note)
{
    if (vq->log) {
        inflight_set_note(vq->log, vq->size, elem->head, note);
    }
}

bool virtqueue_get_note(const VirtQueue *vq, const VirtQueueElement *elem, VirtQueueNote *note)
{
    if (!vq->log) {
        return false;
    }
    *note = inflight_note(vq->log, vq->size, elem->head);
    return note->state;
}
