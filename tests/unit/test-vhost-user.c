/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the vhost-user-blk export with a front-end of our own, which runs in a thread and speaks
 * the protocol over the socket, while the main thread runs the event loop.
 */
#include "qemu/osdep.h"

#include <glib/gstdio.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../../block/export/virtio-blk-int.h"
#include "../../block/export/virtqueue-inflight.h"
#include "../vhost-user/wire.h"
#include "block/export.h"
#include "block/iothread.h"
#include "qcow2-fixture.h"
#include "qapi/qapi-commands.h"
#include "qapi/qmp-event.h"
#include "virtio-driver.h"

#define BIT(nr) (UINT64_C(1) << (nr))
#define USER_BASE UINT64_C(0x7f0000000000)
#define AT (1 * MiB)
#define ZONE_SECTORS 2048

static char *socket_path;
static unsigned int nr_deleted;

typedef struct FrontEnd {
    int socket, kick, call;
    DriverMemory memory;
    DriverRing ring;
    uint64_t features;
} FrontEnd;

/* ---- messages ---- */

static void send_message(FrontEnd *fe, uint32_t request, uint32_t flags, const void *payload,
                         uint32_t bytes, int fd)
{
    g_assert_true(wire_send(fe->socket, request, flags, payload, bytes, &fd, fd >= 0));
}

/* The reply's payload length; -1 where the connection has been closed. */
static int receive_reply(FrontEnd *fe, uint32_t request, void *payload, int *fd)
{
    return wire_receive(fe->socket, request, payload, VHOST_USER_MAX_PAYLOAD, fd);
}

static uint64_t ask_u64(FrontEnd *fe, uint32_t request)
{
    uint64_t value;

    g_assert_true(wire_ask(fe->socket, request, &value));
    return value;
}

/* What it acknowledges: 0, or 1 if it refuses. */
static uint64_t tell(FrontEnd *fe, uint32_t request, const void *payload, uint32_t bytes, int fd)
{
    uint64_t value;

    g_assert_true(wire_tell(fe->socket, request, payload, bytes, fd, &value));
    return value;
}

/* ---- a session ---- */

static void connect_to_export(FrontEnd *fe)
{
    uint64_t protocol;

    fe->socket = wire_connect(socket_path);
    g_assert_cmpint(fe->socket, >=, 0);
    fe->features = ask_u64(fe, VHOST_USER_GET_FEATURES);
    g_assert_true(fe->features & BIT(VHOST_USER_F_PROTOCOL_FEATURES));
    protocol = ask_u64(fe, VHOST_USER_GET_PROTOCOL_FEATURES);
    send_message(fe, VHOST_USER_SET_PROTOCOL_FEATURES, 0, &protocol, 8, -1);
    g_assert_cmpuint(ask_u64(fe, VHOST_USER_GET_QUEUE_NUM), ==, 2);
    g_assert_cmpuint(ask_u64(fe, VHOST_USER_GET_MAX_MEM_SLOTS), >=, 509);
    g_assert_cmpuint(tell(fe, VHOST_USER_SET_FEATURES, &fe->features, 8, -1), ==, 0);
}

static uint64_t add_memory(FrontEnd *fe)
{
    uint64_t region[5] = {0, DRIVER_BASE, DRIVER_MEMORY_BYTES, USER_BASE, 0};

    return tell(fe, VHOST_USER_ADD_MEM_REG, region, sizeof(region), fe->memory.fd);
}

static void start_ring(FrontEnd *fe)
{
    uint32_t num[2] = {0, fe->ring.size};
    uint32_t base[2] = {0, fe->ring.used_seen};
    uint32_t enable[2] = {0, 1};
    VhostUserVringAddr addr = {.desc = USER_BASE + fe->ring.desc,
                               .avail = USER_BASE + fe->ring.avail,
                               .used = USER_BASE + fe->ring.used};
    uint64_t index = 0;

    fe->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    fe->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    send_message(fe, VHOST_USER_SET_VRING_NUM, 0, num, 8, -1);
    send_message(fe, VHOST_USER_SET_VRING_BASE, 0, base, 8, -1);
    send_message(fe, VHOST_USER_SET_VRING_ADDR, 0, &addr, 40, -1);
    g_assert_cmpuint(tell(fe, VHOST_USER_SET_VRING_CALL, &index, 8, fe->call), ==, 0);
    g_assert_cmpuint(tell(fe, VHOST_USER_SET_VRING_KICK, &index, 8, fe->kick), ==, 0);
    g_assert_cmpuint(tell(fe, VHOST_USER_SET_VRING_ENABLE, enable, 8, -1), ==, 0);
}

