/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a crash leaves of a zoned image: the promises of docs/devel/qcow2-zoned.rst, over random
 * work and random crashes.
 *
 * A period of random requests runs on a crash-disk.h.  Then the test goes back to moments of it,
 * lets the power fail or the process die there, and opens what is left: each zone must be as one of
 * its lives allows, byte by byte, and check must find no corruptions.  The lives of a zone are what
 * lies between its resets.
 *
 * ZONED_CRASH_TEST_STATES in the environment sets how many crashes of each kind there are (default
 * 300).  GLib prints the seed and takes it back with --seed.
 */
#include "qemu/osdep.h"

#include "crash-disk.h"
#include "zoned-image-model.h"

#define STATES_DEFAULT      300
#define STATES_PER_PERIOD   25
#define REQUESTS_PER_PERIOD 80
#define PERIODS_PER_IMAGE   8
#define DEVICE_BYTES        (2 * MiB)
#define MAX_IN_FLIGHT       12
#define NEVER               INT64_MAX

/* From @moment on something reaches up to @wp. */
typedef struct Mark {
    int64_t moment;
    int64_t wp;
} Mark;

typedef struct Life {
    int64_t start;
    int64_t reset_submitted, reset_acknowledged; /* moments of its end, NEVER */
    int64_t finish_submitted, finish_acknowledged;
    GArray *submitted, *acknowledged, *durable; /* Mark */
    uint8_t *data;                              /* of the whole zone, with everything submitted */
} Life;

typedef struct CrashZone {
    int64_t start, length, capacity;
    bool is_conventional;
    GPtrArray *lives;
    int64_t submitted, acknowledged;
    bool is_full;
    bool is_managed; /* a command is on its way: no more writes until it is there */
} CrashZone;

/* A write to conventional zones. */
typedef struct Patch {
    int64_t offset, bytes;
    uint32_t number;
    int64_t acknowledged;
} Patch;

typedef struct Flush {
    int64_t submitted, acknowledged;
} Flush;

typedef struct Tester {
    GRand *rand;
    ZonesGeometry geometry;
    BlockDriverState *disk;
    BlockBackend *blk;
    CrashZone *zones;
    unsigned int nr_zones;
    uint8_t *conventional; /* what is durable there since the period began */
    GArray *patches;       /* Patch */
    GArray *flushes;       /* Flush */
    uint32_t last_number;
    unsigned int nr_in_flight;
} Tester;

typedef enum RequestType { WRITE, APPEND, FLUSH, MGMT } RequestType;

typedef struct Request {
    Tester *tester;
    RequestType type;
    BlockZoneOp op;
    CrashZone *zone;
    Life *life;
    unsigned int nr_zones; /* of a command */
    int64_t offset, bytes;
    uint8_t *buf;
    QEMUIOVector qiov;
    BdrvRequestFlags flags;
    unsigned int record; /* which Patch or Flush this is */
    int64_t *flushed;    /* per zone: what was acknowledged when the flush began */
    Life **flushed_lives;
} Request;

static int64_t pick(Tester *t, int64_t n)
{
    return g_rand_int_range(t->rand, 0, n);
}

static bool percent(Tester *t, int chance)
{
    return pick(t, 100) < chance;
}

/* ---- lives ---- */

static void add_mark(GArray *marks, int64_t moment, int64_t wp)
{
    Mark mark = {.moment = moment, .wp = wp};

    g_array_append_val(marks, mark);
}

static int64_t reach(const Life *life, const GArray *marks, int64_t moment)
{
    int64_t wp = life->start;

    for (guint i = 0; i < marks->len; i++) {
        const Mark *mark = &g_array_index(marks, Mark, i);

        if (mark->moment <= moment) {
            wp = MAX(wp, mark->wp);
        }
    }
    return wp;
}

