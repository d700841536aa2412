/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A write-back cache of metadata tables of one size: L2 slices, or refcount blocks.
 *
 * Found by host offset through a hash table, replaced by the clock algorithm.  A table appears in
 * the hash only once its content is complete, so that qcow2_cache_peek() needs no lock.  The order
 * among caches and data is decided in qcow2-flush.c; all that happens here is that an eviction asks
 * for it.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>

#include "block/qcow2.h"

/* Adjacent dirty tables are written together, up to this many. */
#define CACHE_MAX_MERGE 64

typedef struct CachedTable {
    int64_t offset; /* in the image file; 0: unused */
    int32_t next;   /* in its hash chain; -1: the last one */
    uint32_t ref;   /* holders */
    bool is_dirty;
    bool was_used;  /* since the clock's hand came by, and since the last clean-up */
} CachedTable;

struct Qcow2Cache {
    unsigned int nr_tables;
    unsigned int table_bytes;
    int table_bits;
    int overlap_class;
    unsigned int nr_dirty;
    unsigned int hand;
    unsigned int bucket_mask;
    int32_t *buckets; /* index of the first table in each chain, or -1 */
    CachedTable *tables;
    uint8_t *memory;
};

static int64_t cache_memory_bytes(const Qcow2Cache *cache)
{
    return (int64_t)cache->nr_tables * cache->table_bytes;
}

static void *table_address(const Qcow2Cache *cache, unsigned int index)
{
    return cache->memory + (size_t)index * cache->table_bytes;
}

static unsigned int table_index(const Qcow2Cache *cache, const void *table)
{
    size_t distance = (const uint8_t *)table - cache->memory;

    assert(distance < (size_t)cache_memory_bytes(cache));
    return distance >> cache->table_bits;
}

static int32_t *bucket_of(const Qcow2Cache *cache, int64_t offset)
{
    uint64_t key = (uint64_t)offset >> cache->table_bits;

    return &cache->buckets[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & cache->bucket_mask];
}

static int32_t find_table(const Qcow2Cache *cache, int64_t offset)
{
    int32_t index = *bucket_of(cache, offset);

    while (index >= 0 && cache->tables[index].offset != offset) {
        index = cache->tables[index].next;
    }
    return index;
}

static void hash_insert(Qcow2Cache *cache, unsigned int index, int64_t offset)
{
    int32_t *bucket = bucket_of(cache, offset);

    cache->tables[index].offset = offset;
    cache->tables[index].next = *bucket;
    *bucket = index;
}

static void hash_remove(Qcow2Cache *cache, unsigned int index)
{
    int32_t *link = bucket_of(cache, cache->tables[index].offset);

    while (*link != (int32_t)index) {
        link = &cache->tables[*link].next;
    }
    *link = cache->tables[index].next;
    cache->tables[index].offset = 0;
}

