/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of the zone table that one request at a time meets, one promise a test: the transition
 * table, the refusals and their order, open and active resources, eviction.
 */
#include "qemu/osdep.h"

#include "zone-fixture.h"

/* ---- the transition table ---- */

typedef enum From {
    EMPTY, IOPEN, IOPEN_UNWRITTEN, EOPEN, EOPEN_UNWRITTEN, CLOSED, FILLED, FINISHED, RDONLY,
    OFFLINE, CONVENTIONAL, NR_FROM,
} From;

static const char *const from_names[NR_FROM] = {
    "empty", "implicitly-open", "implicitly-open-unwritten", "explicitly-open",
    "explicitly-open-unwritten", "closed", "filled", "finished", "read-only", "offline",
    "conventional",
};

typedef enum Action {
    WRITE, FILL, APPEND, OPEN, CLOSE, FINISH, RESET, RESET_ALL, RESTART, NR_ACTIONS,
} Action;

static const char *const action_names[NR_ACTIONS] = {
    "write", "fill", "append", "open", "close", "finish", "reset", "reset-all", "restart",
};

typedef struct Outcome {
    int error;
    BlockZoneState state; /* afterwards; ignored after an error: nothing may have changed */
} Outcome;

#define TO(name) {0, BLK_ZS_##name}
#define NO(name) {ZONE_ERR_##name, 0}
#define ALL_NO(name) NO(name), NO(name), NO(name), NO(name), NO(name), NO(name), NO(name)

static const Outcome outcomes[NR_FROM][NR_ACTIONS] = {
    [EMPTY] = {TO(IOPEN), TO(FULL), TO(IOPEN), TO(EOPEN), NO(CONDITION), TO(FULL), TO(EMPTY),
               TO(EMPTY), TO(EMPTY)},
    [IOPEN] = {TO(IOPEN), TO(FULL), TO(IOPEN), TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
               TO(EMPTY), TO(CLOSED)},
    [IOPEN_UNWRITTEN] = {TO(IOPEN), TO(FULL), TO(IOPEN), TO(EOPEN), TO(EMPTY), TO(FULL), TO(EMPTY),
                         TO(EMPTY), TO(EMPTY)},
    [EOPEN] = {TO(EOPEN), TO(FULL), TO(EOPEN), TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
               TO(EMPTY), TO(CLOSED)},
    [EOPEN_UNWRITTEN] = {TO(EOPEN), TO(FULL), TO(EOPEN), TO(EOPEN), TO(EMPTY), TO(FULL), TO(EMPTY),
                         TO(EMPTY), TO(EMPTY)},
    [CLOSED] = {TO(IOPEN), TO(FULL), TO(IOPEN), TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
                TO(EMPTY), TO(CLOSED)},
    [FILLED] = {NO(FULL), NO(FULL), NO(FULL), NO(FULL), NO(CONDITION), TO(FULL), TO(EMPTY),
                TO(EMPTY), TO(FULL)},
    [FINISHED] = {NO(FULL), NO(FULL), NO(FULL), NO(FULL), NO(CONDITION), TO(FULL), TO(EMPTY),
                  TO(EMPTY), TO(FULL)},
    [RDONLY] = {ALL_NO(RDONLY), TO(RDONLY), TO(CLOSED)},
    [OFFLINE] = {ALL_NO(OFFLINE), TO(OFFLINE), TO(CLOSED)},
    /* Plain writes of conventional zones do not come here. */
    [CONVENTIONAL] = {TO(NOT_WP), TO(NOT_WP), NO(CONVENTIONAL), NO(CONVENTIONAL), NO(CONVENTIONAL),
                      NO(CONVENTIONAL), NO(CONVENTIONAL), TO(NOT_WP), TO(NOT_WP)},
};

static void fail_first_write(BdrvZones *zones, uint32_t index)
{
    ZoneWrite write;

    begin_write(zones, &write, START(index), BLOCK);
    g_assert_cmpint(end_one(zones, &write, -ENOSPC), ==, -ENOSPC);
}

