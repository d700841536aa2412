/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: turns, bottom halves, timers, descriptors, coroutines between threads, and file
 * I/O.
 *
 * Every test runs on both kinds of loop, under /io_uring and /epoll.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "block/aio.h"
#include "qapi/error.h"

#define MILLISECOND INT64_C(1000000)

typedef struct Fixture {
    AioContext *ctx;
    GString *story; /* who did what when */
} Fixture;

static Fixture *current; /* of the test that runs, for callbacks that need the context too */

static AioContext *context_of_kind(const char *kind)
{
    AioContext *ctx;

    g_setenv("AIO_BACKEND", kind, true);
    ctx = aio_context_new(NULL);
    g_unsetenv("AIO_BACKEND");
    return ctx;
}

static void set_up(Fixture *f, gconstpointer kind)
{
    f->ctx = context_of_kind(kind);
    f->story = g_string_new(NULL);
    current = f;
    if (!f->ctx) {
        g_assert_cmpstr(kind, ==, "io_uring");
    } else {
        g_assert_cmpint(aio_context_has_io_uring(f->ctx), ==, g_str_equal(kind, "io_uring"));
    }
}

static void tear_down(Fixture *f, gconstpointer kind)
{
    aio_context_unref(f->ctx);
    g_string_free(f->story, true);
    g_assert_null(qemu_get_current_aio_context());
}

static void story_must_be(Fixture *f, const char *expected)
{
    g_assert_cmpstr(f->story->str, ==, expected);
    g_string_truncate(f->story, 0);
}

static void run_in_coroutine(Fixture *f, CoroutineEntry *entry, void *opaque)
{
    aio_co_enter(f->ctx, qemu_coroutine_create(entry, opaque));
}

/* ---- turns ---- */

static void test_new_context_is_current(Fixture *f, gconstpointer kind)
{
    g_assert_true(qemu_get_current_aio_context() == f->ctx);
    g_assert_false(aio_poll(f->ctx, false));
}

static void test_unknown_backend_is_refused(Fixture *f, gconstpointer kind)
{
    Error *err = NULL;

    g_setenv("AIO_BACKEND", "kqueue", true);
    g_assert_null(aio_context_new(&err));
    g_unsetenv("AIO_BACKEND");
    g_assert_nonnull(strstr(error_get_pretty(err), "kqueue"));
    error_free(err);
}

typedef struct Notifier {
    AioContext *ctx;
    bool has_news; /* atomic */
} Notifier;

static void *notify_later(void *opaque)
{
    Notifier *notifier = opaque;

    g_usleep(20000);
    __atomic_store_n(&notifier->has_news, true, __ATOMIC_SEQ_CST);
    aio_notify(notifier->ctx);
    return NULL;
}

static void test_notify_ends_a_blocking_poll(Fixture *f, gconstpointer kind)
{
    Notifier notifier = {.ctx = f->ctx};
    GThread *thread = g_thread_new("notifier", notify_later, &notifier);

    AIO_WAIT_WHILE(f->ctx, !__atomic_load_n(&notifier.has_news, __ATOMIC_SEQ_CST));
    g_thread_join(thread);
}

static void test_an_early_notify_is_not_lost(Fixture *f, gconstpointer kind)
{
    aio_notify(f->ctx);
    g_assert_false(aio_poll(f->ctx, true));
}

/* ---- bottom halves ---- */

static void note(void *opaque)
{
    g_string_append(current->story, opaque);
}

static void test_bottom_halves_run_once_and_in_order(Fixture *f, gconstpointer kind)
{
    QEMUBH *a = aio_bh_new(f->ctx, note, (void *)"a");
    QEMUBH *b = aio_bh_new(f->ctx, note, (void *)"b");

    qemu_bh_schedule(b);
    qemu_bh_schedule(a);
    qemu_bh_schedule(b);
    aio_bh_schedule_oneshot(f->ctx, note, (void *)"c");
    story_must_be(f, "");
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "bac");
    g_assert_false(aio_poll(f->ctx, false));
    story_must_be(f, "");
    qemu_bh_delete(a);
    qemu_bh_delete(b);
}

static void test_a_cancelled_or_deleted_bottom_half_does_not_run(Fixture *f, gconstpointer kind)
{
    QEMUBH *a = aio_bh_new(f->ctx, note, (void *)"a");
    QEMUBH *b = aio_bh_new(f->ctx, note, (void *)"b");

    qemu_bh_schedule(a);
    qemu_bh_schedule(b);
    qemu_bh_cancel(a);
    qemu_bh_delete(b);
    g_assert_false(aio_poll(f->ctx, false));
    qemu_bh_schedule(a);
    g_assert_true(aio_poll(f->ctx, false));
    story_must_be(f, "a");
    qemu_bh_delete(a);
}

typedef struct Repeater {
    QEMUBH *bh;
    int nr_left;
} Repeater;

static void repeat_then_delete(void *opaque)
{
    Repeater *repeater = opaque;

    g_string_append(current->story, "x");
    if (--repeater->nr_left) {
        qemu_bh_schedule(repeater->bh);
    } else {
        qemu_bh_delete(repeater->bh);
    }
}