static Life *new_life(CrashZone *zone)
{
    Life *life = g_new0(Life, 1);

    life->start = zone->start;
    life->reset_submitted = life->reset_acknowledged = NEVER;
    life->finish_submitted = life->finish_acknowledged = NEVER;
    life->submitted = g_array_new(false, false, sizeof(Mark));
    life->acknowledged = g_array_new(false, false, sizeof(Mark));
    life->durable = g_array_new(false, false, sizeof(Mark));
    life->data = g_malloc0(zone->length);
    g_ptr_array_add(zone->lives, life);
    zone->submitted = zone->acknowledged = zone->start;
    zone->is_full = false;
    return life;
}

static void free_life(gpointer data)
{
    Life *life = data;

    g_array_unref(life->submitted);
    g_array_unref(life->acknowledged);
    g_array_unref(life->durable);
    g_free(life->data);
    g_free(life);
}

static Life *current_life(const CrashZone *zone)
{
    return g_ptr_array_index(zone->lives, zone->lives->len - 1);
}

/* Only what @zone is now counts from here on. */
static void forget_past(CrashZone *zone)
{
    Life *now = current_life(zone);

    g_ptr_array_steal_index(zone->lives, zone->lives->len - 1);
    g_ptr_array_set_size(zone->lives, 0);
    g_ptr_array_add(zone->lives, now);
    if (now->finish_acknowledged != NEVER) {
        now->finish_submitted = now->finish_acknowledged = 0;
    }
    g_array_set_size(now->submitted, 0);
    g_array_set_size(now->acknowledged, 0);
    g_array_set_size(now->durable, 0);
    add_mark(now->submitted, 0, zone->submitted);
    add_mark(now->acknowledged, 0, zone->acknowledged);
    add_mark(now->durable, 0, zone->acknowledged);
}

/* ---- the end of a request ---- */

static void write_done(Request *req, int64_t moment)
{
    CrashZone *zone = req->zone;
    int64_t end = req->offset + req->bytes;

    if (zone->is_conventional) {
        g_array_index(req->tester->patches, Patch, req->record).acknowledged = moment;
        return;
    }
    add_mark(req->life->acknowledged, moment, end);
    if (req->flags & BDRV_REQ_FUA) {
        add_mark(req->life->durable, moment, end);
    }
    if (req->life == current_life(zone)) {
        zone->acknowledged = MAX(zone->acknowledged, end);
    }
}

static void flush_done(Request *req, int64_t moment)
{
    const Tester *t = req->tester;

    g_array_index(t->flushes, Flush, req->record).acknowledged = moment;
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        if (req->flushed_lives[i]) {
            add_mark(req->flushed_lives[i]->durable, moment, req->flushed[i]);
        }
    }
}

static void mgmt_done(Request *req, int64_t moment)
{
    for (unsigned int i = 0; i < req->nr_zones; i++) {
        CrashZone *zone = &req->zone[i];

        zone->is_managed = false;
        if (zone->is_conventional) {
            continue;
        }
        if (req->op == BLK_ZO_RESET) {
            Life *ended = g_ptr_array_index(zone->lives, zone->lives->len - 2);

            ended->reset_acknowledged = moment;
        } else {
            current_life(zone)->finish_acknowledged = moment;
        }
    }
}

static void request_done(void *opaque, int ret)
{
    Request *req = opaque;
    Tester *t = req->tester;
    int64_t moment = crash_disk_now(t->disk);

    g_assert_cmpint(ret, ==, 0);
    if (req->type == FLUSH) {
        flush_done(req, moment);
    } else if (req->type == MGMT) {
        mgmt_done(req, moment);
    } else {
        write_done(req, moment);
    }
    t->nr_in_flight--;
    qemu_vfree(req->buf);
    g_free(req->flushed);
    g_free(req->flushed_lives);
    g_free(req);
}

/* ---- submission ---- */

static Request *new_request(Tester *t, RequestType type, CrashZone *zone)
{
    Request *req = g_new0(Request, 1);

    req->tester = t;
    req->type = type;
    req->zone = zone;
    t->nr_in_flight++;
    return req;
}