/* Bring an empty zone into a condition. */
static void arrange(BdrvZones *zones, uint32_t index, From from)
{
    if (from == EOPEN || from == EOPEN_UNWRITTEN) {
        g_assert_cmpint(manage_one(zones, BLK_ZO_OPEN, index), ==, 0);
    }
    if (from == IOPEN_UNWRITTEN) {
        fail_first_write(zones, index);
    } else if (from == FILLED) {
        g_assert_cmpint(write_now(zones, START(index), CAPACITY), ==, 0);
    } else if (from != EMPTY && from != EOPEN_UNWRITTEN && from != CONVENTIONAL) {
        g_assert_cmpint(write_now(zones, START(index), BLOCK), ==, 0);
    }
    if (from == CLOSED) {
        g_assert_cmpint(manage_one(zones, BLK_ZO_CLOSE, index), ==, 0);
    } else if (from == FINISHED) {
        g_assert_cmpint(manage_one(zones, BLK_ZO_FINISH, index), ==, 0);
    } else if (from == RDONLY || from == OFFLINE) {
        zones_set_defect(zones, index, from == RDONLY ? BLK_ZS_RDONLY : BLK_ZS_OFFLINE);
    }
}

static int act(BdrvZones **zones, Action action, uint32_t index)
{
    int64_t wp = zones_wp(*zones, index);
    int64_t rest = START(index) + CAPACITY - wp;
    bool has_room = rest > 0 && !zones_is_conventional(*zones, index);
    BdrvZones *restarted;
    int64_t where;
    int ret;

    switch (action) {
    case WRITE:
    case FILL:
        if (zones_is_conventional(*zones, index)) {
            return 0;
        }
        return write_now(*zones, has_room ? wp : START(index),
                         has_room && action == FILL ? rest : BLOCK);
    case APPEND:
        ret = append_now(*zones, START(index), BLOCK, &where);
        g_assert_cmpint(where, ==, ret < 0 ? -1 : wp);
        return ret;
    case RESET_ALL:
        return manage(*zones, BLK_ZO_RESET, 0, device_size(*zones));
    case RESTART:
        restarted = make_device(3, 4);
        ret = zones_load_wp(restarted, index, wp);
        g_assert_cmpint(ret, ==, index ? 0 : -EINVAL);
        zones_free(*zones);
        *zones = restarted;
        return 0;
    default:
        return manage_one(*zones, (BlockZoneOp)(action - OPEN + BLK_ZO_OPEN), index);
    }
}

static void assert_counted(const BdrvZones *zones, BlockZoneState state)
{
    ZonesCounts counts;

    zones_counts(zones, &counts);
    g_assert_cmpuint(counts.implicitly_open, ==, state == BLK_ZS_IOPEN);
    g_assert_cmpuint(counts.explicitly_open, ==, state == BLK_ZS_EOPEN);
    g_assert_cmpuint(counts.closed, ==, state == BLK_ZS_CLOSED);
    g_assert_cmpuint(counts.full, ==, state == BLK_ZS_FULL);
    g_assert_cmpuint(counts.read_only, ==, state == BLK_ZS_RDONLY);
    g_assert_cmpuint(counts.offline, ==, state == BLK_ZS_OFFLINE);
    g_assert_cmpuint(counts.conventional, ==, 1);
    g_assert_cmpuint(counts.nr_zones, ==, NR_ZONES);
}

static void test_transition(const void *data)
{
    unsigned int which = GPOINTER_TO_UINT(data);
    From from = which / NR_ACTIONS;
    Action action = which % NR_ACTIONS;
    const Outcome *outcome = &outcomes[from][action];
    BdrvZones *zones = make_device(3, 4);
    uint32_t index = from == CONVENTIONAL ? 0 : 2;
    BlockZoneState state_before;
    int64_t wp_before;

    arrange(zones, index, from);
    state_before = zones_state(zones, index);
    wp_before = zones_wp(zones, index);
    g_assert_cmpint(act(&zones, action, index), ==, -outcome->error);
    if (outcome->error) {
        g_assert_cmpint(zones_wp(zones, index), ==, wp_before);
        assert_state(zones, index, state_before);
        assert_counted(zones, state_before);
    } else {
        assert_state(zones, index, outcome->state);
        assert_counted(zones, outcome->state);
    }
    zones_free(zones);
}

