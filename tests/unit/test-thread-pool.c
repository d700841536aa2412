/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread pool of a context.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "block/aio.h"

typedef struct Job {
    int number;
    int ret;
    GThread *ran_in;
    struct PoolTest *test;
} Job;

typedef struct PoolTest {
    AioContext *ctx;
    int nr_left;   /* in the context's thread */
    int nr_inside; /* atomic */
    int nr_needed; /* atomic: how many must be inside before any goes on */
} PoolTest;

static void set_up(PoolTest *test, gconstpointer unused)
{
    test->ctx = aio_context_new(NULL);
    g_assert_nonnull(test->ctx);
}

static void tear_down(PoolTest *test, gconstpointer unused)
{
    aio_context_unref(test->ctx);
}

static int square(void *opaque)
{
    Job *job = opaque;

    job->ran_in = g_thread_self();
    g_usleep(200);
    return job->number * job->number;
}

static int wait_for_the_others(void *opaque)
{
    Job *job = opaque;

    __atomic_add_fetch(&job->test->nr_inside, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&job->test->nr_inside, __ATOMIC_SEQ_CST) <
           __atomic_load_n(&job->test->nr_needed, __ATOMIC_SEQ_CST)) {
        g_usleep(100);
    }
    return 0;
}

static void coroutine_fn submit_square(void *opaque)
{
    Job *job = opaque;

    job->ret = thread_pool_submit_co(square, job);
    g_assert_true(qemu_get_current_aio_context() == job->test->ctx);
    job->test->nr_left--;
}

static void coroutine_fn submit_waiting(void *opaque)
{
    Job *job = opaque;

    job->ret = thread_pool_submit_co(wait_for_the_others, job);
    job->test->nr_left--;
}

static void start_jobs(PoolTest *test, Job *jobs, int nr_jobs, CoroutineEntry *entry)
{
    test->nr_left = nr_jobs;
    for (int i = 0; i < nr_jobs; i++) {
        jobs[i] = (Job){.number = i, .ret = -1, .test = test};
        aio_co_enter(test->ctx, qemu_coroutine_create(entry, &jobs[i]));
    }
}

static void test_each_job_returns_its_result(PoolTest *test, gconstpointer unused)
{
    Job jobs[1000];

    start_jobs(test, jobs, ARRAY_SIZE(jobs), submit_square);
    AIO_WAIT_WHILE(test->ctx, test->nr_left > 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(jobs); i++) {
        g_assert_cmpint(jobs[i].ret, ==, i * i);
        g_assert_true(jobs[i].ran_in != g_thread_self());
    }
}

static void test_there_are_at_most_64_workers(PoolTest *test, gconstpointer unused)
{
    Job jobs[100];

    test->nr_needed = INT_MAX;
    start_jobs(test, jobs, ARRAY_SIZE(jobs), submit_waiting);
    g_usleep(100000);
    g_assert_cmpint(__atomic_load_n(&test->nr_inside, __ATOMIC_SEQ_CST), >=, 1);
    g_assert_cmpint(__atomic_load_n(&test->nr_inside, __ATOMIC_SEQ_CST), <=, 64);
    __atomic_store_n(&test->nr_needed, 1, __ATOMIC_SEQ_CST);
    AIO_WAIT_WHILE(test->ctx, test->nr_left > 0);
}

static void test_64_jobs_may_wait_for_one_another(PoolTest *test, gconstpointer unused)
{
    Job jobs[64];

    test->nr_needed = ARRAY_SIZE(jobs);
    start_jobs(test, jobs, ARRAY_SIZE(jobs), submit_waiting);
    AIO_WAIT_WHILE(test->ctx, test->nr_left > 0);
}

static void note_turn(void *opaque)
{
    *(bool *)opaque = true;
}

static void test_the_loop_goes_on_meanwhile(PoolTest *test, gconstpointer unused)
{
    bool has_run = false;
    Job job;

    test->nr_needed = 2;
    start_jobs(test, &job, 1, submit_waiting);
    aio_bh_schedule_oneshot(test->ctx, note_turn, &has_run);
    AIO_WAIT_WHILE(test->ctx, !has_run);
    g_assert_cmpint(test->nr_left, ==, 1);
    __atomic_add_fetch(&test->nr_inside, 1, __ATOMIC_SEQ_CST);
    AIO_WAIT_WHILE(test->ctx, test->nr_left > 0);
}

static int count_blocked_signals(void *opaque)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGCHLD};
    int nr_blocked = 0;
    sigset_t mask;

    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++) {
        nr_blocked += sigismember(&mask, signals[i]);
    }
    return nr_blocked;
}

static void coroutine_fn submit_count_of_signals(void *opaque)
{
    Job *job = opaque;

    job->ret = thread_pool_submit_co(count_blocked_signals, NULL);
    job->test->nr_left--;
}

static void test_workers_take_no_signals(PoolTest *test, gconstpointer unused)
{
    Job job;

    start_jobs(test, &job, 1, submit_count_of_signals);
    AIO_WAIT_WHILE(test->ctx, test->nr_left > 0);
    g_assert_cmpint(job.ret, ==, 6);
    g_assert_cmpint(count_blocked_signals(NULL), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/thread-pool/each-job-returns-its-result", PoolTest, NULL, set_up,
               test_each_job_returns_its_result, tear_down);
    g_test_add("/thread-pool/there-are-at-most-64-workers", PoolTest, NULL, set_up,
               test_there_are_at_most_64_workers, tear_down);
    g_test_add("/thread-pool/64-jobs-may-wait-for-one-another", PoolTest, NULL, set_up,
               test_64_jobs_may_wait_for_one_another, tear_down);
    g_test_add("/thread-pool/the-loop-goes-on-meanwhile", PoolTest, NULL, set_up,
               test_the_loop_goes_on_meanwhile, tear_down);
    g_test_add("/thread-pool/workers-take-no-signals", PoolTest, NULL, set_up,
               test_workers_take_no_signals, tear_down);
    return g_test_run();
}
