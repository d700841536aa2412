/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random requests to qcow2 images of every shape, against an array of bytes.
 *
 * Requests of a batch run at the same time and touch the same clusters, but not the same bytes.
 * After each round the image is reopened and compared, and the stock tool must find it free of
 * errors and of the same content.
 */
#include "qemu/osdep.h"

#include "qcow2-fixture.h"
#include "qemu/iov.h"

#define BATCH_MAX 12
#define ROUNDS 2

typedef enum RequestKind {
    REQUEST_WRITE,
    REQUEST_ZERO,
    REQUEST_ZERO_UNMAP,
    REQUEST_DISCARD,
    REQUEST_READ,
} RequestKind;

typedef struct Request {
    RequestKind kind;
    int64_t offset;
    int64_t bytes;
    uint8_t *buf;
    QEMUIOVector qiov;
    bool is_done;
    int ret;
} Request;

typedef struct Disk {
    BlockBackend *blk;
    uint8_t *model;
    bool *is_unknown; /* one a sector: discarded, may be the old content or zeroes */
    int64_t size;
    int64_t cluster_size;
    int64_t hot_offset; /* where half of the requests of a batch meet */
    GRand *rand;
} Disk;

static void request_cb(void *opaque, int ret)
{
    Request *request = opaque;

    request->ret = ret;
    request->is_done = true;
}

static int64_t random_below(Disk *disk, int64_t limit)
{
    return (int64_t)(g_rand_double(disk->rand) * limit);
}

/* Anywhere, or in the few clusters that the batch fights for. */
static int64_t random_offset(Disk *disk)
{
    int64_t window = MIN(MAX(2 * disk->cluster_size, 32 * KiB), disk->size - disk->hot_offset);

    return g_rand_boolean(disk->rand)
               ? 512 * random_below(disk, disk->size / 512)
               : disk->hot_offset + 512 * random_below(disk, window / 512);
}

/* Lengths from a sector to some clusters, often clusters. */
static int64_t random_length(Disk *disk)
{
    switch (g_rand_int_range(disk->rand, 0, 4)) {
    case 0:
        return 512 * (1 + random_below(disk, 8));
    case 1:
        return disk->cluster_size * (1 + random_below(disk, 3));
    case 2:
        return 512 * (1 + random_below(disk, 3 * disk->cluster_size / 512));
    default:
        return 512;
    }
}

static bool overlaps_batch(const Request *batch, int nr, int64_t offset, int64_t bytes)
{
    for (int i = 0; i < nr; i++) {
        if (offset < batch[i].offset + batch[i].bytes && batch[i].offset < offset + bytes) {
            return true;
        }
    }
    return false;
}

static void make_request(Disk *disk, Request *batch, int nr)
{
    Request *request = &batch[nr];
    int kind = g_rand_int_range(disk->rand, 0, 10);

    do {
        request->offset = random_offset(disk);
        if (g_rand_int_range(disk->rand, 0, 4) == 0) {
            request->offset = request->offset / disk->cluster_size * disk->cluster_size;
        }
        request->bytes = random_length(disk);
        request->bytes = MIN(request->bytes, disk->size - request->offset);
    } while (overlaps_batch(batch, nr, request->offset, request->bytes));
    request->kind = kind < 6 ? REQUEST_WRITE : (RequestKind)(kind - 5);
    request->is_done = false;
    request->buf = g_malloc(request->bytes);
    memset(request->buf, g_rand_int_range(disk->rand, 1, 256), request->bytes);
    qemu_iovec_init_buf(&request->qiov, request->buf, request->bytes);
}

static void start_request(Disk *disk, Request *request)
{
    switch (request->kind) {
    case REQUEST_WRITE:
        blk_aio_pwritev(disk->blk, request->offset, &request->qiov, 0, request_cb, request);
        break;
    case REQUEST_ZERO:
    case REQUEST_ZERO_UNMAP:
        blk_aio_pwrite_zeroes(disk->blk, request->offset, request->bytes,
                              request->kind == REQUEST_ZERO ? 0 : BDRV_REQ_MAY_UNMAP, request_cb,
                              request);
        break;
    case REQUEST_DISCARD:
        blk_aio_pdiscard(disk->blk, request->offset, request->bytes, request_cb, request);
        break;
    case REQUEST_READ:
        blk_aio_preadv(disk->blk, request->offset, &request->qiov, 0, request_cb, request);
        break;
    }
}

static void compare_with_model(Disk *disk, int64_t offset, int64_t bytes, const uint8_t *buf)
{
    for (int64_t at = 0; at < bytes; at += 512) {
        int64_t sector = (offset + at) / 512;

        if (disk->is_unknown[sector]) {
            /* A discard may have taken effect or not; from now on it is what was seen. */
            memcpy(disk->model + sector * 512, buf + at, 512);
            disk->is_unknown[sector] = false;
        } else if (memcmp(disk->model + sector * 512, buf + at, 512)) {
            g_error("sector %" PRId64 ": expected %#x, got %#x", sector,
                    disk->model[sector * 512], buf[at]);
        }
    }
}

static void settle_request(Disk *disk, Request *request)
{
    g_assert_cmpint(request->ret, ==, 0);
    if (request->kind == REQUEST_READ) {
        compare_with_model(disk, request->offset, request->bytes, request->buf);
    } else if (request->kind == REQUEST_DISCARD) {
        memset(disk->is_unknown + request->offset / 512, true, request->bytes / 512);
    } else {
        if (request->kind != REQUEST_WRITE) {
            memset(request->buf, 0, request->bytes);
        }
        memcpy(disk->model + request->offset, request->buf, request->bytes);
        memset(disk->is_unknown + request->offset / 512, false, request->bytes / 512);
    }
    g_free(request->buf);
}

