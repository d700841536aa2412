/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of qemu/iov.h, qemu/buffer.h and qemu/bswap.h.
 *
 * Vectors are cut at random places of one linear buffer, which then is the model to compare with.
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/iov.h"

#define MODEL_SIZE 4096
#define ROUNDS     2000

/* Cut @buffer into elements of random length, some of them empty. */
static void cut_randomly(QEMUIOVector *qiov, uint8_t *buffer, size_t size)
{
    size_t largest = g_test_rand_int_range(1, MODEL_SIZE);

    qemu_iovec_init(qiov, g_test_rand_int_range(0, 4));
    for (size_t offset = 0; offset < size;) {
        size_t len = g_test_rand_int_range(0, MIN(largest, size - offset) + 1);

        qemu_iovec_add(qiov, buffer + offset, len);
        offset += len;
    }
}

static void fill_randomly(uint8_t *buffer, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        buffer[i] = g_test_rand_int();
    }
}

static void random_range(size_t *offset, size_t *len)
{
    *offset = g_test_rand_int_range(0, MODEL_SIZE + 1);
    *len = g_test_rand_int_range(0, MODEL_SIZE - *offset + 1);
}

static void test_copies(void)
{
    g_autofree uint8_t *model = g_malloc(MODEL_SIZE);
    g_autofree uint8_t *memory = g_malloc(MODEL_SIZE);

    fill_randomly(model, MODEL_SIZE);
    memcpy(memory, model, MODEL_SIZE);
    for (int round = 0; round < ROUNDS; round++) {
        g_auto(QEMUIOVector) qiov = {.nalloc = QEMU_IOVEC_BORROWED};
        uint8_t piece[MODEL_SIZE];
        size_t offset, len;

        cut_randomly(&qiov, memory, MODEL_SIZE);
        g_assert_cmpuint(qiov.size, ==, MODEL_SIZE);
        g_assert_cmpuint(iov_size(qiov.iov, qiov.niov), ==, MODEL_SIZE);

        random_range(&offset, &len);
        fill_randomly(piece, len);
        qemu_iovec_from_buf(&qiov, offset, piece, len);
        memcpy(model + offset, piece, len);
        g_assert_cmpmem(memory, MODEL_SIZE, model, MODEL_SIZE);

        random_range(&offset, &len);
        qemu_iovec_to_buf(&qiov, offset, piece, len);
        g_assert_cmpmem(piece, len, model + offset, len);

        random_range(&offset, &len);
        qemu_iovec_memset(&qiov, offset, round, len);
        memset(model + offset, round, len);
        g_assert_cmpmem(memory, MODEL_SIZE, model, MODEL_SIZE);
    }
}

static void test_slices(void)
{
    g_autofree uint8_t *memory = g_malloc(MODEL_SIZE);

    fill_randomly(memory, MODEL_SIZE);
    for (int round = 0; round < ROUNDS; round++) {
        g_auto(QEMUIOVector) source = {.nalloc = QEMU_IOVEC_BORROWED};
        g_auto(QEMUIOVector) slice = {.nalloc = QEMU_IOVEC_BORROWED};
        g_auto(QEMUIOVector) joined = {.nalloc = QEMU_IOVEC_BORROWED};
        uint8_t piece[MODEL_SIZE];
        size_t offset, len;

        cut_randomly(&source, memory, MODEL_SIZE);
        random_range(&offset, &len);
        qemu_iovec_init_slice(&slice, &source, offset, len);
        g_assert_cmpuint(slice.size, ==, len);
        g_assert_cmpuint(iov_size(slice.iov, slice.niov), ==, len);
        qemu_iovec_to_buf(&slice, 0, piece, len);
        g_assert_cmpmem(piece, len, memory + offset, len);

        qemu_iovec_init(&joined, 1);
        qemu_iovec_concat(&joined, &source, 0, offset);
        qemu_iovec_concat(&joined, &slice, 0, len);
        qemu_iovec_concat(&joined, &source, offset + len, MODEL_SIZE - offset - len);
        g_assert_cmpint(qemu_iovec_compare(&joined, &source), ==, -1);
    }
}

