/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the virtio-blk device over a ring in memory: each request type with each status it can
 * get, on zoned and plain images, and what no honest guest sends.
 */
#include "qemu/osdep.h"

#include "../../block/export/virtio-blk-int.h"
#include "../../block/export/virtqueue-inflight.h"
#include "qcow2-fixture.h"
#include "virtio-driver.h"

#define F(bit) (UINT64_C(1) << (bit))
#define AT (1 * MiB)
#define DATA_AT (AT + 32)
#define ZONE (1 * MiB)
#define CAP (768 * KiB)
#define ZONE_SECTORS (ZONE / 512)

typedef struct Fixture {
    DriverMemory memory;
    DriverRing ring;
    BlockBackend *blk;
    VirtIOBlkHandler *handler;
    VirtIOBlkQueue *queue;
    unsigned int nr_notified;
    const char *broken;
    uint64_t block_size;
    bool allows_unzoned_readers;
} Fixture;

static void notify(void *opaque)
{
    Fixture *f = opaque;

    f->nr_notified++;
}

static void broken(void *opaque, const char *reason)
{
    Fixture *f = opaque;

    g_assert_null(f->broken);
    f->broken = reason;
}

static const VirtIOBlkQueueOps ops = {.notify = notify, .broken = broken};

static void start_ring(Fixture *f, void *log)
{
    uint8_t *bytes = f->memory.bytes;
    VirtQueueStart start = {
        .size = f->ring.size,
        .features = virtio_blk_handler_features(f->handler),
        .rings = {bytes + f->ring.desc, bytes + f->ring.avail, bytes + f->ring.used},
        .inflight = log,
    };

    g_assert_true(virtqueue_start(virtio_blk_queue_vq(f->queue), &start, &error_abort));
    virtio_blk_queue_set_fetching(f->queue, true);
}

static void start_device(Fixture *f, BlockBackend *blk, bool is_writable)
{
    VirtIOBlkOptions options = {
        .blk = blk, .name = "a serial number that is long",
        .logical_block_size = f->block_size, .is_writable = is_writable,
        .num_queues = 1, .allows_unzoned_readers = f->allows_unzoned_readers,
    };

    f->blk = blk;
    f->handler = virtio_blk_handler_new(&options, &error_abort);
    g_assert_true(virtio_blk_handler_set_features(
        f->handler, virtio_blk_handler_features(f->handler), &error_abort));
    f->queue = virtio_blk_queue_new(f->handler,
                                    (VirtQueueMemory){driver_translate, &f->memory}, &ops, f);
}

static void set_up_device(Fixture *f, BlockBackend *blk, bool is_writable)
{
    driver_memory_init(&f->memory);
    driver_ring_init(&f->ring, &f->memory, 0, 64);
    start_device(f, blk, is_writable);
    start_ring(f, NULL);
}

static void set_up_blocks(Fixture *f, BlockBackend *blk, bool is_writable, uint64_t block_size)
{
    *f = (Fixture){.block_size = block_size};
    set_up_device(f, blk, is_writable);
}

static void set_up(Fixture *f, BlockBackend *blk, bool is_writable)
{
    set_up_blocks(f, blk, is_writable, 0);
}

static void tear_down(Fixture *f)
{
    virtio_blk_queue_set_fetching(f->queue, false);
    virtio_blk_queue_free(f->queue);
    virtio_blk_handler_free(f->handler);
    blk_unref(f->blk);
    driver_memory_done(&f->memory);
}

static uint32_t wait_answer(Fixture *f)
{
    uint32_t head, len;

    virtio_blk_queue_run(f->queue);
    while (!driver_take(&f->ring, &head, &len)) {
        aio_poll(qemu_get_aio_context(), true);
    }
    return len;
}

/* A request with data from the guest, or none. */
static uint8_t send(Fixture *f, uint32_t type, uint64_t sector, uint32_t bytes)
{
    driver_blk_request(&f->ring, 0, AT, type, sector, bytes, false, 1);
    driver_offer(&f->ring, 0);
    g_assert_cmpuint(wait_answer(f), ==, 1);
    return driver_blk_status(&f->ring, AT, 1);
}

