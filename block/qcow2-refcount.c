/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refcounts of host clusters: reading, adding, subtracting, in refcounts of 1 to 64 bits.
 *
 * Works on the cached refcount blocks; finding free clusters and making new blocks is
 * qcow2-refalloc.c's. When a refcount goes down here, the caller has seen to it that nothing on
 * disk needs it any more.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "block/qcow2-refalloc.h"
#include "qemu/bswap.h"

/* ---- the seven widths; those below a byte start at the least significant end ---- */

#define DEFINE_SUBBYTE_WIDTH(bits)                                                                 \
    static uint64_t get_refcount_##bits(const void *block, uint64_t index)                         \
    {                                                                                              \
        uint8_t byte = ((const uint8_t *)block)[index * (bits) / 8];                               \
                                                                                                   \
        return byte >> (index * (bits) % 8) & ((1u << (bits)) - 1);                                \
    }                                                                                              \
    static void set_refcount_##bits(void *block, uint64_t index, uint64_t value)                   \
    {                                                                                              \
        uint8_t *byte = (uint8_t *)block + index * (bits) / 8;                                     \
        unsigned int shift = index * (bits) % 8;                                                   \
                                                                                                   \
        *byte = (*byte & ~(((1u << (bits)) - 1) << shift)) | value << shift;                       \
    }

#define DEFINE_BYTES_WIDTH(bits, load, store)                                                      \
    static uint64_t get_refcount_##bits(const void *block, uint64_t index)                         \
    {                                                                                              \
        return load((const uint8_t *)block + index * ((bits) / 8));                                \
    }                                                                                              \
    static void set_refcount_##bits(void *block, uint64_t index, uint64_t value)                   \
    {                                                                                              \
        store((uint8_t *)block + index * ((bits) / 8), value);                                     \
    }

static uint8_t ldub_p(const uint8_t *p)
{
    return *p;
}

static void stb_p(uint8_t *p, uint8_t value)
{
    *p = value;
}

DEFINE_SUBBYTE_WIDTH(1)
DEFINE_SUBBYTE_WIDTH(2)
DEFINE_SUBBYTE_WIDTH(4)
DEFINE_BYTES_WIDTH(8, ldub_p, stb_p)
DEFINE_BYTES_WIDTH(16, lduw_be_p, stw_be_p)
DEFINE_BYTES_WIDTH(32, ldl_be_p, stl_be_p)
DEFINE_BYTES_WIDTH(64, ldq_be_p, stq_be_p)

void qcow2_refcount_setup(BDRVQcow2State *s)
{
    static uint64_t (*const getters[])(const void *, uint64_t) = {
        get_refcount_1,  get_refcount_2,  get_refcount_4,  get_refcount_8,
        get_refcount_16, get_refcount_32, get_refcount_64,
    };
    static void (*const setters[])(void *, uint64_t, uint64_t) = {
        set_refcount_1,  set_refcount_2,  set_refcount_4,  set_refcount_8,
        set_refcount_16, set_refcount_32, set_refcount_64,
    };

    assert(s->refcount_order >= 0 && s->refcount_order <= QCOW2_MAX_REFCOUNT_ORDER);
    s->get_refcount = getters[s->refcount_order];
    s->set_refcount = setters[s->refcount_order];
    s->refcount_bits = 1 << s->refcount_order;
    s->refcount_max = UINT64_MAX >> (64 - s->refcount_bits);
    s->refcount_block_bits = s->cluster_bits + 3 - s->refcount_order;
}

/* ---- the table ---- */