static void test_slice_within_elements_borrows(void)
{
    uint8_t memory[64];
    struct iovec iov[] = {{memory, 16}, {memory + 16, 16}, {memory + 32, 32}};
    QEMUIOVector source, slice;

    qemu_iovec_init_external(&source, iov, ARRAY_SIZE(iov));
    qemu_iovec_init_slice(&slice, &source, 20, 8);
    g_assert_true(slice.iov == &slice.local_iov);
    g_assert_true(slice.iov[0].iov_base == memory + 20);
    qemu_iovec_init_slice(&slice, &source, 16, 48);
    g_assert_true(slice.iov == &iov[1]);
    g_assert_cmpint(slice.niov, ==, 2);
    qemu_iovec_init_slice(&slice, &source, 16, 47);
    g_assert_cmpint(slice.nalloc, ==, 2);
    qemu_iovec_destroy(&slice);
}

static void test_reset_keeps_array(void)
{
    g_auto(QEMUIOVector) qiov = {.nalloc = QEMU_IOVEC_BORROWED};
    uint8_t memory[2];

    qemu_iovec_init(&qiov, 2);
    qemu_iovec_add(&qiov, memory, 2);
    qemu_iovec_reset(&qiov);
    g_assert_cmpuint(qiov.size, ==, 0);
    g_assert_cmpint(qiov.niov, ==, 0);
    g_assert_cmpint(qiov.nalloc, ==, 2);
    g_assert_true(qemu_iovec_is_zero(&qiov, 0, 0));
}

static void test_compare_finds_first_difference(void)
{
    g_autofree uint8_t *memory = g_malloc(MODEL_SIZE);
    g_autofree uint8_t *other = g_malloc(MODEL_SIZE);

    fill_randomly(memory, MODEL_SIZE);
    memcpy(other, memory, MODEL_SIZE);
    for (int round = 0; round < ROUNDS; round++) {
        g_auto(QEMUIOVector) a = {.nalloc = QEMU_IOVEC_BORROWED};
        g_auto(QEMUIOVector) b = {.nalloc = QEMU_IOVEC_BORROWED};
        int at = g_test_rand_int_range(0, MODEL_SIZE);
        int later = g_test_rand_int_range(at, MODEL_SIZE);

        cut_randomly(&a, memory, MODEL_SIZE);
        cut_randomly(&b, other, MODEL_SIZE);
        g_assert_cmpint(qemu_iovec_compare(&a, &b), ==, -1);
        other[at] = ~memory[at];
        other[later] = ~memory[later];
        g_assert_cmpint(qemu_iovec_compare(&a, &b), ==, at);
        other[at] = memory[at];
        other[later] = memory[later];
    }
}

static void test_alignment_looks_at_address_and_length(void)
{
    QEMU_AUTO_VFREE uint8_t *memory = qemu_memalign(4096, 8192);
    struct iovec iov[] = {{memory, 4096}, {memory + 4096, 512}};
    QEMUIOVector qiov;

    qemu_iovec_init_external(&qiov, iov, ARRAY_SIZE(iov));
    g_assert_true(qemu_iovec_has_alignment(&qiov, 1));
    g_assert_true(qemu_iovec_has_alignment(&qiov, 512));
    g_assert_false(qemu_iovec_has_alignment(&qiov, 4096));
    qemu_iovec_init_buf(&qiov, memory + 256, 512);
    g_assert_true(qemu_iovec_has_alignment(&qiov, 256));
    g_assert_false(qemu_iovec_has_alignment(&qiov, 512));
}

static void test_memalign(void)
{
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        QEMU_AUTO_VFREE uint8_t *memory = qemu_memalign(alignment, 3);
        QEMU_AUTO_VFREE uint8_t *nothing = qemu_try_memalign(alignment, 0);

        g_assert_cmpuint((uintptr_t)memory % alignment, ==, 0);
        memset(memory, 0, 3);
        g_assert_nonnull(nothing);
    }
#ifndef __SANITIZE_ADDRESS__
    /* AddressSanitizer treats a size this large as a bug of the caller. */
    g_assert_null(qemu_try_memalign(4096, PTRDIFF_MAX));
#endif
}

