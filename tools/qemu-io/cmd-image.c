/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that open an image, close it, or change how it is open; main() opens its operand through
 * here too.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "tools/qemu-io/qemu-io.h"

/* ---- open ---- */

bool io_open_image(IoSession *io, const ToolImage *image)
{
    Error *err = NULL;

    if (io->blk) {
        error_report("file open already, try 'help close'");
        return false;
    }
    io->blk = tool_image_open_bare(image, &err);
    if (io->blk) {
        return true;
    }
    if (image->is_image_opts || !image->filename) {
        error_reportf_err(err, "can't open: ");
    } else {
        error_reportf_err(err, "can't open device %s: ", image->filename);
    }
    return false;
}

/* An image as `open` has it where no option says otherwise: like the command line of qemu-io. */
static void tool_image_init(ToolImage *image)
{
    *image = (ToolImage){.flags = BDRV_O_RDWR | BDRV_O_UNMAP, .writethrough = true};
}

static bool add_options(json_t *options, const char *text)
{
    Error *err = NULL;

    if (!keyval_parse_into(options, text, NULL, NULL, &err)) {
        error_report_err(err);
        return false;
    }
    return true;
}

static bool open_parse_option(const IoCommand *command, int c, ToolImage *image)
{
    switch (c) {
    case 'C': /* without a backing file there is nothing to copy */
        return true;
    case 'd':
        return io_set_discard(image, optarg);
    case 'i':
        return io_set_aio(image, optarg);
    case 'k':
        return io_set_aio(image, "native");
    case 'n':
        return io_set_cache(image, "none");
    case 'o':
        return add_options(image->options, optarg);
    case 'r':
        image->flags &= ~BDRV_O_RDWR;
        return true;
    case 's':
        return io_refuse_snapshot();
    case 't':
        return io_set_cache(image, optarg);
    case 'U':
        image->force_share = true;
        return true;
    default:
        return io_print_usage(command);
    }
}

static bool open_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    json_auto_t *options = json_object();
    ToolImage image;
    int c;

    tool_image_init(&image);
    image.options = options;
    while ((c = getopt(argc, argv, "Cd:i:kno:rst:U")) != -1) {
        if (!open_parse_option(command, c, &image)) {
            return false;
        }
    }
    if (optind < argc - 1 || (optind == argc && json_object_size(options) == 0)) {
        return io_print_usage(command);
    }
    image.filename = argv[optind];
    return io_open_image(io, &image);
}

/* ---- close ---- */

bool io_close_image(IoSession *io)
{
    bool is_flushed = true;

    if (io->blk) {
        blk_drain(io->blk);
        if (blk_is_writable(io->blk)) {
            int ret = blk_flush(io->blk);

            is_flushed = ret == 0 || io_failed("flush", ret);
        }
        g_clear_pointer(&io->blk, blk_unref);
    }
    return is_flushed;
}

static bool close_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    return io_close_image(io);
}

/* ---- reopen ---- */

typedef struct ReopenArgs {
    ToolImage image; /* the flags and the write mode to be */
    bool has_access; /* -r or -w */
    bool has_cache;  /* -c */
    json_t *options; /* owned */
} ReopenArgs;

static bool reopen_set_access(ReopenArgs *args, bool is_writable)
{
    if (args->has_access) {
        error_report("Only one -r/-w option may be given");
        return false;
    }
    args->has_access = true;
    args->image.flags = (args->image.flags & ~BDRV_O_RDWR) | (is_writable ? BDRV_O_RDWR : 0);
    return true;
}

static bool reopen_parse_option(const IoCommand *command, int c, ReopenArgs *args)
{
    switch (c) {
    case 'c':
        args->has_cache = true;
        return io_set_cache(&args->image, optarg);
    case 'o':
        return add_options(args->options, optarg);
    case 'r':
        return reopen_set_access(args, false);
    case 'w':
        return reopen_set_access(args, true);
    default:
        return io_print_usage(command);
    }
}

/* -o must not say otherwise than the letters do. */
static bool reopen_check(const ReopenArgs *args)
{
    if (args->has_access && json_object_get(args->options, "read-only")) {
        error_report("Cannot set both -r/-w and 'read-only'");
        return false;
    }
    if (args->has_cache && json_object_get(args->options, "cache")) {
        error_report("Cannot set both -c and the cache options");
        return false;
    }
    return true;
}

static bool reopen_parse(const IoCommand *command, int argc, char **argv, ReopenArgs *args)
{
    int c;

    while ((c = getopt(argc, argv, "c:o:rw")) != -1) {
        if (!reopen_parse_option(command, c, args)) {
            return false;
        }
    }
    if (optind != argc) {
        return io_print_usage(command);
    }
    return reopen_check(args);
}

static bool reopen_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    json_auto_t *options = json_object();
    ReopenArgs args = {
        .image = {.flags = blk_bs(io->blk)->open_flags,
                  .writethrough = !blk_enable_write_cache(io->blk)},
        .options = options,
    };
    Error *err = NULL;

    if (!reopen_parse(command, argc, argv, &args)) {
        return false;
    }
    if (blk_reopen(io->blk, json_incref(options), args.image.flags, &err) < 0) {
        error_report_err(err);
        return false;
    }
    blk_set_enable_write_cache(io->blk, !args.image.writethrough);
    return true;
}

static const IoCommand commands[] = {
    {
        .name = "open",
        .alias = "o",
        .run = open_run,
        .min_args = 1,
        .max_args = IO_ANY_ARGS,
        .args = "[-rsCnkU] [-t cache] [-d discard] [-i aio] [-o options] [path]",
        .summary = "open an image for the other commands",
        .help =
            " -r       for reading only\n"
            " -n       bypass the host's page cache, like -t none\n"
            " -t MODE  cache mode: writethrough (the default), writeback, none, ...\n"
            " -d MODE  what becomes of discards: ignore or unmap (the default)\n"
            " -i MODE  how requests reach the kernel: threads, native or io_uring\n"
            " -k       the same as -i native\n"
            " -o OPTS  further options of the image, key=value[,...]; path may then be missing\n"
            " -U       open even where others write; needs -r\n"
            " -s       put a temporary overlay on it: not possible\n"
            " -C       copy on read; has no effect on an image without backing file\n",
    },
    {
        .name = "close",
        .alias = "c",
        .run = close_run,
        .needs_file = true,
        .args = "",
        .summary = "close the image",
    },
    {
        .name = "reopen",
        .run = reopen_run,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .args = "[(-r|-w)] [-c cache] [-o options]",
        .summary = "change how the image is open",
        .help = " -r       for reading only\n"
                " -w       for reading and writing\n"
                " -c MODE  cache mode, as in open\n"
                " -o OPTS  options of the image, key=value[,...]\n",
    },
};

const IoCommandGroup io_image_commands = {commands, ARRAY_SIZE(commands)};
