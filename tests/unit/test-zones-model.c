/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random operations on the zone table and on the plain model of zone-model.h, side by side: every
 * answer, every report, every count and every eviction must agree.
 *
 * ZONES_TEST_OPS in the environment sets how many operations are done (default 500,000).  GLib
 * prints the seed and takes it back with --seed.
 */
#include "qemu/osdep.h"

#include "zone-model.h"

#define OPS_DEFAULT 500000
#define OPS_PER_DEVICE 2500
#define MAX_ZONES 24
#define MAX_IN_FLIGHT 40
#define DRIVER_WORDS 3

typedef struct Flight {
    ZoneWrite real;
    ModelWrite model;
} Flight;

typedef struct Command {
    BlockZoneOp op;
    int64_t offset, len;
} Command;

/* One device under test, twice. */
typedef struct Pair {
    ZonesGeometry geometry;
    BdrvZones *real;
    ModelZones *model;
    GPtrArray *flights;  /* Flight */
    GArray *commands;    /* Command, each holding its range */
    unsigned int fail_percent;
} Pair;

static unsigned int nr_seen[256]; /* how often each errno was the answer */

static unsigned int pick(unsigned int n)
{
    return g_test_rand_int_range(0, n);
}

static bool percent(unsigned int chance)
{
    return pick(100) < chance;
}

/* Compare two answers, and remember that this one was seen. */
static int same(int real, int model)
{
    g_assert_cmpint(real, ==, model);
    if (real < 0) {
        nr_seen[-real]++;
    }
    return real;
}

static void random_geometry(ZonesGeometry *geometry)
{
    uint32_t granularity = percent(50) ? 512 : 4096;
    int64_t zone_size = (64 * KiB) << pick(3);
    unsigned int nr_whole = 1 + pick(MAX_ZONES - 1);
    bool has_short_zone = percent(30);
    unsigned int nr_sequential, nr_conventional = percent(50) ? pick(MIN(nr_whole, 4)) : 0;
    int64_t short_size = (1 + pick(zone_size / granularity - 1)) * granularity;

    nr_sequential = nr_whole + has_short_zone - nr_conventional;
    *geometry = (ZonesGeometry) {
        .device_size = nr_whole * zone_size + (has_short_zone ? short_size : 0),
        .zone_size = zone_size,
        .zone_capacity = (1 + pick(zone_size / granularity)) * granularity,
        .nr_conventional = nr_conventional,
        .max_active_zones = percent(70) ? 1 + pick(MIN(nr_sequential, 9)) : 0,
        .write_granularity = granularity,
    };
    if (percent(50)) {
        geometry->zone_capacity = zone_size;
    }
    if (percent(80)) {
        unsigned int most = geometry->max_active_zones ? geometry->max_active_zones : nr_sequential;

        geometry->max_open_zones = 1 + pick(MIN(most, 6));
    }
    if (percent(90)) {
        geometry->max_append_bytes =
            (1 + pick(geometry->zone_capacity / granularity)) * granularity;
    }
}

static void pair_init(Pair *pair)
{
    random_geometry(&pair->geometry);
    g_assert_true(zones_check_geometry(&pair->geometry, &error_abort));
    pair->real = zones_new(&pair->geometry, DRIVER_WORDS * sizeof(uint64_t), &error_abort);
    pair->model = model_new(&pair->geometry);
    pair->flights = g_ptr_array_new();
    pair->commands = g_array_new(false, false, sizeof(Command));
    pair->fail_percent = (const unsigned int[]) {0, 3, 20}[pick(3)];
    g_assert_cmpuint(zones_nr(pair->real), ==, pair->model->nr_zones);
}

/* ---- comparing ---- */

static void compare_zone(Pair *pair, unsigned int index, const BlockZoneDescriptor *real)
{
    const ModelZone *zone = &pair->model->zones[index];
    BlockZoneDescriptor model;

    model_describe(zone, &model);
    g_assert_cmpint(real->start, ==, model.start);
    g_assert_cmpint(real->length, ==, model.length);
    g_assert_cmpint(real->cap, ==, model.cap);
    g_assert_cmpint(real->wp, ==, model.wp);
    g_assert_cmpint(real->type, ==, model.type);
    g_assert_cmpint(real->state, ==, model.state);
    g_assert_cmpint(zones_wp(pair->real, index), ==, model_wp(zone));
}

