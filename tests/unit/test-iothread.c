/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of iothreads, of nodes that move between them while requests are in flight, and of exports
 * that live in them.
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <unistd.h>

#include "block/block_int.h"
#include "block/export.h"
#include "block/iothread.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "qapi/qmp-event.h"
#include "qcow2-fixture.h"

#define ZONE_BYTES MiB

static AioContext *context_of(const char *id)
{
    return id ? iothread_get_aio_context(iothread_find(id)) : qemu_get_aio_context();
}

static void start_threads(void)
{
    g_assert_nonnull(iothread_new("t0", &error_abort));
    g_assert_nonnull(iothread_new("t1", &error_abort));
}

static void end_threads(void)
{
    g_assert_true(iothread_delete("t0", &error_abort));
    g_assert_true(iothread_delete("t1", &error_abort));
}

static void assert_error(Error *err, const char *text)
{
    g_assert_cmpstr(error_get_pretty(err), ==, text);
    error_free(err);
}

/* ---- functions that run elsewhere ---- */

typedef struct Visit {
    AioContext *ctx;
    pid_t thread;
    bool was_in_coroutine;
    unsigned int nr_visits;
    unsigned int nr_to_come; /* bottom halves */
} Visit;

static void count_down(void *opaque)
{
    Visit *visit = opaque;

    visit->nr_to_come--;
}

static void visit_thread(void *opaque)
{
    Visit *visit = opaque;

    visit->ctx = qemu_get_current_aio_context();
    visit->thread = gettid();
    visit->was_in_coroutine = qemu_in_coroutine();
    visit->nr_visits++;
    visit->nr_to_come = 2;
    aio_bh_schedule_oneshot(visit->ctx, count_down, visit);
    aio_bh_schedule_oneshot(visit->ctx, count_down, visit);
    AIO_WAIT_WHILE(visit->ctx, visit->nr_to_come > 0);
}

static void test_run_in(void)
{
    Visit here = {0}, there = {0};

    start_threads();
    aio_run_in(qemu_get_aio_context(), visit_thread, &here);
    g_assert_true(here.ctx == qemu_get_aio_context());
    g_assert_cmpint(here.thread, ==, gettid());
    for (unsigned int i = 1; i <= 2000; i++) {
        aio_run_in(context_of("t0"), visit_thread, &there);
        g_assert_cmpuint(there.nr_visits, ==, i);
    }
    g_assert_true(there.ctx == context_of("t0"));
    g_assert_cmpint(there.thread, ==, iothread_get_thread_id(iothread_find("t0")));
    g_assert_false(there.was_in_coroutine);
    end_threads();
}

/* ---- the life of threads ---- */

/* The value of @key in /proc's status of thread @thread. */
static char *thread_status(pid_t thread, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/status", thread);
    g_autofree char *content = NULL;
    g_auto(GStrv) lines = NULL;

    g_assert_true(g_file_get_contents(path, &content, NULL, NULL));
    lines = g_strsplit(content, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (g_str_has_prefix(*line, key)) {
            return g_strstrip(g_strdup(*line + strlen(key)));
        }
    }
    g_assert_not_reached();
}

