/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the vduse-blk export against a kernel of our own: its driver runs in a thread, while the
 * main thread runs the event loop.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../../block/export/virtio-blk-int.h"
#include "../../block/export/virtqueue-inflight.h"
#include "block/export.h"
#include "fake-vduse.h"
#include "qapi/qapi-commands.h"
#include "qapi/qmp-event.h"
#include "qcow2-fixture.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define AT (1 * MiB)
#define ZONE_SECTORS 2048
#define LOG_HEADER_BYTES 4096
#define HIGH_BASE UINT64_C(0x8000000000)

static FakeVduse *const f = &fake_vduse;
static char *log_folder, *log_path;
static unsigned int nr_deleted;

/* ---- the driver's requests ---- */

static uint8_t *data(void)
{
    return f->memory.bytes + AT + 32;
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t bytes, bool is_in)
{
    uint32_t footer = is_in ? 1 : 16;

    driver_blk_request(&f->ring, 0, AT, type, sector, bytes, is_in, footer);
    driver_offer(&f->ring, 0);
    fake_vduse_kick();
    fake_vduse_wait_answer();
    return driver_blk_status(&f->ring, AT, footer);
}

/* All of the driver's memory in two regions, so that the data of requests lies across the border. */
static void add_memory(void)
{
    uint64_t border = AT + 8 * KiB;

    fake_vduse_add_region(DRIVER_BASE, border, f->memory.fd, 0);
    fake_vduse_add_region(DRIVER_BASE + border, DRIVER_MEMORY_BYTES - border, f->memory.fd,
                          border);
}

static void begin(void)
{
    add_memory();
    fake_vduse_bring_up();
}

static bool message(uint32_t type, struct vduse_dev_request *request,
                    struct vduse_dev_response *response)
{
    request->type = type;
    g_assert_true(fake_vduse_ask(request, response));
    return response->result == VDUSE_REQ_RESULT_OK;
}

/* ---- the driver's side of the tests: in a thread ---- */

static void do_zoned_io(void)
{
    begin();
    g_assert_cmphex(f->offered & BIT(33), !=, 0);
    g_assert_cmphex(f->offered & BIT(VIRTIO_BLK_F_ZONED), !=, 0);
    g_assert_cmpuint(f->config[92], ==, 1);
    g_assert_cmpuint(f->max_size, ==, 256);
    memset(data(), 0x42, 16 * KiB);
    g_assert_cmpuint(request(VIRTIO_BLK_T_OUT, ZONE_SECTORS, 16 * KiB, false), ==, 0);
    g_assert_cmpuint(request(VIRTIO_BLK_T_OUT, ZONE_SECTORS, 16 * KiB, false), ==, 4);
    g_assert_cmpuint(request(VIRTIO_BLK_T_ZONE_APPEND, ZONE_SECTORS, 4096, false), ==, 0);
    g_assert_cmpuint(ldq_le_p(f->memory.bytes + AT + 16), ==, ZONE_SECTORS + 32);
    g_assert_cmpuint(request(VIRTIO_BLK_T_FLUSH, 0, 0, false), ==, 0);
    memset(data(), 0, 32 * KiB);
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, ZONE_SECTORS, 32 * KiB, true), ==, 0);
    g_assert_cmphex(data()[20 * KiB - 1], ==, 0x42);
    g_assert_cmphex(data()[20 * KiB], ==, 0);
    g_assert_cmpuint(request(VIRTIO_BLK_T_ZONE_REPORT, ZONE_SECTORS, 4096, true), ==, 0);
    g_assert_cmpuint(ldq_le_p(data()), ==, 15);
    g_assert_cmpuint(f->nr_mapped, ==, 2);
    g_assert_true(fake_vduse_set_status(0, 0));
    f->is_attached = false;
}

