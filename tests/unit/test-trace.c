/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of qemu/trace.h and of what scripts/tracetool.py generates, with the events of the
 * trace-events file beside this.  Each test runs in a child process, as switches are global.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/trace.h"
#include "tests/unit/trace.h"

#include <glib/gstdio.h>

#define STAMP "[0-9]+@[0-9]+\\.[0-9]{6}:"

static void cause_all_events(void)
{
    trace_unit_no_args();
    trace_unit_two_args(0x1000, "n0");
    trace_unit_ten_args(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    trace_other_event(NULL, true);
}

/* Run @body in a child and return how it ended; its output goes where g_test_trap_*() look. */
#define IN_CHILD(body)                      \
    do {                                    \
        if (g_test_subprocess()) {          \
            error_init("prog");             \
            body;                           \
            exit(0);                        \
        }                                   \
        g_test_trap_subprocess(NULL, 0, 0); \
        g_test_trap_assert_passed();        \
    } while (0)

static void test_silent_by_default(void)
{
    IN_CHILD(cause_all_events());
    g_test_trap_assert_stderr("");
}

static void trace_with(const char *option)
{
    trace_opt_parse(option, &error_fatal);
    cause_all_events();
}

static void test_log_line(void)
{
    IN_CHILD({
        g_assert_false(trace_unit_two_args_is_enabled());
        trace_with("unit_two_args");
        g_assert_true(trace_unit_two_args_is_enabled());
        g_assert_false(trace_unit_no_args_is_enabled());
    });
    g_test_trap_assert_stderr("*@*.*:unit_two_args offset 0x1000 name 'n0'\n");
    g_test_trap_assert_stderr_unmatched("*\n*\n*");
}

static void test_globs(void)
{
    IN_CHILD(trace_with("enable=unit_*"));
    g_test_trap_assert_stderr("*:unit_no_args nothing to tell\n"
                              "*:unit_two_args offset 0x1000 name 'n0'\n"
                              "*:unit_ten_args 1 2 3 4 5 6 7 8 9 10\n");
}

static void test_minus_disables(void)
{
    IN_CHILD({
        g_assert_cmpuint(trace_enable_events("*"), ==, 4);
        g_assert_cmpuint(trace_enable_events("-unit_*"), ==, 3);
        cause_all_events();
        trace_with("-other_event");
    });
    g_test_trap_assert_stderr("*:other_event pointer (nil) is_set 1\n");
    g_test_trap_assert_stderr_unmatched("*\n*\n*");
}

static void test_unknown_pattern_warns(void)
{
    IN_CHILD(trace_with("unit_nonsense"));
    g_test_trap_assert_stderr("prog: warning: no trace event fits 'unit_nonsense'\n");
}

static void test_help_lists_events(void)
{
    IN_CHILD(trace_with("help"); abort());
    g_test_trap_assert_stdout("*other_event\nunit_no_args\nunit_ten_args\nunit_two_args\n*");
    g_test_trap_assert_stderr("");
}

static void test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("test-trace-XXXXXX", NULL);
    g_autofree char *events = g_build_filename(dir, "events", NULL);
    g_autofree char *log = g_build_filename(dir, "log", NULL);
    g_autofree char *option = g_strdup_printf("-unit_two*,events=%s,file=%s", events, log);
    g_autofree char *text = NULL;

    g_assert_true(g_file_set_contents(
        events, "# what to watch\n\n  unit_*  # most\n-unit_ten_args\n", -1, NULL));
    trace_opt_parse(option, &error_abort);
    cause_all_events();
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_assert_true(g_regex_match_simple("^" STAMP "unit_no_args nothing to tell\n$", text, 0, 0));
    trace_enable_events("-*");
    g_unlink(events);
    g_unlink(log);
    g_rmdir(dir);
}

static void test_bad_options(void)
{
    static const struct {
        const char *option;
        const char *message; /* or its start */
    } cases[] = {
        {"enable=*,files=x", "Invalid parameter 'files'"},
        {"file.x=1", "Invalid parameter 'file.*'"},
        {"events=x,unit_*", "Expected '=' after parameter 'unit_*'"},
        {"file=/nonexistent/log",
         "Could not open trace file '/nonexistent/log': No such file or directory"},
        /* The rest is GLib's. */
        {"events=/nonexistent/events", "Could not read trace events: "},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(Error) err = NULL;

        g_assert_false(trace_opt_parse(cases[i].option, &err));
        g_test_message("%s", error_get_pretty(err));
        g_assert_true(g_str_has_prefix(error_get_pretty(err), cases[i].message));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trace/silent-by-default", test_silent_by_default);
    g_test_add_func("/trace/line-has-name-and-arguments", test_log_line);
    g_test_add_func("/trace/globs-enable-what-they-fit", test_globs);
    g_test_add_func("/trace/minus-disables", test_minus_disables);
    g_test_add_func("/trace/unknown-pattern-warns", test_unknown_pattern_warns);
    g_test_add_func("/trace/help-lists-events-and-ends", test_help_lists_events);
    g_test_add_func("/trace/events-and-log-can-be-files", test_files);
    g_test_add_func("/trace/bad-options-are-refused", test_bad_options);
    return g_test_run();
}
