/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img: global options, and the table by which the first operand chooses a sub-command.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "tools/qemu-img/qemu-img.h"

static const ImgCommand *const img_commands[] = {
    &img_bench_command, &img_check_command, &img_compare_command, &img_create_command,
    &img_info_command,  &img_map_command,   &img_resize_command,  &img_zone_command,
};

static void img_print_version(void)
{
    printf("qemu-img version " PROJECT_VERSION "\n");
}

static void img_print_format(void *opaque, const char *name)
{
    printf(" %s", name);
}

static void img_print_global_help(void)
{
    printf("Create, examine and change disk images\n\n"
           "Usage: qemu-img [-V | -h] [-T PATTERN] COMMAND [OPTIONS]...\n\n"
           "  -h, --help           print this help\n"
           "  -V, --version        print the version\n"
           "  -T, --trace PATTERN  log trace events whose name matches\n\n"
           "Commands ('qemu-img COMMAND --help' explains one):\n");
    for (size_t i = 0; i < ARRAY_SIZE(img_commands); i++) {
        printf("  %-8s %s\n", img_commands[i]->name, img_commands[i]->summary);
    }
    printf("\nSupported formats:");
    bdrv_iterate_format(img_print_format, NULL);
    printf("\n");
}

static const ImgCommand *img_find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(img_commands); i++) {
        if (strcmp(img_commands[i]->name, name) == 0) {
            return img_commands[i];
        }
    }
    return NULL;
}

/*
 * Handle what stands before the command; returns an exit status, or -1 to go on with argv[optind].
 */
static int img_global_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {"trace", required_argument, NULL, 'T'},
        {0},
    };
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "+:hVT:", options, NULL)) != -1) {
        switch (c) {
        case 'h':
            img_print_global_help();
            return 0;
        case 'V':
            img_print_version();
            return 0;
        case 'T':
            trace_opt_parse(optarg, &error_fatal);
            break;
        default:
            error_report(c == ':' ? "option '%s' requires an argument"
                                  : "unrecognized option '%s'",
                         argv[optind - 1]);
            error_printf("Try 'qemu-img --help' for more information\n");
            return 1;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    const ImgCommand *command;
    int status;

    /* A reader that goes away (`qemu-img map | head`) is an error of the write, not a signal. */
    signal(SIGPIPE, SIG_IGN);
    tool_init(argv[0]);

    status = img_global_options(argc, argv);
    if (status >= 0) {
        return status;
    }
    if (optind >= argc) {
        error_report("Not enough arguments");
        error_printf("Try 'qemu-img --help' for more information\n");
        return 1;
    }
    command = img_find_command(argv[optind]);
    if (!command) {
        error_report("Command not found: %s", argv[optind]);
        error_printf("Try 'qemu-img --help' for more information\n");
        return 1;
    }

    argc -= optind;
    argv += optind;
    optind = 0; /* glibc: start over, with the command's own rules */
    status = command->run(command, argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == 0) {
        error_report("Could not write to standard output: %s", strerror(errno));
        status = 1;
    }
    return status;
}