static void do_features(void)
{
    const uint64_t left_out[] = {BIT(VIRTIO_BLK_F_ZONED), BIT(VIRTIO_F_VERSION_1), 0};

    f->is_attached = true;
    for (unsigned int i = 0; i < ARRAY_SIZE(left_out); i++) {
        g_assert_true(fake_vduse_set_status(0, 0));
        g_assert_true(fake_vduse_set_status(3, 0));
        g_assert_false(fake_vduse_set_status(7, 0)); /* nothing was negotiated */
        /* A virtual machine's driver need not take ACCESS_PLATFORM. */
        f->acked = f->offered & ~left_out[i] & ~BIT(VIRTIO_F_ACCESS_PLATFORM);
        g_assert_cmpint(fake_vduse_set_status(0xb, 0), ==, left_out[i] == 0);
    }
    g_assert_true(fake_vduse_set_status(0, 0));
    f->acked = f->offered | BIT(VIRTIO_BLK_F_DISCARD);
    g_assert_false(fake_vduse_set_status(0xb, 0));
    begin();
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    f->is_attached = false;
}

static void do_resets(void)
{
    uint32_t head, len;

    add_memory();
    for (unsigned int round = 1; round < 5; round++) {
        fake_vduse_bring_up();
        /* The memory is mapped again each time: the old mapping may be of pages that are gone. */
        g_assert_cmpuint(f->nr_mapped, ==, round);
        g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
        g_assert_true(fake_vduse_set_status(0, 0));
        driver_offer(&f->ring, 0);
        fake_vduse_kick();
        g_usleep(20000);
        g_assert_false(driver_take(&f->ring, &head, &len));
    }
    f->is_attached = false;
}

/* The memory moves to another file while the rings are in use, as with vhost_vdpa. */
static void do_iotlb(void)
{
    struct vduse_dev_request update = {.iova.start = DRIVER_BASE + 5,
                                       .iova.last = DRIVER_BASE + 5};
    struct vduse_dev_response response;
    DriverMemory old = f->memory, moved;

    begin();
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 16 * KiB, true), ==, 0);
    g_assert_cmpuint(f->nr_mapped, ==, 2);
    g_assert_true(message(VDUSE_UPDATE_IOTLB, &update, &response));
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 16 * KiB, true), ==, 0);
    g_assert_cmpuint(f->nr_mapped, ==, 3); /* the other one was not concerned */
    /* For a moment there is no memory at all. */
    fake_vduse_remove_regions();
    update.iova.start = 0;
    update.iova.last = UINT64_MAX;
    g_assert_true(message(VDUSE_UPDATE_IOTLB, &update, &response));
    fake_vduse_kick();
    driver_memory_init(&moved);
    memcpy(moved.bytes, old.bytes, DRIVER_MEMORY_BYTES);
    f->memory = moved;
    add_memory();
    g_assert_true(message(VDUSE_UPDATE_IOTLB, &update, &response));
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 16 * KiB, true), ==, 0);
    g_assert_true(fake_vduse_set_status(0, 0));
    f->memory = old;
    driver_memory_done(&moved);
    f->is_attached = false;
}

static void do_vq_state(void)
{
    struct vduse_dev_request ask = {.vq_state.index = 0};
    struct vduse_dev_response response;

    begin();
    for (unsigned int i = 0; i < 3; i++) {
        g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    }
    g_assert_true(message(VDUSE_GET_VQ_STATE, &ask, &response));
    g_assert_cmpuint(response.vq_state.index, ==, 0);
    g_assert_cmpuint(response.vq_state.split.avail_index, ==, 3);
    /* It goes on if the driver does. */
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    ask.vq_state.index = 1;
    f->queues[1].info.split.avail_index = 77;
    g_assert_true(message(VDUSE_GET_VQ_STATE, &ask, &response));
    g_assert_cmpuint(response.vq_state.split.avail_index, ==, 77);
    g_assert_true(fake_vduse_set_status(0, 0));
    f->is_attached = false;
}

/* The answer is there before the kernel has noted that the driver is ready. */
static void do_early_interrupt(void)
{
    add_memory();
    fake_vduse_negotiate();
    driver_blk_request(&f->ring, 0, AT, VIRTIO_BLK_T_IN, 0, 4096, true, 1);
    driver_offer(&f->ring, 0);
    g_assert_true(fake_vduse_set_status(0xf, 50000));
    g_assert_cmpuint(f->nr_refused_interrupts, >, 0);
    fake_vduse_wait_answer();
    g_assert_cmpuint(driver_blk_status(&f->ring, AT, 1), ==, 0);
    g_assert_true(fake_vduse_set_status(0, 0));
    f->is_attached = false;
}

/* ---- hostile ---- */