static uint32_t stop_ring(FrontEnd *fe)
{
    uint32_t state[2] = {0, 0};

    send_message(fe, VHOST_USER_GET_VRING_BASE, 0, state, 8, -1);
    g_assert_cmpint(receive_reply(fe, VHOST_USER_GET_VRING_BASE, state, NULL), ==, 8);
    close(fe->kick);
    close(fe->call);
    return state[1];
}

static void wait_answer(FrontEnd *fe)
{
    struct pollfd poll_fd = {.fd = fe->call, .events = POLLIN};
    uint16_t *used_event =
        (uint16_t *)(fe->memory.bytes + fe->ring.avail + 4 + 2 * fe->ring.size);
    uint32_t head, len;
    uint64_t count;

    /* Ask for an interrupt, then look whether it is too late for one. */
    __atomic_store_n(used_event, cpu_to_le16(fe->ring.used_seen), __ATOMIC_SEQ_CST);
    while (!driver_take(&fe->ring, &head, &len)) {
        g_assert_cmpint(poll(&poll_fd, 1, 10000), ==, 1);
        g_assert_cmpint(read(fe->call, &count, 8), ==, 8);
    }
}

static void kick(FrontEnd *fe)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fe->kick, &one, 8), ==, 8);
}

static uint8_t request(FrontEnd *fe, uint32_t type, uint64_t sector, uint32_t bytes, bool is_in)
{
    uint32_t footer = is_in ? 1 : 16;

    driver_blk_request(&fe->ring, 0, AT, type, sector, bytes, is_in, footer);
    driver_offer(&fe->ring, 0);
    kick(fe);
    wait_answer(fe);
    return driver_blk_status(&fe->ring, AT, footer);
}

static uint8_t *data(FrontEnd *fe)
{
    return fe->memory.bytes + AT + 32;
}

static void begin(FrontEnd *fe)
{
    memset(fe, 0, sizeof(*fe));
    driver_memory_init(&fe->memory);
    driver_ring_init(&fe->ring, &fe->memory, 0, 64);
    connect_to_export(fe);
}

static void end(FrontEnd *fe)
{
    close(fe->socket);
    driver_memory_done(&fe->memory);
}

/* ---- the other side of the tests: in a thread ---- */

static void do_zoned_io(void)
{
    FrontEnd fe;
    uint8_t config[12 + 96] = {0};

    begin(&fe);
    ((uint32_t *)config)[1] = 96;
    send_message(&fe, VHOST_USER_GET_CONFIG, 0, config, sizeof(config), -1);
    g_assert_cmpint(receive_reply(&fe, VHOST_USER_GET_CONFIG, config, NULL), ==, 108);
    g_assert_cmpuint(config[12 + 92], ==, 1);
    g_assert_cmpuint(lduw_le_p(config + 12 + 34), ==, 2);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    g_assert_cmpuint(add_memory(&fe), ==, 1); /* overlaps */
    start_ring(&fe);
    memset(data(&fe), 0x42, 8192);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_OUT, ZONE_SECTORS, 8192, false), ==, 0);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_OUT, ZONE_SECTORS, 8192, false), ==, 4);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_ZONE_APPEND, ZONE_SECTORS, 4096, false), ==, 0);
    g_assert_cmpuint(ldq_le_p(fe.memory.bytes + AT + 16), ==, ZONE_SECTORS + 16);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_FLUSH, 0, 0, false), ==, 0);
    memset(data(&fe), 0, 16384);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_IN, ZONE_SECTORS, 16384, true), ==, 0);
    g_assert_cmphex(data(&fe)[12287], ==, 0x42);
    g_assert_cmphex(data(&fe)[12288], ==, 0);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_ZONE_REPORT, ZONE_SECTORS, 4096, true), ==, 0);
    g_assert_cmpuint(ldq_le_p(data(&fe)), ==, 15);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_ZONE_RESET, ZONE_SECTORS, 0, false), ==, 0);
    /* Stop, and go on. */
    g_assert_cmpuint(stop_ring(&fe), ==, fe.ring.used_seen);
    start_ring(&fe);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_OUT, ZONE_SECTORS, 8192, false), ==, 0);
    stop_ring(&fe);
    end(&fe);
}

