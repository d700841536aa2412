/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: which options there are, and what is wrong with those given.
 *
 * It is read twice.  The first time takes what concerns the program as a whole, and notes the rest,
 * whose arguments are then looked at in order: so `--help` helps wherever it stands, and nothing
 * is made of a command line with an error in it.
 */
#include "qemu/osdep.h"

#include <getopt.h>

#include "qapi/qapi-visit.h"
#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "tools/qemu-storage-daemon/daemon.h"

enum {
    OPTION_DAEMONIZE = 256,
    OPTION_PIDFILE,
    OPTION_STEP, /* and up: the first of daemon_options, and those behind it */
};

/* What getopt_long() returns for an operand where its option string begins with a dash. */
#define OPERAND 1

static const struct option global_options[] = {
    {"daemonize", no_argument, NULL, OPTION_DAEMONIZE},
    {"help", no_argument, NULL, 'h'},
    {"pidfile", required_argument, NULL, OPTION_PIDFILE},
    {"trace", required_argument, NULL, 'T'},
    {"version", no_argument, NULL, 'V'},
};

/* An option of daemon_options on the command line. */
typedef struct GivenOption {
    const DaemonOption *option;
    const char *text;
} GivenOption;

/* The table for getopt_long(): the global options and those that make something. */
static GArray *all_long_options(void)
{
    GArray *all = g_array_new(true, false, sizeof(struct option));

    g_array_append_vals(all, global_options, ARRAY_SIZE(global_options));
    for (size_t i = 0; daemon_options[i].name; i++) {
        struct option option = {daemon_options[i].name, required_argument, NULL, OPTION_STEP + i};

        g_array_append_val(all, option);
    }
    return all;
}

static int refuse_operand(const char *operand)
{
    error_report("%s: Unexpected argument", operand);
    return EXIT_FAILURE;
}

static int take_trace(const char *pattern)
{
    Error *err = NULL;

    if (!trace_opt_parse(pattern, &err)) {
        error_reportf_err(err, "--trace %s: ", pattern);
        return EXIT_FAILURE;
    }
    return -1;
}

/* Returns an exit status, or -1 to go on. */
static int take_option(int c, DaemonArgs *args, GArray *given)
{
    switch (c) {
    case OPERAND:
        return refuse_operand(optarg);
    case '?':
        error_printf("Try 'qemu-storage-daemon --help' for more information\n");
        return EXIT_FAILURE;
    case 'h':
        daemon_print_help();
        return EXIT_SUCCESS;
    case 'V':
        printf("qemu-storage-daemon version " PROJECT_VERSION "\n");
        return EXIT_SUCCESS;
    case 'T':
        return take_trace(optarg);
    case OPTION_DAEMONIZE:
        args->is_daemonized = true;
        return -1;
    case OPTION_PIDFILE:
        args->pidfile = optarg;
        return -1;
    default: {
        GivenOption option = {&daemon_options[c - OPTION_STEP], optarg};

        g_array_append_val(given, option);
        return -1;
    }
    }
}

/* The first reading.  Returns an exit status, or -1 to go on. */
static int take_all(int argc, char **argv, DaemonArgs *args, GArray *given)
{
    g_autoptr(GArray) long_options = all_long_options();
    int c;

    while ((c = getopt_long(argc, argv, "-hT:V", (struct option *)long_options->data, NULL)) !=
           -1) {
        int status = take_option(c, args, given);

        if (status >= 0) {
            return status;
        }
    }
    /* behind `--` */
    return optind < argc ? refuse_operand(argv[optind]) : -1;
}

/* The second look at an option.  Returns an exit status, or -1 to go on. */
static int add_step(DaemonArgs *args, const GivenOption *given)
{
    json_auto_t *tree = NULL;
    Error *err = NULL;
    DaemonStep *step = daemon_step_new(given->option, given->text, &tree, &err);

    if (step) {
        g_ptr_array_add(args->steps, step);
        return -1;
    }
    if (tree && daemon_print_option_help(given->option, tree, &err)) {
        return EXIT_SUCCESS;
    }
    daemon_report_option_error(given->option, given->text, err);
    return EXIT_FAILURE;
}

/* Whether @args can be had together. */
static bool check_combination(const DaemonArgs *args)
{
    for (guint i = 0; i < args->steps->len && args->is_daemonized; i++) {
        const DaemonStep *step = g_ptr_array_index(args->steps, i);
        const ChardevOptions *chardev = step->value;

        if (step->option->type == &qapi_info_ChardevOptions &&
            chardev->backend == CHARDEV_BACKEND_TYPE_STDIO) {
            error_report("--%s %s: There are no standard streams with --daemonize",
                         step->option->name, step->text);
            return false;
        }
    }
    return true;
}

int daemon_args_parse(DaemonArgs *args, int argc, char **argv)
{
    g_autoptr(GArray) given = g_array_new(false, false, sizeof(GivenOption));
    int status = take_all(argc, argv, args, given);

    args->steps = g_ptr_array_new_with_free_func((GDestroyNotify)daemon_step_free);
    for (guint i = 0; i < given->len && status < 0; i++) {
        status = add_step(args, &g_array_index(given, GivenOption, i));
    }
    return status < 0 && !check_combination(args) ? EXIT_FAILURE : status;
}

void daemon_args_clear(DaemonArgs *args)
{
    g_ptr_array_unref(args->steps);
}