static void compare_report(Pair *pair, int64_t offset, unsigned int nr_asked)
{
    BlockZoneDescriptor descriptors[MAX_ZONES + 2];
    unsigned int first = MIN(offset / pair->geometry.zone_size, pair->model->nr_zones);
    unsigned int n = nr_asked, i;

    if (offset >= pair->geometry.device_size) {
        first = pair->model->nr_zones;
    }
    zones_report(pair->real, offset, &n, descriptors);
    g_assert_cmpuint(n, ==, MIN(nr_asked, pair->model->nr_zones - first));
    for (i = 0; i < n; i++) {
        compare_zone(pair, first + i, &descriptors[i]);
    }
}

static void compare_all(Pair *pair)
{
    ZonesCounts real, model;

    zones_assert_valid(pair->real);
    zones_counts(pair->real, &real);
    model_counts(pair->model, &model);
    g_assert_cmpmem(&real, sizeof(real), &model, sizeof(model));
    g_assert_cmpmem(zones_stats(pair->real), sizeof(ZonesStats), &pair->model->stats,
                    sizeof(ZonesStats));
    compare_report(pair, 0, MAX_ZONES + 1);
}

/* ---- operations ---- */

static ModelZone *random_zone(Pair *pair)
{
    return &pair->model->zones[pick(pair->model->nr_zones)];
}

static int64_t random_length(Pair *pair, const ModelZone *zone)
{
    uint32_t granularity = pair->geometry.write_granularity;
    int64_t room = zone->start + zone->capacity - model_submitted(zone);

    if (percent(10) && room > 0) {
        return room;
    }
    if (percent(5)) {
        return 1 + pick(zone->length);
    }
    return (1 + pick(MAX(zone->capacity / granularity / 4, 1))) * granularity;
}

static void flight_began(Pair *pair, Flight *flight)
{
    ModelZone *zone = model_zone_at(pair->model, flight->model.offset);
    uint64_t *words = zone_write_open_data(&flight->real);
    unsigned int i;

    g_assert_cmpint(flight->real.offset, ==, flight->model.offset);
    g_assert_cmpint(flight->real.bytes, ==, flight->model.bytes);
    zone->driver_data++;
    for (i = 0; i < DRIVER_WORDS; i++) {
        words[i]++;
        g_assert_cmpuint(words[i], ==, zone->driver_data);
    }
    g_ptr_array_add(pair->flights, flight);
}

static void op_write(Pair *pair)
{
    g_autofree Flight *flight = g_new(Flight, 1);
    ModelZone *zone = random_zone(pair);
    int64_t bytes = random_length(pair, zone);
    int64_t offset = model_submitted(zone);

    if (percent(8)) {
        bytes = pair->geometry.write_granularity;
        offset = zone->start + pick(zone->length / bytes) * bytes;
    } else if (percent(4)) {
        offset = zone->start + pick(zone->length);
    }
    offset = MIN(offset, zone->start + zone->length - 1);
    bytes = MIN(bytes, pair->geometry.device_size - offset);
    if (zone->state == BLK_ZS_NOT_WP) {
        return;
    }
    if (same(zones_write_begin(pair->real, &flight->real, offset, bytes),
             model_write_begin(pair->model, &flight->model, offset, bytes)) == 0) {
        flight_began(pair, g_steal_pointer(&flight));
    }
}

static void op_append(Pair *pair)
{
    g_autofree Flight *flight = g_new(Flight, 1);
    ModelZone *zone = random_zone(pair);
    int64_t bytes = random_length(pair, zone);
    int64_t offset = zone->start + (percent(5) ? pick(zone->length) : 0);

    if (same(zones_append_begin(pair->real, &flight->real, offset, bytes),
             model_append_begin(pair->model, &flight->model, offset, bytes)) == 0) {
        flight_began(pair, g_steal_pointer(&flight));
    }
}