static void do_inflight(void)
{
    FrontEnd fe;
    VhostUserInflight inflight = {.num_queues = 2, .queue_size = 64};
    InflightLog *log;
    int fd = -1;

    begin(&fe);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    send_message(&fe, VHOST_USER_GET_INFLIGHT_FD, 0, &inflight, 24, -1);
    g_assert_cmpint(receive_reply(&fe, VHOST_USER_GET_INFLIGHT_FD, &inflight, &fd), ==, 24);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_INFLIGHT_FD, &inflight, 24, fd), ==, 0);
    log = mmap(NULL, inflight.mmap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(log != MAP_FAILED);
    start_ring(&fe);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE_SECTORS, 4096, false), ==, 0);
    /* The connection breaks; then it looks as if a request had been taken and not answered. */
    close(fe.socket);
    driver_blk_request(&fe.ring, 0, AT, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE_SECTORS, 4096, false,
                       16);
    driver_offer(&fe.ring, 0);
    inflight_begin(log, 64, 0, 9);
    connect_to_export(&fe);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_INFLIGHT_FD, &inflight, 24, fd), ==, 0);
    start_ring(&fe);
    wait_answer(&fe); /* nobody has kicked */
    g_assert_cmpuint(driver_blk_status(&fe.ring, AT, 16), ==, 0);
    g_assert_cmpuint(ldq_le_p(fe.memory.bytes + AT + 16), ==, 2 * ZONE_SECTORS + 8);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_ZONE_APPEND, 2 * ZONE_SECTORS, 4096, false), ==, 0);
    g_assert_cmpuint(ldq_le_p(fe.memory.bytes + AT + 16), ==, 2 * ZONE_SECTORS + 16);
    munmap(log, inflight.mmap_bytes);
    close(fd);
    end(&fe);
}

static void do_removed_memory(void)
{
    FrontEnd fe;
    uint64_t region[5] = {0, DRIVER_BASE, DRIVER_MEMORY_BYTES, USER_BASE, 0};

    begin(&fe);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    start_ring(&fe);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    g_assert_cmpuint(tell(&fe, VHOST_USER_REM_MEM_REG, region, 40, -1), ==, 0);
    g_assert_cmpuint(tell(&fe, VHOST_USER_REM_MEM_REG, region, 40, -1), ==, 1);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    end(&fe);
}

/* The file shrinks while the daemon uses it: the connection ends, the daemon lives on. */
static void do_shrunk_memory(void)
{
    FrontEnd fe;
    uint64_t value;

    begin(&fe);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    start_ring(&fe);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    g_assert_cmpint(ftruncate(fe.memory.fd, 0), ==, 0);
    kick(&fe);
    g_assert_cmpint(recv(fe.socket, &value, 1, 0), <=, 0);
    end(&fe);
    begin(&fe);
    g_assert_cmpuint(add_memory(&fe), ==, 0);
    start_ring(&fe);
    g_assert_cmpuint(request(&fe, VIRTIO_BLK_T_IN, 0, 4096, true), ==, 0);
    end(&fe);
}

