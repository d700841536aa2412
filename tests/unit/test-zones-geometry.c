/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a zoned device may look like: every bad value is refused with a message that names it, a
 * huge table is cheap, ranges and stored write pointers are checked.
 */
#include "qemu/osdep.h"

#include "zone-fixture.h"

/* A geometry that is good: 1 TiB in 4096 zones. */
#define GOOD                                                                                       \
    .device_size = TiB, .zone_size = 256 * MiB, .zone_capacity = 192 * MiB,                        \
    .write_granularity = 4096

typedef struct BadGeometry {
    const char *name;
    ZonesGeometry geometry;
    const char *message;
} BadGeometry;

/* Each row overrides values of the good geometry. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"

static const BadGeometry bad_geometries[] = {
    {"size-zero", {GOOD, .zone_size = 0},
     "zone.size must be a power of two and at least 64 KiB, got 0"},
    {"size-odd", {GOOD, .zone_size = 100000},
     "zone.size must be a power of two and at least 64 KiB, got 100000"},
    {"size-small", {GOOD, .zone_size = 32768},
     "zone.size must be a power of two and at least 64 KiB, got 32768"},
    {"size-negative", {GOOD, .zone_size = INT64_MIN},
     "zone.size must be a power of two and at least 64 KiB, got -9223372036854775808"},
    {"size-over-device", {GOOD, .zone_size = 4 * TiB, .zone_capacity = 4096},
     "zone.size must not exceed the 1099511627776 bytes of the device, got 4398046511104"},
    {"too-many-zones", {GOOD, .device_size = BDRV_MAX_LENGTH, .zone_size = 65536,
                        .zone_capacity = 65536},
     "zone.size must divide the device into at most 536870911 zones, got 65536, "
     "which makes 140737488338944"},
    {"capacity-zero", {GOOD, .zone_capacity = 0},
     "zone.capacity must be positive and at most zone.size (268435456), got 0"},
    {"capacity-negative", {GOOD, .zone_capacity = -4096},
     "zone.capacity must be positive and at most zone.size (268435456), got -4096"},
    {"capacity-over-size", {GOOD, .zone_capacity = INT64_MAX},
     "zone.capacity must be positive and at most zone.size (268435456), got 9223372036854775807"},
    {"capacity-misaligned", {GOOD, .zone_capacity = 65536 + 512},
     "zone.capacity must be a multiple of the write granularity 4096, got 66048"},
    {"device-zero", {GOOD, .device_size = 0}, "bytes, got 0"},
    {"device-negative", {GOOD, .device_size = -4096}, "bytes, got -4096"},
    {"device-misaligned", {GOOD, .device_size = TiB + 512}, "bytes, got 1099511628288"},
    {"device-too-long", {GOOD, .device_size = INT64_MAX & ~4095LL}, "got 9223372036854771712"},
    {"all-conventional", {GOOD, .nr_conventional = 4096},
     "zone.conventional_zones must leave at least one of the 4096 zones sequential, got 4096"},
    {"conventional-huge", {GOOD, .nr_conventional = UINT32_MAX}, "sequential, got 4294967295"},
    {"open-over-sequential", {GOOD, .nr_conventional = 96, .max_open_zones = 4001},
     "zone.max_open_zones must be at most the number of sequential zones (4000), got 4001"},
    {"active-over-sequential", {GOOD, .max_active_zones = UINT32_MAX},
     "zone.max_active_zones must be at most the number of sequential zones (4096), got 4294967295"},
    {"open-over-active", {GOOD, .max_open_zones = 9, .max_active_zones = 8},
     "zone.max_open_zones must be at most zone.max_active_zones (8), got 9"},
    {"append-misaligned", {GOOD, .max_append_bytes = 4097},
     "zone.max_append_bytes must be a multiple of the write granularity 4096, got 4097"},
    {"append-over-capacity", {GOOD, .zone_capacity = 65536, .max_append_bytes = 69632},
     "zone.max_append_bytes must be at most zone.capacity (65536), got 69632"},
    {"granularity-zero", {GOOD, .write_granularity = 0},
     "the write granularity must be a power of two and at least 512, got 0"},
    {"granularity-small", {GOOD, .write_granularity = 256}, "at least 512, got 256"},
    {"granularity-odd", {GOOD, .write_granularity = 4095}, "at least 512, got 4095"},
};

static const struct {
    const char *name;
    ZonesGeometry geometry;
} good_geometries[] = {
    {"plain", {GOOD}},
    {"limits-equal-to-sequential-zones",
     {GOOD, .nr_conventional = 4094, .max_open_zones = 2, .max_active_zones = 2}},
    {"only-open-limit", {GOOD, .max_open_zones = 9}},
    {"only-active-limit", {GOOD, .max_active_zones = 9}},
    {"one-zone", {GOOD, .device_size = 256 * MiB}},
    {"short-last-zone", {GOOD, .device_size = TiB + 4096}},
    {"append-of-whole-capacity", {GOOD, .max_append_bytes = 192 * MiB}},
    {"one-enormous-zone", {GOOD, .device_size = INT64_C(1) << 62, .zone_size = INT64_C(1) << 62}},
    {"most-zones", {GOOD, .device_size = ZONES_MAX_NR * (64 * KiB), .zone_size = 64 * KiB,
                    .zone_capacity = 64 * KiB}},
};

#pragma GCC diagnostic pop

static void test_bad_geometry(const void *data)
{
    const BadGeometry *row = data;
    g_autoptr(Error) err = NULL;

    g_assert_false(zones_check_geometry(&row->geometry, &err));
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), row->message)) {
        g_assert_cmpstr(error_get_pretty(err), ==, row->message);
    }
}

static void test_good_geometry(const void *data)
{
    g_assert_true(zones_check_geometry(data, &error_abort));
}

/* ---- a huge table ---- */

