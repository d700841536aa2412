/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mapping and finding a front-end's memory: see vhost-user-memory.h.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "vhost-user-memory.h"

bool vhost_user_map_file(VhostUserMapping *mapping, int fd, uint64_t offset, uint64_t bytes,
                         int loss_event, Error **errp)
{
    struct stat st;

    if (bytes == 0 || bytes > INT64_MAX || offset > INT64_MAX - bytes) {
        error_setg(errp, "0x%" PRIx64 " bytes at 0x%" PRIx64 " of a file cannot be mapped", bytes,
                   offset);
        return false;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < (int64_t)(offset + bytes)) {
        error_setg(errp, "0x%" PRIx64 " bytes at 0x%" PRIx64 " are not in the file", bytes, offset);
        return false;
    }
    /* From the start of the file, as huge pages would want an offset of their size. */
    mapping->bytes = ROUND_UP(offset + bytes, (uint64_t)sysconf(_SC_PAGESIZE));
    mapping->base = mmap(NULL, mapping->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                         fd, 0);
    if (mapping->base == MAP_FAILED) {
        error_setg_errno(errp, errno, "Cannot map 0x%" PRIx64 " bytes of a file", offset + bytes);
        return false;
    }
    madvise(mapping->base, mapping->bytes, MADV_DONTDUMP);
    mapping->guard = memory_guard_new(mapping->base, mapping->bytes, loss_event);
    mapping->host = (uint8_t *)mapping->base + offset;
    return true;
}

void vhost_user_unmap(VhostUserMapping *mapping)
{
    memory_guard_free(mapping->guard);
    munmap(mapping->base, mapping->bytes);
}

static bool do_overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

bool vhost_user_memory_add(VhostUserMemory *memory, const VhostUserRegion *region, int fd,
                           Error **errp)
{
    MappedRegion *mapped = &memory->regions[memory->nr_regions];

    if (memory->nr_regions == VHOST_USER_MAX_SLOTS) {
        error_setg(errp, "more than %d memory regions", VHOST_USER_MAX_SLOTS);
        return false;
    }
    if (region->bytes == 0 || region->guest_addr + region->bytes < region->guest_addr ||
        region->user_addr + region->bytes < region->user_addr) {
        error_setg(errp, "memory region 0x%" PRIx64 " has impossible size 0x%" PRIx64,
                   region->guest_addr, region->bytes);
        return false;
    }
    for (unsigned int i = 0; i < memory->nr_regions; i++) {
        const MappedRegion *other = &memory->regions[i];

        if (do_overlap(other->guest_addr, other->bytes, region->guest_addr, region->bytes) ||
            do_overlap(other->user_addr, other->bytes, region->user_addr, region->bytes)) {
            error_setg(errp, "memory region 0x%" PRIx64 " overlaps another one",
                       region->guest_addr);
            return false;
        }
    }
    if (!vhost_user_map_file(&mapped->mapping, fd, region->mmap_offset, region->bytes,
                             memory->loss_event, errp)) {
        return false;
    }
    mapped->guest_addr = region->guest_addr;
    mapped->user_addr = region->user_addr;
    mapped->bytes = region->bytes;
    mapped->host = mapped->mapping.host;
    memory->nr_regions++;
    return true;
}

bool vhost_user_memory_remove(VhostUserMemory *memory, const VhostUserRegion *region, Error **errp)
{
    for (unsigned int i = 0; i < memory->nr_regions; i++) {
        MappedRegion *mapped = &memory->regions[i];

        if (mapped->guest_addr == region->guest_addr && mapped->user_addr == region->user_addr &&
            mapped->bytes == region->bytes) {
            vhost_user_unmap(&mapped->mapping);
            *mapped = memory->regions[--memory->nr_regions];
            memory->last_hit = 0;
            return true;
        }
    }
    error_setg(errp, "there is no memory region 0x%" PRIx64 " of 0x%" PRIx64 " bytes",
               region->guest_addr, region->bytes);
    return false;
}

void vhost_user_memory_clear(VhostUserMemory *memory)
{
    for (unsigned int i = 0; i < memory->nr_regions; i++) {
        vhost_user_unmap(&memory->regions[i].mapping);
    }
    memory->nr_regions = 0;
    memory->last_hit = 0;
}

static void *in_region(const MappedRegion *region, uint64_t guest_addr, uint64_t *len)
{
    uint64_t offset = guest_addr - region->guest_addr;

    if (offset >= region->bytes) {
        return NULL;
    }
    *len = MIN(*len, region->bytes - offset);
    return region->host + offset;
}

void *vhost_user_memory_translate(void *opaque, uint64_t guest_addr, uint64_t *len)
{
    VhostUserMemory *memory = opaque;
    void *host;

    if (unlikely(memory->nr_regions == 0)) {
        return NULL;
    }
    host = in_region(&memory->regions[memory->last_hit], guest_addr, len);
    for (unsigned int i = 0; unlikely(!host) && i < memory->nr_regions; i++) {
        host = in_region(&memory->regions[i], guest_addr, len);
        memory->last_hit = host ? i : memory->last_hit;
    }
    return host;
}

void *vhost_user_memory_at(VhostUserMemory *memory, uint64_t user_addr, uint64_t bytes)
{
    for (unsigned int i = 0; i < memory->nr_regions; i++) {
        const MappedRegion *region = &memory->regions[i];
        uint64_t offset = user_addr - region->user_addr;

        if (offset < region->bytes && bytes <= region->bytes - offset) {
            return region->host + offset;
        }
    }
    return NULL;
}
