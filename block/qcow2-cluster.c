/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mapping: where guest offsets lie in the image file, and where a write may go.
 *
 * New clusters that are known to read as zeroes are linked before the data is written, so that any
 * number of writes can be in flight in them.  Otherwise the write is registered in s->allocs, fills
 * its clusters completely, and is linked when that is done; whoever else wants these clusters
 * waits.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "qemu/bswap.h"

/* ---- looking ---- */

/*
 * The extent that begins with entry @index of @slice (NULL: unallocated).  Sets everything but
 * validity: the entries are taken as they are.
 */
static void find_extent(const BDRVQcow2State *s, const uint64_t *slice, unsigned int index,
                        int64_t guest_offset, int64_t *bytes, int64_t *host_offset,
                        Qcow2ClusterType *type, uint64_t flags_mask)
{
    int64_t into_cluster = qcow2_offset_into_cluster(s, guest_offset);
    unsigned int slice_entries = 1u << s->l2_slice_bits;
    unsigned int nr_entries =
        MIN((uint64_t)qcow2_size_to_clusters(s, into_cluster + *bytes), slice_entries - index);
    unsigned int count = 1;
    uint64_t first = slice ? be64_to_cpu(slice[index]) : 0;
    bool has_host;

    *type = qcow2_cluster_type(first);
    has_host = *type == QCOW2_CLUSTER_NORMAL || *type == QCOW2_CLUSTER_ZERO_ALLOC;
    if (!slice) {
        count = nr_entries;
    } else if (*type != QCOW2_CLUSTER_COMPRESSED) {
        /* With COPIED in the mask all entries agree in it; host offsets follow one another. */
        uint64_t mask = flags_mask | QCOW2_L2_OFFSET_MASK | QCOW2_OFLAG_ZERO |
                        QCOW2_OFLAG_COMPRESSED;
        uint64_t step = has_host ? s->cluster_size : 0;
        uint64_t expected = first & mask;

        for (; count < nr_entries; count++) {
            expected += step;
            if ((be64_to_cpu(slice[index + count]) & mask) != expected) {
                break;
            }
        }
    }
    *bytes = MIN(*bytes, ((int64_t)count << s->cluster_bits) - into_cluster);
    if (has_host) {
        *host_offset = (first & QCOW2_L2_OFFSET_MASK) + into_cluster;
    } else {
        *host_offset = *type == QCOW2_CLUSTER_COMPRESSED ? (int64_t)first : 0;
    }
}

/* Whether a standard entry's flags and offset can be followed. */
static bool is_sane_entry(const BDRVQcow2State *s, uint64_t entry)
{
    if (entry & QCOW2_OFLAG_COMPRESSED) {
        return true;
    }
    return !qcow2_offset_into_cluster(s, entry & QCOW2_L2_OFFSET_MASK) &&
           (s->qcow_version >= 3 || !(entry & QCOW2_OFLAG_ZERO));
}

static int coroutine_fn check_entry(BlockDriverState *bs, uint64_t entry, int64_t guest_offset)
{
    BDRVQcow2State *s = bs->opaque;

    if (likely(is_sane_entry(s, entry))) {
        return 0;
    }
    if (s->qcow_version < 3 && (entry & QCOW2_OFLAG_ZERO)) {
        qcow2_signal_corruption(bs, true, -1, -1,
                                "Zero cluster entry found in pre-v3 image (guest offset: %#" PRIx64
                                ")", guest_offset);
    } else {
        qcow2_signal_corruption(bs, true, -1, -1,
                                "Cluster allocation offset %#" PRIx64
                                " unaligned (guest offset: %#" PRIx64 ")",
                                (uint64_t)(entry & QCOW2_L2_OFFSET_MASK), guest_offset);
    }
    return -EIO;
}

bool qcow2_peek_host_offset(BDRVQcow2State *s, int64_t guest_offset, int64_t *bytes,
                            int64_t *host_offset, Qcow2ClusterType *type, bool for_write)
{
    uint64_t *slice;
    unsigned int index;
    uint64_t flags_mask = for_write ? QCOW2_OFLAG_COPIED : 0;

    if (unlikely(!qcow2_l2_peek(s, guest_offset, &slice, &index))) {
        return false;
    }
    if (slice) {
        uint64_t entry = be64_to_cpu(slice[index]);

        if (unlikely(!is_sane_entry(s, entry)) || (for_write && !(entry & QCOW2_OFLAG_COPIED))) {
            return false;
        }
    }
    find_extent(s, slice, index, guest_offset, bytes, host_offset, type, flags_mask);
    return !for_write || *type == QCOW2_CLUSTER_NORMAL;
}