/* Each is refused: acknowledged so where asked for, and the daemon lives on. */
static void do_hostile(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    FrontEnd fe;
    uint32_t bad_index[2] = {2, 64}, bad_size[2] = {0, 65}, huge[3] = {5, 1, 5000};
    uint64_t bad_region[5] = {0, DRIVER_BASE, DRIVER_MEMORY_BYTES + 4096, USER_BASE, 0};
    uint64_t index = 0, value;
    uint8_t byte;

    begin(&fe);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_VRING_NUM, bad_index, 8, -1), ==, 1);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_VRING_NUM, bad_size, 8, -1), ==, 1);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_VRING_NUM, bad_size, 4, -1), ==, 1);
    g_assert_cmpuint(tell(&fe, VHOST_USER_ADD_MEM_REG, bad_region, 40, fe.memory.fd), ==, 1);
    bad_region[2] = 4096;
    bad_region[4] = UINT64_MAX;
    g_assert_cmpuint(tell(&fe, VHOST_USER_ADD_MEM_REG, bad_region, 40, fe.memory.fd), ==, 1);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_VRING_KICK, &index, 8, fe.memory.fd), ==, 1);
    g_assert_cmpuint(tell(&fe, VHOST_USER_SET_VRING_KICK, &index, 8, -1), ==, 1);
    g_assert_cmpuint(tell(&fe, 99, NULL, 0, -1), ==, 1);
    g_assert_cmpuint(ask_u64(&fe, VHOST_USER_GET_QUEUE_NUM), ==, 2);
    g_assert_cmpint(send(fe.socket, huge, 12, MSG_NOSIGNAL), ==, 12);
    g_assert_cmpint(recv(fe.socket, &byte, 1, 0), <=, 0);
    end(&fe);
    begin(&fe);
    /* Firmware reads a disk whose zones it does not know: that is no reason to leave. */
    value = fe.features & ~BIT(VIRTIO_BLK_F_ZONED);
    send_message(&fe, VHOST_USER_SET_FEATURES, 0, &value, 8, -1);
    g_assert_cmpuint(ask_u64(&fe, VHOST_USER_GET_QUEUE_NUM), ==, 2);
    end(&fe);
    begin(&fe);
    value = fe.features & ~BIT(VIRTIO_F_VERSION_1);
    send_message(&fe, VHOST_USER_SET_FEATURES, 0, &value, 8, -1);
    g_assert_cmpint(recv(fe.socket, &byte, 1, 0), <=, 0);
    end(&fe);
    for (unsigned int round = 0; round < 300; round++) {
        uint8_t payload[300];

        begin(&fe);
        for (unsigned int i = 0; i < sizeof(payload); i++) {
            payload[i] = g_rand_int_range(rand, 0, 4) ? 0 : g_rand_int(rand);
        }
        send_message(&fe, g_rand_int_range(rand, 0, 45), 0, payload,
                     g_rand_int_range(rand, 0, 280),
                     g_rand_boolean(rand) ? fe.memory.fd : -1);
        end(&fe);
    }
}

/* ---- the daemon's side ---- */

static BlockExport *add_export(const char *extra, Error **errp)
{
    g_autofree char *json = g_strdup_printf(
        "{\"type\": \"vhost-user-blk\", \"id\": \"e\", \"node-name\": \"disk\", %s"
        "\"num-queues\": 2, \"addr\": {\"type\": \"unix\", \"path\": \"%s\"}}",
        extra, socket_path);
    json_t *tree = json_loads(json, 0, NULL);
    g_autoptr(BlockExportOptions) options = qapi_BlockExportOptions_from_json(tree, &error_abort);

    json_decref(tree);
    return blk_exp_add(options, errp);
}