/* One with data for the guest. */
static uint8_t receive(Fixture *f, uint32_t type, uint64_t sector, uint32_t bytes)
{
    driver_blk_request(&f->ring, 0, AT, type, sector, bytes, true, 1);
    /* The status goes behind the data. */
    driver_desc(&f->memory, f->ring.desc, 0, AT, 16, DESC_NEXT, bytes ? 1 : 2);
    driver_offer(&f->ring, 0);
    g_assert_cmpuint(wait_answer(f), <=, bytes + 1);
    return driver_blk_status(&f->ring, AT, 1);
}

static uint8_t append(Fixture *f, uint64_t sector, uint32_t bytes, uint64_t *where)
{
    uint8_t status;

    driver_blk_request(&f->ring, 0, AT, VIRTIO_BLK_T_ZONE_APPEND, sector, bytes, false, 16);
    driver_offer(&f->ring, 0);
    wait_answer(f);
    status = driver_blk_status(&f->ring, AT, 16);
    if (status == VIRTIO_BLK_S_OK) {
        *where = ldq_le_p(f->memory.bytes + AT + 16);
    }
    return status;
}

static uint8_t *data(Fixture *f)
{
    return f->memory.bytes + DATA_AT;
}

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

static BlockBackend *open_plain(const char *name)
{
    g_autofree char *path = qcow2_fixture_path(name);

    g_assert_true(qcow2_fixture_create(path, "", 16 * MiB, &error_abort));
    return qcow2_fixture_open(path, NULL, &error_abort);
}

static BlockBackend *open_qcow2_zoned(const char *name)
{
    g_autofree char *path = qcow2_fixture_path(name);

    g_assert_true(qcow2_fixture_create(path, "zone.mode=host-managed,zone.size=1M,"
                                       "zone.capacity=768K,zone.conventional_zones=1",
                                       16 * MiB, &error_abort));
    return qcow2_fixture_open(path, NULL, &error_abort);
}

/* ---- the device ---- */

static void test_zoned_config(void)
{
    Fixture f;
    const uint8_t *config;
    uint64_t features;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    config = virtio_blk_handler_config(f.handler);
    features = virtio_blk_handler_features(f.handler);
    g_assert_cmpuint(ldq_le_p(config), ==, 131072);
    g_assert_cmpuint(ldl_le_p(config + 20), ==, 4096);
    g_assert_cmpuint(ldl_le_p(config + 72), ==, 2048);
    g_assert_cmpuint(ldl_le_p(config + 76), ==, 2);
    g_assert_cmpuint(ldl_le_p(config + 80), ==, 3);
    g_assert_cmpuint(ldl_le_p(config + 84), ==, 1008);
    g_assert_cmpuint(ldl_le_p(config + 88), ==, 4096);
    g_assert_cmpuint(config[92], ==, 1);
    g_assert_true(features & F(VIRTIO_BLK_F_ZONED));
    g_assert_false(features & (F(VIRTIO_BLK_F_DISCARD) | F(VIRTIO_BLK_F_WRITE_ZEROES) |
                               F(VIRTIO_BLK_F_MQ) | F(VIRTIO_BLK_F_RO)));
    g_assert_false(virtio_blk_handler_set_features(f.handler, features & ~F(VIRTIO_BLK_F_ZONED),
                                                   NULL));
    g_assert_false(virtio_blk_handler_set_features(f.handler, features & ~F(VIRTIO_F_VERSION_1),
                                                   NULL));
    g_assert_false(virtio_blk_handler_set_features(
        f.handler, features | F(VIRTIO_F_RING_PACKED), NULL));
    tear_down(&f);
}

static void test_unzoned_reader(void)
{
    uint64_t features, z2 = 2 * ZONE_SECTORS, where;
    Fixture f = {.allows_unzoned_readers = true};

    set_up_device(&f, open_null_zoned(BDRV_O_RDWR), true);
    features = virtio_blk_handler_features(f.handler) & ~F(VIRTIO_BLK_F_ZONED);
    g_assert_true(virtio_blk_handler_set_features(f.handler, features, &error_abort));
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 4096), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 0, 4096), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(append(&f, z2, 4096, &where), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 0, 4096), ==, VIRTIO_BLK_S_OK);
    features |= F(VIRTIO_BLK_F_ZONED);
    g_assert_true(virtio_blk_handler_set_features(f.handler, features, &error_abort));
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 4096), ==, VIRTIO_BLK_S_OK);
    tear_down(&f);
}