static void give_buffer(Request *req, int64_t offset, int64_t bytes)
{
    Tester *t = req->tester;

    req->offset = offset;
    req->bytes = bytes;
    req->buf = qemu_memalign(512, bytes);
    stamp_fill(req->buf, offset, bytes, ++t->last_number);
    qemu_iovec_init_buf(&req->qiov, req->buf, bytes);
    req->flags = percent(t, 8) ? BDRV_REQ_FUA : 0;
}

/* The data says where it expected to go. */
static void append_done(void *opaque, int ret)
{
    Request *req = opaque;

    stamp_read(req->buf, req->offset);
    request_done(req, ret);
}

static void submit_sequential(Tester *t, CrashZone *zone)
{
    bool is_append = percent(t, 20);
    Request *req = new_request(t, is_append ? APPEND : WRITE, zone);
    int64_t left = zone->start + zone->capacity - zone->submitted;
    int64_t most = MIN(left, is_append ? t->geometry.max_append_bytes : 128 * KiB) / 512;
    int64_t bytes = (1 + pick(t, percent(t, 70) ? MIN(most, 16) : most)) * 512;

    give_buffer(req, zone->submitted, bytes);
    req->life = current_life(zone);
    memcpy(req->life->data + zone->submitted - zone->start, req->buf, bytes);
    zone->submitted += bytes;
    zone->is_full = bytes == left;
    add_mark(req->life->submitted, crash_disk_now(t->disk), zone->submitted);
    if (is_append) {
        req->offset = zone->start;
        blk_aio_zone_append(t->blk, &req->offset, &req->qiov, req->flags, append_done, req);
    } else {
        blk_aio_pwritev(t->blk, req->offset, &req->qiov, req->flags, request_done, req);
    }
}

static void submit_conventional(Tester *t, CrashZone *zone)
{
    int64_t at = pick(t, zone->length / 512) * 512;
    int64_t wanted = (1 + pick(t, 40)) * 512;
    int64_t bytes = MIN(wanted, zone->length - at);
    Patch patch = {.offset = zone->start + at, .bytes = bytes, .acknowledged = NEVER};
    Request *req;

    for (guint i = 0; i < t->patches->len; i++) {
        const Patch *other = &g_array_index(t->patches, Patch, i);

        if (other->acknowledged == NEVER && other->offset < patch.offset + bytes &&
            patch.offset < other->offset + other->bytes) {
            return; /* which of the two would win? */
        }
    }
    req = new_request(t, WRITE, zone);
    give_buffer(req, patch.offset, bytes);
    req->flags = 0;
    req->record = t->patches->len;
    patch.number = t->last_number;
    g_array_append_val(t->patches, patch);
    blk_aio_pwritev(t->blk, req->offset, &req->qiov, 0, request_done, req);
}

static void submit_flush(Tester *t)
{
    Request *req = new_request(t, FLUSH, NULL);
    Flush flush = {.submitted = crash_disk_now(t->disk), .acknowledged = NEVER};

    req->record = t->flushes->len;
    g_array_append_val(t->flushes, flush);
    req->flushed = g_new0(int64_t, t->nr_zones);
    req->flushed_lives = g_new0(Life *, t->nr_zones);
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        if (!t->zones[i].is_conventional) {
            req->flushed[i] = t->zones[i].acknowledged;
            req->flushed_lives[i] = current_life(&t->zones[i]);
        }
    }
    blk_aio_flush(t->blk, request_done, req);
}

static void coroutine_fn
mgmt_entry(void *opaque)
{
    Request *req = opaque;

    request_done(req, blk_co_zone_mgmt(req->tester->blk, req->op, req->offset, req->bytes));
}

