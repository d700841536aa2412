/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the ublk export without its driver: what the driver is told of disks, what requests do
 * and answer, and the log by which they are carried out once.
 *
 * A file in memory stands for the driver's: requests find and leave their data in it.
 */
#include "qemu/osdep.h"

#include <linux/blkzoned.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../block/export/ublk-int.h"
#include "qcow2-fixture.h"

#define ZONE (1 * MiB)
#define CAP (768 * KiB)
#define ZONE_SECTORS (ZONE / 512)
#define NR_ZONES 64
#define COOKIE UINT64_C(0x123456789)

typedef struct Fixture {
    UblkDisk disk;
    UblkRequest req;
} Fixture;

/* ---- disks ---- */

static BlockBackend *open_backend(const char *json, int flags)
{
    json_t *options = json_loads(json, 0, NULL);

    g_assert_nonnull(options);
    return blk_new_open(NULL, NULL, options, flags, false, &error_abort);
}

/* 64 zones of 1 MiB with 768 KiB to write, the first two conventional; 2 may be open, 3 active. */
static BlockBackend *open_null_zoned(int flags)
{
    return open_backend("{\"driver\": \"null-co\", \"size\": 67108864, \"read-zeroes\": true,"
                        " \"zone\": {\"mode\": \"host-managed\", \"size\": 1048576,"
                        " \"capacity\": 786432, \"conventional-zones\": 2,"
                        " \"max-open-zones\": 2, \"max-active-zones\": 3}}",
                        flags);
}

static BlockBackend *open_image(const char *name, const char *words)
{
    g_autofree char *path = qcow2_fixture_path(name);

    g_assert_true(qcow2_fixture_create(path, words, 16 * MiB, &error_abort));
    return qcow2_fixture_open(path, NULL, &error_abort);
}

static BlockBackend *open_zoned_image(const char *name)
{
    return open_image(name, "zone.mode=host-managed,zone.size=1M,zone.capacity=768K,"
                            "zone.conventional_zones=1");
}

static void set_up(Fixture *f, BlockBackend *blk, bool is_writable)
{
    memset(f, 0, sizeof(*f));
    g_assert_true(ublk_disk_init(&f->disk, blk, is_writable, 0, &error_abort));
    f->disk.char_fd = memfd_create("ublkc", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(f->disk.char_fd, INT64_C(1) << 42), ==, 0);
    f->req = (UblkRequest){.disk = &f->disk, .queue = 1, .tag = 5};
}

static void tear_down(Fixture *f)
{
    qemu_vfree(f->req.small_buffer);
    close(f->disk.char_fd);
    blk_unref(f->disk.blk);
}

/* ---- requests ---- */

typedef struct Run {
    UblkRequest *req;
    bool has_ended;
} Run;

static void coroutine_fn run_entry(void *opaque)
{
    Run *run = opaque;

    ublk_request_run(run->req);
    run->has_ended = true;
}

static int run_op(Fixture *f, uint32_t op_flags, uint64_t start, uint32_t nr)
{
    Run run = {.req = &f->req};

    f->req.desc = (struct ublksrv_io_desc){
        .op_flags = op_flags, .nr_sectors_or_zones = nr, .start_sector = start,
        .addr = 0xdeadbeef, /* of no meaning in this mode */
    };
    qemu_coroutine_enter(qemu_coroutine_create(run_entry, &run));
    AIO_WAIT_WHILE(qemu_get_aio_context(), !run.has_ended);
    return f->req.result;
}

static off_t data_position(void)
{
    return UBLK_USER_COPY_OFFSET(1, 5, 0);
}

static void give_data(Fixture *f, uint8_t byte, size_t bytes)
{
    g_autofree uint8_t *buffer = g_malloc(bytes);

    memset(buffer, byte, bytes);
    g_assert_cmpint(pwrite(f->disk.char_fd, buffer, bytes, data_position()), ==, bytes);
}

