/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and settling the log of requests in flight: see virtqueue-inflight.h.
 */
#include "qemu/osdep.h"

#include "virtqueue-inflight.h"

#define LOG_VERSION 1

static VirtQueueNote *note_at(const InflightLog *log, unsigned int size, uint16_t head)
{
    return (VirtQueueNote *)&log->desc[size] + head;
}

InflightLog *inflight_find(void *memory, unsigned int *size)
{
    InflightLog *log = memory;
    uint16_t desc_num = __atomic_load_n(&log->desc_num, __ATOMIC_RELAXED);

    if (log->version != LOG_VERSION || desc_num > *size) {
        return NULL;
    }
    *size = desc_num;
    return log;
}

VirtQueueNote inflight_note(const InflightLog *log, unsigned int size, uint16_t head)
{
    const VirtQueueNote *at = note_at(log, size, head);
    VirtQueueNote note = {.state = __atomic_load_n(&at->state, __ATOMIC_ACQUIRE)};

    for (unsigned int i = 0; i < ARRAY_SIZE(note.words); i++) {
        note.words[i] = __atomic_load_n(&at->words[i], __ATOMIC_RELAXED);
    }
    return note;
}

void inflight_set_note(InflightLog *log, unsigned int size, uint16_t head,
                       const VirtQueueNote *note)
{
    VirtQueueNote *at = note_at(log, size, head);

    __atomic_store_n(&at->state, 0, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned int i = 0; i < ARRAY_SIZE(note->words); i++) {
        __atomic_store_n(&at->words[i], note->words[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(&at->state, note->state, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void inflight_published(InflightLog *log, const uint16_t *heads, unsigned int nr_heads,
                        uint16_t used_idx)
{
    for (unsigned int i = 0; i < nr_heads; i++) {
        __atomic_store_n(&log->desc[heads[i]].is_inflight, 0, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&log->used_idx, used_idx, __ATOMIC_RELEASE);
}

/* Unmark what the driver has seen answered though the device did not live to note it. */
static bool settle_last_batch(InflightLog *log, unsigned int size, uint16_t used_idx, Error **errp)
{
    uint16_t missing = used_idx - log->used_idx;
    uint16_t head = log->last_batch_head;

    if (missing > size) {
        error_setg(errp, "The inflight area is %u answers behind a ring of %u", missing, size);
        return false;
    }
    for (uint16_t i = 0; i < missing; i++) {
        if (head >= size) {
            error_setg(errp, "The inflight area lists descriptor %u in a ring of %u", head, size);
            return false;
        }
        log->desc[head].is_inflight = 0;
        head = __atomic_load_n(&log->desc[head].next, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&log->used_idx, used_idx, __ATOMIC_RELEASE);
    return true;
}

typedef struct Marked {
    uint64_t counter;
    uint16_t head;
} Marked;

static int compare_age(const void *a, const void *b)
{
    /* Counters may wrap around, the distance between two in flight is small. */
    int64_t distance = (int64_t)(((const Marked *)a)->counter - ((const Marked *)b)->counter);

    return distance < 0 ? -1 : distance > 0;
}

static void collect(const InflightLog *log, unsigned int size, uint16_t *heads,
                    unsigned int *nr_heads, uint64_t *counter)
{
    g_autofree Marked *marked = g_new(Marked, size);
    unsigned int nr = 0;

    for (unsigned int i = 0; i < size; i++) {
        if (inflight_is_begun(log, i)) {
            marked[nr++] = (Marked){.counter = log->desc[i].counter, .head = i};
        }
    }
    qsort(marked, nr, sizeof(*marked), compare_age);
    for (unsigned int i = 0; i < nr; i++) {
        heads[i] = marked[i].head;
    }
    *nr_heads = nr;
    *counter = nr ? marked[nr - 1].counter + 1 : 0;
}

bool inflight_open(InflightLog *log, unsigned int size, uint16_t used_idx, uint16_t *heads,
                   unsigned int *nr_heads, uint64_t *counter, Error **errp)
{
    if (log->version == 0) {
        memset(log, 0, virtqueue_inflight_bytes(size));
        log->desc_num = size;
        log->used_idx = used_idx;
        __atomic_store_n(&log->version, LOG_VERSION, __ATOMIC_RELEASE);
        *nr_heads = 0;
        *counter = 0;
        return true;
    }
    if (log->version != LOG_VERSION || log->features != 0 || log->desc_num != size) {
        error_setg(errp,
                   "The inflight area has version %u, features 0x%" PRIx64 " and %u descriptors; "
                   "expected 1, 0x0 and %u",
                   log->version, log->features, log->desc_num, size);
        return false;
    }
    if (!settle_last_batch(log, size, used_idx, errp)) {
        return false;
    }
    collect(log, size, heads, nr_heads, counter);
    return true;
}