static BlockDriverState *open_disk(void)
{
    g_autofree char *path = qcow2_fixture_path("disk.qcow2");
    json_t *options;

    g_assert_true(qcow2_fixture_create(path, "zone.mode=host-managed,zone.size=1M", 16 * MiB,
                                       &error_abort));
    options = json_pack("{s:s, s:s, s:{s:s, s:s}}", "driver", "qcow2", "node-name", "disk", "file",
                        "driver", "file", "filename", path);
    return bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
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

static void run_with(const void *run, const char *options)
{
    Side side = {.run = (void (*)(void))run};
    BlockDriverState *bs = open_disk();
    GThread *thread;
    struct stat st;

    nr_deleted = 0;
    g_assert_nonnull(add_export(options, &error_abort));
    g_assert_cmpint(stat(socket_path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0600);
    thread = g_thread_new("front-end", run_side, &side);
    AIO_WAIT_WHILE(qemu_get_aio_context(), !__atomic_load_n(&side.is_done, __ATOMIC_SEQ_CST));
    g_thread_join(thread);
    blk_exp_close_all();
    g_assert_cmpuint(nr_deleted, ==, 1);
    g_assert_null(blk_exp_find("e"));
    g_assert_cmpint(g_access(socket_path, F_OK), <, 0);
    bdrv_unref(bs);
}

static void run_front_end(const void *run)
{
    run_with(run, "\"writable\": true, ");
}

static void run_front_end_of_iothread(const void *run)
{
    g_assert_nonnull(iothread_new("t0", &error_abort));
    run_with(run, "\"writable\": true, \"iothread\": \"t0\", ");
    g_assert_true(iothread_delete("t0", &error_abort));
}

/* Front-end @run against an export in the main thread, and in another. */
static void add_front_end(const char *name, void (*run)(void))
{
    g_autofree char *path = g_strconcat("/vhost-user/", name, NULL);
    g_autofree char *iothread_path = g_strconcat("/vhost-user/iothread/", name, NULL);

    g_test_add_data_func(path, run, run_front_end);
    g_test_add_data_func(iothread_path, run, run_front_end_of_iothread);
}

static void assert_refused(const char *extra, const char *text)
{
    Error *err = NULL;

    g_assert_null(add_export(extra, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), text));
    error_free(err);
}

static void test_registry(void)
{
    BlockDriverState *bs = open_disk();
    BlockExportInfoList *list;
    Error *err = NULL;

    assert_refused("\"iothread\": \"t0\", ", "iothread 't0'");
    assert_refused("\"logical-block-size\": 131072, ", "from 512 to 65536, got 131072");
    assert_refused("\"serial\": \"a serial number that is long\", ", "at most 20 bytes");
    g_assert_nonnull(add_export("\"writable\": true, ", &error_abort));
    assert_refused("", "already in use");
    list = qmp_query_block_exports(&error_abort);
    g_assert_cmpstr(list->value->id, ==, "e");
    g_assert_cmpstr(list->value->node_name, ==, "disk");
    g_assert_false(list->value->shutting_down);
    g_assert_null(list->next);
    qapi_free_BlockExportInfoList(list);
    qmp_block_export_del("nosuch", false, 0, &err);
    g_assert_cmpstr(error_get_pretty(err), ==, "Export 'nosuch' is not found");
    error_free(err);
    qmp_block_export_del("e", false, 0, &error_abort);
    err = NULL;
    qmp_block_export_del("e", false, 0, &err);
    g_assert_nonnull(err);
    error_free(err);
    blk_exp_close_all_type(BLOCK_EXPORT_TYPE_VHOST_USER_BLK);
    g_assert_null(blk_exp_next(NULL));
    bdrv_unref(bs);
}

static void test_sharing(void)
{
    BlockDriverState *bs = open_disk();
    g_autoptr(BlockBackend) reader = blk_new(qemu_get_aio_context(), BLK_PERM_CONSISTENT_READ,
                                             BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED);

    g_assert_cmpint(blk_insert_bs(reader, bs, &error_abort), ==, 0);
    assert_refused("\"writable\": true, ", "Conflicts with use by");
    g_assert_nonnull(add_export("", &error_abort));
    blk_exp_close_all();
    bdrv_unref(bs);
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
    socket_path = qcow2_fixture_path("socket");
    qapi_event_set_handler(count_deleted, NULL);
    g_test_add_func("/export/commands-and-options", test_registry);
    g_test_add_func("/export/many-readers-or-one-writer", test_sharing);
    add_front_end("zoned-io", do_zoned_io);
    add_front_end("reconnect-resubmits-what-was-in-flight", do_inflight);
    add_front_end("memory-comes-and-goes", do_removed_memory);
    add_front_end("memory-that-is-taken-away-ends-the-connection", do_shrunk_memory);
    add_front_end("hostile-messages-are-refused", do_hostile);
    ret = g_test_run();
    g_free(socket_path);
    qcow2_fixture_done();
    return ret;
}