static void test_life(void)
{
    IOThread *thread = iothread_new("the-first-one-of-all", &error_abort);
    pid_t number = iothread_get_thread_id(thread);
    g_autofree char *name = thread_status(number, "Name:");
    g_autofree char *blocked = thread_status(number, "SigBlk:");
    IOThreadInfoList *list;
    Error *err = NULL;
    uint64_t mask;

    g_assert_cmpstr(name, ==, "IO the-first-on");
    /* those that end a program come to the main thread, what a thread does wrong to itself */
    mask = g_ascii_strtoull(blocked, NULL, 16);
    g_assert_true(mask & (1 << (SIGTERM - 1)));
    g_assert_true(mask & (1 << (SIGHUP - 1)));
    g_assert_false(mask & (1 << (SIGBUS - 1)));
    g_assert_true(iothread_find("the-first-one-of-all") == thread);
    g_assert_null(iothread_find("second"));
    g_assert_null(iothread_new("the-first-one-of-all", &err));
    assert_error(err, "iothread 'the-first-one-of-all' exists already");
    err = NULL;
    g_assert_null(iothread_new("1st", &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "Invalid iothread id '1st'"));
    error_free(err);
    g_assert_nonnull(iothread_new("second", &error_abort));
    g_assert_cmpstr(iothread_get_id(iothread_next(iothread_next(NULL))), ==, "second");
    g_assert_null(iothread_next(iothread_find("second")));

    list = qmp_query_iothreads(&error_abort);
    g_assert_cmpstr(list->value->id, ==, "the-first-one-of-all");
    g_assert_cmpint(list->value->thread_id, ==, number);
    g_assert_cmpstr(list->next->value->id, ==, "second");
    g_assert_null(list->next->next);
    qapi_free_IOThreadInfoList(list);

    g_assert_true(iothread_delete("the-first-one-of-all", &error_abort));
    err = NULL;
    g_assert_false(iothread_delete("the-first-one-of-all", &err));
    assert_error(err, "There is no iothread 'the-first-one-of-all'");
    iothread_delete_all();
    g_assert_null(iothread_next(NULL));
}

static void count_up(void *opaque)
{
    unsigned int *count = opaque;

    ++*count;
}

/* Threads that come and go at once, and carry out before they go what they were given. */
static void test_short_lives(void)
{
    unsigned int count = 0;

    for (unsigned int i = 0; i < 200; i++) {
        AioContext *ctx = iothread_get_aio_context(iothread_new("t", &error_abort));

        aio_bh_schedule_oneshot(ctx, count_up, &count);
        g_assert_true(iothread_delete("t", &error_abort));
    }
    g_assert_cmpuint(count, ==, 200);
}

static void test_no_loop(void)
{
    Error *err = NULL;

    g_setenv("AIO_BACKEND", "steam", true);
    g_assert_null(iothread_new("t0", &err));
    g_unsetenv("AIO_BACKEND");
    assert_error(err, "AIO_BACKEND must be io_uring or epoll, got 'steam'");
    g_assert_null(iothread_find("t0"));
}

/* ---- nodes ---- */

static BlockDriverState *open_node(json_t *options)
{
    return bdrv_open(NULL, NULL, options, BDRV_O_RDWR, &error_abort);
}

static BlockBackend *use_node(BlockDriverState *bs, uint64_t perm, bool may_move)
{
    BlockBackend *blk = blk_new(bdrv_get_aio_context(bs), perm, BLK_PERM_ALL);

    g_assert_cmpint(blk_insert_bs(blk, bs, &error_abort), ==, 0);
    blk_set_allow_aio_context_change(blk, may_move);
    return blk;
}

/* A raw file of 16 MiB with the protocol node @name. */
static BlockDriverState *open_file(const char *name)
{
    g_autofree char *path = qcow2_fixture_path(name);

    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    g_assert_cmpint(truncate(path, 16 * MiB), ==, 0);
    return open_node(json_pack("{s:s, s:s, s:s}", "driver", "file", "node-name", name, "filename",
                               path));
}

static BlockDriverState *open_raw_over(const char *name, const char *file)
{
    return open_node(json_pack("{s:s, s:s, s:s}", "driver", "raw", "node-name", name, "file",
                               file));
}

static BlockDriverState *open_qcow2(const char *name, const char *words)
{
    g_autofree char *path = qcow2_fixture_path(name);

    g_assert_true(qcow2_fixture_create(path, words, 64 * MiB, &error_abort));
    return open_node(json_pack("{s:s, s:s, s:i, s:{s:s, s:s}}", "driver", "qcow2", "node-name",
                               name, "cache-clean-interval", 1, "file", "driver", "file",
                               "filename", path));
}

static void move(BlockDriverState *bs, const char *id)
{
    g_assert_cmpint(bdrv_try_change_aio_context(bs, context_of(id), &error_abort), ==, 0);
    g_assert_true(bdrv_get_aio_context(bs) == context_of(id));
}

/* ---- load ---- */

#define NR_WORKERS 8

