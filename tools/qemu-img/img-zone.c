/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img zone: look at the zones of an image, and manage them.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "block/zone-report.h"
#include "qapi/qapi-types.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/qemu-img.h"

/* Zones that are asked for at once: a report of millions must not need memory for all of them. */
#define REPORT_CHUNK 4096

typedef enum ZoneVerb {
    ZONE_VERB_REPORT,
    ZONE_VERB_OPEN,
    ZONE_VERB_CLOSE,
    ZONE_VERB_FINISH,
    ZONE_VERB_RESET,
} ZoneVerb;

static const struct {
    const char *name;
    ZoneVerb verb;
    BlockZoneOp op; /* not for report */
} zone_verbs[] = {
    {"report", ZONE_VERB_REPORT, 0},
    {"open", ZONE_VERB_OPEN, BLK_ZO_OPEN},
    {"close", ZONE_VERB_CLOSE, BLK_ZO_CLOSE},
    {"finish", ZONE_VERB_FINISH, BLK_ZO_FINISH},
    {"reset", ZONE_VERB_RESET, BLK_ZO_RESET},
};

typedef struct ZoneArgs {
    ImgLine line;
    const char *verb_name;
    ZoneVerb verb;
    BlockZoneOp op;
    int64_t offset;
    int64_t count; /* zones; 0: up to the end of the device */
    bool is_all;
} ZoneArgs;

/* ---- report ---- */

/*
 * A line of output.  A disk can have millions of zones: lines are put together here, at a tenth of
 * what printf() takes for one.
 */
typedef struct ZoneLine {
    char text[512];
    size_t len;
} ZoneLine;

static void line_add(ZoneLine *line, const char *text)
{
    size_t len = strlen(text);

    assert(line->len + len <= sizeof(line->text));
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void line_add_number(ZoneLine *line, uint64_t number, unsigned int base)
{
    char digits[20];
    size_t n = sizeof(digits);

    do {
        digits[--n] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number);
    assert(line->len + sizeof(digits) - n <= sizeof(line->text));
    memcpy(line->text + line->len, digits + n, sizeof(digits) - n);
    line->len += sizeof(digits) - n;
}

/* Go on at @column, or one blank further where the line is there already. */
static void line_pad(ZoneLine *line, size_t column)
{
    do {
        line_add(line, " ");
    } while (line->len < column);
}

static void line_print(ZoneLine *line)
{
    fwrite(line->text, 1, line->len, stdout);
    line->len = 0;
}

static void line_add_address(ZoneLine *line, int64_t address)
{
    line_add(line, address ? "0x" : "");
    line_add_number(line, address, 16);
}

/* The human form of a length; neighbours mostly have the same. */
typedef struct ZoneLengthText {
    int64_t length;
    char *text;
} ZoneLengthText;

static const char *zone_length_text(ZoneLengthText *last, int64_t length)
{
    if (!last->text || last->length != length) {
        g_free(last->text);
        last->text = size_to_str(length);
        last->length = length;
    }
    return last->text;
}

static void zone_print_human(uint32_t index, const BlockZoneDescriptor *zone,
                             ZoneLengthText *length, ZoneLengthText *capacity)
{
    ZoneLine line = {.len = 0};

    line_add_number(&line, index, 10);
    line_pad(&line, 9);
    line_add_address(&line, zone->start);
    line_pad(&line, 26);
    line_add(&line, zone_length_text(length, zone->length));
    line_pad(&line, 36);
    line_add(&line, zone_length_text(capacity, zone->cap));
    line_pad(&line, 46);
    if (zone_report_has_wp(zone)) {
        line_add_address(&line, zone->wp);
    } else {
        line_add(&line, "-");
    }
    line_pad(&line, 63);
    line_add(&line, zone->type == BLK_ZT_CONV ? "conventional" : "sequential");
    line_pad(&line, 76);
    line_add(&line, ZoneCondition_str(zone_report_condition(zone->state)));
    line_add(&line, "\n");
    line_print(&line);
}

static void line_add_member(ZoneLine *line, const char *name, uint64_t value)
{
    line_add(line, "\"");
    line_add(line, name);
    line_add(line, "\": ");
    line_add_number(line, value, 10);
    line_add(line, ", ");
}

/* A ZoneDescriptor of the schema, on a line of its own as in the output of `map`. */
static void zone_print_json(uint32_t index, const BlockZoneDescriptor *zone, bool is_first)
{
    ZoneLine line = {.len = 0};

    line_add(&line, is_first ? "[{" : ",\n{");
    line_add_member(&line, "index", index);
    line_add_member(&line, "start", zone->start);
    line_add_member(&line, "length", zone->length);
    line_add_member(&line, "capacity", zone->cap);
    if (zone_report_has_wp(zone)) {
        line_add_member(&line, "write-pointer", zone->wp);
    }
    line_add(&line, "\"type\": \"");
    line_add(&line, ZoneType_str(zone_report_type(zone->type)));
    line_add(&line, "\", \"condition\": \"");
    line_add(&line, ZoneCondition_str(zone_report_condition(zone->state)));
    line_add(&line, "\"}");
    line_print(&line);
}

static int zone_report_chunk(BlockBackend *blk, const ZoneArgs *args, int64_t offset,
                             unsigned int *nr, bool *is_first, ZoneLengthText *length,
                             ZoneLengthText *capacity)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor, *nr);
    int64_t zone_size = bdrv_limits(blk_bs(blk))->zone_size;
    int ret = blk_zone_report(blk, offset, nr, zones);

    if (ret < 0) {
        error_report("zone report failed: %s", bdrv_strerror(-ret));
        return ret;
    }
    for (unsigned int i = 0; i < *nr; i++) {
        uint32_t index = zones[i].start / zone_size;

        if (args->line.output == IMG_OUTPUT_JSON) {
            zone_print_json(index, &zones[i], *is_first);
        } else {
            zone_print_human(index, &zones[i], length, capacity);
        }
        *is_first = false;
    }
    return 0;
}

