/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of qapi/error.h and qemu/error-report.h.
 *
 * What ends the program or prints is run in a child process, whose status and stderr are looked at.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"

#include <sys/stat.h>

static void test_setg_formats_message(void)
{
    g_autoptr(Error) err = NULL;

    error_setg(&err, "Could not open '%s': %d", "a.qcow2", 7);
    g_assert_cmpstr(error_get_pretty(err), ==, "Could not open 'a.qcow2': 7");
    g_assert_null(error_get_hint(err));
    g_assert_cmpint(error_get_class(err), ==, ERROR_CLASS_GENERIC_ERROR);
}

static void test_setters_keep_errno(void)
{
    g_autoptr(Error) err = NULL;

    errno = EDOM;
    error_setg_errno(&err, ENOENT, "Could not open '%s'", "x");
    g_assert_cmpint(errno, ==, EDOM);
    g_assert_cmpstr(error_get_pretty(err), ==, "Could not open 'x': No such file or directory");
}

static void test_null_errp_is_not_interested(void)
{
    error_setg(NULL, "unseen");
    error_setg_errno(NULL, EIO, "unseen");
    error_set(NULL, ERROR_CLASS_GENERIC_ERROR, "unseen");
    error_prepend(NULL, "unseen");
    error_append_hint(NULL, "unseen\n");
    error_free(NULL);
}

static void test_class_is_kept_by_copy(void)
{
    g_autoptr(Error) err = NULL;
    g_autoptr(Error) copy = NULL;

    error_set(&err, ERROR_CLASS_COMMAND_NOT_FOUND, "The command %s has not been found", "x");
    error_append_hint(&err, "first\n");
    error_append_hint(&err, "second %d\n", 2);
    copy = error_copy(err);
    g_assert_cmpint(error_get_class(copy), ==, ERROR_CLASS_COMMAND_NOT_FOUND);
    g_assert_cmpstr(error_get_pretty(copy), ==, "The command x has not been found");
    g_assert_cmpstr(error_get_hint(copy), ==, "first\nsecond 2\n");
    g_assert_true(error_get_pretty(copy) != error_get_pretty(err));
}

static void test_prepend_leaves_percent_signs_alone(void)
{
    g_autoptr(Error) err = NULL;

    error_prepend(&err, "nothing to prepend to: ");
    g_assert_null(err);
    error_setg(&err, "100%%s");
    error_prepend(&err, "Could not open '%s': ", "%d");
    g_assert_cmpstr(error_get_pretty(err), ==, "Could not open '%d': 100%s");
}

static void test_first_error_wins_propagation(void)
{
    g_autoptr(Error) dst = NULL;
    Error *second = NULL;
    Error *first = NULL;

    error_propagate(&dst, NULL);
    g_assert_null(dst);
    error_setg(&first, "first");
    error_propagate(&dst, first);
    error_setg(&second, "second");
    error_propagate(&dst, second);
    g_assert_cmpstr(error_get_pretty(dst), ==, "first");
    second = error_copy(dst);
    error_propagate(NULL, second);
}

static bool fail_with_hint(Error **errp)
{
    ERRP_GUARD();

    error_setg(errp, "failed");
    error_prepend(errp, "really ");
    error_append_hint(errp, "Try again.\n");
    g_assert_nonnull(*errp);
    return false;
}

static void test_guard_hands_on_message_and_hint(void)
{
    g_autoptr(Error) err = NULL;

    g_assert_false(fail_with_hint(NULL));
    g_assert_false(fail_with_hint(&err));
    g_assert_cmpstr(error_get_pretty(err), ==, "really failed");
    g_assert_cmpstr(error_get_hint(err), ==, "Try again.\n");
}

static void test_fatal_prints_hint_and_exits_1(void)
{
    if (g_test_subprocess()) {
        error_init("/usr/bin/prog");
        fail_with_hint(&error_fatal);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("prog: really failed\nTry again.\n");
}

static void test_abort_prints_and_aborts(void)
{
    if (g_test_subprocess()) {
        error_init("prog");
        error_setg(&error_abort, "impossible");
        exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("prog: impossible\n*");
}

static void test_second_error_is_a_bug(void)
{
    if (g_test_subprocess()) {
        Error *err = NULL;

        error_setg(&err, "first");
        error_setg(&err, "second");
        exit(0);
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
}

static void test_reports_carry_program_name(void)
{
    if (g_test_subprocess()) {
        Error *err = NULL;

        error_report("no name yet");
        error_init("./build/qemu-img");
        g_assert_cmpstr(error_program_name(), ==, "qemu-img");
        error_report("bad %s", "size");
        warn_report("old %s", "option");
        error_printf("Try 'qemu-img --help'\n");
        error_setg(&err, "went wrong");
        error_append_hint(&err, "Look here.\n");
        warn_report_err(error_copy(err));
        error_reportf_err(err, "%s: ", "FILE");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("no name yet\n"
                              "qemu-img: bad size\n"
                              "qemu-img: warning: old option\n"
                              "Try 'qemu-img --help'\n"
                              "qemu-img: warning: went wrong\n"
                              "Look here.\n"
                              "qemu-img: FILE: went wrong\n"
                              "Look here.\n");
}

/* Messages of each kind; the environment has the journal @inode_offset behind our own inode. */
static void report_with_journal(ino_t inode_offset)
{
    g_autofree char *stream = NULL;
    struct stat status;

    fstat(STDERR_FILENO, &status);
    stream = g_strdup_printf("%ju:%ju", (uintmax_t)status.st_dev,
                             (uintmax_t)(status.st_ino + inode_offset));
    g_setenv("JOURNAL_STREAM", stream, true);
    error_init("prog");
    error_detect_journal();
    error_report("bad\nlines");
    warn_report("old");
    error_printf("first hint\nsecond hint\n");
}

static void test_journal_gets_priority_of_each_line(void)
{
    if (g_test_subprocess()) {
        report_with_journal(0);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("<3>prog: bad\n<3>lines\n<4>prog: warning: old\n"
                              "<5>first hint\n<5>second hint\n");
}

static void test_what_is_not_the_journal_gets_no_priorities(void)
{
    if (g_test_subprocess()) {
        report_with_journal(1);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("prog: bad\nlines\nprog: warning: old\n"
                              "first hint\nsecond hint\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/setg-formats-the-message", test_setg_formats_message);
    g_test_add_func("/error/setters-keep-errno", test_setters_keep_errno);
    g_test_add_func("/error/null-errp-is-not-interested", test_null_errp_is_not_interested);
    g_test_add_func("/error/class-and-hint-are-kept-by-copy", test_class_is_kept_by_copy);
    g_test_add_func("/error/prepend-leaves-percent-signs-alone",
                    test_prepend_leaves_percent_signs_alone);
    g_test_add_func("/error/first-error-wins-propagation", test_first_error_wins_propagation);
    g_test_add_func("/error/guard-hands-on-message-and-hint", test_guard_hands_on_message_and_hint);
    g_test_add_func("/error/fatal-prints-hint-and-exits-1", test_fatal_prints_hint_and_exits_1);
    g_test_add_func("/error/abort-prints-and-aborts", test_abort_prints_and_aborts);
    g_test_add_func("/error/second-error-is-a-bug", test_second_error_is_a_bug);
    g_test_add_func("/error-report/lines-carry-program-name", test_reports_carry_program_name);
    g_test_add_func("/error-report/journal-gets-priority-of-each-line",
                    test_journal_gets_priority_of_each_line);
    g_test_add_func("/error-report/what-is-not-the-journal-gets-no-priorities",
                    test_what_is_not_the_journal_gets_no_priorities);
    return g_test_run();
}
