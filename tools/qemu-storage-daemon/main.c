/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-storage-daemon: block nodes and exports of them, as long as somebody uses them.
 *
 * This file is the order of its life.  A start that fails is taken down like one that succeeded,
 * so that no socket or PID file stays behind.  The exit status is 1 where the start has failed or
 * data could not be flushed at the end.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "block/aio.h"
#include "block/export.h"
#include "block/iothread.h"
#include "block/job.h"
#include "block/monitor-nodes.h"
#include "monitor/monitor.h"
#include "qemu/error-report.h"
#include "tools/common/tool-image.h"
#include "tools/qemu-storage-daemon/daemon.h"

static void quit_by_command(void)
{
    quit_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
}

static bool start_event_loop(Error **errp)
{
    if (!qemu_init_main_loop(errp)) {
        return false;
    }
    bdrv_init();
    monitor_set_quit_handler(quit_by_command);
    return quit_catch_signals(errp);
}

/* Until the last one, or a signal.  False after an error was reported. */
static bool carry_out_steps(const DaemonArgs *args)
{
    for (guint i = 0; i < args->steps->len && !quit_is_wanted(); i++) {
        if (!daemon_step_apply(g_ptr_array_index(args->steps, i))) {
            return false;
        }
        /* Signals come by the event loop, which may have had no turn yet. */
        aio_poll(qemu_get_aio_context(), false);
    }
    return true;
}

/* What makes the process a service, once there is something to serve. */
static bool go_public(const DaemonArgs *args, PidFile **pidfile)
{
    Error *err = NULL;

    if (args->pidfile) {
        *pidfile = pidfile_create(args->pidfile, &err);
        if (!*pidfile) {
            error_reportf_err(err, "cannot create PID file: ");
            return false;
        }
    }
    if (args->is_daemonized && !daemonize_finish(&err)) {
        error_reportf_err(err, "--daemonize: ");
        return false;
    }
    notify_ready(args->is_daemonized);
    return true;
}

/* Users go first, and what they use after them.  Returns whether everything written is safe. */
static bool take_down(PidFile *pidfile)
{
    bool is_flushed;

    monitor_announce_shutdown(quit_reason());
    blk_exp_close_all();
    job_cancel_all();
    is_flushed = bdrv_close_all_monitor_nodes() == 0;
    monitor_close_all();
    iothread_delete_all();
    pidfile_remove(pidfile);
    return is_flushed;
}

static int serve(const DaemonArgs *args)
{
    PidFile *pidfile = NULL;
    Error *err = NULL;
    bool is_started;

    if (args->is_daemonized && !daemonize_begin(&err)) {
        error_reportf_err(err, "--daemonize: ");
        return EXIT_FAILURE;
    }
    if (!start_event_loop(&err)) {
        error_report_err(err);
        return EXIT_FAILURE;
    }
    is_started = carry_out_steps(args) && (quit_is_wanted() || go_public(args, &pidfile));
    if (is_started) {
        AIO_WAIT_WHILE(qemu_get_aio_context(), !quit_is_wanted());
        notify_stopping();
    } else {
        quit_request(SHUTDOWN_CAUSE_HOST_ERROR);
    }
    return take_down(pidfile) && is_started ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    DaemonArgs args = {0};
    char *path_end;
    int status;

    /* A client that goes away is an error of the write, not a signal. */
    signal(SIGPIPE, SIG_IGN);
    tool_start(argv[0]);
    error_detect_journal();
    /* getopt_long() puts this before its messages. */
    path_end = strrchr(argv[0], '/');
    argv[0] = path_end ? path_end + 1 : argv[0];

    status = daemon_args_parse(&args, argc, argv);
    if (status < 0) {
        status = serve(&args);
    }
    daemon_args_clear(&args);
    fflush(stdout);
    if (ferror(stdout) && status == EXIT_SUCCESS) {
        error_report("Could not write to standard output");
        status = EXIT_FAILURE;
    }
    return status;
}
