/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs: their statuses and events, what can be asked of them when, in which thread what runs; and
 * the one that creates images.
 *
 * Files live in a temporary folder, which is the working directory while the tests run.
 */
#include "qemu/osdep.h"

#include <glib/gstdio.h>

#include "block/block_int.h"
#include "block/iothread.h"
#include "block/job.h"
#include "block/monitor-nodes.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "qapi/qmp-event.h"
#include "qemu/error-report.h"

#define LONG_NS (INT64_C(3600) * 1000 * 1000 * 1000)

/* ---- events ---- */

/* `j:created j:running ...` since it was last looked at. */
static GString *seen_events;

static void note_event(json_t *event, void *opaque)
{
    const json_t *data = json_object_get(event, "data");

    if (!strcmp(json_string_value(json_object_get(event, "event")), "JOB_STATUS_CHANGE")) {
        g_string_append_printf(seen_events, "%s:%s ",
                               json_string_value(json_object_get(data, "id")),
                               json_string_value(json_object_get(data, "status")));
    }
}

static void assert_events(const char *expected)
{
    g_assert_cmpstr(seen_events->str, ==, expected);
    g_string_truncate(seen_events, 0);
}

/* ---- a job to order ---- */

/* What a test job does, and what it has done. */
typedef struct TestPlan {
    int run_ret;
    const char *run_error;
    int nr_sleeps;
    int64_t sleep_ns;
    int prepare_ret;
    /* done so far */
    AioContext *ran_in;
    int nr_pause_points;
    bool is_committed, is_aborted, is_clean;
} TestPlan;

typedef struct TestJob {
    Job common;
    TestPlan *plan;
} TestJob;

static int coroutine_fn test_job_run(Job *job, Error **errp)
{
    TestPlan *plan = container_of(job, TestJob, common)->plan;

    plan->ran_in = qemu_get_current_aio_context();
    job_set_total_progress(job, plan->nr_sleeps);
    for (int i = 0; i < plan->nr_sleeps && !job_is_cancelled(job); i++) {
        job_sleep_ns(job, plan->sleep_ns);
        job_add_progress(job, 1);
        __atomic_add_fetch(&plan->nr_pause_points, 1, __ATOMIC_SEQ_CST);
    }
    if (plan->run_error) {
        error_setg(errp, "%s", plan->run_error);
    }
    return plan->run_ret;
}

static int test_job_prepare(Job *job, Error **errp)
{
    return container_of(job, TestJob, common)->plan->prepare_ret;
}

static void test_job_commit(Job *job)
{
    container_of(job, TestJob, common)->plan->is_committed = true;
}

static void test_job_abort(Job *job)
{
    container_of(job, TestJob, common)->plan->is_aborted = true;
}

static void test_job_clean(Job *job)
{
    container_of(job, TestJob, common)->plan->is_clean = true;
}

static const JobDriver test_job_driver = {
    .type = JOB_TYPE_CREATE,
    .instance_size = sizeof(TestJob),
    .run = test_job_run,
    .prepare = test_job_prepare,
    .commit = test_job_commit,
    .abort = test_job_abort,
    .clean = test_job_clean,
};

static Job *new_job(const char *id, TestPlan *plan, AioContext *ctx, JobFlags flags)
{
    Job *job = job_create(id, &test_job_driver, ctx, flags, &error_abort);

    container_of(job, TestJob, common)->plan = plan;
    return job;
}

static Job *start_job(TestPlan *plan, JobFlags flags)
{
    Job *job = new_job("j", plan, qemu_get_aio_context(), flags);

    job_start(job);
    return job;
}

static bool has_status(JobStatus status)
{
    const Job *job = job_find("j");

    return job ? job->status == status : status == JOB_STATUS_NULL;
}

static void wait_for_status(JobStatus status)
{
    AIO_WAIT_WHILE(qemu_get_aio_context(), !has_status(status));
}

static void apply(void (*command)(const char *id, Error **errp))
{
    command("j", &error_abort);
}

static void assert_refused(void (*command)(const char *id, Error **errp), const char *id,
                           const char *expected)
{
    Error *err = NULL;

    command(id, &err);
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, expected);
    error_free(err);
}

/* The error that query-jobs shows of the one job there is. */
static void assert_job_error(const char *expected)
{
    JobInfoList *list = qmp_query_jobs(&error_abort);

    g_assert_null(list->next);
    g_assert_cmpstr(list->value->error, ==, expected);
    qapi_free_JobInfoList(list);
}

/* ---- its life ---- */