static void op_end(Pair *pair)
{
    g_autoptr(GPtrArray) answered = g_ptr_array_new();
    ZoneWriteList settled = TAILQ_HEAD_INITIALIZER(settled);
    int ret = percent(pair->fail_percent) ? (percent(50) ? -EIO : -ENOSPC) : 0;
    Flight *flight;
    unsigned int i;

    if (pair->flights->len == 0) {
        return;
    }
    do {
        flight = g_ptr_array_index(pair->flights, pick(pair->flights->len));
    } while (flight->real.is_done);
    zones_write_end(pair->real, &flight->real, ret, &settled);
    model_write_end(pair->model, &flight->model, ret, answered);
    for (i = 0; i < answered->len; i++) {
        ZoneWrite *real = TAILQ_FIRST(&settled);
        ModelWrite *model = g_ptr_array_index(answered, i);

        g_assert_nonnull(real);
        TAILQ_REMOVE(&settled, real, link);
        g_assert_true(container_of(real, Flight, real) == container_of(model, Flight, model));
        same(real->ret, model->ret);
        g_ptr_array_remove(pair->flights, container_of(real, Flight, real));
        g_free(container_of(real, Flight, real));
    }
    g_assert_true(TAILQ_EMPTY(&settled));
}

static void op_hold(Pair *pair)
{
    static const BlockZoneOp ops[] = {
        BLK_ZO_OPEN, BLK_ZO_CLOSE, BLK_ZO_FINISH, BLK_ZO_RESET, BLK_ZO_RESET, BLK_ZO_RESET,
    };
    ModelZone *first = random_zone(pair);
    Command command = {
        .op = ops[pick(ARRAY_SIZE(ops))], .offset = first->start, .len = first->length,
    };

    if (percent(3)) {
        command.offset = 0;
        command.len = pair->geometry.device_size;
    } else if (percent(30)) {
        unsigned int index = first - pair->model->zones + pick(6);
        const ModelZone *last = &pair->model->zones[MIN(index, pair->model->nr_zones - 1)];

        command.len = last->start + last->length - first->start;
    }
    g_assert_cmpint(zones_check_range(pair->real, command.offset, command.len), ==, 0);
    if (same(zones_hold(pair->real, command.offset, command.len),
             model_hold(pair->model, command.offset, command.len)) == 0) {
        g_array_append_val(pair->commands, command);
    }
}

/*
 * Check and apply a command whose zones have nothing in flight, zone by zone where the caller may
 * ask.
 */
static void apply_command(Pair *pair, const Command *command)
{
    unsigned int i;

    if (same(zones_mgmt_check(pair->real, command->op, command->offset, command->len),
             model_mgmt_check(pair->model, command->op, command->offset, command->len)) < 0) {
        return;
    }
    for (i = 0; i < pair->model->nr_zones; i++) {
        g_assert_cmpint(zones_mgmt_moves_wp(pair->real, command->op, i), ==,
                        model_mgmt_moves_wp(&pair->model->zones[i], command->op));
    }
    zones_mgmt_apply(pair->real, command->op, command->offset, command->len);
    model_mgmt_apply(pair->model, command->op, command->offset, command->len);
}

static void op_manage(Pair *pair)
{
    unsigned int index;
    Command command;
    bool is_busy;

    if (pair->commands->len == 0) {
        return;
    }
    index = pick(pair->commands->len);
    command = g_array_index(pair->commands, Command, index);
    is_busy = zones_is_busy(pair->real, command.offset, command.len);
    g_assert_cmpint(is_busy, ==, model_is_busy(pair->model, command.offset, command.len));
    if (is_busy && percent(70)) {
        return;
    }
    if (!is_busy) {
        apply_command(pair, &command);
    }
    zones_release(pair->real, command.offset, command.len);
    model_release(pair->model, command.offset, command.len);
    g_array_remove_index_fast(pair->commands, index);
}

static void op_defect(Pair *pair)
{
    static const BlockZoneState states[] = {
        BLK_ZS_RDONLY, BLK_ZS_OFFLINE, BLK_ZS_EMPTY, BLK_ZS_EMPTY, BLK_ZS_EMPTY, BLK_ZS_EMPTY,
    };
    ModelZone *zone = random_zone(pair);
    unsigned int index = zone - pair->model->zones;
    BlockZoneState state = states[pick(ARRAY_SIZE(states))];

    if (zone->state == BLK_ZS_NOT_WP || zone->writes->len > 0) {
        return;
    }
    zones_set_defect(pair->real, index, state);
    model_set_defect(pair->model, index, state);
}

static void op_read(Pair *pair)
{
    int64_t device_size = pair->geometry.device_size;
    int64_t offset = pick(device_size / BDRV_SECTOR_SIZE) * BDRV_SECTOR_SIZE;
    int64_t bytes = BDRV_SECTOR_SIZE * (1 + pick((device_size - offset) / BDRV_SECTOR_SIZE));
    int64_t real_count = -1, model_count = -1;

    same(zones_read_extent(pair->real, offset, bytes, &real_count),
         model_read_extent(pair->model, offset, bytes, &model_count));
    g_assert_cmpint(real_count, ==, model_count);
}

