/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that start a request and return; what became of it is printed when it completes.
 *
 * Such a command has worked once its request has been started: what happens to the request later
 * does not change the exit status.  Closing the image waits for all of them, as aio_flush does.
 */
#include "qemu/osdep.h"

#include "tools/qemu-io/qemu-io.h"

/* A request from its start until its callback has run, which frees it. */
typedef struct AioCommand {
    const char *failure; /* what has failed, if it does */
    const char *verb;    /* what was done, if it does not */
    IoReportForm report;
    BdrvRequestFlags flags;
    bool is_zeroes;
    bool is_invalid; /* -i: not started at all */
    bool is_dumped;
    bool is_verified;
    bool has_pattern;
    uint8_t pattern;
    int64_t offset;
    int64_t length;
    int64_t start_ns;
    IoBuffer buffer;
} AioCommand;

static void aio_command_free(AioCommand *aio)
{
    io_buffer_clear(&aio->buffer);
    g_free(aio);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AioCommand, aio_command_free)

static void aio_complete(void *opaque, int ret)
{
    g_autoptr(AioCommand) aio = opaque;

    if (ret < 0) {
        io_failed(aio->failure, ret);
        return;
    }
    if (aio->is_verified) {
        io_buffer_verify(&aio->buffer, 0, aio->length, aio->pattern, aio->offset);
    }
    if (aio->is_dumped && aio->report != IO_REPORT_QUIET) {
        io_buffer_dump(&aio->buffer, aio->offset);
    }
    io_report(aio->report, aio->verb, aio->offset, aio->length, aio->start_ns);
}

static bool aio_parse_option(const IoCommand *command, int c, AioCommand *aio)
{
    switch (c) {
    case 'C':
        aio->report = IO_REPORT_CSV;
        return true;
    case 'f':
        aio->flags |= BDRV_REQ_FUA;
        return true;
    case 'i':
        aio->is_invalid = true;
        return true;
    case 'P':
        aio->has_pattern = true;
        return io_parse_pattern(optarg, &aio->pattern);
    case 'q':
        aio->report = IO_REPORT_QUIET;
        return true;
    case 'r': /* taken for the sake of scripts: buffers are never registered with the kernel */
        return true;
    case 'u':
        aio->flags |= BDRV_REQ_MAY_UNMAP;
        return true;
    case 'v':
        aio->is_dumped = true;
        return true;
    case 'z':
        aio->is_zeroes = true;
        return true;
    default:
        return io_print_usage(command);
    }
}

static bool aio_parse_options(const IoCommand *command, int argc, char **argv, const char *letters,
                              AioCommand *aio)
{
    int c;

    while ((c = getopt(argc, argv, letters)) != -1) {
        if (!aio_parse_option(command, c, aio)) {
            return false;
        }
    }
    return optind <= argc - 2 || io_print_usage(command);
}

static bool aio_read_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    g_autoptr(AioCommand) aio = g_new0(AioCommand, 1);
    AioCommand *started;

    aio->failure = "readv";
    aio->verb = "read";
    if (!aio_parse_options(command, argc, argv, "CiP:qrv", aio)) {
        return false;
    }
    if (aio->is_invalid) {
        printf("injecting invalid read request\n");
        return true;
    }
    if (!io_parse_number(argv[optind], &aio->offset) ||
        !io_buffer_init_pieces(&aio->buffer, io, argv + optind + 1, argc - optind - 1,
                               IO_UNREAD_BYTE)) {
        return false;
    }
    aio->is_verified = aio->has_pattern;
    aio->length = aio->buffer.size;
    aio->start_ns = qemu_clock_get_ns();
    started = g_steal_pointer(&aio);
    blk_aio_preadv(io->blk, started->offset, &started->buffer.qiov, 0, aio_complete, started);
    return true;
}

static const char *aio_write_conflict(const AioCommand *aio, int nr_lengths)
{
    if ((aio->flags & BDRV_REQ_MAY_UNMAP) && !aio->is_zeroes) {
        return "-u requires -z to be specified";
    }
    if (aio->is_zeroes && aio->has_pattern) {
        return "Only one of -z and -P can be specified at the same time";
    }
    if (aio->is_zeroes && nr_lengths > 1) {
        return "-z supports only a single length parameter";
    }
    return NULL;
}

