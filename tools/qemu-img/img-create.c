/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img create: parse the command line; block/block-create.c does the work.
 */
#include "qemu/osdep.h"

#include "block/block-create.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "tools/qemu-img/qemu-img.h"

typedef struct CreateArgs {
    const char *format;
    json_t *words;      /* -o and what other options stand for */
    bool wants_help;    /* -o help */
    unsigned int flags; /* BDRV_CREATE_* */
} CreateArgs;

static bool create_add_word(CreateArgs *args, const char *word, const char *value)
{
    json_t *text = json_string(value);

    if (!text) {
        error_report("'%s' is not valid UTF-8", value);
        return false;
    }
    json_object_set_new(args->words, word, text);
    return true;
}

/* Returns an exit status, or -1 to go on. */
static int create_parse(const ImgCommand *command, int argc, char **argv, CreateArgs *args)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'},
        {"options", required_argument, NULL, 'o'},
        {"backing", required_argument, NULL, 'b'},
        {"backing-format", required_argument, NULL, 'F'},
        {"backing-unsafe", no_argument, NULL, 'u'},
        {"quiet", no_argument, NULL, 'q'},
        {0},
    };
    Error *err = NULL;
    int c;

    while ((c = img_getopt(command, argc, argv, "f:o:b:B:F:uq", options)) != -1) {
        switch (c) {
        case 'f':
            args->format = optarg;
            break;
        case 'o':
            if (!keyval_parse_into(args->words, optarg, NULL, &args->wants_help, &err)) {
                error_report_err(err);
                return 1;
            }
            break;
        case 'b':
            if (!create_add_word(args, "backing_file", optarg)) {
                return 1;
            }
            break;
        case 'B':
        case 'F':
            if (!create_add_word(args, "backing_fmt", optarg)) {
                return 1;
            }
            break;
        case 'u':
            args->flags |= BDRV_CREATE_BACKING_UNSEEN;
            break;
        case 'q':
            args->flags |= BDRV_CREATE_QUIET;
            break;
        case 'h':
            return img_print_help(command);
        default:
            return 1;
        }
    }
    return -1;
}

static bool create_parse_size(const ImgCommand *command, int argc, char **argv, int64_t *size)
{
    Error *err = NULL;

    *size = -1;
    if (optind + 1 >= argc) {
        return true;
    }
    *size = parse_size_arg("image size", argv[optind + 1], 0, INT64_MAX, &err);
    if (err) {
        error_report_err(err);
        return false;
    }
    if (optind + 2 < argc) {
        img_usage_error(command, "Unexpected argument: %s", argv[optind + 2]);
        return false;
    }
    return true;
}

static int create_run(const ImgCommand *command, int argc, char **argv)
{
    CreateArgs args = {.format = "raw", .words = json_object()};
    Error *err = NULL;
    const char *filename;
    int64_t size;
    int status = create_parse(command, argc, argv, &args);

    if (status < 0 && args.wants_help) {
        status = bdrv_print_create_help(args.format, &err) ? 0 : 1;
        if (err) {
            error_report_err(err);
        }
    }
    if (status < 0 && optind >= argc) {
        status = img_usage_error(command, "Image file name missing");
    }
    if (status < 0 && !create_parse_size(command, argc, argv, &size)) {
        status = 1;
    }
    if (status >= 0) {
        json_decref(args.words);
        return status;
    }

    filename = argv[optind];
    if (!bdrv_img_create(filename, args.format, args.words, size, args.flags, &err)) {
        error_report_err(err);
        return 1;
    }
    return 0;
}

const ImgCommand img_create_command = {
    .name = "create",
    .run = create_run,
    .summary = "Create a new image",
    .synopsis = "[-f FMT] [-o OPTS]... [-b BACKING -B FMT [-u]] [-q] FILE [SIZE]",
    .help = "  -f, --format FMT           format of the image (default: raw)\n"
            "  -o, --options OPTS         options of the format, KEY=VALUE,...; '-o help' lists them\n"
            "  -b, --backing BACKING      base image, whose content shows where nothing was written\n"
            "  -B, -F, --backing-format FMT\n"
            "                             format of the base image\n"
            "  -u, --backing-unsafe       do not look at the base image, which need not exist\n"
            "  -q, --quiet                print errors only\n"
            "  FILE                       the image to make; it is overwritten if it exists\n"
            "  SIZE                       length of the disk (default: that of the base image); suffixes\n"
            "                             k M G T P E\n",
};
