/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-io: commands on a disk image, for tests and for people who look at one.
 *
 * Options, the image, then the commands: those of -c in their order, or else those of standard
 * input.  The exit status is 1 where the command line makes no sense, the image cannot be opened,
 * or any command has failed.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "tools/qemu-io/qemu-io.h"

typedef struct IoArgs {
    ToolImage image;
    GPtrArray *lines; /* of -c; not owned strings */
    bool is_misaligned;
} IoArgs;

enum {
    OPTION_IMAGE_OPTS = 256,
    OPTION_OBJECT,
};

static const char short_options[] = "c:Cd:f:hi:kmnrst:T:UV";

static const struct option long_options[] = {
    {"aio", required_argument, NULL, 'i'},
    {"cache", required_argument, NULL, 't'},
    {"cmd", required_argument, NULL, 'c'},
    {"copy-on-read", no_argument, NULL, 'C'},
    {"discard", required_argument, NULL, 'd'},
    {"force-share", no_argument, NULL, 'U'},
    {"format", required_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},
    {"image-opts", no_argument, NULL, OPTION_IMAGE_OPTS},
    {"misalign", no_argument, NULL, 'm'},
    {"native-aio", no_argument, NULL, 'k'},
    {"nocache", no_argument, NULL, 'n'},
    {"object", required_argument, NULL, OPTION_OBJECT},
    {"read-only", no_argument, NULL, 'r'},
    {"snapshot", no_argument, NULL, 's'},
    {"trace", required_argument, NULL, 'T'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

static void print_help(void)
{
    printf(
        "Run commands on a disk image\n\n"
        "Usage: qemu-io [OPTIONS]... [-c COMMAND]... [FILE]\n\n"
        "  -c, --cmd COMMAND    run COMMAND; may be given again.  Without it commands come from\n"
        "                       standard input.  'qemu-io -c help' lists them\n"
        "  -f, --format FMT     format of the image (default: probe)\n"
        "  --image-opts         FILE is an option string\n"
        "  -r, --read-only      open for reading only\n"
        "  -U, --force-share    open even where others write; needs -r\n"
        "  -t, --cache MODE     writethrough (the default), writeback, none, directsync, unsafe\n"
        "  -n, --nocache        the same as -t none\n"
        "  -d, --discard MODE   what becomes of discards: ignore or unmap (the default)\n"
        "  -i, --aio MODE       threads, native or io_uring\n"
        "  -k, --native-aio     the same as -i native\n"
        "  -m, --misalign       use buffers that O_DIRECT cannot use\n"
        "  -C, --copy-on-read   has no effect on an image without backing file\n"
        "  -s, --snapshot       put a temporary overlay on the image: not possible\n"
        "  --object DEFINITION  define an object: none exist\n"
        "  -T, --trace PATTERN  log trace events whose name matches\n"
        "  -h, --help           print this help\n"
        "  -V, --version        print the version\n");
}

static bool refuse_object(const char *definition)
{
    error_report("There are no types of objects, so '%s' cannot be defined", definition);
    return false;
}

static bool parse_option(int c, IoArgs *args)
{
    switch (c) {
    case 'c':
        g_ptr_array_add(args->lines, optarg);
        return true;
    case 'C': /* without a backing file there is nothing to copy */
        return true;
    case 'd':
        return io_set_discard(&args->image, optarg);
    case 'f':
        args->image.format = optarg;
        return true;
    case 'i':
        return io_set_aio(&args->image, optarg);
    case 'k':
        return io_set_aio(&args->image, "native");
    case 'm':
        args->is_misaligned = true;
        return true;
    case 'n':
        return io_set_cache(&args->image, "none");
    case 'r':
        args->image.flags &= ~BDRV_O_RDWR;
        return true;
    case 's':
        return io_refuse_snapshot();
    case 't':
        return io_set_cache(&args->image, optarg);
    case 'T':
        return trace_opt_parse(optarg, &error_fatal);
    case 'U':
        args->image.force_share = true;
        return true;
    case OPTION_IMAGE_OPTS:
        args->image.is_image_opts = true;
        return true;
    case OPTION_OBJECT:
        return refuse_object(optarg);
    default:
        print_help();
        return false;
    }
}

/* Returns an exit status, or -1 to go on. */
static int parse_args(int argc, char **argv, IoArgs *args)
{
    int c;

    while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (c == 'h') {
            print_help();
            return 0;
        }
        if (c == 'V') {
            printf("qemu-io version " PROJECT_VERSION "\n");
            return 0;
        }
        if (!parse_option(c, args)) {
            return 1;
        }
    }
    if (argc - optind > 1) {
        print_help();
        return 1;
    }
    if (args->image.is_image_opts && args->image.format) {
        error_report("--image-opts and -f are mutually exclusive");
        return 1;
    }
    args->image.filename = argv[optind];
    return -1;
}

static int run(const IoArgs *args)
{
    IoSession io = {.is_misaligned = args->is_misaligned};

    if (args->image.filename && !io_open_image(&io, &args->image)) {
        return 1;
    }
    if (args->lines->len == 0) {
        io_read_commands(&io);
    }
    for (guint i = 0; i < args->lines->len && !io.is_quitting; i++) {
        io_run_line(&io, g_ptr_array_index(args->lines, i));
    }
    if (!io_close_image(&io)) {
        io.has_failed = true;
    }
    return io.has_failed;
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    IoArgs args = {
        .image = {.flags = BDRV_O_RDWR | BDRV_O_UNMAP, .writethrough = true},
        .lines = lines,
    };
    char *path_end;
    int status;

    /* A reader that goes away (`qemu-io -c map | head`) is an error of the write, not a signal. */
    signal(SIGPIPE, SIG_IGN);
    tool_init(argv[0]);
    /* getopt_long() puts this before its messages. */
    path_end = strrchr(argv[0], '/');
    argv[0] = path_end ? path_end + 1 : argv[0];

    status = parse_args(argc, argv, &args);
    if (status < 0) {
        status = run(&args);
    }
    /* Each command flushes, so an error may be an old one, its errno long gone. */
    fflush(stdout);
    if (ferror(stdout) && status == 0) {
        error_report("Could not write to standard output");
        status = 1;
    }
    return status;
}