/*
 * Coroutines that use a node for all they are worth until they are told to stop, each in a range of
 * its own.  They start in the node's thread and go wherever it goes.
 */
typedef struct Load {
    BlockBackend *blk;
    bool is_zoned;
    bool keeps_data;
    bool must_stop;          /* atomic */
    unsigned int nr_running; /* the node's thread's, like all that follows */
    unsigned int nr_started;
    unsigned int nr_rounds[NR_WORKERS];
} Load;

static void assert_at_home(const Load *load)
{
    g_assert_true(qemu_get_current_aio_context() == blk_get_aio_context(load->blk));
}

static void coroutine_fn write_range(Load *load, int64_t offset, uint8_t *buf, uint8_t value)
{
    QEMUIOVector qiov;

    memset(buf, value, 64 * KiB);
    qemu_iovec_init_buf(&qiov, buf, 64 * KiB);
    g_assert_cmpint(blk_co_pwritev(load->blk, offset, 64 * KiB, &qiov, 0), ==, 0);
    assert_at_home(load);
}

static void coroutine_fn check_range(Load *load, int64_t offset, uint8_t *buf, uint8_t value)
{
    QEMUIOVector qiov;

    memset(buf, ~value, 64 * KiB);
    qemu_iovec_init_buf(&qiov, buf, 64 * KiB);
    g_assert_cmpint(blk_co_preadv(load->blk, offset, 64 * KiB, &qiov, 0), ==, 0);
    assert_at_home(load);
    for (size_t i = 0; i < 64 * KiB && load->keeps_data; i++) {
        g_assert_cmpuint(buf[i], ==, value);
    }
}

/* Fill a range or zone of 1 MiB, read it, and empty it. */
static void coroutine_fn work_once(Load *load, int64_t start, uint8_t *buf, uint8_t value)
{
    for (int64_t at = 0; at < ZONE_BYTES; at += 64 * KiB) {
        write_range(load, start + at, buf, value);
        if (at == 512 * KiB) {
            g_assert_cmpint(blk_co_flush(load->blk), ==, 0);
            assert_at_home(load);
        }
    }
    check_range(load, start + 192 * KiB, buf, value);
    if (load->is_zoned) {
        g_assert_cmpint(blk_co_zone_mgmt(load->blk, BLK_ZO_RESET, start, ZONE_BYTES), ==, 0);
        check_range(load, start, buf, 0);
    } else {
        g_assert_cmpint(blk_co_pwrite_zeroes(load->blk, start, ZONE_BYTES, BDRV_REQ_MAY_UNMAP), ==,
                        0);
        check_range(load, start, buf, 0);
    }
}

static void coroutine_fn worker(void *opaque)
{
    Load *load = opaque;
    unsigned int index = load->nr_started++;
    g_autofree uint8_t *buf = g_malloc(64 * KiB);

    while (!__atomic_load_n(&load->must_stop, __ATOMIC_ACQUIRE)) {
        work_once(load, index * ZONE_BYTES, buf, 1 + load->nr_rounds[index]++ % 255);
    }
    load->nr_running--;
}

static void start_load_here(void *opaque)
{
    Load *load = opaque;

    for (unsigned int i = 0; i < NR_WORKERS; i++) {
        load->nr_running++;
        qemu_coroutine_enter(qemu_coroutine_create(worker, load));
    }
}

static void start_load(Load *load)
{
    aio_run_in(blk_get_aio_context(load->blk), start_load_here, load);
}

static void wait_for_load(void *opaque)
{
    Load *load = opaque;

    AIO_WAIT_WHILE(blk_get_aio_context(load->blk), load->nr_running > 0);
}

static void stop_load(Load *load)
{
    __atomic_store_n(&load->must_stop, true, __ATOMIC_RELEASE);
    aio_run_in(blk_get_aio_context(load->blk), wait_for_load, load);
    for (unsigned int i = 0; i < NR_WORKERS; i++) {
        g_assert_cmpuint(load->nr_rounds[i], >, 0);
    }
}

static void set_flag(void *opaque)
{
    *(bool *)opaque = true;
}