static void test_options(void)
{
    BlockBackend *zoned = open_null_zoned(BDRV_O_RDWR);
    BlockBackend *plain = open_plain("options.qcow2");
    static const struct {
        uint64_t block_size;
        unsigned int num_queues;
        bool is_plain_ok, is_zoned_ok;
    } cases[] = {
        {0, 1, true, true},     {512, 64, true, false}, {4096, 1, true, true},
        {65536, 1, true, true}, {131072, 1, false, false}, {256, 1, false, false},
        {1000, 1, false, false}, {0, 0, false, false},  {0, 65, false, false},
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
        VirtIOBlkOptions options = {.name = "e", .logical_block_size = cases[i].block_size,
                                    .num_queues = cases[i].num_queues};
        VirtIOBlkHandler *handler;

        options.blk = plain;
        handler = virtio_blk_handler_new(&options, NULL);
        g_assert_true(!!handler == cases[i].is_plain_ok);
        g_clear_pointer(&handler, virtio_blk_handler_free);
        options.blk = zoned;
        handler = virtio_blk_handler_new(&options, NULL);
        g_assert_true(!!handler == cases[i].is_zoned_ok);
        g_clear_pointer(&handler, virtio_blk_handler_free);
    }
    blk_unref(zoned);
    blk_unref(plain);
}

static void test_serial(void)
{
    g_autoptr(BlockBackend) blk = open_plain("serial.qcow2");
    VirtIOBlkOptions options = {.blk = blk, .name = "e", .num_queues = 1,
                                .serial = "12345678901234567890"};
    VirtIOBlkHandler *handler = virtio_blk_handler_new(&options, &error_abort);
    Error *err = NULL;

    g_assert_cmpmem(handler->serial, 20, options.serial, 20);
    virtio_blk_handler_free(handler);
    options.serial = "123456789012345678901";
    g_assert_null(virtio_blk_handler_new(&options, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "serial must have at most 20 bytes, got '123456789012345678901'");
    error_free(err);
}

static void test_plain(void)
{
    Fixture f;

    set_up(&f, open_plain("plain.qcow2"), true);
    memset(data(&f), 0x5a, 8192);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 3, 8192), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_FLUSH, 0, 0), ==, VIRTIO_BLK_S_OK);
    memset(data(&f), 0, 8192);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 4, 8192), ==, VIRTIO_BLK_S_OK);
    g_assert_cmphex(data(&f)[0], ==, 0x5a);
    g_assert_cmphex(data(&f)[7679], ==, 0x5a);
    g_assert_cmphex(data(&f)[7680], ==, 0);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_GET_ID, 0, 20), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpmem(data(&f), 20, "a serial number that", 20);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 4, 513), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 32768, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 32768, 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, UINT64_MAX, 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, UINT64_MAX / 512, 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_RESET, 0, 0), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(send(&f, 2, 0, 0), ==, VIRTIO_BLK_S_UNSUPP);
    tear_down(&f);
}

static uint8_t send_range(Fixture *f, uint32_t type, uint64_t sector, uint32_t nr, uint32_t flags)
{
    stq_le_p(data(f), sector);
    stl_le_p(data(f) + 8, nr);
    stl_le_p(data(f) + 12, flags);
    return send(f, type, 0, 16);
}

