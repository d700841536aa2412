/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of the zone table where several things happen at once: writes in flight, their order
 * and their failures, eviction under way, management that waits; and what reads and reports show
 * meanwhile.
 */
#include "qemu/osdep.h"

#include "zone-fixture.h"

/* Begin @nr consecutive writes of a block each, from the start of zone @index. */
static void begin_blocks(BdrvZones *zones, ZoneWrite *writes, unsigned int nr, uint32_t index)
{
    unsigned int i;

    for (i = 0; i < nr; i++) {
        begin_write(zones, &writes[i], START(index) + i * BLOCK, BLOCK);
    }
}

/*
 * End @ending and assert that exactly writes[0..nr) are settled by it, in order, with results
 * @rets.
 */
static void end_settles(BdrvZones *zones, ZoneWrite *ending, int ret, ZoneWrite *writes,
                        unsigned int nr, const int *rets)
{
    ZoneWriteList settled = TAILQ_HEAD_INITIALIZER(settled);
    unsigned int i;

    zones_write_end(zones, ending, ret, &settled);
    zones_assert_valid(zones);
    for (i = 0; i < nr; i++) {
        g_assert_true(TAILQ_FIRST(&settled) == &writes[i]);
        g_assert_cmpint(writes[i].ret, ==, rets[i]);
        TAILQ_REMOVE(&settled, &writes[i], link);
    }
    g_assert_true(TAILQ_EMPTY(&settled));
}

static int try_write(BdrvZones *zones, int64_t offset)
{
    ZoneWrite refused;

    return zones_write_begin(zones, &refused, offset, BLOCK);
}

static int try_append(BdrvZones *zones, uint32_t index)
{
    ZoneWrite refused;

    return zones_append_begin(zones, &refused, START(index), BLOCK);
}

/* ---- order and failure ---- */

static void test_settled_in_order(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite writes[3];

    begin_blocks(zones, writes, 3, 1);
    end_none(zones, &writes[2], 0);
    end_none(zones, &writes[1], 0);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1));
    end_settles(zones, &writes[0], 0, writes, 3, (const int[]) {0, 0, 0});
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + 3 * BLOCK);
}

static void test_full_when_completed(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 1);
    ZoneWrite first, last;

    begin_write(zones, &first, START(1), BLOCK);
    begin_write(zones, &last, START(1) + BLOCK, CAPACITY - BLOCK);
    assert_state(zones, 1, BLK_ZS_IOPEN);
    g_assert_cmpint(try_write(zones, START(1) + CAPACITY), ==, -ZONE_ERR_FULL);
    g_assert_cmpint(try_append(zones, 1), ==, -ZONE_ERR_FULL);
    end_one(zones, &first, 0);
    /* The slot is not given back before the zone is really full. */
    g_assert_cmpint(try_write(zones, START(2)), ==, -ZONE_ERR_ACTIVE_RESOURCE);
    end_one(zones, &last, 0);
    assert_state(zones, 1, BLK_ZS_FULL);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + CAPACITY);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
}

static void test_failed_last_write(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 1);
    ZoneWrite first, last;

    begin_write(zones, &first, START(1), BLOCK);
    begin_write(zones, &last, START(1) + BLOCK, CAPACITY - BLOCK);
    end_one(zones, &first, 0);
    g_assert_cmpint(end_one(zones, &last, -EIO), ==, -EIO);
    assert_state(zones, 1, BLK_ZS_IOPEN);
    g_assert_cmpint(write_now(zones, START(1) + BLOCK, CAPACITY - BLOCK), ==, 0);
    assert_state(zones, 1, BLK_ZS_FULL);
}

static void test_failure_fails_those_behind(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite writes[4];

    begin_blocks(zones, writes, 4, 1);
    end_none(zones, &writes[2], 0);
    end_none(zones, &writes[1], -ENOSPC);
    end_settles(zones, &writes[0], 0, writes, 3, (const int[]) {0, -ENOSPC, -EIO});
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + BLOCK);
    /* The last one is still in flight: its place on the disk must not be written by another. */
    g_assert_cmpint(try_write(zones, START(1) + BLOCK), ==, -EAGAIN);
    g_assert_cmpint(end_one(zones, &writes[3], 0), ==, -EIO);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + BLOCK);
    g_assert_cmpint(write_now(zones, START(1) + BLOCK, BLOCK), ==, 0);
}

