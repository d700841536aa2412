/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random requests to a zoned qcow2 image in a file, through BlockBackend, and to the model of
 * zoned-image-model.h: every answer, every append position, every report and every byte must agree.
 *
 * block/zones.c decides when a request is submitted, so even with many in flight the model knows
 * each answer: a report taken before each submission shows which writes have been settled since the
 * last one.  Only a request that has to wait for a management command begins at a time of its own;
 * rounds with such requests ("loose" ones) are checked for what must hold in any order, and then
 * the model learns from the report.
 *
 * ZONED_IMAGE_TEST_OPS in the environment sets how many requests each test makes (default 200,000).
 * GLib prints the seed and takes it back with --seed.
 */
#include "qemu/osdep.h"

#include <sys/stat.h>

#include "zoned-image-model.h"

#define OPS_DEFAULT 200000
#define OPS_PER_IMAGE 4000
#define OPS_PER_OPEN 500
#define DEVICE_BYTES (6 * MiB)
#define MAX_IN_FLIGHT 32
#define MAX_BYTES (256 * KiB)
#define ANY_ANSWER 1 /* of a loose request */

typedef enum RequestType { READ, WRITE, APPEND, ZEROES, DISCARD, FLUSH, MGMT } RequestType;

typedef struct Tester {
    GRand *rand;
    char *path;
    ZonesGeometry geometry;
    ImageModel *model;
    BlockBackend *blk;
    GPtrArray *requests;  /* in flight, in the order of their submission */
    GHashTable *numbers;  /* stamps of writes that have been submitted to this image */
    uint32_t last_number;
    unsigned int max_in_flight;
    bool is_loose;        /* some request of this round waits: the model is behind */
    unsigned int nr_random_changes; /* of conventional zones, begun or ended */
    unsigned int nr_random_in_flight;
    bool *was_managed;    /* per zone: a command has been submitted in this loose round */
} Tester;

typedef struct Request {
    Tester *tester;
    RequestType type;
    BlockZoneOp op;
    int64_t offset;
    int64_t bytes;
    BdrvRequestFlags flags;
    uint8_t *buf;
    uint8_t *expected;    /* of a read: the model when it began */
    QEMUIOVector qiov;
    uint32_t number;
    int answer;           /* what it must end with, or ANY_ANSWER */
    ModelWrite write;
    bool is_unsettled;    /* @write is in flight in the model */
    bool is_unapplied;    /* the command is allowed, the model has not seen it yet */
    bool is_holding;
    bool is_done;
    int ret;
    int64_t append_offset;
    unsigned int nr_random_changes;
    bool is_overtaken;    /* of a read: a reset of its zones was on the way at some time */
} Request;

static unsigned int nr_seen[256]; /* how often each errno was the answer */
static unsigned int nr_loose_rounds;

static int64_t pick(Tester *t, int64_t n)
{
    return n <= 1 ? 0 : (int64_t)(((uint64_t)g_rand_int(t->rand) << 31 | g_rand_int(t->rand) >> 1) %
                                  (uint64_t)n);
}

static bool percent(Tester *t, unsigned int chance)
{
    return pick(t, 100) < chance;
}