static void data_must_be(Fixture *f, uint8_t byte, size_t bytes)
{
    g_autofree uint8_t *buffer = g_malloc(bytes);

    g_assert_cmpint(pread(f->disk.char_fd, buffer, bytes, data_position()), ==, bytes);
    for (size_t i = 0; i < bytes; i++) {
        g_assert_cmpuint(buffer[i], ==, byte);
    }
}

static struct blk_zone reported_zone(Fixture *f, unsigned int index)
{
    struct blk_zone zone;

    g_assert_cmpint(pread(f->disk.char_fd, &zone, sizeof(zone),
                          data_position() + index * sizeof(zone)), ==, sizeof(zone));
    return zone;
}

/* ---- what the driver is told ---- */

static void test_interface_numbers(void)
{
    g_assert_cmphex(UBLK_U_CMD_GET_DEV_INFO, ==, 0x80207502);
    g_assert_cmphex(UBLK_U_CMD_ADD_DEV, ==, 0xc0207504);
    g_assert_cmphex(UBLK_U_CMD_GET_FEATURES, ==, 0x80207513);
    g_assert_cmphex(UBLK_U_IO_COMMIT_AND_FETCH_REQ, ==, 0xc0107521);
    g_assert_cmphex(UBLK_DESCS_OFFSET(3, 4096), ==, 3 * 98304);
    g_assert_cmphex(UBLK_USER_COPY_OFFSET(1, 2, 3), ==, 0x80000000 + 0x20004000003);
}

static void test_zoned_params(void)
{
    struct ublk_params params;
    Fixture f;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    ublk_disk_params(&f.disk, &params);
    g_assert_cmpuint(params.len, ==, 112);
    g_assert_cmphex(params.types, ==, UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_ZONED);
    g_assert_cmphex(params.basic.attrs, ==, UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA);
    g_assert_cmpuint(params.basic.logical_bs_shift, ==, 12);
    g_assert_cmpuint(params.basic.physical_bs_shift, ==, 12);
    g_assert_cmpuint(params.basic.chunk_sectors, ==, ZONE_SECTORS);
    g_assert_cmpuint(params.basic.dev_sectors, ==, NR_ZONES * ZONE_SECTORS);
    g_assert_cmpuint(params.basic.max_sectors, ==, 2048);
    g_assert_cmpuint(params.zoned.max_open_zones, ==, 2);
    g_assert_cmpuint(params.zoned.max_active_zones, ==, 3);
    g_assert_cmpuint(params.zoned.max_zone_append_sectors, ==, CAP / 512);
    tear_down(&f);
}

static void test_plain_params(void)
{
    struct ublk_params params;
    Fixture f;

    set_up(&f, open_image("params.qcow2", ""), true);
    ublk_disk_params(&f.disk, &params);
    g_assert_cmphex(params.types, ==, UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD);
    g_assert_cmpuint(params.basic.logical_bs_shift, ==, 9);
    g_assert_cmpuint(params.basic.chunk_sectors, ==, 0);
    g_assert_cmpuint(params.discard.max_discard_segments, ==, 1);
    g_assert_cmpuint(params.discard.discard_granularity, >=, 512);
    blk_set_enable_write_cache(f.disk.blk, false);
    ublk_disk_params(&f.disk, &params);
    g_assert_cmphex(params.basic.attrs, ==, 0);
    f.disk.is_writable = false;
    ublk_disk_params(&f.disk, &params);
    g_assert_cmphex(params.types, ==, UBLK_PARAM_TYPE_BASIC);
    g_assert_cmphex(params.basic.attrs, ==, UBLK_ATTR_READ_ONLY);
    tear_down(&f);
}

