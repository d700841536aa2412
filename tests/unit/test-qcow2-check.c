/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Check and repair of qcow2 images: the count of references, and images of every geometry whose
 * refcounts are damaged.
 */
#include "qemu/osdep.h"

#include <fcntl.h>

#include "block/qcow2-check.h"
#include "qemu/bswap.h"
#include "qcow2-fixture.h"
#include "qemu/keyval.h"

/* ---- the map ---- */

static void test_map_counts(void)
{
    g_autoptr(GHashTable) model = g_hash_table_new(g_direct_hash, g_direct_equal);
    RefMap *map = refmap_new();

    for (int i = 0; i < 100000; i++) {
        /* Two neighbourhoods far from each other. */
        uint64_t cluster = g_test_rand_int_range(0, 2000) +
                           (g_test_rand_bit() ? UINT64_C(1) << 46 : 0);
        gpointer key = GSIZE_TO_POINTER((gsize)cluster);
        gsize count = GPOINTER_TO_SIZE(g_hash_table_lookup(model, key));
        gsize addend = g_test_rand_int_range(0, 30000);

        g_assert_cmpuint(refmap_get(map, cluster), ==, count);
        if (g_test_rand_int_range(0, 4) == 0) {
            refmap_set(map, cluster, addend);
            count = addend;
        } else {
            refmap_add(map, cluster, addend);
            count += addend;
        }
        g_hash_table_insert(model, key, GSIZE_TO_POINTER(count));
        g_assert_cmpuint(refmap_get(map, cluster), ==, count);
    }
    refmap_free(map);
}

static void test_map_saturates(void)
{
    RefMap *map = refmap_new();

    refmap_add(map, 5, UINT64_MAX - 1);
    refmap_add(map, 5, 1);
    g_assert_cmpuint(refmap_get(map, 5), ==, UINT64_MAX);
    refmap_add(map, 5, 70000);
    g_assert_cmpuint(refmap_get(map, 5), ==, UINT64_MAX);
    g_assert_cmpuint(refmap_get(map, 4), ==, 0);
    refmap_free(map);
}

static void test_map_order(void)
{
    static const uint64_t clusters[] = {0, 1, 127, 128, 70000, UINT64_C(1) << 50};
    RefMap *map = refmap_new();
    RefMapIter iter;
    uint64_t cluster, count;
    size_t i = 0;

    refmap_iter_init(&iter, map);
    g_assert_false(refmap_iter_next(&iter, &cluster, &count));
    refmap_iter_clear(&iter);
    g_assert_cmpint(refmap_last(map), ==, -1);

    for (size_t n = ARRAY_SIZE(clusters); n-- > 0;) {
        refmap_add(map, clusters[n], clusters[n] + 1);
    }
    refmap_set(map, 64, 0);
    refmap_iter_init(&iter, map);
    while (refmap_iter_next(&iter, &cluster, &count)) {
        g_assert_cmpuint(cluster, ==, clusters[i++]);
        g_assert_cmpuint(count, ==, cluster + 1);
    }
    refmap_iter_clear(&iter);
    g_assert_cmpuint(i, ==, ARRAY_SIZE(clusters));
    g_assert_cmpint(refmap_last(map), ==, INT64_C(1) << 50);
    refmap_free(map);
}

/* ---- images ---- */

#define DISK_BYTES (8 * MiB)
#define PATTERN_BYTES (192 * KiB)

typedef struct CheckRun {
    BlockDriverState *bs;
    BdrvCheckMode fix;
    BdrvCheckResult result;
} CheckRun;

static int coroutine_fn check_entry(void *opaque)
{
    CheckRun *run = opaque;

    return bdrv_co_check(run->bs, &run->result, run->fix);
}

static BlockBackend *open_image(const char *path, int flags)
{
    g_autofree char *options = g_strdup_printf("driver=qcow2,file.driver=file,file.filename=%s",
                                               path);
    json_t *tree = keyval_parse(options, NULL, NULL, &error_abort);

    return blk_new_open(NULL, NULL, tree, flags, false, &error_abort);
}

/* Check the closed image @path; its messages are not shown. */
static int check_image(const char *path, BdrvCheckMode fix, BdrvCheckResult *result)
{
    g_autoptr(BlockBackend) blk = open_image(path, BDRV_O_CHECK | (fix ? BDRV_O_RDWR : 0));
    CheckRun run = {.bs = blk_bs(blk), .fix = fix};
    int saved_stderr = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY);
    int ret;

    dup2(null, STDERR_FILENO);
    ret = bdrv_run_co(blk_get_aio_context(blk), check_entry, &run);
    dup2(saved_stderr, STDERR_FILENO);
    close(null);
    close(saved_stderr);
    *result = run.result;
    return ret;
}

/* An image with data at its beginning and in its middle. */
static char *make_image(const char *words)
{
    char *path = qcow2_fixture_path("check.qcow2");
    g_autofree uint8_t *data = g_malloc(PATTERN_BYTES);
    g_autoptr(BlockBackend) blk = NULL;

    unlink(path);
    g_assert_true(qcow2_fixture_create(path, words, DISK_BYTES, &error_abort));
    blk = open_image(path, BDRV_O_RDWR);
    memset(data, 0x5a, PATTERN_BYTES);
    g_assert_cmpint(blk_pwrite(blk, 0, PATTERN_BYTES, data, 0), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, DISK_BYTES / 2, PATTERN_BYTES, data, 0), ==, 0);
    return path;
}