static void submit_mgmt(Tester *t, BlockZoneOp op, unsigned int first, unsigned int nr_zones)
{
    Request *req = new_request(t, MGMT, &t->zones[first]);
    int64_t moment = crash_disk_now(t->disk);

    req->op = op;
    req->nr_zones = nr_zones;
    req->offset = req->zone->start;
    for (unsigned int i = 0; i < nr_zones; i++) {
        CrashZone *zone = &req->zone[i];

        zone->is_managed = true;
        req->bytes += zone->length;
        if (zone->is_conventional) {
            continue;
        }
        if (op == BLK_ZO_RESET) {
            current_life(zone)->reset_submitted = moment;
            new_life(zone);
        } else {
            current_life(zone)->finish_submitted =
                MIN(current_life(zone)->finish_submitted, moment);
            zone->is_full = true;
        }
    }
    qemu_coroutine_enter(qemu_coroutine_create(mgmt_entry, req));
}

static bool is_any_managed(const Tester *t, unsigned int first, unsigned int nr_zones)
{
    for (unsigned int i = first; i < first + nr_zones; i++) {
        if (t->zones[i].is_managed) {
            return true;
        }
    }
    return false;
}

static void submit_random_mgmt(Tester *t, unsigned int index)
{
    BlockZoneOp op = percent(t, 75) ? BLK_ZO_RESET : BLK_ZO_FINISH;
    unsigned int nr_zones = 1;

    if (percent(t, 25)) {
        nr_zones = 1 + pick(t, MIN(t->nr_zones - index, 3));
    } else if (op == BLK_ZO_RESET && percent(t, 8)) {
        index = 0;
        nr_zones = t->nr_zones;
    }
    if (!is_any_managed(t, index, nr_zones)) {
        submit_mgmt(t, op, index, nr_zones);
    }
}

static void submit_something(Tester *t)
{
    unsigned int index = pick(t, t->nr_zones);
    CrashZone *zone = &t->zones[index];

    if (percent(t, 7)) {
        submit_flush(t);
    } else if (zone->is_conventional) {
        if (!zone->is_managed) {
            submit_conventional(t, zone);
        }
    } else if (percent(t, zone->is_full ? 60 : 10)) {
        submit_random_mgmt(t, index);
    } else if (!zone->is_full && !zone->is_managed) {
        submit_sequential(t, zone);
    }
}

/* ---- a period ---- */

static void drain(Tester *t)
{
    AIO_WAIT_WHILE(qemu_get_aio_context(), t->nr_in_flight > 0);
}

static BlockBackend *open_on(BlockDriverState *disk, int flags)
{
    json_t *options = json_pack("{s:s, s:s}", "driver", "qcow2", "file", bdrv_get_node_name(disk));

    return blk_new_open(NULL, NULL, options, flags, false, &error_abort);
}

/* Everything that was acknowledged is durable from now on. */
static void mark_durable(Tester *t)
{
    Flush flush = {.submitted = crash_disk_now(t->disk), .acknowledged = 0};

    flush.acknowledged = flush.submitted;
    g_array_append_val(t->flushes, flush);
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        if (!t->zones[i].is_conventional) {
            add_mark(current_life(&t->zones[i])->durable, flush.submitted,
                     t->zones[i].acknowledged);
        }
    }
}

static void reopen(Tester *t)
{
    drain(t);
    g_clear_pointer(&t->blk, blk_unref);
    mark_durable(t);
    t->blk = open_on(t->disk, BDRV_O_RDWR | BDRV_O_UNMAP);
}

static int64_t conventional_bytes(const Tester *t)
{
    return MIN(t->geometry.nr_conventional * t->geometry.zone_size, t->geometry.device_size);
}

static void begin_period(Tester *t)
{
    g_assert_cmpint(blk_flush(t->blk), ==, 0);
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        if (!t->zones[i].is_conventional) {
            forget_past(&t->zones[i]);
        }
    }
    g_array_set_size(t->patches, 0);
    g_array_set_size(t->flushes, 0);
    g_assert_cmpint(blk_pread(t->blk, 0, conventional_bytes(t), t->conventional, 0), ==, 0);
    crash_disk_record(t->disk);
}

