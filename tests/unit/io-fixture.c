/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk in memory: see io-fixture.h.
 */
#include "qemu/osdep.h"
#include "block/graph-int.h"
#include "io-fixture.h"

/* Stay in the driver for a while. */
static void coroutine_fn dawdle(BlockDriverState *bs)
{
    MemoryDisk *disk = bs->opaque;
    int turns = disk->delays ? g_rand_int_range(disk->delays, 0, 4) : 0;

    while (turns-- > 0) {
        aio_co_schedule(bs->aio_context, qemu_coroutine_self());
        qemu_coroutine_yield();
    }
}

static void check_request(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    MemoryDisk *disk = bs->opaque;

    g_assert_cmpint(bytes, >, 0);
    g_assert_cmpint(offset % bs->bl.request_alignment, ==, 0);
    g_assert_cmpint(bytes % bs->bl.request_alignment, ==, 0);
    g_assert_cmpint(offset + bytes, <=, disk->size);
}

static void check_memory(BlockDriverState *bs, int64_t bytes, QEMUIOVector *qiov,
                         size_t qiov_offset)
{
    QEMUIOVector part;

    if (bs->bl.max_transfer) {
        g_assert_cmpint(bytes, <=, bs->bl.max_transfer);
    }
    qemu_iovec_init_slice(&part, qiov, qiov_offset, bytes);
    g_assert_cmpint(part.niov, <=, bs->bl.max_iov);
    for (int i = 0; i < part.niov && bs->bl.min_mem_alignment > 1; i++) {
        g_assert_cmpuint((uintptr_t)part.iov[i].iov_base % bs->bl.min_mem_alignment, ==, 0);
        g_assert_cmpuint(part.iov[i].iov_len % bs->bl.request_alignment, ==, 0);
    }
    qemu_iovec_destroy(&part);
}

static int coroutine_fn disk_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                    QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    MemoryDisk *disk = bs->opaque;

    check_request(bs, offset, bytes);
    check_memory(bs, bytes, qiov, qiov_offset);
    disk->nr_reads++;
    dawdle(bs);
    qemu_iovec_from_buf(qiov, qiov_offset, disk->data + offset, bytes);
    dawdle(bs);
    return disk->fail_with;
}

static int coroutine_fn disk_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov, size_t qiov_offset, BdrvRequestFlags flags)
{
    MemoryDisk *disk = bs->opaque;

    check_request(bs, offset, bytes);
    check_memory(bs, bytes, qiov, qiov_offset);
    g_assert_cmphex(flags & ~bs->supported_write_flags, ==, 0);
    disk->nr_writes++;
    disk->last_flags = flags;
    disk->nr_busy++;
    disk->max_busy = MAX(disk->max_busy, disk->nr_busy);
    dawdle(bs);
    qemu_iovec_to_buf(qiov, qiov_offset, disk->data + offset, bytes);
    dawdle(bs);
    disk->nr_busy--;
    return disk->fail_with;
}

static int coroutine_fn disk_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                           BdrvRequestFlags flags)
{
    MemoryDisk *disk = bs->opaque;
    int64_t alignment = MAX(bs->bl.pwrite_zeroes_alignment, 1);

    check_request(bs, offset, bytes);
    g_assert_cmphex(flags & ~bs->supported_zero_flags, ==, 0);
    if (bs->bl.max_pwrite_zeroes) {
        g_assert_cmpint(bytes, <=, bs->bl.max_pwrite_zeroes);
    }
    disk->nr_zeroes++;
    disk->last_flags = flags;
    if (disk->has_no_zeroes || (disk->needs_aligned_zeroes && (offset | bytes) % alignment)) {
        return -ENOTSUP;
    }
    dawdle(bs);
    memset(disk->data + offset, 0, bytes);
    return disk->fail_with;
}

static int coroutine_fn disk_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    MemoryDisk *disk = bs->opaque;
    int64_t alignment = MAX(bs->bl.pdiscard_alignment, 1);

    check_request(bs, offset, bytes);
    if (bs->bl.max_pdiscard) {
        g_assert_cmpint(bytes, <=, bs->bl.max_pdiscard);
    }
    disk->nr_discards++;
    if ((offset | bytes) % alignment) {
        return -ENOTSUP;
    }
    memset(disk->data + offset, 0xdd, bytes);
    return 0;
}

