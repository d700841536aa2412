/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coroutines and what they wait for each other with: without an event loop, in one thread, except
 * where a test says so.
 */
#include "qemu/osdep.h"

#include <sys/resource.h>

#include "block/aio.h"
#include "qemu/coroutine.h"

/* A record of who did what when. */
static GString *story;

static void story_begin(void)
{
    story = g_string_new(NULL);
}

static void story_must_be(const char *expected)
{
    g_assert_cmpstr(story->str, ==, expected);
    g_string_free(story, true);
    story = NULL;
}

static void run_new(CoroutineEntry *entry, void *opaque)
{
    qemu_coroutine_enter(qemu_coroutine_create(entry, opaque));
}

/* ---- enter and yield ---- */

static void coroutine_fn note_and_yield_twice(void *opaque)
{
    g_string_append(story, opaque);
    qemu_coroutine_yield();
    g_string_append(story, opaque);
    qemu_coroutine_yield();
    g_string_append(story, opaque);
}

static void test_yield_goes_back_and_enter_goes_on(void)
{
    Coroutine *a, *b;

    story_begin();
    a = qemu_coroutine_create(note_and_yield_twice, (void *)"a");
    b = qemu_coroutine_create(note_and_yield_twice, (void *)"b");
    g_assert_false(qemu_coroutine_entered(a));
    qemu_coroutine_enter(a);
    g_assert_true(qemu_coroutine_entered(a));
    g_string_append(story, "-");
    qemu_coroutine_enter(b);
    qemu_coroutine_enter(b);
    g_string_append(story, "-");
    qemu_coroutine_enter(a);
    qemu_coroutine_enter(a);
    g_assert_false(qemu_coroutine_entered(a));
    qemu_coroutine_enter(b);
    g_assert_false(qemu_coroutine_entered(b));
    story_must_be("a-bb-aab");
}

static void coroutine_fn record_self(void *opaque)
{
    Coroutine **self = opaque;

    g_assert_true(qemu_in_coroutine());
    *self = qemu_coroutine_self();
}

static void test_self_tells_who_runs(void)
{
    Coroutine *outside = qemu_coroutine_self();
    Coroutine *co, *seen = NULL;

    g_assert_false(qemu_in_coroutine());
    g_assert_nonnull(outside);
    co = qemu_coroutine_create(record_self, &seen);
    qemu_coroutine_enter(co);
    g_assert_true(seen == co);
    g_assert_false(qemu_in_coroutine());
    g_assert_true(qemu_coroutine_self() == outside);
}

typedef struct NestedRun {
    int depth;
    int deepest;
    bool yields;
} NestedRun;

static void coroutine_fn go_deeper(void *opaque)
{
    NestedRun *nested = opaque;
    Coroutine *child;

    if (++nested->depth > nested->deepest) {
        nested->deepest = nested->depth;
    }
    if (nested->depth < 1000) {
        child = qemu_coroutine_create(go_deeper, nested);
        qemu_coroutine_enter(child);
        if (nested->yields) {
            g_assert_true(qemu_coroutine_entered(child));
            qemu_coroutine_enter(child);
        }
    }
    if (nested->yields) {
        qemu_coroutine_yield();
    }
    nested->depth--;
}

static void test_coroutines_nest_a_thousand_deep(void)
{
    NestedRun nested = {0};

    run_new(go_deeper, &nested);
    g_assert_cmpint(nested.deepest, ==, 1000);
    g_assert_cmpint(nested.depth, ==, 0);
}

static void test_a_nested_coroutine_yields_to_the_one_that_entered_it(void)
{
    NestedRun nested = {.yields = true};
    Coroutine *co = qemu_coroutine_create(go_deeper, &nested);

    qemu_coroutine_enter(co);
    g_assert_cmpint(nested.depth, ==, 1);
    qemu_coroutine_enter(co);
    g_assert_cmpint(nested.depth, ==, 0);
}