static void test_success_passes_all_statuses_and_commits(void)
{
    TestPlan plan = {0};

    start_job(&plan, JOB_DEFAULT);
    wait_for_status(JOB_STATUS_NULL);
    assert_events("j:created j:running j:waiting j:pending j:concluded j:null ");
    g_assert_true(plan.is_committed && plan.is_clean && !plan.is_aborted);
}

static void test_nothing_concludes_before_the_command_returns(void)
{
    TestPlan plan = {0};
    Job *job = start_job(&plan, JOB_DEFAULT);

    assert_events("j:created j:running ");
    g_assert_cmpint(job->status, ==, JOB_STATUS_RUNNING);
    wait_for_status(JOB_STATUS_NULL);
    assert_events("j:waiting j:pending j:concluded j:null ");
}

static void test_the_user_finalizes_and_dismisses(void)
{
    TestPlan plan = {0};

    start_job(&plan, JOB_MANUAL_FINALIZE | JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_PENDING);
    g_assert_false(plan.is_committed);
    apply(qmp_job_finalize);
    g_assert_true(plan.is_committed);
    assert_events("j:created j:running j:waiting j:pending j:concluded ");
    assert_job_error(NULL);
    apply(qmp_job_dismiss);
    assert_events("j:null ");
    g_assert_null(job_next(NULL));
}

static void test_failure_aborts_and_tells_why(void)
{
    TestPlan plan = {.run_ret = -ENOSPC, .run_error = "The disk 'x' is full"};

    start_job(&plan, JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_CONCLUDED);
    assert_events("j:created j:running j:aborting j:concluded ");
    g_assert_true(plan.is_aborted && plan.is_clean && !plan.is_committed);
    assert_job_error("The disk 'x' is full");
    apply(qmp_job_dismiss);
}

static void test_failure_without_a_message_gets_one(void)
{
    TestPlan plan = {.run_ret = -ENOSPC};

    start_job(&plan, JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_CONCLUDED);
    assert_job_error("No space left on device");
    apply(qmp_job_dismiss);
}

static void test_a_refused_finalization_aborts(void)
{
    TestPlan plan = {.prepare_ret = -EBUSY};

    start_job(&plan, JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_CONCLUDED);
    g_assert_true(plan.is_aborted && !plan.is_committed);
    assert_job_error("Device or resource busy");
    apply(qmp_job_dismiss);
}

