/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mapping and finding a driver's memory: see vduse-iotlb.h.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>

#include "qemu/memory-guard.h"
#include "vduse-iotlb.h"

#define MAX_REGIONS 4096

typedef struct Region {
    uint64_t start, last; /* inclusive, as the address space has 2^64 bytes */
    uint8_t *host;
    size_t mapped_bytes; /* whole pages */
    MemoryGuard *guard;
} Region;

static void unmap(void *opaque)
{
    Region *region = opaque;

    memory_guard_free(region->guard);
    munmap(region->host, region->mapped_bytes);
}

void vduse_iotlb_init(VduseIotlb *iotlb, const VduseDev *dev, int event)
{
    *iotlb = (VduseIotlb){
        .dev = dev,
        .event = event,
        .regions = g_array_new(FALSE, FALSE, sizeof(Region)),
    };
    g_array_set_clear_func(iotlb->regions, unmap);
}

void vduse_iotlb_done(VduseIotlb *iotlb)
{
    g_array_unref(iotlb->regions);
}

static Region *region_at(const VduseIotlb *iotlb, unsigned int index)
{
    return &g_array_index(iotlb->regions, Region, index);
}

void vduse_iotlb_invalidate(VduseIotlb *iotlb, uint64_t start, uint64_t last)
{
    for (unsigned int i = iotlb->regions->len; i-- > 0;) {
        const Region *region = region_at(iotlb, i);

        if (region->start <= last && region->last >= start) {
            g_array_remove_index(iotlb->regions, i);
        }
    }
    iotlb->last_hit = 0;
}

/* The first region that ends at @iova or behind it; the number of regions where there is none. */
static unsigned int first_not_before(const VduseIotlb *iotlb, uint64_t iova)
{
    unsigned int low = 0, high = iotlb->regions->len;

    while (low < high) {
        unsigned int middle = low + (high - low) / 2;

        if (region_at(iotlb, middle)->last < iova) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool map_region(const struct vduse_iotlb_entry *entry, int fd, int event, Region *region)
{
    uint64_t page = sysconf(_SC_PAGESIZE);
    uint64_t bytes = entry->last - entry->start + 1;
    /* Writes to what is read-only are the driver's mistake, and end in a copy. */
    int flags = entry->perm == VDUSE_ACCESS_RO ? MAP_PRIVATE : MAP_SHARED;
    void *host;

    if (bytes == 0 || bytes > INT64_MAX - page) {
        return false;
    }
    bytes = ROUND_UP(bytes, page);
    host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, entry->offset);
    if (host == MAP_FAILED) {
        return false;
    }
    madvise(host, bytes, MADV_DONTDUMP);
    *region = (Region){
        .start = entry->start,
        .last = entry->last,
        .host = host,
        .mapped_bytes = bytes,
        .guard = memory_guard_new(host, bytes, event),
    };
    return true;
}

/* Map what the kernel has at @iova; -1 where that is nothing. */
static int fetch_region(VduseIotlb *iotlb, uint64_t iova)
{
    unsigned int index = first_not_before(iotlb, iova);
    struct vduse_iotlb_entry entry;
    bool is_mapped;
    Region region;
    int fd;

    if (iotlb->regions->len == MAX_REGIONS) {
        return -1;
    }
    fd = vduse_dev_get_region(iotlb->dev, iova, &entry);
    if (fd < 0) {
        return -1;
    }
    /* A region does not grow over others while they are in use. */
    is_mapped = entry.start <= iova && entry.last >= iova &&
                (index == 0 || region_at(iotlb, index - 1)->last < entry.start) &&
                (index == iotlb->regions->len || region_at(iotlb, index)->start > entry.last) &&
                map_region(&entry, fd, iotlb->event, &region);
    close(fd);
    if (!is_mapped) {
        return -1;
    }
    g_array_insert_val(iotlb->regions, index, region);
    return index;
}

static bool is_inside(const Region *region, uint64_t iova)
{
    return region->start <= iova && iova <= region->last;
}

/* The region that @iova is in; NULL where it is in none. */
static const Region *find_region(VduseIotlb *iotlb, uint64_t iova)
{
    int index = first_not_before(iotlb, iova);

    if (index == (int)iotlb->regions->len || !is_inside(region_at(iotlb, index), iova)) {
        index = fetch_region(iotlb, iova);
    }
    if (index < 0) {
        return NULL;
    }
    iotlb->last_hit = index;
    return region_at(iotlb, index);
}

void *vduse_iotlb_translate(void *opaque, uint64_t iova, uint64_t *len)
{
    VduseIotlb *iotlb = opaque;
    const Region *region = iotlb->last_hit < iotlb->regions->len
                               ? region_at(iotlb, iotlb->last_hit)
                               : NULL;

    if (unlikely(!region || !is_inside(region, iova))) {
        region = find_region(iotlb, iova);
        if (!region) {
            return NULL;
        }
    }
    if (unlikely(*len - 1 > region->last - iova)) {
        *len = region->last - iova + 1;
    }
    return region->host + (iova - region->start);
}

void *vduse_iotlb_at(VduseIotlb *iotlb, uint64_t iova, uint64_t bytes)
{
    uint64_t len = bytes;
    void *host = vduse_iotlb_translate(iotlb, iova, &len);

    return len == bytes ? host : NULL;
}