/* Let the threads work for @ms milliseconds, this one included. */
static void let_work(unsigned int ms)
{
    bool is_over = false;
    QEMUTimer *timer = aio_timer_new(qemu_get_aio_context(), set_flag, &is_over);

    timer_mod_ns(timer, qemu_clock_get_ns() + ms * INT64_C(1000000));
    AIO_WAIT_WHILE(qemu_get_aio_context(), !is_over);
    timer_free(timer);
}

static void move_under_load(BlockDriverState *bs, Load *load)
{
    static const char *const places[] = {"t0", NULL, "t1", "t0", NULL};

    load->blk = use_node(bs, BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE, true);
    start_load(load);
    for (unsigned int i = 0; i < 10 * ARRAY_SIZE(places); i++) {
        let_work(i % 7);
        move(bs, places[i % ARRAY_SIZE(places)]);
    }
    move(bs, "t1");
    stop_load(load);
    blk_unref(load->blk);
    bdrv_unref(bs);
}

static void test_move_plain(void)
{
    Load load = {.keeps_data = true};

    start_threads();
    move_under_load(open_qcow2("plain", "lazy_refcounts=on"), &load);
    end_threads();
}

static void test_move_zoned(void)
{
    Load load = {.keeps_data = true, .is_zoned = true};
    BlockDriverState *bs;

    start_threads();
    bs = open_qcow2("zoned", "zone.mode=host-managed,zone.size=1M");
    move_under_load(bs, &load);
    end_threads();
}

static void test_move_null(void)
{
    Load load = {.keeps_data = false};
    Load slow_load = {.keeps_data = false};

    start_threads();
    move_under_load(open_node(json_pack("{s:s, s:s}", "driver", "null-aio", "node-name", "null")),
                    &load);
    move_under_load(open_node(json_pack("{s:s, s:s, s:i}", "driver", "null-co", "node-name", "null",
                                        "latency-ns", 100000)),
                    &slow_load);
    end_threads();
}

/* ---- requests with callbacks ---- */

typedef struct Chain {
    BlockBackend *blk;
    QEMUIOVector qiov;
    uint8_t buf[512];
    unsigned int nr_left; /* the node's thread's */
} Chain;

static void start_next(void *opaque);

static void request_ended(void *opaque, int ret)
{
    Chain *chain = opaque;

    g_assert_cmpint(ret, ==, 0);
    g_assert_true(qemu_get_current_aio_context() == blk_get_aio_context(chain->blk));
    if (--chain->nr_left > 0) {
        start_next(chain);
    }
}

static void start_next(void *opaque)
{
    Chain *chain = opaque;

    blk_aio_preadv(chain->blk, 0, &chain->qiov, 0, request_ended, chain);
}

static void wait_for_chain(void *opaque)
{
    Chain *chain = opaque;

    AIO_WAIT_WHILE(blk_get_aio_context(chain->blk), chain->nr_left > 0);
}

/* Of a node that answers at once, so that callbacks come from the backend's own bottom half. */
static void test_callbacks(void)
{
    BlockDriverState *bs;
    Chain chain = {.nr_left = 20000};

    start_threads();
    bs = open_node(json_pack("{s:s, s:s}", "driver", "null-co", "node-name", "null"));
    chain.blk = use_node(bs, BLK_PERM_CONSISTENT_READ, true);
    qemu_iovec_init_buf(&chain.qiov, chain.buf, sizeof(chain.buf));
    start_next(&chain);
    for (unsigned int i = 0; i < 100; i++) {
        move(bs, i % 2 ? "t0" : "t1");
    }
    aio_run_in(context_of("t0"), wait_for_chain, &chain);
    blk_unref(chain.blk);
    bdrv_unref(bs);
    end_threads();
}

/* ---- several nodes ---- */

