/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of zoned devices.  Arguments are bytes; what is printed is in sectors of 512 bytes, as
 * zoned devices count.
 */
#include "qemu/osdep.h"

#include "tools/qemu-io/qemu-io.h"

/* Zones that are asked for at once: a report of millions must not need memory for all of them. */
#define REPORT_CHUNK 4096

/* ---- report ---- */

static uint64_t to_sectors(int64_t bytes)
{
    return (uint64_t)bytes >> BDRV_SECTOR_BITS;
}

static void print_zone(const BlockZoneDescriptor *zone)
{
    printf("start: 0x%" PRIx64 ", len 0x%" PRIx64 ", cap 0x%" PRIx64 ", wptr 0x%" PRIx64
           ", zcond:%d, [type: %d]\n",
           to_sectors(zone->start), to_sectors(zone->length), to_sectors(zone->cap),
           to_sectors(zone->wp), zone->state, zone->type);
}

/* Report one chunk; *@offset goes on to the zone behind it, and *@nr to how many there were. */
static int report_chunk(BlockBackend *blk, int64_t *offset, unsigned int *nr)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor, *nr);
    int ret = blk_zone_report(blk, *offset, nr, zones);

    if (ret < 0) {
        return ret;
    }
    for (unsigned int i = 0; i < *nr; i++) {
        print_zone(&zones[i]);
    }
    if (*nr > 0) {
        *offset = zones[*nr - 1].start + zones[*nr - 1].length;
    }
    return 0;
}

static bool zone_report_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    int64_t offset, count;
    unsigned int nr;

    if (!io_parse_number(argv[1], &offset) || !io_parse_number(argv[2], &count)) {
        return false;
    }
    if (count > UINT32_MAX) {
        printf("Number of zones must be less than 2^32\n");
        return false;
    }
    /* Even none are asked for once, so that a wrong offset is noticed. */
    do {
        int ret;

        nr = MIN(count, REPORT_CHUNK);
        ret = report_chunk(io->blk, &offset, &nr);
        if (ret < 0) {
            return io_failed("zone report", ret);
        }
        count -= nr;
    } while (nr > 0 && count > 0 && offset < blk_getlength(io->blk));
    return true;
}

/* ---- management ---- */

static bool zone_mgmt(IoSession *io, BlockZoneOp op, const char *what, char **argv)
{
    int64_t offset, length;
    int ret;

    if (!io_parse_number(argv[1], &offset) || !io_parse_number(argv[2], &length)) {
        return false;
    }
    ret = blk_zone_mgmt(io->blk, op, offset, length);
    return ret < 0 ? io_failed(what, ret) : true;
}

static bool zone_open_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    return zone_mgmt(io, BLK_ZO_OPEN, "zone open", argv);
}

static bool zone_close_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    return zone_mgmt(io, BLK_ZO_CLOSE, "zone close", argv);
}

static bool zone_finish_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    return zone_mgmt(io, BLK_ZO_FINISH, "zone finish", argv);
}

static bool zone_reset_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    return zone_mgmt(io, BLK_ZO_RESET, "zone reset", argv);
}

/* ---- append ---- */

static bool zone_append_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    g_auto(IoBuffer) buffer = {0};
    bool is_position_shown = false;
    int64_t offset;
    int c, ret;

    while ((c = getopt(argc, argv, "p")) != -1) {
        if (c != 'p') {
            return io_print_usage(command);
        }
        is_position_shown = true;
    }
    if (optind > argc - 2) {
        return io_print_usage(command);
    }
    if (!io_parse_number(argv[optind], &offset) ||
        !io_buffer_init_pieces(&buffer, io, argv + optind + 1, argc - optind - 1,
                               IO_DEFAULT_PATTERN)) {
        return false;
    }
    ret = blk_zone_append(io->blk, &offset, &buffer.qiov, 0);
    if (ret < 0) {
        return io_failed("zone append", ret);
    }
    if (is_position_shown) {
        printf("After zap done, the append sector is 0x%" PRIx64 "\n", to_sectors(offset));
    }
    return true;
}

#define ZONE_RANGE_HELP                                                                         \
    "OFF is the start of a zone; LEN is of whole zones, or reaches to the end of the device.\n" \
    "Either all of the zones are changed or none.\n"

static const IoCommand commands[] = {
    {
        .name = "zone_report",
        .alias = "zrp",
        .run = zone_report_run,
        .min_args = 2,
        .max_args = 2,
        .needs_file = true,
        .args = "off count",
        .summary = "report zones, from the one that contains an offset on",
        .help = "Prints in sectors of 512 bytes.\n\n"
                " zcond  0 not-write-pointer, 1 empty, 2 implicitly open, 3 explicitly open,\n"
                "        4 closed, 13 read-only, 14 full, 15 offline\n"
                " type   1 conventional, 2 sequential write required,\n"
                "        3 sequential write preferred\n",
    },
    {
        .name = "zone_open",
        .alias = "zo",
        .run = zone_open_run,
        .min_args = 2,
        .max_args = 2,
        .needs_file = true,
        .is_change = true,
        .args = "off len",
        .summary = "open zones explicitly",
        .help = ZONE_RANGE_HELP,
    },
    {
        .name = "zone_close",
        .alias = "zc",
        .run = zone_close_run,
        .min_args = 2,
        .max_args = 2,
        .needs_file = true,
        .is_change = true,
        .args = "off len",
        .summary = "close open zones",
        .help = ZONE_RANGE_HELP,
    },
    {
        .name = "zone_finish",
        .alias = "zf",
        .run = zone_finish_run,
        .min_args = 2,
        .max_args = 2,
        .needs_file = true,
        .is_change = true,
        .args = "off len",
        .summary = "make zones full",
        .help = ZONE_RANGE_HELP,
    },
    {
        .name = "zone_reset",
        .alias = "zrs",
        .run = zone_reset_run,
        .min_args = 2,
        .max_args = 2,
        .needs_file = true,
        .is_change = true,
        .args = "off len",
        .summary = "make zones empty",
        .help = ZONE_RANGE_HELP
        "A reset of the whole device passes over zones that have no write pointer.\n",
    },
    {
        .name = "zone_append",
        .alias = "zap",
        .run = zone_append_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-p] off len [len..]",
        .summary = "append to the zone that starts at an offset",
        .help = " -p       print where the data was written, in sectors of 512 bytes\n",
    },
};

const IoCommandGroup io_zone_commands = {commands, ARRAY_SIZE(commands)};
