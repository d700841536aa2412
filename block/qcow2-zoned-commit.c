/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The write-pointer table on disk: what is durable, and how it changes.
 *
 * Flushes, resets and finishes are requests to one group commit.  While a batch is on its way to
 * the disk later requests gather, and the next batch serves all of them with the same two steps:
 *
 *   1. data, refcounts and mappings are made durable, if any of the requests promises data;
 *   2. the table blocks that change are written and made durable.
 *
 * What a block will say of a write is taken down before step 1, so a write pointer in the table
 * never covers a byte that step 1 did not reach.  A reset or finish is applied to the zone table in
 * memory only after step 2.
 *
 * Called from qcow2-zoned.c and from close.  Takes s->lock for the caches only, never across step
 * 2.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

typedef struct ZoneCommitRequest {
    bool is_flush;
    BlockZoneOp op; /* unless is_flush */
    int64_t offset;
    int64_t len;
    int ret;
    bool is_done;
    TAILQ_ENTRY(ZoneCommitRequest) link;
} ZoneCommitRequest;

typedef TAILQ_HEAD(ZoneCommitQueue, ZoneCommitRequest) ZoneCommitQueue;

struct ZoneCommit {
    uint32_t nr_blocks;
    /* What the table on disk says, block by block and in its byte order; NULL: not read yet. */
    uint8_t **durable;
    /* One bit a block: some completed write pointer is ahead of the table. */
    GArray *dirty;
    uint32_t nr_dirty;
    ZoneCommitQueue queue;
    bool is_running;
    CoQueue changed;
};

/* A block on its way to the disk. */
typedef struct StagedBlock {
    uint32_t block;
    uint8_t *content;
} StagedBlock;

typedef struct ZoneCommitBatch {
    BlockDriverState *bs;
    ZoneCommitQueue requests;
    bool promises_data;
    GTree *staged;      /* block number -> content, in ascending order */
    GArray *undirtied;  /* blocks (uint32_t) whose dirty bit this batch has cleared */
} ZoneCommitBatch;

#define DIRTY_WORD_BITS 64

ZoneCommit *zone_commit_new(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint32_t nr_zones = zones_nr(s->zoned->zones);
    ZoneCommit *commit = g_new0(ZoneCommit, 1);

    commit->nr_blocks = DIV_ROUND_UP(nr_zones, ZONE_WP_BLOCK_ENTRIES);
    commit->durable = g_new0(uint8_t *, commit->nr_blocks);
    commit->dirty = g_array_new(false, true, sizeof(uint64_t));
    g_array_set_size(commit->dirty, DIV_ROUND_UP(commit->nr_blocks, DIRTY_WORD_BITS));
    TAILQ_INIT(&commit->queue);
    qemu_co_queue_init(&commit->changed);
    return commit;
}

void zone_commit_free(ZoneCommit *commit)
{
    if (!commit) {
        return;
    }
    assert(!commit->is_running && TAILQ_EMPTY(&commit->queue));
    for (uint32_t i = 0; i < commit->nr_blocks; i++) {
        qemu_vfree(commit->durable[i]);
    }
    g_free(commit->durable);
    g_array_free(commit->dirty, true);
    g_free(commit);
}

static void zone_commit_mark_block(ZoneCommit *commit, uint32_t block)
{
    uint64_t *word = &g_array_index(commit->dirty, uint64_t, block / DIRTY_WORD_BITS);
    uint64_t bit = UINT64_C(1) << (block % DIRTY_WORD_BITS);

    if (!(*word & bit)) {
        *word |= bit;
        commit->nr_dirty++;
    }
}

void zone_commit_mark(ZoneCommit *commit, uint32_t index)
{
    zone_commit_mark_block(commit, index / ZONE_WP_BLOCK_ENTRIES);
}

/* Bytes of the table that block @block covers: the last one ends with its cluster. */
static int64_t zone_block_bytes(BlockDriverState *bs, uint32_t block)
{
    BDRVQcow2State *s = bs->opaque;
    int64_t allocated = ROUND_UP(s->zoned->table_bytes, s->cluster_size);

    return MIN(allocated - (int64_t)block * ZONE_WP_BLOCK_BYTES, ZONE_WP_BLOCK_BYTES);
}

static int64_t zone_block_offset(BlockDriverState *bs, uint32_t block)
{
    BDRVQcow2State *s = bs->opaque;

    return s->zoned->table_offset + (int64_t)block * ZONE_WP_BLOCK_BYTES;
}

static uint64_t zone_table_entry(const BdrvZones *zones, uint32_t index)
{
    uint64_t wp = zones_wp(zones, index);

    return zones_is_conventional(zones, index) ? wp | QCOW2_ZONE_WP_CONV : wp;
}