static void test_two_at_once(void)
{
    Load loads[2] = {{.keeps_data = true}, {.keeps_data = true, .is_zoned = true}};
    BlockDriverState *nodes[2];

    start_threads();
    nodes[0] = open_qcow2("plain", "");
    nodes[1] = open_qcow2("zoned", "zone.mode=host-managed,zone.size=1M");
    for (unsigned int i = 0; i < 2; i++) {
        loads[i].blk = use_node(nodes[i], BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE, true);
        move(nodes[i], i ? "t1" : "t0");
        start_load(&loads[i]);
    }
    let_work(200);
    /* and now the other way round */
    move(nodes[0], "t1");
    let_work(50);
    move(nodes[1], "t0");
    let_work(200);
    for (unsigned int i = 0; i < 2; i++) {
        stop_load(&loads[i]);
        blk_unref(loads[i].blk);
        bdrv_unref(nodes[i]);
    }
    end_threads();
}

static void test_component(void)
{
    BlockDriverState *file, *a, *b;
    BlockBackend *user;

    start_threads();
    file = open_file("file");
    a = open_raw_over("a", "file");
    user = use_node(a, BLK_PERM_CONSISTENT_READ, true);
    b = open_raw_over("b", "file");
    move(b, "t0");
    g_assert_true(bdrv_get_aio_context(a) == context_of("t0"));
    g_assert_true(bdrv_get_aio_context(file) == context_of("t0"));
    g_assert_true(blk_get_aio_context(user) == context_of("t0"));
    bdrv_unref(b);
    move(file, "t1");
    g_assert_true(bdrv_get_aio_context(a) == context_of("t1"));
    blk_unref(user);
    bdrv_unref(a);
    bdrv_unref(file);
    end_threads();
}

/* What is put on a node that lives elsewhere lives there too. */
static void test_open_over(void)
{
    g_autofree char *path = qcow2_fixture_path("image");
    BlockDriverState *file, *qcow2, *probed;
    Error *err = NULL;

    start_threads();
    g_assert_true(qcow2_fixture_create(path, "", 64 * MiB, &error_abort));
    file = open_node(json_pack("{s:s, s:s, s:s}", "driver", "file", "node-name", "file", "filename",
                               path));
    move(file, "t0");
    qcow2 = open_node(json_pack("{s:s, s:s}", "driver", "qcow2", "file", "file"));
    g_assert_true(bdrv_get_aio_context(qcow2) == context_of("t0"));
    g_assert_cmpint(bdrv_getlength(qcow2), ==, 64 * MiB);
    g_assert_null(bdrv_open(NULL, NULL, json_pack("{s:s, s:s}", "driver", "qcow2", "file", "file"),
                            BDRV_O_RDWR, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "Conflicts with use by node"));
    error_free(err);
    bdrv_unref(qcow2);
    probed = bdrv_open(NULL, NULL, json_pack("{s:s}", "file", "file"), 0, &error_abort);
    g_assert_cmpstr(bdrv_get_format_name(probed), ==, "qcow2");
    g_assert_true(bdrv_get_aio_context(probed) == context_of("t0"));
    bdrv_unref(probed);
    bdrv_unref(file);
    end_threads();
}

/* ---- the main thread and a node elsewhere ---- */

static void test_from_main_thread(void)
{
    uint8_t out[512], in[512];
    BlockDriverState *bs;
    BlockBackend *blk;

    memset(out, 0x5a, sizeof(out));
    start_threads();
    bs = open_qcow2("plain", "");
    blk = use_node(bs, BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE, true);
    move(bs, "t0");
    g_assert_cmpint(blk_pwrite(blk, MiB, sizeof(out), out, 0), ==, 0);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpint(blk_pread(blk, MiB, sizeof(in), in, 0), ==, 0);
    g_assert_cmpmem(in, sizeof(in), out, sizeof(out));
    g_assert_cmpint(blk_getlength(blk), ==, 64 * MiB);
    bdrv_drained_begin(bs);
    bdrv_drained_end(bs);
    bdrv_drain_all();
    blk_drain(blk);
    blk_unref(blk);
    g_assert_cmpint(bdrv_reopen(bs, NULL, 0, &error_abort), ==, 0);
    g_assert_true(bdrv_is_read_only(bs));
    bdrv_unref(bs);
    g_assert_null(bdrv_find_node("plain"));
    end_threads();
}