static void set_up_bad_ring(unsigned int round)
{
    struct vduse_vq_info *info = &f->queues[0].info;

    switch (round) {
    case 0:
        info->num = 512;
        break;
    case 1:
        info->num = 0;
        break;
    case 2:
        info->num = 65;
        break;
    case 3:
        info->desc_addr += 8;
        break;
    case 4:
        info->driver_addr = 0x1000;
        break;
    case 5:
        info->device_addr = DRIVER_BASE + DRIVER_MEMORY_BYTES - 4;
        break;
    default:
        info->desc_addr = UINT64_MAX - 15;
        break;
    }
}

static void do_hostile(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    struct vduse_dev_request ask = {.vq_state.index = FAKE_QUEUES};
    struct vduse_dev_response response;

    add_memory();
    f->is_attached = true;
    for (unsigned int round = 0; round < 7; round++) {
        fake_vduse_negotiate();
        set_up_bad_ring(round);
        g_assert_false(fake_vduse_set_status(0xf, 0));
    }
    g_assert_false(message(VDUSE_GET_VQ_STATE, &ask, &response));
    g_assert_false(message(99, &ask, &response));
    for (unsigned int round = 0; round < 300; round++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(ask.padding); i++) {
            ask.padding[i] = g_rand_int_range(rand, 0, 4) ? 0 : g_rand_int(rand);
        }
        message(g_rand_int_range(rand, 0, 5), &ask, &response);
    }
    fake_vduse_bring_up();
    /* A chain that is not in memory breaks its queue, until the next reset. */
    driver_desc(&f->memory, f->ring.desc, 0, DRIVER_MEMORY_BYTES, 16, 0, 0);
    driver_offer(&f->ring, 0);
    fake_vduse_kick();
    fake_vduse_bring_up();
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    f->is_attached = false;
}

/* Offer a request whose header lies at @addr. */
static void offer_at(uint64_t addr)
{
    driver_blk_request(&f->ring, 0, AT, VIRTIO_BLK_T_IN, 0, 4096, true, 1);
    driver_desc(&f->memory, f->ring.desc, 0, addr - DRIVER_BASE, 16, DESC_NEXT, 1);
    driver_offer(&f->ring, 0);
    fake_vduse_kick();
}

/* Pages that the driver names do not exist, like those of a bounce area that were never used. */
static void do_missing_pages(void)
{
    int fd = memfd_create("bounce", MFD_CLOEXEC);
    uint32_t head, len;

    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    add_memory();
    fake_vduse_add_region(HIGH_BASE, 1 * MiB, fd, 0);
    fake_vduse_bring_up();
    offer_at(HIGH_BASE);
    fake_vduse_wait_answer();
    offer_at(HIGH_BASE + 8192);
    /* From soon after it is out of order, though the daemon is not. */
    g_usleep(50000);
    driver_take(&f->ring, &head, &len);
    driver_blk_request(&f->ring, 1, AT, VIRTIO_BLK_T_IN, 0, 4096, true, 1);
    driver_offer(&f->ring, 3);
    fake_vduse_kick();
    g_usleep(50000);
    g_assert_false(driver_take(&f->ring, &head, &len));
    fake_vduse_bring_up();
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    g_assert_true(fake_vduse_set_status(0, 0));
    close(fd);
    f->is_attached = false;
}

/* ---- the daemon's side ---- */

static BlockExport *add_export(const char *extra, Error **errp)
{
    g_autofree char *json = g_strdup_printf(
        "{\"type\": \"vduse-blk\", \"id\": \"e\", \"node-name\": \"disk\", \"name\": \"disk0\", "
        "\"writable\": true%s}", extra);
    json_t *tree = json_loads(json, 0, NULL);
    g_autoptr(BlockExportOptions) options = NULL;

    g_assert_nonnull(tree);
    options = qapi_BlockExportOptions_from_json(tree, &error_abort);
    json_decref(tree);
    return blk_exp_add(options, errp);
}

#define TWO_QUEUES ", \"num-queues\": 2"

static BlockDriverState *open_disk(const char *words, int64_t size)
{
    g_autofree char *path = qcow2_fixture_path("disk.qcow2");
    json_t *options;

    if (words) {
        g_assert_true(qcow2_fixture_create(path, words, size, &error_abort));
    }
    options = json_pack("{s:s, s:s, s:{s:s, s:s}}", "driver", "qcow2", "node-name", "disk", "file",
                        "driver", "file", "filename", path);
    return bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
}