static void test_ranges(void)
{
    Fixture f;

    set_up(&f, open_plain("ranges.qcow2"), true);
    memset(data(&f), 0x5a, 128 * KiB);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 0, 128 * KiB), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send_range(&f, VIRTIO_BLK_T_WRITE_ZEROES, 1, 2, 1), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 0, 2048), ==, VIRTIO_BLK_S_OK);
    g_assert_cmphex(data(&f)[511], ==, 0x5a);
    g_assert_cmphex(data(&f)[512], ==, 0);
    g_assert_cmphex(data(&f)[1536], ==, 0x5a);
    g_assert_cmpuint(send_range(&f, VIRTIO_BLK_T_DISCARD, 0, 128, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send_range(&f, VIRTIO_BLK_T_DISCARD, 0, 128, 1), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(send_range(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 2), ==, VIRTIO_BLK_S_UNSUPP);
    g_assert_cmpuint(send_range(&f, VIRTIO_BLK_T_WRITE_ZEROES, UINT64_MAX, 8, 0), ==,
                     VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send_range(&f, VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0), ==,
                     VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_DISCARD, 0, 15), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_DISCARD, 0, 0), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_DISCARD, 0, 33 * 16), ==, VIRTIO_BLK_S_UNSUPP);
    tear_down(&f);
}

static void test_read_only(void)
{
    static const uint32_t changes[] = {
        VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_ZONE_APPEND, VIRTIO_BLK_T_ZONE_OPEN,
        VIRTIO_BLK_T_ZONE_CLOSE, VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET,
        VIRTIO_BLK_T_ZONE_RESET_ALL, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
    };
    Fixture f;

    set_up(&f, open_null_zoned(0), false);
    g_assert_true(virtio_blk_handler_features(f.handler) & F(VIRTIO_BLK_F_RO));
    for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
        g_assert_cmpuint(send(&f, changes[i], 2 * ZONE_SECTORS, 4096), ==, VIRTIO_BLK_S_IOERR);
    }
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, 0, 4096), ==, VIRTIO_BLK_S_OK);
    tear_down(&f);
}

/* ---- zones ---- */

static void test_zone_writes(void)
{
    Fixture f;
    uint64_t z2 = 2 * ZONE_SECTORS, z3 = 3 * ZONE_SECTORS;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 80, 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 1, 4096), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2 + 8, 4096), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 512), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 4096), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2 + 8, CAP), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2 - 8, 8192), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2 + 8, CAP - 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2 + CAP / 512, 4096), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, z3, 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, z3 - 8, 8192), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, ZONE_SECTORS - 8, 8192), ==, VIRTIO_BLK_S_OK);
    tear_down(&f);
}

static void test_zone_append(void)
{
    Fixture f;
    uint64_t where = 0, z2 = 2 * ZONE_SECTORS;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpuint(append(&f, z2, 8192, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z2);
    g_assert_cmpuint(append(&f, z2, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z2 + 16);
    g_assert_cmpuint(append(&f, z2 + 24, 4096, &where), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(append(&f, 0, 4096, &where), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(append(&f, UINT64_MAX, 4096, &where), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(append(&f, z2, 1008 * 512 + 4096, &where), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(append(&f, z2, 512, &where), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(append(&f, z2, 1008 * 512, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(append(&f, z2, 1008 * 512, &where), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    /* No room for the position. */
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_APPEND, z2, 4096), ==, VIRTIO_BLK_S_IOERR);
    tear_down(&f);
}

static void test_zone_management(void)
{
    Fixture f;
    uint64_t z2 = 2 * ZONE_SECTORS, z3 = 3 * ZONE_SECTORS, z4 = 4 * ZONE_SECTORS;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_OPEN, z2, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_OPEN, z3, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_OPEN, z4, 0), ==,
                     VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_CLOSE, z2, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z4, 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 5 * ZONE_SECTORS, 4096), ==,
                     VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_FINISH, z4, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_OPEN, z4, 0), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_RESET, z4, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_CLOSE, z4, 0), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_RESET, 0, 0), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_RESET, z4 + 1, 0), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_RESET, UINT64_MAX, 0), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_RESET_ALL, 77, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 4096), ==, VIRTIO_BLK_S_OK);
    tear_down(&f);
}