static int64_t resident_bytes(void)
{
    g_autofree char *text = NULL;
    long long total, resident;

    g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
    g_assert_cmpint(sscanf(text, "%lld %lld", &total, &resident), ==, 2);
    return resident * sysconf(_SC_PAGESIZE);
}

static void measure_huge_table(void)
{
    const ZonesGeometry geometry = {
        .device_size = 64 * TiB, .zone_size = 16 * MiB, .zone_capacity = 16 * MiB,
        .max_append_bytes = MiB, .write_granularity = 4096,
    };
    int64_t resident_before = resident_bytes();
    int64_t began = g_get_monotonic_time();
    g_autoptr(BdrvZones) zones = zones_new(&geometry, 64, &error_abort);
    uint32_t last = zones_nr(zones) - 1;

    g_assert_cmpuint(last, ==, 4 * 1024 * 1024 - 1);
    g_assert_cmpint(write_now(zones, zones_start(zones, last), 4096), ==, 0);
    g_assert_cmpint(g_get_monotonic_time() - began, <, 1000000);
    g_assert_cmpint(resident_bytes() - resident_before, <, 16 * MiB);
}

/*
 * In a process of its own, as a test runner's MALLOC_PERTURB_ would have the C library touch all
 * memory.
 */
static void test_huge_table(void)
{
    g_unsetenv("MALLOC_PERTURB_");
    g_test_trap_subprocess("/zones/geometry/four-million-zones-are-cheap/subprocess", 0,
                           G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

/* ---- ranges of management commands ---- */

static const struct {
    int64_t offset, len;
    int ret;
} ranges[] = {
    {0, ZONE_SIZE, 0},
    {0, NR_ZONES * ZONE_SIZE - ZONE_SIZE / 2, 0},
    {START(3), 2 * ZONE_SIZE, 0},
    {START(NR_ZONES - 1), ZONE_SIZE / 2, 0},
    {START(NR_ZONES - 2), ZONE_SIZE + ZONE_SIZE / 2, 0},
    {START(NR_ZONES - 1), ZONE_SIZE, -EINVAL},
    {START(NR_ZONES), ZONE_SIZE, -EINVAL},
    {0, NR_ZONES * ZONE_SIZE, -EINVAL},
    {BLOCK, ZONE_SIZE, -EINVAL},
    {0, BLOCK, -EINVAL},
    {0, ZONE_SIZE / 2, -EINVAL},
    {0, 0, -EINVAL},
    {0, -ZONE_SIZE, -EINVAL},
    {-ZONE_SIZE, ZONE_SIZE, -EINVAL},
    {INT64_MIN, INT64_MIN, -EINVAL},
    {START(1), INT64_MAX, -EINVAL},
    {INT64_MAX & ~(ZONE_SIZE - 1), INT64_MAX, -EINVAL},
};

static void test_ranges(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(ranges); i++) {
        g_assert_cmpint(zones_check_range(zones, ranges[i].offset, ranges[i].len), ==,
                        ranges[i].ret);
    }
}

/* ---- write pointers from storage ---- */

static const struct {
    uint32_t index;
    int64_t wp;
    int ret;
    BlockZoneState state;
} loads[] = {
    {1, START(1), 0, BLK_ZS_EMPTY},
    {1, START(1) + BLOCK, 0, BLK_ZS_CLOSED},
    {1, START(1) + CAPACITY - BLOCK, 0, BLK_ZS_CLOSED},
    {1, START(1) + CAPACITY, 0, BLK_ZS_FULL},
    {1, START(1) + CAPACITY + BLOCK, 0, BLK_ZS_FULL},
    {1, START(2), 0, BLK_ZS_FULL},
    {NR_ZONES - 1, START(NR_ZONES - 1) + ZONE_SIZE / 2, 0, BLK_ZS_FULL},
    {NR_ZONES - 1, START(NR_ZONES), -EINVAL, BLK_ZS_EMPTY},
    {1, START(2) + BLOCK, -EINVAL, BLK_ZS_EMPTY},
    {1, START(1) - BLOCK, -EINVAL, BLK_ZS_EMPTY},
    {1, START(1) + 512, -EINVAL, BLK_ZS_EMPTY},
    {1, INT64_MIN, -EINVAL, BLK_ZS_EMPTY},
    {1, INT64_MAX, -EINVAL, BLK_ZS_EMPTY},
    {0, 0, -EINVAL, BLK_ZS_NOT_WP},
};

static void test_loads(void)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(loads); i++) {
        g_autoptr(BdrvZones) zones = make_device(0, 0);
        int64_t expected_wp = loads[i].ret ? START(loads[i].index) : loads[i].wp;

        g_assert_cmpint(zones_load_wp(zones, loads[i].index, loads[i].wp), ==, loads[i].ret);
        assert_state(zones, loads[i].index, loads[i].state);
        g_assert_cmpint(zones_wp(zones, loads[i].index), ==, expected_wp);
        zones_assert_valid(zones);
    }
}

int main(int argc, char **argv)
{
    unsigned int i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(bad_geometries); i++) {
        g_autofree char *path = g_strdup_printf("/zones/geometry/refused/%s",
                                                bad_geometries[i].name);

        g_test_add_data_func(path, &bad_geometries[i], test_bad_geometry);
    }
    for (i = 0; i < ARRAY_SIZE(good_geometries); i++) {
        g_autofree char *path = g_strdup_printf("/zones/geometry/accepted/%s",
                                                good_geometries[i].name);

        g_test_add_data_func(path, &good_geometries[i].geometry, test_good_geometry);
    }
    g_test_add_func("/zones/geometry/four-million-zones-are-cheap", test_huge_table);
    g_test_add_func("/zones/geometry/four-million-zones-are-cheap/subprocess", measure_huge_table);
    g_test_add_func("/zones/range/checked", test_ranges);
    g_test_add_func("/zones/load/state-follows-the-write-pointer", test_loads);
    return g_test_run();
}