/* The message of what is wrong with a null disk of so many bytes with these zone options. */
static char *why_not(int64_t size, const char *zone_options, uint64_t block_size)
{
    g_autofree char *json = g_strdup_printf(
        "{\"driver\": \"null-co\", \"size\": %" PRId64 ", \"zone\": {\"mode\": \"host-managed\", "
        "%s}}", size, zone_options);
    BlockBackend *blk = open_backend(json, BDRV_O_RDWR);
    char *message = NULL;
    Error *err = NULL;
    UblkDisk disk;

    if (!ublk_disk_init(&disk, blk, true, block_size, &err)) {
        message = g_strdup(error_get_pretty(err));
        error_free(err);
    }
    blk_unref(blk);
    return message;
}

static void test_impossible_disks(void)
{
    static const struct {
        int64_t size;
        const char *zone_options;
        uint64_t block_size;
        const char *reason;
    } cases[] = {
        {64 * MiB, "\"size\": 1048576", 0, NULL},
        {64 * MiB, "\"size\": 1048576", 4096, NULL},
        {64 * MiB, "\"size\": 1048576", 512, "at least"},
        {64 * MiB, "\"size\": 1048576", 3000, "power of two"},
        {64 * MiB, "\"size\": 1048576", 65536, "to 4096"},
        {64 * MiB + 65536, "\"size\": 1048576", 0, "shorter than others"},
        {INT64_C(65536) * 65536, "\"size\": 65536", 0, NULL},
        {INT64_C(65537) * 65536, "\"size\": 65536", 0, "more than 65536 zones"},
        {64 * MiB, "\"size\": 1048576, \"max-append-bytes\": 0", 0, "without zone append"},
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *message = why_not(cases[i].size, cases[i].zone_options,
                                           cases[i].block_size);

        if (cases[i].reason) {
            g_assert_nonnull(message);
            g_assert_nonnull(strstr(message, cases[i].reason));
        } else {
            g_assert_null(message);
        }
    }
}

static void test_report_fits_a_request(void)
{
    BlockBackend *blk = open_backend(
        "{\"driver\": \"null-co\", \"size\": 2147483648, \"zone\": {\"mode\": \"host-managed\","
        " \"size\": 65536}}", BDRV_O_RDWR);
    UblkDisk disk;

    g_assert_true(ublk_disk_init(&disk, blk, true, 0, &error_abort));
    g_assert_cmpuint(disk.max_io_bytes, ==, 32768 * sizeof(struct blk_zone));
    blk_unref(blk);
}

static void test_other_disk_is_named(void)
{
    struct ublk_params params;
    Error *err = NULL;
    Fixture f;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    ublk_disk_params(&f.disk, &params);
    g_assert_true(ublk_disk_check_params(&f.disk, &params, &error_abort));
    params.zoned.max_open_zones = 7;
    g_assert_false(ublk_disk_check_params(&f.disk, &params, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "limit of open zones"));
    error_free(err);
    tear_down(&f);
}

/* ---- what requests do ---- */

static void test_plain(void)
{
    Fixture f;

    set_up(&f, open_image("plain.qcow2", ""), true);
    give_data(&f, 0x5a, 128 * KiB);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, 8, 256), ==, 128 * KiB);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE | UBLK_IO_F_FUA, 264, 8), ==, 4096);
    give_data(&f, 0, 128 * KiB);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_READ, 8, 256), ==, 128 * KiB);
    data_must_be(&f, 0x5a, 128 * KiB);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_FLUSH, 0, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE_ZEROES, 8, 8), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE_ZEROES | UBLK_IO_F_NOUNMAP, 16, 8), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_READ, 8, 16), ==, 8192);
    data_must_be(&f, 0, 8192);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_DISCARD, 0, 32768), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_READ, 128, 8), ==, 4096);
    data_must_be(&f, 0, 4096);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_RESET, 0, 0), ==, -EOPNOTSUPP);
    g_assert_cmpint(run_op(&f, 4, 0, 8), ==, -EOPNOTSUPP);
    tear_down(&f);
}