int coroutine_fn qcow2_get_host_offset(BlockDriverState *bs, int64_t guest_offset, int64_t *bytes,
                                       int64_t *host_offset, Qcow2ClusterType *type)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t *slice;
    unsigned int index;
    int ret = qcow2_l2_get(bs, guest_offset, &slice, &index);

    if (ret < 0) {
        return ret;
    }
    if (slice) {
        ret = check_entry(bs, be64_to_cpu(slice[index]), guest_offset);
    }
    if (ret == 0) {
        find_extent(s, slice, index, guest_offset, bytes, host_offset, type, 0);
    }
    if (slice) {
        qcow2_cache_put(s->l2_cache, slice);
    }
    return ret;
}

/* ---- changing entries ---- */

static void append_range(GArray *ranges, int64_t offset, int64_t bytes)
{
    Qcow2HostRange range = {.offset = offset, .bytes = bytes};
    Qcow2HostRange *last =
        ranges->len ? &g_array_index(ranges, Qcow2HostRange, ranges->len - 1) : NULL;

    if (last && last->offset + last->bytes == offset) {
        last->bytes += bytes;
    } else {
        g_array_append_val(ranges, range);
    }
}

int coroutine_fn qcow2_link_clusters(BlockDriverState *bs, int64_t guest_offset,
                                     int64_t host_offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;

    assert(!qcow2_offset_into_cluster(s, guest_offset | host_offset | bytes));
    while (bytes > 0) {
        uint64_t *slice;
        unsigned int index;
        int ret = qcow2_l2_get_for_write(bs, guest_offset, &slice, &index);

        if (ret < 0) {
            return ret;
        }
        for (; bytes > 0 && index < 1u << s->l2_slice_bits; index++) {
            if (qcow2_cluster_type(be64_to_cpu(slice[index])) != QCOW2_CLUSTER_UNALLOCATED) {
                ret = -EEXIST;
                break;
            }
            slice[index] = cpu_to_be64(host_offset | QCOW2_OFLAG_COPIED);
            guest_offset += s->cluster_size;
            host_offset += s->cluster_size;
            bytes -= s->cluster_size;
        }
        qcow2_cache_mark_dirty(s->l2_cache, slice);
        qcow2_cache_put(s->l2_cache, slice);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

int coroutine_fn qcow2_unlink_clusters(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                       GArray *freed)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t slice_guest_bytes = INT64_C(1) << (s->l2_slice_bits + s->cluster_bits);
    int64_t end = guest_offset + bytes;

    assert(!qcow2_offset_into_cluster(s, guest_offset | bytes));
    for (int64_t next; guest_offset < end; guest_offset = next) {
        uint64_t l1_index = qcow2_l1_index(s, guest_offset);
        unsigned int index, end_index;
        uint64_t *slice;
        int ret = 0;

        next = MIN(ROUND_DOWN(guest_offset, slice_guest_bytes) + slice_guest_bytes, end);
        if (l1_index >= s->l1_size || !(s->l1_table[l1_index] & QCOW2_L1_OFFSET_MASK)) {
            continue;
        }
        ret = qcow2_l2_get_for_write(bs, guest_offset, &slice, &index);
        if (ret < 0) {
            return ret;
        }
        end_index = index + ((next - guest_offset) >> s->cluster_bits);
        for (; index < end_index && ret == 0; index++, guest_offset += s->cluster_size) {
            uint64_t entry = be64_to_cpu(slice[index]);

            if (entry == 0) {
                continue;
            }
            ret = entry & QCOW2_OFLAG_COMPRESSED ? -ENOTSUP : check_entry(bs, entry, guest_offset);
            if (ret == 0) {
                if (entry & QCOW2_L2_OFFSET_MASK) {
                    append_range(freed, entry & QCOW2_L2_OFFSET_MASK, s->cluster_size);
                }
                slice[index] = 0;
                qcow2_cache_mark_dirty(s->l2_cache, slice);
            }
        }
        qcow2_cache_put(s->l2_cache, slice);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* ---- writes ---- */

/* The oldest allocating write in flight in the range, or NULL. */
static Qcow2Alloc *find_alloc(BDRVQcow2State *s, int64_t guest_offset, int64_t bytes)
{
    Qcow2Alloc *alloc;

    LIST_FOREACH(alloc, &s->allocs, link) {
        if (alloc->guest_offset < guest_offset + bytes &&
            guest_offset < alloc->guest_offset + alloc->bytes) {
            return alloc;
        }
    }
    return NULL;
}

bool coroutine_fn qcow2_wait_for_allocs(BlockDriverState *bs, int64_t guest_offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Alloc *alloc;
    bool has_waited = false;

    while ((alloc = find_alloc(s, guest_offset, bytes))) {
        qemu_co_queue_wait(&alloc->waiters, &s->lock);
        has_waited = true;
    }
    return has_waited;
}

static bool is_writable_entry(uint64_t entry)
{
    return qcow2_cluster_type(entry) == QCOW2_CLUSTER_NORMAL && (entry & QCOW2_OFLAG_COPIED);
}

/* A zero cluster that has a host cluster of its own. */
static bool is_reusable_entry(uint64_t entry)
{
    return qcow2_cluster_type(entry) == QCOW2_CLUSTER_ZERO_ALLOC && (entry & QCOW2_OFLAG_COPIED);
}

/* How many of @max entries from @first on need new host clusters. */
static unsigned int count_unwritable(const uint64_t *first, unsigned int max)
{
    unsigned int count = 0;

    while (count < max) {
        uint64_t entry = be64_to_cpu(first[count]);

        if (is_writable_entry(entry) || is_reusable_entry(entry) ||
            (entry & QCOW2_OFLAG_COMPRESSED)) {
            break;
        }
        count++;
    }
    return count;
}

/* How many of @max entries from @first on are reusable and have contiguous host clusters. */
static unsigned int count_reusable(const BDRVQcow2State *s, const uint64_t *first, unsigned int max)
{
    uint64_t host_offset = be64_to_cpu(first[0]) & QCOW2_L2_OFFSET_MASK;
    unsigned int count = 0;

    while (count < max) {
        uint64_t entry = be64_to_cpu(first[count]);

        if (!is_reusable_entry(entry) ||
            (entry & QCOW2_L2_OFFSET_MASK) != host_offset + ((uint64_t)count << s->cluster_bits)) {
            break;
        }
        count++;
    }
    return count;
}

static Qcow2Alloc *register_alloc(BDRVQcow2State *s, int64_t guest_offset, int64_t host_offset,
                                  const uint64_t *first, unsigned int count)
{
    Qcow2Alloc *alloc = g_new0(Qcow2Alloc, 1);

    alloc->guest_offset = guest_offset;
    alloc->host_offset = host_offset;
    alloc->bytes = (int64_t)count << s->cluster_bits;
    alloc->head_entry = be64_to_cpu(first[0]);
    alloc->tail_entry = be64_to_cpu(first[count - 1]);
    qemu_co_queue_init(&alloc->waiters);
    LIST_INSERT_HEAD(&s->allocs, alloc, link);
    return alloc;
}

/* All of @count entries, the first of which is that of @guest_offset, read as zeroes. */
static bool have_no_content(const BlockDriverState *bs, int64_t guest_offset,
                            const uint64_t *first, unsigned int count)
{
    bool has_backing = guest_offset < qcow2_backing_length(bs);

    for (unsigned int i = 0; i < count; i++) {
        uint64_t entry = be64_to_cpu(first[i]);

        if ((entry & QCOW2_L2_OFFSET_MASK) ||
            (has_backing && qcow2_cluster_type(entry) == QCOW2_CLUSTER_UNALLOCATED)) {
            return false;
        }
    }
    return true;
}

/*
 * New clusters for the first entries that need them.  Sets *@host_offset and *@alloc (NULL where
 * the clusters are linked already), and lowers *@count where fewer can be had.
 */
static int coroutine_fn allocate_for_write(BlockDriverState *bs, int64_t guest_offset,
                                           uint64_t *slice, unsigned int index,
                                           unsigned int count, int64_t *host_offset,
                                           Qcow2Alloc **alloc)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t zero_from = s->zero_from;
    int64_t offset = qcow2_alloc_clusters(bs, (int64_t)count << s->cluster_bits);

    if (offset < 0) {
        return offset;
    }
    *host_offset = offset;
    if (offset >= zero_from && have_no_content(bs, guest_offset, &slice[index], count)) {
        for (unsigned int i = 0; i < count; i++) {
            slice[index + i] = cpu_to_be64(
                (offset + ((int64_t)i << s->cluster_bits)) | QCOW2_OFLAG_COPIED);
        }
        qcow2_cache_mark_dirty(s->l2_cache, slice);
        return 0;
    }
    *alloc = register_alloc(s, guest_offset, offset, &slice[index], count);
    (*alloc)->is_new = true;
    return 0;
}

/*
 * The rest of qcow2_prepare_write(), with the slice at hand.  @guest_offset is the start of a
 * cluster.
 */
static int coroutine_fn prepare_in_slice(BlockDriverState *bs, int64_t guest_offset,
                                         uint64_t *slice, unsigned int index, unsigned int max,
                                         int64_t *host_offset, unsigned int *count,
                                         Qcow2Alloc **alloc)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t entry = be64_to_cpu(slice[index]);
    int ret = check_entry(bs, entry, guest_offset);

    *alloc = NULL;
    if (ret < 0) {
        return ret;
    }
    if (entry & QCOW2_OFLAG_COMPRESSED) {
        return -ENOTSUP;
    }
    if (is_writable_entry(entry)) {
        int64_t bytes = (int64_t)max << s->cluster_bits;
        Qcow2ClusterType type;

        find_extent(s, slice, index, guest_offset, &bytes, host_offset, &type, QCOW2_OFLAG_COPIED);
        *count = bytes >> s->cluster_bits;
        return 0;
    }
    if (is_reusable_entry(entry)) {
        *count = count_reusable(s, &slice[index], max);
        *host_offset = entry & QCOW2_L2_OFFSET_MASK;
        *alloc = register_alloc(s, guest_offset, *host_offset, &slice[index], *count);
        return 0;
    }
    *count = count_unwritable(&slice[index], max);
    return allocate_for_write(bs, guest_offset, slice, index, *count, host_offset, alloc);
}

int coroutine_fn qcow2_prepare_write(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                     Qcow2WriteTarget *target)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t into_cluster = qcow2_offset_into_cluster(s, guest_offset);
    int64_t start = guest_offset - into_cluster;
    Qcow2Alloc *other;
    uint64_t *slice;
    unsigned int index, max;
    unsigned int count = 0;
    int64_t host_offset = 0;
    int ret;

    qcow2_wait_for_allocs(bs, start, s->cluster_size);
    while ((other = find_alloc(s, start, into_cluster + bytes))) {
        bytes = other->guest_offset - guest_offset;
    }
    ret = qcow2_l2_get_for_write(bs, guest_offset, &slice, &index);
    if (ret < 0) {
        return ret;
    }
    max = MIN((uint64_t)qcow2_size_to_clusters(s, into_cluster + bytes),
              (1u << s->l2_slice_bits) - index);
    ret = prepare_in_slice(bs, start, slice, index, max, &host_offset, &count, &target->alloc);
    qcow2_cache_put(s->l2_cache, slice);
    if (ret < 0) {
        return ret;
    }
    target->host_offset = host_offset + into_cluster;
    target->bytes = MIN(bytes, ((int64_t)count << s->cluster_bits) - into_cluster);
    return 0;
}

