/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that read, write, discard or flush, and wait for it.
 */
#include "qemu/osdep.h"

#include "tools/qemu-io/qemu-io.h"

/* ---- read ---- */

typedef struct ReadArgs {
    IoReportForm report;
    bool is_dumped;
    bool is_verified;
    bool is_vm_state;
    uint8_t pattern;
    bool has_verify_start, has_verify_length;
    int64_t verify_start;  /* bytes into the data */
    int64_t verify_length; /* bytes; without has_verify_length: up to the end */
    int64_t offset;
    int64_t length;
} ReadArgs;

static bool read_parse_option(const IoCommand *command, int c, ReadArgs *args)
{
    switch (c) {
    case 'a': /* these three are taken for the sake of old scripts, and change nothing */
    case 'p':
    case 'r':
        return true;
    case 'b':
        args->is_vm_state = true;
        return true;
    case 'C':
        args->report = IO_REPORT_CSV;
        return true;
    case 'l':
        args->has_verify_length = true;
        return io_parse_number(optarg, &args->verify_length);
    case 'P':
        args->is_verified = true;
        return io_parse_pattern(optarg, &args->pattern);
    case 'q':
        args->report = IO_REPORT_QUIET;
        return true;
    case 's':
        args->has_verify_start = true;
        return io_parse_number(optarg, &args->verify_start);
    case 'v':
        args->is_dumped = true;
        return true;
    default:
        return io_print_usage(command);
    }
}

static bool read_check_range(ReadArgs *args)
{
    if (!args->is_verified) {
        return true;
    }
    if (!args->has_verify_length) {
        args->verify_length = MAX(args->length - args->verify_start, 0);
    }
    if (args->verify_start > args->length ||
        args->verify_length > args->length - args->verify_start) {
        printf("pattern verification range exceeds end of read data\n");
        return false;
    }
    return true;
}

static bool read_parse(const IoCommand *command, int argc, char **argv, ReadArgs *args)
{
    int c;

    while ((c = getopt(argc, argv, "abCl:pP:qrs:v")) != -1) {
        if (!read_parse_option(command, c, args)) {
            return false;
        }
    }
    if (optind != argc - 2 ||
        ((args->has_verify_start || args->has_verify_length) && !args->is_verified)) {
        return io_print_usage(command);
    }
    return io_parse_number(argv[optind], &args->offset) &&
           io_parse_length(argv[optind + 1], &args->length) && read_check_range(args);
}

/* What all reads end with: check, show, report.  Returns whether the data was as expected. */
static bool read_finish(const ReadArgs *args, const IoBuffer *buffer, int64_t start_ns)
{
    bool is_right = true;

    if (args->is_verified) {
        is_right = io_buffer_verify(buffer, args->verify_start, args->verify_length, args->pattern,
                                    args->offset);
    }
    if (args->is_dumped && args->report != IO_REPORT_QUIET) {
        io_buffer_dump(buffer, args->offset);
    }
    io_report(args->report, "read", args->offset, buffer->size, start_ns);
    return is_right;
}

static bool read_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    ReadArgs args = {.report = IO_REPORT_HUMAN};
    g_auto(IoBuffer) buffer = {0};
    int64_t start_ns;
    int ret;

    if (!read_parse(command, argc, argv, &args)) {
        return false;
    }
    if (args.is_vm_state) {
        return io_failed("read", -ENOTSUP);
    }
    if (!io_buffer_init(&buffer, io, args.length, IO_UNREAD_BYTE)) {
        return false;
    }
    start_ns = qemu_clock_get_ns();
    ret = blk_preadv(io->blk, args.offset, &buffer.qiov, 0);
    return ret < 0 ? io_failed("read", ret) : read_finish(&args, &buffer, start_ns);
}

static bool readv_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    ReadArgs args = {.report = IO_REPORT_HUMAN};
    g_auto(IoBuffer) buffer = {0};
    int64_t start_ns;
    int c, ret;

    while ((c = getopt(argc, argv, "CP:qrv")) != -1) {
        if (!read_parse_option(command, c, &args)) {
            return false;
        }
    }
    if (optind > argc - 2) {
        return io_print_usage(command);
    }
    if (!io_parse_number(argv[optind], &args.offset) ||
        !io_buffer_init_pieces(&buffer, io, argv + optind + 1, argc - optind - 1, IO_UNREAD_BYTE)) {
        return false;
    }
    args.verify_length = buffer.size;
    start_ns = qemu_clock_get_ns();
    ret = blk_preadv(io->blk, args.offset, &buffer.qiov, 0);
    return ret < 0 ? io_failed("readv", ret) : read_finish(&args, &buffer, start_ns);
}