/* Stage block @block as the completed write pointers stand now. */
static void zone_stage_completed(ZoneCommitBatch *batch, uint32_t block)
{
    BDRVQcow2State *s = batch->bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    uint32_t first = block * ZONE_WP_BLOCK_ENTRIES;
    uint32_t end = MIN(first + ZONE_WP_BLOCK_ENTRIES, zones_nr(zones));
    uint8_t *content = qemu_memalign(ZONE_WP_BLOCK_BYTES, ZONE_WP_BLOCK_BYTES);

    memset(content, 0, ZONE_WP_BLOCK_BYTES);
    for (uint32_t i = first; i < end; i++) {
        stq_be_p(content + (i - first) * 8, zone_table_entry(zones, i));
    }
    g_tree_insert(batch->staged, GUINT_TO_POINTER(block), content);
}

static void zone_stage_all_dirty(ZoneCommitBatch *batch)
{
    BDRVQcow2State *s = batch->bs->opaque;
    ZoneCommit *commit = s->zoned->commit;

    for (uint32_t i = 0; commit->nr_dirty && i < commit->dirty->len; i++) {
        uint64_t *word = &g_array_index(commit->dirty, uint64_t, i);

        while (*word) {
            uint32_t block = i * DIRTY_WORD_BITS + __builtin_ctzll(*word);

            *word &= *word - 1;
            commit->nr_dirty--;
            g_array_append_val(batch->undirtied, block);
            zone_stage_completed(batch, block);
        }
    }
}

/* The staged content of @block: what the disk says, unless the batch has already changed it. */
static int coroutine_fn zone_stage_durable(ZoneCommitBatch *batch, uint32_t block,
                                           uint8_t **content)
{
    BDRVQcow2State *s = batch->bs->opaque;
    ZoneCommit *commit = s->zoned->commit;
    int ret = 0;

    *content = g_tree_lookup(batch->staged, GUINT_TO_POINTER(block));
    if (*content) {
        return 0;
    }

    *content = qemu_memalign(ZONE_WP_BLOCK_BYTES, ZONE_WP_BLOCK_BYTES);
    if (commit->durable[block]) {
        memcpy(*content, commit->durable[block], ZONE_WP_BLOCK_BYTES);
    } else {
        memset(*content, 0, ZONE_WP_BLOCK_BYTES);
        ret = bdrv_co_pread(batch->bs->file, zone_block_offset(batch->bs, block),
                            zone_block_bytes(batch->bs, block), *content, 0);
    }
    if (ret < 0) {
        qemu_vfree(*content);
        return ret;
    }
    g_tree_insert(batch->staged, GUINT_TO_POINTER(block), *content);
    return 0;
}

static int coroutine_fn zone_stage_mgmt(ZoneCommitBatch *batch, const ZoneCommitRequest *req)
{
    BDRVQcow2State *s = batch->bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    int64_t zone_size = zones_geometry(zones)->zone_size;
    uint32_t first = zones_index(zones, req->offset);
    uint32_t end = zones_index(zones, req->offset + req->len - 1) + 1;

    for (uint32_t i = first; i < end; i++) {
        int64_t wp = zones_start(zones, i) + (req->op == BLK_ZO_FINISH ? zone_size : 0);
        uint8_t *content;
        int ret;

        if (!zones_mgmt_moves_wp(zones, req->op, i)) {
            continue;
        }
        ret = zone_stage_durable(batch, i / ZONE_WP_BLOCK_ENTRIES, &content);
        if (ret < 0) {
            return ret;
        }
        stq_be_p(content + i % ZONE_WP_BLOCK_ENTRIES * 8, wp);
    }
    return 0;
}

