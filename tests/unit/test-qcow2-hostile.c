/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Damaged images: whatever the metadata says, the driver ends with an error or an answer, never
 * with a crash, endless work or endless memory.
 */
#include "qemu/osdep.h"

#include "qcow2-fixture.h"
#include "qemu/bswap.h"

#define IMAGE_SIZE MiB
#define NR_MUTANTS 400

static char *make_image(const char *words)
{
    char *path = qcow2_fixture_path("hostile.qcow2");
    g_autofree uint8_t *data = g_malloc(256 * KiB);
    BlockBackend *blk;

    memset(data, 0x5a, 256 * KiB);
    g_assert_true(qcow2_fixture_create(path, words, IMAGE_SIZE, &error_abort));
    blk = qcow2_fixture_open(path, NULL, &error_abort);
    g_assert_cmpint(blk_pwrite(blk, 0, 256 * KiB, data, 0), ==, 0);
    g_assert_cmpint(blk_pwrite_zeroes(blk, 512 * KiB, 128 * KiB, 0), ==, 0);
    blk_unref(blk);
    return path;
}

/* Use an image for everything; results do not matter. */
static void use_image(const char *path)
{
    g_autofree uint8_t *buf = g_malloc0(IMAGE_SIZE);
    BlockBackend *blk = qcow2_fixture_open(path, NULL, NULL);
    int64_t length;

    if (!blk) {
        return;
    }
    length = MIN(blk_getlength(blk), IMAGE_SIZE);
    if (length > 0) {
        blk_pread(blk, 0, length, buf, 0);
        blk_pwrite(blk, 0, MIN(length, 1024), buf, 0);
        blk_pwrite(blk, length / 2, length - length / 2, buf, 0);
        blk_pwrite_zeroes(blk, 0, length, BDRV_REQ_MAY_UNMAP);
        blk_pdiscard(blk, 0, length);
        blk_flush(blk);
    }
    blk_truncate(blk, 2 * IMAGE_SIZE, false, PREALLOC_MODE_OFF, 0, NULL);
    blk_truncate(blk, IMAGE_SIZE / 2, false, PREALLOC_MODE_OFF, 0, NULL);
    blk_unref(blk);
}

/* Change some bytes of metadata: values at the limits, flipped bits, random ones. */
static void mutate(GRand *rand, uint8_t *image, size_t size, size_t metadata_bytes)
{
    static const uint64_t limits[] = {
        0, 1, 0x1ff, 0x200, 0xffff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX,
        UINT64_C(1) << 55, UINT64_C(0x8000000000000001), UINT64_C(0x4000000000000000),
    };
    int count = g_rand_int_range(rand, 1, 4);

    for (int i = 0; i < count; i++) {
        size_t at = g_rand_int_range(rand, 8, MIN(metadata_bytes, size) - 8);

        switch (g_rand_int_range(rand, 0, 4)) {
        case 0:
            image[at] ^= 1 << g_rand_int_range(rand, 0, 8);
            break;
        case 1:
            image[at] = g_rand_int_range(rand, 0, 256);
            break;
        case 2:
            stq_be_p(image + ROUND_DOWN(at, 8), limits[g_rand_int_range(rand, 0, 12)]);
            break;
        default:
            stl_be_p(image + ROUND_DOWN(at, 4), limits[g_rand_int_range(rand, 0, 12)]);
            break;
        }
    }
}

static void test_mutants(gconstpointer words)
{
    g_autofree char *path = make_image(words);
    g_autofree char *good = NULL;
    g_autofree uint8_t *image = NULL;
    GRand *rand = g_rand_new_with_seed(g_test_rand_int());
    gsize size;

    g_assert_true(g_file_get_contents(path, &good, &size, NULL));
    image = g_malloc(size);
    for (int i = 0; i < NR_MUTANTS; i++) {
        /* The header first and most; then tables, which lie at the beginning of the file. */
        size_t metadata_bytes = i % 2 ? 120 : MIN(size, 16 * KiB);

        memcpy(image, good, size);
        mutate(rand, image, size, metadata_bytes);
        g_assert_true(g_file_set_contents(path, (char *)image, size, NULL));
        use_image(path);
    }
    g_rand_free(rand);
}