static void test_a_bottom_half_that_schedules_itself_runs_once_a_turn(Fixture *f,
                                                                      gconstpointer kind)
{
    Repeater repeater = {.nr_left = 3};

    repeater.bh = aio_bh_new(f->ctx, repeat_then_delete, &repeater);
    qemu_bh_schedule(repeater.bh);
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "x");
    g_assert_true(aio_poll(f->ctx, true));
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "xx");
    g_assert_false(aio_poll(f->ctx, false));
}

static void poll_inside(void *opaque)
{
    note((void *)"(");
    while (!strchr(current->story->str, 'b')) {
        aio_poll(current->ctx, true);
    }
    note((void *)")");
}

static void test_a_nested_loop_runs_the_rest_of_the_turn(Fixture *f, gconstpointer kind)
{
    aio_bh_schedule_oneshot(f->ctx, note, (void *)"a");
    aio_bh_schedule_oneshot(f->ctx, poll_inside, NULL);
    aio_bh_schedule_oneshot(f->ctx, note, (void *)"b");
    aio_bh_schedule_oneshot(f->ctx, note, (void *)"c");
    aio_poll(f->ctx, true);
    story_must_be(f, "a(bc)");
}

enum { NR_PRODUCERS = 4, NR_ITEMS = 20000 };

typedef struct Producer {
    AioContext *ctx;
    QEMUBH *shared_bh;
    unsigned int *nr_run; /* in the context's thread */
} Producer;

static void count_run(void *opaque)
{
    ++*(unsigned int *)opaque;
}

static void *produce(void *opaque)
{
    Producer *producer = opaque;

    for (int i = 0; i < NR_ITEMS; i++) {
        aio_bh_schedule_oneshot(producer->ctx, count_run, producer->nr_run);
        qemu_bh_schedule(producer->shared_bh);
        if (i % 512 == 0) {
            g_usleep(100);
        }
    }
    return NULL;
}

static void test_no_bottom_half_of_another_thread_is_lost(Fixture *f, gconstpointer kind)
{
    unsigned int nr_run = 0, nr_shared_run = 0;
    QEMUBH *shared_bh = aio_bh_new(f->ctx, count_run, &nr_shared_run);
    Producer producer = {f->ctx, shared_bh, &nr_run};
    GThread *threads[NR_PRODUCERS];

    for (int i = 0; i < NR_PRODUCERS; i++) {
        threads[i] = g_thread_new("producer", produce, &producer);
    }
    AIO_WAIT_WHILE(f->ctx, nr_run < NR_PRODUCERS * NR_ITEMS);
    for (int i = 0; i < NR_PRODUCERS; i++) {
        g_thread_join(threads[i]);
    }
    nr_shared_run = 0;
    qemu_bh_schedule(shared_bh);
    while (aio_poll(f->ctx, false)) {
        /* what is left */
    }
    g_assert_cmpuint(nr_shared_run, >=, 1);
    g_assert_cmpuint(nr_run, ==, NR_PRODUCERS * NR_ITEMS);
    qemu_bh_delete(shared_bh);
}

/* ---- timers ---- */

static void test_timers_fire_in_the_order_of_time(Fixture *f, gconstpointer kind)
{
    static const struct {
        const char *name;
        int delay_ms;
    } plan[] = {{"e", 9}, {"b", 3}, {"a", 1}, {"d", 7}, {"c", 5}, {"x", 4}};
    QEMUTimer *timers[ARRAY_SIZE(plan)];
    int64_t start = qemu_clock_get_ns();

    for (unsigned int i = 0; i < ARRAY_SIZE(plan); i++) {
        timers[i] = aio_timer_new(f->ctx, note, (void *)plan[i].name);
        timer_mod_ns(timers[i], start + plan[i].delay_ms * MILLISECOND);
    }
    timer_del(timers[5]);
    g_assert_false(timer_pending(timers[5]));
    g_assert_true(timer_pending(timers[0]));
    timer_mod_ns(timers[1], start + 8 * MILLISECOND);
    while (f->story->len < 5) {
        aio_poll(f->ctx, true);
    }
    story_must_be(f, "acdbe");
    g_assert_cmpint(qemu_clock_get_ns() - start, >=, 9 * MILLISECOND);
    g_assert_cmpint(qemu_clock_get_ns() - start, <, 2000 * MILLISECOND);
    for (unsigned int i = 0; i < ARRAY_SIZE(plan); i++) {
        g_assert_false(timer_pending(timers[i]));
        timer_free(timers[i]);
    }
}

static void test_timers_of_the_same_time_fire_in_the_order_of_arming(Fixture *f, gconstpointer kind)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    QEMUTimer *timers[ARRAY_SIZE(names)];
    int64_t when = qemu_clock_get_ns();

    for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
        timers[i] = aio_timer_new(f->ctx, note, (void *)names[i]);
        timer_mod_ns(timers[i], when);
    }
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "abcdefg");
    for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
        timer_free(timers[i]);
    }
}

typedef struct SortedTimer {
    QEMUTimer *timer;
    int64_t expire_ns;
    int64_t *last_ns;
    unsigned int *nr_fired;
} SortedTimer;

