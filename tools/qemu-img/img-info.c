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
    ToolImage image;
    ImgOutputFormat output;
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

static int info_image(const InfoArgs *args, BlockBackend *blk)
{
    Error *err = NULL;
    g_autoptr(ImageInfo) info = bdrv_query_image_info(blk_bs(blk), &err);
    json_t *object;

    if (!info) {
        error_report_err(err);
        return 1;
    }
    if (!args->shows_limits) {
        info_drop_all_limits(info);
    }
    if (args->output == IMG_OUTPUT_HUMAN) {
        image_info_print(info);
        return 0;
    }
    object = qapi_ImageInfo_to_json(info);
    if (args->is_chain) {
        json_t *chain = json_array();

        json_array_append_new(chain, object);
        object = chain;
    }
    img_print_json(object);
    json_decref(object);
    return 0;
}

enum {
    OPTION_OUTPUT = 256,
    OPTION_IMAGE_OPTS,
    OPTION_BACKING_CHAIN,
    OPTION_LIMITS,
};

static bool info_parse_option(int c, InfoArgs *args)
{
    switch (c) {
    case 'f':
        args->image.format = optarg;
        return true;
    case 't':
        if (!tool_image_set_cache(&args->image, optarg)) {
            error_report("Invalid cache option: %s", optarg);
            return false;
        }
        return true;
    case 'U':
        args->image.force_share = true;
        return true;
    case OPTION_OUTPUT:
        return img_parse_output(optarg, &args->output);
    case OPTION_IMAGE_OPTS:
        args->image.is_image_opts = true;
        return true;
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
        {"format", required_argument, NULL, 'f'},
        {"cache", required_argument, NULL, 't'},
        {"force-share", no_argument, NULL, 'U'},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"image-opts", no_argument, NULL, OPTION_IMAGE_OPTS},
        {"backing-chain", no_argument, NULL, OPTION_BACKING_CHAIN},
        {"limits", no_argument, NULL, OPTION_LIMITS},
        {0},
    };
    InfoArgs args = {.image = {.flags = BDRV_O_NO_IO}};
    g_autoptr(BlockBackend) blk = NULL;
    Error *err = NULL;
    int c;

    while ((c = img_getopt(command, argc, argv, "f:t:U", options)) != -1) {
        if (c == 'h') {
            return img_print_help(command);
        }
        if (!info_parse_option(c, &args)) {
            return 1;
        }
    }
    args.image.filename = img_single_operand(command, argc, argv);
    if (!args.image.filename) {
        return 1;
    }
    blk = tool_image_open(&args.image, &err);
    if (!blk) {
        error_report_err(err);
        return 1;
    }
    return info_image(&args, blk);
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
