/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making all refcount structures anew.
 *
 * The new blocks and the new table come to lie behind everything else, where nothing that is in use
 * can be overwritten, and become stable before the header points to them.  Until that one write the
 * image is as it was.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"
#include "qemu/bswap.h"

#define MAX_TABLE_ENTRIES (QCOW2_MAX_REFTABLE_BYTES / sizeof(uint64_t))
#define WRITE_BATCH_BYTES (1 * MiB)

/* From cluster @start on: @nr_blocks blocks, then the table. */
typedef struct RebuildPlan {
    uint64_t start;
    uint64_t nr_blocks;
    uint64_t table_clusters;
    bool *is_needed; /* for each table entry: some cluster of its block is in use */
} RebuildPlan;

/* The old structures do not count any more. */
static void uncount_old(Qcow2Check *check)
{
    BDRVQcow2State *s = check->s;
    uint64_t first = s->reftable_offset >> s->cluster_bits;

    for (uint64_t i = 0; check->is_reftable_counted && i < s->reftable_clusters; i++) {
        refmap_set(check->map, first + i, refmap_get(check->map, first + i) - 1);
    }
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        uint64_t cluster = s->reftable[i] >> s->cluster_bits;

        if (check->refblocks[i] == CHECK_REFBLOCK_GOOD ||
            check->refblocks[i] == CHECK_REFBLOCK_REPEATED) {
            refmap_set(check->map, cluster, refmap_get(check->map, cluster) - 1);
        }
    }
}

/* Mark the blocks needed for [@first, @end); false where a table cannot reach that far. */
static bool need_blocks(const BDRVQcow2State *s, RebuildPlan *plan, uint64_t first, uint64_t end)
{
    uint64_t last = (end - 1) >> s->refcount_block_bits;

    if (last >= MAX_TABLE_ENTRIES) {
        return false;
    }
    for (uint64_t i = first >> s->refcount_block_bits; i <= last; i++) {
        plan->nr_blocks += !plan->is_needed[i];
        plan->is_needed[i] = true;
    }
    return true;
}

/* Find the place of everything: the new structures count themselves. */
static int make_plan(Qcow2Check *check, RebuildPlan *plan)
{
    BDRVQcow2State *s = check->s;
    uint64_t last_used = refmap_last(check->map);
    uint64_t cluster, references;
    uint64_t end, old_end;
    RefMapIter iter;
    bool fits = true;

    plan->start = MAX(check->nr_clusters, last_used + 1);
    refmap_iter_init(&iter, check->map);
    while (fits && refmap_iter_next(&iter, &cluster, &references)) {
        fits = need_blocks(s, plan, cluster, cluster + 1);
    }
    refmap_iter_clear(&iter);
    end = plan->start + 1;
    do {
        old_end = end;
        fits = fits && need_blocks(s, plan, plan->start, end);
        if (!fits) {
            return -EFBIG;
        }
        plan->table_clusters = qcow2_size_to_clusters(
            s, (((end - 1) >> s->refcount_block_bits) + 1) * sizeof(uint64_t));
        end = plan->start + plan->nr_blocks + plan->table_clusters;
    } while (end != old_end);
    return 0;
}

/* Blocks on their way to the file, several in one write. */
typedef struct BlockWriter {
    Qcow2Check *check;
    uint8_t *buf;
    size_t buf_bytes;
    size_t used;
    int64_t offset; /* of the first block in @buf */
} BlockWriter;

static int coroutine_fn writer_flush(BlockWriter *writer)
{
    int ret = 0;

    if (writer->used) {
        ret = bdrv_co_pwrite(writer->check->bs->file, writer->offset, writer->used, writer->buf,
                             0);
        writer->offset += writer->used;
        writer->used = 0;
    }
    return ret;
}

/* Begin the next block; *@block gets its place in memory, all zeroes. */
static int coroutine_fn writer_next_block(BlockWriter *writer, uint8_t **block)
{
    int64_t cluster_size = writer->check->s->cluster_size;
    int ret = writer->used == writer->buf_bytes ? writer_flush(writer) : 0;

    *block = writer->buf + writer->used;
    memset(*block, 0, cluster_size);
    writer->used += cluster_size;
    return ret;
}

/* The refcount for @references, as far as the image's refcounts go. */
static uint64_t storable(Qcow2Check *check, uint64_t cluster, uint64_t references)
{
    if (references <= check->s->refcount_max) {
        return references;
    }
    fprintf(stderr, "ERROR cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64 "\n",
            cluster, check->s->refcount_max, references);
    check->result->corruptions++;
    return check->s->refcount_max;
}