static void coroutine_fn keep_registers(void *opaque)
{
    volatile uint64_t seed = GPOINTER_TO_UINT(opaque);
    uint64_t a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11, e = seed * 13, f = seed * 17;
    double x = seed * 0.5, y = seed * 0.25;

    for (int i = 0; i < 100; i++) {
        qemu_coroutine_yield();
        a++, b += 2, c += 3, d += 4, e += 5, f += 6, x += 0.5, y += 0.25;
    }
    g_assert_cmpuint(a, ==, seed * 3 + 100);
    g_assert_cmpuint(b, ==, seed * 5 + 200);
    g_assert_cmpuint(c, ==, seed * 7 + 300);
    g_assert_cmpuint(d, ==, seed * 11 + 400);
    g_assert_cmpuint(e, ==, seed * 13 + 500);
    g_assert_cmpuint(f, ==, seed * 17 + 600);
    g_assert_cmpfloat(x, ==, seed * 0.5 + 50);
    g_assert_cmpfloat(y, ==, seed * 0.25 + 25);
}

static void test_a_switch_keeps_registers_and_the_stack(void)
{
    Coroutine *all[50];

    for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
        all[i] = qemu_coroutine_create(keep_registers, GUINT_TO_POINTER(i + 1));
    }
    for (int round = 0; round <= 100; round++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
            qemu_coroutine_enter(all[i]);
        }
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
        g_assert_false(qemu_coroutine_entered(all[i]));
    }
}

static void coroutine_fn check_alignment(void *opaque)
{
    volatile __attribute__((aligned(16))) char buffer[16];

    buffer[0] = 1;
    g_assert_cmpuint((uintptr_t)buffer % 16, ==, 0);
    /* printf("%f") stores vector registers with instructions that fault on a misaligned stack */
    g_autofree char *text = g_strdup_printf("%f", buffer[0] * 1.5);
    g_assert_cmpstr(text, ==, "1.500000");
}

static void test_the_stack_of_a_coroutine_is_aligned(void)
{
    run_new(check_alignment, NULL);
}

static void coroutine_fn yield_once(void *opaque)
{
    qemu_coroutine_yield();
}

static void coroutine_fn enter_itself(void *opaque)
{
    qemu_coroutine_enter(qemu_coroutine_self());
}

