/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of the request path (block/block-io.h), on a disk in memory that checks what it is
 * given.
 */
#include "qemu/osdep.h"
#include "io-fixture.h"

/* ---- alignment and splitting ---- */

#define LENGTH (256 * KiB)

/* Limits of all sorts, the usual ones among them. */
static void randomise_limits(BdrvChild *child)
{
    BlockLimits *bl = &child->bs->bl;
    MemoryDisk *disk = memory_disk(child);

    bl->request_alignment = 1 << g_test_rand_int_range(0, 13);
    bl->min_mem_alignment = g_test_rand_bit() ? 1 : 1 << g_test_rand_int_range(0, 13);
    bl->max_transfer = g_test_rand_bit() ? 0 : g_test_rand_int_range(1, 20) * 4096;
    bl->max_iov = g_test_rand_bit() ? 1024 : g_test_rand_int_range(1, 5);
    bl->max_pwrite_zeroes = g_test_rand_bit() ? 0 : g_test_rand_int_range(1, 20) * 4096;
    bl->max_pdiscard = g_test_rand_bit() ? 0 : g_test_rand_int_range(1, 20) * 4096;
    bl->pwrite_zeroes_alignment = g_test_rand_bit() ? 0 : 1 << g_test_rand_int_range(9, 16);
    disk->has_no_zeroes = g_test_rand_int_range(0, 4) == 0;
    disk->needs_aligned_zeroes = g_test_rand_bit();
    child->bs->supported_write_flags = g_test_rand_bit() ? BDRV_REQ_FUA : 0;
    child->bs->supported_zero_flags = g_test_rand_int_range(0, 4);
}

/* A vector of random elements over @bytes of @memory, whose beginning lies anywhere. */
static void random_vector(QEMUIOVector *qiov, uint8_t *memory, int64_t bytes)
{
    int64_t unit = 1 << g_test_rand_int_range(0, 13);

    qemu_iovec_init(qiov, 4);
    while (bytes > 0) {
        int64_t len = unit * g_test_rand_int_range(1, 30);

        len = qiov->niov == 200 ? bytes : MIN(len, bytes);
        qemu_iovec_add(qiov, memory, len);
        memory += len;
        bytes -= len;
    }
}

static void random_range(int64_t *offset, int64_t *bytes)
{
    int64_t unit = 1 << g_test_rand_int_range(0, 13);

    *offset = g_test_rand_int_range(0, LENGTH) / unit * unit;
    *bytes = g_test_rand_int_range(1, LENGTH / 2);
    *bytes = MIN(*bytes, LENGTH - *offset);
    *bytes = MAX(*bytes / unit * unit, MIN(unit, LENGTH - *offset));
}

static void random_request(BdrvChild *child, uint8_t *model, uint8_t *memory)
{
    uint8_t *buf = memory + (g_test_rand_bit() ? 0 : g_test_rand_int_range(0, 4096));
    BdrvRequestFlags flags = g_test_rand_int_range(0, 4); /* FUA, MAY_UNMAP */
    g_auto(QEMUIOVector) qiov = {.nalloc = QEMU_IOVEC_BORROWED};
    int64_t offset, bytes;

    random_range(&offset, &bytes);
    random_vector(&qiov, buf, bytes);
    switch (g_test_rand_int_range(0, 3)) {
    case 0:
        memset(buf, 0xee, bytes);
        g_assert_cmpint(run_preadv(child, offset, &qiov), ==, 0);
        g_assert_cmpmem(buf, bytes, model + offset, bytes);
        break;
    case 1:
        for (int64_t i = 0; i < bytes; i++) {
            buf[i] = model[offset + i] = g_test_rand_int();
        }
        g_assert_cmpint(run_pwritev(child, offset, &qiov, flags & BDRV_REQ_FUA), ==, 0);
        break;
    default:
        memset(model + offset, 0, bytes);
        g_assert_cmpint(run_pwrite_zeroes(child, offset, bytes, flags), ==, 0);
    }
}

static void test_random_requests(void)
{
    QEMU_AUTO_VFREE uint8_t *memory = qemu_memalign(4096, LENGTH + 4096);
    g_autofree uint8_t *model = g_malloc(LENGTH);

    for (int round = 0; round < 150; round++) {
        BdrvChild *child = memory_disk_new(LENGTH);

        memcpy(model, memory_disk(child)->data, LENGTH);
        randomise_limits(child);
        for (int i = 0; i < 40; i++) {
            random_request(child, model, memory);
        }
        g_assert_cmpmem(memory_disk(child)->data, LENGTH, model, LENGTH);
        memory_disk_free(child);
    }
}