static bool ranges_meet(int64_t a, int64_t a_bytes, int64_t b, int64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* ---- the model follows the image ---- */

static bool has_op_been_applied(const Request *req, const BlockZoneDescriptor *zones,
                                unsigned int nr_zones)
{
    BlockZoneState after = req->op == BLK_ZO_RESET ? BLK_ZS_EMPTY : BLK_ZS_FULL;

    for (unsigned int i = 0; i < nr_zones; i++) {
        if (zones[i].start >= req->offset && zones[i].start < req->offset + req->bytes &&
            zones[i].state != after && zones[i].state != BLK_ZS_NOT_WP) {
            return false;
        }
    }
    return true;
}

static void apply_command(Request *req)
{
    image_model_apply(req->tester->model, req->op, req->offset, req->bytes);
    req->is_unapplied = false;
}

static void settle_write(Request *req)
{
    memcpy(req->tester->model->data + req->write.offset, req->buf, req->write.bytes);
    image_model_settle(req->tester->model, &req->write);
    req->is_unsettled = false;
}

/* Settle and apply in the model what a report shows as done, and compare all of it. */
static void follow(Tester *t)
{
    unsigned int nr_zones = t->model->zones->nr_zones;
    g_autofree BlockZoneDescriptor *zones = g_new0(BlockZoneDescriptor, nr_zones + 1);

    if (t->is_loose) {
        return;
    }
    zone_report(t->blk, nr_zones, zones);
    for (guint i = 0; i < t->requests->len; i++) {
        Request *req = g_ptr_array_index(t->requests, i);

        if (req->is_unapplied && has_op_been_applied(req, zones, nr_zones)) {
            apply_command(req);
        } else if (req->is_unsettled &&
                   zones[req->write.offset / t->geometry.zone_size].wp >=
                       req->write.offset + req->write.bytes) {
            settle_write(req);
        }
    }
    image_model_check_report(t->model, t->blk);
}

/* ---- reads ---- */

static bool is_conventional_at(const Tester *t, int64_t offset)
{
    return offset / t->geometry.zone_size < t->geometry.nr_conventional;
}

/* Nothing could change the sector at @offset while @req read it. */
static bool is_sector_certain(const Request *req, int64_t offset)
{
    const Tester *t = req->tester;

    if (is_conventional_at(t, offset)) {
        return req->nr_random_changes == t->nr_random_changes;
    }
    /*
     * Below the write pointer, as its stamp shows: a write that has begun later cannot change it.
     */
    return !req->is_overtaken && stamp_read(req->expected + offset - req->offset, offset) != 0;
}

static void check_number(const Tester *t, uint32_t number)
{
    g_assert_true(number == 0 || g_hash_table_contains(t->numbers, GUINT_TO_POINTER(number)));
}

/*
 * A sector, beginning with @words, that was perhaps being written while it was read: the page cache
 * then gives a part of each, in a conventional zone, where a write may replace another.
 */
static void check_uncertain_sector(const Request *req, const uint64_t *words, int64_t offset)
{
    const Tester *t = req->tester;

    if (!is_conventional_at(t, offset)) {
        check_number(t, stamp_read(words, offset));
        return;
    }
    for (int64_t i = 0; i < BDRV_SECTOR_SIZE / 8; i++) {
        uint32_t number = words[i] >> STAMP_BITS;

        check_number(t, number);
        g_assert_cmphex(words[i] & ((UINT64_C(1) << STAMP_BITS) - 1), ==,
                        number ? offset + i * 8 : 0);
    }
}

static void check_read(Request *req)
{
    Tester *t = req->tester;

    if (t->max_in_flight == 1) {
        g_assert_cmpmem(req->buf, req->bytes, req->expected, req->bytes);
        return;
    }
    for (int64_t at = 0; at < req->bytes; at += BDRV_SECTOR_SIZE) {
        if (is_sector_certain(req, req->offset + at)) {
            g_assert_cmpmem(req->buf + at, BDRV_SECTOR_SIZE, req->expected + at, BDRV_SECTOR_SIZE);
        } else {
            check_uncertain_sector(req, (const uint64_t *)(req->buf + at), req->offset + at);
        }
    }
}

/* Reads in flight may or may not see the data of the zones that @mgmt resets. */
static void overtake_reads(const Request *mgmt)
{
    Tester *t = mgmt->tester;

    for (guint i = 0; i < t->requests->len; i++) {
        Request *req = g_ptr_array_index(t->requests, i);

        if (req->type == READ &&
            ranges_meet(req->offset, req->bytes, mgmt->offset, mgmt->bytes)) {
            req->is_overtaken = true;
        }
    }
}

static bool is_reset_in_flight(const Tester *t, int64_t offset, int64_t bytes)
{
    for (guint i = 0; i < t->requests->len; i++) {
        const Request *req = g_ptr_array_index(t->requests, i);

        if (req->type == MGMT && req->op == BLK_ZO_RESET &&
            ranges_meet(req->offset, req->bytes, offset, bytes)) {
            return true;
        }
    }
    return false;
}

/* ---- the end of a request ---- */

/* An acknowledged byte is below the write pointer by the time the requester knows. */
static void check_acknowledged(const Request *req, int64_t offset)
{
    BlockZoneDescriptor zone;
    unsigned int one = 1;

    /*
     * A write with FUA is settled long before it is answered, and its zone may have been reset
     * since.
     */
    if (req->bytes == 0 || (req->flags & BDRV_REQ_FUA) ||
        is_conventional_at(req->tester, offset) || req->tester->is_loose) {
        return;
    }
    g_assert_cmpint(blk_zone_report(req->tester->blk, offset, &one, &zone), ==, 0);
    g_assert_cmpint(zone.wp, >=, offset + req->bytes);
}

static void end_random_change(Request *req)
{
    Tester *t = req->tester;

    t->nr_random_changes++;
    t->nr_random_in_flight--;
}

static bool is_random_change(const Request *req)
{
    return (req->type == WRITE || req->type == ZEROES || req->type == DISCARD) &&
           req->bytes > 0 && req->answer == 0 && req->write.bytes == 0;
}

static void request_done(void *opaque, int ret)
{
    Request *req = opaque;

    req->ret = ret;
    req->is_done = true;
    if (req->answer != ANY_ANSWER && ret != req->answer) {
        g_error("request type %d op %d, %" PRId64 " bytes at %" PRId64 ": answer %d, expected %d",
                req->type, req->op, req->bytes, req->offset, ret, req->answer);
    }
    nr_seen[-ret]++;
    if (is_random_change(req)) {
        end_random_change(req);
    }
    if (ret == 0 && req->type == READ) {
        check_read(req);
    } else if (ret == 0 && req->type == WRITE) {
        check_acknowledged(req, req->offset);
    } else if (ret == 0 && req->type == APPEND) {
        g_assert_true(req->answer == ANY_ANSWER || req->append_offset == req->write.offset);
        check_acknowledged(req, req->append_offset);
    }
    if (req->is_holding) {
        /* From here on writes to the zones do not have to wait any more. */
        req->is_holding = false;
        model_release(req->tester->model->zones, req->offset, req->bytes);
    }
}

static void free_request(Request *req)
{
    qemu_vfree(req->buf);
    g_free(req->expected);
    qemu_iovec_destroy(&req->qiov);
    g_free(req);
}

/* Forget the requests that are done and settled. */
static void reap(Tester *t)
{
    follow(t);
    for (guint i = 0; i < t->requests->len;) {
        Request *req = g_ptr_array_index(t->requests, i);

        if (req->is_done && !t->is_loose) {
            g_assert_false(req->is_unsettled);
            if (req->is_unapplied) {
                apply_command(req);
            }
            g_ptr_array_remove_index(t->requests, i);
            free_request(req);
        } else {
            i++;
        }
    }
}

/* ---- submission ---- */

static void coroutine_fn mgmt_entry(void *opaque)
{
    Request *req = opaque;

    request_done(req, blk_co_zone_mgmt(req->tester->blk, req->op, req->offset, req->bytes));
}

/* What @req, which has been predicted, does to the model before it is on its way. */
static void begin_in_model(Request *req)
{
    Tester *t = req->tester;

    req->is_unsettled = req->answer == 0 && req->write.bytes > 0;
    if (is_random_change(req)) {
        t->nr_random_changes++;
        t->nr_random_in_flight++;
    }
    if (req->answer == 0 && req->type == WRITE && req->write.bytes == 0 && req->bytes > 0) {
        memcpy(t->model->data + req->offset, req->buf, req->bytes);
    } else if (req->answer == 0 && req->type == ZEROES) {
        memset(t->model->data + req->offset, 0, req->bytes);
    }
}

static void start(Request *req)
{
    Tester *t = req->tester;

    switch (req->type) {
    case READ:
        blk_aio_preadv(t->blk, req->offset, &req->qiov, 0, request_done, req);
        break;
    case WRITE:
        blk_aio_pwritev(t->blk, req->offset, &req->qiov, req->flags, request_done, req);
        break;
    case APPEND:
        req->append_offset = req->offset;
        blk_aio_zone_append(t->blk, &req->append_offset, &req->qiov, req->flags, request_done,
                            req);
        break;
    case ZEROES:
        blk_aio_pwrite_zeroes(t->blk, req->offset, req->bytes, req->flags, request_done, req);
        break;
    case DISCARD:
        blk_aio_pdiscard(t->blk, req->offset, req->bytes, request_done, req);
        break;
    case FLUSH:
        blk_aio_flush(t->blk, request_done, req);
        break;
    case MGMT:
        qemu_coroutine_enter(qemu_coroutine_create(mgmt_entry, req));
        break;
    }
}

static void become_loose(Tester *t)
{
    if (!t->is_loose) {
        t->is_loose = true;
        nr_loose_rounds++;
        memset(t->was_managed, 0, t->model->zones->nr_zones * sizeof(bool));
        for (guint i = 0; i < t->requests->len; i++) {
            const Request *req = g_ptr_array_index(t->requests, i);

            for (unsigned int z = 0; req->type == MGMT && z < t->model->zones->nr_zones; z++) {
                t->was_managed[z] |= ranges_meet(req->offset, req->bytes,
                                                 z * t->geometry.zone_size, 1);
            }
        }
    }
}

/* The answer to a management command; ANY_ANSWER where it has to wait for others. */
static int predict_mgmt(Request *req)
{
    Tester *t = req->tester;
    ModelZones *zones = t->model->zones;
    int ret = image_model_mgmt_range(t->model, req->offset, req->bytes);

    if (ret < 0) {
        return ret;
    }
    if (model_is_busy(zones, req->offset, req->bytes) ||
        model_hold(zones, req->offset, req->bytes) < 0) {
        return ANY_ANSWER;
    }
    req->is_holding = true;
    ret = model_mgmt_check(zones, req->op, req->offset, req->bytes);
    if (ret == 0) {
        req->is_unapplied = true;
        if (req->op == BLK_ZO_OPEN || req->op == BLK_ZO_CLOSE) {
            apply_command(req);
        }
    }
    return ret;
}

static int predict(Request *req)
{
    Tester *t = req->tester;
    int ret;

    switch (req->type) {
    case READ:
        return req->offset > t->model->size - req->bytes ? -EIO : 0;
    case WRITE:
        ret = image_model_write_begin(t->model, &req->write, req->offset, req->bytes);
        break;
    case APPEND:
        ret = image_model_append_begin(t->model, &req->write, req->offset, req->bytes);
        break;
    case ZEROES:
    case DISCARD:
        return image_model_random_access(t->model, req->offset, req->bytes);
    case MGMT:
        return predict_mgmt(req);
    default:
        return 0;
    }
    if (ret < 0) {
        req->write.bytes = 0;
    }
    return ret == -EAGAIN ? ANY_ANSWER : ret;
}

static void note_loose_command(const Request *req)
{
    Tester *t = req->tester;

    for (unsigned int z = 0; z < t->model->zones->nr_zones; z++) {
        t->was_managed[z] |= ranges_meet(req->offset, req->bytes, z * t->geometry.zone_size, 1);
    }
}

/* In a loose round only conventional zones are still predictable, and what no state can allow. */
static int predict_loosely(Request *req)
{
    Tester *t = req->tester;
    bool is_positioned = req->type != FLUSH && req->offset >= 0 && req->offset < t->model->size;

    if (req->type == MGMT && image_model_mgmt_range(t->model, req->offset, req->bytes) == 0) {
        note_loose_command(req);
        return ANY_ANSWER;
    }
    if ((req->type == WRITE || req->type == APPEND) && is_positioned &&
        !is_conventional_at(t, req->offset)) {
        return ANY_ANSWER;
    }
    return predict(req);
}

/* Where a waiting append will go is not known yet. */
static void give_append_stamp(Request *req)
{
    if (req->write.bytes) {
        stamp_fill(req->buf, req->write.offset, req->bytes, req->number);
    } else {
        req->number |= STAMP_FLOATING;
        g_hash_table_add(req->tester->numbers, GUINT_TO_POINTER(req->number));
        stamp_fill(req->buf, 0, req->bytes, req->number);
    }
}

static void submit(Request *req)
{
    Tester *t = req->tester;

    req->answer = t->is_loose ? predict_loosely(req) : predict(req);
    if (req->answer == ANY_ANSWER) {
        become_loose(t);
        if (req->type == MGMT) {
            note_loose_command(req);
        }
    }
    if (req->type == APPEND && req->bytes) {
        give_append_stamp(req);
    }
    begin_in_model(req);
    g_ptr_array_add(t->requests, req);
    if (req->type == MGMT && req->op == BLK_ZO_RESET) {
        overtake_reads(req);
    }
    if (req->type == READ && req->answer == 0) {
        req->expected = g_memdup2(t->model->data + req->offset, req->bytes);
        req->nr_random_changes = t->nr_random_in_flight ? UINT_MAX : t->nr_random_changes;
        req->is_overtaken = t->is_loose || is_reset_in_flight(t, req->offset, req->bytes);
    }
    start(req);
}

/* ---- making requests up ---- */

static Request *new_request(Tester *t, RequestType type)
{
    Request *req = g_new0(Request, 1);

    req->tester = t;
    req->type = type;
    qemu_iovec_init(&req->qiov, 2);
    return req;
}

static void give_buffer(Request *req, int64_t bytes)
{
    Tester *t = req->tester;
    int64_t cut = pick(t, bytes / 512) * 512;

    req->bytes = bytes;
    if (bytes == 0) {
        return;
    }
    req->buf = qemu_memalign(512, bytes);
    memset(req->buf, 0xee, bytes);
    if (cut) {
        qemu_iovec_add(&req->qiov, req->buf, cut);
    }
    qemu_iovec_add(&req->qiov, req->buf + cut, bytes - cut);
}

static void give_stamp(Request *req)
{
    Tester *t = req->tester;

    req->number = ++t->last_number;
    g_hash_table_add(t->numbers, GUINT_TO_POINTER(req->number));
    req->flags = percent(t, 5) ? BDRV_REQ_FUA : 0;
}

static ModelZone *any_zone(Tester *t)
{
    return &t->model->zones->zones[pick(t, t->model->zones->nr_zones)];
}

/* Mostly a zone that can be written without opening another one. */
static ModelZone *zone_to_write(Tester *t)
{
    ModelZone *zone = any_zone(t);

    for (int tries = 0; tries < 4 && (zone->state == BLK_ZS_FULL || zone->is_held); tries++) {
        zone = any_zone(t);
    }
    return zone;
}

static int64_t random_bytes(Tester *t, int64_t most)
{
    int64_t shape = percent(t, 60) ? 16 : most / 512;

    return (1 + pick(t, MIN(shape, most / 512))) * 512;
}

static Request *make_write(Tester *t)
{
    ModelZone *zone = zone_to_write(t);
    Request *req = new_request(t, WRITE);
    int64_t writable_end = zone->start + zone->capacity;
    int64_t bytes = random_bytes(t, MAX_BYTES);

    if (zone->state == BLK_ZS_NOT_WP) {
        req->offset = zone->start + pick(t, zone->length / 512) * 512;
    } else {
        req->offset = MIN(model_submitted(zone), zone->start + zone->length - 512);
        if (percent(t, 80) && req->offset < writable_end) {
            bytes = MIN(bytes, writable_end - req->offset);
        }
    }
    if (percent(t, 4)) {
        req->offset += (pick(t, 9) - 4) * 512;
    } else if (percent(t, 1)) {
        req->offset = pick(t, t->model->size / 512 + 4) * 512;
    }
    req->offset = MAX(req->offset, 0);
    give_buffer(req, percent(t, 1) ? 0 : bytes);
    give_stamp(req);
    if (zone->state != BLK_ZS_NOT_WP && !is_conventional_at(t, req->offset) && percent(t, 1)) {
        /* Not a multiple of the granularity: refused, so its content does not matter. */
        req->offset += 1 + pick(t, 511);
    }
    stamp_fill(req->buf, req->offset, req->bytes, req->number);
    return req;
}

static Request *make_append(Tester *t)
{
    ModelZone *zone = zone_to_write(t);
    Request *req = new_request(t, APPEND);
    int64_t most = t->geometry.max_append_bytes;

    req->offset = zone->start;
    give_buffer(req, random_bytes(t, percent(t, 3) ? most * 2 : most));
    give_stamp(req);
    if (percent(t, 2)) {
        req->offset += (pick(t, 5) - 2) * 512;
        req->offset = MAX(req->offset, 0);
    }
    return req;
}

static Request *make_read(Tester *t)
{
    Request *req = new_request(t, READ);
    int64_t most = percent(t, 5) ? t->model->size : MAX_BYTES;
    const ModelZone *zone = any_zone(t);

    req->offset = percent(t, 50) ? zone->start + pick(t, zone->length / 512) * 512
                                 : zone->wp - pick(t, 64) * 512;
    req->offset = MAX(req->offset, 0);
    most = random_bytes(t, most);
    give_buffer(req, MIN(most, t->model->size - req->offset));
    if (percent(t, 1)) {
        req->offset = t->model->size + 512 - req->bytes;
    }
    return req;
}

static Request *make_mgmt(Tester *t)
{
    /* Resets must be frequent enough to keep zones available. */
    static const BlockZoneOp ops[] = {
        BLK_ZO_OPEN, BLK_ZO_OPEN, BLK_ZO_CLOSE, BLK_ZO_CLOSE, BLK_ZO_FINISH,
        BLK_ZO_RESET, BLK_ZO_RESET, BLK_ZO_RESET, BLK_ZO_RESET, BLK_ZO_RESET,
    };
    Request *req = new_request(t, MGMT);
    int64_t zone_size = t->geometry.zone_size;
    const ModelZone *zone = any_zone(t);

    req->op = ops[pick(t, ARRAY_SIZE(ops))];
    req->offset = zone->start;
    req->bytes = zone->length;
    if (percent(t, 15)) {
        req->bytes = (1 + pick(t, 4)) * zone_size;
        req->bytes = MIN(req->bytes, t->model->size - req->offset);
    } else if (percent(t, 2)) {
        req->offset = 0;
        req->bytes = t->model->size;
    } else if (percent(t, 3)) {
        req->bytes += (pick(t, 3) - 1) * 512;
        req->offset += pick(t, 2) * 512;
    } else if (percent(t, 2)) {
        req->bytes = zone_size * (1 + t->model->zones->nr_zones);
    }
    return req;
}

static Request *make_random_access(Tester *t, RequestType type)
{
    Request *req = new_request(t, type);
    bool is_conventional = t->geometry.nr_conventional && percent(t, 80);
    int64_t range = is_conventional ? t->geometry.nr_conventional * t->geometry.zone_size
                                    : t->model->size;

    req->offset = pick(t, range / 512) * 512;
    req->bytes = random_bytes(t, MAX_BYTES);
    req->flags = type == ZEROES && percent(t, 50) ? BDRV_REQ_MAY_UNMAP : 0;
    return req;
}

static Request *make_request(Tester *t)
{
    unsigned int which = pick(t, 100);

    if (which < 45) {
        return make_write(t);
    } else if (which < 62) {
        return make_append(t);
    } else if (which < 80) {
        return make_read(t);
    } else if (which < 94) {
        return make_mgmt(t);
    } else if (which < 97) {
        return make_random_access(t, percent(t, 70) ? ZEROES : DISCARD);
    }
    return new_request(t, FLUSH);
}

/* Whether the model could still say how @req ends if it were submitted now. */
static bool is_predictable(const Request *req)
{
    Tester *t = req->tester;
    const ModelZone *zone;

    if (req->type == MGMT && image_model_mgmt_range(t->model, req->offset, req->bytes) == 0) {
        for (unsigned int i = 0; i < t->model->zones->nr_zones; i++) {
            zone = &t->model->zones->zones[i];
            if (ranges_meet(zone->start, zone->length, req->offset, req->bytes) &&
                (zone->is_held || zone->writes->len > 0)) {
                return false;
            }
        }
        return true;
    }
    if ((req->type != WRITE && req->type != APPEND) || req->offset >= t->model->size) {
        return true;
    }
    zone = model_zone_at(t->model->zones, req->offset);
    return !zone->is_held;
}

/* Conventional writes in flight must not overlap: nobody could say which of them wins. */
static bool is_conflicting(const Request *req)
{
    Tester *t = req->tester;

    if ((req->type != WRITE && req->type != ZEROES && req->type != DISCARD) ||
        !is_conventional_at(t, req->offset)) {
        return false;
    }
    for (guint i = 0; i < t->requests->len; i++) {
        const Request *other = g_ptr_array_index(t->requests, i);

        if ((is_random_change(other) && !other->is_done) &&
            (req->type == DISCARD || other->type == DISCARD ||
             ranges_meet(req->offset, req->bytes, other->offset, other->bytes))) {
            return true;
        }
    }
    return false;
}

/* ---- rounds ---- */

static void drain(Tester *t)
{
    for (guint i = 0; i < t->requests->len; i++) {
        const Request *req = g_ptr_array_index(t->requests, i);

        while (!req->is_done) {
            aio_poll(blk_get_aio_context(t->blk), true);
        }
    }
}

/* Where the data of an acknowledged loose write is, unless a command may have removed it. */
static void check_loose_write(const Request *req, const uint8_t *disk)
{
    const Tester *t = req->tester;
    int64_t offset = req->type == APPEND ? req->append_offset : req->offset;

    if (req->ret < 0 || (req->type != WRITE && req->type != APPEND) || req->bytes == 0 ||
        is_conventional_at(t, offset) || t->was_managed[offset / t->geometry.zone_size]) {
        return;
    }
    g_assert_cmpmem(disk + offset, req->bytes, req->buf, req->bytes);
}

static void learn_zone(Tester *t, ModelZone *zone, const BlockZoneDescriptor *real)
{
    g_ptr_array_set_size(zone->writes, 0);
    if (zone->state == BLK_ZS_NOT_WP) {
        return;
    }
    zone->is_held = false;
    zone->state = real->state;
    if (real->state == BLK_ZS_FULL) {
        int64_t last = zone->start + zone->capacity - BDRV_SECTOR_SIZE;

        /* Whether it was filled or finished shows in its last sector. */
        zone->is_finished = stamp_read(t->model->data + last, last) == 0;
        zone->wp = zone->is_finished ? zone->start : last + BDRV_SECTOR_SIZE;
    } else {
        zone->is_finished = false;
        zone->wp = real->wp;
    }
}

/* The end of a loose round: check what must hold whatever the order was, and learn the rest. */
static void learn(Tester *t)
{
    unsigned int nr_zones = t->model->zones->nr_zones;
    g_autofree BlockZoneDescriptor *zones = g_new0(BlockZoneDescriptor, nr_zones + 1);
    g_autofree uint8_t *disk = g_malloc(t->model->size);
    int64_t conventional = MIN(t->geometry.nr_conventional * t->geometry.zone_size, t->model->size);

    zone_report(t->blk, nr_zones, zones);
    g_assert_cmpint(blk_pread(t->blk, 0, t->model->size, disk, 0), ==, 0);
    g_assert_cmpmem(disk, conventional, t->model->data, conventional);
    for (guint i = 0; i < t->requests->len; i++) {
        check_loose_write(g_ptr_array_index(t->requests, i), disk);
    }
    for (int64_t at = conventional; at < t->model->size; at += BDRV_SECTOR_SIZE) {
        const BlockZoneDescriptor *zone = &zones[at / t->geometry.zone_size];
        uint32_t number = stamp_read(disk + at, at);

        g_assert_true(number == 0 || (at < zone->wp && at < zone->start + zone->cap));
        if (number == 0 && zone->state != BLK_ZS_FULL) {
            g_assert_cmpint(at, >=, zone->wp);
        }
    }
    memcpy(t->model->data, disk, t->model->size);
    for (unsigned int i = 0; i < nr_zones; i++) {
        learn_zone(t, &t->model->zones->zones[i], &zones[i]);
    }
}

/* Nobody knows in which order loose writes came: leave no zone that an eviction could choose. */
static void close_implicitly_open_zones(Tester *t)
{
    for (unsigned int i = 0; i < t->model->zones->nr_zones; i++) {
        const ModelZone *zone = &t->model->zones->zones[i];

        if (zone->state == BLK_ZS_IOPEN) {
            g_assert_cmpint(blk_zone_mgmt(t->blk, BLK_ZO_CLOSE, zone->start, zone->length), ==, 0);
            model_mgmt_apply(t->model->zones, BLK_ZO_CLOSE, zone->start, zone->length);
        }
    }
}

static void finish_round(Tester *t)
{
    drain(t);
    if (t->is_loose) {
        learn(t);
        close_implicitly_open_zones(t);
        for (guint i = 0; i < t->requests->len; i++) {
            Request *req = g_ptr_array_index(t->requests, i);

            req->is_unsettled = req->is_unapplied = false;
        }
        t->is_loose = false;
    }
    reap(t);
    g_assert_cmpuint(t->requests->len, ==, 0);
}

/* What a discard leaves is old or zero: take over which. */
static void learn_discarded(Tester *t, int64_t offset, int64_t bytes)
{
    for (int64_t at = offset; at < offset + bytes; at += BDRV_SECTOR_SIZE) {
        uint8_t sector[BDRV_SECTOR_SIZE];

        g_assert_cmpint(blk_pread(t->blk, at, sizeof(sector), sector, 0), ==, 0);
        if (stamp_read(sector, at) == 0) {
            memset(t->model->data + at, 0, sizeof(sector));
        }
    }
}

/* Requests until the round is over: at most max_in_flight at a time. */
static unsigned int run_round(Tester *t)
{
    unsigned int nr_requests = t->max_in_flight == 1 ? 1 : 1 + pick(t, 3 * t->max_in_flight);
    bool may_be_loose = percent(t, 15);

    for (unsigned int n = 0; n < nr_requests; n++) {
        Request *req;
        int64_t offset, bytes;
        bool is_discard;

        follow(t);
        req = make_request(t);
        if (is_conflicting(req) || (!may_be_loose && !t->is_loose && !is_predictable(req)) ||
            (req->type == DISCARD && t->max_in_flight > 1)) {
            free_request(req);
            continue;
        }
        submit(req);
        offset = req->offset;
        bytes = req->bytes;
        is_discard = req->type == DISCARD && req->answer == 0;
        while (t->max_in_flight > 1 && (t->requests->len >= t->max_in_flight || percent(t, 20))) {
            if (t->is_loose && t->requests->len >= t->max_in_flight) {
                n = nr_requests;
                break;
            }
            aio_poll(blk_get_aio_context(t->blk), t->requests->len >= t->max_in_flight);
            reap(t);
        }
        if (t->max_in_flight == 1) {
            finish_round(t);
            if (is_discard) {
                learn_discarded(t, offset, bytes);
            }
        }
    }
    finish_round(t);
    return nr_requests;
}

/* ---- whole images ---- */

static unsigned int nr_ops_wanted(void)
{
    const char *text = g_getenv("ZONED_IMAGE_TEST_OPS");

    return text ? strtoul(text, NULL, 0) : OPS_DEFAULT;
}

/* What another opener would find now, and what is left if the process dies now. */
static void check_as_others_see_it(Tester *t)
{
    g_autofree char *copy = g_strconcat(t->path, ".copy", NULL);
    g_autofree char *content = NULL;
    g_autoptr(BlockBackend) reader = NULL;
    g_autoptr(BlockBackend) heir = NULL;
    ImageModel *restarted = t->model;
    gsize length;

    /* Only what is in sequential zones is there without a flush. */
    if (t->geometry.nr_conventional) {
        g_assert_cmpint(blk_flush(t->blk), ==, 0);
    }
    image_model_check_report(t->model, t->blk);
    reader = open_image(t->path, BDRV_O_FORCE_SHARE);
    image_model_check_data(restarted, reader);

    g_assert_true(g_file_get_contents(t->path, &content, &length, NULL));
    g_assert_true(g_file_set_contents(copy, content, length, NULL));
    heir = open_image(copy, BDRV_O_RDWR | BDRV_O_UNMAP);
    image_model_check_data(restarted, heir);
    g_clear_pointer(&heir, blk_unref);
    unlink(copy);
}

static void reopen(Tester *t)
{
    check_as_others_see_it(t);
    g_clear_pointer(&t->blk, blk_unref);
    image_model_restart(t->model);
    t->blk = open_image(t->path, BDRV_O_RDWR | BDRV_O_UNMAP);
    image_model_check_report(t->model, t->blk);
    image_model_check_data(t->model, t->blk);
}

static void check_closed_image(const char *path)
{
    g_autoptr(BlockBackend) blk = open_image(path, BDRV_O_CHECK);

    check_image(blk, false);
}

static void run_image(Tester *t, unsigned int nr_ops)
{
    int64_t cluster_size = INT64_C(512) << g_rand_int_range(t->rand, 0, 13);
    unsigned int until_reopen = OPS_PER_OPEN;

    random_geometry(t->rand, cluster_size, DEVICE_BYTES, &t->geometry);
    make_zoned_image(t->path, cluster_size, &t->geometry);
    t->model = image_model_new(&t->geometry);
    t->was_managed = g_new0(bool, t->model->zones->nr_zones);
    t->numbers = g_hash_table_new(NULL, NULL);
    t->blk = open_image(t->path, BDRV_O_RDWR | BDRV_O_UNMAP);
    while (nr_ops) {
        unsigned int nr_done = run_round(t);

        nr_ops -= MIN(nr_done, nr_ops);
        until_reopen -= MIN(nr_done, until_reopen);
        if (until_reopen == 0) {
            reopen(t);
            until_reopen = OPS_PER_OPEN;
        }
    }
    reopen(t);
    g_clear_pointer(&t->blk, blk_unref);
    check_closed_image(t->path);
    g_clear_pointer(&t->numbers, g_hash_table_unref);
    g_free(t->was_managed);
    image_model_free(t->model);
    unlink(t->path);
}

static void run_images(unsigned int max_in_flight)
{
    char *dir = make_test_dir("zoned-image");
    g_autofree char *path = g_build_filename(dir, "model.qcow2", NULL);
    Tester t = {
        .rand = g_rand_new_with_seed(g_test_rand_int()),
        .path = path,
        .requests = g_ptr_array_new(),
        .max_in_flight = max_in_flight,
    };

    for (unsigned int left = nr_ops_wanted(); left;) {
        unsigned int n = MIN(left, OPS_PER_IMAGE);

        run_image(&t, n);
        left -= n;
    }
    g_ptr_array_unref(t.requests);
    g_rand_free(t.rand);
    remove_test_dir(dir);
}

static void tell_what_was_seen(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(nr_seen); i++) {
        if (nr_seen[i]) {
            g_test_message("%u requests: %s", nr_seen[i], i ? bdrv_strerror(i) : "done");
        }
    }
    g_test_message("%u rounds with requests that waited for commands", nr_loose_rounds);
    memset(nr_seen, 0, sizeof(nr_seen));
    nr_loose_rounds = 0;
}