static void fire_sorted(void *opaque)
{
    SortedTimer *sorted = opaque;

    g_assert_cmpint(sorted->expire_ns, >=, *sorted->last_ns);
    *sorted->last_ns = sorted->expire_ns;
    ++*sorted->nr_fired;
}

static void test_a_thousand_timers_armed_moved_and_deleted_stay_sorted(Fixture *f,
                                                                       gconstpointer kind)
{
    enum { NR_TIMERS = 1000 };
    g_autofree SortedTimer *all = g_new0(SortedTimer, NR_TIMERS);
    int64_t start = qemu_clock_get_ns(), last_ns = 0;
    unsigned int nr_fired = 0, nr_expected = 0;

    for (int i = 0; i < NR_TIMERS; i++) {
        all[i].last_ns = &last_ns;
        all[i].nr_fired = &nr_fired;
        all[i].timer = aio_timer_new(f->ctx, fire_sorted, &all[i]);
    }
    for (int i = 0; i < 5 * NR_TIMERS; i++) {
        SortedTimer *sorted = &all[g_test_rand_int_range(0, NR_TIMERS)];

        if (g_test_rand_int_range(0, 4) == 0) {
            timer_del(sorted->timer);
        } else {
            sorted->expire_ns = start + g_test_rand_int_range(1, 20 * MILLISECOND);
            timer_mod_ns(sorted->timer, sorted->expire_ns);
        }
    }
    for (int i = 0; i < NR_TIMERS; i++) {
        nr_expected += timer_pending(all[i].timer);
    }
    AIO_WAIT_WHILE(f->ctx, nr_fired < nr_expected);
    while (qemu_clock_get_ns() < start + 21 * MILLISECOND) {
        aio_poll(f->ctx, false);
    }
    g_assert_cmpuint(nr_fired, ==, nr_expected);
    for (int i = 0; i < NR_TIMERS; i++) {
        timer_free(all[i].timer);
    }
}

/* @opaque: a letter, and the later in the alphabet the longer. */
static void coroutine_fn sleep_and_note(void *opaque)
{
    const char *name = opaque;
    int64_t nap_ns = (name[0] - 'a' + 1) * 2 * MILLISECOND;
    int64_t start = qemu_clock_get_ns();

    qemu_co_sleep_ns(nap_ns);
    g_assert_cmpint(qemu_clock_get_ns(), >=, start + nap_ns);
    note(opaque);
}

static void test_coroutines_sleep_as_long_as_they_want(Fixture *f, gconstpointer kind)
{
    run_in_coroutine(f, sleep_and_note, (void *)"c");
    run_in_coroutine(f, sleep_and_note, (void *)"a");
    run_in_coroutine(f, sleep_and_note, (void *)"b");
    story_must_be(f, "");
    AIO_WAIT_WHILE(f->ctx, f->story->len < 3);
}

/* ---- descriptors ---- */

typedef struct Channel {
    int fds[2]; /* two ends of a socket pair */
    int nr_bytes_to_read;
} Channel;

static void channel_open(Channel *channel)
{
    *channel = (Channel){.nr_bytes_to_read = 1};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, channel->fds), ==, 0);
}

static void channel_close(Channel *channel)
{
    close(channel->fds[0]);
    close(channel->fds[1]);
}

static void read_one_byte(void *opaque)
{
    Channel *channel = opaque;
    char byte[2] = "";

    g_assert_cmpint(read(channel->fds[0], byte, 1), ==, 1);
    g_string_append(current->story, byte);
}

static void note_writable_once(void *opaque)
{
    Channel *channel = opaque;

    g_string_append(current->story, "w");
    aio_set_fd_handler(current->ctx, channel->fds[0], read_one_byte, NULL, channel);
}

static void test_a_descriptor_is_reported_while_it_is_readable(Fixture *f, gconstpointer kind)
{
    Channel channel;

    channel_open(&channel);
    aio_set_fd_handler(f->ctx, channel.fds[0], read_one_byte, NULL, &channel);
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_cmpint(write(channel.fds[1], "abc", 3), ==, 3);
    while (f->story->len < 3) {
        g_assert_true(aio_poll(f->ctx, true));
    }
    story_must_be(f, "abc");
    g_assert_false(aio_poll(f->ctx, false));
    g_assert_false(aio_poll(f->ctx, false));
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    channel_close(&channel);
}

static void test_a_removed_handler_is_not_called(Fixture *f, gconstpointer kind)
{
    Channel channel;

    channel_open(&channel);
    aio_set_fd_handler(f->ctx, channel.fds[0], read_one_byte, NULL, &channel);
    aio_poll(f->ctx, false);
    g_assert_cmpint(write(channel.fds[1], "a", 1), ==, 1);
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    aio_poll(f->ctx, false);
    aio_poll(f->ctx, false);
    story_must_be(f, "");
    /* the same number again */
    aio_set_fd_handler(f->ctx, channel.fds[0], read_one_byte, NULL, &channel);
    AIO_WAIT_WHILE(f->ctx, f->story->len == 0);
    story_must_be(f, "a");
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    channel_close(&channel);
}

