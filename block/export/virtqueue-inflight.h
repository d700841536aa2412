/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a split ring's requests in flight, in memory that outlives the device: layout and
 * order of stores are those of the inflight area of vhost-user.
 *
 * An entry is marked before its request has any effect, and unmarked after the driver can see the
 * answer.  Whoever dies in between finds it marked; `used_idx` and the list of the last batch tell
 * those apart that were answered but not unmarked yet.
 *
 * Behind the entries, in memory that the protocol leaves to us, there is a note for each, which the
 * device writes for whoever finds the request in flight.
 *
 * The memory is shared: nothing read from it is trusted.
 */
#ifndef BLOCK_EXPORT_VIRTQUEUE_INFLIGHT_H
#define BLOCK_EXPORT_VIRTQUEUE_INFLIGHT_H

#include "virtqueue.h"

typedef struct InflightEntry {
    uint8_t is_inflight;
    uint8_t padding[5];
    uint16_t next;
    uint64_t counter;
} InflightEntry;

typedef struct InflightLog {
    uint64_t features;
    uint16_t version;
    uint16_t desc_num;
    uint16_t last_batch_head;
    uint16_t used_idx;
    InflightEntry desc[];
} InflightLog;

G_STATIC_ASSERT(sizeof(InflightLog) == 16 && sizeof(InflightEntry) == 16);

/*
 * Make @log ready for a queue of @size whose used index is @used_idx: as new where it is zeroed,
 * otherwise settle what the last batch left over.  Sets heads[0] to heads[*@nr_heads - 1] (room for
 * @size) to what is in flight, oldest first, and *@counter to a number above all of theirs.
 */
bool inflight_open(InflightLog *log, unsigned int size, uint16_t used_idx, uint16_t *heads,
                   unsigned int *nr_heads, uint64_t *counter, Error **errp);

/*
 * The log of a queue in @memory with room for *@size descriptors; sets *@size to how many the queue
 * had.  NULL where it is new, or damaged.
 */
InflightLog *inflight_find(void *memory, unsigned int *size);

static inline bool inflight_is_begun(const InflightLog *log, uint16_t head)
{
    return __atomic_load_n(&log->desc[head].is_inflight, __ATOMIC_ACQUIRE) == 1;
}

/* The note of @head in a queue of @size; its state is 0 where there is none. */
VirtQueueNote inflight_note(const InflightLog *log, unsigned int size, uint16_t head);
/* What comes after it finds the note. */
void inflight_set_note(InflightLog *log, unsigned int size, uint16_t head,
                       const VirtQueueNote *note);

static inline void inflight_begin(InflightLog *log, unsigned int size, uint16_t head,
                                  uint64_t counter)
{
    InflightEntry *entry = &log->desc[head];
    VirtQueueNote *note = (VirtQueueNote *)&log->desc[size] + head;

    __atomic_store_n(&note->state, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->counter, counter, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->is_inflight, 1, __ATOMIC_RELEASE);
    /* What the request does comes after it. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The answer of @head is in the used ring, not visible yet. */
static inline void inflight_answered(InflightLog *log, uint16_t head)
{
    uint16_t last = __atomic_load_n(&log->last_batch_head, __ATOMIC_RELAXED);

    __atomic_store_n(&log->desc[head].next, last, __ATOMIC_RELAXED);
    __atomic_store_n(&log->last_batch_head, head, __ATOMIC_RELEASE);
}

/* The driver's used index is @used_idx now; it covers the answers of @heads. */
void inflight_published(InflightLog *log, const uint16_t *heads, unsigned int nr_heads,
                        uint16_t used_idx);

#endif