static void test_read_only(void)
{
    static const uint32_t changes[] = {
        UBLK_IO_OP_WRITE, UBLK_IO_OP_WRITE_ZEROES, UBLK_IO_OP_DISCARD, UBLK_IO_OP_ZONE_APPEND,
        UBLK_IO_OP_ZONE_OPEN, UBLK_IO_OP_ZONE_RESET, UBLK_IO_OP_ZONE_RESET_ALL,
    };
    Fixture f;

    set_up(&f, open_null_zoned(0), false);
    for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
        g_assert_cmpint(run_op(&f, changes[i], 2 * ZONE_SECTORS, 8), ==, -EIO);
    }
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_READ, 0, 8), ==, 4096);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_REPORT_ZONES, 0, 4), >, 0);
    tear_down(&f);
}

static void test_zone_writes(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS, z3 = 3 * ZONE_SECTORS, z4 = 4 * ZONE_SECTORS;
    Fixture f;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2, 8), ==, 4096);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2, 8), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 16), ==, 8192);
    g_assert_cmpuint(f.req.append_lba, ==, z2 + 8);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2 + 8, 8), ==, -EIO);
    g_assert_cmpuint(f.req.append_lba, ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, 0, 8), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, CAP / 512), ==, -EIO);
    /* Limits have their own errors. */
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, z3, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, z2, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z4, 8), ==, -ETOOMANYREFS);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_CLOSE, z2, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z4, 8), ==, 4096);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, 5 * ZONE_SECTORS, 8), ==, -EOVERFLOW);
    /* All to the capacity, nothing behind. */
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z4 + 8, CAP / 512), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z4 + 8, CAP / 512 - 8), ==, CAP - 4096);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z4 + CAP / 512, 8), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_READ, z4 + CAP / 512, 8), ==, 4096);
    tear_down(&f);
}

static void test_zone_management(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS;
    Fixture f;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_CLOSE, z2, 0), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, 0, 0), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, z2 + 8, 0), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, UINT64_MAX / 512 * 512, 0), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_FINISH, z2, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_REPORT_ZONES, z2, 1), >=, (int)sizeof(struct blk_zone));
    g_assert_cmpuint(reported_zone(&f, 0).cond, ==, BLK_ZONE_COND_FULL);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_RESET, z2, 0), ==, 0);
    run_op(&f, UBLK_IO_OP_REPORT_ZONES, z2, 1);
    g_assert_cmpuint(reported_zone(&f, 0).cond, ==, BLK_ZONE_COND_EMPTY);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2, 8), ==, 4096);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_RESET_ALL, 0, 0), ==, 0);
    run_op(&f, UBLK_IO_OP_REPORT_ZONES, z2, 1);
    g_assert_cmpuint(reported_zone(&f, 0).wp, ==, z2);
    tear_down(&f);
}

static void test_zone_report(void)
{
    uint64_t last = (NR_ZONES - 1) * ZONE_SECTORS;
    struct blk_zone zone;
    Fixture f;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, 3 * ZONE_SECTORS, 24), ==, 24 * 512);
    /* Larger than the request in any case: the driver takes its length. */
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_REPORT_ZONES, 0, 1000), >=,
                    1000 * (int)sizeof(struct blk_zone));
    for (unsigned int i = 0; i < NR_ZONES; i++) {
        zone = reported_zone(&f, i);
        g_assert_cmpuint(zone.start, ==, i * ZONE_SECTORS);
        g_assert_cmpuint(zone.len, ==, ZONE_SECTORS);
        g_assert_cmpuint(zone.capacity, ==, (i < 2 ? ZONE : CAP) / 512);
        g_assert_cmpuint(zone.type, ==, i < 2 ? BLK_ZONE_TYPE_CONVENTIONAL
                                              : BLK_ZONE_TYPE_SEQWRITE_REQ);
    }
    zone = reported_zone(&f, 3);
    g_assert_cmpuint(zone.wp, ==, 3 * ZONE_SECTORS + 24);
    g_assert_cmpuint(zone.cond, ==, BLK_ZONE_COND_IMP_OPEN);
    g_assert_cmpuint(reported_zone(&f, 0).cond, ==, BLK_ZONE_COND_NOT_WP);
    /* What is behind the last zone stays zeroed: the end of the report. */
    g_assert_cmpuint(reported_zone(&f, NR_ZONES).len, ==, 0);

    g_assert_cmpint(run_op(&f, UBLK_IO_OP_REPORT_ZONES, last, 5), >, 0);
    g_assert_cmpuint(reported_zone(&f, 0).start, ==, last);
    /* A report of nothing would be asked for again, for ever. */
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_REPORT_ZONES, last + ZONE_SECTORS, 1), ==, -EIO);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_REPORT_ZONES, 0, 0), ==, -EIO);
    tear_down(&f);
}

