/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mappings of memory that a peer can take away.
 *
 * A file shrinks, or a driver names a page that does not exist: whoever touches the mapping then
 * gets SIGBUS, in whatever thread.  Where a mapping is guarded the lost pages are replaced by
 * zeroed memory of our own, the access goes on, and the owner is told, who takes the peer out of
 * service.  What was read from lost pages is zeroes, and what was written to them is lost.
 *
 * System calls are not concerned: they fail with EFAULT, and leave the mapping as it is.
 */
#ifndef QEMU_MEMORY_GUARD_H
#define QEMU_MEMORY_GUARD_H

#include "qemu/osdep.h"

typedef struct MemoryGuard MemoryGuard;

/*
 * Guard the mapping of @bytes at @base, both multiples of the page size.  The non-blocking eventfd
 * @event is signalled each time that pages were replaced; it stays the caller's.
 *
 * Installs a handler of SIGBUS, for good, when called first; faults elsewhere are passed to the
 * handler that was there before.  From any thread.
 */
MemoryGuard *memory_guard_new(void *base, size_t bytes, int event);

/* Before the mapping and the event go away; nobody uses them any more.  NULL is fine. */
void memory_guard_free(MemoryGuard *guard);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MemoryGuard, memory_guard_free)

/* Whether pages were replaced. */
bool memory_guard_is_damaged(const MemoryGuard *guard);

#endif
