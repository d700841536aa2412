/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands about the shape of the image: its length, what is allocated in it, and what it says
 * about itself.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/common/image-info-print.h"
#include "tools/qemu-io/qemu-io.h"

/* ---- allocation ---- */

typedef struct StatusQuery {
    BlockDriverState *bs;
    int64_t offset;
    int64_t bytes;
    int64_t count;
} StatusQuery;

static int coroutine_fn
query_status(void *arg)
{
    StatusQuery *query = arg;
    BlockDriverState *file;
    int64_t map;

    return bdrv_co_block_status(query->bs, query->offset, query->bytes, &query->count, &map, &file);
}

/*
 * Whether the layer itself holds what is at [@offset, @offset + @bytes): 1 or 0, for the first
 * *@count bytes, as far as the driver can say at once; or a negative errno.
 */
static int is_allocated(IoSession *io, int64_t offset, int64_t bytes, int64_t *count)
{
    StatusQuery query = {.bs = blk_bs(io->blk), .offset = offset, .bytes = bytes};
    int status = bdrv_run_co(blk_get_aio_context(io->blk), query_status, &query);

    if (status < 0) {
        return status;
    }
    *count = query.count;
    /* A length that changes meanwhile must not make this an endless loop. */
    return query.count > 0 ? (status & BDRV_BLOCK_ALLOCATED) != 0 : -EIO;
}

/* The same, for as many bytes as have the same answer. */
static int is_allocated_extent(IoSession *io, int64_t offset, int64_t bytes, int64_t *count)
{
    int first = is_allocated(io, offset, bytes, count);
    int next = first;

    while (next >= 0 && *count < bytes) {
        int64_t more;

        next = is_allocated(io, offset + *count, bytes - *count, &more);
        if (next >= 0 && next != first) {
            return first;
        }
        *count += next >= 0 ? more : 0;
    }
    return next < 0 ? next : first;
}

static bool alloc_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    int64_t length = blk_getlength(io->blk);
    int64_t bytes = BDRV_SECTOR_SIZE, allocated = 0, count;
    g_autofree char *where = NULL;
    int64_t offset;

    if (length < 0) {
        return io_failed("getlength", length);
    }
    if (!io_parse_number(argv[1], &offset) || (argc == 3 && !io_parse_number(argv[2], &bytes))) {
        return false;
    }
    bytes = MIN(bytes, MAX(length - offset, 0));
    for (int64_t done = 0; done < bytes; done += count) {
        int ret = is_allocated_extent(io, offset + done, bytes - done, &count);

        if (ret < 0) {
            return io_failed("is_allocated", ret);
        }
        allocated += ret ? count : 0;
    }
    where = size_to_str_fixed(offset);
    printf("%" PRId64 "/%" PRId64 " bytes allocated at offset %s\n", allocated, bytes, where);
    return true;
}

static void print_extent(int64_t offset, int64_t bytes, bool is_present)
{
    g_autofree char *size = size_to_str_fixed(bytes);
    g_autofree char *where = size_to_str_fixed(offset);

    printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", size, bytes,
           is_present ? "   " : "not", where, offset);
}

static bool map_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    int64_t length = blk_getlength(io->blk), count;

    if (length < 0) {
        return io_failed("getlength", length);
    }
    for (int64_t offset = 0; offset < length; offset += count) {
        int ret = is_allocated_extent(io, offset, length - offset, &count);

        if (ret < 0) {
            return io_failed("map", ret);
        }
        print_extent(offset, count, ret);
    }
    return true;
}

/* ---- length ---- */

static bool length_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    int64_t length = blk_getlength(io->blk);
    g_autofree char *text = NULL;

    if (length < 0) {
        return io_failed("getlength", length);
    }
    text = size_to_str_fixed(length);
    printf("%s\n", text);
    return true;
}

static bool parse_prealloc(const char *text, PreallocMode *prealloc)
{
    int mode = qapi_enum_lookup(&qapi_info_PreallocMode, text);

    if (mode < 0) {
        error_report("Invalid preallocation mode '%s'", text);
        return false;
    }
    *prealloc = mode;
    return true;
}

static bool truncate_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    PreallocMode prealloc = PREALLOC_MODE_OFF;
    Error *err = NULL;
    int64_t length;
    int c;

    while ((c = getopt(argc, argv, "m:")) != -1) {
        if (c != 'm') {
            return io_print_usage(command);
        }
        if (!parse_prealloc(optarg, &prealloc)) {
            return false;
        }
    }
    if (optind != argc - 1) {
        return io_print_usage(command);
    }
    if (!io_parse_number(argv[optind], &length)) {
        return false;
    }
    if (blk_truncate(io->blk, length, false, prealloc, 0, &err) < 0) {
        error_report_err(err);
        return false;
    }
    return true;
}

/* ---- info ---- */

static bool info_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    BlockDriverState *bs = blk_bs(io->blk);
    g_autoptr(ImageInfoSpecific) specific = NULL;
    g_autofree char *cluster_size = NULL;
    g_autofree char *vm_state_offset = NULL;
    BlockDriverInfo info;
    Error *err = NULL;
    int ret = bdrv_get_info(bs, &info);

    if (ret < 0 && ret != -ENOTSUP) {
        return io_failed("info", ret);
    }
    specific = bdrv_get_specific_info(bs, &err);
    if (err) {
        error_report_err(err);
        return false;
    }
    cluster_size = size_to_str_fixed(info.cluster_size);
    vm_state_offset = size_to_str_fixed(info.vm_state_offset);
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n", bdrv_get_format_name(bs),
           cluster_size, vm_state_offset);
    if (specific) {
        image_specific_info_print(specific, 0);
    }
    return true;
}

static const IoCommand commands[] = {
    {
        .name = "alloc",
        .alias = "a",
        .run = alloc_run,
        .min_args = 1,
        .max_args = 2,
        .needs_file = true,
        .args = "offset [count]",
        .summary = "count the bytes of a range that are allocated",
    },
    {
        .name = "map",
        .run = map_run,
        .needs_file = true,
        .args = "",
        .summary = "list what is allocated and what is not",
    },
    {
        .name = "length",
        .alias = "l",
        .run = length_run,
        .needs_file = true,
        .args = "",
        .summary = "print the length of the image",
    },
    {
        .name = "truncate",
        .alias = "t",
        .run = truncate_run,
        .min_args = 1,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-m prealloc_mode] off",
        .summary = "set the length of the image",
        .help = " -m MODE  what of the new part is allocated: off, metadata, falloc or full\n",
    },
    {
        .name = "info",
        .alias = "i",
        .run = info_run,
        .needs_file = true,
        .args = "",
        .summary = "describe the image",
    },
};

const IoCommandGroup io_map_commands = {commands, ARRAY_SIZE(commands)};
