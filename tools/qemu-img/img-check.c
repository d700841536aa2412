/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img check: verify the metadata of an image and, if asked, repair it.
 *
 * The exit status tells scripts what was found: 0 nothing, 1 the check could not be made, 2
 * corruption, 3 leaks only, 63 the format has nothing to check.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qapi/qapi-types.h"
#include "qapi/qapi-visit.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/qemu-img.h"

enum {
    STATUS_CLEAN = 0,
    STATUS_FAILED = 1,
    STATUS_CORRUPT = 2,
    STATUS_LEAKS = 3,
    STATUS_UNSUPPORTED = 63,
};

typedef struct CheckArgs {
    ImgLine line;
    BdrvCheckMode fix;
} CheckArgs;

typedef struct CheckRun {
    BlockDriverState *bs;
    BdrvCheckMode fix;
    BdrvCheckResult result;
} CheckRun;

static int coroutine_fn check_entry(void *opaque)
{
    CheckRun *run = opaque;

    return bdrv_co_check(run->bs, &run->result, run->fix);
}

static int check_once(BlockBackend *blk, BdrvCheckMode fix, BdrvCheckResult *result)
{
    CheckRun run = {.bs = blk_bs(blk), .fix = fix};
    int ret = bdrv_run_co(blk_get_aio_context(blk), check_entry, &run);

    *result = run.result;
    return ret;
}

/* ---- output ---- */