int coroutine_fn qcow2_refcount_load(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t bytes = (int64_t)s->reftable_clusters << s->cluster_bits;
    int ret;

    assert(bytes <= QCOW2_MAX_REFTABLE_BYTES);
    s->reftable_entries = bytes / sizeof(uint64_t);
    s->reftable = g_try_malloc0(MAX(bytes, 1));
    s->reftable_dirty = g_try_new0(bool, bytes / BDRV_SECTOR_SIZE + 1);
    if (!s->reftable || !s->reftable_dirty) {
        error_setg(errp, "Could not allocate %" PRId64 " bytes for the refcount table", bytes);
        return -ENOMEM;
    }
    s->reftable_is_dirty = false;
    s->free_cluster_index = 0;
    ret = qcow2_file_pread(bs, s->reftable_offset, bytes, s->reftable);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the refcount table");
        return ret;
    }
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        s->reftable[i] = be64_to_cpu(s->reftable[i]);
    }
    return 0;
}

void qcow2_refcount_unload(BDRVQcow2State *s)
{
    g_clear_pointer(&s->reftable, g_free);
    g_clear_pointer(&s->reftable_dirty, g_free);
    s->reftable_entries = 0;
}

int coroutine_fn qcow2_refblock_get(BlockDriverState *bs, uint64_t table_index, void **block)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t offset;

    *block = NULL;
    if (table_index >= s->reftable_entries) {
        return 0;
    }
    offset = s->reftable[table_index] & QCOW2_REFTABLE_OFFSET_MASK;
    if (offset == 0) {
        return 0;
    }
    if (qcow2_offset_into_cluster(s, offset) || offset > INT64_MAX - s->cluster_size) {
        qcow2_signal_corruption(bs, true, -1, -1,
                                "Refblock offset %#" PRIx64 " unaligned (reftable index: %#" PRIx64
                                ")", offset, table_index);
        return -EIO;
    }
    return qcow2_cache_get(bs, s->refcount_cache, offset, block);
}

int coroutine_fn qcow2_get_refcount(BlockDriverState *bs, uint64_t cluster_index,
                                    uint64_t *refcount)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t index_mask = (UINT64_C(1) << s->refcount_block_bits) - 1;
    void *block;
    int ret = qcow2_refblock_get(bs, cluster_index >> s->refcount_block_bits, &block);

    if (ret < 0) {
        return ret;
    }
    *refcount = 0;
    if (block) {
        *refcount = s->get_refcount(block, cluster_index & index_mask);
        qcow2_cache_put(s->refcount_cache, block);
    }
    return 0;
}

/* ---- changing ---- */

/*
 * Give the host's space for freed clusters back, if the options for this kind say so.  A failure
 * does no harm.
 */
static void coroutine_fn discard_host_range(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            Qcow2DiscardType type)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->options.pass_discard[type] && offset < qcow2_file_length(bs)) {
        bdrv_co_pdiscard(bs->file, offset, MIN(bytes, qcow2_file_length(bs) - offset));
    }
}

/*
 * Add @addend to @count refcounts in one block, beginning at cluster @first; *@done counts those
 * that were changed.
 */
static int coroutine_fn update_in_block(BlockDriverState *bs, uint64_t first, uint64_t count,
                                        int addend, uint64_t *done)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t index_mask = (UINT64_C(1) << s->refcount_block_bits) - 1;
    void *block;
    int ret = qcow2_refblock_get(bs, first >> s->refcount_block_bits, &block);

    *done = 0;
    if (ret == 0 && !block && addend > 0) {
        ret = qcow2_refblock_make(bs, first >> s->refcount_block_bits, &block);
    }
    if (ret < 0) {
        return ret;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t old = block ? s->get_refcount(block, (first + i) & index_mask) : 0;

        if (addend < 0 && old == 0) {
            qcow2_signal_corruption(bs, false, (first + i) << s->cluster_bits, s->cluster_size,
                                    "Refcount of cluster %" PRIu64 " would fall below zero",
                                    first + i);
            ret = -EINVAL;
            break;
        }
        if (addend > 0 && old == s->refcount_max) {
            ret = -ERANGE;
            break;
        }
        s->set_refcount(block, (first + i) & index_mask, old + addend);
        qcow2_cache_mark_dirty(s->refcount_cache, block);
        (*done)++;
    }
    if (block) {
        qcow2_cache_put(s->refcount_cache, block);
    }
    return ret;
}

