/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors that reach a user.
 *
 * A function that can fail for a reason worth telling takes `Error **errp` last and reports failure
 * through its return value as well.  @errp may be NULL (not interested), &error_abort or
 * &error_fatal (failure ends the program), or point to a NULL Error *, which the function then sets
 * at most once.
 */
#ifndef QAPI_ERROR_H
#define QAPI_ERROR_H

#include "qemu/osdep.h"

typedef struct Error Error;

/* The classes a QMP client can tell apart. */
typedef enum ErrorClass {
    ERROR_CLASS_GENERIC_ERROR,
    ERROR_CLASS_COMMAND_NOT_FOUND,
} ErrorClass;

/* Markers: an error stored there prints its message and aborts / exits with status 1. */
extern Error *error_abort;
extern Error *error_fatal;

/* Set *@errp to a message: one sentence, no final newline or full stop. */
void error_setg(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* The same, followed by `: ` and the text of errno value @os_errno (> 0). */
void error_setg_errno(Error **errp, int os_errno, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

void error_set(Error **errp, ErrorClass class, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* Put text before the message of *@errp, if one is set there. */
void error_prepend(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Add to the hint of *@errp: further help, whole lines, each ending in a newline. */
void error_append_hint(Error **errp, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* Hand @local (may be NULL) on to @dst; frees it where @dst is NULL or already set. */
void error_propagate(Error **dst, Error *local);

const char *error_get_pretty(const Error *err);
const char *error_get_hint(const Error *err); /* NULL where there is none */
ErrorClass error_get_class(const Error *err);
Error *error_copy(const Error *err);
void error_free(Error *err); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Error, error_free)

/* Print the message (and hint) with the program's prefix to stderr and free @err. */
void error_report_err(Error *err);
void warn_report_err(Error *err);

/* Like error_report_err(), with text before the message. */
void error_reportf_err(Error *err, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/*
 * At the head of a function that wants to look at, prepend to or add hints to *errp: from there on
 * errp is never NULL and never &error_fatal; what was set is handed on at return.
 */
typedef struct ErrorGuard {
    Error *local;
    Error **dst;
} ErrorGuard;

void error_guard_done(ErrorGuard *guard);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ErrorGuard, error_guard_done)

#define ERRP_GUARD()                                                                               \
    g_auto(ErrorGuard) errp_guard_ = {.local = NULL, .dst = errp};                                 \
    errp = (!errp || errp == &error_fatal) ? &errp_guard_.local : errp

#endif
