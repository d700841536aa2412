/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img map: which parts of a disk are stored where.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/img-extent.h"
#include "tools/qemu-img/qemu-img.h"

typedef struct MapArgs {
    ImgLine line;
    int64_t start;
    int64_t max_length; /* -1: to the end */
} MapArgs;

static bool map_can_merge(const ImgExtent *a, const ImgExtent *b)
{
    return a->is_present == b->is_present && a->is_zero == b->is_zero &&
           a->is_data == b->is_data && a->is_compressed == b->is_compressed &&
           a->depth == b->depth && a->file == b->file && a->has_offset == b->has_offset &&
           (!a->has_offset || a->offset + a->length == b->offset);
}

/* ---- output ---- */

static const char *map_bool(bool value)
{
    return value ? "true" : "false";
}

static void map_print_json(const ImgExtent *extent, bool is_first)
{
    printf("%s{ \"start\": %" PRId64 ", \"length\": %" PRId64 ", \"depth\": %d, \"present\": %s, "
           "\"zero\": %s, \"data\": %s, \"compressed\": %s",
           is_first ? "[" : ",\n", extent->start, extent->length, extent->depth,
           map_bool(extent->is_present), map_bool(extent->is_zero), map_bool(extent->is_data),
           map_bool(extent->is_compressed));
    if (extent->has_offset) {
        printf(", \"offset\": %" PRId64, extent->offset);
    }
    printf("}");
}

/* False where a data extent has no place that could be printed. */
static bool map_print_human(const ImgExtent *extent)
{
    if (!extent->is_data || extent->is_zero) {
        return true;
    }
    if (!extent->has_offset || extent->is_compressed) {
        error_report("File contains external, encrypted or compressed clusters.");
        return false;
    }
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", extent->start, extent->length,
           extent->offset, extent->file ? extent->file->filename : "");
    return true;
}

static bool map_print(const MapArgs *args, const ImgExtent *extent, bool is_first)
{
    if (args->line.output == IMG_OUTPUT_JSON) {
        map_print_json(extent, is_first);
        return true;
    }
    return map_print_human(extent);
}

/* ---- the map ---- */

static int map_image(const MapArgs *args, BlockBackend *blk)
{
    int64_t length = blk_getlength(blk);
    int64_t offset = args->start;
    ImgExtent current = {0};
    bool has_current = false, is_first = true;
    int64_t end;

    if (length < 0) {
        error_report("Could not get the length of the image: %s", strerror(-length));
        return 1;
    }
    end = args->max_length < 0 ? length : MIN(length, args->start + args->max_length);
    if (args->line.output == IMG_OUTPUT_HUMAN) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }

    while (offset < end) {
        ImgExtent extent;

        if (!img_extent_at(blk, offset, end - offset, &extent)) {
            return 1;
        }
        offset += extent.length;
        if (has_current && map_can_merge(&current, &extent)) {
            current.length += extent.length;
            continue;
        }
        if (has_current) {
            if (!map_print(args, &current, is_first)) {
                return 1;
            }
            is_first = false;
        }
        current = extent;
        has_current = true;
    }

    /* An empty disk is shown as one extent of nothing. */
    if (!map_print(args, &current, is_first)) {
        return 1;
    }
    if (args->line.output == IMG_OUTPUT_JSON) {
        printf("]\n");
    }
    return 0;
}

/* ---- command line ---- */

static bool map_parse_option(int c, void *opaque)
{
    MapArgs *args = opaque;

    switch (c) {
    case 's':
        return img_parse_size("start offset", 0, INT64_MAX, &args->start);
    case 'l':
        return img_parse_size("max length", 0, INT64_MAX, &args->max_length);
    default:
        return false;
    }
}

static int map_run(const ImgCommand *command, int argc, char **argv)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        IMG_SHARE_OPTION,
        IMG_OUTPUT_OPTION,
        {"start-offset", required_argument, NULL, 's'},
        {"max-length", required_argument, NULL, 'l'},
        {0},
    };
    MapArgs args = {.max_length = -1};
    g_autoptr(BlockBackend) blk = NULL;
    int status = img_parse_line(command, argc, argv, "s:l:", options, &args.line, map_parse_option,
                                &args);

    if (status >= 0) {
        return status;
    }
    if (args.max_length > INT64_MAX - args.start) {
        args.max_length = -1;
    }
    blk = img_open_operand(command, argc, argv, &args.line);
    return blk ? map_image(&args, blk) : 1;
}

const ImgCommand img_map_command = {
    .name = "map",
    .run = map_run,
    .summary = "Show where the data of an image is stored",
    .synopsis = "[-f FMT | --image-opts] [-s OFFSET] [-l LENGTH] [--output FORMAT] [-U] FILE",
    .help = "  -f, --format FMT           format of the image (default: probe)\n"
            "  --image-opts               FILE is an option string\n"
            "  -s, --start-offset OFFSET  where to begin (default: 0)\n"
            "  -l, --max-length LENGTH    how far to go (default: to the end)\n"
            "  --output FORMAT            human or json\n"
            "  -U, --force-share          open even where others write\n",
};