static void assert_data(const char *path)
{
    g_autofree uint8_t *data = g_malloc(PATTERN_BYTES);
    g_autoptr(BlockBackend) blk = open_image(path, 0);

    for (int64_t offset = 0; offset < DISK_BYTES; offset += DISK_BYTES / 2) {
        g_assert_cmpint(blk_pread(blk, offset, PATTERN_BYTES, data, 0), ==, 0);
        for (int i = 0; i < PATTERN_BYTES; i++) {
            g_assert_cmphex(data[i], ==, 0x5a);
        }
    }
}

static uint64_t peek64(const char *path, int64_t offset)
{
    uint8_t bytes[8];
    int fd = open(path, O_RDONLY);

    g_assert_cmpint(pread(fd, bytes, sizeof(bytes), offset), ==, sizeof(bytes));
    close(fd);
    return ldq_be_p(bytes);
}

static void fill(const char *path, int64_t offset, int64_t bytes, uint8_t value)
{
    g_autofree uint8_t *content = g_malloc(bytes);
    int fd = open(path, O_WRONLY);

    memset(content, value, bytes);
    g_assert_cmpint(pwrite(fd, content, bytes, offset), ==, bytes);
    close(fd);
}

static void assert_clean(const char *path)
{
    BdrvCheckResult result;

    g_assert_cmpint(check_image(path, 0, &result), ==, 0);
    g_assert_cmpint(result.corruptions + result.leaks + result.check_errors, ==, 0);
}

static const int cluster_sizes[] = {512, 4096, 65536, 2097152};

static void for_each_geometry(void (*test)(const char *path, int cluster_size))
{
    for (size_t i = 0; i < ARRAY_SIZE(cluster_sizes); i++) {
        for (int width = 1; width <= 64; width *= 2) {
            g_autofree char *words = g_strdup_printf("cluster_size=%d,refcount_bits=%d",
                                                     cluster_sizes[i], width);
            g_autofree char *path = make_image(words);

            assert_clean(path);
            test(path, cluster_sizes[i]);
        }
    }
}

/* The first refcount block is all zeroes. */
static void lose_refcounts(const char *path, int cluster_size)
{
    BdrvCheckResult result;

    fill(path, peek64(path, peek64(path, 48)), cluster_size, 0);
    g_assert_cmpint(check_image(path, 0, &result), ==, 0);
    g_assert_cmpint(result.corruptions, >, 0);
    g_assert_cmpint(check_image(path, BDRV_FIX_LEAKS, &result), ==, -EIO);
    g_assert_cmpint(check_image(path, BDRV_FIX_LEAKS | BDRV_FIX_ERRORS, &result), ==, 0);
    g_assert_cmpint(result.corruptions_fixed, >, 0);
    assert_clean(path);
    assert_data(path);
}

static void test_rebuild(void)
{
    for_each_geometry(lose_refcounts);
}

/* All refcounts of the first block are at their maximum. */
static void raise_refcounts(const char *path, int cluster_size)
{
    BdrvCheckResult result;
    BdrvCheckResult repaired;

    fill(path, peek64(path, peek64(path, 48)), cluster_size, 0xff);
    g_assert_cmpint(check_image(path, 0, &result), ==, 0);
    g_assert_cmpint(check_image(path, BDRV_FIX_LEAKS, &repaired), ==, 0);
    g_assert_cmpint(repaired.leaks_fixed, ==, result.leaks);
    assert_clean(path);
    assert_data(path);
}

static void test_leaks(void)
{
    for_each_geometry(raise_refcounts);
}

/* No write may reach the file that a bare check reads. */
static void test_check_changes_nothing(void)
{
    g_autofree char *path = make_image("");
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    gsize before_bytes, after_bytes;
    BdrvCheckResult result;

    fill(path, peek64(path, 48), 65536, 0);
    g_assert_true(g_file_get_contents(path, &before, &before_bytes, NULL));
    g_assert_cmpint(check_image(path, 0, &result), ==, 0);
    g_assert_cmpint(check_image(path, BDRV_FIX_LEAKS, &result), ==, -EIO);
    g_assert_true(g_file_get_contents(path, &after, &after_bytes, NULL));
    g_assert_cmpmem(before, before_bytes, after, after_bytes);
}

static void test_statistics(void)
{
    g_autofree char *path = make_image("");
    BdrvCheckResult result;

    g_assert_cmpint(check_image(path, 0, &result), ==, 0);
    g_assert_cmpuint(result.total_clusters, ==, DISK_BYTES / 65536);
    g_assert_cmpuint(result.allocated_clusters, ==, 2 * PATTERN_BYTES / 65536);
    g_assert_cmpuint(result.fragmented_clusters, ==, 0);
    g_assert_cmpuint(result.compressed_clusters, ==, 0);
    g_assert_cmpint(result.image_end_offset % 65536, ==, 0);
    g_assert_cmpint(result.image_end_offset, >, 2 * PATTERN_BYTES);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    g_test_add_func("/qcow2-check/map/counts-like-a-model", test_map_counts);
    g_test_add_func("/qcow2-check/map/saturates", test_map_saturates);
    g_test_add_func("/qcow2-check/map/visits-in-ascending-order", test_map_order);
    g_test_add_func("/qcow2-check/lost-refcounts-are-rebuilt-in-every-geometry", test_rebuild);
    g_test_add_func("/qcow2-check/leaks-are-repaired-in-every-geometry", test_leaks);
    g_test_add_func("/qcow2-check/changes-nothing-unless-asked-to", test_check_changes_nothing);
    g_test_add_func("/qcow2-check/statistics", test_statistics);
    ret = g_test_run();
    qcow2_fixture_done();
    return ret;
}
