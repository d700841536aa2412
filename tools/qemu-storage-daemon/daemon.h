/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of qemu-storage-daemon share.
 *
 * The life of the program is in main.c: the command line is read and judged as a whole, then its
 * steps are carried out in order, then the event loop runs until somebody asks to quit, and all is
 * taken down in order.  Everything here belongs to the main thread, outside coroutines.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <jansson.h>

#include "qapi/error.h"
#include "qapi/qapi-types.h"
#include "qapi/type-info.h"

/* ---- steps of the start: startup.c ---- */

/* An option whose argument has a type of the schema, and that makes something. */
typedef struct DaemonOption {
    const char *name;    /* without the dashes */
    const char *usage;   /* of the argument, as help shows it */
    const char *summary; /* one line */
    const QapiTypeInfo *type;
    const char *implied_key; /* of a first word without a key */
    /* Make what @value, a struct of the type, describes; it stays the caller's. */
    void (*apply)(void *value, Error **errp);
} DaemonOption;

/* All of them; the last has no name. */
extern const DaemonOption daemon_options[];

/* One such option as it was given. */
typedef struct DaemonStep {
    const DaemonOption *option;
    const char *text; /* the argument as typed, not owned */
    void *value;      /* the argument as a struct of the option's type */
} DaemonStep;

/*
 * Read @text, which is JSON where it begins with a brace and `key=value,...` otherwise.
 *
 * Returns a new step; NULL with *@tree set where help is asked for, to what stands beside that; or
 * NULL with @errp set.
 */
DaemonStep *daemon_step_new(const DaemonOption *option, const char *text, json_t **tree,
                            Error **errp);
void daemon_step_free(DaemonStep *step);

/* Carry out @step.  Returns false after an error has been reported. */
bool daemon_step_apply(const DaemonStep *step);

/* `--OPTION ARGUMENT: ` and the message of @err to stderr; frees @err. */
void daemon_report_option_error(const DaemonOption *option, const char *text, Error *err);

/* ---- the command line: options.c ---- */

typedef struct DaemonArgs {
    GPtrArray *steps;    /* DaemonStep, in the order given */
    const char *pidfile; /* NULL: none */
    bool is_daemonized;
} DaemonArgs;

/*
 * Fill @args, which is zero, from the command line, of which it keeps pointers.  Nothing has been
 * made afterwards but log files of --trace.
 *
 * Returns -1 to go on, otherwise the exit status: help was printed, or an error reported.
 */
int daemon_args_parse(DaemonArgs *args, int argc, char **argv);
void daemon_args_clear(DaemonArgs *args);

/* ---- help: help.c ---- */

void daemon_print_help(void);

/*
 * Print what the argument of @option may contain; @tree is the argument as far as it was given, so
 * that a chosen driver or type adds its own options.  False with @errp set where there is none of
 * that name.
 */
bool daemon_print_option_help(const DaemonOption *option, const json_t *tree, Error **errp);

/* ---- the end: quit.c ---- */

/*
 * From now on SIGINT, SIGTERM and SIGHUP ask to quit.  (SIGHUP does nothing where whoever started
 * the program had it ignored.)  To be called before there are other threads.
 */
bool quit_catch_signals(Error **errp);

/*
 * Ask to quit: quit_is_wanted() is true from now on, the event loop looks, and nobody waits any
 * more for the first client of a chardev.  The first reason counts.
 */
void quit_request(ShutdownCause reason);
bool quit_is_wanted(void);
/* Once it is. */
ShutdownCause quit_reason(void);

/* ---- going to the background: daemonize.c ---- */

/*
 * Go on in a child process; the parent waits until the child calls daemonize_finish() or ends, and
 * ends with status 0 or 1 then.  To be called before there are threads and rings.
 */
bool daemonize_begin(Error **errp);

/*
 * Give up the standard descriptors and the working directory, and let the parent go.  False with
 * @errp set, and standard error as it was, where that fails or the parent has been killed.
 */
bool daemonize_finish(Error **errp);

/* ---- the PID file: pidfile.c ---- */

typedef struct PidFile PidFile;

/*
 * Make the file @path with the process' ID and a newline, mode 0600.  It is locked while the
 * process lives, and appears with its content in one step.  One that a killed process has left
 * behind is replaced.
 *
 * Returns NULL with @errp set where it cannot be made: another process has it, or what stands there
 * is no PID file.
 */
PidFile *pidfile_create(const char *path, Error **errp);

/* Remove the file, unless it has been replaced meanwhile; NULL is fine. */
void pidfile_remove(PidFile *pidfile);

/* ---- the service manager: notify.c ---- */

/* The service is ready; @is_new_process: its main process is this one, not the one started. */
void notify_ready(bool is_new_process);

/* The service has begun to end. */
void notify_stopping(void);

#endif
