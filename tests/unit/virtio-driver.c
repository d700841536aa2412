/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's side of a ring: see virtio-driver.h.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>

#include "virtio-driver.h"

void driver_memory_init_size(DriverMemory *memory, size_t size)
{
    memory->size = size;
    memory->fd = memfd_create("driver", MFD_CLOEXEC);
    g_assert_cmpint(memory->fd, >=, 0);
    g_assert_cmpint(ftruncate(memory->fd, size), ==, 0);
    memory->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
    g_assert_true(memory->bytes != MAP_FAILED);
}

void driver_memory_init(DriverMemory *memory)
{
    driver_memory_init_size(memory, DRIVER_MEMORY_BYTES);
}

void driver_memory_done(DriverMemory *memory)
{
    munmap(memory->bytes, memory->size);
    close(memory->fd);
}

void *driver_translate(void *opaque, uint64_t addr, uint64_t *len)
{
    DriverMemory *memory = opaque;

    if (addr < DRIVER_BASE || addr - DRIVER_BASE >= memory->size) {
        return NULL;
    }
    *len = MIN(*len, memory->size - (addr - DRIVER_BASE));
    return memory->bytes + (addr - DRIVER_BASE);
}

void driver_ring_init(DriverRing *ring, DriverMemory *memory, size_t offset, unsigned int size)
{
    *ring = (DriverRing){
        .memory = memory,
        .size = size,
        .desc = offset,
        .avail = offset + 16 * size,
        .used = ROUND_UP(offset + 16 * size + 6 + 2 * size, 4),
    };
    memset(memory->bytes + offset, 0, ring->used + 6 + 8 * size - offset);
}

void driver_ring_set_idx(DriverRing *ring, uint16_t idx)
{
    ring->avail_idx = idx;
    ring->used_seen = idx;
    stw_le_p(ring->memory->bytes + ring->avail + 2, idx);
    stw_le_p(ring->memory->bytes + ring->used + 2, idx);
}

void driver_desc(DriverMemory *memory, size_t table, unsigned int i, uint64_t at, uint32_t len,
                 uint16_t flags, uint16_t next)
{
    uint8_t *desc = memory->bytes + table + 16 * (size_t)i;

    stq_le_p(desc, DRIVER_BASE + at);
    stl_le_p(desc + 8, len);
    stw_le_p(desc + 12, flags);
    stw_le_p(desc + 14, next);
}

void driver_offer(DriverRing *ring, uint16_t head)
{
    uint8_t *avail = ring->memory->bytes + ring->avail;

    stw_le_p(avail + 4 + 2 * (ring->avail_idx % ring->size), head);
    ring->avail_idx++;
    __atomic_store_n((uint16_t *)(avail + 2), cpu_to_le16(ring->avail_idx), __ATOMIC_SEQ_CST);
}

bool driver_needs_kick(const DriverRing *ring, uint16_t old)
{
    const uint8_t *used = ring->memory->bytes + ring->used;
    uint16_t event;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    event = lduw_le_p(used + 4 + 8 * (size_t)ring->size);
    return (uint16_t)(ring->avail_idx - event - 1) < (uint16_t)(ring->avail_idx - old);
}

void driver_want_call(DriverRing *ring)
{
    uint8_t *avail = ring->memory->bytes + ring->avail;

    __atomic_store_n((uint16_t *)(avail + 4 + 2 * (size_t)ring->size),
                     cpu_to_le16(ring->used_seen), __ATOMIC_SEQ_CST);
}

bool driver_has_answer(const DriverRing *ring)
{
    const uint8_t *used = ring->memory->bytes + ring->used;

    return le16_to_cpu(__atomic_load_n((const uint16_t *)(used + 2), __ATOMIC_SEQ_CST)) !=
           ring->used_seen;
}

bool driver_take(DriverRing *ring, uint32_t *head, uint32_t *len)
{
    uint8_t *used = ring->memory->bytes + ring->used;
    const uint8_t *entry = used + 4 + 8 * (size_t)(ring->used_seen % ring->size);

    if (!driver_has_answer(ring)) {
        return false;
    }
    *head = ldl_le_p(entry);
    *len = ldl_le_p(entry + 4);
    ring->used_seen++;
    return true;
}

void driver_blk_chain(DriverMemory *memory, size_t table, unsigned int first, size_t at,
                      size_t data_at, uint32_t type, uint64_t sector, uint32_t data_bytes,
                      bool is_data_writable, uint32_t footer)
{
    stl_le_p(memory->bytes + at, type);
    stl_le_p(memory->bytes + at + 4, 7); /* a priority: to be ignored */
    stq_le_p(memory->bytes + at + 8, sector);
    memset(memory->bytes + at + 16, 0xff, 16);
    driver_desc(memory, table, first, at, 16, DESC_NEXT, data_bytes ? first + 1 : first + 2);
    driver_desc(memory, table, first + 1, data_at, data_bytes,
                DESC_NEXT | (is_data_writable ? DESC_WRITE : 0), first + 2);
    driver_desc(memory, table, first + 2, at + 16, footer, DESC_WRITE, 0);
}

size_t driver_blk_request(DriverRing *ring, unsigned int slot, size_t at, uint32_t type,
                          uint64_t sector, uint32_t data_bytes, bool is_data_writable,
                          uint32_t footer)
{
    driver_blk_chain(ring->memory, ring->desc, 3 * slot, at, at + 32, type, sector, data_bytes,
                     is_data_writable, footer);
    return at + 32;
}

uint8_t driver_blk_status(DriverRing *ring, size_t at, uint32_t footer)
{
    return ring->memory->bytes[at + 16 + footer - 1];
}