static void test_one_at_a_time(void)
{
    run_images(1);
    tell_what_was_seen();
}

static void test_many_in_flight(void)
{
    run_images(MAX_IN_FLIGHT);
    tell_what_was_seen();
}

static int64_t allocated_bytes(const char *path)
{
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    return (int64_t)st.st_blocks * 512;
}

/* Space comes back in the background: run the event loop until the file takes @most at the most. */
static void wait_for_allocated_bytes(const char *path, int64_t most)
{
    int64_t deadline = g_get_monotonic_time() + 30 * G_TIME_SPAN_SECOND;

    while (allocated_bytes(path) > most) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        aio_poll(qemu_get_aio_context(), false);
    }
}

static void test_reset_gives_space_back(void)
{
    char *dir = make_test_dir("zoned-image");
    g_autofree char *path = g_build_filename(dir, "space.qcow2", NULL);
    g_autofree uint8_t *buf = g_malloc(MiB);
    const ZonesGeometry geometry = {
        .device_size = 32 * MiB, .zone_size = 4 * MiB, .zone_capacity = 4 * MiB,
        .max_append_bytes = MiB, .write_granularity = 512,
    };
    g_autoptr(BlockBackend) blk = NULL;
    int64_t before, full;

    memset(buf, 0x5a, MiB);
    make_zoned_image(path, 64 * KiB, &geometry);
    blk = open_image(path, BDRV_O_RDWR);
    before = allocated_bytes(path);
    for (int64_t at = 0; at < geometry.device_size; at += MiB) {
        g_assert_cmpint(blk_pwrite(blk, at, MiB, buf, 0), ==, 0);
    }
    full = allocated_bytes(path);
    g_assert_cmpint(full - before, >=, geometry.device_size);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, 4 * MiB, 8 * MiB), ==, 0);
    wait_for_allocated_bytes(path, full - 8 * MiB);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, 0, geometry.device_size), ==, 0);
    wait_for_allocated_bytes(path, before + MiB);

    g_clear_pointer(&blk, blk_unref);
    check_closed_image(path);
    remove_test_dir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_true(qemu_init_main_loop(&error_abort));
    bdrv_init();
    g_test_add_func("/zoned-image/a-reset-gives-space-back", test_reset_gives_space_back);
    g_test_add_func("/zoned-image/one-request-at-a-time-is-as-the-model-says", test_one_at_a_time);
    g_test_add_func("/zoned-image/many-requests-in-flight-are-as-the-model-says",
                    test_many_in_flight);
    return g_test_run();
}
