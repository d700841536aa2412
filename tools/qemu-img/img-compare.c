/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img compare: do two images show the same disk?
 *
 * Both disks are gone through together, in stretches in which each of them is alike.  What is zero
 * on both sides is not read; otherwise both are read at the same time.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/buffer.h"
#include "qemu/error-report.h"
#include "tools/common/tool-progress.h"
#include "tools/qemu-img/img-extent.h"
#include "tools/qemu-img/qemu-img.h"

/* Bytes of each image that are read at a time. */
#define COMPARE_CHUNK (2 * MiB)

/* Exit statuses; see the manual page. */
enum {
    COMPARE_SAME = 0,
    COMPARE_DIFFERENT = 1,
    COMPARE_OPEN_FAILED = 2,
    COMPARE_STATUS_FAILED = 3,
    COMPARE_READ_FAILED = 4,
};

typedef struct CompareSide {
    const char *filename;
    BlockBackend *blk;
    int64_t size;
    ImgExtent extent; /* the one that was looked at last */
    void *buffer;
    QEMUIOVector qiov;
    int *in_flight;
    int ret;
} CompareSide;

typedef struct CompareArgs {
    ImgLine line; /* -f is the format of the first image */
    const char *second_format;
    bool is_strict;
    bool shows_progress;
} CompareArgs;

typedef struct Compare {
    CompareSide side[2];
    int in_flight;
    bool is_strict;
    bool is_quiet;
    ToolProgress progress;
} Compare;

static int G_GNUC_PRINTF(2, 3) compare_say(const Compare *compare, const char *fmt, ...)
{
    if (!compare->is_quiet) {
        va_list args;

        va_start(args, fmt);
        vprintf(fmt, args);
        va_end(args);
    }
    return COMPARE_DIFFERENT;
}

/* ---- reading ---- */

static void compare_read_done(void *opaque, int ret)
{
    CompareSide *side = opaque;

    side->ret = ret;
    --*side->in_flight;
}

static void compare_start_read(Compare *compare, CompareSide *side, int64_t offset, int64_t bytes)
{
    side->in_flight = &compare->in_flight;
    compare->in_flight++;
    qemu_iovec_init_buf(&side->qiov, side->buffer, bytes);
    blk_aio_preadv(side->blk, offset, &side->qiov, 0, compare_read_done, side);
}

/* Wait for all reads; false (reported) where one of them failed. */
static bool compare_finish_reads(Compare *compare, int64_t offset)
{
    bool is_ok = true;

    AIO_WAIT_WHILE(qemu_get_aio_context(), compare->in_flight > 0);
    for (size_t i = 0; i < ARRAY_SIZE(compare->side); i++) {
        CompareSide *side = &compare->side[i];

        if (side->ret < 0) {
            error_report("Error while reading offset %" PRId64 " of %s: %s", offset,
                         side->filename, bdrv_strerror(-side->ret));
            is_ok = false;
        }
    }
    return is_ok;
}

/* ---- one stretch ---- */

/* Print where, within @bytes that are known to differ, they begin to do so; in whole sectors. */
static int compare_differ(const Compare *compare, int64_t offset, int64_t bytes, const char *a,
                          const char *b)
{
    int64_t at = 0;

    while (at + BDRV_SECTOR_SIZE < bytes &&
           (b ? memcmp(a + at, b + at, BDRV_SECTOR_SIZE) == 0
              : buffer_is_zero(a + at, BDRV_SECTOR_SIZE))) {
        at += BDRV_SECTOR_SIZE;
    }
    return compare_say(compare, "Content mismatch at offset %" PRId64 "!\n", offset + at);
}

/* The content of both images, neither of which is known to be zero. */
static int compare_data(Compare *compare, int64_t offset, int64_t bytes)
{
    const char *a = compare->side[0].buffer, *b = compare->side[1].buffer;

    compare_start_read(compare, &compare->side[0], offset, bytes);
    compare_start_read(compare, &compare->side[1], offset, bytes);
    if (!compare_finish_reads(compare, offset)) {
        return COMPARE_READ_FAILED;
    }
    return memcmp(a, b, bytes) == 0 ? COMPARE_SAME : compare_differ(compare, offset, bytes, a, b);
}