/* Numbers that are wrong by a little or by much. */
static uint64_t wild_number(GRand *rand, uint64_t reasonable)
{
    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        return 0;
    case 1:
        return (uint64_t)g_rand_int(rand) << g_rand_int_range(rand, 0, 33);
    case 2:
        return UINT64_MAX - g_rand_int_range(rand, 0, 4096);
    case 3:
        return reasonable + g_rand_int_range(rand, 0, 16) - 8;
    default:
        return g_rand_int_range(rand, 0, reasonable + 1) / 8 * 8;
    }
}

static void hostile_requests(BlockBackend *blk, unsigned int nr)
{
    uint64_t sectors = blk_getlength(blk) / 512;
    GRand *rand = g_rand_new_with_seed(1);
    Fixture f;

    set_up(&f, blk, true);
    for (unsigned int i = 0; i < nr; i++) {
        uint32_t op_flags = g_rand_int_range(rand, 0, 22) | (g_rand_int(rand) & 0xffff00);
        uint64_t start = wild_number(rand, sectors);
        uint32_t count = wild_number(rand, 64);
        int ret = run_op(&f, op_flags, start, count);

        g_assert_true(ret >= 0 || ret == -EIO || ret == -EOPNOTSUPP || ret == -ETOOMANYREFS ||
                      ret == -EOVERFLOW);
        if ((op_flags & UBLK_IO_OP_MASK) <= UBLK_IO_OP_WRITE && ret >= 0) {
            g_assert_cmpint(ret, ==, count * 512);
        }
    }
    tear_down(&f);
    g_rand_free(rand);
}

static void test_hostile_plain(void)
{
    hostile_requests(open_image("hostile.qcow2", ""), 5000);
}

static void test_hostile_zoned(void)
{
    hostile_requests(open_null_zoned(BDRV_O_RDWR), 100000);
}

/* ---- the log ---- */

static UblkLog *new_log(const char *name)
{
    g_autofree char *path = qcow2_fixture_path(name);

    return ublk_log_new(path, COOKIE, 2, 8, &error_abort);
}

typedef struct Settling {
    UblkLog *log;
    BlockBackend *blk;
    bool has_ended;
} Settling;

static void coroutine_fn settle_entry(void *opaque)
{
    Settling *settling = opaque;

    g_assert_true(ublk_log_settle(settling->log, settling->blk, &error_abort));
    settling->has_ended = true;
}

/* The daemon dies without having answered; another one takes over. */
static void change_daemons(Fixture *f, UblkLog **log, const char *name)
{
    g_autofree char *path = qcow2_fixture_path(name);
    Settling settling = {.blk = f->disk.blk};

    ublk_log_free(*log, false);
    *log = ublk_log_open(path, COOKIE, 2, 8, &error_abort);
    f->req.log_entry = ublk_log_entry(*log, f->req.queue, f->req.tag);
    settling.log = *log;
    qemu_coroutine_enter(qemu_coroutine_create(settle_entry, &settling));
    AIO_WAIT_WHILE(qemu_get_aio_context(), !settling.has_ended);
}

