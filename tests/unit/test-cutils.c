/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of qemu/cutils.h, as tables of text and outcome.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"

#define UNCHANGED 0xfeedfacecafebeefULL

typedef struct SizeCase {
    const char *text;
    int ret;
    uint64_t size; /* where @ret is 0 */
} SizeCase;

static const SizeCase size_cases[] = {
    {"0", 0, 0},
    {"1", 0, 1},
    {"007", 0, 7},
    {"512", 0, 512},
    {"512b", 0, 512},
    {"64K", 0, 64 * KiB},
    {"64k", 0, 64 * KiB},
    {"3m", 0, 3 * MiB},
    {"1.5G", 0, 3 * GiB / 2},
    {"1.g", 0, GiB},
    {".5K", 0, 512},
    {"2T", 0, 2 * TiB},
    {"1P", 0, PiB},
    {"8E", 0, 8ULL << 60},
    {"15E", 0, 15ULL << 60},
    {"1.1K", 0, 1126},
    {"0.0009765625K", 0, 1},
    {"0.0009765624999999999999999999999999999K", 0, 0},
    {"0.999999999999999999999E", 0, (1ULL << 60) - 1},
    {"0.1E", 0, 115292150460684697ULL},
    {"15.9999999999999999999999E", 0, UINT64_MAX},
    {"0x10", 0, 16},
    {"0X1f", 0, 31},
    {"0x1b", 0, 0x1b},
    {"0xffffffffffffffff", 0, UINT64_MAX},
    {"18446744073709551615", 0, UINT64_MAX},
    {"9223372036854775807", 0, INT64_MAX},
    {"18446744073709551616", -ERANGE, 0},
    {"0x10000000000000000", -ERANGE, 0},
    {"99999999999999999999999999999", -ERANGE, 0},
    {"99999999999999999999999999999K", -ERANGE, 0},
    {"16E", -ERANGE, 0},
    {"16.0E", -ERANGE, 0},
    {"16384P", -ERANGE, 0},
    {"18014398509481984K", -ERANGE, 0},
    {"", -EINVAL, 0},
    {" ", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"1 ", -EINVAL, 0},
    {"1 K", -EINVAL, 0},
    {"K", -EINVAL, 0},
    {".", -EINVAL, 0},
    {".K", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"-0", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {"1KB", -EINVAL, 0},
    {"1KiB", -EINVAL, 0},
    {"1e3", -EINVAL, 0},
    {"1e30", -EINVAL, 0},
    {"1E+3", -EINVAL, 0},
    {"1.5", -EINVAL, 0},
    {"1.0", -EINVAL, 0},
    {"1.", -EINVAL, 0},
    {"1.5b", -EINVAL, 0},
    {"1.5.5K", -EINVAL, 0},
    {"1,5G", -EINVAL, 0},
    {"1Z", -EINVAL, 0},
    {"0x", -EINVAL, 0},
    {"0x1K", -EINVAL, 0},
    {"0x1.8", -EINVAL, 0},
    {"0x-1", -EINVAL, 0},
    {"inf", -EINVAL, 0},
    {"nan", -EINVAL, 0},
    {"12abc", -EINVAL, 0},
    {"\xc2\xb2", -EINVAL, 0},
};

static void test_sizes(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(size_cases); i++) {
        const SizeCase *c = &size_cases[i];
        uint64_t size = UNCHANGED;

        g_test_message("size '%s'", c->text);
        g_assert_cmpint(qemu_strtosz(c->text, NULL, &size), ==, c->ret);
        g_assert_cmpuint(size, ==, c->ret == 0 ? c->size : UNCHANGED);
    }
}