/*
 * Write the blocks in the order of their table entries, and fill @table (host byte order).  Every
 * block that the plan has contains a cluster in use.
 */
static int coroutine_fn write_blocks(Qcow2Check *check, const RebuildPlan *plan, uint64_t *table)
{
    BDRVQcow2State *s = check->s;
    size_t buf_bytes = MAX(WRITE_BATCH_BYTES, s->cluster_size);
    QEMU_AUTO_VFREE uint8_t *buf = qemu_try_memalign(4096, buf_bytes);
    BlockWriter writer = {.check = check, .buf = buf, .buf_bytes = buf_bytes,
                          .offset = plan->start << s->cluster_bits};
    uint64_t index_mask = (UINT64_C(1) << s->refcount_block_bits) - 1;
    uint64_t nr_blocks = 0;
    uint64_t cluster, references;
    uint8_t *block = NULL;
    RefMapIter iter;
    int ret = buf ? 0 : -ENOMEM;

    refmap_iter_init(&iter, check->map);
    while (ret == 0 && refmap_iter_next(&iter, &cluster, &references)) {
        uint64_t *entry = &table[cluster >> s->refcount_block_bits];

        if (*entry == 0) {
            *entry = (plan->start + nr_blocks++) << s->cluster_bits;
            ret = writer_next_block(&writer, &block);
        }
        if (ret == 0) {
            s->set_refcount(block, cluster & index_mask, storable(check, cluster, references));
        }
    }
    refmap_iter_clear(&iter);
    assert(ret < 0 || nr_blocks == plan->nr_blocks);
    return ret < 0 ? ret : writer_flush(&writer);
}

/* Write all of the new structures, and make them stable. */
static int coroutine_fn write_structures(Qcow2Check *check, const RebuildPlan *plan)
{
    BDRVQcow2State *s = check->s;
    size_t bytes = plan->table_clusters << s->cluster_bits;
    g_autofree uint64_t *table = g_try_malloc0(bytes);
    int ret;

    if (!table) {
        return -ENOMEM;
    }
    ret = write_blocks(check, plan, table);
    if (ret < 0) {
        return ret;
    }
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++) {
        table[i] = cpu_to_be64(table[i]);
    }
    ret = bdrv_co_pwrite(check->bs->file, (plan->start + plan->nr_blocks) << s->cluster_bits,
                         bytes, table, 0);
    return ret < 0 ? ret : qcow2_file_sync(check->bs);
}

/* The header, then the driver, go over to the new structures. */
static int coroutine_fn switch_structures(Qcow2Check *check, const RebuildPlan *plan)
{
    BDRVQcow2State *s = check->s;
    uint64_t old_offset = s->reftable_offset;
    uint32_t old_clusters = s->reftable_clusters;
    uint64_t end = plan->start + plan->nr_blocks + plan->table_clusters;
    int ret;

    s->reftable_offset = (plan->start + plan->nr_blocks) << s->cluster_bits;
    s->reftable_clusters = plan->table_clusters;
    ret = qcow2_write_reftable_pointer(check->bs);
    if (ret == 0) {
        ret = qcow2_file_sync(check->bs);
    }
    if (ret < 0) {
        s->reftable_offset = old_offset;
        s->reftable_clusters = old_clusters;
        return ret;
    }
    s->zero_from = MAX(s->zero_from, (int64_t)(end << s->cluster_bits));
    qcow2_refcount_unload(s);
    qcow2_overlap_reset(s);
    return qcow2_refcount_load(check->bs, NULL);
}

int coroutine_fn qcow2_repair_rebuild(Qcow2Check *check)
{
    g_autofree bool *is_needed = g_new0(bool, MAX_TABLE_ENTRIES);
    RebuildPlan plan = {.is_needed = is_needed};
    int ret;

    uncount_old(check);
    ret = make_plan(check, &plan);
    if (ret == 0) {
        for (uint64_t i = 0; i < plan.nr_blocks + plan.table_clusters; i++) {
            refmap_set(check->map, plan.start + i, 1);
        }
        ret = write_structures(check, &plan);
    }
    if (ret == 0) {
        ret = switch_structures(check, &plan);
    }
    check->last_used = refmap_last(check->map);
    if (ret < 0) {
        fprintf(stderr, "ERROR could not rebuild the refcount structures: %s\n", strerror(-ret));
        check->result->check_errors++;
    }
    return ret;
}