static bool aio_write_prepare(IoSession *io, AioCommand *aio, char **words, int nr_words)
{
    if (!io_parse_number(words[0], &aio->offset)) {
        return false;
    }
    if (aio->is_zeroes) {
        return io_parse_length(words[1], &aio->length);
    }
    if (!io_buffer_init_pieces(&aio->buffer, io, words + 1, nr_words - 1, aio->pattern)) {
        return false;
    }
    aio->length = aio->buffer.size;
    return true;
}

static bool aio_write_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    g_autoptr(AioCommand) aio = g_new0(AioCommand, 1);
    const char *conflict;
    AioCommand *started;

    aio->failure = "aio_write";
    aio->verb = "wrote";
    aio->pattern = IO_DEFAULT_PATTERN;
    if (!aio_parse_options(command, argc, argv, "CfiP:qruz", aio)) {
        return false;
    }
    conflict = aio_write_conflict(aio, argc - optind - 1);
    if (conflict) {
        printf("%s\n", conflict);
        return false;
    }
    if (aio->is_invalid) {
        printf("injecting invalid write request\n");
        return true;
    }
    if (!aio_write_prepare(io, aio, argv + optind, argc - optind)) {
        return false;
    }
    aio->start_ns = qemu_clock_get_ns();
    started = g_steal_pointer(&aio);
    if (started->is_zeroes) {
        blk_aio_pwrite_zeroes(io->blk, started->offset, started->length, started->flags,
                              aio_complete, started);
    } else {
        blk_aio_pwritev(io->blk, started->offset, &started->buffer.qiov, started->flags,
                        aio_complete, started);
    }
    return true;
}

static bool aio_discard_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    g_autoptr(AioCommand) aio = g_new0(AioCommand, 1);
    AioCommand *started;

    aio->failure = "aio_discard";
    aio->verb = "discarded ";
    if (!aio_parse_options(command, argc, argv, "Cq", aio)) {
        return false;
    }
    if (optind != argc - 2) {
        return io_print_usage(command);
    }
    if (!io_parse_number(argv[optind], &aio->offset) ||
        !io_parse_length(argv[optind + 1], &aio->length)) {
        return false;
    }
    aio->start_ns = qemu_clock_get_ns();
    started = g_steal_pointer(&aio);
    blk_aio_pdiscard(io->blk, started->offset, started->length, aio_complete, started);
    return true;
}

static bool aio_flush_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    blk_drain(io->blk);
    return true;
}

#define BACKGROUND_HELP                                                                           \
    "The request completes in the background; aio_flush waits for it.  What becomes of it does\n" \
    "not count as a failure of the command.\n\n"

static const IoCommand commands[] = {
    {
        .name = "aio_read",
        .run = aio_read_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .args = "[-Ciqrv] [-P pattern] off len [len..]",
        .summary = "start a read, which reports when it is done",
        .help = BACKGROUND_HELP " -P BYTE  the data must be this byte\n"
                                " -v       dump the data\n"
                                " -i       make no request at all\n"
                                " -C       report as comma separated values\n"
                                " -q       report nothing\n"
                                " -r       has no effect\n",
    },
    {
        .name = "aio_write",
        .run = aio_write_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-Cfiqruz] [-P pattern] off len [len..]",
        .summary = "start a write, which reports when it is done",
        .help = BACKGROUND_HELP " -P BYTE  write this byte (default: 0xcd)\n"
                                " -z       write zeroes without sending them\n"
                                " -u       with -z: the space may be given back\n"
                                " -f       the data is on stable storage on completion (FUA)\n"
                                " -i       make no request at all\n"
                                " -C       report as comma separated values\n"
                                " -q       report nothing\n"
                                " -r       has no effect\n",
    },
    {
        .name = "aio_discard",
        .run = aio_discard_run,
        .min_args = 2,
        .max_args = IO_ANY_ARGS,
        .needs_file = true,
        .is_change = true,
        .args = "[-Cq] off len",
        .summary = "start a discard, which reports when it is done",
        .help = BACKGROUND_HELP " -C       report as comma separated values\n"
                                " -q       report nothing\n",
    },
    {
        .name = "aio_flush",
        .run = aio_flush_run,
        .needs_file = true,
        .args = "",
        .summary = "wait until nothing is in flight",
    },
};

const IoCommandGroup io_aio_commands = {commands, ARRAY_SIZE(commands)};
