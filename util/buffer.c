/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain memory that takes part in I/O: see qemu/buffer.h.
 *
 * The zero test runs over all data that `detect-zeroes` and convert see.  Data that is not zero
 * mostly shows it at once, so a few samples come first; data that is zero goes by in wide blocks.
 */
#include "qemu/osdep.h"
#include "qemu/buffer.h"

void *qemu_try_memalign(size_t alignment, size_t size)
{
    void *memory;

    assert(is_power_of_2(alignment));
    /* posix_memalign() wants at least a pointer's alignment, and may return NULL for no bytes. */
    if (posix_memalign(&memory, MAX(alignment, sizeof(void *)), MAX(size, 1)) != 0) {
        return NULL;
    }
    return memory;
}

void *qemu_memalign(size_t alignment, size_t size)
{
    void *memory = qemu_try_memalign(alignment, size);

    if (!memory) {
        g_error("failed to allocate %zu bytes aligned to %zu", size, alignment);
    }
    return memory;
}

void qemu_vfree(void *memory)
{
    free(memory);
}

/* One machine register's worth of bytes, at any address. */
typedef uint64_t Lane __attribute__((vector_size(16), aligned(1), may_alias));

#define BLOCK (4 * sizeof(Lane))

static inline bool block_is_zero(const char *block)
{
    const Lane *lanes = (const Lane *)block;
    Lane any = (lanes[0] | lanes[1]) | (lanes[2] | lanes[3]);

    return (any[0] | any[1]) == 0;
}

bool buffer_is_zero(const void *buffer, size_t len)
{
    const char *bytes = buffer;

    if (len < BLOCK) {
        char any = 0;

        for (size_t i = 0; i < len; i++) {
            any |= bytes[i];
        }
        return any == 0;
    }
    if (bytes[0] | bytes[len / 2] | bytes[len - 1]) {
        return false;
    }
    for (size_t offset = 0; offset < len - BLOCK; offset += BLOCK) {
        if (!block_is_zero(bytes + offset)) {
            return false;
        }
    }
    /* The last block may overlap the one before it. */
    return block_is_zero(bytes + len - BLOCK);
}