Qcow2Cache *qcow2_cache_new(BlockDriverState *bs, unsigned int nr_tables, unsigned int table_bytes,
                            int overlap_class)
{
    Qcow2Cache *cache = g_new0(Qcow2Cache, 1);
    unsigned int nr_buckets = 16;

    assert(nr_tables >= 2 && is_power_of_2(table_bytes));
    cache->nr_tables = nr_tables;
    cache->table_bytes = table_bytes;
    cache->table_bits = ilog2(table_bytes);
    cache->overlap_class = overlap_class;
    /* Private pages: they cost nothing until they are used, and are aligned for direct I/O. */
    cache->memory = mmap(NULL, cache_memory_bytes(cache), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (cache->memory == MAP_FAILED) {
        g_free(cache);
        return NULL;
    }
    while (nr_buckets < nr_tables) {
        nr_buckets *= 2;
    }
    cache->bucket_mask = nr_buckets - 1;
    cache->buckets = g_new(int32_t, nr_buckets);
    memset(cache->buckets, 0xff, nr_buckets * sizeof(int32_t));
    cache->tables = g_new0(CachedTable, nr_tables);
    return cache;
}

void qcow2_cache_free(Qcow2Cache *cache)
{
    if (!cache) {
        return;
    }
    munmap(cache->memory, cache_memory_bytes(cache));
    g_free(cache->buckets);
    g_free(cache->tables);
    g_free(cache);
}

void *qcow2_cache_peek(Qcow2Cache *cache, int64_t offset)
{
    int32_t index = find_table(cache, offset);

    if (unlikely(index < 0)) {
        return NULL;
    }
    cache->tables[index].was_used = true;
    return table_address(cache, index);
}

/* ---- writing ---- */

/* Write @count tables that follow one another in the file. */
static int coroutine_fn write_tables(BlockDriverState *bs, Qcow2Cache *cache,
                                     CachedTable *const *run, unsigned int count)
{
    g_auto(QEMUIOVector) qiov;
    int ret;

    qemu_iovec_init(&qiov, count);
    for (unsigned int i = 0; i < count; i++) {
        qemu_iovec_add(&qiov, table_address(cache, run[i] - cache->tables), cache->table_bytes);
    }
    ret = qcow2_file_pwritev(bs, cache->overlap_class, run[0]->offset, &qiov);
    if (ret < 0) {
        return ret;
    }
    for (unsigned int i = 0; i < count; i++) {
        run[i]->is_dirty = false;
    }
    cache->nr_dirty -= count;
    return 0;
}

static int compare_offsets(const void *a, const void *b)
{
    int64_t x = (*(CachedTable *const *)a)->offset;
    int64_t y = (*(CachedTable *const *)b)->offset;

    return x < y ? -1 : x > y;
}

/* The dirty tables in the range, in the order of their offsets; NULL: none. */
static CachedTable **dirty_tables(Qcow2Cache *cache, int64_t offset, int64_t bytes,
                                  unsigned int *count)
{
    CachedTable **dirty;

    *count = 0;
    if (cache->nr_dirty == 0) {
        return NULL;
    }
    dirty = g_new(CachedTable *, cache->nr_dirty);
    for (unsigned int i = 0; i < cache->nr_tables; i++) {
        CachedTable *table = &cache->tables[i];

        if (table->is_dirty && table->offset >= offset && table->offset - offset < bytes) {
            dirty[(*count)++] = table;
        }
    }
    qsort(dirty, *count, sizeof(dirty[0]), compare_offsets);
    return dirty;
}

int coroutine_fn qcow2_cache_write_range(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                         int64_t bytes, bool *wrote)
{
    BDRVQcow2State *s = bs->opaque;
    unsigned int nr_dirty;
    g_autofree CachedTable **dirty = dirty_tables(cache, offset, bytes, &nr_dirty);
    unsigned int end;

    if (wrote) {
        *wrote = nr_dirty > 0;
    }
    for (unsigned int start = 0; start < nr_dirty; start = end) {
        int ret;

        for (end = start + 1; end < nr_dirty && end - start < CACHE_MAX_MERGE; end++) {
            if (dirty[end]->offset != dirty[end - 1]->offset + cache->table_bytes) {
                break;
            }
        }
        ret = write_tables(bs, cache, &dirty[start], end - start);
        if (ret < 0) {
            return ret;
        }
        if (cache == s->refcount_cache) {
            s->refcounts_seq = ++s->write_seq;
        } else {
            s->l2_seq = ++s->write_seq;
        }
    }
    return 0;
}

bool qcow2_cache_is_dirty(const Qcow2Cache *cache)
{
    return cache->nr_dirty > 0;
}

/* ---- getting ---- */

/*
 * Write all dirty tables, after what they rely on: one table must go, and the others would cost
 * another sync each.
 */
static int coroutine_fn write_before_eviction(BlockDriverState *bs, Qcow2Cache *cache)
{
    BDRVQcow2State *s = bs->opaque;

    if (cache == s->l2_cache) {
        int ret = qcow2_settle_before_l2(bs);

        if (ret < 0) {
            return ret;
        }
    }
    return qcow2_cache_write_range(bs, cache, 0, INT64_MAX, NULL);
}

/* A place for a new table: unused, or that of a table not used for a while. */
static int coroutine_fn make_room(BlockDriverState *bs, Qcow2Cache *cache, unsigned int *index)
{
    CachedTable *table;

    for (unsigned int steps = 0;; steps++) {
        table = &cache->tables[cache->hand];
        if (table->ref == 0 && (table->offset == 0 || !table->was_used)) {
            break;
        }
        if (table->ref == 0) {
            table->was_used = false;
        }
        if (steps > 2 * cache->nr_tables) {
            return -ENOMEM; /* all tables are held: more requests than the cache was made for */
        }
        cache->hand = (cache->hand + 1) % cache->nr_tables;
    }

    *index = cache->hand;
    cache->hand = (cache->hand + 1) % cache->nr_tables;
    if (table->is_dirty) {
        int ret = write_before_eviction(bs, cache);

        if (ret < 0) {
            return ret;
        }
    }
    if (table->offset) {
        hash_remove(cache, *index);
    }
    return 0;
}

static int coroutine_fn get_table(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                  bool do_read, void **table)
{
    unsigned int index;
    int32_t found;
    int ret;

    assert(offset > 0 && QEMU_IS_ALIGNED(offset, cache->table_bytes));
    found = find_table(cache, offset);
    if (found >= 0) {
        index = found;
        *table = table_address(cache, index);
        if (!do_read) {
            memset(*table, 0, cache->table_bytes);
        }
    } else {
        ret = make_room(bs, cache, &index);
        if (ret < 0) {
            return ret;
        }
        *table = table_address(cache, index);
        if (do_read) {
            ret = qcow2_file_pread(bs, offset, cache->table_bytes, *table);
            if (ret < 0) {
                return ret;
            }
        } else {
            memset(*table, 0, cache->table_bytes);
        }
        hash_insert(cache, index, offset);
    }
    cache->tables[index].ref++;
    cache->tables[index].was_used = true;
    return 0;
}

int coroutine_fn qcow2_cache_get(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                 void **table)
{
    return get_table(bs, cache, offset, true, table);
}

int coroutine_fn qcow2_cache_get_empty(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                       void **table)
{
    return get_table(bs, cache, offset, false, table);
}

void qcow2_cache_put(Qcow2Cache *cache, void *table)
{
    CachedTable *entry = &cache->tables[table_index(cache, table)];

    assert(entry->ref > 0);
    entry->ref--;
}

void qcow2_cache_mark_dirty(Qcow2Cache *cache, void *table)
{
    CachedTable *entry = &cache->tables[table_index(cache, table)];

    assert(entry->ref > 0);
    cache->nr_dirty += !entry->is_dirty;
    entry->is_dirty = true;
}

/* ---- forgetting ---- */

static void forget_table(Qcow2Cache *cache, unsigned int index)
{
    CachedTable *table = &cache->tables[index];

    assert(table->ref == 0);
    cache->nr_dirty -= table->is_dirty;
    table->is_dirty = false;
    table->was_used = false;
    hash_remove(cache, index);
}

void qcow2_cache_forget(Qcow2Cache *cache, int64_t offset, int64_t bytes)
{
    if (bytes >> cache->table_bits > cache->nr_tables) {
        for (unsigned int i = 0; i < cache->nr_tables; i++) {
            int64_t at = cache->tables[i].offset;

            if (at && at >= offset && at - offset < bytes) {
                forget_table(cache, i);
            }
        }
        return;
    }
    for (int64_t done = 0; done < bytes; done += cache->table_bytes) {
        int32_t index = find_table(cache, offset + done);

        if (index >= 0) {
            forget_table(cache, index);
        }
    }
}

void qcow2_cache_forget_all(Qcow2Cache *cache)
{
    assert(cache->nr_dirty == 0);
    for (unsigned int i = 0; i < cache->nr_tables; i++) {
        if (cache->tables[i].offset) {
            forget_table(cache, i);
        }
    }
}

void qcow2_cache_clean_unused(Qcow2Cache *cache)
{
    bool whole_pages = QEMU_IS_ALIGNED(cache->table_bytes, (unsigned int)getpagesize());

    for (unsigned int i = 0; i < cache->nr_tables; i++) {
        CachedTable *table = &cache->tables[i];

        if (table->offset && table->ref == 0 && !table->is_dirty && !table->was_used) {
            forget_table(cache, i);
            if (whole_pages) {
                madvise(table_address(cache, i), cache->table_bytes, MADV_DONTNEED);
            }
        }
        table->was_used = false;
    }
}