static void test_zone_report(void)
{
    Fixture f;
    uint8_t *report;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 2 * ZONE_SECTORS, 4096), ==, VIRTIO_BLK_S_OK);
    report = data(&f);
    memset(report, 0xee, 64 + 3 * 64 + 10);
    /* From inside zone 1; three and a bit fit. */
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_ZONE_REPORT, ZONE_SECTORS + 5, 64 + 3 * 64 + 10), ==,
                     VIRTIO_BLK_S_OK);
    g_assert_cmpuint(ldq_le_p(report), ==, 3);
    g_assert_cmpuint(ldq_le_p(report + 64), ==, ZONE_SECTORS);
    g_assert_cmpuint(ldq_le_p(report + 64 + 8), ==, ZONE_SECTORS);
    g_assert_cmpuint(report[64 + 24], ==, 1);
    g_assert_cmpuint(report[64 + 25], ==, 0);
    g_assert_cmpuint(ldq_le_p(report + 128), ==, CAP / 512);
    g_assert_cmpuint(ldq_le_p(report + 128 + 16), ==, 2 * ZONE_SECTORS + 8);
    g_assert_cmpuint(report[128 + 24], ==, 2);
    g_assert_cmpuint(report[128 + 25], ==, 2);
    g_assert_cmpuint(report[128 + 26], ==, 0);
    g_assert_cmpuint(report[64 + 3 * 64 + 9], ==, 0);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_ZONE_REPORT, 0, 100 * 64), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(ldq_le_p(report), ==, 64);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_ZONE_REPORT, 0, 63), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_ZONE_REPORT, 131072, 128), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    tear_down(&f);
}

static void test_zoned_image(void)
{
    Fixture f;
    uint64_t where = 0;

    set_up(&f, open_qcow2_zoned("zoned.qcow2"), true);
    memset(data(&f), 0x11, 64 * KiB);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, ZONE_SECTORS, 64 * KiB), ==, VIRTIO_BLK_S_OK);
    memset(data(&f), 0x22, 64 * KiB);
    g_assert_cmpuint(append(&f, ZONE_SECTORS, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, ZONE_SECTORS + 128);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_FLUSH, 0, 0), ==, VIRTIO_BLK_S_OK);
    memset(data(&f), 0, 128 * KiB);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, ZONE_SECTORS, 72 * KiB), ==, VIRTIO_BLK_S_OK);
    g_assert_cmphex(data(&f)[65535], ==, 0x11);
    g_assert_cmphex(data(&f)[65536], ==, 0x22);
    g_assert_cmphex(data(&f)[69632], ==, 0);
    tear_down(&f);
}

/* ---- blocks larger than the node's ---- */

static void test_large_blocks_refused(void)
{
    g_autoptr(BlockBackend) blk = open_qcow2_zoned("refused.qcow2");
    VirtIOBlkOptions options = {.blk = blk, .name = "e", .num_queues = 1,
                                .logical_block_size = 4096};
    g_autofree char *sector = g_malloc0(512);
    VirtIOBlkHandler *handler;
    Error *err = NULL;

    g_assert_cmpint(blk_pwrite(blk, 3 * ZONE, 512, sector, 0), ==, 0);
    g_assert_null(virtio_blk_handler_new(&options, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "The write pointer of the zone at 3145728 stands at 3146240, which is no "
                    "multiple of the logical block size 4096");
    error_free(err);
    /* A full zone has none. */
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_FINISH, 3 * ZONE, ZONE), ==, 0);
    handler = virtio_blk_handler_new(&options, &error_abort);
    virtio_blk_handler_free(handler);
    options.logical_block_size = 65536;
    handler = virtio_blk_handler_new(&options, &error_abort);
    virtio_blk_handler_free(handler);
}