static void test_settling_zone_takes_no_writes(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite writes[2];

    begin_blocks(zones, writes, 2, 1);
    end_none(zones, &writes[1], -EIO);
    g_assert_cmpint(try_write(zones, START(1) + 2 * BLOCK), ==, -EAGAIN);
    g_assert_cmpint(try_append(zones, 1), ==, -EAGAIN);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    end_settles(zones, &writes[0], 0, writes, 2, (const int[]) {0, -EIO});
    g_assert_cmpint(write_now(zones, START(1) + BLOCK, BLOCK), ==, 0);
}

static void test_failed_first_write_keeps_zone_open(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 1);
    ZoneWrite write;

    begin_write(zones, &write, START(1), BLOCK);
    end_one(zones, &write, -EIO);
    assert_state(zones, 1, BLK_ZS_IOPEN);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1));
    g_assert_cmpint(manage_one(zones, BLK_ZO_CLOSE, 1), ==, 0);
    assert_state(zones, 1, BLK_ZS_EMPTY);
    g_assert_cmpuint(nr_active(zones), ==, 0);
}

/* ---- eviction under way ---- */

static void test_evicted_write_completes(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 2);
    ZoneWrite write;

    begin_write(zones, &write, START(1), BLOCK);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    assert_state(zones, 1, BLK_ZS_CLOSED);
    g_assert_cmpint(end_one(zones, &write, 0), ==, 0);
    assert_state(zones, 1, BLK_ZS_CLOSED);
    assert_state(zones, 2, BLK_ZS_IOPEN);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + BLOCK);
}

static void test_evicted_first_write_fails(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 2);
    ZoneWrite writes[2];

    begin_blocks(zones, writes, 2, 1);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    g_assert_cmpint(end_one(zones, &writes[0], -EIO), ==, -EIO);
    assert_state(zones, 1, BLK_ZS_CLOSED);
    g_assert_cmpuint(nr_active(zones), ==, 2);
    g_assert_cmpint(end_one(zones, &writes[1], 0), ==, -EIO);
    assert_state(zones, 1, BLK_ZS_EMPTY);
    g_assert_cmpuint(nr_active(zones), ==, 1);
    g_assert_cmpint(write_now(zones, START(3), BLOCK), ==, 0);
}

static void test_evicted_second_write_fails(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 2);
    ZoneWrite writes[2];

    begin_blocks(zones, writes, 2, 1);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    end_one(zones, &writes[0], 0);
    end_one(zones, &writes[1], -EIO);
    assert_state(zones, 1, BLK_ZS_CLOSED);
    g_assert_cmpint(write_now(zones, START(1) + BLOCK, BLOCK), ==, 0);
}

static void test_evicted_zone_reopens(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 2);
    ZoneWrite writes[2];

    begin_write(zones, &writes[0], START(1), BLOCK);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    begin_write(zones, &writes[1], START(1) + BLOCK, BLOCK);
    assert_state(zones, 1, BLK_ZS_IOPEN);
    assert_state(zones, 2, BLK_ZS_CLOSED);
    end_one(zones, &writes[0], 0);
    end_one(zones, &writes[1], 0);
    assert_state(zones, 1, BLK_ZS_IOPEN);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + 2 * BLOCK);
}

static void test_evicted_zone_fills(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 2);
    ZoneWrite write;

    begin_write(zones, &write, START(1), CAPACITY);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    assert_state(zones, 1, BLK_ZS_CLOSED);
    end_one(zones, &write, 0);
    assert_state(zones, 1, BLK_ZS_FULL);
    g_assert_cmpuint(nr_active(zones), ==, 1);
}

/* ---- the driver's memory beside an open zone ---- */

static uint64_t *begin_with_data(BdrvZones *zones, ZoneWrite *write)
{
    g_assert_cmpint(zones_append_begin(zones, write, START(1), BLOCK), ==, 0);
    return zone_write_open_data(write);
}

static void test_data_lasts_while_open(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite write;
    uint64_t *data = begin_with_data(zones, &write);

    g_assert_cmpuint(*data, ==, 0);
    *data = 7;
    end_one(zones, &write, 0);
    g_assert_cmpint(manage_one(zones, BLK_ZO_OPEN, 1), ==, 0);
    data = begin_with_data(zones, &write);
    g_assert_cmpuint(*data, ==, 7);
    end_one(zones, &write, 0);
}

static void test_data_zeroed_by_close(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite write;

    *begin_with_data(zones, &write) = 7;
    end_one(zones, &write, 0);
    g_assert_cmpint(manage_one(zones, BLK_ZO_CLOSE, 1), ==, 0);
    g_assert_cmpuint(*begin_with_data(zones, &write), ==, 0);
    end_one(zones, &write, 0);
}

