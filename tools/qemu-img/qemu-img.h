/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the sub-commands of qemu-img share.  Each sub-command is one file, img-NAME.c, with one
 * entry function.
 */
#ifndef QEMU_IMG_H
#define QEMU_IMG_H

#include <getopt.h>

#include "tools/common/tool-image.h"

/* A sub-command. */
typedef struct ImgCommand {
    const char *name;
    int (*run)(const struct ImgCommand *command, int argc, char **argv); /* exit status */
    const char *synopsis; /* options and operands, one line */
    const char *summary;  /* one sentence */
    const char *help;     /* the options, a line each, ending in a newline */
} ImgCommand;

extern const ImgCommand img_bench_command;
extern const ImgCommand img_check_command;
extern const ImgCommand img_compare_command;
extern const ImgCommand img_create_command;
extern const ImgCommand img_info_command;
extern const ImgCommand img_map_command;
extern const ImgCommand img_resize_command;
extern const ImgCommand img_zone_command;

/* ---- img-options.c ---- */

typedef enum ImgOutputFormat {
    IMG_OUTPUT_HUMAN,
    IMG_OUTPUT_JSON,
} ImgOutputFormat;

/* Report a usage error: `qemu-img: MESSAGE`, then where help is to be had.  Returns 1, the exit
 * status. */
int img_usage_error(const ImgCommand *command, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Print the help page of @command to stdout; returns 0. */
int img_print_help(const ImgCommand *command);

/* What most commands take, beside their own options. */
typedef struct ImgLine {
    ToolImage image;
    ImgOutputFormat output;
    bool is_quiet;
} ImgLine;

enum {
    IMG_OPTION_IMAGE_OPTS = 256,
    IMG_OPTION_OUTPUT,
    IMG_OPTION_OWN, /* the first value for long options of a command */
};

/* For option tables: how the image is named, and how much is printed. */
#define IMG_IMAGE_OPTIONS                                         \
    {"format", required_argument, NULL, 'f'},                     \
        {"image-opts", no_argument, NULL, IMG_OPTION_IMAGE_OPTS}, \
    {                                                             \
        "quiet", no_argument, NULL, 'q'                           \
    }
#define IMG_SHARE_OPTION                      \
    {                                         \
        "force-share", no_argument, NULL, 'U' \
    }
#define IMG_OUTPUT_OPTION                                    \
    {                                                        \
        "output", required_argument, NULL, IMG_OPTION_OUTPUT \
    }

/*
 * Parse the options of a command: those of ImgLine into @line, the others through @parse_own(c,
 * @opaque), which reports and returns false where something is wrong.  @short_options are the
 * command's own ones; `f:q`, and `U` where
 * @options has IMG_SHARE_OPTION, are added.
 * Returns an exit status, or -1 to go on with the operands.
 */
int img_parse_line(const ImgCommand *command, int argc, char **argv, const char *short_options,
                   const struct option *options, ImgLine *line,
                   bool (*parse_own)(int c, void *opaque), void *opaque);

/* Set the cache mode of @image; false (reported: @message with the mode behind it) where there is
 * none such. */
bool img_parse_cache(const char *message, ToolImage *image);

/* Open the image that is the one operand of the line.  NULL: reported. */
BlockBackend *img_open_operand(const ImgCommand *command, int argc, char **argv, ImgLine *line);

/*
 * getopt_long() with the messages of qemu-img: reports what is unknown or lacks its argument and
 * returns '?' for it.
 * `-h`/`--help` need not be in @options: it is answered by returning 'h'.
 */
int img_getopt(const ImgCommand *command, int argc, char **argv, const char *short_options,
               const struct option *options);

/* Parse the argument of --output; false (reported) where it is neither human nor json. */
bool img_parse_output(const char *arg, ImgOutputFormat *format);

/*
 * Parse the argument of the current option as a size or number of @what, within [@min, @max].
 * False (reported) where it is none.
 */
bool img_parse_size(const char *what, int64_t min, int64_t max, int64_t *value);

/* Print @object to stdout, indented by four, as all JSON output of the tools that is meant to be
 * read by people too. */
void img_print_json(const json_t *object);

/*
 * The one operand (FILE) that a command takes; NULL (reported) when it is missing or more follow.
 */
const char *img_single_operand(const ImgCommand *command, int argc, char **argv);

#endif