static void run_batch(Disk *disk)
{
    Request batch[BATCH_MAX];
    int nr = g_rand_int_range(disk->rand, 1, BATCH_MAX + 1);

    disk->hot_offset = 512 * random_below(disk, disk->size / 512);
    for (int i = 0; i < nr; i++) {
        make_request(disk, batch, i);
    }
    for (int i = 0; i < nr; i++) {
        start_request(disk, &batch[i]);
    }
    for (int i = 0; i < nr; i++) {
        AIO_WAIT_WHILE(qemu_get_aio_context(), !batch[i].is_done);
        settle_request(disk, &batch[i]);
    }
    if (g_rand_int_range(disk->rand, 0, 8) == 0) {
        g_assert_cmpint(blk_flush(disk->blk), ==, 0);
    }
}

static void compare_all(Disk *disk)
{
    g_autofree uint8_t *buf = g_malloc(disk->size);

    g_assert_cmpint(blk_pread(disk->blk, 0, disk->size, buf, 0), ==, 0);
    compare_with_model(disk, 0, disk->size, buf);
}

static void check_with_stock(Disk *disk, const char *path)
{
    g_autofree char *raw = qcow2_fixture_path("model.raw");
    g_autofree char *check = g_strdup_printf("check -f qcow2 %s", path);
    g_autofree char *compare = g_strdup_printf("compare -f qcow2 -F raw %s %s", path, raw);

    g_assert_true(g_file_set_contents(raw, (const char *)disk->model, disk->size, NULL));
    g_assert_true(qcow2_fixture_stock_agrees(check));
    g_assert_true(qcow2_fixture_stock_agrees(compare));
}

typedef struct Shape {
    const char *words;
    const char *options; /* of opening */
    int64_t cluster_size;
    int nr_batches;
} Shape;

static void test_shape(gconstpointer opaque)
{
    const Shape *shape = opaque;
    g_autofree char *path = qcow2_fixture_path("model.qcow2");
    Disk disk = {
        .cluster_size = shape->cluster_size,
        .size = CLAMP(shape->cluster_size * 60, 512 * KiB, 24 * MiB) + 1536,
        .rand = g_rand_new_with_seed(g_test_rand_int()),
    };

    disk.model = g_malloc0(disk.size);
    disk.is_unknown = g_new0(bool, disk.size / 512);
    g_assert_true(qcow2_fixture_create(path, shape->words, disk.size, &error_abort));
    for (int round = 0; round < ROUNDS; round++) {
        disk.blk = qcow2_fixture_open(path, shape->options, &error_abort);
        for (int i = 0; i < shape->nr_batches; i++) {
            run_batch(&disk);
        }
        compare_all(&disk);
        blk_unref(disk.blk);
        disk.blk = qcow2_fixture_open(path, NULL, &error_abort);
        compare_all(&disk);
        blk_unref(disk.blk);
        check_with_stock(&disk, path);
    }
    g_rand_free(disk.rand);
    g_free(disk.model);
    g_free(disk.is_unknown);
}

static void add_shape(const char *name, char *words, const char *options, int64_t cluster_size,
                      int nr_batches)
{
    Shape *shape = g_new(Shape, 1);
    g_autofree char *path = g_strdup_printf("/qcow2/model/%s", name);

    *shape = (Shape){words, options, cluster_size, nr_batches};
    g_test_add_data_func(path, shape, test_shape);
}

static void add_all_shapes(void)
{
    static const int refcount_bits[] = {1, 2, 4, 8, 16, 32, 64};

    for (int bits = 9; bits <= 21; bits++) {
        int width = refcount_bits[bits % 7];
        g_autofree char *name = g_strdup_printf("cluster-%d", 1 << bits);
        char *words = g_strdup_printf("cluster_size=%d,refcount_bits=%d", 1 << bits, width);

        add_shape(name, words, NULL, 1 << bits, bits < 16 ? 150 : 60);
    }
    for (size_t i = 0; i < ARRAY_SIZE(refcount_bits); i++) {
        g_autofree char *name = g_strdup_printf("refcount-width-%d", refcount_bits[i]);
        char *words = g_strdup_printf("cluster_size=512,refcount_bits=%d", refcount_bits[i]);

        add_shape(name, words, NULL, 512, 150);
    }
    add_shape("version-2", g_strdup("compat=0.10"), NULL, 65536, 100);
    add_shape("version-2-small-clusters", g_strdup("compat=0.10,cluster_size=1024"), NULL, 1024,
              100);
    add_shape("lazy-refcounts", g_strdup("lazy_refcounts=on,cluster_size=4096"), NULL, 4096, 100);
    add_shape("smallest-caches", g_strdup("cluster_size=512"),
              "l2-cache-size=512,refcount-cache-size=512,l2-cache-entry-size=512", 512, 150);
    add_shape("preallocated", g_strdup("cluster_size=4096,preallocation=metadata"), NULL, 4096,
              100);
    add_shape("preallocated-full", g_strdup("cluster_size=65536,preallocation=full"), NULL, 65536,
              40);
    add_shape("discarded-clusters-stay", g_strdup("cluster_size=4096"), "discard-no-unref=on",
              4096, 100);
    add_shape("host-discard", g_strdup("cluster_size=4096"),
              "pass-discard-request=on,pass-discard-other=on", 4096, 100);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    add_all_shapes();
    status = g_test_run();
    qcow2_fixture_done();
    return status;
}
