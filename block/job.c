/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of jobs: see include/block/job.h.
 *
 * The coroutine and the main thread share two flags and two numbers, which are atomic, and hand the
 * rest to each other: the coroutine by a bottom half in the main thread (when it rests or has
 * ended), the main thread by waking the coroutine.
 */
#include "qemu/osdep.h"

#include "block/job.h"
#include "qapi/qapi-events.h"

static TAILQ_HEAD(, Job) jobs = TAILQ_HEAD_INITIALIZER(jobs);

/* ---- status ---- */

#define STATUS(name) (1u << JOB_STATUS_##name)

/* The statuses that may follow each status. */
static const unsigned int next_statuses[JOB_STATUS__MAX] = {
    [JOB_STATUS_CREATED] = STATUS(RUNNING) | STATUS(ABORTING),
    [JOB_STATUS_RUNNING] = STATUS(PAUSED) | STATUS(WAITING) | STATUS(ABORTING),
    [JOB_STATUS_PAUSED] = STATUS(RUNNING),
    [JOB_STATUS_WAITING] = STATUS(PENDING),
    [JOB_STATUS_PENDING] = STATUS(CONCLUDED) | STATUS(ABORTING),
    [JOB_STATUS_ABORTING] = STATUS(CONCLUDED),
    [JOB_STATUS_CONCLUDED] = STATUS(NULL),
};

/* The statuses in which each verb is accepted. */
static const unsigned int verb_statuses[JOB_VERB__MAX] = {
    [JOB_VERB_CANCEL] = STATUS(CREATED) | STATUS(RUNNING) | STATUS(PAUSED) | STATUS(PENDING),
    [JOB_VERB_PAUSE] = STATUS(CREATED) | STATUS(RUNNING) | STATUS(PAUSED),
    [JOB_VERB_RESUME] = STATUS(CREATED) | STATUS(RUNNING) | STATUS(PAUSED),
    [JOB_VERB_FINALIZE] = STATUS(PENDING),
    [JOB_VERB_DISMISS] = STATUS(CONCLUDED),
};

static void set_status(Job *job, JobStatus status)
{
    assert(qemu_get_current_aio_context() == qemu_get_aio_context());
    assert(next_statuses[job->status] & (1u << status));
    job->status = status;
    qapi_event_send_job_status_change(job->id, status);
}

/* ---- the end ---- */

static void dismiss(Job *job)
{
    set_status(job, JOB_STATUS_NULL);
    TAILQ_REMOVE(&jobs, job, link);
    error_free(job->err);
    g_free(job->id);
    g_free(job);
}

static void conclude(Job *job)
{
    if (job->driver->clean) {
        job->driver->clean(job);
    }
    set_status(job, JOB_STATUS_CONCLUDED);
    if (!(job->flags & JOB_MANUAL_DISMISS)) {
        dismiss(job);
    }
}

/* Something has failed with @ret, which has a message unless @job->err is NULL. */
static void fail(Job *job, int ret)
{
    job->ret = ret;
    if (!job->err) {
        error_setg(&job->err, "%s", strerror(-ret));
    }
    set_status(job, JOB_STATUS_ABORTING);
    if (job->driver->abort) {
        job->driver->abort(job);
    }
    conclude(job);
}

static void finalize(Job *job)
{
    int ret = job->driver->prepare ? job->driver->prepare(job, &job->err) : 0;

    if (ret < 0) {
        fail(job, ret);
        return;
    }
    if (job->driver->commit) {
        job->driver->commit(job);
    }
    conclude(job);
}

/* In the main thread, when the coroutine has ended. */
static void run_has_ended(void *opaque)
{
    Job *job = opaque;

    job->co = NULL;
    if (job->ret == 0 && job_is_cancelled(job)) {
        job->ret = -ECANCELED;
    }
    if (job->ret < 0) {
        fail(job, job->ret);
        return;
    }
    set_status(job, JOB_STATUS_WAITING);
    set_status(job, JOB_STATUS_PENDING);
    if (!(job->flags & JOB_MANUAL_FINALIZE)) {
        finalize(job);
    }
}

/* ---- the beginning ---- */

static bool check_id(const char *id, Error **errp)
{
    bool is_wellformed = g_ascii_isalpha(*id);

    for (const char *c = id; *c && is_wellformed; c++) {
        is_wellformed = g_ascii_isalnum(*c) || strchr("-._", *c);
    }
    if (!is_wellformed) {
        error_setg(errp, "Invalid job ID '%s'", id);
        return false;
    }
    if (job_find(id)) {
        error_setg(errp, "Job ID '%s' already in use", id);
        return false;
    }
    return true;
}

Job *job_create(const char *id, const JobDriver *driver, AioContext *ctx, JobFlags flags,
                Error **errp)
{
    Job *job;

    assert(driver->instance_size >= sizeof(Job) && driver->run);
    if (!check_id(id, errp)) {
        return NULL;
    }
    job = g_malloc0(driver->instance_size);
    job->driver = driver;
    job->id = g_strdup(id);
    job->flags = flags;
    job->ctx = ctx;
    job->status = JOB_STATUS_CREATED;
    TAILQ_INSERT_TAIL(&jobs, job, link);
    qapi_event_send_job_status_change(job->id, job->status);
    return job;
}