static void test_a_handler_can_change_itself(Fixture *f, gconstpointer kind)
{
    Channel channel;

    channel_open(&channel);
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, note_writable_once, &channel);
    AIO_WAIT_WHILE(f->ctx, f->story->len == 0);
    aio_poll(f->ctx, false);
    g_assert_cmpint(write(channel.fds[1], "a", 1), ==, 1);
    AIO_WAIT_WHILE(f->ctx, f->story->len < 2);
    story_must_be(f, "wa");
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    channel_close(&channel);
}

static void note_hang_up_and_remove(void *opaque)
{
    Channel *channel = opaque;
    char byte;

    g_assert_cmpint(read(channel->fds[0], &byte, 1), ==, 0);
    note((void *)"end");
    aio_set_fd_handler(current->ctx, channel->fds[0], NULL, NULL, NULL);
}

static void test_a_hang_up_is_reported_as_readable(Fixture *f, gconstpointer kind)
{
    Channel channel;

    channel_open(&channel);
    aio_set_fd_handler(f->ctx, channel.fds[0], note_hang_up_and_remove, NULL, &channel);
    aio_poll(f->ctx, false);
    shutdown(channel.fds[1], SHUT_RDWR);
    AIO_WAIT_WHILE(f->ctx, f->story->len == 0);
    story_must_be(f, "end");
    g_assert_false(aio_poll(f->ctx, false));
    channel_close(&channel);
}

static void test_removing_a_handler_lets_close_close(Fixture *f, gconstpointer kind)
{
    Channel channel;
    char byte;

    channel_open(&channel);
    aio_set_fd_handler(f->ctx, channel.fds[0], read_one_byte, NULL, &channel);
    aio_poll(f->ctx, false);
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    close(channel.fds[0]);
    /* the other end sees it, without another turn of the loop */
    g_assert_cmpint(read(channel.fds[1], &byte, 1), ==, 0);
    close(channel.fds[1]);
}

static void read_with_nested_loop(void *opaque)
{
    note((void *)"(");
    aio_poll(current->ctx, false);
    aio_poll(current->ctx, false);
    read_one_byte(opaque);
    note((void *)")");
}

static void test_a_handler_is_not_called_again_by_its_nested_loop(Fixture *f, gconstpointer kind)
{
    Channel channel;

    channel_open(&channel);
    aio_set_fd_handler(f->ctx, channel.fds[0], read_with_nested_loop, NULL, &channel);
    g_assert_cmpint(write(channel.fds[1], "ab", 2), ==, 2);
    AIO_WAIT_WHILE(f->ctx, f->story->len < 6);
    story_must_be(f, "(a)(b)");
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    channel_close(&channel);
}

static void coroutine_fn wait_and_read(void *opaque)
{
    Channel *channel = opaque;

    qemu_co_wait_fd(channel->fds[0], true);
    note((void *)"w");
    for (int i = 0; i < 2; i++) {
        qemu_co_wait_fd(channel->fds[0], false);
        read_one_byte(channel);
    }
}

static void test_a_coroutine_waits_for_a_descriptor(Fixture *f, gconstpointer kind)
{
    Channel channel;

    channel_open(&channel);
    run_in_coroutine(f, wait_and_read, &channel);
    AIO_WAIT_WHILE(f->ctx, f->story->len == 0);
    aio_poll(f->ctx, false);
    story_must_be(f, "w");
    g_assert_cmpint(write(channel.fds[1], "ab", 2), ==, 2);
    AIO_WAIT_WHILE(f->ctx, f->story->len < 2);
    story_must_be(f, "ab");
    channel_close(&channel);
}

static void test_a_regular_file_is_always_readable(Fixture *f, gconstpointer kind)
{
    Channel channel = {.fds = {-1, -1}};
    g_autofree char *path = NULL;

    channel.fds[0] = g_file_open_tmp("test-aio-XXXXXX", &path, NULL);
    g_assert_cmpint(pwrite(channel.fds[0], "ab", 2, 0), ==, 2);
    aio_set_fd_handler(f->ctx, channel.fds[0], read_one_byte, NULL, &channel);
    AIO_WAIT_WHILE(f->ctx, f->story->len < 2);
    aio_set_fd_handler(f->ctx, channel.fds[0], NULL, NULL, NULL);
    story_must_be(f, "ab");
    g_assert_false(aio_poll(f->ctx, false));
    close(channel.fds[0]);
    unlink(path);
}

/* ---- coroutines ---- */

static void coroutine_fn schedule_itself_and_note(void *opaque)
{
    for (int i = 0; i < 3; i++) {
        aio_co_schedule(qemu_get_current_aio_context(), qemu_coroutine_self());
        qemu_coroutine_yield();
        note(opaque);
    }
}

static void test_a_scheduled_coroutine_runs_once_a_turn(Fixture *f, gconstpointer kind)
{
    run_in_coroutine(f, schedule_itself_and_note, (void *)"a");
    run_in_coroutine(f, schedule_itself_and_note, (void *)"b");
    story_must_be(f, "");
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "ab");
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "ab");
    g_assert_true(aio_poll(f->ctx, true));
    story_must_be(f, "ab");
    g_assert_false(aio_poll(f->ctx, false));
}

