/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a program to its user, on stderr: see qemu/error-report.h.
 *
 * The only state is the program's name, set once before there are threads.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"

static const char *program_name;

void error_init(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');

    program_name = slash ? slash + 1 : argv0;
}

const char *error_program_name(void)
{
    return program_name;
}

static void G_GNUC_PRINTF(2, 0) report_line(const char *severity, const char *fmt, va_list args)
{
    g_autofree char *message = g_strdup_vprintf(fmt, args);

    fprintf(stderr, "%s%s%s%s\n", program_name ?: "", program_name ? ": " : "", severity, message);
}

void error_vreport(const char *fmt, va_list args)
{
    report_line("", fmt, args);
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
    report_line("warning: ", fmt, args);
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
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
}