static void test_size_end(void)
{
    static const struct {
        const char *text;
        int ret;
        size_t consumed;
    } cases[] = {
        {"64K,rest", 0, 3},   {"1.5G:", 0, 4},       {"12 34", 0, 2},
        {"1K-", 0, 2},        {"16E,x", -ERANGE, 3}, {"x", -EINVAL, 0},
        {"1KB,", -EINVAL, 0}, {"1e3", -EINVAL, 0},   {"1.5,", -EINVAL, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *end = NULL;
        uint64_t size;

        g_test_message("size '%s'", cases[i].text);
        g_assert_cmpint(qemu_strtosz(cases[i].text, &end, &size), ==, cases[i].ret);
        g_assert_cmpint(end - cases[i].text, ==, cases[i].consumed);
    }
}

static void test_every_power_of_two(void)
{
    for (int shift = 0; shift < 64; shift++) {
        uint64_t expected = UINT64_C(1) << shift;
        g_autofree char *in_bytes = g_strdup_printf("%" PRIu64, expected);
        g_autofree char *with_suffix =
            g_strdup_printf("%d%c", 1 << shift % 10, "bkmgtpe"[shift / 10]);
        uint64_t size;

        g_assert_cmpint(qemu_strtosz(in_bytes, NULL, &size), ==, 0);
        g_assert_cmpuint(size, ==, expected);
        g_assert_cmpint(qemu_strtosz(with_suffix, NULL, &size), ==, 0);
        g_assert_cmpuint(size, ==, expected);
    }
}

typedef struct IntegerCase {
    const char *text;
    int base;
    int ret_i, ret_ui, ret_i64, ret_u64;
    uint64_t value; /* where one of them is 0, as that type sees it */
} IntegerCase;

#define ALL(ret) (ret), (ret), (ret), (ret)

static const IntegerCase integer_cases[] = {
    {"0", 10, ALL(0), 0},
    {"42", 0, ALL(0), 42},
    {"0x2a", 0, ALL(0), 42},
    {"2a", 16, ALL(0), 42},
    {"052", 0, ALL(0), 42},
    {"052", 10, ALL(0), 52},
    {"2147483647", 10, ALL(0), INT_MAX},
    {"2147483648", 10, -ERANGE, 0, 0, 0, 2147483648},
    {"4294967295", 10, -ERANGE, 0, 0, 0, UINT_MAX},
    {"4294967296", 10, -ERANGE, -ERANGE, 0, 0, 4294967296},
    {"-1", 10, 0, -EINVAL, 0, -EINVAL, -1},
    {"-2147483648", 10, 0, -EINVAL, 0, -EINVAL, INT_MIN},
    {"-2147483649", 10, -ERANGE, -EINVAL, 0, -EINVAL, -2147483649},
    {"-9223372036854775808", 10, -ERANGE, -EINVAL, 0, -EINVAL, INT64_MIN},
    {"-9223372036854775809", 10, -ERANGE, -EINVAL, -ERANGE, -EINVAL, 0},
    {"9223372036854775807", 10, -ERANGE, -ERANGE, 0, 0, INT64_MAX},
    {"9223372036854775808", 10, -ERANGE, -ERANGE, -ERANGE, 0, 9223372036854775808u},
    {"18446744073709551615", 10, -ERANGE, -ERANGE, -ERANGE, 0, UINT64_MAX},
    {"18446744073709551616", 10, ALL(-ERANGE), 0},
    {"", 10, ALL(-EINVAL), 0},
    {"-", 10, ALL(-EINVAL), 0},
    {"+1", 10, ALL(-EINVAL), 0},
    {"--1", 10, ALL(-EINVAL), 0},
    {" 1", 10, ALL(-EINVAL), 0},
    {"\t1", 10, ALL(-EINVAL), 0},
    {"- 1", 10, ALL(-EINVAL), 0},
    {"-+1", 10, ALL(-EINVAL), 0},
    {"1 ", 10, ALL(-EINVAL), 0},
    {"1x", 10, ALL(-EINVAL), 0},
    {"a", 10, ALL(-EINVAL), 0},
    {"09", 0, ALL(-EINVAL), 0},
    {"99999999999999999999x", 10, ALL(-EINVAL), 0},
};

static void test_integers(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(integer_cases); i++) {
        const IntegerCase *c = &integer_cases[i];
        int value_i = 11;
        unsigned int value_ui = 11;
        int64_t value_i64 = 11;
        uint64_t value_u64 = 11;

        g_test_message("integer '%s'", c->text);
        g_assert_cmpint(qemu_strtoi(c->text, NULL, c->base, &value_i), ==, c->ret_i);
        g_assert_cmpint(value_i, ==, c->ret_i ? 11 : (int)c->value);
        g_assert_cmpint(qemu_strtoui(c->text, NULL, c->base, &value_ui), ==, c->ret_ui);
        g_assert_cmpuint(value_ui, ==, c->ret_ui ? 11 : c->value);
        g_assert_cmpint(qemu_strtoi64(c->text, NULL, c->base, &value_i64), ==, c->ret_i64);
        g_assert_cmpint(value_i64, ==, c->ret_i64 ? 11 : (int64_t)c->value);
        g_assert_cmpint(qemu_strtou64(c->text, NULL, c->base, &value_u64), ==, c->ret_u64);
        g_assert_cmpuint(value_u64, ==, c->ret_u64 ? 11 : c->value);
    }
}

static void test_integer_end(void)
{
    const char *text = "-12,34";
    const char *end = NULL;
    unsigned int unsigned_value;
    int value;

    g_assert_cmpint(qemu_strtoi(text, &end, 10, &value), ==, 0);
    g_assert_cmpint(value, ==, -12);
    g_assert_cmpstr(end, ==, ",34");
    g_assert_cmpint(qemu_strtoui(text, &end, 10, &unsigned_value), ==, -EINVAL);
    g_assert_true(end == text);
}