static void test_data_zeroed_by_failure(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite write;

    *begin_with_data(zones, &write) = 7;
    end_one(zones, &write, -EIO);
    g_assert_cmpuint(*begin_with_data(zones, &write), ==, 0);
    end_one(zones, &write, 0);
}

/* ---- management that waits ---- */

static void test_hold_keeps_writes_out(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(zones_hold(zones, START(2), 2 * ZONE_SIZE), ==, 0);
    g_assert_cmpint(try_write(zones, START(2)), ==, -EAGAIN);
    g_assert_cmpint(try_append(zones, 3), ==, -EAGAIN);
    g_assert_cmpint(write_now(zones, START(1), BLOCK), ==, 0);
    g_assert_cmpint(write_now(zones, START(4), BLOCK), ==, 0);
    zones_release(zones, START(2), 2 * ZONE_SIZE);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    g_assert_cmpint(write_now(zones, START(3), BLOCK), ==, 0);
}

static void test_hold_overlap(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(zones_hold(zones, START(2), 2 * ZONE_SIZE), ==, 0);
    g_assert_cmpint(zones_hold(zones, START(3), 2 * ZONE_SIZE), ==, -EAGAIN);
    g_assert_cmpint(zones_hold(zones, START(1), 2 * ZONE_SIZE), ==, -EAGAIN);
    g_assert_cmpint(zones_hold(zones, START(2), ZONE_SIZE), ==, -EAGAIN);
    g_assert_cmpint(zones_hold(zones, 0, device_size(zones)), ==, -EAGAIN);
    g_assert_cmpint(zones_hold(zones, START(4), ZONE_SIZE), ==, 0);
    g_assert_cmpint(zones_hold(zones, START(1), ZONE_SIZE), ==, 0);
    zones_release(zones, START(2), 2 * ZONE_SIZE);
    g_assert_cmpint(zones_hold(zones, START(2), ZONE_SIZE), ==, 0);
}

static void test_busy(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite write;

    begin_write(zones, &write, START(2), BLOCK);
    g_assert_true(zones_is_busy(zones, START(2), ZONE_SIZE));
    g_assert_true(zones_is_busy(zones, START(1), 2 * ZONE_SIZE));
    g_assert_true(zones_is_busy(zones, 0, device_size(zones)));
    g_assert_false(zones_is_busy(zones, START(3), ZONE_SIZE));
    g_assert_false(zones_is_busy(zones, 0, 2 * ZONE_SIZE));
    end_one(zones, &write, 0);
    g_assert_false(zones_is_busy(zones, 0, device_size(zones)));
}

static void test_held_zone_may_be_evicted(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 0);
    ZoneWrite write;

    begin_write(zones, &write, START(1), BLOCK);
    end_one(zones, &write, -EIO);
    g_assert_cmpint(zones_hold(zones, START(1), ZONE_SIZE), ==, 0);
    g_assert_cmpint(zones_mgmt_check(zones, BLK_ZO_CLOSE, START(1), ZONE_SIZE), ==, 0);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    zones_mgmt_apply(zones, BLK_ZO_CLOSE, START(1), ZONE_SIZE);
    zones_release(zones, START(1), ZONE_SIZE);
    assert_state(zones, 1, BLK_ZS_EMPTY);
    zones_assert_valid(zones);
}

static void test_range_is_all_or_nothing(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(write_now(zones, START(1), BLOCK), ==, 0);
    zones_set_defect(zones, 3, BLK_ZS_RDONLY);
    g_assert_cmpint(manage(zones, BLK_ZO_RESET, START(1), 3 * ZONE_SIZE), ==, -ZONE_ERR_RDONLY);
    g_assert_cmpint(manage(zones, BLK_ZO_FINISH, START(1), 3 * ZONE_SIZE), ==, -ZONE_ERR_RDONLY);
    g_assert_cmpint(manage(zones, BLK_ZO_RESET, 0, 2 * ZONE_SIZE), ==, -ZONE_ERR_CONVENTIONAL);
    g_assert_cmpint(manage(zones, BLK_ZO_FINISH, 0, device_size(zones)), ==,
                    -ZONE_ERR_CONVENTIONAL);
    assert_state(zones, 1, BLK_ZS_IOPEN);
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + BLOCK);
    g_assert_cmpint(manage(zones, BLK_ZO_RESET, START(1), 2 * ZONE_SIZE), ==, 0);
    assert_state(zones, 1, BLK_ZS_EMPTY);
}