static void test_aligned_request_is_passed_on_whole(void)
{
    BdrvChild *child = memory_disk_new(MiB);
    QEMU_AUTO_VFREE uint8_t *buf = qemu_memalign(4096, 64 * KiB);

    child->bs->bl.request_alignment = 4096;
    child->bs->bl.min_mem_alignment = 4096;
    memset(buf, 7, 64 * KiB);
    g_assert_cmpint(bdrv_pwrite(child, 4096, 64 * KiB, buf, 0), ==, 0);
    g_assert_cmpint(memory_disk(child)->nr_writes, ==, 1);
    g_assert_cmpint(memory_disk(child)->nr_reads, ==, 0);
    memory_disk_free(child);
}

/* ---- serialising ---- */

typedef struct Writer {
    BdrvChild *child;
    int64_t offset;
    int64_t bytes;
    uint8_t byte;
    BdrvRequestFlags flags;
    int *nr_running;
} Writer;

static void coroutine_fn writer_entry(void *opaque)
{
    Writer *writer = opaque;
    uint8_t buf[4096];

    g_assert_cmpint(writer->bytes, <=, sizeof(buf));
    memset(buf, writer->byte, sizeof(buf));
    g_assert_cmpint(bdrv_co_pwrite(writer->child, writer->offset, writer->bytes, buf,
                                   writer->flags), ==, 0);
    --*writer->nr_running;
}

/* Run @nr writers at a time and wait for all. */
static void run_writers(Writer *writers, int nr)
{
    AioContext *ctx = qemu_get_aio_context();
    int nr_running = nr;

    for (int i = 0; i < nr; i++) {
        writers[i].nr_running = &nr_running;
        aio_co_enter(ctx, qemu_coroutine_create(writer_entry, &writers[i]));
    }
    AIO_WAIT_WHILE(ctx, nr_running > 0);
}

static void test_concurrent_partial_writes(void)
{
    enum { NR = 256, UNIT = 48 };

    for (int round = 0; round < 20; round++) {
        BdrvChild *child = memory_disk_new(64 * KiB);
        MemoryDisk *disk = memory_disk(child);
        Writer writers[NR];

        child->bs->bl.request_alignment = 512 << g_test_rand_int_range(0, 4);
        disk->delays = g_rand_new_with_seed(g_test_rand_int());
        for (int i = 0; i < NR; i++) {
            writers[i] = (Writer){
                .child = child, .offset = i * UNIT, .bytes = UNIT, .byte = 0xa5,
            };
        }
        run_writers(writers, NR);
        for (int i = 0; i < NR * UNIT; i++) {
            g_assert_cmphex(disk->data[i], ==, 0xa5);
        }
        g_assert_cmphex(disk->data[NR * UNIT], ==, (uint8_t)(NR * UNIT * 31 + (NR * UNIT >> 9) + 1));
        memory_disk_free(child);
    }
}

static void test_aligned_write_waits_for_partial_one(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);

    child->bs->bl.request_alignment = 4096;
    disk->delays = g_rand_new_with_seed(g_test_rand_int());
    for (int round = 0; round < 50; round++) {
        Writer writers[2] = {
            {.child = child, .offset = 4096 + 10, .bytes = 64, .byte = 0xa5},
            {.child = child, .offset = 4096, .bytes = 4096, .byte = round},
        };

        run_writers(writers, 2);
        for (int i = 0; i < 4096; i++) {
            g_assert_cmphex(disk->data[4096 + i], ==, round);
        }
    }
    memory_disk_free(child);
}

static void test_serialising_keeps_others_out(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);
    Writer writers[16];

    disk->delays = g_rand_new_with_seed(1);
    for (int i = 0; i < 16; i++) {
        writers[i] = (Writer){
            .child = child, .offset = 0, .bytes = 64, .flags = BDRV_REQ_SERIALISING,
        };
    }
    run_writers(writers, 16);
    g_assert_cmpint(disk->max_busy, ==, 1);
    for (int i = 0; i < 16; i++) {
        writers[i] = (Writer){.child = child, .offset = 0, .bytes = 64};
    }
    run_writers(writers, 16);
    g_assert_cmpint(disk->max_busy, >, 1);
    g_assert_cmpuint(child->bs->serialising_in_flight, ==, 0);
    memory_disk_free(child);
}

/* ---- flush and FUA ---- */