/* The content of @side against zeroes. */
static int compare_with_zeroes(Compare *compare, CompareSide *side, int64_t offset, int64_t bytes)
{
    compare_start_read(compare, side, offset, bytes);
    if (!compare_finish_reads(compare, offset)) {
        return COMPARE_READ_FAILED;
    }
    return buffer_is_zero(side->buffer, bytes)
               ? COMPARE_SAME
               : compare_differ(compare, offset, bytes, side->buffer, NULL);
}

/* Look up the extent of @side at @offset; false (reported) where that fails. */
static bool compare_look(CompareSide *side, int64_t offset)
{
    if (offset < side->extent.start + side->extent.length) {
        return true;
    }
    return img_extent_at(side->blk, offset, side->size - offset, &side->extent);
}

static bool extents_are_alike(const ImgExtent *a, const ImgExtent *b)
{
    return a->is_present == b->is_present && a->is_zero == b->is_zero && a->is_data == b->is_data;
}

/* Compare a stretch of both images that begins at @offset; how long it was goes to *@done. */
static int compare_stretch(Compare *compare, int64_t offset, int64_t *done)
{
    CompareSide *a = &compare->side[0], *b = &compare->side[1];
    int64_t bytes;

    if (!compare_look(a, offset) || !compare_look(b, offset)) {
        return COMPARE_STATUS_FAILED;
    }
    if (compare->is_strict && !extents_are_alike(&a->extent, &b->extent)) {
        return compare_say(compare, "Strict mode: Offset %" PRId64 " block status mismatch!\n",
                           offset);
    }
    bytes = MIN(a->extent.start + a->extent.length, b->extent.start + b->extent.length) - offset;
    if (a->extent.is_zero && b->extent.is_zero) {
        *done = bytes;
        return COMPARE_SAME;
    }
    bytes = MIN(bytes, COMPARE_CHUNK);
    *done = bytes;
    if (a->extent.is_zero || b->extent.is_zero) {
        return compare_with_zeroes(compare, a->extent.is_zero ? b : a, offset, bytes);
    }
    return compare_data(compare, offset, bytes);
}

/* The same for what only the longer image has, which must be zero. */
static int compare_tail_stretch(Compare *compare, CompareSide *side, int64_t offset, int64_t *done)
{
    if (!compare_look(side, offset)) {
        return COMPARE_STATUS_FAILED;
    }
    *done = side->extent.start + side->extent.length - offset;
    if (side->extent.is_zero) {
        return COMPARE_SAME;
    }
    *done = MIN(*done, COMPARE_CHUNK);
    return compare_with_zeroes(compare, side, offset, *done);
}

/* ---- the whole ---- */

static int compare_disks(Compare *compare)
{
    CompareSide *longer = &compare->side[compare->side[1].size > compare->side[0].size];
    int64_t common = MIN(compare->side[0].size, compare->side[1].size);
    int status = COMPARE_SAME;
    int64_t done = 0;

    if (longer->size != common && compare->is_strict) {
        return compare_say(compare, "Strict mode: Image size mismatch!\n");
    }
    for (int64_t offset = 0; offset < common && status == COMPARE_SAME; offset += done) {
        status = compare_stretch(compare, offset, &done);
        tool_progress_add(&compare->progress, status == COMPARE_SAME ? done : 0);
    }
    if (longer->size == common || status != COMPARE_SAME) {
        return status;
    }
    compare_say(compare, "Warning: Image size mismatch!\n");
    for (int64_t offset = common; offset < longer->size && status == COMPARE_SAME;
         offset += done) {
        status = compare_tail_stretch(compare, longer, offset, &done);
        tool_progress_add(&compare->progress, status == COMPARE_SAME ? done : 0);
    }
    return status;
}

