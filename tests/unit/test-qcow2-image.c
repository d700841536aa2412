/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the driver promises of an image as a whole: creation, resizing, and what a header keeps.
 */
#include "qemu/osdep.h"

#include "qcow2-fixture.h"
#include "qemu/bswap.h"
#include "qemu/buffer.h"

#define HDR_INCOMPATIBLE 72
#define HDR_AUTOCLEAR 88
#define HDR_LENGTH 100
#define EXT_UNKNOWN 0x11223344

static char *image_path(void)
{
    return qcow2_fixture_path("image.qcow2");
}

static uint8_t *load_file(const char *path, gsize *size)
{
    char *content;

    g_assert_true(g_file_get_contents(path, &content, size, NULL));
    return (uint8_t *)content;
}

static void assert_stock_check(const char *path)
{
    g_autofree char *check = g_strdup_printf("check -f qcow2 %s", path);

    g_assert_true(qcow2_fixture_stock_agrees(check));
}

static void assert_filled(BlockBackend *blk, int64_t offset, int64_t bytes, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(bytes);

    g_assert_cmpint(blk_pread(blk, offset, bytes, buf, 0), ==, 0);
    for (int64_t i = 0; i < bytes; i++) {
        g_assert_cmphex(buf[i], ==, byte);
    }
}

static void fill(BlockBackend *blk, int64_t offset, int64_t bytes, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(bytes);

    memset(buf, byte, bytes);
    g_assert_cmpint(blk_pwrite(blk, offset, bytes, buf, 0), ==, 0);
}

/* ---- creation ---- */

static void test_fresh_image_is_small(void)
{
    g_autofree char *path = image_path();
    g_autofree uint8_t *image = NULL;
    gsize size;

    g_assert_true(qcow2_fixture_create(path, NULL, 4 * MiB, &error_abort));
    image = load_file(path, &size);
    g_assert_cmpint(size, ==, 3 * 65536 + 512);
    g_assert_cmpint(ldl_be_p(image + HDR_LENGTH), ==, 112);
    assert_stock_check(path);
}

static void test_sizes(void)
{
    static const int64_t sizes[] = {0, 512, 65536, 3 * MiB + 512, GiB, 64 * TiB};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        g_autofree char *path = image_path();
        BlockBackend *blk;

        g_assert_true(qcow2_fixture_create(path, NULL, sizes[i], &error_abort));
        assert_stock_check(path);
        blk = qcow2_fixture_open(path, NULL, &error_abort);
        g_assert_cmpint(blk_getlength(blk), ==, sizes[i]);
        if (sizes[i]) {
            fill(blk, sizes[i] - 512, 512, 1);
            assert_filled(blk, sizes[i] - 512, 512, 1);
        }
        blk_unref(blk);
        assert_stock_check(path);
    }
}

typedef struct RefusedCase {
    const char *words;
    int64_t size;
    const char *message;
} RefusedCase;

static const RefusedCase refused_cases[] = {
    {"cluster_size=100", MiB, "Cluster size must be a power of two between 512 and 2048k"},
    {"cluster_size=4M", MiB, "Cluster size must be a power of two between 512 and 2048k"},
    {"refcount_bits=3", MiB, "Refcount width must be a power of two and may not exceed 64 bits"},
    {"refcount_bits=128", MiB, "Refcount width must be a power of two"},
    {"refcount_bits=1,compat=0.10", MiB, "Different refcount widths than 16 bits require"},
    {"lazy_refcounts=on,compat=0.10", MiB, "Lazy refcounts only supported with compatibility"},
    {"extended_l2=on", MiB, "Extended L2 entries are not supported"},
    {"compression_type=zstd", MiB, "Compression type 'zstd' is not supported"},
    {"backing_file=none.img,backing_fmt=raw", MiB, "No such file or directory"},
    {"backing_fmt=raw", MiB, "Backing format cannot be used without backing file"},
    {"cluster_size=512", TiB, "The image size is too large for file format 'qcow2'"},
};