static void check_print_findings(const BdrvCheckResult *result)
{
    if (!result->corruptions && !result->leaks && !result->check_errors) {
        printf("No errors were found on the image.\n");
        return;
    }
    if (result->corruptions) {
        printf("\n%d errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               result->corruptions);
    }
    if (result->leaks) {
        printf("\n%d leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               result->leaks);
    }
    if (result->check_errors) {
        printf("\n%d internal errors have occurred during the check.\n", result->check_errors);
    }
}

static void check_print_human(const BdrvCheckResult *result)
{
    uint64_t allocated = result->allocated_clusters;

    check_print_findings(result);
    if (allocated && result->total_clusters) {
        printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated, %.2f%% fragmented, "
               "%.2f%% compressed clusters\n",
               allocated, result->total_clusters, allocated * 100.0 / result->total_clusters,
               result->fragmented_clusters * 100.0 / allocated,
               result->compressed_clusters * 100.0 / allocated);
    }
    if (result->image_end_offset > 0) {
        printf("Image end offset: %" PRId64 "\n", result->image_end_offset);
    }
}

static void check_print_repairs(const BdrvCheckResult *result)
{
    printf("The following inconsistencies were found and repaired:\n\n"
           "    %d leaked clusters\n"
           "    %d corruptions\n\n"
           "Double checking the fixed image now...\n",
           result->leaks_fixed, result->corruptions_fixed);
}

static void check_print_json(const CheckArgs *args, BlockBackend *blk,
                             const BdrvCheckResult *result)
{
    ImageCheck check = {
        .filename = (char *)args->line.image.filename,
        .format = (char *)bdrv_get_format_name(blk_bs(blk)),
        .check_errors = result->check_errors,
        .has_image_end_offset = result->image_end_offset != 0,
        .image_end_offset = result->image_end_offset,
        .has_corruptions = result->corruptions != 0,
        .corruptions = result->corruptions,
        .has_leaks = result->leaks != 0,
        .leaks = result->leaks,
        .has_corruptions_fixed = result->corruptions_fixed != 0,
        .corruptions_fixed = result->corruptions_fixed,
        .has_leaks_fixed = result->leaks_fixed != 0,
        .leaks_fixed = result->leaks_fixed,
        .has_total_clusters = result->total_clusters != 0,
        .total_clusters = result->total_clusters,
        .has_allocated_clusters = result->allocated_clusters != 0,
        .allocated_clusters = result->allocated_clusters,
        .has_fragmented_clusters = result->fragmented_clusters != 0,
        .fragmented_clusters = result->fragmented_clusters,
        .has_compressed_clusters = result->compressed_clusters != 0,
        .compressed_clusters = result->compressed_clusters,
    };
    json_t *object = qapi_ImageCheck_to_json(&check);

    img_print_json(object);
    json_decref(object);
}

/* ---- the check ---- */

static int check_status(const BdrvCheckResult *result)
{
    if (result->check_errors) {
        return STATUS_FAILED;
    }
    if (result->corruptions) {
        return STATUS_CORRUPT;
    }
    return result->leaks ? STATUS_LEAKS : STATUS_CLEAN;
}

static int check_image(const CheckArgs *args, BlockBackend *blk)
{
    BdrvCheckResult result;
    int ret = check_once(blk, args->fix, &result);

    if (ret == -ENOTSUP) {
        error_report("This image format does not support checks");
        return STATUS_UNSUPPORTED;
    }
    if (ret == 0 && (result.corruptions_fixed || result.leaks_fixed)) {
        int leaks_fixed = result.leaks_fixed, corruptions_fixed = result.corruptions_fixed;

        if (args->line.output == IMG_OUTPUT_HUMAN && !args->line.is_quiet) {
            check_print_repairs(&result);
        }
        ret = check_once(blk, 0, &result);
        result.leaks_fixed = leaks_fixed;
        result.corruptions_fixed = corruptions_fixed;
    }
    if (ret < 0) {
        error_report("Check failed: %s", strerror(-ret));
        return STATUS_FAILED;
    }

    if (args->line.is_quiet) {
        return check_status(&result);
    }
    if (args->line.output == IMG_OUTPUT_JSON) {
        check_print_json(args, blk, &result);
    } else {
        check_print_human(&result);
    }
    return check_status(&result);
}

/* ---- command line ---- */

static bool check_parse_repair(const char *what, CheckArgs *args)
{
    if (strcmp(what, "leaks") == 0) {
        args->fix = BDRV_FIX_LEAKS;
    } else if (strcmp(what, "all") == 0) {
        args->fix = BDRV_FIX_LEAKS | BDRV_FIX_ERRORS;
    } else {
        error_report("-r expects the option value leaks or all, got '%s'", what);
        return false;
    }
    args->line.image.flags |= BDRV_O_RDWR;
    return true;
}

static bool check_parse_option(int c, void *opaque)
{
    CheckArgs *args = opaque;

    switch (c) {
    case 'r':
        return check_parse_repair(optarg, args);
    case 'T':
        return img_parse_cache("Invalid source cache option", &args->line.image);
    default:
        return false;
    }
}

static int check_run(const ImgCommand *command, int argc, char **argv)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        IMG_SHARE_OPTION,
        IMG_OUTPUT_OPTION,
        {"repair", required_argument, NULL, 'r'},
        {"cache", required_argument, NULL, 'T'},
        {0},
    };
    CheckArgs args = {.line = {.image = {.flags = BDRV_O_CHECK | BDRV_O_NO_BACKING}}};
    g_autoptr(BlockBackend) blk = NULL;
    int status = img_parse_line(command, argc, argv, "r:T:", options, &args.line,
                                check_parse_option, &args);

    if (status >= 0) {
        return status;
    }
    blk = img_open_operand(command, argc, argv, &args.line);
    return blk ? check_image(&args, blk) : STATUS_FAILED;
}

const ImgCommand img_check_command = {
    .name = "check",
    .run = check_run,
    .summary = "Check an image for errors and repair them",
    .synopsis = "[-f FMT | --image-opts] [-r leaks|all] [--output FORMAT] [-T CACHE] [-U] [-q] FILE",
    .help = "  -f, --format FMT     format of the image (default: probe)\n"
            "  --image-opts         FILE is an option string\n"
            "  -r, --repair WHAT    leaks: give back clusters that nothing uses; all: repair corruption too\n"
            "  --output FORMAT      human or json\n"
            "  -T, --cache CACHE    cache mode (default: writeback)\n"
            "  -U, --force-share    open even where others write\n"
            "  -q, --quiet          print errors only\n"
            "\n"
            "Exit status: 0 no errors, 1 the check failed, 2 corruption, 3 leaks only,\n"
            "63 the format does not support checks.\n",
};