static void coroutine_fn enter_new_from_inside(void *opaque)
{
    aio_co_enter(current->ctx, qemu_coroutine_create(sleep_and_note, (void *)"b"));
    aio_co_wake(qemu_coroutine_self());
    note((void *)"1");
    qemu_coroutine_yield();
    note((void *)"2");
}

static void test_a_coroutine_may_be_woken_before_it_yields(Fixture *f, gconstpointer kind)
{
    run_in_coroutine(f, enter_new_from_inside, NULL);
    story_must_be(f, "12");
    AIO_WAIT_WHILE(f->ctx, f->story->len == 0);
    story_must_be(f, "b");
}

typedef struct OtherThread {
    const char *kind;
    AioContext *ctx; /* atomic; set once it is there */
    bool is_stopping;
} OtherThread;

static void *run_other_thread(void *opaque)
{
    OtherThread *other = opaque;
    AioContext *ctx = context_of_kind(other->kind);

    __atomic_store_n(&other->ctx, ctx, __ATOMIC_SEQ_CST);
    AIO_WAIT_WHILE(ctx, !__atomic_load_n(&other->is_stopping, __ATOMIC_SEQ_CST));
    aio_context_unref(ctx);
    return NULL;
}

static GThread *start_other_thread(OtherThread *other, const char *kind)
{
    GThread *thread;

    *other = (OtherThread){.kind = kind};
    thread = g_thread_new("other", run_other_thread, other);
    while (!__atomic_load_n(&other->ctx, __ATOMIC_SEQ_CST)) {
        g_thread_yield();
    }
    return thread;
}

static void stop_other_thread(OtherThread *other, GThread *thread)
{
    __atomic_store_n(&other->is_stopping, true, __ATOMIC_SEQ_CST);
    aio_notify(other->ctx);
    g_thread_join(thread);
}

enum { NR_TRAVELLERS = 16, NR_JOURNEYS = 1000 };

typedef struct Travel {
    AioContext *home;
    AioContext *abroad;
    int nr_travelling;
} Travel;

static void coroutine_fn travel(void *opaque)
{
    Travel *self = opaque;

    for (int i = 0; i < NR_JOURNEYS; i++) {
        aio_co_reschedule_self(self->abroad);
        g_assert_true(qemu_get_current_aio_context() == self->abroad);
        aio_co_reschedule_self(self->home);
        g_assert_true(qemu_get_current_aio_context() == self->home);
    }
    self->nr_travelling--;
}

static void test_coroutines_move_between_threads(Fixture *f, gconstpointer kind)
{
    OtherThread other;
    GThread *thread = start_other_thread(&other, kind);
    Travel self = {f->ctx, other.ctx, NR_TRAVELLERS};

    for (int i = 0; i < NR_TRAVELLERS; i++) {
        run_in_coroutine(f, travel, &self);
    }
    AIO_WAIT_WHILE(f->ctx, self.nr_travelling > 0);
    stop_other_thread(&other, thread);
}

/* ---- file I/O ---- */

enum { NR_REQUESTS = 10000, DEPTH = 256, REQUEST_SIZE = 4096 };

typedef struct FileTest {
    AioEngine engine;
    int fd;
    char *path;
    int nr_running;
    int next_request;
    bool is_reading;
} FileTest;

/* In the current folder, because /tmp may be on a file system that has no O_DIRECT. */
static void file_test_open(FileTest *test, AioEngine engine)
{
    bool wants_direct = engine == AIO_ENGINE_NATIVE;

    *test = (FileTest){.engine = engine, .path = g_strdup("test-aio-XXXXXX")};
    test->fd = g_mkstemp_full(test->path, O_RDWR | O_CLOEXEC | (wants_direct ? O_DIRECT : 0), 0600);
    if (wants_direct && test->fd < 0) {
        memcpy(test->path, "test-aio-XXXXXX", sizeof("test-aio-XXXXXX"));
        test->fd = g_mkstemp_full(test->path, O_RDWR | O_CLOEXEC, 0600);
    }
    g_assert_cmpint(test->fd, >=, 0);
}

static void file_test_close(FileTest *test)
{
    close(test->fd);
    unlink(test->path);
    g_free(test->path);
}

static void file_test_run(Fixture *f, FileTest *test, CoroutineEntry *entry)
{
    test->nr_running++;
    run_in_coroutine(f, entry, test);
    AIO_WAIT_WHILE(f->ctx, test->nr_running > 0);
}

static const AioEngine engines[] = {AIO_ENGINE_THREADS, AIO_ENGINE_NATIVE, AIO_ENGINE_IO_URING};

/* Runs @entry to its end with a new file for every engine that the context has. */
static void with_every_engine(Fixture *f, CoroutineEntry *entry)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(engines); i++) {
        FileTest test;

        if (aio_engine_for_file(f->ctx, engines[i], true, NULL)) {
            file_test_open(&test, engines[i]);
            file_test_run(f, &test, entry);
            file_test_close(&test);
        }
    }
}

