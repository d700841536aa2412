/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of a monitor about jobs: see qapi/job.json.
 */
#include "qemu/osdep.h"

#include "block/job.h"
#include "qapi/qapi-commands.h"

static void apply_verb(const char *id, JobVerb verb, Error **errp)
{
    Job *job = job_find(id);

    if (!job) {
        error_setg(errp, "Job '%s' not found", id);
        return;
    }
    job_apply_verb(job, verb, errp);
}

void qmp_job_cancel(const char *id, Error **errp)
{
    apply_verb(id, JOB_VERB_CANCEL, errp);
}

void qmp_job_pause(const char *id, Error **errp)
{
    apply_verb(id, JOB_VERB_PAUSE, errp);
}

void qmp_job_resume(const char *id, Error **errp)
{
    apply_verb(id, JOB_VERB_RESUME, errp);
}

void qmp_job_finalize(const char *id, Error **errp)
{
    apply_verb(id, JOB_VERB_FINALIZE, errp);
}

void qmp_job_dismiss(const char *id, Error **errp)
{
    apply_verb(id, JOB_VERB_DISMISS, errp);
}

JobInfoList *qmp_query_jobs(Error **errp)
{
    JobInfoList *list = NULL, **tail = &list;

    for (Job *job = job_next(NULL); job; job = job_next(job)) {
        JobInfo *info = g_new0(JobInfo, 1);
        bool is_over = job->status == JOB_STATUS_CONCLUDED;

        info->id = g_strdup(job->id);
        info->type = job->driver->type;
        info->status = job->status;
        info->current_progress = __atomic_load_n(&job->progress_current, __ATOMIC_RELAXED);
        info->total_progress = __atomic_load_n(&job->progress_total, __ATOMIC_RELAXED);
        info->error = is_over && job->err ? g_strdup(error_get_pretty(job->err)) : NULL;
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}
