/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The job that creates an image: blockdev-create, see qapi/job.json.
 *
 * It runs in the main thread, where images are opened.  A node in another thread cannot be used by
 * it, and it says so.
 */
#include "qemu/osdep.h"

#include "block/block-create.h"
#include "block/job.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"

typedef struct CreateJob {
    Job common;
    BlockdevCreateOptions *options;
} CreateJob;

static int coroutine_fn create_job_run(Job *job, Error **errp)
{
    CreateJob *create = container_of(job, CreateJob, common);
    int ret;

    job_set_total_progress(job, 1);
    ret = bdrv_co_create(create->options, errp);
    job_add_progress(job, 1);
    return ret;
}

static void create_job_clean(Job *job)
{
    CreateJob *create = container_of(job, CreateJob, common);

    g_clear_pointer(&create->options, qapi_free_BlockdevCreateOptions);
}

static const JobDriver create_job_driver = {
    .type = JOB_TYPE_CREATE,
    .instance_size = sizeof(CreateJob),
    .run = create_job_run,
    .clean = create_job_clean,
};

void qmp_blockdev_create(const char *job_id, BlockdevCreateOptions *options, Error **errp)
{
    json_t *json = qapi_BlockdevCreateOptions_to_json(options);
    /* The command's own end with the command. */
    g_autoptr(BlockdevCreateOptions) copy = qapi_BlockdevCreateOptions_from_json(json, errp);
    Job *job = NULL;

    json_decref(json);
    if (copy) {
        job = job_create(job_id, &create_job_driver, qemu_get_aio_context(), JOB_MANUAL_DISMISS,
                         errp);
    }
    if (job) {
        container_of(job, CreateJob, common)->options = g_steal_pointer(&copy);
        job_start(job);
    }
}