static void add_transition_tests(void)
{
    unsigned int which;

    for (which = 0; which < NR_FROM * NR_ACTIONS; which++) {
        g_autofree char *path = g_strdup_printf("/zones/transition/%s/%s",
                                                from_names[which / NR_ACTIONS],
                                                action_names[which % NR_ACTIONS]);

        g_test_add_data_func(path, GUINT_TO_POINTER(which), test_transition);
    }
}

/* ---- refusals of writes, and their order ---- */

typedef struct Refusal {
    const char *name;
    From from;
    int64_t position, bytes;
    int error;
} Refusal;

static const Refusal write_refusals[] = {
    {"not-at-the-write-pointer", IOPEN, 2 * BLOCK, BLOCK, ZONE_ERR_NOT_AT_WP},
    {"below-the-write-pointer", IOPEN, 0, BLOCK, ZONE_ERR_NOT_AT_WP},
    {"past-the-capacity", IOPEN, BLOCK, CAPACITY, ZONE_ERR_PAST_CAPACITY},
    {"by-one-block-past-the-capacity", EMPTY, 0, CAPACITY + BLOCK, ZONE_ERR_PAST_CAPACITY},
    {"in-the-gap-above-the-capacity", IOPEN, CAPACITY, BLOCK, ZONE_ERR_PAST_CAPACITY},
    {"into-the-next-zone", IOPEN, BLOCK, ZONE_SIZE, ZONE_ERR_PAST_CAPACITY},
    {"short-write", IOPEN, BLOCK, 512, EINVAL},
    {"misaligned-start", IOPEN, BLOCK + 512, BLOCK, EINVAL},
    {"offline-before-full", OFFLINE, 0, 2 * ZONE_SIZE, ZONE_ERR_OFFLINE},
    {"read-only-before-capacity", RDONLY, 0, 2 * ZONE_SIZE, ZONE_ERR_RDONLY},
    {"full-before-capacity", FILLED, 0, ZONE_SIZE, ZONE_ERR_FULL},
    {"finished-before-capacity", FINISHED, 0, ZONE_SIZE, ZONE_ERR_FULL},
    {"capacity-before-alignment", IOPEN, BLOCK, CAPACITY + 1, ZONE_ERR_PAST_CAPACITY},
    {"alignment-before-write-pointer", IOPEN, 3 * BLOCK, 1, EINVAL},
};

/*
 * Fill the resources with explicitly open zones, so that any refusal that came after them would be
 * theirs.
 */
static void test_write_refusal(const void *data)
{
    const Refusal *refusal = data;
    g_autoptr(BdrvZones) zones = make_device(2, 2);
    ZonesStats before;

    arrange(zones, 3, refusal->from);
    g_assert_cmpint(manage_one(zones, BLK_ZO_OPEN, 4), ==, 0);
    before = *zones_stats(zones);
    g_assert_cmpint(write_now(zones, START(3) + refusal->position, refusal->bytes), ==,
                    -refusal->error);
    g_assert_cmpmem(&before, sizeof(before), zones_stats(zones), sizeof(before));
}

static const Refusal append_refusals[] = {
    {"not-at-the-zone-start", IOPEN, BLOCK, BLOCK, ZONE_ERR_APPEND},
    {"longer-than-the-limit", IOPEN, 0, APPEND_MAX + BLOCK, ZONE_ERR_APPEND},
    {"limit-before-offline", OFFLINE, 0, APPEND_MAX + BLOCK, ZONE_ERR_APPEND},
    {"offline", OFFLINE, 0, BLOCK, ZONE_ERR_OFFLINE},
    {"read-only", RDONLY, 0, BLOCK, ZONE_ERR_RDONLY},
    {"full", FILLED, 0, BLOCK, ZONE_ERR_FULL},
    {"misaligned", IOPEN, 0, 512, EINVAL},
};