static void test_entering_a_running_coroutine_dies(void)
{
    if (g_test_subprocess()) {
        run_new(enter_itself, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*is_running*");
}

/* ---- stacks and their pool ---- */

static void test_an_ended_coroutine_is_used_again(void)
{
    Coroutine *first, *second;

    first = qemu_coroutine_create(yield_once, NULL);
    qemu_coroutine_enter(first);
    qemu_coroutine_enter(first);
    second = qemu_coroutine_create(yield_once, NULL);
    g_assert_true(second == first);
    g_assert_false(qemu_coroutine_entered(second));
    qemu_coroutine_enter(second);
    qemu_coroutine_enter(second);
}

static unsigned int count_mappings(void)
{
    g_autofree char *maps = NULL;
    unsigned int nr = 0;

    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    for (const char *line = maps; (line = strchr(line, '\n')); line++) {
        nr++;
    }
    return nr;
}

static void test_the_pool_is_bounded_and_can_be_drained(void)
{
    enum { NR_COROUTINES = 2000 };
    g_autofree Coroutine **all = g_new(Coroutine *, NR_COROUTINES);
    unsigned int nr_before, nr_pooled, nr_drained;

    qemu_coroutine_pool_drain();
    nr_before = count_mappings();
    for (int i = 0; i < NR_COROUTINES; i++) {
        all[i] = qemu_coroutine_create(yield_once, NULL);
        qemu_coroutine_enter(all[i]);
    }
    g_assert_cmpuint(count_mappings(), >=, nr_before + NR_COROUTINES);
    for (int i = 0; i < NR_COROUTINES; i++) {
        qemu_coroutine_enter(all[i]);
    }
    nr_pooled = count_mappings();
    qemu_coroutine_pool_drain();
    nr_drained = count_mappings();
    g_assert_cmpuint(nr_pooled, <, nr_before + NR_COROUTINES / 2);
    g_assert_cmpuint(nr_drained, <, nr_before + 50);
}

static void *run_some_coroutines(void *opaque)
{
    Coroutine *all[100];

    for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
        all[i] = qemu_coroutine_create(yield_once, NULL);
        qemu_coroutine_enter(all[i]);
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
        qemu_coroutine_enter(all[i]);
    }
    return NULL;
}

static void test_a_thread_that_ends_frees_its_pool(void)
{
    unsigned int nr_before;

    g_thread_join(g_thread_new("first", run_some_coroutines, NULL));
    nr_before = count_mappings();
    for (int i = 0; i < 20; i++) {
        g_thread_join(g_thread_new("more", run_some_coroutines, NULL));
    }
    g_assert_cmpuint(count_mappings(), <, nr_before + 100);
}

static __attribute__((noinline)) int eat_stack(int depth)
{
    volatile char frame[1024];

    frame[0] = depth;
    frame[1023] = depth;
    return depth ? eat_stack(depth - 1) + frame[0] + frame[1023] : 0;
}

static void coroutine_fn use_much_stack(void *opaque)
{
    *(int *)opaque = eat_stack(100);
}

static void test_a_coroutine_has_a_hundred_kib_of_stack(void)
{
    int result = -1;

    run_new(use_much_stack, &result);
    g_assert_cmpint(result, !=, -1);
}

/* By less than the size of a stack: into whatever lies below. */
static void coroutine_fn overflow_stack(void *opaque)
{
    *(int *)opaque = eat_stack(300);
}

static void test_a_stack_overflow_dies_on_the_guard_page(void)
{
    if (g_test_subprocess()) {
        struct rlimit no_core = {0};
        Coroutine *all[10];
        int result;

        setrlimit(RLIMIT_CORE, &no_core);
        /* the kernel maps downwards, so most of these have a neighbour below that would take the
         * overflow */
        for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
            all[i] = qemu_coroutine_create(overflow_stack, &result);
        }
        qemu_coroutine_enter(all[ARRAY_SIZE(all) / 2]);
        g_print("survived\n");
        _exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stdout_unmatched("*survived*");
}

/* ---- queues ---- */

typedef struct Waiter {
    CoQueue *queue;
    CoMutex *mutex;
    const char *name;
} Waiter;

static void coroutine_fn wait_in_queue(void *opaque)
{
    Waiter *waiter = opaque;

    if (waiter->mutex) {
        qemu_co_mutex_lock(waiter->mutex);
    }
    qemu_co_queue_wait(waiter->queue, waiter->mutex);
    g_string_append(story, waiter->name);
    if (waiter->mutex) {
        qemu_co_mutex_assert_locked(waiter->mutex);
        qemu_co_mutex_unlock(waiter->mutex);
    }
}

static void test_a_queue_wakes_in_the_order_of_arrival(void)
{
    CoQueue queue;
    Waiter waiters[] = {{&queue, NULL, "a"}, {&queue, NULL, "b"}, {&queue, NULL, "c"}};

    story_begin();
    qemu_co_queue_init(&queue);
    g_assert_true(qemu_co_queue_empty(&queue));
    g_assert_false(qemu_co_queue_next(&queue));
    for (unsigned int i = 0; i < ARRAY_SIZE(waiters); i++) {
        run_new(wait_in_queue, &waiters[i]);
    }
    g_assert_false(qemu_co_queue_empty(&queue));
    g_assert_true(qemu_co_queue_next(&queue));
    g_string_append(story, "-");
    qemu_co_queue_restart_all(&queue);
    g_assert_true(qemu_co_queue_empty(&queue));
    story_must_be("a-bc");
}

static void coroutine_fn wait_again_and_again(void *opaque)
{
    CoQueue *queue = opaque;

    for (int i = 0; i < 3; i++) {
        qemu_co_queue_wait(queue, NULL);
        g_string_append(story, "x");
    }
}

static void test_restart_all_wakes_a_waiter_once(void)
{
    CoQueue queue;

    story_begin();
    qemu_co_queue_init(&queue);
    run_new(wait_again_and_again, &queue);
    for (int i = 0; i < 3; i++) {
        qemu_co_queue_restart_all(&queue);
        g_string_append(story, "-");
    }
    story_must_be("x-x-x-");
}

static void coroutine_fn wake_others_then_note(void *opaque)
{
    qemu_co_queue_restart_all(opaque);
    g_string_append(story, "waker ");
    qemu_coroutine_yield();
    g_string_append(story, "waker-again");
}

static void test_the_woken_run_after_the_waker_has_yielded(void)
{
    CoQueue queue;
    CoMutex mutex;
    Waiter waiters[] = {{&queue, &mutex, "a "}, {&queue, &mutex, "b "}};
    Coroutine *waker;

    story_begin();
    qemu_co_queue_init(&queue);
    qemu_co_mutex_init(&mutex);
    run_new(wait_in_queue, &waiters[0]);
    run_new(wait_in_queue, &waiters[1]);
    waker = qemu_coroutine_create(wake_others_then_note, &queue);
    qemu_coroutine_enter(waker);
    qemu_coroutine_enter(waker);
    story_must_be("waker a b waker-again");
}

typedef struct ChainLink {
    CoQueue queue;
    struct ChainLink *next;
    unsigned int *nr_woken;
    unsigned int *nr_inside; /* woken and not yet ended */
} ChainLink;

static void coroutine_fn wait_then_wake_next(void *opaque)
{
    ChainLink *self = opaque;

    qemu_co_queue_wait(&self->queue, NULL);
    ++*self->nr_woken;
    g_assert_cmpuint(++*self->nr_inside, ==, 1);
    if (self->next) {
        qemu_co_queue_next(&self->next->queue);
    }
    --*self->nr_inside;
}

static void test_a_long_chain_of_wakeups_does_not_nest(void)
{
    enum { LENGTH = 10000 };
    g_autofree ChainLink *chain = g_new0(ChainLink, LENGTH);
    unsigned int nr_woken = 0, nr_inside = 0;

    for (int i = 0; i < LENGTH; i++) {
        chain[i].nr_woken = &nr_woken;
        chain[i].nr_inside = &nr_inside;
        chain[i].next = i + 1 < LENGTH ? &chain[i + 1] : NULL;
        qemu_co_queue_init(&chain[i].queue);
        run_new(wait_then_wake_next, &chain[i]);
    }
    qemu_co_queue_next(&chain[0].queue);
    g_assert_cmpuint(nr_woken, ==, LENGTH);
}

/* ---- mutex ---- */

typedef struct LockUser {
    CoMutex *mutex;
    CoRwlock *rwlock;
    const char *name;
    bool is_writer;
    Coroutine *co;
} LockUser;

static void coroutine_fn lock_note_yield_unlock(void *opaque)
{
    LockUser *user = opaque;

    qemu_co_mutex_lock(user->mutex);
    g_string_append(story, user->name);
    qemu_coroutine_yield();
    g_string_append(story, user->name);
    qemu_co_mutex_unlock(user->mutex);
}

static void test_a_mutex_is_handed_on_in_the_order_of_arrival(void)
{
    CoMutex mutex;
    LockUser users[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};

    story_begin();
    qemu_co_mutex_init(&mutex);
    for (unsigned int i = 0; i < ARRAY_SIZE(users); i++) {
        users[i].mutex = &mutex;
        users[i].co = qemu_coroutine_create(lock_note_yield_unlock, &users[i]);
        qemu_coroutine_enter(users[i].co);
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(users); i++) {
        qemu_co_mutex_assert_locked(&mutex);
        qemu_coroutine_enter(users[i].co);
        g_string_append(story, "-");
    }
    story_must_be("aab-bc-cd-d-");
}

static void coroutine_fn lock_twice_in_a_row(void *opaque)
{
    LockUser *user = opaque;

    for (int i = 0; i < 2; i++) {
        qemu_co_mutex_lock(user->mutex);
        g_string_append(story, user->name);
        qemu_coroutine_yield();
        qemu_co_mutex_unlock(user->mutex);
    }
}

static void test_who_unlocks_cannot_overtake_a_waiter(void)
{
    CoMutex mutex;
    LockUser a = {.mutex = &mutex, .name = "a"}, b = {.mutex = &mutex, .name = "b"};

    story_begin();
    qemu_co_mutex_init(&mutex);
    a.co = qemu_coroutine_create(lock_twice_in_a_row, &a);
    b.co = qemu_coroutine_create(lock_twice_in_a_row, &b);
    qemu_coroutine_enter(a.co);
    qemu_coroutine_enter(b.co);
    qemu_coroutine_enter(a.co);
    qemu_coroutine_enter(b.co);
    qemu_coroutine_enter(a.co);
    qemu_coroutine_enter(b.co);
    story_must_be("abab");
}

static void coroutine_fn lock_without_contention(void *opaque)
{
    CoMutex mutex;

    qemu_co_mutex_init(&mutex);
    for (int i = 0; i < 1000; i++) {
        g_auto(CoMutexGuard) guard = qemu_co_mutex_guard(&mutex);

        qemu_co_mutex_assert_locked(guard);
    }
    *(bool *)opaque = true;
}

static void test_an_uncontended_mutex_does_not_yield(void)
{
    bool is_done = false;

    run_new(lock_without_contention, &is_done);
    g_assert_true(is_done);
}

/* ---- reader/writer lock ---- */

static void coroutine_fn rwlock_note_yield_unlock(void *opaque)
{
    LockUser *user = opaque;

    if (user->is_writer) {
        qemu_co_rwlock_wrlock(user->rwlock);
    } else {
        qemu_co_rwlock_rdlock(user->rwlock);
    }
    g_string_append(story, user->name);
    qemu_coroutine_yield();
    qemu_co_rwlock_unlock(user->rwlock);
}

static void start_rwlock_users(CoRwlock *lock, LockUser *users, unsigned int nr_users)
{
    qemu_co_rwlock_init(lock);
    for (unsigned int i = 0; i < nr_users; i++) {
        users[i].rwlock = lock;
        users[i].is_writer = g_ascii_isupper(users[i].name[0]);
        users[i].co = qemu_coroutine_create(rwlock_note_yield_unlock, &users[i]);
        qemu_coroutine_enter(users[i].co);
    }
}

/* Small letters read, capital letters write. */
static void test_readers_share_and_a_waiting_writer_keeps_out_later_readers(void)
{
    CoRwlock lock;
    LockUser users[] = {{.name = "a"}, {.name = "b"}, {.name = "W"}, {.name = "c"},
                        {.name = "d"}, {.name = "X"}, {.name = "e"}};

    story_begin();
    start_rwlock_users(&lock, users, ARRAY_SIZE(users));
    for (unsigned int i = 0; i < ARRAY_SIZE(users); i++) {
        g_string_append(story, "-");
        qemu_coroutine_enter(users[i].co);
    }
    story_must_be("ab--W-cd--X-e-");
}

static void coroutine_fn write_then_downgrade(void *opaque)
{
    LockUser *user = opaque;

    qemu_co_rwlock_wrlock(user->rwlock);
    g_string_append(story, "W");
    qemu_coroutine_yield();
    qemu_co_rwlock_downgrade(user->rwlock);
    g_string_append(story, "w");
    qemu_coroutine_yield();
    qemu_co_rwlock_unlock(user->rwlock);
}

static void test_a_downgrade_lets_in_readers_but_no_writer(void)
{
    CoRwlock lock;
    LockUser first = {.rwlock = &lock};
    LockUser users[] = {{.name = "a"}, {.name = "X"}, {.name = "b"}};

    story_begin();
    first.co = qemu_coroutine_create(write_then_downgrade, &first);
    qemu_co_rwlock_init(&lock);
    qemu_coroutine_enter(first.co);
    for (unsigned int i = 0; i < ARRAY_SIZE(users); i++) {
        users[i].rwlock = &lock;
        users[i].is_writer = i == 1;
        users[i].co = qemu_coroutine_create(rwlock_note_yield_unlock, &users[i]);
        qemu_coroutine_enter(users[i].co);
    }
    qemu_coroutine_enter(first.co);
    g_string_append(story, "-");
    qemu_coroutine_enter(users[0].co);
    g_string_append(story, "-");
    qemu_coroutine_enter(first.co);
    g_string_append(story, "-");
    qemu_coroutine_enter(users[1].co);
    qemu_coroutine_enter(users[2].co);
    story_must_be("Wwa--X-b");
}

/* ---- between threads ---- */

enum { NR_THREADS = 4, NR_PER_THREAD = 8, NR_ROUNDS = 2000 };

typedef struct SharedCount {
    CoMutex mutex;
    CoRwlock rwlock;
    uint64_t count; /* by the locks protected, and by nothing else */
    uint64_t twin;
    int nr_started; /* atomic */
    int nr_done;    /* atomic */
} SharedCount;

typedef struct CountingThread {
    SharedCount *shared;
    CoroutineEntry *entry;
    int nr_running;
} CountingThread;

static void coroutine_fn count_under_mutex(void *opaque)
{
    CountingThread *self = opaque;
    SharedCount *shared = self->shared;

    for (int i = 0; i < NR_ROUNDS; i++) {
        qemu_co_mutex_lock(&shared->mutex);
        shared->count++;
        if (i % 64 == 0) {
            qemu_co_sleep_ns(0);
        }
        shared->twin++;
        g_assert_cmpuint(shared->count, ==, shared->twin);
        qemu_co_mutex_unlock(&shared->mutex);
    }
    self->nr_running--;
}

static void coroutine_fn count_under_rwlock(void *opaque)
{
    CountingThread *self = opaque;
    SharedCount *shared = self->shared;

    for (int i = 0; i < NR_ROUNDS; i++) {
        if (i % 4) {
            qemu_co_rwlock_rdlock(&shared->rwlock);
        } else {
            qemu_co_rwlock_wrlock(&shared->rwlock);
            shared->count++;
            if (i % 64 == 0) {
                qemu_co_sleep_ns(0);
            }
            shared->twin++;
            if (i % 8) {
                qemu_co_rwlock_downgrade(&shared->rwlock);
            }
        }
        g_assert_cmpuint(shared->count, ==, shared->twin);
        qemu_co_rwlock_unlock(&shared->rwlock);
    }
    self->nr_running--;
}

static void wait_for_all_threads(int *nr_arrived)
{
    __atomic_fetch_add(nr_arrived, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(nr_arrived, __ATOMIC_SEQ_CST) < NR_THREADS) {
        g_thread_yield();
    }
}

static void *run_counting_thread(void *opaque)
{
    CountingThread *self = opaque;
    AioContext *ctx = aio_context_new(NULL);

    g_assert_nonnull(ctx);
    wait_for_all_threads(&self->shared->nr_started);
    self->nr_running = NR_PER_THREAD;
    for (int i = 0; i < NR_PER_THREAD; i++) {
        aio_co_enter(ctx, qemu_coroutine_create(self->entry, self));
    }
    AIO_WAIT_WHILE(ctx, self->nr_running > 0);
    /* the others may still be waking somebody through this context */
    wait_for_all_threads(&self->shared->nr_done);
    aio_context_unref(ctx);
    return NULL;
}

static void count_in_threads(CoroutineEntry *entry, uint64_t expected)
{
    SharedCount shared = {0};
    CountingThread self[NR_THREADS];
    GThread *threads[NR_THREADS];

    qemu_co_mutex_init(&shared.mutex);
    qemu_co_rwlock_init(&shared.rwlock);
    for (int i = 0; i < NR_THREADS; i++) {
        self[i] = (CountingThread){.shared = &shared, .entry = entry};
        threads[i] = g_thread_new("counting", run_counting_thread, &self[i]);
    }
    for (int i = 0; i < NR_THREADS; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpuint(shared.count, ==, expected);
}

static void test_a_mutex_excludes_between_threads(void)
{
    count_in_threads(count_under_mutex, NR_THREADS * NR_PER_THREAD * NR_ROUNDS);
}

static void test_a_rwlock_excludes_between_threads(void)
{
    count_in_threads(count_under_rwlock, NR_THREADS * NR_PER_THREAD * NR_ROUNDS / 4);
}

/* ---- figures ---- */

static void coroutine_fn do_nothing(void *opaque)
{
}

static void coroutine_fn yield_for_ever(void *opaque)
{
    for (;;) {
        qemu_coroutine_yield();
    }
}

/* With -m perf only. */
static void test_cost_of_a_round(void)
{
    const int nr_rounds = 1000000;
    Coroutine *co = qemu_coroutine_create(yield_for_ever, NULL);

    g_test_timer_start();
    for (int i = 0; i < nr_rounds; i++) {
        qemu_coroutine_enter(co);
    }
    g_test_message("enter and yield: %.1f ns", g_test_timer_elapsed() * 1e9 / nr_rounds);
    g_test_timer_start();
    for (int i = 0; i < nr_rounds; i++) {
        run_new(do_nothing, NULL);
    }
    g_test_message("create, enter and end: %.1f ns", g_test_timer_elapsed() * 1e9 / nr_rounds);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/coroutine/yield-goes-back-and-enter-goes-on",
                    test_yield_goes_back_and_enter_goes_on);
    g_test_add_func("/coroutine/self-tells-who-runs", test_self_tells_who_runs);
    g_test_add_func("/coroutine/nest-a-thousand-deep", test_coroutines_nest_a_thousand_deep);
    g_test_add_func("/coroutine/nested-yields-to-the-one-that-entered-it",
                    test_a_nested_coroutine_yields_to_the_one_that_entered_it);
    g_test_add_func("/coroutine/a-switch-keeps-registers-and-the-stack",
                    test_a_switch_keeps_registers_and_the_stack);
    g_test_add_func("/coroutine/the-stack-is-aligned", test_the_stack_of_a_coroutine_is_aligned);
    g_test_add_func("/coroutine/entering-a-running-one-dies",
                    test_entering_a_running_coroutine_dies);
    g_test_add_func("/coroutine/pool/an-ended-one-is-used-again",
                    test_an_ended_coroutine_is_used_again);
    g_test_add_func("/coroutine/pool/is-bounded-and-can-be-drained",
                    test_the_pool_is_bounded_and_can_be_drained);
    g_test_add_func("/coroutine/pool/is-freed-when-its-thread-ends",
                    test_a_thread_that_ends_frees_its_pool);
    g_test_add_func("/coroutine/stack/has-a-hundred-kib",
                    test_a_coroutine_has_a_hundred_kib_of_stack);
    g_test_add_func("/coroutine/stack/an-overflow-dies-on-the-guard-page",
                    test_a_stack_overflow_dies_on_the_guard_page);
    g_test_add_func("/co-queue/wakes-in-the-order-of-arrival",
                    test_a_queue_wakes_in_the_order_of_arrival);
    g_test_add_func("/co-queue/restart-all-wakes-a-waiter-once",
                    test_restart_all_wakes_a_waiter_once);
    g_test_add_func("/co-queue/the-woken-run-after-the-waker-has-yielded",
                    test_the_woken_run_after_the_waker_has_yielded);
    g_test_add_func("/co-queue/a-long-chain-of-wakeups-does-not-nest",
                    test_a_long_chain_of_wakeups_does_not_nest);
    g_test_add_func("/co-mutex/is-handed-on-in-the-order-of-arrival",
                    test_a_mutex_is_handed_on_in_the_order_of_arrival);
    g_test_add_func("/co-mutex/who-unlocks-cannot-overtake-a-waiter",
                    test_who_unlocks_cannot_overtake_a_waiter);
    g_test_add_func("/co-mutex/uncontended-does-not-yield",
                    test_an_uncontended_mutex_does_not_yield);
    g_test_add_func("/co-mutex/excludes-between-threads", test_a_mutex_excludes_between_threads);
    g_test_add_func("/co-rwlock/a-waiting-writer-keeps-out-later-readers",
                    test_readers_share_and_a_waiting_writer_keeps_out_later_readers);
    g_test_add_func("/co-rwlock/a-downgrade-lets-in-readers-but-no-writer",
                    test_a_downgrade_lets_in_readers_but_no_writer);
    g_test_add_func("/co-rwlock/excludes-between-threads", test_a_rwlock_excludes_between_threads);
    if (g_test_perf()) {
        g_test_add_func("/coroutine/cost-of-a-round", test_cost_of_a_round);
    }
    return g_test_run();
}