static BlockDriverState *open_zoned(void)
{
    return open_disk("zone.mode=host-managed,zone.size=1M", 16 * MiB);
}

typedef struct Side {
    void (*run)(void);
    bool is_done;
} Side;

static gpointer run_side(gpointer opaque)
{
    Side *side = opaque;

    side->run();
    __atomic_store_n(&side->is_done, true, __ATOMIC_SEQ_CST);
    aio_notify(qemu_get_aio_context());
    return NULL;
}

/* Run the driver's side of a test to its end. */
static void play(void (*run)(void))
{
    Side side = {.run = run};
    GThread *thread = g_thread_new("driver", run_side, &side);

    AIO_WAIT_WHILE(qemu_get_aio_context(), !__atomic_load_n(&side.is_done, __ATOMIC_SEQ_CST));
    g_thread_join(thread);
}

static void set_up(void)
{
    nr_deleted = 0;
    fake_vduse_begin(log_folder);
}

static void tear_down(BlockDriverState *bs)
{
    f->is_attached = false;
    blk_exp_close_all();
    g_assert_false(f->exists);
    g_assert_cmpint(g_access(log_path, F_OK), <, 0);
    bdrv_unref(bs);
    fake_vduse_end();
}

static void run_driver(const void *run)
{
    BlockDriverState *bs = open_zoned();

    set_up();
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    play((void (*)(void))run);
    tear_down(bs);
    g_assert_cmpuint(nr_deleted, ==, 1);
    g_assert_cmpuint(f->nr_created, ==, 1);
    g_assert_cmpuint(f->nr_destroyed, ==, 1);
}

/* ---- one daemon after another ---- */

static void append_block(void)
{
    g_assert_cmpuint(request(VIRTIO_BLK_T_ZONE_APPEND, ZONE_SECTORS, 4096, false), ==, 0);
}

static void do_first_daemon(void)
{
    begin();
    append_block();
    g_assert_cmpuint(ldq_le_p(f->memory.bytes + AT + 16), ==, ZONE_SECTORS);
    append_block();
}

/*
 * As if the daemon had been killed in the middle: two appends were taken, of which the second was
 * carried out, at sector 8 of the zone, and none was answered; a third was not taken.
 */
static void leave_in_flight(void)
{
    g_autofree char *contents = NULL;
    InflightLog *log;
    gsize bytes;

    for (unsigned int slot = 1; slot <= 3; slot++) {
        driver_blk_request(&f->ring, slot, AT + slot * 64 * KiB, VIRTIO_BLK_T_ZONE_APPEND,
                           ZONE_SECTORS, 4096, false, 16);
        driver_offer(&f->ring, 3 * slot);
    }
    g_assert_true(g_file_get_contents(log_path, &contents, &bytes, NULL));
    log = (InflightLog *)(contents + LOG_HEADER_BYTES);
    g_assert_cmpuint(log->version, ==, 1);
    g_assert_cmpuint(log->used_idx, ==, 2);
    log->desc[3] = (InflightEntry){.is_inflight = 1, .counter = 10};
    log->desc[6] = (InflightEntry){.is_inflight = 1, .counter = 11};
    inflight_set_note(log, log->desc_num, 6, &(VirtQueueNote){1, {1, 8, 8}});
    int fd = g_open(log_path, O_RDWR);

    g_assert_cmpint(pwrite(fd, contents, bytes, 0), ==, bytes);
    close(fd);
}

static uint64_t append_sector(unsigned int slot)
{
    size_t at = AT + slot * 64 * KiB;

    g_assert_cmpuint(driver_blk_status(&f->ring, at, 16), ==, 0);
    return ldq_le_p(f->memory.bytes + at + 16) - ZONE_SECTORS;
}

static void do_second_daemon(void)
{
    /* Nobody kicks. */
    for (unsigned int i = 0; i < 3; i++) {
        fake_vduse_wait_answer();
    }
    g_assert_cmpuint(append_sector(1), ==, 16);
    g_assert_cmpuint(append_sector(2), ==, 8);
    g_assert_cmpuint(append_sector(3), ==, 24);
    append_block();
    g_assert_cmpuint(ldq_le_p(f->memory.bytes + AT + 16), ==, ZONE_SECTORS + 32);
}