static void test_append_refusal(const void *data)
{
    const Refusal *refusal = data;
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    int64_t where;

    arrange(zones, 3, refusal->from);
    g_assert_cmpint(append_now(zones, START(3) + refusal->position, refusal->bytes, &where), ==,
                    -refusal->error);
}

static void test_append_room(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    int64_t where;

    g_assert_cmpint(write_now(zones, START(3), CAPACITY - 2 * BLOCK), ==, 0);
    g_assert_cmpint(append_now(zones, START(3), 3 * BLOCK, &where), ==, -ZONE_ERR_PAST_CAPACITY);
    g_assert_cmpint(append_now(zones, START(3), 2 * BLOCK, &where), ==, 0);
    g_assert_cmpint(where, ==, START(3) + CAPACITY - 2 * BLOCK);
    assert_state(zones, 3, BLK_ZS_FULL);
}

static void test_append_never_overlaps(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    ZoneWrite writes[3];
    unsigned int i;

    for (i = 0; i < 3; i++) {
        g_assert_cmpint(zones_append_begin(zones, &writes[i], START(1), BLOCK), ==, 0);
        g_assert_cmpint(writes[i].offset, ==, START(1) + i * BLOCK);
    }
    for (i = 0; i < 3; i++) {
        g_assert_cmpint(end_one(zones, &writes[i], 0), ==, 0);
    }
    g_assert_cmpint(zones_wp(zones, 1), ==, START(1) + 3 * BLOCK);
}

static void test_append_limit_zero(void)
{
    const ZonesGeometry geometry = {
        .device_size = ZONE_SIZE, .zone_size = ZONE_SIZE, .zone_capacity = CAPACITY,
        .write_granularity = BLOCK,
    };
    g_autoptr(BdrvZones) zones = zones_new(&geometry, 0, &error_abort);
    int64_t where;

    g_assert_cmpint(append_now(zones, 0, BLOCK, &where), ==, -ZONE_ERR_APPEND);
}

static void test_last_zone_is_shorter(void)
{
    g_autoptr(BdrvZones) zones = make_device(0, 0);
    int64_t start = START(NR_ZONES - 1);

    g_assert_cmpint(zones_length(zones, NR_ZONES - 1), ==, ZONE_SIZE / 2);
    g_assert_cmpint(zones_capacity(zones, NR_ZONES - 1), ==, ZONE_SIZE / 2);
    g_assert_cmpint(write_now(zones, start, ZONE_SIZE / 2 - BLOCK), ==, 0);
    assert_state(zones, NR_ZONES - 1, BLK_ZS_IOPEN);
    g_assert_cmpint(write_now(zones, start + ZONE_SIZE / 2 - BLOCK, BLOCK), ==, 0);
    assert_state(zones, NR_ZONES - 1, BLK_ZS_FULL);
    g_assert_cmpint(manage_one(zones, BLK_ZO_RESET, NR_ZONES - 1), ==, 0);
    g_assert_cmpint(manage_one(zones, BLK_ZO_FINISH, NR_ZONES - 1), ==, 0);
    g_assert_cmpint(zones_wp(zones, NR_ZONES - 1), ==, device_size(zones));
}

/* ---- open and active resources ---- */

/*
 * A row's texts are the conditions of zones 1, 2, ...: E empty, I implicitly open, U the same but
 * unwritten, X explicitly open, C closed, F full.  Those further left were written earlier.
 */
typedef struct RangeOpen {
    const char *name;
    uint32_t max_open, max_active;
    const char *before;
    uint32_t first, nr;
    int error;
    const char *after;
} RangeOpen;