static void test_flush_with_nothing_new(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);

    g_assert_cmpint(bdrv_flush(child->bs), ==, 0);
    g_assert_cmpint(disk->nr_flushes, ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 0, 3, "abc", 0), ==, 0);
    disk->fail_with = -EIO;
    g_assert_cmpint(bdrv_flush(child->bs), ==, -EIO);
    disk->fail_with = 0;
    g_assert_cmpint(bdrv_flush(child->bs), ==, 0);
    g_assert_cmpint(bdrv_flush(child->bs), ==, 0);
    g_assert_cmpint(disk->nr_flushes, ==, 2);
    memory_disk_free(child);
}

static void test_no_flush_stops_at_the_protocol(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);

    child->bs->open_flags |= BDRV_O_NO_FLUSH;
    g_assert_cmpint(bdrv_pwrite(child, 0, 3, "abc", BDRV_REQ_FUA), ==, 0);
    g_assert_cmpint(bdrv_flush(child->bs), ==, 0);
    g_assert_cmpint(memory_disk(child)->nr_flushes, ==, 0);
    memory_disk_free(child);
}

typedef struct Flusher {
    BlockDriverState *bs;
    int nr_running;
} Flusher;

static void coroutine_fn flusher_entry(void *opaque)
{
    Flusher *flusher = opaque;

    g_assert_cmpint(bdrv_co_flush(flusher->bs), ==, 0);
    flusher->nr_running--;
}

static void test_concurrent_flushes_join(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);
    AioContext *ctx = qemu_get_aio_context();
    Flusher flusher = {.bs = child->bs};

    /* A seed whose delays are not all 0; the flushes must meet each other. */
    disk->delays = g_rand_new_with_seed(3);
    for (int round = 0; round < 10; round++) {
        disk->nr_flushes = 0;
        for (int i = 0; i < 20; i++) {
            child->bs->write_gen++;
            flusher.nr_running++;
            aio_co_enter(ctx, qemu_coroutine_create(flusher_entry, &flusher));
        }
        AIO_WAIT_WHILE(ctx, flusher.nr_running > 0);
        g_assert_cmpint(disk->nr_flushes, >=, 1);
        g_assert_cmpint(disk->nr_flushes, <, 20);
        g_assert_cmpuint(child->bs->flushed_gen, ==, child->bs->write_gen);
    }
    memory_disk_free(child);
}

static void test_fua_is_emulated(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);

    g_assert_cmpint(bdrv_pwrite(child, 0, 3, "abc", BDRV_REQ_FUA), ==, 0);
    g_assert_cmpint(disk->nr_flushes, ==, 1);
    child->bs->supported_write_flags = BDRV_REQ_FUA;
    g_assert_cmpint(bdrv_pwrite(child, 0, 3, "abc", BDRV_REQ_FUA), ==, 0);
    g_assert_cmphex(disk->last_flags, ==, BDRV_REQ_FUA);
    g_assert_cmpint(disk->nr_flushes, ==, 1);
    g_assert_cmpint(run_pwrite_zeroes(child, 0, 4096, BDRV_REQ_FUA), ==, 0);
    g_assert_cmphex(disk->last_flags, ==, 0);
    g_assert_cmpint(disk->nr_flushes, ==, 2);
    memory_disk_free(child);
}

/* ---- zeroes and discards ---- */

static void test_no_fallback(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);

    disk->has_no_zeroes = true;
    g_assert_cmpint(run_pwrite_zeroes(child, 0, 4096, BDRV_REQ_NO_FALLBACK), ==, -ENOTSUP);
    g_assert_cmpint(disk->nr_writes, ==, 0);
    g_assert_cmpint(run_pwrite_zeroes(child, 0, 4096, 0), ==, 0);
    g_assert_cmpint(disk->nr_writes, ==, 1);
    disk->has_no_zeroes = false;
    child->bs->bl.request_alignment = 4096;
    g_assert_cmpint(run_pwrite_zeroes(child, 512, 8192, BDRV_REQ_NO_FALLBACK), ==, -ENOTSUP);
    memory_disk_free(child);
}

