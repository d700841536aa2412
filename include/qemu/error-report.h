/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of a program to its user, on stderr.
 *
 * Every message is one line with the program's name before it, written in one piece so that threads
 * do not tear each other's lines.  Library code reports through Error **errp (qapi/error.h); these
 * are for main programs, and for the rare event with nobody to hand an error to.
 */
#ifndef QEMU_ERROR_REPORT_H
#define QEMU_ERROR_REPORT_H

#include "qemu/osdep.h"

/*
 * Remember the last component of @argv0 as the program's name.  Called once, first thing in main();
 * @argv0 must stay valid.  Messages before that carry no name.
 */
void error_init(const char *argv0);

/* The name that error_init() found, or NULL before it was called. */
const char *error_program_name(void);

/*
 * For programs that run as a service, before there are threads: if stderr goes to the journal, as
 * the environment says (JOURNAL_STREAM, see systemd.exec(5)), every line gets its priority, by
 * which journalctl filters and colours.  On a terminal or in a file nothing changes.
 */
void error_detect_journal(void);

/*
 * @text with `<@priority>` (LOG_* of syslog(3)) before each of its lines, where stderr is the
 * journal, otherwise as it is.  To be freed.
 */
char *error_with_priority(int priority, const char *text);

/* `PROG: MESSAGE`; the message has no final newline. */
void error_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void error_vreport(const char *fmt, va_list args) G_GNUC_PRINTF(1, 0);

/* `PROG: warning: MESSAGE` */
void warn_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void warn_vreport(const char *fmt, va_list args) G_GNUC_PRINTF(1, 0);

/* Text without a prefix or an added newline: hints that follow a message. */
void error_printf(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

#endif