static int zone_report(BlockBackend *blk, const ZoneArgs *args)
{
    const BlockLimits *limits = bdrv_limits(blk_bs(blk));
    int64_t left = (int64_t)limits->nr_zones - args->offset / limits->zone_size;
    int64_t offset = args->offset;
    ZoneLengthText length = {0}, capacity = {0};
    bool is_first = true;
    int ret = 0;

    if (left <= 0) {
        error_report("Offset %" PRId64 " is past the end of the image", args->offset);
        return 1;
    }
    if (args->count) {
        left = MIN(left, args->count);
    }
    if (args->line.output == IMG_OUTPUT_HUMAN) {
        printf("%-8s %-16s %-9s %-9s %-16s %-12s %s\n", "Zone", "Start", "Length", "Capacity",
               "Write pointer", "Type", "Condition");
    }
    while (left > 0) {
        unsigned int nr = MIN(left, REPORT_CHUNK);

        ret = zone_report_chunk(blk, args, offset, &nr, &is_first, &length, &capacity);
        if (ret < 0) {
            break;
        }
        left -= nr;
        offset = (offset / limits->zone_size + nr) * limits->zone_size;
    }
    g_free(length.text);
    g_free(capacity.text);
    if (ret == 0 && args->line.output == IMG_OUTPUT_JSON) {
        printf("%s]\n", is_first ? "[" : "");
    }
    return ret < 0 ? 1 : 0;
}

/* ---- management ---- */

static int zone_manage(BlockBackend *blk, const ZoneArgs *args)
{
    const BlockLimits *limits = bdrv_limits(blk_bs(blk));
    int64_t device_size = blk_getlength(blk);
    int64_t len = device_size - args->offset;
    int ret;

    if (device_size < 0) {
        error_report("Could not get the length of the image: %s", strerror(-device_size));
        return 1;
    }
    if (!args->is_all && args->count <= len / limits->zone_size) {
        len = args->count * limits->zone_size;
    } else if (!args->is_all && args->count > DIV_ROUND_UP(len, limits->zone_size)) {
        error_report("%" PRId64 " zones from offset %" PRId64 " pass the end of the image",
                     args->count, args->offset);
        return 1;
    }
    ret = blk_zone_mgmt(blk, args->op, args->offset, len);
    if (ret == 0) {
        ret = blk_flush(blk);
    }
    if (ret < 0) {
        error_report("zone %s failed: %s", args->verb_name, bdrv_strerror(-ret));
        return 1;
    }
    return 0;
}

