/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which trace events are logged, and where: see qemu/trace.h.
 *
 * The groups of events link themselves in before main() and never change; the log file is chosen
 * before there are threads.  What stays variable is the byte of each event, accessed atomically.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "qemu/trace.h"

#include <syslog.h>
#include <time.h>

static TraceGroup *groups;
static FILE *log_file; /* NULL: stderr */

void trace_register_group(TraceGroup *group)
{
    group->next = groups;
    groups = group;
}

void trace_log(const char *name, const char *fmt, ...)
{
    g_autofree char *args_text = NULL;
    g_autofree char *line = NULL;
    struct timespec now;
    va_list args;

    clock_gettime(CLOCK_REALTIME, &now);
    va_start(args, fmt);
    args_text = g_strdup_vprintf(fmt, args);
    va_end(args);
    line = g_strdup_printf("%d@%lld.%06ld:%s%s%s\n", (int)getpid(), (long long)now.tv_sec,
                           now.tv_nsec / 1000, name, *args_text ? " " : "", args_text);
    if (log_file) {
        fputs(line, log_file);
    } else {
        g_autofree char *marked = error_with_priority(LOG_DEBUG, line);

        fputs(marked, stderr);
    }
}

size_t trace_enable_events(const char *pattern)
{
    bool is_enabled = *pattern != '-';
    const char *glob = pattern + !is_enabled;
    size_t nr_matches = 0;

    for (TraceGroup *group = groups; group; group = group->next) {
        for (size_t i = 0; i < group->nr_events; i++) {
            if (g_pattern_match_simple(glob, group->names[i])) {
                __atomic_store_n(&group->enabled[i], is_enabled, __ATOMIC_RELAXED);
                nr_matches++;
            }
        }
    }
    return nr_matches;
}

static void enable_or_warn(const char *pattern)
{
    if (trace_enable_events(pattern) == 0) {
        warn_report("no trace event fits '%s'", pattern);
    }
}

static bool enable_from_file(const char *path, Error **errp)
{
    g_autoptr(GError) read_error = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, &read_error)) {
        error_setg(errp, "Could not read trace events: %s", read_error->message);
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        (*line)[strcspn(*line, "#")] = '\0';
        g_strstrip(*line);
        if (**line) {
            enable_or_warn(*line);
        }
    }
    return true;
}

static bool log_to_file(const char *path, Error **errp)
{
    FILE *file = fopen(path, "we");

    if (!file) {
        error_setg_errno(errp, errno, "Could not open trace file '%s'", path);
        return false;
    }
    /* Whole lines at once: what led to a crash should be in the file. */
    setvbuf(file, NULL, _IOLBF, 0);
    if (log_file) {
        fclose(log_file);
    }
    log_file = file;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_events(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (TraceGroup *group = groups; group; group = group->next) {
        for (size_t i = 0; i < group->nr_events; i++) {
            g_ptr_array_add(names, (char *)group->names[i]);
        }
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        printf("%s\n", (const char *)names->pdata[i]);
    }
}

/* Whether all keys are known and have plain text; `file.x=` would make an object of it. */
static bool check_parameters(const json_t *options, Error **errp)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)options, key, value)
    {
        bool is_known =
            g_str_equal(key, "enable") || g_str_equal(key, "events") || g_str_equal(key, "file");

        if (!is_known || !json_is_string(value)) {
            error_setg(errp, "Invalid parameter '%s%s'", key, is_known ? ".*" : "");
            return false;
        }
    }
    return true;
}

bool trace_opt_parse(const char *option, Error **errp)
{
    bool is_help_wanted;
    json_auto_t *options = keyval_parse(option, "enable", &is_help_wanted, errp);
    const char *events, *pattern, *file;

    if (!options || !check_parameters(options, errp)) {
        return false;
    }
    if (is_help_wanted) {
        list_events();
        exit(EXIT_SUCCESS);
    }
    events = json_string_value(json_object_get(options, "events"));
    pattern = json_string_value(json_object_get(options, "enable"));
    file = json_string_value(json_object_get(options, "file"));
    if (file && !log_to_file(file, errp)) {
        return false;
    }
    if (events && !enable_from_file(events, errp)) {
        return false;
    }
    if (pattern) {
        enable_or_warn(pattern);
    }
    return true;
}
