/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a vhost-user front-end, mapped from the descriptors that it sends.
 *
 * Two kinds of addresses lead to it: the guest's own, in requests, and the front-end's, for rings.
 *
 * A front-end that shrinks a file after it has sent it makes us fault (SIGBUS) when the lost pages
 * are touched.  The size is checked once, when the file is mapped; beyond that the owner of the
 * socket, who is the owner of the daemon, is trusted to keep it.  A guest has no way to do so.
 */
#ifndef BLOCK_EXPORT_VHOST_USER_MEMORY_H
#define BLOCK_EXPORT_VHOST_USER_MEMORY_H

#include "vhost-user-message.h"

#define VHOST_USER_MAX_SLOTS 509

typedef struct MappedRegion {
    uint64_t guest_addr, user_addr, bytes;
    uint8_t *host;     /* of the region's first byte */
    void *mapping;
    size_t mapping_bytes;
} MappedRegion;

typedef struct VhostUserMemory {
    MappedRegion regions[VHOST_USER_MAX_SLOTS];
    unsigned int nr_regions;
    unsigned int last_hit; /* the region of the last translation */
} VhostUserMemory;

/* Map a region of the file @fd (stays the caller's); false with @errp set. */
bool vhost_user_memory_add(VhostUserMemory *memory, const VhostUserRegion *region, int fd,
                           Error **errp);
/* Unmap the region with these addresses and size; false with @errp set where there is none. */
bool vhost_user_memory_remove(VhostUserMemory *memory, const VhostUserRegion *region,
                              Error **errp);
void vhost_user_memory_clear(VhostUserMemory *memory);

/* The callback of a VirtQueueMemory. */
void *vhost_user_memory_translate(void *memory, uint64_t guest_addr, uint64_t *len);

/* @bytes at the front-end's address @user_addr, all in one region; otherwise NULL. */
void *vhost_user_memory_at(VhostUserMemory *memory, uint64_t user_addr, uint64_t bytes);

/*
 * Map @bytes at @offset of the file @fd, shared; *@mapping is what to unmap, @offset bytes longer.
 * NULL with @errp set where the file is shorter or refuses.
 */
void *vhost_user_map_file(int fd, uint64_t offset, uint64_t bytes, void **mapping, Error **errp);

#endif