static int coroutine_fn use_abroad_entry(void *arg)
{
    BlockDriverState *bs = arg;
    Error *err = NULL;

    bdrv_ref(bs);
    g_assert_null(bdrv_root_attach_child(bs, "test", NULL, 0, BLK_PERM_ALL, &err));
    assert_error(err, "Node 'plain' cannot be used here while it is in iothread 't0'");
    return 0;
}

static void test_coroutine_abroad(void)
{
    BlockDriverState *bs;

    start_threads();
    bs = open_qcow2("plain", "");
    move(bs, "t0");
    bdrv_run_co(qemu_get_aio_context(), use_abroad_entry, bs);
    bdrv_unref(bs);
    end_threads();
}

/* ---- refusals ---- */

static void assert_stays(BlockDriverState *bs, const char *id, const char *reason)
{
    AioContext *before = bdrv_get_aio_context(bs);
    Error *err = NULL;

    g_assert_cmpint(bdrv_try_change_aio_context(bs, context_of(id), &err), <, 0);
    assert_error(err, reason);
    g_assert_true(bdrv_get_aio_context(bs) == before);
}

static void test_users_that_stay(void)
{
    BlockDriverState *file, *a, *b;
    BlockBackend *user;
    Error *err = NULL;

    start_threads();
    file = open_file("file");
    a = open_raw_over("a", "file");
    b = open_raw_over("b", "file");
    user = use_node(a, BLK_PERM_CONSISTENT_READ, false);
    assert_stays(b, "t0", "Cannot move node 'b' from the main thread to iothread 't0': "
                          "node 'a' is used by a block backend, which stays where it is");
    blk_set_allow_aio_context_change(user, true);
    move(b, "t0");
    blk_set_allow_aio_context_change(user, false);
    blk_set_user(user, "export 'e'");
    assert_stays(file, "t1", "Cannot move node 'file' from iothread 't0' to iothread 't1': "
                             "node 'a' is used by export 'e', which stays where it is");
    g_assert_false(iothread_delete("t0", &err));
    assert_error(err, "iothread 't0' is in use: node 'file' lives in it");
    g_assert_true(iothread_is_in_use(iothread_find("t0")));
    blk_unref(user);
    bdrv_unref(a);
    bdrv_unref(b);
    bdrv_unref(file);
    g_assert_false(iothread_is_in_use(iothread_find("t0")));
    end_threads();
}

static BlockDriverState *open_file_with_engine(const char *engine)
{
    g_autofree char *path = qcow2_fixture_path("file");
    json_t *options = json_pack("{s:s, s:s, s:s}", "driver", "file", "node-name", "file",
                                "filename", path);

    if (engine) {
        json_object_set_new(options, "aio", json_string(engine));
    }
    return open_node(options);
}

/* A thread without io_uring takes a node that may use anything, but not one that insists. */
static void test_engines(void)
{
    BlockDriverState *bs = open_file("file");
    uint8_t buf[512];
    BlockBackend *blk;

    bdrv_unref(bs);
    if (!aio_context_has_io_uring(qemu_get_aio_context())) {
        g_test_skip("the main thread has no io_uring");
        return;
    }
    g_setenv("AIO_BACKEND", "epoll", true);
    g_assert_nonnull(iothread_new("t0", &error_abort));
    g_unsetenv("AIO_BACKEND");
    bs = open_file_with_engine("io_uring");
    assert_stays(bs, "t0", "Cannot move node 'file' from the main thread to iothread 't0': "
                           "aio=io_uring needs an event loop on io_uring, which the kernel or its "
                           "configuration does not allow here");
    bdrv_unref(bs);
    bs = open_file_with_engine(NULL);
    blk = use_node(bs, BLK_PERM_CONSISTENT_READ, true);
    for (unsigned int i = 0; i < 4; i++) {
        move(bs, i % 2 ? NULL : "t0");
        g_assert_cmpint(blk_pread(blk, 0, sizeof(buf), buf, 0), ==, 0);
    }
    blk_unref(blk);
    bdrv_unref(bs);
    g_assert_true(iothread_delete("t0", &error_abort));
}

/* ---- exports ---- */

static unsigned int nr_deleted;
static pid_t main_thread;