static void op_look(Pair *pair)
{
    int64_t unit = percent(50) ? pair->geometry.zone_size : BDRV_SECTOR_SIZE;
    int64_t most = 2 * pair->geometry.device_size / unit;
    int64_t offset = ((int64_t)pick(most) - most / 4) * unit;
    int64_t len = ((int64_t)pick(most) - most / 8) * unit;

    same(zones_check_range(pair->real, offset, len), model_check_range(pair->model, offset, len));
    compare_report(pair, MAX(offset, 0), pick(MAX_ZONES));
}

static void drain(Pair *pair)
{
    while (pair->flights->len > 0) {
        op_end(pair);
    }
}

/* Stop and start: only write pointers survive. */
static void op_restart(Pair *pair)
{
    BdrvZones *real;
    ModelZones *model;
    unsigned int i;

    drain(pair);
    real = zones_new(&pair->geometry, DRIVER_WORDS * sizeof(uint64_t), &error_abort);
    model = model_new(&pair->geometry);
    for (i = 0; i < model->nr_zones; i++) {
        int64_t wp = zones_wp(pair->real, i);

        same(zones_load_wp(real, i, wp), model_load_wp(model, i, wp));
    }
    zones_free(pair->real);
    model_free(pair->model);
    pair->real = real;
    pair->model = model;
    g_array_set_size(pair->commands, 0);
}

static void pair_destroy(Pair *pair)
{
    drain(pair);
    compare_all(pair);
    zones_free(pair->real);
    model_free(pair->model);
    g_ptr_array_free(pair->flights, true);
    g_array_free(pair->commands, true);
}

/* ---- the run ---- */

static const struct {
    void (*run)(Pair *pair);
    unsigned int weight;
} operations[] = {
    {op_write, 320}, {op_append, 110}, {op_end, 380}, {op_hold, 80}, {op_manage, 160},
    {op_defect, 8}, {op_read, 60}, {op_look, 30}, {op_restart, 1},
};

static void run_one(Pair *pair)
{
    unsigned int total = 0, i, choice;

    if (pair->flights->len >= MAX_IN_FLIGHT) {
        op_end(pair);
        return;
    }
    for (i = 0; i < ARRAY_SIZE(operations); i++) {
        total += operations[i].weight;
    }
    choice = pick(total);
    for (i = 0; choice >= operations[i].weight; i++) {
        choice -= operations[i].weight;
    }
    operations[i].run(pair);
}

/* A run that never met some refusal has tested less than it claims. */
static void check_coverage(void)
{
    static const int errnos[] = {
        EAGAIN, EINVAL, EIO, ENOSPC,
        ZONE_ERR_NOT_AT_WP, ZONE_ERR_PAST_CAPACITY, ZONE_ERR_FULL, ZONE_ERR_RDONLY,
        ZONE_ERR_OFFLINE, ZONE_ERR_OPEN_RESOURCE, ZONE_ERR_ACTIVE_RESOURCE, ZONE_ERR_CONVENTIONAL,
        ZONE_ERR_CONDITION, ZONE_ERR_APPEND,
    };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(errnos); i++) {
        g_test_message("%s: %u", g_strerror(errnos[i]), nr_seen[errnos[i]]);
        g_assert_cmpuint(nr_seen[errnos[i]], >, 0);
    }
}

static void test_random(void)
{
    const char *ops_text = g_getenv("ZONES_TEST_OPS");
    uint64_t nr_ops = ops_text ? g_ascii_strtoull(ops_text, NULL, 0) : OPS_DEFAULT;
    uint64_t done = 0;
    unsigned int i;

    while (done < nr_ops) {
        Pair pair = {0};

        pair_init(&pair);
        for (i = 0; i < OPS_PER_DEVICE && done < nr_ops; i++, done++) {
            run_one(&pair);
            compare_all(&pair);
        }
        pair_destroy(&pair);
    }
    g_test_message("%" PRIu64 " operations", done);
    if (nr_ops >= OPS_DEFAULT) {
        check_coverage();
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zones/model/random-operations-agree", test_random);
    return g_test_run();
}