static void run_period(Tester *t)
{
    for (int i = 0; i < REQUESTS_PER_PERIOD; i++) {
        submit_something(t);
        while (t->nr_in_flight >= MAX_IN_FLIGHT || (t->nr_in_flight && percent(t, 40))) {
            aio_poll(qemu_get_aio_context(), true);
        }
        if (pick(t, REQUESTS_PER_PERIOD * 3) == 0) {
            reopen(t);
        }
    }
    drain(t);
}

/* ---- what is left ---- */

static bool is_zone_as_in(const CrashZone *zone, const Life *life, CrashKind kind, int64_t moment,
                          const BlockZoneDescriptor *found, const uint8_t *disk)
{
    const GArray *promised = kind == CRASH_OF_PROCESS ? life->acknowledged : life->durable;
    int64_t submitted = reach(life, life->submitted, moment);
    int64_t readable = found->wp - zone->start;

    if (found->state == BLK_ZS_FULL) {
        if (life->finish_submitted > moment && submitted < zone->start + zone->capacity) {
            return false;
        }
        readable = zone->capacity;
    } else if (found->state != (readable ? BLK_ZS_CLOSED : BLK_ZS_EMPTY) ||
               life->finish_acknowledged <= moment || found->wp > submitted ||
               found->wp < reach(life, promised, moment)) {
        return false;
    }
    return memcmp(disk + zone->start, life->data, readable) == 0 &&
           buffer_is_zero(disk + zone->start + readable, zone->length - readable);
}

static void check_zone(const CrashZone *zone, CrashKind kind, int64_t moment,
                       const BlockZoneDescriptor *found, const uint8_t *disk)
{
    const Life *life = NULL;

    for (guint i = 0; i < zone->lives->len; i++) {
        const Life *before = i ? g_ptr_array_index(zone->lives, i - 1) : NULL;

        life = g_ptr_array_index(zone->lives, i);
        if ((!before || before->reset_submitted <= moment) && life->reset_acknowledged > moment &&
            is_zone_as_in(zone, life, kind, moment, found, disk)) {
            return;
        }
    }
    for (guint i = 0; i < zone->lives->len; i++) {
        life = g_ptr_array_index(zone->lives, i);
        g_test_message(
            "life %u: promised %#" PRIx64 ", submitted %#" PRIx64 "; reset at %" PRId64
            " to %" PRId64 ", finished at %" PRId64 " to %" PRId64,
            i, reach(life, kind == CRASH_OF_PROCESS ? life->acknowledged : life->durable, moment),
            reach(life, life->submitted, moment), life->reset_submitted, life->reset_acknowledged,
            life->finish_submitted, life->finish_acknowledged);
    }
    g_error("after a crash %s at moment %" PRId64 " zone %#" PRIx64 " has write pointer %#" PRIx64
            " and state %d, or data that no life of it has",
            kind == CRASH_OF_POWER ? "of power" : "of the process", moment, zone->start, found->wp,
            found->state);
}

/* The number of the last write to the sector at @offset that is promised, 0 where none since the
 * period began. */
static uint32_t promised_number(const Tester *t, int64_t offset, int64_t moment)
{
    int64_t flushed = 0;
    uint32_t number = 0;

    for (guint i = 0; i < t->flushes->len; i++) {
        const Flush *flush = &g_array_index(t->flushes, Flush, i);

        if (flush->acknowledged <= moment) {
            flushed = MAX(flushed, flush->submitted);
        }
    }
    for (guint i = 0; i < t->patches->len; i++) {
        const Patch *patch = &g_array_index(t->patches, Patch, i);

        if (patch->acknowledged <= flushed && offset >= patch->offset &&
            offset < patch->offset + patch->bytes) {
            number = MAX(number, patch->number);
        }
    }
    return number;
}

/* In conventional zones a sector has what was flushed, or something newer. */
static void check_conventional(const Tester *t, int64_t moment, const uint8_t *disk)
{
    for (int64_t at = 0; at < conventional_bytes(t); at += BDRV_SECTOR_SIZE) {
        uint32_t before = stamp_read(t->conventional + at, at);
        uint32_t found = stamp_read(disk + at, at);

        g_assert_cmpuint(found, >=, MAX(before, promised_number(t, at, moment)));
    }
}

