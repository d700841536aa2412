/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of a vhost-user front-end, mapped from the descriptors that it sends.
 *
 * Two kinds of addresses lead to it: the guest's own, in requests, and the front-end's, for rings.
 *
 * A front-end that shrinks a file after it has sent it would make us fault when lost pages are
 * touched.  So all mappings are guarded (qemu/memory-guard.h), and an event tells of the loss.
 */
#ifndef BLOCK_EXPORT_VHOST_USER_MEMORY_H
#define BLOCK_EXPORT_VHOST_USER_MEMORY_H

#include "qemu/memory-guard.h"
#include "vhost-user-message.h"

#define VHOST_USER_MAX_SLOTS 509

/* A part of a file in memory. */
typedef struct VhostUserMapping {
    uint8_t *host; /* of the part's first byte */
    void *base;    /* of what is mapped: it begins with the file */
    size_t bytes;
    MemoryGuard *guard;
} VhostUserMapping;

typedef struct MappedRegion {
    uint64_t guest_addr, user_addr, bytes;
    uint8_t *host; /* of the region's first byte */
    VhostUserMapping mapping;
} MappedRegion;

typedef struct VhostUserMemory {
    MappedRegion regions[VHOST_USER_MAX_SLOTS];
    unsigned int nr_regions;
    unsigned int last_hit; /* the region of the last translation */
    int loss_event;        /* a non-blocking eventfd that is signalled when pages were lost */
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
 * Map @bytes at @offset of the file @fd, shared; @loss_event is signalled when pages of it were
 * lost.  False with @errp set where the file is shorter or refuses.
 */
bool vhost_user_map_file(VhostUserMapping *mapping, int fd, uint64_t offset, uint64_t bytes,
                         int loss_event, Error **errp);
void vhost_user_unmap(VhostUserMapping *mapping);

#endif