static void test_large_blocks(void)
{
    Fixture f;
    uint64_t where = 0, z1 = ZONE_SECTORS, z2 = 2 * ZONE_SECTORS;
    const uint8_t *config;

    set_up_blocks(&f, open_qcow2_zoned("blocks.qcow2"), true, 4096);
    config = virtio_blk_handler_config(f.handler);
    g_assert_cmpuint(ldl_le_p(config + 20), ==, 4096);
    g_assert_cmpuint(ldl_le_p(config + 84) % 8, ==, 0);
    g_assert_cmpuint(ldl_le_p(config + 84), >, 0);
    g_assert_cmpuint(ldl_le_p(config + 88), ==, 4096);
    g_assert_cmpuint(receive(&f, VIRTIO_BLK_T_IN, z1, 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, 0, 512), ==, VIRTIO_BLK_S_IOERR);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z1, 512), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(append(&f, z1, 512, &where), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z1, 4096), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(append(&f, z1, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z1 + 8);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z1 + 16, CAP), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z1 + 16, CAP - 512), ==,
                     VIRTIO_BLK_S_ZONE_INVALID_CMD);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_ZONE_FINISH, z2, 0), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 512), ==, VIRTIO_BLK_S_ZONE_INVALID_CMD);
    tear_down(&f);
}

/* ---- framing ---- */

static void test_any_layout(void)
{
    Fixture f;
    size_t at = AT;

    set_up(&f, open_plain("layout.qcow2"), true);
    memset(f.memory.bytes + AT, 0x77, 16 * KiB);
    stl_le_p(f.memory.bytes + at, VIRTIO_BLK_T_OUT | 0x80000000u);
    stq_le_p(f.memory.bytes + at + 8, 16);
    driver_desc(&f.memory, f.ring.desc, 0, at, 1, DESC_NEXT, 1);
    driver_desc(&f.memory, f.ring.desc, 1, at + 1, 15 + 512, DESC_NEXT, 2);
    driver_desc(&f.memory, f.ring.desc, 2, at + 16 + 512, 1536, DESC_NEXT, 3);
    driver_desc(&f.memory, f.ring.desc, 3, at + 8192, 1, DESC_WRITE, 0);
    driver_offer(&f.ring, 0);
    wait_answer(&f);
    g_assert_cmpuint(f.memory.bytes[at + 8192], ==, VIRTIO_BLK_S_OK);
    /* Read it: data and status in one descriptor. */
    stl_le_p(f.memory.bytes + at, VIRTIO_BLK_T_IN);
    driver_desc(&f.memory, f.ring.desc, 1, at + 1, 15, DESC_NEXT, 2);
    driver_desc(&f.memory, f.ring.desc, 2, at + 65536, 2049, DESC_WRITE, 0);
    driver_offer(&f.ring, 0);
    g_assert_cmpuint(wait_answer(&f), ==, 2049);
    g_assert_cmpuint(f.memory.bytes[at + 65536 + 2048], ==, VIRTIO_BLK_S_OK);
    g_assert_cmphex(f.memory.bytes[at + 65536], ==, 0x77);
    g_assert_cmphex(f.memory.bytes[at + 65536 + 2047], ==, 0x77);
    tear_down(&f);
}

static void test_no_status(void)
{
    Fixture f;
    uint32_t head, len;

    set_up(&f, open_plain("short.qcow2"), true);
    driver_desc(&f.memory, f.ring.desc, 0, AT, 15, DESC_NEXT, 1);
    driver_desc(&f.memory, f.ring.desc, 1, AT + 64, 1, DESC_WRITE, 0);
    driver_offer(&f.ring, 0);
    virtio_blk_queue_run(f.queue);
    g_assert_nonnull(f.broken);
    g_assert_true(driver_take(&f.ring, &head, &len));
    driver_blk_request(&f.ring, 1, AT, VIRTIO_BLK_T_FLUSH, 0, 0, false, 1);
    driver_offer(&f.ring, 3);
    virtio_blk_queue_run(f.queue);
    g_assert_false(driver_take(&f.ring, &head, &len));
    tear_down(&f);
}

/* Many at a time are answered with few notifications. */
static void test_batch(void)
{
    Fixture f;
    uint32_t head, len;

    set_up(&f, open_null_zoned(BDRV_O_RDWR), true);
    for (unsigned int i = 0; i < 21; i++) {
        driver_blk_request(&f.ring, i, AT + i * 8192, VIRTIO_BLK_T_IN, 8 * i, 4096, true, 1);
        driver_offer(&f.ring, 3 * i);
    }
    for (unsigned int nr = 0; nr < 21;) {
        virtio_blk_queue_run(f.queue);
        while (driver_take(&f.ring, &head, &len)) {
            g_assert_cmpuint(driver_blk_status(&f.ring, AT + head / 3 * 8192, 1), ==, 0);
            nr++;
        }
    }
    g_assert_cmpuint(f.nr_notified, ==, 1);
    tear_down(&f);
}