/* Note which of @count clusters from @first on, whose refcounts were lowered, are free now. */
static int coroutine_fn find_freed(BlockDriverState *bs, uint64_t first, uint64_t count,
                                   Qcow2DiscardType type)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t run_start = 0;
    uint64_t run_length = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint64_t refcount;
        int ret = qcow2_get_refcount(bs, first + i, &refcount);

        if (ret < 0) {
            return ret;
        }
        if (refcount == 0) {
            s->free_cluster_index = MIN(s->free_cluster_index, first + i);
            run_start = run_length ? run_start : first + i;
            run_length++;
        }
        if (run_length && (refcount > 0 || i + 1 == count)) {
            discard_host_range(bs, run_start << s->cluster_bits, run_length << s->cluster_bits,
                               type);
            run_length = 0;
        }
    }
    return 0;
}

int coroutine_fn qcow2_update_refcount(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       int addend, Qcow2DiscardType type)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t first = offset >> s->cluster_bits;
    uint64_t end = qcow2_size_to_clusters(s, (uint64_t)offset + bytes);
    uint64_t block_entries = UINT64_C(1) << s->refcount_block_bits;
    uint64_t at = first;
    int ret = 0;

    assert(offset >= 0 && bytes >= 0 && (addend == 1 || addend == -1));
    if (bytes == 0) {
        return 0;
    }
    while (at < end && ret == 0) {
        uint64_t count = MIN(end - at, block_entries - (at & (block_entries - 1)));
        uint64_t done;

        ret = update_in_block(bs, at, count, addend, &done);
        at += done;
    }
    if (ret < 0) {
        /*
         * Take back what was done, as well as it goes: these blocks were all at hand a moment ago.
         */
        for (uint64_t i = first; i < at; i++) {
            uint64_t done;

            update_in_block(bs, i, 1, -addend, &done);
        }
        return ret;
    }
    return addend < 0 ? find_freed(bs, first, end - first, type) : 0;
}

int coroutine_fn qcow2_set_refcount(BlockDriverState *bs, uint64_t cluster_index, uint64_t value)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t table_index = cluster_index >> s->refcount_block_bits;
    void *block;
    int ret;

    if (value > s->refcount_max) {
        return -ERANGE;
    }
    ret = qcow2_refblock_get(bs, table_index, &block);
    if (ret == 0 && !block) {
        if (value == 0) {
            return 0;
        }
        ret = qcow2_refblock_make(bs, table_index, &block);
    }
    if (ret < 0) {
        return ret;
    }
    s->set_refcount(block, cluster_index & ((UINT64_C(1) << s->refcount_block_bits) - 1), value);
    qcow2_cache_mark_dirty(s->refcount_cache, block);
    qcow2_cache_put(s->refcount_cache, block);
    if (value == 0) {
        s->free_cluster_index = MIN(s->free_cluster_index, cluster_index);
    }
    return 0;
}

int coroutine_fn qcow2_free_clusters(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     Qcow2DiscardType type)
{
    return qcow2_update_refcount(bs, offset, bytes, -1, type);
}

int64_t coroutine_fn qcow2_last_used_cluster(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t index_mask = (UINT64_C(1) << s->refcount_block_bits) - 1;
    int64_t at = MIN(qcow2_size_to_clusters(s, qcow2_file_length(bs)),
                     (int64_t)s->reftable_entries << s->refcount_block_bits) - 1;

    while (at >= 0) {
        int64_t block_start = at & ~index_mask;
        void *block;
        int ret = qcow2_refblock_get(bs, at >> s->refcount_block_bits, &block);

        if (ret < 0) {
            return ret;
        }
        if (!block) {
            at = block_start - 1;
            continue;
        }
        while (at >= block_start && s->get_refcount(block, at & index_mask) == 0) {
            at--;
        }
        qcow2_cache_put(s->refcount_cache, block);
        if (at >= block_start) {
            return at;
        }
    }
    return -EIO; /* not even the header is counted */
}