static const RangeOpen range_opens[] = {
    {"unlimited", 0, 0, "EICXEE", 1, 6, 0, "XXXXXX"},
    {"counts-all-zones-together", 2, 0, "EEE", 1, 3, ZONE_ERR_OPEN_RESOURCE, "EEE"},
    {"fits-exactly", 3, 3, "EEE", 1, 3, 0, "XXX"},
    {"one-explicit-outside-is-one-too-many", 3, 0, "EEEX", 1, 3, ZONE_ERR_OPEN_RESOURCE, "EEEX"},
    {"explicit-inside-counts-once", 3, 3, "XEX", 1, 3, 0, "XXX"},
    {"evicts-implicit-outside-oldest-first", 3, 0, "IIIEE", 4, 2, 0, "CCIXX"},
    {"evicts-only-as-many-as-needed", 3, 0, "IIIEE", 4, 1, 0, "CIIXE"},
    {"implicit-inside-keeps-its-slot", 3, 0, "IIIEE", 1, 2, 0, "XXIEE"},
    {"implicit-inside-is-not-evicted-for-others", 3, 0, "IIIC", 3, 2, 0, "CIXX"},
    {"oldest-inside-is-passed-over", 2, 0, "IIC", 1, 1, 0, "XIC"},
    {"oldest-inside-range-stays", 2, 0, "IEI", 1, 2, 0, "XXC"},
    {"evicted-unwritten-becomes-empty", 2, 0, "UIE", 3, 1, 0, "EIX"},
    {"closed-needs-a-slot", 1, 0, "XC", 2, 1, ZONE_ERR_OPEN_RESOURCE, "XC"},
    {"closed-needs-no-active", 2, 2, "XC", 2, 1, 0, "XX"},
    {"empty-needs-active", 0, 2, "XCE", 3, 1, ZONE_ERR_ACTIVE_RESOURCE, "XCE"},
    {"active-counted-together", 0, 3, "CEE", 2, 2, 0, "CXX"},
    {"active-counted-together-one-too-many", 0, 3, "CCEE", 3, 2, ZONE_ERR_ACTIVE_RESOURCE, "CCEE"},
    {"active-wins-over-open", 2, 2, "XXE", 3, 1, ZONE_ERR_ACTIVE_RESOURCE, "XXE"},
    {"eviction-does-not-help-active", 2, 2, "IIE", 3, 1, ZONE_ERR_ACTIVE_RESOURCE, "IIE"},
    {"unwritten-victim-does-not-help-active", 2, 2, "UIE", 3, 1, ZONE_ERR_ACTIVE_RESOURCE, "UIE"},
    {"full-zone-refuses-all", 0, 0, "EFE", 1, 3, ZONE_ERR_FULL, "EFE"},
    {"open-zones-at-both-limits", 2, 2, "IX", 1, 2, 0, "XX"},
};

static void arrange_letters(BdrvZones *zones, const char *letters)
{
    static const char known[] = "EIUXCF";
    static const From from[] = {EMPTY, IOPEN, IOPEN_UNWRITTEN, EOPEN, CLOSED, FILLED};
    uint32_t i;

    /* Closed and full ones first: they pass through the open condition. */
    for (i = 0; letters[i]; i++) {
        if (strchr("CF", letters[i])) {
            arrange(zones, i + 1, from[strchr(known, letters[i]) - known]);
        }
    }
    for (i = 0; letters[i]; i++) {
        if (!strchr("CF", letters[i])) {
            arrange(zones, i + 1, from[strchr(known, letters[i]) - known]);
        }
    }
}

static char *state_letters(const BdrvZones *zones, uint32_t nr)
{
    GString *letters = g_string_new(NULL);
    uint32_t i;

    for (i = 1; i <= nr; i++) {
        BlockZoneState state = zones_state(zones, i);
        bool is_unwritten = zones_wp(zones, i) == START(i);

        g_string_append_c(letters, state == BLK_ZS_EMPTY ? 'E' :
                          state == BLK_ZS_IOPEN ? (is_unwritten ? 'U' : 'I') :
                          state == BLK_ZS_EOPEN ? 'X' : state == BLK_ZS_CLOSED ? 'C' : 'F');
    }
    return g_string_free(letters, false);
}

static void assert_letters(const BdrvZones *zones, const char *expected)
{
    g_autofree char *letters = state_letters(zones, strlen(expected));

    g_assert_cmpstr(letters, ==, expected);
}

static void test_range_open(const void *data)
{
    const RangeOpen *row = data;
    g_autoptr(BdrvZones) zones = make_device(row->max_open, row->max_active);

    arrange_letters(zones, row->before);
    assert_letters(zones, row->before);
    g_assert_cmpint(manage(zones, BLK_ZO_OPEN, START(row->first), row->nr * ZONE_SIZE), ==,
                    -row->error);
    assert_letters(zones, row->after);
}

