/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a program to its user, on stderr: see qemu/error-report.h.
 *
 * The only state is the program's name and what is behind stderr, both set once before there are
 * threads.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"

#include <sys/stat.h>
#include <syslog.h>

static const char *program_name;
static bool is_journal;

void error_init(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    program_name = slash ? slash + 1 : argv0;
}

const char *error_program_name(void)
{
    return program_name;
}

void error_detect_journal(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    g_autofree char *own = NULL;
    struct stat status;

    if (stream && fstat(STDERR_FILENO, &status) == 0) {
        own = g_strdup_printf("%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
        is_journal = g_str_equal(stream, own);
    }
}

char *error_with_priority(int priority, const char *text)
{
    GString *marked = g_string_new(NULL);

    while (*text) {
        size_t length = strcspn(text, "\n");

        length += text[length] == '\n';
        if (is_journal) {
            g_string_append_printf(marked, "<%d>", priority);
        }
        g_string_append_len(marked, text, length);
        text += length;
    }
    return g_string_free(marked, false);
}

static void print_text(int priority, const char *text)
{
    g_autofree char *marked = error_with_priority(priority, text);

    fputs(marked, stderr);
}

static void G_GNUC_PRINTF(3, 0)
    report_line(int priority, const char *severity, const char *fmt, va_list args)
{
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    g_autofree char *line = g_strconcat(program_name ?: "", program_name ? ": " : "", severity,
                                        message, "\n", NULL);

    print_text(priority, line);
}

void error_vreport(const char *fmt, va_list args)
{
    report_line(LOG_ERR, "", fmt, args);
}

void error_report(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    error_vreport(fmt, args);
    va_end(args);
}

void warn_vreport(const char *fmt, va_list args)
{
    report_line(LOG_WARNING, "warning: ", fmt, args);
}

void warn_report(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    warn_vreport(fmt, args);
    va_end(args);
}

void error_printf(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    print_text(LOG_NOTICE, text);
}