/* Open one image; false (reported) where that fails. */
static bool compare_open_side(CompareSide *side, const CompareArgs *args, const char *filename,
                              const char *format)
{
    ToolImage image = args->line.image;
    Error *err = NULL;

    image.filename = filename;
    image.format = format;
    side->filename = filename;
    side->blk = tool_image_open(&image, &err);
    if (!side->blk) {
        error_report_err(err);
        return false;
    }
    side->size = blk_getlength(side->blk);
    if (side->size < 0) {
        error_report("Can't get size of %s: %s", filename, strerror(-side->size));
        return false;
    }
    side->buffer = blk_blockalign(side->blk, COMPARE_CHUNK);
    return true;
}

static void compare_close_side(CompareSide *side)
{
    qemu_vfree(side->buffer);
    if (side->blk) {
        blk_unref(side->blk);
    }
}

static int compare_images(const CompareArgs *args, char **filenames)
{
    Compare compare = {.is_strict = args->is_strict, .is_quiet = args->line.is_quiet};
    int status = COMPARE_OPEN_FAILED;

    if (compare_open_side(&compare.side[0], args, filenames[0], args->line.image.format) &&
        compare_open_side(&compare.side[1], args, filenames[1], args->second_format)) {
        tool_progress_begin(&compare.progress, args->shows_progress,
                            MAX(compare.side[0].size, compare.side[1].size));
        status = compare_disks(&compare);
        tool_progress_end(&compare.progress);
        if (status == COMPARE_SAME) {
            compare_say(&compare, "Images are identical.\n");
        }
    }
    compare_close_side(&compare.side[0]);
    compare_close_side(&compare.side[1]);
    return status;
}

/* ---- command line ---- */

static bool compare_parse_option(int c, void *opaque)
{
    CompareArgs *args = opaque;

    switch (c) {
    case 'F':
        args->second_format = optarg;
        return true;
    case 's':
        args->is_strict = true;
        return true;
    case 'p':
        args->shows_progress = true;
        return true;
    case 'T':
        return img_parse_cache("Invalid source cache option", &args->line.image);
    default:
        return false;
    }
}

static int compare_run(const ImgCommand *command, int argc, char **argv)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        IMG_SHARE_OPTION,
        {"b-format", required_argument, NULL, 'F'},
        {"strict", no_argument, NULL, 's'},
        {"progress", no_argument, NULL, 'p'},
        {"cache", required_argument, NULL, 'T'},
        {0},
    };
    CompareArgs args = {0};
    int status = img_parse_line(command, argc, argv, "F:spT:", options, &args.line,
                                compare_parse_option, &args);

    if (status >= 0) {
        return status;
    }
    if (argc - optind != 2) {
        return img_usage_error(command, "Expecting two image file names");
    }
    if (args.line.image.is_image_opts && args.second_format) {
        return img_usage_error(command, "--image-opts and --b-format are mutually exclusive");
    }
    return compare_images(&args, argv + optind);
}

const ImgCommand img_compare_command = {
    .name = "compare",
    .run = compare_run,
    .summary = "Tell whether two images show the same disk",
    .synopsis = "[-f FMT] [-F FMT] [--image-opts] [-s] [-T CACHE] [-U] [-p] [-q] FILE1 FILE2",
    .help = "  -f, --format FMT    format of FILE1 (default: probe)\n"
            "  -F, --b-format FMT  format of FILE2 (default: probe)\n"
            "  --image-opts        FILE1 and FILE2 are option strings\n"
            "  -s, --strict        sizes must be equal, and what is allocated\n"
            "  -T, --cache CACHE   cache mode for both (default: writeback)\n"
            "  -U, --force-share   open even where others write\n"
            "  -p, --progress      show how far it has come\n"
            "  -q, --quiet         print errors only; the exit status tells\n"
            "\n"
            "Exit status: 0 same, 1 different (or wrong usage), 2 an image could not be opened,\n"
            "3 its allocation could not be read, 4 its content could not be read\n",
};
