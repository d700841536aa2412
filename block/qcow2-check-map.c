/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * References per cluster: a sparse array of counts, in memory.
 *
 * Chunks come into being when a cluster in them is first referred to, so that the memory follows
 * from what an image refers to, not from how large it says it is.  Counts that 16 bits do not hold
 * stand in a table of their own.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"

/* A compromise between clusters that lie together and a hostile image that scatters them. */
#define CHUNK_BITS 7
#define CHUNK_COUNTS (1u << CHUNK_BITS)

#define COUNT_IS_LARGE UINT16_MAX

typedef struct RefChunk {
    uint64_t key; /* cluster index >> CHUNK_BITS */
    uint16_t counts[CHUNK_COUNTS];
} RefChunk;

struct RefMap {
    GHashTable *chunks; /* set of RefChunk */
    GHashTable *large;  /* cluster index => count, both as uint64_t */
    RefChunk *recent;
};

RefMap *refmap_new(void)
{
    RefMap *map = g_new0(RefMap, 1);

    map->chunks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    map->large = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return map;
}

void refmap_free(RefMap *map)
{
    g_hash_table_unref(map->chunks);
    g_hash_table_unref(map->large);
    g_free(map);
}

/* The chunk of @cluster, or NULL. */
static RefChunk *find_chunk(RefMap *map, uint64_t cluster)
{
    uint64_t key = cluster >> CHUNK_BITS;

    if (unlikely(!map->recent || map->recent->key != key)) {
        RefChunk *chunk = g_hash_table_lookup(map->chunks, &key);

        if (!chunk) {
            return NULL;
        }
        map->recent = chunk;
    }
    return map->recent;
}

static uint16_t *make_count(RefMap *map, uint64_t cluster)
{
    RefChunk *chunk = find_chunk(map, cluster);

    if (!chunk) {
        chunk = g_new0(RefChunk, 1);
        chunk->key = cluster >> CHUNK_BITS;
        g_hash_table_insert(map->chunks, &chunk->key, chunk);
        map->recent = chunk;
    }
    return &chunk->counts[cluster & (CHUNK_COUNTS - 1)];
}

static uint64_t read_count(RefMap *map, uint64_t cluster, uint16_t count)
{
    const uint64_t *large;

    if (likely(count != COUNT_IS_LARGE)) {
        return count;
    }
    large = g_hash_table_lookup(map->large, &cluster);
    return *large;
}

uint64_t refmap_get(RefMap *map, uint64_t cluster)
{
    const RefChunk *chunk = find_chunk(map, cluster);

    return chunk ? read_count(map, cluster, chunk->counts[cluster & (CHUNK_COUNTS - 1)]) : 0;
}

void refmap_set(RefMap *map, uint64_t cluster, uint64_t count)
{
    uint16_t *place = make_count(map, cluster);

    if (likely(count < COUNT_IS_LARGE)) {
        if (unlikely(*place == COUNT_IS_LARGE)) {
            g_hash_table_remove(map->large, &cluster);
        }
        *place = count;
        return;
    }
    g_hash_table_insert(map->large, g_memdup2(&cluster, sizeof(cluster)),
                        g_memdup2(&count, sizeof(count)));
    *place = COUNT_IS_LARGE;
}

void refmap_add(RefMap *map, uint64_t cluster, uint64_t addend)
{
    uint16_t *place = make_count(map, cluster);
    uint64_t count;

    if (likely(addend < COUNT_IS_LARGE && *place + addend < COUNT_IS_LARGE)) {
        *place += addend;
        return;
    }
    count = read_count(map, cluster, *place);
    refmap_set(map, cluster, count > UINT64_MAX - addend ? UINT64_MAX : count + addend);
}

int64_t refmap_last(RefMap *map)
{
    GHashTableIter iter;
    gpointer value;
    int64_t last = -1;

    g_hash_table_iter_init(&iter, map->chunks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const RefChunk *chunk = value;
        int64_t start = chunk->key << CHUNK_BITS;

        for (int i = CHUNK_COUNTS - 1; i >= 0 && start + i > last; i--) {
            if (chunk->counts[i]) {
                last = start + i;
            }
        }
    }
    return last;
}

/* ---- visiting ---- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void refmap_iter_init(RefMapIter *iter, RefMap *map)
{
    GHashTableIter chunks;
    gpointer key;

    *iter = (RefMapIter){.map = map, .keys = g_new(uint64_t, g_hash_table_size(map->chunks))};
    g_hash_table_iter_init(&chunks, map->chunks);
    while (g_hash_table_iter_next(&chunks, &key, NULL)) {
        iter->keys[iter->nr_keys++] = *(const uint64_t *)key;
    }
    if (iter->nr_keys) {
        qsort(iter->keys, iter->nr_keys, sizeof(iter->keys[0]), compare_keys);
    }
}

bool refmap_iter_next(RefMapIter *iter, uint64_t *cluster, uint64_t *count)
{
    for (; iter->key < iter->nr_keys; iter->key++, iter->index = 0) {
        uint64_t start = iter->keys[iter->key] << CHUNK_BITS;
        const RefChunk *chunk = find_chunk(iter->map, start);

        for (; iter->index < CHUNK_COUNTS; iter->index++) {
            uint16_t value = chunk->counts[iter->index];

            if (value) {
                *cluster = start + iter->index++;
                *count = read_count(iter->map, *cluster, value);
                return true;
            }
        }
    }
    return false;
}

void refmap_iter_clear(RefMapIter *iter)
{
    g_clear_pointer(&iter->keys, g_free);
}