static void check_refcounts(BlockDriverState *disk)
{
    g_autoptr(BlockBackend) blk = open_on(disk, BDRV_O_CHECK);

    check_image(blk, true);
}

/* Write to some zones and reset others; @disk is what the disk then reads as. */
static void work_on(Tester *t, BlockBackend *blk, const BlockZoneDescriptor *found, uint8_t *disk)
{
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        const BlockZoneDescriptor *zone = &found[i];

        if (zone->type == BLK_ZT_CONV) {
            continue;
        }
        if (percent(t, 30)) {
            g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, zone->start, zone->length), ==, 0);
            memset(disk + zone->start, 0, zone->length);
        } else if (zone->state != BLK_ZS_FULL && percent(t, 40)) {
            int64_t wanted = (1 + pick(t, 60)) * 512;
            int64_t bytes = MIN(wanted, zone->start + zone->cap - zone->wp);

            stamp_fill(disk + zone->wp, zone->wp, bytes, ++t->last_number);
            g_assert_cmpint(blk_pwrite(blk, zone->wp, bytes, disk + zone->wp, 0), ==, 0);
        }
    }
}

/* The zones of @blk are those of @before after a restart, and the disk from @from on reads as
 * @disk. */
static void check_restarted(const Tester *t, BlockBackend *blk, const BlockZoneDescriptor *before,
                            const uint8_t *disk, int64_t from)
{
    g_autofree BlockZoneDescriptor *found = g_new0(BlockZoneDescriptor, t->nr_zones + 1);
    g_autofree uint8_t *data = g_malloc(t->geometry.device_size);
    int64_t bytes = t->geometry.device_size - from;

    zone_report(blk, t->nr_zones, found);
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        bool was_open = before[i].state == BLK_ZS_IOPEN;

        g_assert_cmpint(found[i].wp, ==, before[i].wp);
        g_assert_cmpint(found[i].state, ==, was_open ? BLK_ZS_CLOSED : before[i].state);
    }
    g_assert_cmpint(blk_pread(blk, from, bytes, data, 0), ==, 0);
    g_assert_cmpmem(data, bytes, disk + from, bytes);
}

/* An image that was recovered and changed, and then not closed either. */
static void check_second_crash(Tester *t, BlockDriverState *left, BlockBackend *blk,
                               const uint8_t *disk)
{
    CrashKind kind = percent(t, 50) ? CRASH_OF_POWER : CRASH_OF_PROCESS;
    g_autofree BlockZoneDescriptor *zones = g_new0(BlockZoneDescriptor, t->nr_zones + 1);
    g_autofree uint8_t *content = NULL;
    BlockDriverState *second;
    BlockBackend *heir;
    int64_t bytes;

    if (kind == CRASH_OF_POWER) {
        g_assert_cmpint(blk_flush(blk), ==, 0);
    }
    zone_report(blk, t->nr_zones, zones);
    content = crash_disk_after(left, kind, crash_disk_now(left), t->rand, &bytes);
    second = crash_disk_new("second", content, bytes, NULL);
    check_refcounts(second);
    heir = open_on(second, BDRV_O_RDWR | BDRV_O_UNMAP);
    /* What was written to conventional zones is promised by a flush only. */
    check_restarted(t, heir, zones, disk, kind == CRASH_OF_POWER ? 0 : conventional_bytes(t));
    blk_unref(heir);
    bdrv_unref(second);
}