typedef struct OneWrite {
    const char *name;
    uint32_t max_open, max_active;
    const char *before;
    uint32_t index;
    int64_t bytes;
    int error;
    const char *after;
} OneWrite;

static const OneWrite limit_writes[] = {
    {"/zones/lru/oldest-written-is-evicted", 3, 0, "IIIE", 4, BLOCK, 0, "CIII"},
    {"/zones/lru/explicit-open-is-never-evicted", 3, 0, "XIXE", 4, BLOCK, 0, "XCXI"},
    {"/zones/lru/nothing-to-evict-for-empty", 2, 0, "XXE", 3, BLOCK, ZONE_ERR_OPEN_RESOURCE, "XXE"},
    {"/zones/lru/nothing-to-evict-for-closed", 2, 0, "XXC", 3, BLOCK,
     ZONE_ERR_OPEN_RESOURCE, "XXC"},
    {"/zones/lru/closed-zone-evicts", 2, 3, "IIC", 3, BLOCK, 0, "CII"},
    {"/zones/lru/unwritten-victim-becomes-empty", 2, 0, "UIE", 3, BLOCK, 0, "EII"},
    {"/zones/lru/refused-by-active-evicts-nothing", 2, 2, "IIE", 3, BLOCK,
     ZONE_ERR_ACTIVE_RESOURCE, "IIE"},
    {"/zones/limits/active-wins-over-open", 2, 2, "XXE", 3, BLOCK, ZONE_ERR_ACTIVE_RESOURCE, "XXE"},
    {"/zones/limits/closed-counts-as-active", 0, 3, "CCIE", 4, BLOCK, ZONE_ERR_ACTIVE_RESOURCE,
     "CCIE"},
    {"/zones/limits/full-does-not-count", 1, 1, "FFE", 3, BLOCK, 0, "FFI"},
    {"/zones/limits/closed-zone-needs-no-active", 0, 2, "CCE", 1, BLOCK, 0, "ICE"},
    {"/zones/limits/open-zone-needs-nothing", 2, 2, "IX", 1, BLOCK, 0, "IX"},
    {"/zones/limits/zone-filled-at-once-needs-resources", 2, 2, "XXE", 3, CAPACITY,
     ZONE_ERR_ACTIVE_RESOURCE, "XXE"},
    {"/zones/limits/filled-at-once-gives-back", 2, 2, "XE", 2, CAPACITY, 0, "XF"},
};

static void test_limit_write(const void *data)
{
    const OneWrite *row = data;
    g_autoptr(BdrvZones) zones = make_device(row->max_open, row->max_active);

    arrange_letters(zones, row->before);
    assert_letters(zones, row->before);
    g_assert_cmpint(write_now(zones, zones_wp(zones, row->index), row->bytes), ==, -row->error);
    assert_letters(zones, row->after);
}

static void test_lru_refresh(const void *data)
{
    bool by_append = data != NULL;
    g_autoptr(BdrvZones) zones = make_device(3, 0);
    int64_t where;

    arrange_letters(zones, "IIIEEE");
    if (by_append) {
        g_assert_cmpint(append_now(zones, START(1), BLOCK, &where), ==, 0);
    } else {
        g_assert_cmpint(write_now(zones, START(1) + BLOCK, BLOCK), ==, 0);
    }
    g_assert_cmpint(write_now(zones, START(4), BLOCK), ==, 0);
    assert_letters(zones, "ICIIEE");
    g_assert_cmpint(write_now(zones, START(5), BLOCK), ==, 0);
    assert_letters(zones, "ICCIIE");
    g_assert_cmpint(write_now(zones, START(6), BLOCK), ==, 0);
    assert_letters(zones, "CCCIII");
    g_assert_cmpuint(zones_stats(zones)->evictions, ==, 3);
}