static int coroutine_fn zone_batch_stage(ZoneCommitBatch *batch)
{
    ZoneCommitRequest *req;

    TAILQ_FOREACH(req, &batch->requests, link) {
        batch->promises_data |= req->is_flush || req->op == BLK_ZO_FINISH;
    }
    if (batch->promises_data) {
        zone_stage_all_dirty(batch);
    }
    TAILQ_FOREACH(req, &batch->requests, link) {
        int ret = req->is_flush ? 0 : zone_stage_mgmt(batch, req);

        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

static gboolean zone_collect_staged(gpointer block, gpointer content, gpointer opaque)
{
    StagedBlock staged = {.block = GPOINTER_TO_UINT(block), .content = content};

    g_array_append_val((GArray *)opaque, staged);
    return false;
}

/*
 * Write the blocks from @staged[@first] on that lie side by side; returns how many, or a negative
 * errno.
 */
static int coroutine_fn zone_write_neighbours(BlockDriverState *bs, const GArray *staged,
                                              guint first, BdrvRequestFlags flags)
{
    const StagedBlock *blocks = &g_array_index(staged, StagedBlock, first);
    guint most = MIN(staged->len - first, (guint)IOV_MAX);
    QEMUIOVector qiov;
    guint n = 0;
    int ret;

    qemu_iovec_init(&qiov, most);
    while (n < most && blocks[n].block == blocks[0].block + n) {
        qemu_iovec_add(&qiov, blocks[n].content, zone_block_bytes(bs, blocks[n].block));
        n++;
    }
    ret = bdrv_co_pwritev(bs->file, zone_block_offset(bs, blocks[0].block), qiov.size, &qiov,
                          flags);
    qemu_iovec_destroy(&qiov);
    return ret < 0 ? ret : (int)n;
}

static int coroutine_fn zone_batch_write(ZoneCommitBatch *batch)
{
    g_autoptr(GArray) staged = g_array_new(false, false, sizeof(StagedBlock));
    bool is_single;

    g_tree_foreach(batch->staged, zone_collect_staged, staged);
    is_single = staged->len == 1;
    for (guint i = 0; i < staged->len;) {
        int n = zone_write_neighbours(batch->bs, staged, i, is_single ? BDRV_REQ_FUA : 0);

        if (n < 0) {
            return n;
        }
        i += n;
    }
    return staged->len > 1 ? qcow2_file_sync(batch->bs) : 0;
}

static gboolean zone_adopt_staged(gpointer key, gpointer content, gpointer opaque)
{
    ZoneCommit *commit = opaque;
    uint32_t block = GPOINTER_TO_UINT(key);

    qemu_vfree(commit->durable[block]);
    commit->durable[block] = content;
    return false;
}

/* A failed write may have reached the disk or not: forget what the blocks said. */
static gboolean zone_drop_staged(gpointer key, gpointer content, gpointer opaque)
{
    ZoneCommit *commit = opaque;
    uint32_t block = GPOINTER_TO_UINT(key);

    qemu_vfree(content);
    qemu_vfree(commit->durable[block]);
    commit->durable[block] = NULL;
    return false;
}

static void zone_batch_apply(ZoneCommitBatch *batch)
{
    BDRVQcow2State *s = batch->bs->opaque;
    Qcow2Zoned *z = s->zoned;
    ZoneCommitRequest *req;

    TAILQ_FOREACH(req, &batch->requests, link) {
        if (req->is_flush) {
            continue;
        }
        for (int64_t at = req->offset; z->live && at < req->offset + req->len;
             at += zones_geometry(z->zones)->zone_size) {
            zone_live_set(z->live, zones_index(z->zones, at), 0);
        }
        zones_mgmt_apply(z->zones, req->op, req->offset, req->len);
    }
}

static int coroutine_fn zone_batch_run(ZoneCommitBatch *batch)
{
    BDRVQcow2State *s = batch->bs->opaque;
    ZoneCommit *commit = s->zoned->commit;
    int ret = zone_batch_stage(batch);

    if (ret == 0 && batch->promises_data) {
        ret = qcow2_flush_unlocked(batch->bs);
    }
    if (ret == 0) {
        ret = zone_batch_write(batch);
    }
    if (ret == 0) {
        g_tree_foreach(batch->staged, zone_adopt_staged, commit);
        zone_batch_apply(batch);
        return 0;
    }

    g_tree_foreach(batch->staged, zone_drop_staged, commit);
    for (guint i = 0; i < batch->undirtied->len; i++) {
        zone_commit_mark_block(commit, g_array_index(batch->undirtied, uint32_t, i));
    }
    return ret;
}

static gint zone_compare_blocks(gconstpointer a, gconstpointer b)
{
    guint left = GPOINTER_TO_UINT(a), right = GPOINTER_TO_UINT(b);

    return left < right ? -1 : left > right;
}

/* Serve everything that has gathered. */
static void coroutine_fn zone_commit_lead(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneCommit *commit = s->zoned->commit;
    ZoneCommitBatch batch = {.bs = bs};
    ZoneCommitRequest *req;
    int ret;

    TAILQ_INIT(&batch.requests);
    TAILQ_CONCAT(&batch.requests, &commit->queue, link);
    batch.staged = g_tree_new(zone_compare_blocks);
    batch.undirtied = g_array_new(false, false, sizeof(uint32_t));

    commit->is_running = true;
    ret = zone_batch_run(&batch);
    commit->is_running = false;

    while ((req = TAILQ_FIRST(&batch.requests))) {
        TAILQ_REMOVE(&batch.requests, req, link);
        req->ret = ret;
        req->is_done = true;
    }
    g_tree_destroy(batch.staged);
    g_array_free(batch.undirtied, true);
    qemu_co_queue_restart_all(&commit->changed);
}

static int coroutine_fn zone_commit(BlockDriverState *bs, ZoneCommitRequest *req)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneCommit *commit = s->zoned->commit;

    TAILQ_INSERT_TAIL(&commit->queue, req, link);
    while (!req->is_done) {
        if (commit->is_running) {
            qemu_co_queue_wait(&commit->changed, NULL);
        } else {
            zone_commit_lead(bs);
        }
    }
    return req->ret;
}

int coroutine_fn zone_commit_flush(BlockDriverState *bs)
{
    ZoneCommitRequest req = {.is_flush = true};

    return zone_commit(bs, &req);
}

int coroutine_fn zone_commit_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset, int64_t len)
{
    ZoneCommitRequest req = {.op = op, .offset = offset, .len = len};

    return zone_commit(bs, &req);
}