static void count_deleted(json_t *event, void *opaque)
{
    g_assert_cmpint(gettid(), ==, main_thread);
    g_assert_cmpstr(json_string_value(json_object_get(event, "event")), ==, "BLOCK_EXPORT_DELETED");
    nr_deleted++;
}

static bool add_export(const char *id, const char *node, const char *extra, Error **errp)
{
    g_autofree char *socket = qcow2_fixture_path(id);
    g_autofree char *json = g_strdup_printf(
        "{\"type\": \"vhost-user-blk\", \"id\": \"%s\", \"node-name\": \"%s\", %s"
        "\"addr\": {\"type\": \"unix\", \"path\": \"%s\"}}", id, node, extra, socket);
    json_t *tree = json_loads(json, 0, NULL);
    g_autoptr(BlockExportOptions) options = qapi_BlockExportOptions_from_json(tree, &error_abort);

    json_decref(tree);
    return blk_exp_add(options, errp);
}

static void assert_export_refused(const char *id, const char *node, const char *extra,
                                  const char *reason)
{
    AioContext *before = bdrv_get_aio_context(bdrv_find_node(node));
    Error *err = NULL;

    g_assert_false(add_export(id, node, extra, &err));
    assert_error(err, reason);
    g_assert_true(bdrv_get_aio_context(bdrv_find_node(node)) == before);
}

static void end_export(const char *id)
{
    qmp_block_export_del(id, false, 0, &error_abort);
    AIO_WAIT_WHILE(qemu_get_aio_context(), blk_exp_find(id));
}

static void test_export_moves(void)
{
    BlockDriverState *bs;
    Error *err = NULL;

    start_threads();
    bs = open_qcow2("disk", "");
    assert_export_refused("e", "disk", "\"iothread\": \"t7\", ", "There is no iothread 't7'");
    g_assert_true(add_export("e", "disk", "\"iothread\": \"t0\", \"fixed-iothread\": true, ",
                             &error_abort));
    g_assert_true(bdrv_get_aio_context(bs) == context_of("t0"));
    g_assert_true(blk_get_aio_context(blk_exp_find("e")->blk) == context_of("t0"));
    assert_export_refused("f", "disk", "\"iothread\": \"t1\", ",
                          "Cannot move node 'disk' from iothread 't0' to iothread 't1': "
                          "node 'disk' is used by export 'e', which stays where it is");
    g_assert_true(add_export("f", "disk", "\"iothread\": \"t0\", ", &error_abort));
    g_assert_true(add_export("g", "disk", "", &error_abort));
    g_assert_true(blk_get_aio_context(blk_exp_find("g")->blk) == context_of("t0"));
    assert_stays(bs, NULL, "Cannot move node 'disk' from iothread 't0' to the main thread: "
                           "node 'disk' is used by export 'g', which stays where it is");
    end_export("e");
    end_export("g");
    g_assert_true(bdrv_get_aio_context(bs) == context_of("t0"));
    g_assert_false(iothread_delete("t0", &err));
    error_free(err);
    end_export("f");
    g_assert_true(bdrv_get_aio_context(bs) == qemu_get_aio_context());
    /* and an export that cannot be made leaves its node where it was */
    assert_export_refused("e", "disk", "\"iothread\": \"t1\", \"logical-block-size\": 1000, ",
                          "logical-block-size must be a power of two from 512 to 65536, got 1000");
    bdrv_unref(bs);
    end_threads();
}

/* The last reference to a node goes with its export. */
static void test_export_holds_node(void)
{
    BlockDriverState *bs;

    start_threads();
    bs = open_qcow2("disk", "zone.mode=host-managed,zone.size=1M");
    g_assert_true(add_export("e", "disk", "\"writable\": true, \"iothread\": \"t0\", ",
                             &error_abort));
    bdrv_unref(bs);
    g_assert_nonnull(bdrv_find_node("disk"));
    end_export("e");
    g_assert_null(bdrv_find_node("disk"));
    end_threads();
}