/* ---- write ---- */

typedef struct WriteArgs {
    IoReportForm report;
    bool is_vm_state;
    bool is_compressed;
    bool is_zeroes;
    bool has_pattern;
    uint8_t pattern;
    const char *source; /* -s; NULL: the pattern */
    BdrvRequestFlags flags;
    int64_t offset;
    int64_t length;
} WriteArgs;

static bool write_parse_option(const IoCommand *command, int c, WriteArgs *args)
{
    switch (c) {
    case 'b':
        args->is_vm_state = true;
        return true;
    case 'c':
        args->is_compressed = true;
        return true;
    case 'C':
        args->report = IO_REPORT_CSV;
        return true;
    case 'f':
        args->flags |= BDRV_REQ_FUA;
        return true;
    case 'n':
        args->flags |= BDRV_REQ_NO_FALLBACK;
        return true;
    case 'p': /* these two are taken for the sake of old scripts, and change nothing */
    case 'r':
        return true;
    case 'P':
        args->has_pattern = true;
        return io_parse_pattern(optarg, &args->pattern);
    case 'q':
        args->report = IO_REPORT_QUIET;
        return true;
    case 's':
        args->source = optarg;
        return true;
    case 'u':
        args->flags |= BDRV_REQ_MAY_UNMAP;
        return true;
    case 'z':
        args->is_zeroes = true;
        return true;
    default:
        return io_print_usage(command);
    }
}

/* What cannot be combined; NULL where all is well. */
static const char *write_conflict(const WriteArgs *args)
{
    if (args->is_vm_state && args->is_zeroes) {
        return "-b and -z cannot be specified at the same time";
    }
    if ((args->flags & BDRV_REQ_FUA) && (args->is_vm_state || args->is_compressed)) {
        return "-f and -b or -c cannot be specified at the same time";
    }
    if ((args->flags & BDRV_REQ_NO_FALLBACK) && !args->is_zeroes) {
        return "-n requires -z to be specified";
    }
    if ((args->flags & BDRV_REQ_MAY_UNMAP) && !args->is_zeroes) {
        return "-u requires -z to be specified";
    }
    if (args->is_zeroes + args->has_pattern + (args->source != NULL) > 1) {
        return "Only one of -z, -P, and -s can be specified at the same time";
    }
    return NULL;
}

/* A write of zeroes that needs no buffer may be of any length. */
static bool write_parse_length(const char *text, WriteArgs *args)
{
    if (!io_parse_number(text, &args->length)) {
        return false;
    }
    if (args->length > BDRV_REQUEST_MAX_BYTES && !(args->flags & BDRV_REQ_NO_FALLBACK)) {
        printf("length cannot exceed %" PRId64 " without -n, given %s\n", BDRV_REQUEST_MAX_BYTES,
               text);
        return false;
    }
    return true;
}

static bool write_parse(const IoCommand *command, int argc, char **argv, WriteArgs *args)
{
    const char *conflict;
    int c;

    while ((c = getopt(argc, argv, "bcCfnpP:qrs:uz")) != -1) {
        if (!write_parse_option(command, c, args)) {
            return false;
        }
    }
    if (optind != argc - 2) {
        return io_print_usage(command);
    }
    conflict = write_conflict(args);
    if (conflict) {
        printf("%s\n", conflict);
        return false;
    }
    return io_parse_number(argv[optind], &args->offset) &&
           write_parse_length(argv[optind + 1], args);
}

static bool write_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    WriteArgs args = {.report = IO_REPORT_HUMAN, .pattern = IO_DEFAULT_PATTERN};
    g_auto(IoBuffer) buffer = {0};
    int64_t start_ns;
    int ret;

    if (!write_parse(command, argc, argv, &args)) {
        return false;
    }
    if (args.is_vm_state || args.is_compressed) {
        return io_failed("write", -ENOTSUP);
    }
    if (!args.is_zeroes && !io_buffer_init(&buffer, io, args.length, args.pattern)) {
        return false;
    }
    if (args.source && !io_buffer_fill_from_file(&buffer, args.source)) {
        return false;
    }
    start_ns = qemu_clock_get_ns();
    if (args.is_zeroes) {
        ret = blk_pwrite_zeroes(io->blk, args.offset, args.length, args.flags);
    } else {
        ret = blk_pwritev(io->blk, args.offset, &buffer.qiov, args.flags);
    }
    if (ret < 0) {
        return io_failed("write", ret);
    }
    io_report(args.report, "wrote", args.offset, args.length, start_ns);
    return true;
}

