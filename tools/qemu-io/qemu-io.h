/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of qemu-io share: the session, the table of commands, and how arguments and
 * results look.
 *
 * A command is a row of a table in cmd-GROUP.c; command.c finds it, checks what all have in common,
 * and calls it.  Messages go to standard output unless a comment says otherwise, as the scripts
 * that read them expect.
 */
#ifndef QEMU_IO_H
#define QEMU_IO_H

#include <getopt.h>

#include "tools/common/tool-image.h"

/* What the commands of one run work on. */
typedef struct IoSession {
    BlockBackend *blk;  /* the open image; NULL: none */
    bool is_misaligned; /* -m: buffers are 16 bytes off the alignment that suits the image */
    bool is_quitting;   /* `quit` was given */
    bool has_failed;    /* some command did */
} IoSession;

typedef struct IoCommand IoCommand;

/*
 * Carry out @command; @argv[0] is its name as typed, the options come before or among the operands.
 * Returns whether it worked; if not, it has said why.
 */
typedef bool IoCommandFunc(IoSession *io, const IoCommand *command, int argc, char **argv);

struct IoCommand {
    const char *name;
    const char *alias; /* NULL: none */
    IoCommandFunc *run;
    int min_args; /* words after the name, options included */
    int max_args; /* IO_ANY_ARGS: no limit */
    bool needs_file;
    bool is_change;      /* refused on a read-only image */
    const char *args;    /* as help shows them; "" where there are none */
    const char *summary; /* one line */
    const char *help;    /* what `help NAME` adds, whole lines; NULL: nothing */
};

#define IO_ANY_ARGS (-1)

/* The commands of one file, in any order. */
typedef struct IoCommandGroup {
    const IoCommand *commands;
    size_t nr_commands;
} IoCommandGroup;

extern const IoCommandGroup io_rw_commands;
extern const IoCommandGroup io_aio_commands;
extern const IoCommandGroup io_zone_commands;
extern const IoCommandGroup io_image_commands;
extern const IoCommandGroup io_map_commands;
extern const IoCommandGroup io_misc_commands;

/* ---- command.c ---- */

/*
 * Run the command in @line, which may be blank.  Notes its failure, or that it was `quit`, in @io.
 */
void io_run_line(IoSession *io, const char *line);

/* All commands, by name. */
const IoCommand *const *io_all_commands(size_t *nr_commands);

/* By name or alias; NULL where there is no such command. */
const IoCommand *io_find_command(const char *name);

/*
 * Print the one line that says how @command is used.  Returns false, for the command that was
 * misused.
 */
bool io_print_usage(const IoCommand *command);

/* Begin to parse the options of a command with getopt(). */
void io_reset_getopt(void);

/* ---- loop.c ---- */

/* Prompt for commands, read them from standard input and run them, until its end or `quit`. */
void io_read_commands(IoSession *io);

/* ---- cmd-image.c ---- */

/*
 * Open @image, unless one is open.  Returns true, or false after a message on stderr that says why
 * not.
 */
bool io_open_image(IoSession *io, const ToolImage *image);

/*
 * Wait for what is in flight, make it durable and close the image, if one is open.  False
 * (reported) where that fails.
 */
bool io_close_image(IoSession *io);

/* ---- image-options.c ---- */

/* Set what an option of opening asks for.  False after a message on stderr that names @mode. */
bool io_set_cache(ToolImage *image, const char *mode);
bool io_set_discard(ToolImage *image, const char *mode);
bool io_set_aio(ToolImage *image, const char *mode);
/* -s: always refused, with a message on stderr; returns false. */
bool io_refuse_snapshot(void);

/* ---- arguments.c ---- */

/*
 * Parse a size, an offset or a count.  Returns true with *@value set, or false after a message that
 * names @text.
 */
bool io_parse_number(const char *text, int64_t *value);

/*
 * The same for the length of one request in bytes, which must not exceed what a request can carry.
 */
bool io_parse_length(const char *text, int64_t *length);

/* Parse a byte for -P, decimal, hexadecimal or octal. */
bool io_parse_pattern(const char *text, uint8_t *pattern);

/* ---- buffer.c ---- */

/* Memory of one request, with its vector over one or more pieces.  All zero: none. */
typedef struct IoBuffer {
    void *memory; /* what was allocated */
    uint8_t *data;
    size_t size;
    QEMUIOVector qiov;
} IoBuffer;

/*
 * Give @buffer @size bytes, each of them @fill, as one piece.  Returns true, or false after a
 * message where there is not that much memory.
 */
bool io_buffer_init(IoBuffer *buffer, IoSession *io, size_t size, uint8_t fill);

/* The same with a piece for each of the @nr_lengths words of @lengths. */
bool io_buffer_init_pieces(IoBuffer *buffer, IoSession *io, char **lengths, int nr_lengths,
                           uint8_t fill);

/* Fill it with the content of a file, again and again; false after a message on stderr. */
bool io_buffer_fill_from_file(IoBuffer *buffer, const char *filename);

void io_buffer_clear(IoBuffer *buffer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IoBuffer, io_buffer_clear)

/* Bytes that were not written by a read show as this. */
#define IO_UNREAD_BYTE     0xab
#define IO_DEFAULT_PATTERN 0xcd

/*
 * Whether @length bytes from @start on are all @pattern; says so if not.  @offset is where the
 * buffer lies in the image.
 */
bool io_buffer_verify(const IoBuffer *buffer, size_t start, size_t length, uint8_t pattern,
                      int64_t offset);

/*
 * Print it in hexadecimal, with the text beside it; @offset is that of the first byte in the image.
 */
void io_buffer_dump(const IoBuffer *buffer, int64_t offset);

/* ---- report.c ---- */

typedef enum IoReportForm {
    IO_REPORT_HUMAN,
    IO_REPORT_CSV,   /* -C */
    IO_REPORT_QUIET, /* -q */
} IoReportForm;

/*
 * Print that one request, @verb, has moved @bytes at @offset, and how fast: since @start_ns of
 * qemu_clock_get_ns().
 */
void io_report(IoReportForm form, const char *verb, int64_t offset, int64_t bytes,
               int64_t start_ns);

/* Print `WHAT failed: REASON` for the negative errno @ret.  Returns false. */
bool io_failed(const char *what, int ret);

#endif
