/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pool of threads a context, for what the kernel only does synchronously.
 *
 * Jobs live on the stacks of their coroutines.  A worker takes the oldest job, runs it and wakes
 * the coroutine through its context; after that it must not touch the job.  Workers are started
 * when a job finds none idle, up to a limit, and end when they have had nothing to do for a while.
 */
#include "qemu/osdep.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "aio-internal.h"

#define MAX_WORKERS      64
#define MAX_IDLE_SECONDS 10

typedef struct ThreadPoolJob {
    ThreadPoolFunc *func;
    void *arg;
    int ret;
    Coroutine *co;
    STAILQ_ENTRY(ThreadPoolJob) next;
} ThreadPoolJob;

struct ThreadPool {
    pthread_mutex_t lock; /* protects all of this */
    pthread_cond_t has_job; /* of the monotonic clock */
    pthread_cond_t has_ended;
    STAILQ_HEAD(, ThreadPoolJob) jobs;
    unsigned int nr_jobs;    /* in @jobs */
    unsigned int nr_workers; /* running, idle or being started */
    unsigned int nr_idle;
    bool is_closing;
};

/* ---- workers ---- */

/* The next job, or NULL when the worker is to end.  Called with the lock held. */
static ThreadPoolJob *wait_for_job(ThreadPool *pool)
{
    struct timespec deadline;
    ThreadPoolJob *job;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += MAX_IDLE_SECONDS;
    while (STAILQ_EMPTY(&pool->jobs)) {
        bool is_in_time;

        if (pool->is_closing) {
            return NULL;
        }
        pool->nr_idle++;
        is_in_time = pthread_cond_timedwait(&pool->has_job, &pool->lock, &deadline) == 0;
        pool->nr_idle--;
        if (!is_in_time && STAILQ_EMPTY(&pool->jobs)) {
            return NULL;
        }
    }
    job = STAILQ_FIRST(&pool->jobs);
    STAILQ_REMOVE_HEAD(&pool->jobs, next);
    pool->nr_jobs--;
    return job;
}

static void *work(void *opaque)
{
    ThreadPool *pool = opaque;
    ThreadPoolJob *job;

    pthread_mutex_lock(&pool->lock);
    while ((job = wait_for_job(pool))) {
        pthread_mutex_unlock(&pool->lock);
        job->ret = job->func(job->arg);
        aio_co_wake(job->co);
        pthread_mutex_lock(&pool->lock);
    }
    pool->nr_workers--;
    pthread_cond_signal(&pool->has_ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are for the threads that run loops: a worker takes none. */
static bool start_worker(ThreadPool *pool)
{
    sigset_t all, before;
    pthread_t thread;
    int ret;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    ret = pthread_create(&thread, NULL, work, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ret == 0) {
        pthread_detach(thread);
        pool->nr_workers++;
    }
    return ret == 0;
}

/* ---- life ---- */

static ThreadPool *thread_pool_of(AioContext *ctx)
{
    if (!ctx->thread_pool) {
        ThreadPool *pool = g_new0(ThreadPool, 1);
        pthread_condattr_t monotonic;

        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->has_job, &monotonic);
        pthread_cond_init(&pool->has_ended, NULL);
        pthread_condattr_destroy(&monotonic);
        STAILQ_INIT(&pool->jobs);
        ctx->thread_pool = pool;
    }
    return ctx->thread_pool;
}

void thread_pool_free(ThreadPool *pool)
{
    pthread_mutex_lock(&pool->lock);
    assert(STAILQ_EMPTY(&pool->jobs));
    pool->is_closing = true;
    pthread_cond_broadcast(&pool->has_job);
    while (pool->nr_workers > 0) {
        pthread_cond_wait(&pool->has_ended, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->has_job);
    pthread_cond_destroy(&pool->has_ended);
    g_free(pool);
}

/* ---- jobs ---- */

int coroutine_fn thread_pool_submit_co(ThreadPoolFunc *func, void *arg)
{
    ThreadPool *pool = thread_pool_of(qemu_get_current_aio_context());
    ThreadPoolJob job = {.func = func, .arg = arg, .co = qemu_coroutine_self()};
    bool has_worker = true;

    pthread_mutex_lock(&pool->lock);
    /* idle workers that were signalled but have not taken their job yet do not count */
    if (pool->nr_idle <= pool->nr_jobs && pool->nr_workers < MAX_WORKERS) {
        has_worker = start_worker(pool) || pool->nr_workers > 0;
    }
    if (has_worker) {
        STAILQ_INSERT_TAIL(&pool->jobs, &job, next);
        pool->nr_jobs++;
        pthread_cond_signal(&pool->has_job);
    }
    pthread_mutex_unlock(&pool->lock);

    if (!has_worker) {
        /* no thread can be had at all: slow is better than never */
        return func(arg);
    }
    qemu_coroutine_yield();
    return job.ret;
}