static void test_one_byte_spoils_zeroes(void)
{
    enum { SIZE = 300 };
    uint8_t memory[SIZE] = {0};

    for (size_t start = 0; start < 17; start++) {
        for (size_t len = 0; len <= SIZE - start; len++) {
            memset(memory, 1, SIZE);
            memset(memory + start, 0, len);
            g_assert_true(buffer_is_zero(memory + start, len));
        }
        memset(memory, 0, SIZE);
        for (size_t at = start; at < SIZE; at++) {
            size_t len = SIZE - start - g_test_rand_int_range(0, SIZE - at);

            memory[at] = 1 << g_test_rand_int_range(0, 8);
            g_assert_false(buffer_is_zero(memory + start, len));
            memory[at] = 0;
        }
    }
}

static void test_vector_is_zero(void)
{
    g_autofree uint8_t *memory = g_malloc0(MODEL_SIZE);

    for (int round = 0; round < ROUNDS; round++) {
        g_auto(QEMUIOVector) qiov = {.nalloc = QEMU_IOVEC_BORROWED};
        size_t at = g_test_rand_int_range(0, MODEL_SIZE);
        size_t offset, len;

        cut_randomly(&qiov, memory, MODEL_SIZE);
        random_range(&offset, &len);
        g_assert_true(qemu_iovec_is_zero(&qiov, offset, len));
        memory[at] = 1;
        g_assert_true(qemu_iovec_is_zero(&qiov, offset, len) ==
                      (at < offset || at >= offset + len));
        memory[at] = 0;
    }
}

static void test_byte_order(void)
{
    uint8_t memory[9] = {0xff, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t copy[9] = {0xff};
    uint8_t *odd = memory + 1;
    uint64_t value;

    g_assert_cmphex(lduw_be_p(odd), ==, 0x0102);
    g_assert_cmphex(ldl_be_p(odd), ==, 0x01020304);
    g_assert_cmphex(ldq_be_p(odd), ==, 0x0102030405060708);
    g_assert_cmphex(lduw_le_p(odd), ==, 0x0201);
    g_assert_cmphex(ldl_le_p(odd), ==, 0x04030201);
    g_assert_cmphex(ldq_le_p(odd), ==, 0x0807060504030201);
    stw_be_p(copy + 1, 0x0102);
    stl_le_p(copy + 3, 0x06050403);
    stw_le_p(copy + 7, 0x0807);
    g_assert_cmpmem(copy, 9, memory, 9);
    stl_be_p(copy + 1, 0x01020304);
    stq_le_p(copy + 1, ldq_le_p(copy + 1));
    g_assert_cmpmem(copy, 9, memory, 9);
    stq_be_p(copy + 1, 0x0102030405060708);
    g_assert_cmpmem(copy, 9, memory, 9);
    memcpy(&value, odd, sizeof(value));
    g_assert_cmphex(be64_to_cpu(value), ==, 0x0102030405060708);
    g_assert_cmphex(cpu_to_be64(0x0102030405060708), ==, value);
    g_assert_cmphex(le64_to_cpu(value), ==, 0x0807060504030201);
    g_assert_cmphex(cpu_to_le64(0x0807060504030201), ==, value);
    g_assert_cmphex(be32_to_cpu(cpu_to_be32(0x01020304)), ==, 0x01020304);
    g_assert_cmphex(le16_to_cpu(cpu_to_le16(0x0102)), ==, 0x0102);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iov/copies-agree-with-linear-memory", test_copies);
    g_test_add_func("/iov/slices-are-the-bytes-of-their-source", test_slices);
    g_test_add_func("/iov/slice-that-cuts-no-elements-allocates-nothing",
                    test_slice_within_elements_borrows);
    g_test_add_func("/iov/reset-keeps-the-array", test_reset_keeps_array);
    g_test_add_func("/iov/compare-finds-the-first-difference", test_compare_finds_first_difference);
    g_test_add_func("/iov/alignment-looks-at-address-and-length",
                    test_alignment_looks_at_address_and_length);
    g_test_add_func("/iov/is-zero-looks-at-the-range-only", test_vector_is_zero);
    g_test_add_func("/buffer/memory-is-aligned", test_memalign);
    g_test_add_func("/buffer/one-byte-spoils-zeroes-and-neighbours-do-not",
                    test_one_byte_spoils_zeroes);
    g_test_add_func("/bswap/byte-order-at-odd-addresses", test_byte_order);
    return g_test_run();
}