static void test_truncated_files(void)
{
    g_autofree char *path = make_image("cluster_size=4096");
    g_autofree char *good = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &good, &size, NULL));
    for (gsize length = 0; length < 40 * KiB; length += 512) {
        g_assert_true(g_file_set_contents(path, good, length, NULL));
        use_image(path);
    }
}

typedef struct HeaderCase {
    size_t offset;
    int width;
    uint64_t value;
    const char *message;
} HeaderCase;

static const HeaderCase header_cases[] = {
    {4, 4, 1, "Unsupported qcow2 version 1"},
    {4, 4, 4, "Unsupported qcow2 version 4"},
    {20, 4, 8, "Unsupported cluster size: 2^8"},
    {20, 4, 22, "Unsupported cluster size: 2^22"},
    {100, 4, 72, "qcow2 header too short"},
    {100, 4, 65544, "qcow2 header exceeds cluster size"},
    {8, 8, 65537, "Invalid backing file offset"},
    {104, 1, 2, "qcow2: unknown compression type: 2"},
    {104, 1, 1, "qcow2: Compression type incompatible feature bit must be set"},
    {72, 8, 8, "qcow2: Compression type incompatible feature bit must not be set"},
    {72, 8, 4, "Unsupported qcow2 feature(s): external data file"},
    {72, 8, 16, "Unsupported qcow2 feature(s): extended L2 entries"},
    {72, 8, UINT64_C(1) << 40, "Unknown incompatible feature: 10000000000"},
    {72, 8, 2, "qcow2: Image is corrupt; cannot be opened read/write"},
    {96, 4, 7, "Reference count entry width too large; may not exceed 64 bits"},
    {56, 4, 0, "Image does not contain a reference count table"},
    {56, 4, 129, "Reference count table too large"},
    {48, 8, 65537, "Reference count table offset invalid"},
    {60, 4, 65537, "Snapshot table too large"},
    {64, 8, 1, "Snapshot table offset invalid"},
    {36, 4, 0x400001, "Active L1 table too large"},
    {40, 8, 512, "Active L1 table offset invalid"},
    {24, 8, UINT64_MAX, "Image is too big"},
    {24, 8, UINT64_C(1) << 40, "L1 table is too small"},
    {32, 4, 3, "Unsupported encryption method 3"},
    {32, 4, 2, "Encrypted images are not supported"},
    {60, 4, 1, "Internal snapshots are not supported"},
};

static void store(uint8_t *at, int width, uint64_t value)
{
    if (width == 8) {
        stq_be_p(at, value);
    } else if (width == 4) {
        stl_be_p(at, value);
    } else {
        *at = value;
    }
}

static void test_header_messages(void)
{
    g_autofree char *path = make_image(NULL);
    g_autofree char *good = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &good, &size, NULL));
    for (size_t i = 0; i < ARRAY_SIZE(header_cases); i++) {
        const HeaderCase *header = &header_cases[i];
        g_autofree uint8_t *image = g_memdup2(good, size);
        g_autofree char *after = NULL;
        Error *err = NULL;
        gsize size_after;

        store(image + header->offset, header->width, header->value);
        g_assert_true(g_file_set_contents(path, (char *)image, size, NULL));
        g_assert_null(qcow2_fixture_open(path, NULL, &err));
        if (!strstr(error_get_pretty(err), header->message)) {
            g_error("expected '%s', got '%s'", header->message, error_get_pretty(err));
        }
        error_free(err);
        g_assert_true(g_file_get_contents(path, &after, &size_after, NULL));
        g_assert_cmpmem(image, size, after, size_after);
    }
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    g_test_add_func("/qcow2/hostile/each-wrong-field-has-its-message", test_header_messages);
    g_test_add_func("/qcow2/hostile/a-file-may-end-anywhere", test_truncated_files);
    g_test_add_data_func("/qcow2/hostile/mutants-small-clusters", "cluster_size=512",
                         test_mutants);
    g_test_add_data_func("/qcow2/hostile/mutants-wide-refcounts",
                         "cluster_size=512,refcount_bits=64", test_mutants);
    g_test_add_data_func("/qcow2/hostile/mutants-version-2", "compat=0.10,cluster_size=1024",
                         test_mutants);
    status = g_test_run();
    qcow2_fixture_done();
    return status;
}