static void test_reset_all_passes_over_defects(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(write_now(zones, START(1), BLOCK), ==, 0);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
    g_assert_cmpint(manage_one(zones, BLK_ZO_FINISH, NR_ZONES - 1), ==, 0);
    zones_set_defect(zones, 2, BLK_ZS_RDONLY);
    zones_set_defect(zones, 3, BLK_ZS_OFFLINE);
    g_assert_cmpint(manage(zones, BLK_ZO_RESET, 0, device_size(zones)), ==, 0);
    assert_state(zones, 0, BLK_ZS_NOT_WP);
    assert_state(zones, 1, BLK_ZS_EMPTY);
    assert_state(zones, 2, BLK_ZS_RDONLY);
    assert_state(zones, 3, BLK_ZS_OFFLINE);
    assert_state(zones, NR_ZONES - 1, BLK_ZS_EMPTY);
    zones_set_defect(zones, 2, BLK_ZS_EMPTY);
    assert_state(zones, 2, BLK_ZS_CLOSED);
    g_assert_cmpuint(zones_stats(zones)->resets, ==, 2);
}

static void test_what_storage_must_learn(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(write_now(zones, START(1), BLOCK), ==, 0);
    g_assert_cmpint(write_now(zones, START(2), CAPACITY), ==, 0);
    g_assert_true(zones_mgmt_moves_wp(zones, BLK_ZO_RESET, 1));
    g_assert_true(zones_mgmt_moves_wp(zones, BLK_ZO_RESET, 2));
    g_assert_false(zones_mgmt_moves_wp(zones, BLK_ZO_RESET, 3));
    g_assert_true(zones_mgmt_moves_wp(zones, BLK_ZO_FINISH, 1));
    g_assert_false(zones_mgmt_moves_wp(zones, BLK_ZO_FINISH, 2));
    g_assert_true(zones_mgmt_moves_wp(zones, BLK_ZO_FINISH, 3));
    g_assert_false(zones_mgmt_moves_wp(zones, BLK_ZO_OPEN, 3));
    g_assert_false(zones_mgmt_moves_wp(zones, BLK_ZO_CLOSE, 1));
    g_assert_false(zones_mgmt_moves_wp(zones, BLK_ZO_RESET, 0));
    zones_set_defect(zones, 1, BLK_ZS_OFFLINE);
    g_assert_false(zones_mgmt_moves_wp(zones, BLK_ZO_RESET, 1));
}

/* ---- looking ---- */

static void assert_extent(const BdrvZones *zones, int64_t offset, int64_t bytes, int ret,
                          int64_t count)
{
    int64_t real_count = -1;

    g_assert_cmpint(zones_read_extent(zones, offset, bytes, &real_count), ==, ret);
    g_assert_cmpint(real_count, ==, count);
}

static void test_read(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite write;

    g_assert_cmpint(write_now(zones, START(1), 2 * BLOCK), ==, 0);
    begin_write(zones, &write, START(1) + 2 * BLOCK, BLOCK);
    assert_extent(zones, START(1), 4 * BLOCK, 1, 2 * BLOCK);
    assert_extent(zones, START(1) + BLOCK, 512, 1, 512);
    assert_extent(zones, START(1) + 2 * BLOCK, 2 * ZONE_SIZE, 0, ZONE_SIZE - 2 * BLOCK);
    end_one(zones, &write, 0);
    assert_extent(zones, START(1) + 2 * BLOCK, 4 * BLOCK, 1, BLOCK);
    assert_extent(zones, 0, 2 * ZONE_SIZE, 1, ZONE_SIZE);
}

static void test_read_full(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(manage_one(zones, BLK_ZO_FINISH, 1), ==, 0);
    g_assert_cmpint(write_now(zones, START(2), CAPACITY), ==, 0);
    assert_extent(zones, START(1), ZONE_SIZE, 1, CAPACITY);
    assert_extent(zones, START(1) + CAPACITY, ZONE_SIZE, 0, ZONE_SIZE - CAPACITY);
    assert_extent(zones, START(2), ZONE_SIZE, 1, CAPACITY);
    assert_extent(zones, START(2) + CAPACITY, BLOCK, 0, BLOCK);
}

