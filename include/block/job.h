/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs: work in a coroutine that users can watch, pause, cancel, and whose end they see.
 *
 *                     +--> paused --+
 *                     |             |
 *     created --> running <---------+--> waiting --> pending --> concluded --> null
 *        |            |                                 |            ^
 *        +------------+---------------------------------+--> aborting +
 *
 * A job belongs to the main thread: its status changes there, and all functions are called there,
 * outside coroutines, unless they say otherwise.  Only JobDriver.run() runs in another thread, if
 * the job is made for one.  Each change of the status is told by the event JOB_STATUS_CHANGE.
 */
#ifndef BLOCK_JOB_H
#define BLOCK_JOB_H

#include "block/aio.h"
#include "qapi/error.h"
#include "qapi/qapi-types.h"

typedef struct Job Job;

/*
 * A kind of job.  run() is mandatory.  When it has returned 0 prepare() and commit() follow; when
 * anything has failed, or the job was cancelled, abort(); and in any case clean().
 */
typedef struct JobDriver {
    JobType type;
    /* Of the driver's state, which begins with its Job; zeroed by job_create(). */
    size_t instance_size;
    /*
     * The work, in the job's AioContext.  It calls job_pause_point() or job_sleep_ns() where it can
     * be interrupted, and returns soon when job_is_cancelled().  Returns 0, or a negative errno;
     * @errp may be set then.
     */
    int coroutine_fn (*run)(Job *job, Error **errp);
    /* The last step that can fail, when the job is finalized: 0, or a negative errno as above. */
    int (*prepare)(Job *job, Error **errp);
    /* Make the changes for which the job was started; cannot fail. */
    void (*commit)(Job *job);
    /* Take back what run() and prepare() have begun. */
    void (*abort)(Job *job);
    /* Give back what the driver's state holds; the job is about to conclude. */
    void (*clean)(Job *job);
} JobDriver;

typedef enum JobFlags {
    JOB_DEFAULT = 0,
    /* A pending job waits for job-finalize. */
    JOB_MANUAL_FINALIZE = 1 << 0,
    /* A concluded job waits for job-dismiss. */
    JOB_MANUAL_DISMISS = 1 << 1,
} JobFlags;

struct Job {
    const JobDriver *driver;
    char *id;
    JobStatus status;
    JobFlags flags;
    AioContext *ctx;
    Coroutine *co; /* NULL before it starts and after it has ended */

    /* Set by the main thread, read by the coroutine: atomic. */
    bool is_cancelled;
    bool is_pause_wanted;
    /* The other way round. */
    uint64_t progress_current;
    uint64_t progress_total;

    /* of the coroutine's thread: it sleeps until the timer expires or somebody wakes it */
    bool is_sleeping;
    QEMUTimer *sleep_timer;

    /* 0, or why it failed, with a message; the main thread's once the coroutine has ended */
    int ret;
    Error *err;

    TAILQ_ENTRY(Job) link;
};

/*
 * A new job in status `created`, whose run() is to run in @ctx.  NULL with @errp set where @id is
 * malformed or taken.
 */
Job *job_create(const char *id, const JobDriver *driver, AioContext *ctx, JobFlags flags,
                Error **errp);

/* Begin the work.  The job may be over, dismissed and freed when this returns. */
void job_start(Job *job);

/* NULL where there is no such job. */
Job *job_find(const char *id);
/* Jobs from the oldest to the newest; NULL to start. */
Job *job_next(Job *job);

/*
 * Do @verb to @job, as the commands of a monitor do: false with @errp set where it cannot be done
 * in the job's status.  Cancelling, finalizing and dismissing may free the job.
 */
bool job_apply_verb(Job *job, JobVerb verb, Error **errp);

/* For the end of the program: cancel all jobs, wait until they are over, and forget them. */
void job_cancel_all(void);

/* ---- for run(), in the job's coroutine ---- */

bool job_is_cancelled(const Job *job);

/* Rest here while a pause is wanted; yields only then. */
void coroutine_fn job_pause_point(Job *job);

/* Yield for @ns nanoseconds, or until the job is cancelled; a pause point, too. */
void coroutine_fn job_sleep_ns(Job *job, int64_t ns);

/* How much there is to do in all, and that another @done of it is done.  From any thread. */
void job_set_total_progress(Job *job, uint64_t total);
void job_add_progress(Job *job, uint64_t done);

#endif