/* ---- command line ---- */

static bool zone_parse_verb(const ImgCommand *command, const char *name, ZoneArgs *args)
{
    for (size_t i = 0; i < ARRAY_SIZE(zone_verbs); i++) {
        if (strcmp(zone_verbs[i].name, name) == 0) {
            args->verb_name = name;
            args->verb = zone_verbs[i].verb;
            args->op = zone_verbs[i].op;
            return true;
        }
    }
    img_usage_error(command, "zone: '%s' is none of report, open, close, finish, reset", name);
    return false;
}

static bool zone_parse_option(int c, void *opaque)
{
    ZoneArgs *args = opaque;

    switch (c) {
    case 'a':
        args->is_all = true;
        return true;
    case 'c':
        return img_parse_size("number of zones", 1, UINT32_MAX, &args->count);
    case 'o':
        return img_parse_size("offset", 0, INT64_MAX, &args->offset);
    default:
        return false;
    }
}

/* Returns an exit status, or -1 to go on with the name of the image. */
static int zone_parse(const ImgCommand *command, int argc, char **argv, ZoneArgs *args)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        IMG_SHARE_OPTION,
        IMG_OUTPUT_OPTION,
        {"all", no_argument, NULL, 'a'},
        {"count", required_argument, NULL, 'c'},
        {"offset", required_argument, NULL, 'o'},
        {0},
    };
    int status = img_parse_line(command, argc, argv, "ac:o:", options, &args->line,
                                zone_parse_option, args);

    if (status >= 0) {
        return status;
    }
    if (optind >= argc) {
        return img_usage_error(command, "zone: what to do is missing");
    }
    if (!zone_parse_verb(command, argv[optind], args)) {
        return 1;
    }
    optind++;
    if (args->verb != ZONE_VERB_REPORT) {
        args->line.image.flags |= BDRV_O_RDWR;
        args->count = args->count ? args->count : 1;
    }
    return -1;
}

static int zone_run(const ImgCommand *command, int argc, char **argv)
{
    ZoneArgs args = {.offset = 0};
    g_autoptr(BlockBackend) blk = NULL;
    int status = zone_parse(command, argc, argv, &args);

    if (status >= 0) {
        return status;
    }
    blk = img_open_operand(command, argc, argv, &args.line);
    if (!blk) {
        return 1;
    }
    if (bdrv_limits(blk_bs(blk))->zoned == BLK_Z_NONE) {
        error_report("Image '%s' has no zones", args.line.image.filename);
        return 1;
    }
    return args.verb == ZONE_VERB_REPORT ? zone_report(blk, &args) : zone_manage(blk, &args);
}

const ImgCommand img_zone_command = {
    .name = "zone",
    .run = zone_run,
    .summary = "Report and manage the zones of a zoned image",
    .synopsis = "report|open|close|finish|reset [-f FMT | --image-opts] [-o OFFSET] [-c COUNT | -a]\n"
                "            [--output FORMAT] [-U] [-q] FILE",
    .help = "  -f, --format FMT      format of the image (default: probe)\n"
            "  --image-opts          FILE is an option string\n"
            "  -o, --offset OFFSET   a zone start; report: any byte of the first zone (default: 0)\n"
            "  -c, --count COUNT     number of zones (default: 1; report: all that follow)\n"
            "  -a, --all             all zones from OFFSET on; reset of the whole disk passes over zones that\n"
            "                        have no write pointer\n"
            "  --output FORMAT       human or json (report)\n"
            "  -U, --force-share     open even where others write (report)\n"
            "  -q, --quiet           print errors only\n"
            "\n"
            "Open and closed are states of a running device: an image that is opened again has its written\n"
            "zones closed, so 'open' and 'close' only show whether the device would allow it.\n",
};
