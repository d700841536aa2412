/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img info: what an image is, without looking at its data.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/common/image-info-print.h"
#include "tools/qemu-img/qemu-img.h"

typedef struct InfoArgs {
    ImgLine line;
    bool is_chain;
    bool shows_limits;
} InfoArgs;

static void info_drop_limits(BlockLimitsInfo **limits)
{
    qapi_free_BlockLimitsInfo(*limits);
    *limits = NULL;
}

/* The query tells everything; limits are printed only where they are asked for. */
static void info_drop_all_limits(ImageInfo *info)
{
    info_drop_limits(&info->limits);
    for (BlockChildInfoList *child = info->children; child; child = child->next) {
        info_drop_limits(&child->value->info->limits);
    }
}

/* What there is to say of @bs; NULL: reported. */
static ImageInfo *info_query(const InfoArgs *args, BlockDriverState *bs)
{
    Error *err = NULL;
    ImageInfo *info = bdrv_query_image_info(bs, &err);

    if (!info) {
        error_report_err(err);
        return NULL;
    }
    if (!args->shows_limits) {
        info_drop_all_limits(info);
    }
    return info;
}

/* Of the image on @bs and, if asked for, of those below it: print it, or add it to @objects. */
static int info_images(const InfoArgs *args, BlockDriverState *bs, json_t *objects)
{
    bool is_first = true;

    for (; bs; bs = args->is_chain && bs->backing ? bs->backing->bs : NULL) {
        g_autoptr(ImageInfo) info = info_query(args, bs);

        if (!info) {
            return 1;
        }
        if (args->line.output == IMG_OUTPUT_JSON) {
            json_array_append_new(objects, qapi_ImageInfo_to_json(info));
        } else {
            printf("%s", is_first ? "" : "\n");
            image_info_print(info);
        }
        is_first = false;
    }
    return 0;
}

static int info_image(const InfoArgs *args, BlockBackend *blk)
{
    json_t *objects = json_array();
    int status = info_images(args, blk_bs(blk), objects);

    if (status == 0 && args->line.output == IMG_OUTPUT_JSON) {
        img_print_json(args->is_chain ? objects : json_array_get(objects, 0));
    }
    json_decref(objects);
    return status;
}

enum {
    OPTION_BACKING_CHAIN = IMG_OPTION_OWN,
    OPTION_LIMITS,
};

static bool info_parse_option(int c, void *opaque)
{
    InfoArgs *args = opaque;

    switch (c) {
    case 't':
        return img_parse_cache("Invalid cache option", &args->line.image);
    case OPTION_BACKING_CHAIN:
        args->is_chain = true;
        return true;
    case OPTION_LIMITS:
        args->shows_limits = true;
        return true;
    default:
        return false;
    }
}

static int info_run(const ImgCommand *command, int argc, char **argv)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        IMG_SHARE_OPTION,
        IMG_OUTPUT_OPTION,
        {"cache", required_argument, NULL, 't'},
        {"backing-chain", no_argument, NULL, OPTION_BACKING_CHAIN},
        {"limits", no_argument, NULL, OPTION_LIMITS},
        {0},
    };
    InfoArgs args = {.line = {.image = {.flags = BDRV_O_NO_IO}}};
    g_autoptr(BlockBackend) blk = NULL;
    int status = img_parse_line(command, argc, argv, "t:", options, &args.line, info_parse_option,
                                &args);

    if (status >= 0) {
        return status;
    }
    if (!args.is_chain) {
        args.line.image.flags |= BDRV_O_NO_BACKING;
    }
    blk = img_open_operand(command, argc, argv, &args.line);
    return blk ? info_image(&args, blk) : 1;
}

const ImgCommand img_info_command = {
    .name = "info",
    .run = info_run,
    .summary = "Show what an image is",
    .synopsis = "[-f FMT | --image-opts] [--output FORMAT] [--backing-chain] [--limits] [-t CACHE] [-U] FILE",
    .help = "  -f, --format FMT     format of the image (default: probe)\n"
            "  --image-opts         FILE is an option string\n"
            "  --output FORMAT      human or json\n"
            "  --backing-chain      the images below it too\n"
            "  --limits             what requests it takes\n"
            "  -t, --cache CACHE    cache mode (default: writeback)\n"
            "  -U, --force-share    open even where others write\n",
};