/* The kernel zeroes the entry when it has the answer. */
static void answered(Fixture *f)
{
    memset(f->req.log_entry, 0, sizeof(*f->req.log_entry));
}

/* A logged tag of a new image NAME.qcow2. */
static UblkLog *set_up_logged(Fixture *f, const char *name)
{
    g_autofree char *image = g_strdup_printf("%s.qcow2", name);
    UblkLog *log = new_log(name);

    set_up(f, open_zoned_image(image), true);
    f->req.log_entry = ublk_log_entry(log, f->req.queue, f->req.tag);
    return log;
}

static int64_t wp_of(Fixture *f, unsigned int zone)
{
    BlockZoneDescriptor descriptor;
    unsigned int nr = 1;

    g_assert_cmpint(blk_zone_report(f->disk.blk, zone * ZONE, &nr, &descriptor), ==, 0);
    return descriptor.wp - zone * ZONE;
}

static void test_append_once(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS;
    UblkLog *log;
    Fixture f;

    log = set_up_logged(&f, "append-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 16), ==, 8192);
    answered(&f);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    for (int i = 0; i < 3; i++) {
        change_daemons(&f, &log, "append-once");
        g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
        g_assert_cmpuint(f.req.append_lba, ==, z2 + 16);
        g_assert_cmpint(wp_of(&f, 2), ==, 12 * KiB);
    }
    /* The verdict stands, whatever else happens in the zone before the request comes. */
    change_daemons(&f, &log, "append-once");
    g_assert_cmpint(blk_zone_mgmt(f.disk.blk, BLK_ZO_RESET, 2 * ZONE, ZONE), ==, 0);
    change_daemons(&f, &log, "append-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    g_assert_cmpuint(f.req.append_lba, ==, z2 + 16);
    g_assert_cmpint(wp_of(&f, 2), ==, 0);
    /* The same again, but another one. */
    answered(&f);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    g_assert_cmpuint(f.req.append_lba, ==, z2);
    ublk_log_free(log, true);
    tear_down(&f);
}

static void test_write_once(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS;
    UblkLog *log;
    Fixture f;

    log = set_up_logged(&f, "write-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE | UBLK_IO_F_FUA, z2, 8), ==, 4096);
    change_daemons(&f, &log, "write-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE | UBLK_IO_F_FUA, z2, 8), ==, 4096);
    g_assert_cmpint(wp_of(&f, 2), ==, 4096);
    answered(&f);
    /* What was refused is refused again. */
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2, 8), ==, -EIO);
    change_daemons(&f, &log, "write-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2, 8), ==, -EIO);
    answered(&f);
    /* The one that fills the zone. */
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2 + 8, CAP / 512 - 8), ==, CAP - 4096);
    change_daemons(&f, &log, "write-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_WRITE, z2 + 8, CAP / 512 - 8), ==, CAP - 4096);
    ublk_log_free(log, true);
    tear_down(&f);
}

static void test_not_done_is_done(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS;
    UblkLog *log;
    Fixture f;

    log = set_up_logged(&f, "not-done");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    /* As if it had been noted only. */
    g_assert_cmpint(blk_zone_mgmt(f.disk.blk, BLK_ZO_RESET, 2 * ZONE, ZONE), ==, 0);
    change_daemons(&f, &log, "not-done");
    /* Another tag's append comes first, and this daemon dies too. */
    f.req.log_entry = ublk_log_entry(log, 0, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    answered(&f);
    change_daemons(&f, &log, "not-done");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    g_assert_cmpuint(f.req.append_lba, ==, z2 + 8);
    ublk_log_free(log, true);
    tear_down(&f);
}

/* Another write may take its place at the write pointer. */
static void test_refused_is_forgotten(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS, z3 = 3 * ZONE_SECTORS, z4 = 4 * ZONE_SECTORS;
    UblkLog *log = new_log("refused");
    Fixture f;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    f.req.log_entry = ublk_log_entry(log, 1, 5);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, z2, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, z3, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z4, 8), ==, -ETOOMANYREFS);
    g_assert_cmpuint(f.req.log_entry->state, ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_CLOSE, z4, 0), ==, -EIO);
    g_assert_cmpuint(f.req.log_entry->state, ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_APPEND, z2, 8), ==, 4096);
    g_assert_cmpuint(f.req.log_entry->state, !=, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_RESET_ALL, 0, 0), ==, 0);
    ublk_log_free(log, true);
    tear_down(&f);
}