static void coroutine_fn read_over_the_end(void *opaque)
{
    FileTest *test = opaque;
    size_t len = 16 * KiB;
    char *buffer = NULL;
    QEMUIOVector qiov;

    g_assert_cmpint(posix_memalign((void **)&buffer, 4096, len), ==, 0);
    memset(buffer, 'x', len);
    qemu_iovec_init_buf(&qiov, buffer, 4 * KiB);
    g_assert_cmpint(aio_co_pwritev(test->engine, test->fd, 0, &qiov, false), ==, 0);
    g_assert_cmpint(ftruncate(test->fd, 1000), ==, 0);

    memset(buffer, 'y', len);
    qemu_iovec_init_buf(&qiov, buffer, len);
    g_assert_cmpint(aio_co_preadv(test->engine, test->fd, 0, &qiov), ==, 0);
    for (size_t i = 0; i < len; i++) {
        g_assert_cmpint(buffer[i], ==, i < 1000 ? 'x' : 0);
    }
    memset(buffer, 'y', len);
    g_assert_cmpint(aio_co_preadv(test->engine, test->fd, MiB, &qiov), ==, 0);
    for (size_t i = 0; i < len; i++) {
        g_assert_cmpint(buffer[i], ==, 0);
    }
    free(buffer);
    test->nr_running--;
}

static void test_a_read_over_the_end_is_filled_with_zeroes(Fixture *f, gconstpointer kind)
{
    with_every_engine(f, read_over_the_end);
}

static void coroutine_fn transfer_many_pieces(void *opaque)
{
    enum { NR_PIECES = 3000, PIECE = 512 };
    FileTest *test = opaque;
    size_t len = NR_PIECES * PIECE;
    uint8_t *written = NULL, *read_back = NULL;
    QEMUIOVector qiov;

    g_assert_cmpint(posix_memalign((void **)&written, 4096, len), ==, 0);
    g_assert_cmpint(posix_memalign((void **)&read_back, 4096, len), ==, 0);
    for (size_t i = 0; i < len; i++) {
        written[i] = i * 31 + i / PIECE;
    }
    memset(read_back, 0, len);

    qemu_iovec_init(&qiov, NR_PIECES);
    for (int i = 0; i < NR_PIECES; i++) {
        qemu_iovec_add(&qiov, written + i * PIECE, PIECE);
    }
    g_assert_cmpint(aio_co_pwritev(test->engine, test->fd, 0, &qiov, true), ==, 0);
    qemu_iovec_destroy(&qiov);

    qemu_iovec_init(&qiov, NR_PIECES);
    for (int i = 0; i < NR_PIECES; i++) {
        qemu_iovec_add(&qiov, read_back + i * PIECE, PIECE);
    }
    g_assert_cmpint(aio_co_preadv(test->engine, test->fd, 0, &qiov), ==, 0);
    qemu_iovec_destroy(&qiov);
    g_assert_cmpmem(written, len, read_back, len);
    free(written);
    free(read_back);
    test->nr_running--;
}

static void test_a_vector_longer_than_the_kernel_takes_is_split(Fixture *f, gconstpointer kind)
{
    with_every_engine(f, transfer_many_pieces);
}

static void coroutine_fn meet_errors(void *opaque)
{
    FileTest *test = opaque;
    char *buffer = NULL;
    QEMUIOVector qiov;

    g_assert_cmpint(posix_memalign((void **)&buffer, 4096, 4096), ==, 0);
    qemu_iovec_init_buf(&qiov, buffer, 4096);
    g_assert_cmpint(aio_co_preadv(test->engine, -1, 0, &qiov), ==, -EBADF);
    g_assert_cmpint(aio_co_pwritev(test->engine, -1, 0, &qiov, false), ==, -EBADF);
    g_assert_cmpint(aio_co_fdatasync(test->engine, -1), ==, -EBADF);
    g_assert_cmpint(aio_co_fallocate(test->engine, -1, 0, 0, 4096), ==, -EBADF);
    /* and the loop lives on */
    g_assert_cmpint(aio_co_pwritev(test->engine, test->fd, 0, &qiov, false), ==, 0);
    qemu_iovec_init_buf(&qiov, buffer, 0);
    g_assert_cmpint(aio_co_preadv(test->engine, test->fd, 0, &qiov), ==, 0);
    g_assert_cmpint(aio_co_pwritev(test->engine, test->fd, 0, &qiov, false), ==, 0);
    free(buffer);
    test->nr_running--;
}

static void test_errors_are_returned(Fixture *f, gconstpointer kind)
{
    with_every_engine(f, meet_errors);
}

static void coroutine_fn sync_and_allocate(void *opaque)
{
    FileTest *test = opaque;

    g_assert_cmpint(aio_co_fallocate(test->engine, test->fd, 0, 0, 64 * KiB), ==, 0);
    g_assert_cmpint(aio_co_fdatasync(test->engine, test->fd), ==, 0);
    g_assert_cmpint(lseek(test->fd, 0, SEEK_END), ==, 64 * KiB);
    test->nr_running--;
}

static void test_allocating_and_syncing(Fixture *f, gconstpointer kind)
{
    with_every_engine(f, sync_and_allocate);
}

static void fill(uint8_t *buffer, int request)
{
    for (int i = 0; i < REQUEST_SIZE; i++) {
        buffer[i] = request * 7 + i + (request >> 8);
    }
}