static void assert_id_refused(const char *id, const char *expected)
{
    Error *err = NULL;

    g_assert_null(job_create(id, &test_job_driver, qemu_get_aio_context(), JOB_DEFAULT, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, expected);
    error_free(err);
}

static void test_ids_are_wellformed_and_unique(void)
{
    TestPlan plan = {0};

    assert_id_refused("", "Invalid job ID ''");
    assert_id_refused("#1", "Invalid job ID '#1'");
    assert_id_refused("a b", "Invalid job ID 'a b'");
    start_job(&plan, JOB_MANUAL_DISMISS);
    assert_id_refused("j", "Job ID 'j' already in use");
    wait_for_status(JOB_STATUS_CONCLUDED);
    assert_id_refused("j", "Job ID 'j' already in use");
    apply(qmp_job_dismiss);
}

static void test_progress_is_told(void)
{
    TestPlan plan = {.nr_sleeps = 3};
    JobInfoList *list;

    start_job(&plan, JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_CONCLUDED);
    list = qmp_query_jobs(&error_abort);
    g_assert_cmpuint(list->value->current_progress, ==, 3);
    g_assert_cmpuint(list->value->total_progress, ==, 3);
    qapi_free_JobInfoList(list);
    apply(qmp_job_dismiss);
}

/* ---- cancelling ---- */

static void assert_cancelled(const TestPlan *plan)
{
    wait_for_status(JOB_STATUS_CONCLUDED);
    g_assert_true(plan->is_aborted && plan->is_clean && !plan->is_committed);
    assert_job_error("Operation canceled");
    apply(qmp_job_dismiss);
}

static void test_cancelling_wakes_a_sleeper(void)
{
    TestPlan plan = {.nr_sleeps = 5, .sleep_ns = LONG_NS};

    start_job(&plan, JOB_MANUAL_DISMISS);
    apply(qmp_job_cancel);
    assert_cancelled(&plan);
    g_assert_cmpint(plan.nr_pause_points, ==, 1);
}

static void test_cancelling_what_has_not_begun_runs_nothing(void)
{
    TestPlan plan = {0};

    new_job("j", &plan, qemu_get_aio_context(), JOB_MANUAL_DISMISS);
    apply(qmp_job_cancel);
    assert_events("j:created j:aborting j:concluded ");
    assert_cancelled(&plan);
    g_assert_null(plan.ran_in);
}

static void test_cancelling_what_is_done_but_pending_aborts(void)
{
    TestPlan plan = {0};

    start_job(&plan, JOB_MANUAL_FINALIZE | JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_PENDING);
    apply(qmp_job_cancel);
    assert_cancelled(&plan);
}

static void test_what_cannot_stop_is_aborted_at_its_end(void)
{
    TestPlan plan = {0};
    Job *job = start_job(&plan, JOB_MANUAL_DISMISS);

    g_assert_cmpint(job->status, ==, JOB_STATUS_RUNNING);
    apply(qmp_job_cancel);
    assert_cancelled(&plan);
}

static void test_cancelling_all_leaves_no_job(void)
{
    TestPlan sleeping = {.nr_sleeps = 1, .sleep_ns = LONG_NS};
    TestPlan fresh = {0}, pending = {0};

    new_job("fresh", &fresh, qemu_get_aio_context(), JOB_MANUAL_DISMISS);
    job_start(new_job("sleeping", &sleeping, qemu_get_aio_context(), JOB_DEFAULT));
    start_job(&pending, JOB_MANUAL_FINALIZE | JOB_MANUAL_DISMISS);
    wait_for_status(JOB_STATUS_PENDING);
    job_cancel_all();
    g_assert_null(job_next(NULL));
    g_assert_true(fresh.is_aborted && sleeping.is_aborted && pending.is_aborted);
}

/* ---- resting ---- */

static void test_a_paused_job_rests_until_it_is_resumed(void)
{
    TestPlan plan = {.nr_sleeps = 2, .sleep_ns = LONG_NS};

    start_job(&plan, JOB_MANUAL_DISMISS);
    apply(qmp_job_pause);
    wait_for_status(JOB_STATUS_PAUSED);
    g_assert_cmpint(plan.nr_pause_points, ==, 0);
    assert_refused(qmp_job_pause, "j", "Job 'j' is already paused");
    apply(qmp_job_resume);
    g_assert_cmpint(plan.nr_pause_points, ==, 1);
    assert_events("j:created j:running j:paused j:running ");
    assert_refused(qmp_job_resume, "j", "Job 'j' is not paused");
    apply(qmp_job_cancel);
    wait_for_status(JOB_STATUS_CONCLUDED);
    apply(qmp_job_dismiss);
}

static void test_a_pause_taken_back_at_once_does_no_harm(void)
{
    TestPlan plan = {.nr_sleeps = 20, .sleep_ns = 1000};

    start_job(&plan, JOB_MANUAL_DISMISS);
    for (int i = 0; i < 10 && !has_status(JOB_STATUS_CONCLUDED); i++) {
        apply(qmp_job_pause);
        apply(qmp_job_resume);
        aio_poll(qemu_get_aio_context(), false);
    }
    wait_for_status(JOB_STATUS_CONCLUDED);
    g_assert_cmpint(plan.nr_pause_points, ==, 20);
    apply(qmp_job_dismiss);
}

static void test_a_job_paused_before_it_begins_rests_first(void)
{
    TestPlan plan = {0};
    Job *job = new_job("j", &plan, qemu_get_aio_context(), JOB_MANUAL_DISMISS);

    apply(qmp_job_pause);
    job_start(job);
    wait_for_status(JOB_STATUS_PAUSED);
    g_assert_null(plan.ran_in);
    apply(qmp_job_resume);
    wait_for_status(JOB_STATUS_CONCLUDED);
    g_assert_nonnull(plan.ran_in);
    apply(qmp_job_dismiss);
}

static void test_a_paused_job_can_be_cancelled(void)
{
    TestPlan plan = {.nr_sleeps = 5, .sleep_ns = LONG_NS};

    start_job(&plan, JOB_MANUAL_DISMISS);
    apply(qmp_job_pause);
    wait_for_status(JOB_STATUS_PAUSED);
    apply(qmp_job_cancel);
    assert_cancelled(&plan);
}

static void test_verbs_are_refused_in_other_statuses(void)
{
    TestPlan plan = {0};

    assert_refused(qmp_job_cancel, "nosuch", "Job 'nosuch' not found");
    start_job(&plan, JOB_MANUAL_FINALIZE | JOB_MANUAL_DISMISS);
    assert_refused(qmp_job_dismiss, "j",
                   "Job 'j' in state 'running' cannot accept command verb 'dismiss'");
    assert_refused(qmp_job_finalize, "j",
                   "Job 'j' in state 'running' cannot accept command verb 'finalize'");
    wait_for_status(JOB_STATUS_PENDING);
    assert_refused(qmp_job_pause, "j",
                   "Job 'j' in state 'pending' cannot accept command verb 'pause'");
    apply(qmp_job_finalize);
    assert_refused(qmp_job_cancel, "j",
                   "Job 'j' in state 'concluded' cannot accept command verb 'cancel'");
    apply(qmp_job_dismiss);
}

/* ---- other threads ---- */

static void test_a_job_runs_in_its_thread(void)
{
    IOThread *iothread = iothread_new("t", &error_abort);
    AioContext *ctx = iothread_get_aio_context(iothread);
    TestPlan plan = {.nr_sleeps = 3, .sleep_ns = 1000};

    job_start(new_job("j", &plan, ctx, JOB_MANUAL_DISMISS));
    wait_for_status(JOB_STATUS_CONCLUDED);
    g_assert_true(plan.ran_in == ctx);
    g_assert_true(plan.is_committed);
    apply(qmp_job_dismiss);
    g_assert_true(iothread_delete("t", &error_abort));
}

static void test_a_job_elsewhere_is_paused_and_cancelled(void)
{
    IOThread *iothread = iothread_new("t", &error_abort);
    AioContext *ctx = iothread_get_aio_context(iothread);

    for (int i = 0; i < 200; i++) {
        TestPlan plan = {.nr_sleeps = INT_MAX, .sleep_ns = i % 3 ? LONG_NS : 1000};

        job_start(new_job("j", &plan, ctx, JOB_MANUAL_DISMISS));
        apply(qmp_job_pause);
        if (i % 2) {
            wait_for_status(JOB_STATUS_PAUSED);
        }
        apply(qmp_job_resume);
        apply(qmp_job_cancel);
        assert_cancelled(&plan);
    }
    g_assert_true(iothread_delete("t", &error_abort));
}

/* ---- creating images ---- */

static json_t *parse_json(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    g_assert_nonnull(value);
    return value;
}

/* Create, and wait until the job has concluded. */
static void create(const char *text)
{
    json_t *json = parse_json(text);
    g_autoptr(BlockdevCreateOptions) options =
        qapi_BlockdevCreateOptions_from_json(json, &error_abort);

    json_decref(json);
    qmp_blockdev_create("j", options, &error_abort);
    g_clear_pointer(&options, qapi_free_BlockdevCreateOptions);
    wait_for_status(JOB_STATUS_CONCLUDED);
}

static void assert_creates(const char *text)
{
    create(text);
    assert_job_error(NULL);
    apply(qmp_job_dismiss);
}

static void assert_create_fails(const char *text, const char *expected)
{
    create(text);
    assert_job_error(expected);
    apply(qmp_job_dismiss);
}

static void add_node(const char *text)
{
    json_t *json = parse_json(text);
    g_autoptr(BlockdevOptions) options = qapi_BlockdevOptions_from_json(json, &error_abort);

    json_decref(json);
    qmp_blockdev_add(options, &error_abort);
}

static void test_file_and_format_are_created_one_after_the_other(void)
{
    assert_creates("{\"driver\": \"file\", \"filename\": \"a.img\", \"size\": 0}");
    add_node("{\"driver\": \"file\", \"node-name\": \"f\", \"filename\": \"a.img\"}");
    g_string_truncate(seen_events, 0);
    assert_creates("{\"driver\": \"qcow2\", \"file\": \"f\", \"size\": 67108864, \"zone\":"
                   " {\"mode\": \"host-managed\", \"size\": 1048576, \"max-open-zones\": 7}}");
    assert_events("j:created j:running j:waiting j:pending j:concluded j:null ");
    add_node("{\"driver\": \"qcow2\", \"node-name\": \"q\", \"file\": \"f\"}");
    g_assert_cmpuint(bdrv_find_node("q")->bl.nr_zones, ==, 64);
    g_assert_cmpuint(bdrv_find_node("q")->bl.max_open_zones, ==, 7);
    qmp_blockdev_del("q", &error_abort);

    assert_creates("{\"driver\": \"raw\", \"file\": \"f\", \"size\": 65536}");
    g_assert_cmpint(bdrv_find_node("f")->total_bytes, ==, 65536);
    g_assert_cmpint(bdrv_close_all_monitor_nodes(), ==, 0);
    g_unlink("a.img");
}

static void test_creation_fails_with_the_reason(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"ro\", \"read-only\": true}");
    assert_create_fails("{\"driver\": \"null-co\"}",
                        "Driver 'null-co' does not support image creation");
    assert_create_fails("{\"driver\": \"qcow2\", \"file\": \"nosuch\", \"size\": 65536}",
                        "Cannot find device='nosuch' nor node-name='nosuch'");
    assert_create_fails("{\"driver\": \"qcow2\", \"file\": \"ro\", \"size\": 65536,"
                        " \"cluster-size\": 1234}",
                        "Cluster size must be a power of two between 512 and 2048k");
    assert_create_fails("{\"driver\": \"qcow2\", \"file\": \"ro\", \"size\": 65536}",
                        "Block node is read-only");
    assert_create_fails("{\"driver\": \"file\", \"filename\": \"no/such/a.img\", \"size\": 0}",
                        "Could not create 'no/such/a.img': No such file or directory");
    g_assert_cmpint(bdrv_close_all_monitor_nodes(), ==, 0);
}