static void test_refused_options_leave_no_file(void)
{
    g_autofree char *path = qcow2_fixture_path("refused.qcow2");

    for (size_t i = 0; i < ARRAY_SIZE(refused_cases); i++) {
        Error *err = NULL;

        g_assert_false(qcow2_fixture_create(path, refused_cases[i].words, refused_cases[i].size,
                                            &err));
        if (!strstr(error_get_pretty(err), refused_cases[i].message)) {
            g_error("expected '%s', got '%s'", refused_cases[i].message, error_get_pretty(err));
        }
        error_free(err);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
}

/* ---- resizing ---- */

static void test_grown_disk_reads_zeroes(void)
{
    g_autofree char *path = image_path();
    BlockBackend *blk;

    g_assert_true(qcow2_fixture_create(path, "cluster_size=4096", 64 * KiB, &error_abort));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    fill(blk, 0, 64 * KiB, 0xaa);
    /* The rest of a cluster, cut off, must not come back. */
    g_assert_cmpint(blk_truncate(blk, 10 * KiB, false, PREALLOC_MODE_OFF, 0, NULL), ==, 0);
    g_assert_cmpint(blk_truncate(blk, 300 * MiB, false, PREALLOC_MODE_OFF, 0, NULL), ==, 0);
    assert_filled(blk, 0, 10 * KiB, 0xaa);
    assert_filled(blk, 10 * KiB, 128 * KiB, 0);
    fill(blk, 300 * MiB - 512, 512, 0xbb);
    blk_unref(blk);
    assert_stock_check(path);
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    assert_filled(blk, 0, 10 * KiB, 0xaa);
    assert_filled(blk, 300 * MiB - 512, 512, 0xbb);
    blk_unref(blk);
}

static void test_shrinking_gives_space_back(void)
{
    g_autofree char *path = image_path();
    g_autofree uint8_t *image = NULL;
    BlockBackend *blk;
    gsize size;

    g_assert_true(qcow2_fixture_create(path, "cluster_size=512", 4 * MiB, &error_abort));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    fill(blk, 0, 4 * MiB, 0xaa);
    g_assert_cmpint(blk_truncate(blk, 64 * KiB, false, PREALLOC_MODE_OFF, 0, NULL), ==, 0);
    assert_filled(blk, 0, 64 * KiB, 0xaa);
    blk_unref(blk);
    assert_stock_check(path);
    image = load_file(path, &size);
    g_assert_cmpint(size, <, MiB);
}

static void test_growing_preallocates(void)
{
    g_autofree char *path = image_path();
    BlockBackend *blk;

    g_assert_true(qcow2_fixture_create(path, NULL, MiB, &error_abort));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    g_assert_cmpint(blk_truncate(blk, 8 * MiB, false, PREALLOC_MODE_FALLOC, 0, NULL), ==, 0);
    assert_filled(blk, 0, 8 * MiB, 0);
    blk_unref(blk);
    assert_stock_check(path);
}

/* ---- the header ---- */

/* Put an unknown extension with @data where the list of extensions ends. */
static void add_extension(uint8_t *image, const char *data)
{
    uint8_t *at = image + ldl_be_p(image + HDR_LENGTH);

    while (ldl_be_p(at)) {
        at += 8 + ROUND_UP(ldl_be_p(at + 4), 8);
    }
    stl_be_p(at, EXT_UNKNOWN);
    stl_be_p(at + 4, strlen(data));
    memcpy(at + 8, data, strlen(data));
}

static void test_unknown_parts_survive(void)
{
    g_autofree char *path = image_path();
    g_autofree uint8_t *image = NULL;
    g_autofree uint8_t *after = NULL;
    BlockBackend *blk;
    gsize size;

    g_assert_true(qcow2_fixture_create(path, NULL, MiB, &error_abort));
    image = load_file(path, &size);
    add_extension(image, "something from the future");
    stq_be_p(image + HDR_AUTOCLEAR, UINT64_C(1) << 40);
    g_assert_true(g_file_set_contents(path, (char *)image, size, NULL));

    /* Read-only, nothing changes. */
    blk = blk_new_open(path, NULL, json_pack("{s:s}", "driver", "qcow2"), 0, false, &error_abort);
    blk_unref(blk);
    after = load_file(path, &size);
    g_assert_cmpmem(image, size, after, size);
    g_clear_pointer(&after, g_free);

    /* Written to, the unknown autoclear bit goes, the extension stays. */
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    blk_unref(blk);
    after = load_file(path, &size);
    g_assert_cmphex(ldq_be_p(after + HDR_AUTOCLEAR), ==, 0);
    g_assert_nonnull(memmem(after, 4096, "something from", strlen("something from")));
    assert_stock_check(path);
}

static void test_lazy_image_is_dirty_while_written(void)
{
    g_autofree char *path = image_path();
    g_autofree uint8_t *image = NULL;
    BlockBackend *blk;
    gsize size;

    g_assert_true(qcow2_fixture_create(path, "lazy_refcounts=on", MiB, &error_abort));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    fill(blk, 0, 65536, 1);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    image = load_file(path, &size);
    g_assert_cmphex(ldq_be_p(image + HDR_INCOMPATIBLE), ==, 1);
    blk_unref(blk);

    /* Closed cleanly it is clean; what a crash left is repaired when it is opened. */
    g_assert_true(g_file_set_contents(path, (char *)image, size, NULL));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    assert_filled(blk, 0, 65536, 1);
    fill(blk, 65536, 65536, 2);
    blk_unref(blk);
    g_free(image);
    image = load_file(path, &size);
    g_assert_cmphex(ldq_be_p(image + HDR_INCOMPATIBLE), ==, 0);
    assert_stock_check(path);
}

static void test_overlap_marks_corrupt(void)
{
    g_autofree char *path = image_path();
    g_autofree uint8_t *image = NULL;
    BlockBackend *blk;
    Error *err = NULL;
    gsize size;

    g_assert_true(qcow2_fixture_create(path, NULL, MiB, &error_abort));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    fill(blk, 0, 65536, 1);
    blk_unref(blk);
    image = load_file(path, &size);
    /* The first L2 entry (the table follows L1) now points to the refcount block. */
    stq_be_p(image + 4 * 65536, UINT64_C(0x8000000000020000));
    g_assert_true(g_file_set_contents(path, (char *)image, size, NULL));

    blk = qcow2_fixture_open(path, NULL, &error_abort);
    g_assert_cmpint(blk_pwrite(blk, 0, 512, image, 0), ==, -EIO);
    g_assert_cmpint(blk_pwrite(blk, 0, 512, image, 0), ==, -ENOMEDIUM);
    blk_unref(blk);
    g_assert_null(qcow2_fixture_open(path, NULL, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "Image is corrupt"));
    error_free(err);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    g_test_add_func("/qcow2/image/fresh-image-is-three-clusters-and-l1", test_fresh_image_is_small);
    g_test_add_func("/qcow2/image/every-size-from-zero", test_sizes);
    g_test_add_func("/qcow2/image/refused-options-leave-no-file",
                    test_refused_options_leave_no_file);
    g_test_add_func("/qcow2/image/grown-disk-reads-zeroes", test_grown_disk_reads_zeroes);
    g_test_add_func("/qcow2/image/shrinking-gives-space-back", test_shrinking_gives_space_back);
    g_test_add_func("/qcow2/image/growing-preallocates", test_growing_preallocates);
    g_test_add_func("/qcow2/image/unknown-parts-of-the-header-survive", test_unknown_parts_survive);
    g_test_add_func("/qcow2/image/lazy-image-is-dirty-while-written",
                    test_lazy_image_is_dirty_while_written);
    g_test_add_func("/qcow2/image/overlap-with-metadata-marks-corrupt", test_overlap_marks_corrupt);
    status = g_test_run();
    qcow2_fixture_done();
    return status;
}