/* ---- a daemon that dies ---- */

/*
 * As if the daemon had died when the last request had been carried out and its answer was not
 * published: ring and log say that it is in flight.
 */
static void die_before_answer(Fixture *f, InflightLog *log)
{
    uint16_t *used_idx = (uint16_t *)(f->memory.bytes + f->ring.used + 2);

    virtio_blk_queue_set_fetching(f->queue, false);
    virtio_blk_queue_free(f->queue);
    virtio_blk_handler_free(f->handler);
    *used_idx -= 1;
    f->ring.used_seen--;
    log->used_idx = *used_idx;
    log->desc[0].is_inflight = 1;
    start_device(f, f->blk, true);
    g_assert_cmpint(virtio_blk_handler_recover(f->handler, log, 64), ==, 0);
    start_ring(f, log);
}

static InflightLog *set_up_logged(Fixture *f)
{
    InflightLog *log = g_aligned_alloc0(1, virtqueue_inflight_bytes(64), 64);

    set_up(f, open_null_zoned(BDRV_O_RDWR), true);
    start_ring(f, log);
    return log;
}

static void test_append_once(void)
{
    uint64_t where = 0, z2 = 2 * ZONE_SECTORS;
    Fixture f;
    InflightLog *log = set_up_logged(&f);

    g_assert_cmpuint(append(&f, z2, 8192, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(append(&f, z2, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z2 + 16);
    memset(f.memory.bytes + AT + 16, 0xff, 16);
    die_before_answer(&f, log);
    wait_answer(&f);
    g_assert_cmpuint(driver_blk_status(&f.ring, AT, 16), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(ldq_le_p(f.memory.bytes + AT + 16), ==, z2 + 16);
    g_assert_cmpuint(append(&f, z2, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z2 + 24);
    tear_down(&f);
    g_aligned_free(log);
}

static void test_write_once(void)
{
    uint64_t z2 = 2 * ZONE_SECTORS;
    Fixture f;
    InflightLog *log = set_up_logged(&f);

    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 8192), ==, VIRTIO_BLK_S_OK);
    die_before_answer(&f, log);
    g_assert_cmpuint(wait_answer(&f), ==, 1);
    g_assert_cmpuint(driver_blk_status(&f.ring, AT, 1), ==, VIRTIO_BLK_S_OK);
    /* One that had been refused is refused again. */
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2, 8192), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    die_before_answer(&f, log);
    wait_answer(&f);
    g_assert_cmpuint(driver_blk_status(&f.ring, AT, 1), ==, VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
    g_assert_cmpuint(send(&f, VIRTIO_BLK_T_OUT, z2 + 16, 4096), ==, VIRTIO_BLK_S_OK);
    tear_down(&f);
    g_aligned_free(log);
}

/* It was noted, and the daemon died before the node had done it. */
static void test_not_done_is_done(void)
{
    uint64_t where = 0, z2 = 2 * ZONE_SECTORS;
    Fixture f;
    InflightLog *log = set_up_logged(&f);

    g_assert_cmpuint(append(&f, z2, 8192, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpint(blk_zone_mgmt(f.blk, BLK_ZO_RESET, 2 * ZONE, ZONE), ==, 0);
    die_before_answer(&f, log);
    wait_answer(&f);
    g_assert_cmpuint(driver_blk_status(&f.ring, AT, 16), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(append(&f, z2, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z2 + 16);
    tear_down(&f);
    g_aligned_free(log);
}

/*
 * It was noted and not done; the next daemon wrote to the zone for somebody else, and died before it
 * came to the request.
 */
static void test_second_death(void)
{
    uint64_t where = 0, z2 = 2 * ZONE_SECTORS;
    Fixture f;
    InflightLog *log = set_up_logged(&f);
    VirtQueueNote note = {1, {2, 0, 8}};

    log->desc[0].is_inflight = 1;
    inflight_set_note(log, 64, 0, &note);
    g_assert_cmpint(virtio_blk_handler_recover(f.handler, log, 64), ==, 0);
    g_assert_cmpint(blk_pwrite(f.blk, 2 * ZONE, 8192, data(&f), 0), ==, 0);
    driver_blk_request(&f.ring, 0, AT, VIRTIO_BLK_T_ZONE_APPEND, z2, 4096, false, 16);
    driver_offer(&f.ring, 0);
    virtio_blk_queue_free(f.queue);
    virtio_blk_handler_free(f.handler);
    start_device(&f, f.blk, true);
    g_assert_cmpint(virtio_blk_handler_recover(f.handler, log, 64), ==, 0);
    start_ring(&f, log);
    wait_answer(&f);
    g_assert_cmpuint(driver_blk_status(&f.ring, AT, 16), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(ldq_le_p(f.memory.bytes + AT + 16), ==, z2 + 16);
    g_assert_cmpuint(append(&f, z2, 4096, &where), ==, VIRTIO_BLK_S_OK);
    g_assert_cmpuint(where, ==, z2 + 24);
    tear_down(&f);
    g_aligned_free(log);
}

static void test_refused_leaves_no_note(void)
{
    uint64_t where = 0;
    Fixture f;
    InflightLog *log = set_up_logged(&f);

    for (unsigned int zone = 2; zone < 5; zone++) {
        g_assert_cmpuint(append(&f, zone * ZONE_SECTORS, 4096, &where), ==, VIRTIO_BLK_S_OK);
    }
    g_assert_cmpuint(inflight_note(log, 64, 0).state, !=, 0);
    g_assert_cmpuint(append(&f, 5 * ZONE_SECTORS, 4096, &where), ==,
                     VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
    g_assert_cmpuint(inflight_note(log, 64, 0).state, ==, 0);
    tear_down(&f);
    g_aligned_free(log);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    g_test_add_func("/virtio-blk/options-are-checked", test_options);
    g_test_add_func("/virtio-blk/serial-has-20-bytes", test_serial);
    g_test_add_func("/virtio-blk/plain-reads-and-writes", test_plain);
    g_test_add_func("/virtio-blk/discard-and-write-zeroes", test_ranges);
    g_test_add_func("/virtio-blk/read-only-disk-refuses-changes", test_read_only);
    g_test_add_func("/virtio-blk/any-layout-of-buffers", test_any_layout);
    g_test_add_func("/virtio-blk/no-room-for-status-breaks-the-queue", test_no_status);
    g_test_add_func("/virtio-blk/answers-share-a-notification", test_batch);
    g_test_add_func("/virtio-blk/zoned/config", test_zoned_config);
    g_test_add_func("/virtio-blk/zoned/drivers-that-do-not-know-zones-only-read",
                    test_unzoned_reader);
    g_test_add_func("/virtio-blk/zoned/status-of-reads-and-writes", test_zone_writes);
    g_test_add_func("/virtio-blk/zoned/status-of-appends", test_zone_append);
    g_test_add_func("/virtio-blk/zoned/status-of-management", test_zone_management);
    g_test_add_func("/virtio-blk/zoned/report", test_zone_report);
    g_test_add_func("/virtio-blk/zoned/image", test_zoned_image);
    g_test_add_func("/virtio-blk/zoned/large-blocks-need-aligned-write-pointers",
                    test_large_blocks_refused);
    g_test_add_func("/virtio-blk/zoned/large-blocks-are-the-granularity", test_large_blocks);
    g_test_add_func("/virtio-blk/replay/append-is-applied-once", test_append_once);
    g_test_add_func("/virtio-blk/replay/write-is-applied-once", test_write_once);
    g_test_add_func("/virtio-blk/replay/what-was-not-done-is-done", test_not_done_is_done);
    g_test_add_func("/virtio-blk/replay/second-death-changes-nothing", test_second_death);
    g_test_add_func("/virtio-blk/replay/refused-write-leaves-no-note",
                    test_refused_leaves_no_note);
    ret = g_test_run();
    qcow2_fixture_done();
    return ret;
}