static void test_close_all(void)
{
    BlockDriverState *nodes[3];

    start_threads();
    nr_deleted = 0;
    nodes[0] = open_qcow2("disk0", "");
    nodes[1] = open_qcow2("disk1", "");
    nodes[2] = open_qcow2("disk2", "");
    g_assert_true(add_export("e0", "disk0", "\"iothread\": \"t0\", ", &error_abort));
    g_assert_true(add_export("e1", "disk1", "\"iothread\": \"t1\", ", &error_abort));
    g_assert_true(add_export("f1", "disk1", "", &error_abort));
    g_assert_true(add_export("e2", "disk2", "", &error_abort));
    blk_exp_close_all();
    g_assert_null(blk_exp_next(NULL));
    g_assert_cmpuint(nr_deleted, ==, 4);
    for (unsigned int i = 0; i < 3; i++) {
        g_assert_true(bdrv_get_aio_context(nodes[i]) == qemu_get_aio_context());
        bdrv_unref(nodes[i]);
    }
    end_threads();
}

static void test_sharing(void)
{
    static const char writable[] = "\"writable\": true, ";
    BlockDriverState *bs = open_qcow2("disk", "");

    g_assert_true(add_export("r0", "disk", "", &error_abort));
    g_assert_true(add_export("r1", "disk", "", &error_abort));
    assert_export_refused("w", "disk", writable,
                          "Cannot export node 'disk' as writable: Conflicts with use by "
                          "export 'r1' as 'root', which does not allow 'write' on disk");
    end_export("r0");
    end_export("r1");
    g_assert_true(add_export("w", "disk", writable, &error_abort));
    assert_export_refused("r0", "disk", "",
                          "Cannot export node 'disk' as read-only: Conflicts with use by "
                          "export 'w' as 'root', which uses 'write' on disk");
    assert_export_refused("v", "disk", writable,
                          "Cannot export node 'disk' as writable: Conflicts with use by "
                          "export 'w' as 'root', which does not allow 'write' on disk");
    end_export("w");
    g_assert_true(add_export("r0", "disk", "", &error_abort));
    end_export("r0");
    g_assert_cmpint(bdrv_reopen(bs, NULL, 0, &error_abort), ==, 0);
    assert_export_refused("w", "disk", writable, "Cannot export read-only node as writable");
    g_assert_true(add_export("r0", "disk", "", &error_abort));
    end_export("r0");
    bdrv_unref(bs);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qcow2_fixture_init();
    main_thread = gettid();
    qapi_event_set_handler(count_deleted, NULL);
    g_test_add_func("/iothread/run-in/waits-for-the-other-thread", test_run_in);
    g_test_add_func("/iothread/life", test_life);
    g_test_add_func("/iothread/what-was-given-is-done-before-the-end", test_short_lives);
    g_test_add_func("/iothread/no-loop-no-thread", test_no_loop);
    g_test_add_func("/iothread/move/plain-image-under-load", test_move_plain);
    g_test_add_func("/iothread/move/zoned-image-under-load", test_move_zoned);
    g_test_add_func("/iothread/move/null-devices-under-load", test_move_null);
    g_test_add_func("/iothread/move/callbacks-come-where-the-node-is", test_callbacks);
    g_test_add_func("/iothread/move/two-nodes-in-two-threads", test_two_at_once);
    g_test_add_func("/iothread/move/connected-nodes-stay-together", test_component);
    g_test_add_func("/iothread/open/in-the-thread-of-the-file", test_open_over);
    g_test_add_func("/iothread/main-thread/waits-for-requests-elsewhere", test_from_main_thread);
    g_test_add_func("/iothread/main-thread/coroutines-keep-to-their-thread", test_coroutine_abroad);
    g_test_add_func("/iothread/refused/a-user-stays", test_users_that_stay);
    g_test_add_func("/iothread/refused/no-such-engine-there", test_engines);
    g_test_add_func("/iothread/export/takes-its-node-along-and-back", test_export_moves);
    g_test_add_func("/iothread/export/is-the-last-to-hold-its-node", test_export_holds_node);
    g_test_add_func("/iothread/export/all-end-in-all-threads", test_close_all);
    g_test_add_func("/iothread/export/many-readers-or-one-writer", test_sharing);
    ret = g_test_run();
    qcow2_fixture_done();
    return ret;
}
