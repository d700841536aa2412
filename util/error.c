/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Error objects: see qapi/error.h.
 *
 * An Error belongs to whoever holds the pointer and is never shared, so nothing here locks.  All
 * the setters leave errno as they found it: callers report first and return -errno after.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"

struct Error {
    ErrorClass class;
    char *message;
    GString *hint; /* NULL where there is none */
};

/* Only the addresses of these two matter; they stay NULL. */
Error *error_abort;
Error *error_fatal;

/*
 * Store @err in @dst, or end the program where @dst says so.  @dst must not already hold an error:
 * a second one would hide the first, which is the one that tells what went wrong.
 */
static void deliver(Error **dst, Error *err)
{
    if (dst == &error_abort) {
        error_report_err(err);
        abort();
    }
    if (dst == &error_fatal) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    assert(!*dst);
    *dst = err;
}

static void G_GNUC_PRINTF(3, 0)
    set_error(Error **errp, ErrorClass class, const char *fmt, va_list args)
{
    int saved_errno = errno;
    Error *err;

    if (!errp) {
        return;
    }
    err = g_new0(Error, 1);
    err->class = class;
    err->message = g_strdup_vprintf(fmt, args);
    deliver(errp, err);
    errno = saved_errno;
}

void error_setg(Error **errp, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_error(errp, ERROR_CLASS_GENERIC_ERROR, fmt, args);
    va_end(args);
}

void error_set(Error **errp, ErrorClass class, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_error(errp, class, fmt, args);
    va_end(args);
}

void error_setg_errno(Error **errp, int os_errno, const char *fmt, ...)
{
    int saved_errno = errno;
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, fmt);
    g_autofree char *message = g_strdup_vprintf(fmt, args);
    va_end(args);
    error_setg(errp, "%s: %s", message, g_strerror(os_errno));
    errno = saved_errno;
}

void error_prepend(Error **errp, const char *fmt, ...)
{
    va_list args;

    if (!errp || !*errp) {
        return;
    }
    va_start(args, fmt);
    g_autofree char *prefix = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_autofree char *old_message = (*errp)->message;
    (*errp)->message = g_strconcat(prefix, old_message, NULL);
}

void error_append_hint(Error **errp, const char *fmt, ...)
{
    va_list args;

    if (!errp || !*errp) {
        return;
    }
    if (!(*errp)->hint) {
        (*errp)->hint = g_string_new(NULL);
    }
    va_start(args, fmt);
    g_string_append_vprintf((*errp)->hint, fmt, args);
    va_end(args);
}

void error_propagate(Error **dst, Error *local)
{
    if (!local) {
        return;
    }
    if (!dst || *dst) {
        error_free(local);
        return;
    }
    deliver(dst, local);
}

const char *error_get_pretty(const Error *err)
{
    return err->message;
}

const char *error_get_hint(const Error *err)
{
    return err->hint ? err->hint->str : NULL;
}

ErrorClass error_get_class(const Error *err)
{
    return err->class;
}

Error *error_copy(const Error *err)
{
    Error *copy = g_new0(Error, 1);

    copy->class = err->class;
    copy->message = g_strdup(err->message);
    copy->hint = err->hint ? g_string_new_len(err->hint->str, err->hint->len) : NULL;
    return copy;
}

void error_free(Error *err)
{
    if (!err) {
        return;
    }
    g_free(err->message);
    if (err->hint) {
        g_string_free(err->hint, true);
    }
    g_free(err);
}

static void print_hint(const Error *err)
{
    if (err->hint) {
        error_printf("%s", err->hint->str);
    }
}

void error_report_err(Error *err)
{
    error_report("%s", err->message);
    print_hint(err);
    error_free(err);
}

void warn_report_err(Error *err)
{
    warn_report("%s", err->message);
    print_hint(err);
    error_free(err);
}

void error_reportf_err(Error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_autofree char *prefix = g_strdup_vprintf(fmt, args);
    va_end(args);
    error_prepend(&err, "%s", prefix);
    error_report_err(err);
}

void error_guard_done(ErrorGuard *guard)
{
    error_propagate(guard->dst, guard->local);
}
