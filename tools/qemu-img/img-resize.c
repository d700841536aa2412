/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img resize: change the length of a disk.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qapi/qapi-types.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/qemu-img.h"

typedef struct ResizeArgs {
    ImgLine line;
    PreallocMode prealloc;
    const char *size; /* as typed: SIZE, +SIZE or -SIZE */
    bool may_shrink;
} ResizeArgs;

/* The new length from the typed one; false (reported) where there is none such. */
static bool resize_target(const ResizeArgs *args, int64_t current, int64_t *target)
{
    bool is_relative = args->size[0] == '+' || args->size[0] == '-';
    Error *err = NULL;
    int64_t amount = parse_size_arg("image size", args->size + is_relative, 0, INT64_MAX, &err);

    if (err) {
        error_report_err(err);
        return false;
    }
    *target = amount;
    if (args->size[0] == '+') {
        *target = amount > INT64_MAX - current ? -1 : current + amount;
    } else if (args->size[0] == '-') {
        *target = current - amount;
    }
    if (*target <= 0 || *target > BDRV_MAX_LENGTH) {
        error_report("New image size must be positive and below %" PRId64 ", got '%s'",
                     (int64_t)BDRV_MAX_LENGTH, args->size);
        return false;
    }
    *target = ROUND_UP(*target, BDRV_SECTOR_SIZE);
    return true;
}

static int resize_image(const ResizeArgs *args, BlockBackend *blk)
{
    int64_t current = blk_getlength(blk);
    Error *err = NULL;
    int64_t target;

    if (current < 0) {
        error_report("Could not get the length of the image: %s", strerror(-current));
        return 1;
    }
    if (!resize_target(args, current, &target)) {
        return 1;
    }
    if (target < current && !args->may_shrink) {
        error_report("Use the --shrink option to perform a shrink operation.");
        warn_report("Shrinking an image will delete all data beyond the shrunken image's end. "
                    "Before performing such an operation, make sure there is no important data "
                    "there.");
        return 1;
    }
    if (target <= current && args->prealloc != PREALLOC_MODE_OFF) {
        error_report("Preallocation can only be used for growing images");
        return 1;
    }
    if (blk_truncate(blk, target, false, args->prealloc, 0, &err) < 0) {
        error_report_err(err);
        return 1;
    }
    if (!args->line.is_quiet) {
        printf("Image resized.\n");
    }
    return 0;
}

/* ---- command line ---- */

enum {
    OPTION_PREALLOCATION = IMG_OPTION_OWN,
    OPTION_SHRINK,
};

static bool resize_parse_prealloc(const char *mode, ResizeArgs *args)
{
    Error *err = NULL;
    int value = qapi_enum_parse(&qapi_info_PreallocMode, "preallocation", mode, &err);

    if (value < 0) {
        error_report_err(err);
        return false;
    }
    args->prealloc = value;
    return true;
}

static bool resize_parse_option(int c, void *opaque)
{
    ResizeArgs *args = opaque;

    switch (c) {
    case OPTION_PREALLOCATION:
        return resize_parse_prealloc(optarg, args);
    case OPTION_SHRINK:
        args->may_shrink = true;
        return true;
    default:
        return false;
    }
}

/*
 * Take the size off the end of the command line before options are looked for: -SIZE looks like
 * one. Returns the number of words that are left.
 */
static int resize_take_size(int argc, char **argv, ResizeArgs *args)
{
    bool is_help = argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0);

    if (argc < 2 || is_help) {
        return argc;
    }
    args->size = argv[argc - 1];
    argv[argc - 1] = NULL;
    return argc - 1;
}

static int resize_run(const ImgCommand *command, int argc, char **argv)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        {"preallocation", required_argument, NULL, OPTION_PREALLOCATION},
        {"shrink", no_argument, NULL, OPTION_SHRINK},
        {0},
    };
    ResizeArgs args = {.prealloc = PREALLOC_MODE_OFF,
                       .line = {.image = {.flags = BDRV_O_RDWR}}};
    g_autoptr(BlockBackend) blk = NULL;
    int status;

    argc = resize_take_size(argc, argv, &args);
    status = img_parse_line(command, argc, argv, "", options, &args.line, resize_parse_option,
                            &args);
    if (status >= 0) {
        return status;
    }
    if (!args.size || optind >= argc) {
        return img_usage_error(command, "Expecting image file name and size");
    }
    blk = img_open_operand(command, argc, argv, &args.line);
    return blk ? resize_image(&args, blk) : 1;
}

const ImgCommand img_resize_command = {
    .name = "resize",
    .run = resize_run,
    .summary = "Change the length of an image",
    .synopsis = "[-f FMT | --image-opts] [--preallocation MODE] [--shrink] [-q] FILE [+-]SIZE",
    .help = "  -f, --format FMT         format of the image (default: probe)\n"
            "  --image-opts             FILE is an option string\n"
            "  --preallocation MODE     off, metadata, falloc or full, for the space that is added\n"
            "  --shrink                 allow making it shorter, which deletes data\n"
            "  -q, --quiet              print errors only\n"
            "  SIZE                     the new length, or with + or - by how much to change it\n",
};