/* One of DEPTH at once, until all requests are done. */
static void coroutine_fn work_through_requests(void *opaque)
{
    FileTest *test = opaque;
    uint8_t expected[REQUEST_SIZE];
    uint8_t *buffer = NULL;

    g_assert_cmpint(posix_memalign((void **)&buffer, 4096, REQUEST_SIZE), ==, 0);
    while (test->next_request < NR_REQUESTS) {
        int request = test->next_request++;
        int64_t offset = (int64_t)request * REQUEST_SIZE;
        QEMUIOVector qiov;

        qemu_iovec_init_buf(&qiov, buffer, REQUEST_SIZE);
        if (test->is_reading) {
            memset(buffer, 0, REQUEST_SIZE);
            g_assert_cmpint(aio_co_preadv(test->engine, test->fd, offset, &qiov), ==, 0);
            fill(expected, request);
            g_assert_cmpmem(buffer, REQUEST_SIZE, expected, REQUEST_SIZE);
        } else {
            fill(buffer, request);
            g_assert_cmpint(aio_co_pwritev(test->engine, test->fd, offset, &qiov, false), ==, 0);
        }
    }
    free(buffer);
    test->nr_running--;
}

static void write_and_read_back(Fixture *f, AioEngine engine)
{
    FileTest test;

    g_assert_true(aio_engine_for_file(f->ctx, engine, true, NULL));
    file_test_open(&test, engine);
    for (int pass = 0; pass < 2; pass++) {
        test.is_reading = pass;
        test.next_request = 0;
        test.nr_running = DEPTH;
        for (int i = 0; i < DEPTH; i++) {
            run_in_coroutine(f, work_through_requests, &test);
        }
        AIO_WAIT_WHILE(f->ctx, test.nr_running > 0);
    }
    file_test_close(&test);
}

static void test_ten_thousand_requests_by_threads(Fixture *f, gconstpointer kind)
{
    write_and_read_back(f, AIO_ENGINE_THREADS);
}

static void test_ten_thousand_requests_by_native_aio(Fixture *f, gconstpointer kind)
{
    write_and_read_back(f, AIO_ENGINE_NATIVE);
}

static void test_ten_thousand_requests_by_io_uring(Fixture *f, gconstpointer kind)
{
    write_and_read_back(f, AIO_ENGINE_IO_URING);
}

static void test_engines_that_do_not_work_are_refused_with_a_reason(Fixture *f, gconstpointer kind)
{
    bool has_io_uring = aio_context_has_io_uring(f->ctx);
    Error *err = NULL;

    g_assert_false(aio_engine_for_file(f->ctx, AIO_ENGINE_NATIVE, false, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), "cache.direct=on"));
    error_free(err);
    err = NULL;
    g_assert_true(aio_engine_for_file(f->ctx, AIO_ENGINE_NATIVE, true, NULL));
    g_assert_true(aio_engine_for_file(f->ctx, AIO_ENGINE_THREADS, false, NULL));
    g_assert_cmpint(aio_engine_for_file(f->ctx, AIO_ENGINE_IO_URING, false, &err), ==,
                    has_io_uring);
    g_assert_cmpint(!err, ==, has_io_uring);
    error_free(err);
    g_assert_cmpint(aio_engine_default(f->ctx), ==,
                    has_io_uring ? AIO_ENGINE_IO_URING : AIO_ENGINE_THREADS);
}

/* ---- commands to drivers ---- */

#define NR_COMMANDS 1001 /* more than the ring takes at a time */

typedef struct Command {
    AioUringCmd cmd;
    uint64_t memory[4];
    bool is_zeroed;
    int res;
} Command;

static unsigned int nr_answered;

static void command_answered(AioUringCmd *cmd, int res)
{
    Command *command = container_of(cmd, Command, cmd);

    command->res = res;
    nr_answered++;
}

static void test_commands_are_answered_and_zero_memory_if_asked_to(Fixture *f, gconstpointer kind)
{
    g_autofree Command *commands = g_new0(Command, NR_COMMANDS);
    const uint8_t payload[AIO_URING_CMD_PAYLOAD_BYTES] = {0};
    int fd = memfd_create("a file without commands", MFD_CLOEXEC);

    nr_answered = 0;
    g_assert_cmpint(aio_uring_prepare_zeroing(f->ctx), ==, 0);
    for (unsigned int i = 0; i < NR_COMMANDS; i++) {
        Command *command = &commands[i];

        memset(command->memory, 0xaa, sizeof(command->memory));
        command->cmd.cb = command_answered;
        command->is_zeroed = i % 3 != 0;
        if (command->is_zeroed) {
            aio_uring_cmd_submit_then_zero(f->ctx, &command->cmd, fd, 1, payload, command->memory,
                                           3 * sizeof(uint64_t));
        } else {
            aio_uring_cmd_submit(f->ctx, &command->cmd, fd, 1, payload);
        }
    }
    AIO_WAIT_WHILE(f->ctx, nr_answered < NR_COMMANDS);
    for (unsigned int i = 0; i < NR_COMMANDS; i++) {
        uint64_t old = UINT64_C(0xaaaaaaaaaaaaaaaa);

        g_assert_cmpint(commands[i].res, ==, -EOPNOTSUPP);
        g_assert_cmpuint(commands[i].memory[0], ==, commands[i].is_zeroed ? 0 : old);
        g_assert_cmpuint(commands[i].memory[2], ==, commands[i].is_zeroed ? 0 : old);
        g_assert_cmpuint(commands[i].memory[3], ==, old);
    }
    close(fd);
}