static void test_size_arg(void)
{
    g_autoptr(Error) invalid = NULL;
    g_autoptr(Error) out_of_range = NULL;
    g_autoptr(Error) too_small = NULL;
    g_autoptr(Error) over_64_bits = NULL;

    g_assert_cmpint(parse_size_arg("image size", "8E", 0, INT64_MAX, &out_of_range), ==, -ERANGE);
    g_assert_cmpstr(error_get_pretty(out_of_range), ==,
                    "Invalid image size specified. Must be between 0 and 9223372036854775807.");
    g_assert_cmpint(parse_size_arg("image size", "1KB", 0, INT64_MAX, &invalid), ==, -EINVAL);
    g_assert_cmpstr(error_get_pretty(invalid), ==, "Invalid image size specified: '1KB'");
    g_assert_cmpint(parse_size_arg("bs", "0", 1, INT_MAX, &too_small), ==, -ERANGE);
    g_assert_cmpstr(error_get_pretty(too_small), ==,
                    "Invalid bs specified. Must be between 1 and 2147483647.");
    g_assert_cmpint(parse_size_arg("bs", "16E", 1, INT_MAX, &over_64_bits), ==, -ERANGE);
    g_assert_cmpint(parse_size_arg("image size", "1.5G", 0, INT64_MAX, &error_abort), ==,
                    3 * GiB / 2);
    g_assert_cmpint(parse_size_arg("image size", "9223372036854775807", 0, INT64_MAX, &error_abort),
                    ==, INT64_MAX);
}

static void test_switches(void)
{
    static const char *const on[] = {"on", "yes", "true", "y"};
    static const char *const off[] = {"off", "no", "false", "n"};
    static const char *const neither[] = {"", "1", "0", "ON", "onn", "o", " on", "true "};
    g_autoptr(Error) err = NULL;
    bool value;

    for (size_t i = 0; i < ARRAY_SIZE(on); i++) {
        value = false;
        g_assert_true(parse_bool(on[i], &value));
        g_assert_true(value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
        value = true;
        g_assert_true(parse_bool(off[i], &value));
        g_assert_false(value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(neither); i++) {
        g_assert_false(parse_bool(neither[i], &value));
    }
    g_assert_false(parse_bool_arg("lazy_refcounts", "maybe", &value, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "Parameter 'lazy_refcounts' expects 'on' or 'off', got 'maybe'");
}

static void test_three_digits(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},           {1, "1 B"},           {512, "512 B"},         {999, "999 B"},
        {1000, "0.977 KiB"},  {1024, "1 KiB"},      {1536, "1.5 KiB"},      {1000448, "977 KiB"},
        {1022976, "999 KiB"}, {1023487, "999 KiB"}, {1023488, "0.976 MiB"}, {1024000, "0.977 MiB"},
        {4 * MiB, "4 MiB"},   {589824, "576 KiB"},  {466944, "456 KiB"},    {1073741824, "1 GiB"},
        {64 * TiB, "64 TiB"}, {INT64_MAX, "8 EiB"}, {UINT64_MAX, "16 EiB"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *text = size_to_str(cases[i].bytes);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

static void test_three_decimals(void)
{
    static const struct {
        double bytes;
        const char *text;
    } cases[] = {
        {0, "0 bytes"},        {512, "512 bytes"},
        {1023, "1023 bytes"},  {0.25, "0.250 bytes"},
        {1024, "1 KiB"},       {65536, "64 KiB"},
        {1536, "1.500 KiB"},   {2031616, "1.938 MiB"},
        {1073741824, "1 GiB"}, {18446744073709551616.0, "16 EiB"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *text = size_to_str_fixed(cases[i].bytes);

        g_assert_cmpstr(text, ==, cases[i].text);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cutils/size/text-is-read-to-the-byte-or-refused", test_sizes);
    g_test_add_func("/cutils/size/end-is-behind-the-size", test_size_end);
    g_test_add_func("/cutils/size/every-power-of-two", test_every_power_of_two);
    g_test_add_func("/cutils/size/argument-errors-name-the-thing", test_size_arg);
    g_test_add_func("/cutils/integer/range-and-junk-are-refused-by-type", test_integers);
    g_test_add_func("/cutils/integer/end-is-behind-the-number", test_integer_end);
    g_test_add_func("/cutils/bool/only-the-eight-words", test_switches);
    g_test_add_func("/cutils/size-to-str/three-digits-never-four", test_three_digits);
    g_test_add_func("/cutils/size-to-str/fixed-decimals-for-qemu-io", test_three_decimals);
    return g_test_run();
}