static void test_a_file_of_an_iothread_is_not_formatted(void)
{
    IOThread *iothread = iothread_new("t", &error_abort);

    add_node("{\"driver\": \"null-co\", \"node-name\": \"f\"}");
    bdrv_try_change_aio_context(bdrv_find_node("f"), iothread_get_aio_context(iothread),
                                &error_abort);
    assert_create_fails("{\"driver\": \"qcow2\", \"file\": \"f\", \"size\": 65536}",
                        "Node 'f' cannot be used here while it is in iothread 't'");
    g_assert_cmpint(bdrv_close_all_monitor_nodes(), ==, 0);
    g_assert_true(iothread_delete("t", &error_abort));
}

static const struct {
    const char *path;
    void (*test)(void);
} tests[] = {
    {"life/success-passes-all-statuses-and-commits", test_success_passes_all_statuses_and_commits},
    {"life/nothing-concludes-before-the-command-returns",
     test_nothing_concludes_before_the_command_returns},
    {"life/the-user-finalizes-and-dismisses", test_the_user_finalizes_and_dismisses},
    {"life/failure-aborts-and-tells-why", test_failure_aborts_and_tells_why},
    {"life/failure-without-a-message-gets-one", test_failure_without_a_message_gets_one},
    {"life/a-refused-finalization-aborts", test_a_refused_finalization_aborts},
    {"life/ids-are-wellformed-and-unique", test_ids_are_wellformed_and_unique},
    {"life/progress-is-told", test_progress_is_told},
    {"cancel/wakes-a-sleeper", test_cancelling_wakes_a_sleeper},
    {"cancel/what-has-not-begun-runs-nothing", test_cancelling_what_has_not_begun_runs_nothing},
    {"cancel/what-is-done-but-pending-aborts", test_cancelling_what_is_done_but_pending_aborts},
    {"cancel/what-cannot-stop-is-aborted-at-its-end",
     test_what_cannot_stop_is_aborted_at_its_end},
    {"cancel/all-leaves-no-job", test_cancelling_all_leaves_no_job},
    {"pause/rests-until-it-is-resumed", test_a_paused_job_rests_until_it_is_resumed},
    {"pause/taken-back-at-once-does-no-harm", test_a_pause_taken_back_at_once_does_no_harm},
    {"pause/before-it-begins-rests-first", test_a_job_paused_before_it_begins_rests_first},
    {"pause/paused-job-can-be-cancelled", test_a_paused_job_can_be_cancelled},
    {"verbs/are-refused-in-other-statuses", test_verbs_are_refused_in_other_statuses},
    {"threads/a-job-runs-in-its-thread", test_a_job_runs_in_its_thread},
    {"threads/a-job-elsewhere-is-paused-and-cancelled",
     test_a_job_elsewhere_is_paused_and_cancelled},
    {"create/file-and-format-one-after-the-other",
     test_file_and_format_are_created_one_after_the_other},
    {"create/fails-with-the-reason", test_creation_fails_with_the_reason},
    {"create/not-on-a-file-of-an-iothread", test_a_file_of_an_iothread_is_not_formatted},
};

static void run_test(gconstpointer test)
{
    g_string_truncate(seen_events, 0);
    ((void (*)(void))test)();
    g_assert_null(job_next(NULL));
    g_assert_null(bdrv_next_node(NULL));
}

int main(int argc, char **argv)
{
    g_autofree char *folder = NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    error_init(argv[0]);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();
    seen_events = g_string_new(NULL);
    qapi_event_set_handler(note_event, NULL);
    folder = g_dir_make_tmp("test-block-job-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_assert_cmpint(chdir(folder), ==, 0);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strconcat("/block-job/", tests[i].path, NULL);

        g_test_add_data_func(path, tests[i].test, run_test);
    }
    status = g_test_run();
    g_assert_cmpint(chdir("/"), ==, 0);
    g_rmdir(folder);
    g_string_free(seen_events, true);
    return status;
}