static void check_crash(Tester *t, CrashKind kind, int64_t moment)
{
    int64_t bytes;
    g_autofree uint8_t *content = crash_disk_after(t->disk, kind, moment, t->rand, &bytes);
    BlockDriverState *left = crash_disk_new("left", content, bytes, NULL);
    g_autofree uint8_t *disk = g_malloc(t->geometry.device_size);
    g_autofree BlockZoneDescriptor *found = g_new0(BlockZoneDescriptor, t->nr_zones + 1);
    BlockBackend *blk;

    crash_disk_record(left);
    check_refcounts(left);
    blk = open_on(left, BDRV_O_RDWR | BDRV_O_UNMAP);
    zone_report(blk, t->nr_zones, found);
    g_assert_cmpint(blk_pread(blk, 0, t->geometry.device_size, disk, 0), ==, 0);
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        if (!t->zones[i].is_conventional) {
            check_zone(&t->zones[i], kind, moment, &found[i], disk);
        }
    }
    check_conventional(t, moment, disk);
    if (percent(t, 30)) {
        work_on(t, blk, found, disk);
        check_second_crash(t, left, blk, disk);
        zone_report(blk, t->nr_zones, found);
        blk_unref(blk);
        blk = open_on(left, BDRV_O_RDWR | BDRV_O_UNMAP);
        check_restarted(t, blk, found, disk, 0);
    }
    blk_unref(blk);
    check_refcounts(left);
    bdrv_unref(left);
}

/* ---- images ---- */

static void make_zones(Tester *t)
{
    t->nr_zones = DIV_ROUND_UP(t->geometry.device_size, t->geometry.zone_size);
    t->zones = g_new0(CrashZone, t->nr_zones);
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        CrashZone *zone = &t->zones[i];

        zone->start = i * t->geometry.zone_size;
        zone->length = MIN(t->geometry.zone_size, t->geometry.device_size - zone->start);
        zone->is_conventional = i < t->geometry.nr_conventional;
        zone->capacity =
            zone->is_conventional ? zone->length : MIN(zone->length, t->geometry.zone_capacity);
        if (!zone->is_conventional) {
            zone->lives = g_ptr_array_new_with_free_func(free_life);
            new_life(zone);
        }
    }
}

static void free_zones(Tester *t)
{
    for (unsigned int i = 0; i < t->nr_zones; i++) {
        if (t->zones[i].lives) {
            g_ptr_array_unref(t->zones[i].lives);
        }
    }
    g_free(t->zones);
}

static void new_image_content(int64_t cluster_size, const ZonesGeometry *geometry, char **content,
                              gsize *length)
{
    char *dir = make_test_dir("zoned-crash");
    g_autofree char *path = g_build_filename(dir, "new.qcow2", NULL);

    make_zoned_image(path, cluster_size, geometry);
    g_assert_true(g_file_get_contents(path, content, length, NULL));
    remove_test_dir(dir);
}

static void make_image(Tester *t)
{
    int64_t cluster_size = INT64_C(512) << pick(t, 8);
    g_autofree char *content = NULL;
    gsize length;

    random_geometry(t->rand, cluster_size, DEVICE_BYTES, &t->geometry);
    /* The limits have tests of their own; here every write has to be admitted. */
    t->geometry.max_open_zones = t->geometry.max_active_zones = 0;
    new_image_content(cluster_size, &t->geometry, &content, &length);
    t->disk = crash_disk_new("disk", (uint8_t *)content, length, t->rand);
    t->blk = open_on(t->disk, BDRV_O_RDWR | BDRV_O_UNMAP);
    t->conventional = g_malloc0(conventional_bytes(t));
    t->patches = g_array_new(false, false, sizeof(Patch));
    t->flushes = g_array_new(false, false, sizeof(Flush));
    make_zones(t);
}

static void free_image(Tester *t)
{
    g_clear_pointer(&t->blk, blk_unref);
    check_refcounts(t->disk);
    bdrv_unref(t->disk);
    g_array_unref(t->patches);
    g_array_unref(t->flushes);
    g_free(t->conventional);
    free_zones(t);
}

static unsigned int nr_states_wanted(void)
{
    const char *text = g_getenv("ZONED_CRASH_TEST_STATES");

    return text ? strtoul(text, NULL, 0) : STATES_DEFAULT;
}