static void close_exports(void)
{
    BlockDriverState *bs = bdrv_find_node("disk");

    blk_exp_close_all();
    g_assert_nonnull(bs);
    bdrv_unref(bs);
}

static void test_restart(void)
{
    BlockDriverState *bs = open_zoned();

    set_up();
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    play(do_first_daemon);
    close_exports();
    g_assert_cmpuint(nr_deleted, ==, 1);
    g_assert_true(f->exists);
    leave_in_flight();
    bs = open_disk(NULL, 0);
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    play(do_second_daemon);
    g_assert_cmpuint(f->nr_created, ==, 1);
    tear_down(bs);
}

static void assert_refused(const char *extra, const char *text)
{
    Error *err = NULL;

    g_assert_null(add_export(extra, &err));
    if (!strstr(error_get_pretty(err), text)) {
        g_test_message("%s", error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
}

/* An attached device is not given to an export that is not like the one before. */
static void test_other_device(void)
{
    BlockDriverState *bs = open_zoned();
    g_autofree char *contents = NULL;
    gsize bytes;

    set_up();
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    play(do_first_daemon);
    blk_exp_close_all();
    assert_refused("", "num-queues or queue-size were different");
    assert_refused(TWO_QUEUES ", \"queue-size\": 512", "num-queues or queue-size were different");
    assert_refused(TWO_QUEUES ", \"logical-block-size\": 4096", "was not like this one");
    g_assert_true(g_file_get_contents(log_path, &contents, &bytes, NULL));
    contents[16]++; /* the device's inode */
    g_assert_true(g_file_set_contents(log_path, contents, bytes, NULL));
    g_assert_cmpint(g_chmod(log_path, 0600), ==, 0);
    assert_refused(TWO_QUEUES, "belongs to another device");
    contents[16]--;
    g_assert_true(g_file_set_contents(log_path, contents, bytes, NULL));
    g_assert_cmpint(g_chmod(log_path, 0644), ==, 0);
    assert_refused(TWO_QUEUES, "is not a file of our own");
    g_assert_cmpint(g_chmod(log_path, 0600), ==, 0);
    f->queues[0].info.num = 512;
    assert_refused(TWO_QUEUES, "Cannot go on with the attached device");
    f->queues[0].info.num = 64;
    f->is_broken = true;
    assert_refused(TWO_QUEUES, "Operation not permitted");
    f->is_broken = false;
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    play(append_block);
    tear_down(bs);
}

static void do_plain(void)
{
    begin();
    g_assert_cmphex(f->offered & BIT(VIRTIO_BLK_F_ZONED), ==, 0);
    g_assert_cmpuint(request(VIRTIO_BLK_T_OUT, 5, 4096, false), ==, 0);
    g_assert_cmpuint(request(VIRTIO_BLK_T_OUT, 16 * ZONE_SECTORS, 4096, false), ==, 1);
}

static void do_grown(void)
{
    g_assert_cmpuint(ldq_le_p(f->config), ==, 32 * ZONE_SECTORS);
    g_assert_cmpuint(f->nr_config_changes, ==, 1);
    g_assert_cmpuint(request(VIRTIO_BLK_T_OUT, 16 * ZONE_SECTORS, 4096, false), ==, 0);
}

static void resize(BlockDriverState *bs, int64_t bytes)
{
    g_autoptr(BlockBackend) blk = blk_new(qemu_get_aio_context(), BLK_PERM_WRITE | BLK_PERM_RESIZE,
                                          BLK_PERM_ALL);

    g_assert_cmpint(blk_insert_bs(blk, bs, &error_abort), ==, 0);
    g_assert_cmpint(blk_truncate(blk, bytes, false, PREALLOC_MODE_OFF, 0, &error_abort), ==, 0);
}

static void test_growth(void)
{
    BlockDriverState *bs = open_disk("", 16 * MiB);

    set_up();
    g_assert_nonnull(add_export("", &error_abort));
    play(do_plain);
    blk_exp_close_all();
    resize(bs, 32 * MiB);
    g_assert_nonnull(add_export("", &error_abort));
    play(do_grown);
    blk_exp_close_all();
    resize(bs, 16 * MiB);
    assert_refused("", "was not like this one");
    f->is_attached = false;
    /* What is not attached is only a leftover. */
    g_assert_nonnull(add_export("", &error_abort));
    g_assert_cmpuint(f->nr_created, ==, 2);
    tear_down(bs);
}

/* ---- commands ---- */

static void test_commands(void)
{
    BlockDriverState *bs = open_zoned();
    BlockExportInfoList *list;
    Error *err = NULL;

    set_up();
    assert_refused(", \"queue-size\": 100", "a power of two from 128 to 1024, got 100");
    assert_refused(", \"queue-size\": 64", "a power of two from 128 to 1024, got 64");
    assert_refused(", \"num-queues\": 65", "from 1 to 64, got 65");
    assert_refused(", \"logical-block-size\": 0", "got 0");
    assert_refused(", \"name\": \"a/b\"", "got 'a/b'");
    assert_refused(", \"name\": \"..\"", "got '..'");
    assert_refused(", \"num-queues\": 3", "Cannot create the VDUSE device 'disk0'");
    g_assert_cmpuint(f->nr_created, ==, 0);
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    list = qmp_query_block_exports(&error_abort);
    g_assert_cmpstr(list->value->device, ==, "/dev/vduse/disk0");
    qapi_free_BlockExportInfoList(list);
    play(do_first_daemon);
    qmp_block_export_del("e", false, 0, &err);
    g_assert_nonnull(strstr(error_get_pretty(err), "still in use"));
    error_free(err);
    qmp_block_export_del("e", true, BLOCK_EXPORT_REMOVE_MODE_HARD, &error_abort);
    tear_down(bs);
}

static void do_give_up(void)
{
    begin();
    g_assert_cmpuint(request(VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    g_mutex_lock(&f->lock);
    f->is_broken = true;
    g_mutex_unlock(&f->lock);
    shutdown(f->kernel_end, SHUT_RDWR);
    f->is_attached = false;
}

static void test_given_up(void)
{
    BlockDriverState *bs = open_zoned();

    set_up();
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    play(do_give_up);
    blk_exp_close_all();
    g_assert_cmpuint(nr_deleted, ==, 1);
    g_assert_nonnull(add_export(TWO_QUEUES, &error_abort));
    fake_vduse_remove_regions();
    f->nr_mapped = 0;
    play(do_zoned_io);
    tear_down(bs);
}

static void count_deleted(json_t *event, void *opaque)
{
    nr_deleted += !strcmp(json_string_value(json_object_get(event, "event")),
                          "BLOCK_EXPORT_DELETED");
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    log_folder = qcow2_fixture_path("");
    log_path = qcow2_fixture_path("vduse-blk-disk0");
    qapi_event_set_handler(count_deleted, NULL);
    g_test_add_func("/vduse/commands-and-options", test_commands);
    g_test_add_data_func("/vduse/zoned-io", do_zoned_io, run_driver);
    g_test_add_data_func("/vduse/a-driver-without-zones-is-refused", do_features, run_driver);
    g_test_add_data_func("/vduse/reset-forgets-memory-and-rings", do_resets, run_driver);
    g_test_add_data_func("/vduse/memory-changes-under-rings", do_iotlb, run_driver);
    g_test_add_data_func("/vduse/state-of-a-ring", do_vq_state, run_driver);
    g_test_add_data_func("/vduse/early-interrupts-are-repeated", do_early_interrupt, run_driver);
    g_test_add_data_func("/vduse/hostile-messages-and-rings", do_hostile, run_driver);
    g_test_add_data_func("/vduse/missing-pages-break-the-device-only", do_missing_pages,
                         run_driver);
    g_test_add_func("/vduse/restart-does-what-was-in-flight-once", test_restart);
    g_test_add_func("/vduse/restart-with-another-device-is-refused", test_other_device);
    g_test_add_func("/vduse/restart-with-a-grown-disk", test_growth);
    g_test_add_func("/vduse/device-that-the-kernel-gave-up", test_given_up);
    ret = g_test_run();
    g_free(log_folder);
    g_free(log_path);
    qcow2_fixture_done();
    return ret;
}
