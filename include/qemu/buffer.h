/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plain memory that takes part in I/O: aligned allocation, and the test for zeroes.
 *
 * Nothing here yields; all of it may be called from any thread.
 */
#ifndef QEMU_BUFFER_H
#define QEMU_BUFFER_H

#include "qemu/osdep.h"

/*
 * @size bytes, not initialised, at a multiple of @alignment (a power of two).  A size of 0 gives an
 * address that can be freed.  The first aborts the program when there is no memory, as g_malloc()
 * does; the second returns NULL, and is for sizes that a user or a file chose.
 */
void *qemu_memalign(size_t alignment, size_t size);
void *qemu_try_memalign(size_t alignment, size_t size);

/* Free what one of the two gave; NULL is fine. */
void qemu_vfree(void *memory);

static inline void qemu_vfree_cleanup(void *variable)
{
    qemu_vfree(*(void **)variable);
}

/* Before a pointer variable: qemu_vfree() it when it goes out of scope.  Needs an initialiser. */
#define QEMU_AUTO_VFREE __attribute__((cleanup(qemu_vfree_cleanup)))

/* Whether all @len bytes at @buffer, which may be unaligned, are 0; true for no bytes. */
bool buffer_is_zero(const void *buffer, size_t len);

#endif