static void run_crashes(CrashKind kind)
{
    Tester t = {.rand = g_rand_new_with_seed(g_test_rand_int())};
    unsigned int nr_left = nr_states_wanted();

    while (nr_left) {
        make_image(&t);
        for (int period = 0; nr_left && period < PERIODS_PER_IMAGE; period++) {
            int64_t first, last;

            begin_period(&t);
            first = crash_disk_now(t.disk);
            run_period(&t);
            last = crash_disk_now(t.disk);
            for (int i = 0; nr_left && i < STATES_PER_PERIOD; i++, nr_left--) {
                check_crash(&t, kind, first + pick(&t, last - first + 1));
            }
        }
        free_image(&t);
    }
    g_rand_free(t.rand);
}

static void test_power_cut(void)
{
    run_crashes(CRASH_OF_POWER);
}

static void test_process_death(void)
{
    run_crashes(CRASH_OF_PROCESS);
}

/* ---- errors ---- */

/* Write @bytes at @at in pieces, and remember them in @wanted. */
static void write_stamps(BlockBackend *blk, uint8_t *wanted, int64_t at, int64_t bytes)
{
    const int64_t piece = 16 * KiB;

    for (int64_t end = at + bytes; at < end; at += piece) {
        stamp_fill(wanted + at, at, piece, 1 + at / piece);
        g_assert_cmpint(blk_pwrite(blk, at, piece, wanted + at, 0), ==, 0);
    }
}

/* The @countdown-th write below a finish fails; returns whether the finish did. */
static bool finish_with_error(const uint8_t *content, int64_t length, int64_t zone_size,
                              unsigned int countdown)
{
    int64_t device_size = 4 * zone_size;
    BlockDriverState *disk = crash_disk_new("disk", content, length, NULL);
    BlockBackend *blk = open_on(disk, BDRV_O_RDWR | BDRV_O_UNMAP);
    g_autofree uint8_t *wanted = g_malloc0(device_size);
    g_autofree uint8_t *found = g_malloc(device_size);
    int ret;

    write_stamps(blk, wanted, 0, 48 * KiB);
    crash_disk_fail_write(disk, countdown);
    ret = blk_zone_mgmt(blk, BLK_ZO_FINISH, 0, zone_size);
    crash_disk_fail_write(disk, 0);
    if (ret < 0) {
        g_assert_cmpint(ret, ==, -EIO);
        /* What the finish has given back on its way goes to others, never to two. */
        g_assert_cmpint(blk_flush(blk), ==, 0);
        for (int i = 1; i < 4; i++) {
            write_stamps(blk, wanted, i * zone_size, zone_size);
        }
        write_stamps(blk, wanted, 48 * KiB, zone_size - 48 * KiB);
    }
    g_assert_cmpint(blk_pread(blk, 0, device_size, found, 0), ==, 0);
    g_assert_cmpmem(found, device_size, wanted, device_size);
    blk_unref(blk);
    check_refcounts(disk);
    bdrv_unref(disk);
    return ret < 0;
}

static void test_failed_finish(void)
{
    const ZonesGeometry geometry = {
        .device_size = MiB,
        .zone_size = 256 * KiB,
        .zone_capacity = 256 * KiB,
        .max_append_bytes = 64 * KiB,
        .write_granularity = 512,
    };
    g_autofree char *content = NULL;
    unsigned int countdown = 1;
    gsize length;

    new_image_content(4 * KiB, &geometry, &content, &length);
    while (finish_with_error((uint8_t *)content, length, geometry.zone_size, countdown)) {
        countdown++;
    }
    g_assert_cmpuint(countdown, >, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(qemu_init_main_loop(&error_abort));
    bdrv_init();
    g_test_add_func("/zoned-crash/a-finish-that-fails-leaves-the-zone-as-it-was",
                    test_failed_finish);
    g_test_add_func("/zoned-crash/a-power-cut-leaves-what-was-promised", test_power_cut);
    g_test_add_func("/zoned-crash/the-death-of-the-process-loses-nothing-acknowledged",
                    test_process_death);
    return g_test_run();
}