static void coroutine_fn run_entry(void *opaque)
{
    Job *job = opaque;

    job_pause_point(job);
    if (!job_is_cancelled(job)) {
        job->ret = job->driver->run(job, &job->err);
    }
    g_clear_pointer(&job->sleep_timer, timer_free);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), run_has_ended, job);
}

void job_start(Job *job)
{
    set_status(job, JOB_STATUS_RUNNING);
    job->co = qemu_coroutine_create(run_entry, job);
    aio_co_enter(job->ctx, job->co);
}

Job *job_find(const char *id)
{
    Job *job;

    TAILQ_FOREACH(job, &jobs, link) {
        if (!strcmp(job->id, id)) {
            return job;
        }
    }
    return NULL;
}

Job *job_next(Job *job)
{
    return job ? TAILQ_NEXT(job, link) : TAILQ_FIRST(&jobs);
}

/* ---- resting ---- */

bool job_is_cancelled(const Job *job)
{
    return __atomic_load_n(&job->is_cancelled, __ATOMIC_ACQUIRE);
}

static bool should_rest(const Job *job)
{
    return __atomic_load_n(&job->is_pause_wanted, __ATOMIC_ACQUIRE) && !job_is_cancelled(job);
}

/* In the main thread: the coroutine has yielded because a pause was wanted. */
static void coroutine_rests(void *opaque)
{
    Job *job = opaque;

    if (should_rest(job)) {
        set_status(job, JOB_STATUS_PAUSED);
    } else {
        aio_co_wake(job->co);
    }
}

void coroutine_fn job_pause_point(Job *job)
{
    while (should_rest(job)) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), coroutine_rests, job);
        qemu_coroutine_yield();
    }
}

/* In the coroutine's thread, outside of it. */
static void end_sleep(void *opaque)
{
    Job *job = opaque;

    if (job->is_sleeping) {
        job->is_sleeping = false;
        timer_del(job->sleep_timer);
        aio_co_wake(job->co);
    }
}

void coroutine_fn job_sleep_ns(Job *job, int64_t ns)
{
    if (!job_is_cancelled(job) && !should_rest(job)) {
        if (!job->sleep_timer) {
            job->sleep_timer = aio_timer_new(job->ctx, end_sleep, job);
        }
        timer_mod_ns(job->sleep_timer, qemu_clock_get_ns() + ns);
        job->is_sleeping = true;
        qemu_coroutine_yield();
    }
    job_pause_point(job);
}

/* A flag has been set for the coroutine: it should look. */
static void kick(Job *job)
{
    if (job->status == JOB_STATUS_PAUSED) {
        set_status(job, JOB_STATUS_RUNNING);
        aio_co_wake(job->co);
    } else if (job->co) {
        aio_run_in(job->ctx, end_sleep, job);
    }
}

/* ---- verbs ---- */

static void cancel(Job *job)
{
    __atomic_store_n(&job->is_cancelled, true, __ATOMIC_RELEASE);
    if (job->status == JOB_STATUS_CREATED || job->status == JOB_STATUS_PENDING) {
        fail(job, -ECANCELED);
    } else {
        kick(job);
    }
}

static bool set_pause_wanted(Job *job, bool is_wanted, Error **errp)
{
    if (job->is_pause_wanted == is_wanted) {
        error_setg(errp, is_wanted ? "Job '%s' is already paused" : "Job '%s' is not paused",
                   job->id);
        return false;
    }
    __atomic_store_n(&job->is_pause_wanted, is_wanted, __ATOMIC_RELEASE);
    kick(job);
    return true;
}

bool job_apply_verb(Job *job, JobVerb verb, Error **errp)
{
    if (!(verb_statuses[verb] & (1u << job->status))) {
        error_setg(errp, "Job '%s' in state '%s' cannot accept command verb '%s'", job->id,
                   JobStatus_str(job->status), JobVerb_str(verb));
        return false;
    }
    switch (verb) {
    case JOB_VERB_CANCEL:
        cancel(job);
        return true;
    case JOB_VERB_PAUSE:
        return set_pause_wanted(job, true, errp);
    case JOB_VERB_RESUME:
        return set_pause_wanted(job, false, errp);
    case JOB_VERB_FINALIZE:
        finalize(job);
        return true;
    case JOB_VERB_DISMISS:
        dismiss(job);
        return true;
    default:
        g_assert_not_reached();
    }
}

/* Cancel what can be cancelled and dismiss what is over; whether anything is left. */
static bool cancel_or_dismiss_each(void)
{
    Job *job, *next;

    for (job = TAILQ_FIRST(&jobs); job; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->status == JOB_STATUS_CONCLUDED) {
            dismiss(job);
        } else if (!job_is_cancelled(job)) {
            cancel(job);
        }
    }
    return !TAILQ_EMPTY(&jobs);
}

void job_cancel_all(void)
{
    AIO_WAIT_WHILE(qemu_get_aio_context(), cancel_or_dismiss_each());
}

/* ---- progress ---- */

void job_set_total_progress(Job *job, uint64_t total)
{
    __atomic_store_n(&job->progress_total, total, __ATOMIC_RELAXED);
}

void job_add_progress(Job *job, uint64_t done)
{
    __atomic_add_fetch(&job->progress_current, done, __ATOMIC_RELAXED);
}