static void test_read_defects(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);

    g_assert_cmpint(write_now(zones, START(1), BLOCK), ==, 0);
    zones_set_defect(zones, 1, BLK_ZS_RDONLY);
    assert_extent(zones, START(1), 2 * BLOCK, 1, BLOCK);
    zones_set_defect(zones, 1, BLK_ZS_OFFLINE);
    assert_extent(zones, START(1), 2 * BLOCK, -ZONE_ERR_OFFLINE, -1);
}

static void test_report(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    BlockZoneDescriptor descriptors[NR_ZONES];
    unsigned int n = 4;

    g_assert_cmpint(write_now(zones, START(1), 2 * BLOCK), ==, 0);
    g_assert_cmpint(write_now(zones, START(2), CAPACITY), ==, 0);
    zones_set_defect(zones, 3, BLK_ZS_OFFLINE);
    zones_report(zones, 512, &n, descriptors);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpint(descriptors[0].wp, ==, 0);
    g_assert_cmpint(descriptors[0].cap, ==, ZONE_SIZE);
    g_assert_cmpint(descriptors[0].type, ==, BLK_ZT_CONV);
    g_assert_cmpint(descriptors[1].wp, ==, START(1) + 2 * BLOCK);
    g_assert_cmpint(descriptors[1].cap, ==, CAPACITY);
    g_assert_cmpint(descriptors[1].type, ==, BLK_ZT_SWR);
    g_assert_cmpint(descriptors[2].wp, ==, START(3));
    g_assert_cmpint(descriptors[2].state, ==, BLK_ZS_FULL);
    g_assert_cmpint(descriptors[3].wp, ==, START(4));
    n = NR_ZONES;
    zones_report(zones, START(NR_ZONES - 1) + BLOCK, &n, descriptors);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(descriptors[0].length, ==, ZONE_SIZE / 2);
    n = NR_ZONES;
    zones_report(zones, device_size(zones), &n, descriptors);
    g_assert_cmpuint(n, ==, 0);
    n = NR_ZONES;
    zones_report(zones, INT64_MAX, &n, descriptors);
    g_assert_cmpuint(n, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zones/flight/settled-in-the-order-of-beginning", test_settled_in_order);
    g_test_add_func("/zones/flight/full-when-completed-not-before", test_full_when_completed);
    g_test_add_func("/zones/flight/failed-last-write-leaves-room", test_failed_last_write);
    g_test_add_func("/zones/flight/failure-fails-those-behind", test_failure_fails_those_behind);
    g_test_add_func("/zones/flight/settling-zone-takes-no-writes",
                    test_settling_zone_takes_no_writes);
    g_test_add_func("/zones/flight/failed-first-write-keeps-zone-open",
                    test_failed_first_write_keeps_zone_open);
    g_test_add_func("/zones/evicted/write-completes-without-reopening",
                    test_evicted_write_completes);
    g_test_add_func("/zones/evicted/empty-when-first-write-fails", test_evicted_first_write_fails);
    g_test_add_func("/zones/evicted/closed-when-later-write-fails",
                    test_evicted_second_write_fails);
    g_test_add_func("/zones/evicted/next-write-reopens", test_evicted_zone_reopens);
    g_test_add_func("/zones/evicted/full-when-filled", test_evicted_zone_fills);
    g_test_add_func("/zones/data/lasts-while-open", test_data_lasts_while_open);
    g_test_add_func("/zones/data/zeroed-by-close", test_data_zeroed_by_close);
    g_test_add_func("/zones/data/zeroed-by-failure", test_data_zeroed_by_failure);
    g_test_add_func("/zones/hold/keeps-writes-out", test_hold_keeps_writes_out);
    g_test_add_func("/zones/hold/overlap-must-wait", test_hold_overlap);
    g_test_add_func("/zones/hold/busy-while-in-flight", test_busy);
    g_test_add_func("/zones/hold/held-zone-may-be-evicted", test_held_zone_may_be_evicted);
    g_test_add_func("/zones/range/all-or-nothing", test_range_is_all_or_nothing);
    g_test_add_func("/zones/range/reset-all-passes-over-defects",
                    test_reset_all_passes_over_defects);
    g_test_add_func("/zones/range/what-storage-must-learn", test_what_storage_must_learn);
    g_test_add_func("/zones/read/zeroes-above-completed-write-pointer", test_read);
    g_test_add_func("/zones/read/full-zone-up-to-capacity", test_read_full);
    g_test_add_func("/zones/read/read-only-keeps-data-offline-fails", test_read_defects);
    g_test_add_func("/zones/report/write-pointers-and-ends", test_report);
    return g_test_run();
}