static bool writev_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    WriteArgs args = {.report = IO_REPORT_HUMAN, .pattern = IO_DEFAULT_PATTERN};
    g_auto(IoBuffer) buffer = {0};
    int64_t start_ns;
    int c, ret;

    while ((c = getopt(argc, argv, "CfP:qr")) != -1) {
        if (!write_parse_option(command, c, &args)) {
            return false;
        }
    }
    if (optind > argc - 2) {
        return io_print_usage(command);
    }
    if (!io_parse_number(argv[optind], &args.offset) ||
        !io_buffer_init_pieces(&buffer, io, argv + optind + 1, argc - optind - 1, args.pattern)) {
        return false;
    }
    start_ns = qemu_clock_get_ns();
    ret = blk_pwritev(io->blk, args.offset, &buffer.qiov, args.flags);
    if (ret < 0) {
        return io_failed("writev", ret);
    }
    io_report(args.report, "wrote", args.offset, buffer.size, start_ns);
    return true;
}

/* ---- discard and flush ---- */

static bool discard_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    IoReportForm report = IO_REPORT_HUMAN;
    int64_t offset, length, start_ns;
    int c, ret;

    while ((c = getopt(argc, argv, "Cq")) != -1) {
        if (c == '?') {
            return io_print_usage(command);
        }
        report = c == 'C' ? IO_REPORT_CSV : IO_REPORT_QUIET;
    }
    if (optind != argc - 2) {
        return io_print_usage(command);
    }
    if (!io_parse_number(argv[optind], &offset) || !io_parse_length(argv[optind + 1], &length)) {
        return false;
    }
    start_ns = qemu_clock_get_ns();
    ret = blk_pdiscard(io->blk, offset, length);
    if (ret < 0) {
        return io_failed("discard", ret);
    }
    io_report(report, "discard", offset, length, start_ns);
    return true;
}

static bool flush_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    int ret = blk_flush(io->blk);

    return ret < 0 ? io_failed("flush", ret) : true;
}

static const IoCommand commands[] = {
    {
        .name = "read",
        .alias = "r",
        .run = read_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .args = "[-abCqrv] [-P pattern [-s off] [-l len]] off len",
        .summary = "read bytes and, with -P, check them",
        .help = " -P BYTE  the data must be this byte; otherwise the command fails\n"
                " -s OFF   check from OFF bytes into the data on\n"
                " -l LEN   check LEN bytes\n"
                " -v       dump the data\n"
                " -b       read the saved state of the machine in place of the disk\n"
                " -C       report as comma separated values\n"
                " -q       report nothing\n"
                " -a, -r   have no effect\n",
    },
    {
        .name = "readv",
        .run = readv_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .args = "[-Cqrv] [-P pattern] off len [len..]",
        .summary = "read into several buffers with one request",
        .help = "Each length is that of one buffer.\n\n"
                " -P BYTE  the data must be this byte; otherwise the command fails\n"
                " -v       dump the data\n"
                " -C       report as comma separated values\n"
                " -q       report nothing\n"
                " -r       has no effect\n",
    },
    {
        .name = "write",
        .alias = "w",
        .run = write_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-bcCfnqruz] [-P pattern | -s source_file] off len",
        .summary = "write bytes, or zeroes without sending them",
        .help = " -P BYTE  write this byte (default: 0xcd)\n"
                " -s FILE  write the content of FILE, as often as it takes\n"
                " -z       write zeroes without sending them\n"
                " -u       with -z: the space may be given back\n"
                " -n       with -z: fail rather than send a buffer of zeroes\n"
                " -f       the data is on stable storage when the command ends (FUA)\n"
                " -b       write the saved state of the machine in place of the disk\n"
                " -c       write compressed\n"
                " -C       report as comma separated values\n"
                " -q       report nothing\n"
                " -r       has no effect\n",
    },
    {
        .name = "writev",
        .run = writev_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-Cfqr] [-P pattern] off len [len..]",
        .summary = "write from several buffers with one request",
        .help = "Each length is that of one buffer.\n\n"
                " -P BYTE  write this byte (default: 0xcd)\n"
                " -f       the data is on stable storage when the command ends (FUA)\n"
                " -C       report as comma separated values\n"
                " -q       report nothing\n"
                " -r       has no effect\n",
    },
    {
        .name = "discard",
        .alias = "d",
        .run = discard_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-Cq] off len",
        .summary = "give up the content of a range",
        .help = " -C       report as comma separated values\n"
                " -q       report nothing\n",
    },
    {
        .name = "flush",
        .alias = "f",
        .run = flush_run,
        .needs_file = true,
        .args = "",
        .summary = "make durable what was written",
    },
};

const IoCommandGroup io_rw_commands = {commands, ARRAY_SIZE(commands)};