static void test_lru_refused_write_does_not_refresh(void)
{
    g_autoptr(BdrvZones) zones = make_device(2, 0);

    arrange_letters(zones, "IIE");
    g_assert_cmpint(write_now(zones, START(1), BLOCK), ==, -ZONE_ERR_NOT_AT_WP);
    g_assert_cmpint(write_now(zones, START(3), BLOCK), ==, 0);
    assert_letters(zones, "CII");
}

/* Every way out of the active conditions gives the resources back at once. */
static void test_limit_given_back(const void *data)
{
    Action action = GPOINTER_TO_UINT(data);
    g_autoptr(BdrvZones) zones = make_device(1, 1);

    arrange(zones, 1, EOPEN);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, -ZONE_ERR_ACTIVE_RESOURCE);
    if (action == RESTART) {
        zones_set_defect(zones, 1, BLK_ZS_RDONLY);
    } else {
        g_assert_cmpint(act(&zones, action, 1), ==, 0);
    }
    g_assert_cmpuint(nr_active(zones), ==, 0);
    g_assert_cmpint(write_now(zones, START(2), BLOCK), ==, 0);
}

static void test_limit_after_load(void)
{
    g_autoptr(BdrvZones) zones = make_device(1, 1);

    g_assert_cmpint(zones_load_wp(zones, 1, START(1) + BLOCK), ==, 0);
    g_assert_cmpint(zones_load_wp(zones, 2, START(2) + BLOCK), ==, 0);
    assert_letters(zones, "CCE");
    g_assert_cmpint(write_now(zones, START(3), BLOCK), ==, -ZONE_ERR_ACTIVE_RESOURCE);
    g_assert_cmpint(write_now(zones, START(2) + BLOCK, BLOCK), ==, 0);
    assert_letters(zones, "CIE");
}

static void add_resource_tests(void)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(range_opens); i++) {
        g_autofree char *path = g_strdup_printf("/zones/limits/open-range/%s", range_opens[i].name);

        g_test_add_data_func(path, &range_opens[i], test_range_open);
    }
    for (i = 0; i < ARRAY_SIZE(limit_writes); i++) {
        g_test_add_data_func(limit_writes[i].name, &limit_writes[i], test_limit_write);
    }
    g_test_add_data_func("/zones/lru/write-refreshes", NULL, test_lru_refresh);
    g_test_add_data_func("/zones/lru/append-refreshes", "append", test_lru_refresh);
    g_test_add_func("/zones/lru/refused-write-does-not-refresh",
                    test_lru_refused_write_does_not_refresh);
    g_test_add_data_func("/zones/limits/given-back-by-filling", GUINT_TO_POINTER(FILL),
                         test_limit_given_back);
    g_test_add_data_func("/zones/limits/given-back-by-finish", GUINT_TO_POINTER(FINISH),
                         test_limit_given_back);
    g_test_add_data_func("/zones/limits/given-back-by-reset", GUINT_TO_POINTER(RESET),
                         test_limit_given_back);
    g_test_add_data_func("/zones/limits/given-back-by-defect", GUINT_TO_POINTER(RESTART),
                         test_limit_given_back);
    g_test_add_func("/zones/limits/kept-after-load", test_limit_after_load);
}

static void add_write_tests(void)
{
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(write_refusals); i++) {
        g_autofree char *path = g_strdup_printf("/zones/write/refused/%s", write_refusals[i].name);

        g_test_add_data_func(path, &write_refusals[i], test_write_refusal);
    }
    for (i = 0; i < ARRAY_SIZE(append_refusals); i++) {
        g_autofree char *path = g_strdup_printf("/zones/append/refused/%s",
                                                append_refusals[i].name);

        g_test_add_data_func(path, &append_refusals[i], test_append_refusal);
    }
    g_test_add_func("/zones/append/refused/no-room", test_append_room);
    g_test_add_func("/zones/append/refused/limit-zero", test_append_limit_zero);
    g_test_add_func("/zones/append/ranges-never-overlap", test_append_never_overlaps);
    g_test_add_func("/zones/write/last-zone-is-shorter", test_last_zone_is_shorter);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_transition_tests();
    add_write_tests();
    add_resource_tests();
    return g_test_run();
}