static void test_zeroes_go_out_in_aligned_pieces(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);

    child->bs->bl.pwrite_zeroes_alignment = 4096;
    g_assert_cmpint(run_pwrite_zeroes(child, 512, 32 * KiB, BDRV_REQ_MAY_UNMAP), ==, 0);
    g_assert_cmpint(disk->nr_zeroes, ==, 3);
    g_assert_cmphex(disk->last_flags, ==, 0);
    child->bs->supported_zero_flags = BDRV_REQ_MAY_UNMAP;
    g_assert_cmpint(run_pwrite_zeroes(child, 4096, 4096, BDRV_REQ_MAY_UNMAP), ==, 0);
    g_assert_cmpint(disk->nr_zeroes, ==, 4);
    g_assert_cmphex(disk->last_flags, ==, BDRV_REQ_MAY_UNMAP);
    memory_disk_free(child);
}

static void test_discard(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);
    uint8_t first = disk->data[1023], last = disk->data[17 * KiB];

    child->bs->bl.request_alignment = 512;
    child->bs->bl.pdiscard_alignment = 4096;
    g_assert_cmpint(run_pdiscard(child, 1000, 17 * KiB), ==, 0);
    g_assert_cmpint(disk->nr_discards, ==, 3);
    g_assert_cmphex(disk->data[4096], ==, 0xdd);
    g_assert_cmphex(disk->data[16 * KiB - 1], ==, 0xdd);
    g_assert_cmphex(disk->data[1023], ==, first);
    g_assert_cmphex(disk->data[17 * KiB], ==, last);
    child->bs->open_flags &= ~BDRV_O_UNMAP;
    g_assert_cmpint(run_pdiscard(child, 0, 4096), ==, 0);
    g_assert_cmpint(disk->nr_discards, ==, 3);
    memory_disk_free(child);
}

/* ---- checks ---- */

