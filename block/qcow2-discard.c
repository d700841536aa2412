/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zero clusters and discard.
 *
 * Only L2 entries change here; the clusters that they pointed to are freed once these changes are
 * stable (qcow2-flush.c).
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "qemu/bswap.h"

static GArray *new_range_list(void)
{
    return g_array_new(false, false, sizeof(Qcow2HostRange));
}

static int coroutine_fn free_ranges_later(BlockDriverState *bs, const GArray *ranges,
                                          Qcow2DiscardType type)
{
    int result = 0;

    for (guint i = 0; i < ranges->len; i++) {
        const Qcow2HostRange *range = &g_array_index(ranges, Qcow2HostRange, i);
        int ret = qcow2_free_clusters_later(bs, range->offset, range->bytes, type);

        result = result < 0 ? result : ret;
    }
    return result;
}

int coroutine_fn qcow2_discard_clusters(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                        Qcow2DiscardType type)
{
    BDRVQcow2State *s = bs->opaque;
    g_autoptr(GArray) freed = new_range_list();
    int ret, free_ret;

    bytes = ROUND_UP(bytes, s->cluster_size);
    qcow2_wait_for_allocs(bs, guest_offset, bytes);
    ret = qcow2_unlink_clusters(bs, guest_offset, bytes, freed);
    free_ret = free_ranges_later(bs, freed, type);
    return ret < 0 ? ret : free_ret;
}

/*
 * What an entry becomes that is to read as zeroes.  An unallocated one is marked too, although
 * nothing stands behind it: the image then says that these zeroes were written, as other tools have
 * it.
 */
static uint64_t zeroed_entry(uint64_t entry, unsigned int flags)
{
    if ((flags & QCOW2_ZERO_ONLY_ALLOCATED) &&
        qcow2_cluster_type(entry) == QCOW2_CLUSTER_UNALLOCATED) {
        return entry;
    }
    if ((flags & QCOW2_ZERO_UNMAP) || !(entry & QCOW2_OFLAG_COPIED)) {
        return QCOW2_OFLAG_ZERO;
    }
    return entry | QCOW2_OFLAG_ZERO;
}

/* Zero @count entries of @slice from @index on; host ranges that are not needed any more go to
 * @freed. */
static int zero_entries(BDRVQcow2State *s, uint64_t *slice, unsigned int index, unsigned int count,
                        unsigned int flags, GArray *freed)
{
    for (unsigned int i = index; i < index + count; i++) {
        uint64_t entry = be64_to_cpu(slice[i]);
        uint64_t zeroed = zeroed_entry(entry, flags);
        Qcow2HostRange range = {
            .offset = entry & QCOW2_L2_OFFSET_MASK,
            .bytes = s->cluster_size,
        };

        if (zeroed == entry) {
            continue;
        }
        if (entry & QCOW2_OFLAG_COMPRESSED) {
            return -ENOTSUP;
        }
        if (qcow2_offset_into_cluster(s, range.offset)) {
            return -EIO;
        }
        if (range.offset && !(zeroed & QCOW2_L2_OFFSET_MASK)) {
            g_array_append_val(freed, range);
        }
        slice[i] = cpu_to_be64(zeroed);
        qcow2_cache_mark_dirty(s->l2_cache, slice);
    }
    return 0;
}

static bool has_l2_table(const BDRVQcow2State *s, int64_t guest_offset)
{
    uint64_t l1_index = qcow2_l1_index(s, guest_offset);

    return l1_index < s->l1_size && (s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK);
}

int coroutine_fn qcow2_zero_clusters(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                     unsigned int flags)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t slice_guest_bytes = INT64_C(1) << (s->l2_slice_bits + s->cluster_bits);
    int64_t end = guest_offset + ROUND_UP(bytes, s->cluster_size);
    g_autoptr(GArray) freed = new_range_list();
    int ret = 0;
    int free_ret;

    if (s->qcow_version < 3) {
        return -ENOTSUP;
    }
    qcow2_wait_for_allocs(bs, guest_offset, end - guest_offset);
    while (guest_offset < end && ret == 0) {
        int64_t next = MIN(ROUND_DOWN(guest_offset, slice_guest_bytes) + slice_guest_bytes, end);
        uint64_t *slice;
        unsigned int index;

        if (!(flags & QCOW2_ZERO_ONLY_ALLOCATED) || has_l2_table(s, guest_offset)) {
            ret = qcow2_l2_get_for_write(bs, guest_offset, &slice, &index);
            if (ret == 0) {
                ret = zero_entries(s, slice, index, (next - guest_offset) >> s->cluster_bits,
                                   flags, freed);
                qcow2_cache_put(s->l2_cache, slice);
            }
        }
        guest_offset = next;
    }
    free_ret = free_ranges_later(bs, freed, QCOW2_DISCARD_REQUEST);
    return ret < 0 ? ret : free_ret;
}