static int coroutine_fn disk_flush(BlockDriverState *bs)
{
    MemoryDisk *disk = bs->opaque;

    disk->nr_flushes++;
    dawdle(bs);
    return disk->fail_with;
}

static void disk_close(BlockDriverState *bs)
{
    MemoryDisk *disk = bs->opaque;

    g_clear_pointer(&disk->delays, g_rand_free);
    g_free(disk->data);
}

static BlockDriver memory_disk_driver = {
    .format_name = "memory-disk",
    .instance_size = sizeof(MemoryDisk),
    .bdrv_close = disk_close,
    .bdrv_co_preadv_part = disk_preadv,
    .bdrv_co_pwritev_part = disk_pwritev,
    .bdrv_co_pwrite_zeroes = disk_pwrite_zeroes,
    .bdrv_co_pdiscard = disk_pdiscard,
    .bdrv_co_flush = disk_flush,
};

BdrvChild *memory_disk_new(int64_t length)
{
    BlockDriverState *bs = bdrv_new_node(NULL, &error_abort);
    MemoryDisk *disk = g_new0(MemoryDisk, 1);

    disk->size = ROUND_UP(length, 64 * KiB);
    disk->data = g_malloc(disk->size);
    for (int64_t i = 0; i < disk->size; i++) {
        disk->data[i] = i * 31 + (i >> 9) + 1;
    }
    bs->drv = &memory_disk_driver;
    bs->opaque = disk;
    bs->read_only = false;
    bs->open_flags = BDRV_O_RDWR | BDRV_O_UNMAP;
    bs->total_bytes = length;
    bdrv_refresh_limits(bs, &error_abort);
    return bdrv_root_attach_child(bs, "test", NULL, BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE,
                                  BLK_PERM_ALL, &error_abort);
}

MemoryDisk *memory_disk(BdrvChild *child)
{
    return child->bs->opaque;
}

void memory_disk_free(BdrvChild *child)
{
    bdrv_detach_child(child);
}

/* ---- requests ---- */

typedef struct Request {
    BdrvChild *child;
    BlockDriverState *bs;
    int64_t offset;
    int64_t bytes;
    QEMUIOVector *qiov;
    BdrvRequestFlags flags;
    int64_t *pnum;
} Request;

static int coroutine_fn zeroes_entry(void *arg)
{
    Request *req = arg;

    return bdrv_co_pwrite_zeroes(req->child, req->offset, req->bytes, req->flags);
}

int run_pwrite_zeroes(BdrvChild *child, int64_t offset, int64_t bytes, BdrvRequestFlags flags)
{
    Request req = {.child = child, .offset = offset, .bytes = bytes, .flags = flags};

    return bdrv_run_co(child->bs->aio_context, zeroes_entry, &req);
}

static int coroutine_fn discard_entry(void *arg)
{
    Request *req = arg;

    return bdrv_co_pdiscard(req->child, req->offset, req->bytes);
}

int run_pdiscard(BdrvChild *child, int64_t offset, int64_t bytes)
{
    Request req = {.child = child, .offset = offset, .bytes = bytes};

    return bdrv_run_co(child->bs->aio_context, discard_entry, &req);
}

static int coroutine_fn pwritev_entry(void *arg)
{
    Request *req = arg;

    return bdrv_co_pwritev(req->child, req->offset, req->qiov->size, req->qiov, req->flags);
}

int run_pwritev(BdrvChild *child, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    Request req = {.child = child, .offset = offset, .qiov = qiov, .flags = flags};

    return bdrv_run_co(child->bs->aio_context, pwritev_entry, &req);
}

static int coroutine_fn preadv_entry(void *arg)
{
    Request *req = arg;

    return bdrv_co_preadv(req->child, req->offset, req->qiov->size, req->qiov, req->flags);
}

int run_preadv(BdrvChild *child, int64_t offset, QEMUIOVector *qiov)
{
    Request req = {.child = child, .offset = offset, .qiov = qiov};

    return bdrv_run_co(child->bs->aio_context, preadv_entry, &req);
}

static int coroutine_fn status_entry(void *arg)
{
    Request *req = arg;
    BlockDriverState *file;
    int64_t map;

    return bdrv_co_block_status(req->bs, req->offset, req->bytes, req->pnum, &map, &file);
}

int run_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t *pnum)
{
    Request req = {.bs = bs, .offset = offset, .bytes = bytes, .pnum = pnum};

    return bdrv_run_co(bs->aio_context, status_entry, &req);
}