/*
 * Point the entries to the clusters of @alloc; what they pointed to before is appended to @freed.
 */
static int coroutine_fn link_alloc(BlockDriverState *bs, const Qcow2Alloc *alloc, GArray *freed)
{
    BDRVQcow2State *s = bs->opaque;
    unsigned int count = alloc->bytes >> s->cluster_bits;
    uint64_t *slice;
    unsigned int index;
    int ret = qcow2_l2_get_for_write(bs, alloc->guest_offset, &slice, &index);

    if (ret < 0) {
        return ret;
    }
    for (unsigned int i = 0; i < count; i++) {
        int64_t host_offset = alloc->host_offset + ((int64_t)i << s->cluster_bits);
        int64_t old = be64_to_cpu(slice[index + i]) & QCOW2_L2_OFFSET_MASK;

        if (old && old != host_offset) {
            append_range(freed, old, s->cluster_size);
        }
        slice[index + i] = cpu_to_be64(host_offset | QCOW2_OFLAG_COPIED);
    }
    qcow2_cache_mark_dirty(s->l2_cache, slice);
    qcow2_cache_put(s->l2_cache, slice);
    s->data_seq = ++s->write_seq;
    return 0;
}

int coroutine_fn qcow2_alloc_finish(BlockDriverState *bs, Qcow2Alloc *alloc, int ret)
{
    g_autoptr(GArray) freed = g_array_new(false, false, sizeof(Qcow2HostRange));

    if (ret == 0) {
        ret = link_alloc(bs, alloc, freed);
    }
    if (ret < 0 && alloc->is_new) {
        qcow2_free_clusters(bs, alloc->host_offset, alloc->bytes, QCOW2_DISCARD_OTHER);
    }
    LIST_REMOVE(alloc, link);
    qemu_co_queue_restart_all(&alloc->waiters);
    g_free(alloc);
    for (guint i = 0; i < freed->len; i++) {
        const Qcow2HostRange *range = &g_array_index(freed, Qcow2HostRange, i);
        int free_ret =
            qcow2_free_clusters_later(bs, range->offset, range->bytes, QCOW2_DISCARD_OTHER);

        ret = ret < 0 ? ret : free_ret;
    }
    return ret;
}
