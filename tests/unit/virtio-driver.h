/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of a split ring, for tests of devices: honest helpers, and access to every word
 * for those who want to write nonsense.
 *
 * The driver's memory is one region; its address and its place in this process differ.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVER_H
#define TESTS_UNIT_VIRTIO_DRIVER_H

#include "qemu/osdep.h"
#include "qemu/bswap.h"

#define DRIVER_MEMORY_BYTES (4 * MiB)
#define DRIVER_BASE UINT64_C(0x40000000)

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

typedef struct DriverMemory {
    int fd;
    uint8_t *bytes;
    size_t size;
} DriverMemory;

/* DRIVER_MEMORY_BYTES, or as many as one wants. */
void driver_memory_init(DriverMemory *memory);
void driver_memory_init_size(DriverMemory *memory, size_t size);
void driver_memory_done(DriverMemory *memory);
/* As the callback of a VirtQueueMemory. */
void *driver_translate(void *memory, uint64_t addr, uint64_t *len);

/* A ring of @size at @offset in the memory (64 KiB are enough for 1024); offsets of its parts. */
typedef struct DriverRing {
    DriverMemory *memory;
    unsigned int size;
    size_t desc, avail, used;
    uint16_t avail_idx, used_seen;
} DriverRing;

void driver_ring_init(DriverRing *ring, DriverMemory *memory, size_t offset, unsigned int size);
/* All indexes begin at @idx. */
void driver_ring_set_idx(DriverRing *ring, uint16_t idx);

/* Write descriptor @i of the table at @table (an offset); @at is an offset too. */
void driver_desc(DriverMemory *memory, size_t table, unsigned int i, uint64_t at, uint32_t len,
                 uint16_t flags, uint16_t next);
void driver_offer(DriverRing *ring, uint16_t head);
/*
 * With event indexes: whether the device wants to hear of what was offered since the available
 * index was @old, and the wish to hear of the next answer.
 */
bool driver_needs_kick(const DriverRing *ring, uint16_t old);
void driver_want_call(DriverRing *ring);
/* Whether there is an answer to take. */
bool driver_has_answer(const DriverRing *ring);
/* The next answer; false where there is none yet. */
bool driver_take(DriverRing *ring, uint32_t *head, uint32_t *len);

/*
 * A virtio-blk request in descriptors 3 * @slot and the two behind it, its header, footer and data
 * from @at on: header (16), footer (16, where @footer are used), data.  Returns the offset of the
 * data, which the caller may fill before driver_offer(ring, 3 * slot).
 */
size_t driver_blk_request(DriverRing *ring, unsigned int slot, size_t at, uint32_t type,
                          uint64_t sector, uint32_t data_bytes, bool is_data_writable,
                          uint32_t footer);
/*
 * The same with descriptors @first to @first + 2 of the table at @table, header and footer at @at,
 * and the data at @data_at.
 */
void driver_blk_chain(DriverMemory *memory, size_t table, unsigned int first, size_t at,
                      size_t data_at, uint32_t type, uint64_t sector, uint32_t data_bytes,
                      bool is_data_writable, uint32_t footer);
/* The status that was answered. */
uint8_t driver_blk_status(DriverRing *ring, size_t at, uint32_t footer);

#endif