static void test_ranges_are_checked(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    uint8_t buf[1024];

    g_assert_cmpint(bdrv_pread(child, 64 * KiB - 512, 1024, buf, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(child, -512, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(child, INT64_MAX, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(child, 0, -1, buf, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(child, 64 * KiB, 0, buf, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 64 * KiB, 1, buf, 0), ==, -EIO);
    g_assert_cmpint(run_pwrite_zeroes(child, 1, 64 * KiB, 0), ==, -EIO);
    g_assert_cmpint(run_pdiscard(child, 0, 64 * KiB + 1), ==, -EIO);
    child->bs->read_only = true;
    g_assert_cmpint(bdrv_pwrite(child, 0, 1, buf, 0), ==, -EPERM);
    g_assert_cmpint(run_pwrite_zeroes(child, 0, 512, 0), ==, -EPERM);
    g_assert_cmpint(bdrv_pread(child, 0, 512, buf, 0), ==, 0);
    memory_disk_free(child);
}

static void test_unusable_node(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    uint8_t buf[512];

    bdrv_make_unusable(child->bs);
    g_assert_cmpint(bdrv_pread(child, 0, 512, buf, 0), ==, -ENOMEDIUM);
    g_assert_cmpint(bdrv_pwrite(child, 0, 512, buf, 0), ==, -ENOMEDIUM);
    g_assert_cmpint(run_pdiscard(child, 0, 512), ==, -ENOMEDIUM);
    g_assert_cmpint(bdrv_flush(child->bs), ==, -ENOMEDIUM);
    g_assert_cmpint(bdrv_getlength(child->bs), ==, -ENOMEDIUM);
    memory_disk_free(child);
}

static void test_file_grows(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    uint8_t buf[1024], zeroes[512] = {0};

    child->bs->total_bytes = 4096;
    child->bs->is_growable = true;
    memset(buf, 1, sizeof(buf));
    g_assert_cmpint(bdrv_pread(child, 4096 - 512, 1024, buf, 0), ==, 0);
    g_assert_cmpmem(buf, 512, memory_disk(child)->data + 4096 - 512, 512);
    g_assert_cmpmem(buf + 512, 512, zeroes, 512);
    g_assert_cmpint(bdrv_pwrite(child, 8192, 3, "abc", 0), ==, 0);
    g_assert_cmpint(child->bs->total_bytes, ==, 8192 + 512);
    g_assert_cmpint(bdrv_pwrite(child, BDRV_MAX_LENGTH, 3, "abc", 0), ==, -EFBIG);
    memory_disk_free(child);
}

/* ---- drain ---- */

static void test_drain_waits(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    int nr_running = 1;
    Writer writer = {.child = child, .offset = 0, .bytes = 64, .nr_running = &nr_running};

    memory_disk(child)->delays = g_rand_new_with_seed(3);
    while (child->bs->in_flight == 0) {
        nr_running = 1;
        aio_co_enter(qemu_get_aio_context(), qemu_coroutine_create(writer_entry, &writer));
    }
    bdrv_drained_begin(child->bs);
    g_assert_cmpint(nr_running, ==, 0);
    g_assert_cmpuint(child->bs->quiesce_counter, ==, 1);
    g_assert_cmpint(bdrv_pwrite(child, 0, 3, "abc", 0), ==, 0);
    bdrv_drained_end(child->bs);
    g_assert_cmpuint(child->bs->quiesce_counter, ==, 0);
    memory_disk_free(child);
}

/* ---- counting ---- */

static void test_each_request_is_counted_once_by_its_outcome(void)
{
    BdrvChild *child = memory_disk_new(64 * KiB);
    MemoryDisk *disk = memory_disk(child);
    const BdrvStats *stats = &child->bs->stats;
    const BdrvCounter *rd = &stats->counters[BDRV_STATS_READ];
    const BdrvCounter *wr = &stats->counters[BDRV_STATS_WRITE];
    uint8_t buf[4096] = {0};

    /* In pieces, and with blocks that are read for it: still one request. */
    child->bs->bl.request_alignment = 512;
    child->bs->bl.max_transfer = 1024;
    g_assert_cmpint(bdrv_pwrite(child, 1, 4000, buf, 0), ==, 0);
    g_assert_cmpint(bdrv_pread(child, 1, 4000, buf, 0), ==, 0);
    g_assert_cmpuint(wr->operations, ==, 1);
    g_assert_cmpuint(wr->bytes, ==, 4000);
    g_assert_cmpuint(rd->operations, ==, 1);
    g_assert_cmpuint(rd->bytes, ==, 4000);
    g_assert_cmpint(stats->wr_highest_offset, ==, 4001);

    disk->fail_with = -EIO;
    g_assert_cmpint(bdrv_pwrite(child, 32768, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(bdrv_pread(child, 0, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(bdrv_flush(child->bs), ==, -EIO);
    disk->fail_with = -ENOSPC;
    g_assert_cmpint(run_pwrite_zeroes(child, 0, 512, 0), ==, -ENOSPC);
    disk->fail_with = 0;
    g_assert_cmpuint(wr->failed, ==, 1);
    g_assert_cmpuint(rd->failed, ==, 1);
    g_assert_cmpuint(stats->counters[BDRV_STATS_FLUSH].failed, ==, 1);
    g_assert_cmpuint(stats->counters[BDRV_STATS_WRITE_ZEROES].failed, ==, 1);
    g_assert_cmpuint(wr->operations + rd->operations, ==, 2);
    g_assert_cmpint(stats->wr_highest_offset, ==, 4001);
    memory_disk_free(child);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    bdrv_init();
    g_test_add_func("/io/align/random-requests-match-a-byte-array", test_random_requests);
    g_test_add_func("/io/align/an-aligned-request-is-passed-on-whole",
                    test_aligned_request_is_passed_on_whole);
    g_test_add_func("/io/serialise/concurrent-partial-writes-lose-nothing",
                    test_concurrent_partial_writes);
    g_test_add_func("/io/serialise/an-aligned-write-waits-for-a-partial-one",
                    test_aligned_write_waits_for_partial_one);
    g_test_add_func("/io/serialise/a-serialising-request-keeps-others-out",
                    test_serialising_keeps_others_out);
    g_test_add_func("/io/flush/nothing-new-is-not-sent", test_flush_with_nothing_new);
    g_test_add_func("/io/flush/no-flush-stops-at-the-protocol",
                    test_no_flush_stops_at_the_protocol);
    g_test_add_func("/io/flush/concurrent-ones-join", test_concurrent_flushes_join);
    g_test_add_func("/io/fua/is-a-flush-where-the-driver-lacks-it", test_fua_is_emulated);
    g_test_add_func("/io/zeroes/no-fallback-writes-nothing", test_no_fallback);
    g_test_add_func("/io/zeroes/go-out-in-aligned-pieces", test_zeroes_go_out_in_aligned_pieces);
    g_test_add_func("/io/discard/only-whole-blocks-and-only-with-unmap", test_discard);
    g_test_add_func("/io/check/ranges-and-read-only", test_ranges_are_checked);
    g_test_add_func("/io/check/an-unusable-node-refuses-all", test_unusable_node);
    g_test_add_func("/io/check/a-file-grows", test_file_grows);
    g_test_add_func("/io/drain/waits-for-requests-in-flight", test_drain_waits);
    g_test_add_func("/io/stats/each-request-is-counted-once-by-its-outcome",
                    test_each_request_is_counted_once_by_its_outcome);
    return g_test_run();
}