/* ---- */

typedef void TestFunc(Fixture *f, gconstpointer kind);

static const struct {
    const char *promise;
    TestFunc *run;
    bool needs_io_uring; /* on that loop only */
} tests[] = {
    {"turn/a-new-context-is-current", test_new_context_is_current},
    {"turn/an-unknown-backend-is-refused", test_unknown_backend_is_refused},
    {"turn/notify-ends-a-blocking-poll", test_notify_ends_a_blocking_poll},
    {"turn/an-early-notify-is-not-lost", test_an_early_notify_is_not_lost},
    {"bh/run-once-and-in-order", test_bottom_halves_run_once_and_in_order},
    {"bh/cancelled-or-deleted-do-not-run", test_a_cancelled_or_deleted_bottom_half_does_not_run},
    {"bh/one-that-schedules-itself-runs-once-a-turn",
     test_a_bottom_half_that_schedules_itself_runs_once_a_turn},
    {"bh/a-nested-loop-runs-the-rest-of-the-turn", test_a_nested_loop_runs_the_rest_of_the_turn},
    {"bh/none-of-another-thread-is-lost", test_no_bottom_half_of_another_thread_is_lost},
    {"timer/fire-in-the-order-of-time", test_timers_fire_in_the_order_of_time},
    {"timer/of-the-same-time-fire-in-the-order-of-arming",
     test_timers_of_the_same_time_fire_in_the_order_of_arming},
    {"timer/a-thousand-stay-sorted", test_a_thousand_timers_armed_moved_and_deleted_stay_sorted},
    {"timer/coroutines-sleep-as-long-as-they-want", test_coroutines_sleep_as_long_as_they_want},
    {"fd/is-reported-while-it-is-readable", test_a_descriptor_is_reported_while_it_is_readable},
    {"fd/a-removed-handler-is-not-called", test_a_removed_handler_is_not_called},
    {"fd/a-handler-can-change-itself", test_a_handler_can_change_itself},
    {"fd/a-hang-up-is-reported-as-readable", test_a_hang_up_is_reported_as_readable},
    {"fd/removing-a-handler-lets-close-close", test_removing_a_handler_lets_close_close},
    {"fd/a-handler-is-not-called-again-by-its-nested-loop",
     test_a_handler_is_not_called_again_by_its_nested_loop},
    {"fd/a-coroutine-waits-for-it", test_a_coroutine_waits_for_a_descriptor},
    {"fd/a-regular-file-is-always-readable", test_a_regular_file_is_always_readable},
    {"co/a-scheduled-one-runs-once-a-turn", test_a_scheduled_coroutine_runs_once_a_turn},
    {"co/may-be-woken-before-it-yields", test_a_coroutine_may_be_woken_before_it_yields},
    {"co/move-between-threads", test_coroutines_move_between_threads},
    {"file/a-read-over-the-end-is-filled-with-zeroes",
     test_a_read_over_the_end_is_filled_with_zeroes},
    {"file/a-vector-longer-than-the-kernel-takes-is-split",
     test_a_vector_longer_than_the_kernel_takes_is_split},
    {"file/errors-are-returned", test_errors_are_returned},
    {"file/allocating-and-syncing", test_allocating_and_syncing},
    {"file/engines-that-do-not-work-are-refused-with-a-reason",
     test_engines_that_do_not_work_are_refused_with_a_reason},
    {"file/ten-thousand-requests-by-threads", test_ten_thousand_requests_by_threads},
    {"file/ten-thousand-requests-by-native-aio", test_ten_thousand_requests_by_native_aio},
    {"file/ten-thousand-requests-by-io_uring", test_ten_thousand_requests_by_io_uring, true},
    {"cmd/are-answered-and-zero-memory-if-asked-to",
     test_commands_are_answered_and_zero_memory_if_asked_to, true},
};

static void skip_for_want_of_io_uring(void)
{
    g_test_skip("the kernel or its configuration does not allow io_uring here");
}

static bool can_have(const char *kind)
{
    AioContext *ctx = context_of_kind(kind);

    aio_context_unref(ctx);
    return ctx;
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"io_uring", "epoll"};

    g_test_init(&argc, &argv, NULL);
    for (unsigned int k = 0; k < ARRAY_SIZE(kinds); k++) {
        if (!can_have(kinds[k])) {
            g_test_add_func("/io_uring", skip_for_want_of_io_uring);
            continue;
        }
        for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
            g_autofree char *path = g_strdup_printf("/%s/%s", kinds[k], tests[i].promise);

            if (tests[i].needs_io_uring && strcmp(kinds[k], "io_uring") != 0) {
                continue;
            }
            g_test_add(path, Fixture, kinds[k], set_up, tests[i].run, tear_down);
        }
    }
    return g_test_run();
}