static void test_close_once(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS;
    UblkLog *log;
    Fixture f;

    log = set_up_logged(&f, "close-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_OPEN, z2, 0), ==, 0);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_CLOSE, z2, 0), ==, 0);
    change_daemons(&f, &log, "close-once");
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_CLOSE, z2, 0), ==, 0);
    answered(&f);
    g_assert_cmpint(run_op(&f, UBLK_IO_OP_ZONE_CLOSE, z2, 0), ==, -EIO);
    ublk_log_free(log, true);
    tear_down(&f);
}

static void test_other_logs_are_refused(void)
{
    g_autofree char *path = qcow2_fixture_path("other.log");
    UblkLog *log;
    struct stat st;

    g_assert_null(ublk_log_open(path, COOKIE, 2, 8, NULL));
    log = ublk_log_new(path, COOKIE, 2, 8, &error_abort);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmphex(st.st_mode & 0777, ==, 0600);
    ublk_log_free(log, false);
    g_assert_null(ublk_log_open(path, COOKIE + 1, 2, 8, NULL));
    g_assert_null(ublk_log_open(path, COOKIE, 4, 8, NULL));
    g_assert_null(ublk_log_open(path, COOKIE, 8, 2, NULL));
    log = ublk_log_open(path, COOKIE, 2, 8, &error_abort);
    ublk_log_free(log, true);
    g_assert_cmpint(stat(path, &st), ==, -1);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    g_test_add_func("/ublk/interface/numbers", test_interface_numbers);
    g_test_add_func("/ublk/params/zoned", test_zoned_params);
    g_test_add_func("/ublk/params/plain", test_plain_params);
    g_test_add_func("/ublk/params/impossible-disks-are-refused-with-a-reason",
                    test_impossible_disks);
    g_test_add_func("/ublk/params/the-report-of-all-zones-fits-a-request",
                    test_report_fits_a_request);
    g_test_add_func("/ublk/params/what-differs-is-named", test_other_disk_is_named);
    g_test_add_func("/ublk/request/plain", test_plain);
    g_test_add_func("/ublk/request/read-only-disk-refuses-changes", test_read_only);
    g_test_add_func("/ublk/request/zone-writes-and-appends", test_zone_writes);
    g_test_add_func("/ublk/request/zone-management", test_zone_management);
    g_test_add_func("/ublk/request/zone-report", test_zone_report);
    g_test_add_func("/ublk/request/hostile-to-a-plain-disk", test_hostile_plain);
    g_test_add_func("/ublk/request/hostile-to-a-zoned-disk", test_hostile_zoned);
    g_test_add_func("/ublk/log/append-is-applied-once", test_append_once);
    g_test_add_func("/ublk/log/write-is-applied-once", test_write_once);
    g_test_add_func("/ublk/log/what-was-not-done-is-done", test_not_done_is_done);
    g_test_add_func("/ublk/log/zone-is-closed-once", test_close_once);
    g_test_add_func("/ublk/log/what-was-refused-is-forgotten", test_refused_is_forgotten);
    g_test_add_func("/ublk/log/of-other-devices-are-refused", test_other_logs_are_refused);
    ret = g_test_run();
    qcow2_fixture_done();
    return ret;
}
