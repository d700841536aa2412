/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing and messages that all sub-commands share, see qemu-img.h.
 */
#include "qemu/osdep.h"

#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/qemu-img.h"

int img_usage_error(const ImgCommand *command, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    error_vreport(fmt, args);
    va_end(args);
    error_printf("Try 'qemu-img %s --help' for more information\n", command->name);
    return 1;
}

int img_print_help(const ImgCommand *command)
{
    printf("%s\n\nUsage: qemu-img %s %s\n\n%s", command->summary, command->name, command->synopsis,
           command->help);
    return 0;
}

/* The option that getopt_long() has just complained about, as the user typed it. */
static char *img_last_option(char **argv)
{
    const char *word = argv[optind - 1];

    if (optopt && optopt < 256 && !g_str_has_prefix(word, "--")) {
        return g_strdup_printf("-%c", optopt);
    }
    return g_strdup(word);
}

int img_getopt(const ImgCommand *command, int argc, char **argv, const char *short_options,
               const struct option *options)
{
    g_autofree char *silent = g_strconcat(":h", short_options, NULL);
    int c;

    opterr = 0;
    c = getopt_long(argc, argv, silent, options, NULL);
    if (c == '?' || c == ':') {
        g_autofree char *option = img_last_option(argv);

        if (c == '?' && strcmp(option, "--help") == 0) {
            return 'h';
        }
        error_report(c == ':' ? "%s: option '%s' requires an argument"
                              : "%s: unrecognized option '%s'",
                     command->name, option);
        error_printf("Try 'qemu-img %s --help' for more information\n", command->name);
        return '?';
    }
    return c;
}

bool img_parse_output(const char *arg, ImgOutputFormat *format)
{
    if (strcmp(arg, "human") == 0) {
        *format = IMG_OUTPUT_HUMAN;
    } else if (strcmp(arg, "json") == 0) {
        *format = IMG_OUTPUT_JSON;
    } else {
        error_report("--output must be used with human or json as argument, got '%s'", arg);
        return false;
    }
    return true;
}

bool img_parse_size(const char *what, int64_t min, int64_t max, int64_t *value)
{
    Error *err = NULL;
    int64_t number = parse_size_arg(what, optarg, min, max, &err);

    if (err) {
        error_report_err(err);
        return false;
    }
    *value = number;
    return true;
}

void img_print_json(const json_t *object)
{
    g_autofree char *text = json_dumps(object, JSON_INDENT(4) | JSON_ENCODE_ANY);

    printf("%s\n", text);
}

const char *img_single_operand(const ImgCommand *command, int argc, char **argv)
{
    if (optind >= argc) {
        img_usage_error(command, "Image file name missing");
        return NULL;
    }
    if (optind + 1 < argc) {
        img_usage_error(command, "Unexpected argument: %s", argv[optind + 1]);
        return NULL;
    }
    return argv[optind];
}

static bool img_has_option(const struct option *options, int value)
{
    for (const struct option *option = options; option->name; option++) {
        if (option->val == value) {
            return true;
        }
    }
    return false;
}

static bool img_parse_common(int c, ImgLine *line, bool *is_common)
{
    *is_common = true;
    switch (c) {
    case 'f':
        line->image.format = optarg;
        return true;
    case 'q':
        line->is_quiet = true;
        return true;
    case 'U':
        line->image.force_share = true;
        return true;
    case IMG_OPTION_IMAGE_OPTS:
        line->image.is_image_opts = true;
        line->image.implied_key = "file";
        return true;
    case IMG_OPTION_OUTPUT:
        return img_parse_output(optarg, &line->output);
    default:
        *is_common = false;
        return true;
    }
}

int img_parse_line(const ImgCommand *command, int argc, char **argv, const char *short_options,
                   const struct option *options, ImgLine *line,
                   bool (*parse_own)(int c, void *opaque), void *opaque)
{
    g_autofree char *all =
        g_strconcat("f:q", img_has_option(options, 'U') ? "U" : "", short_options, NULL);
    int c;

    while ((c = img_getopt(command, argc, argv, all, options)) != -1) {
        bool is_common;

        if (c == 'h') {
            return img_print_help(command);
        }
        if (c == '?' || !img_parse_common(c, line, &is_common) ||
            (!is_common && !parse_own(c, opaque))) {
            return 1;
        }
    }
    if (line->image.is_image_opts && line->image.format) {
        return img_usage_error(command, "--image-opts and --format are mutually exclusive");
    }
    return -1;
}

bool img_parse_cache(const char *message, ToolImage *image)
{
    if (!tool_image_set_cache(image, optarg)) {
        error_report("%s: %s", message, optarg);
        return false;
    }
    return true;
}

BlockBackend *img_open_operand(const ImgCommand *command, int argc, char **argv, ImgLine *line)
{
    BlockBackend *blk;
    Error *err = NULL;

    line->image.filename = img_single_operand(command, argc, argv);
    if (!line->image.filename) {
        return NULL;
    }
    blk = tool_image_open(&line->image, &err);
    if (!blk) {
        error_report_err(err);
    }
    return blk;
}
