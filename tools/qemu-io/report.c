/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a request that worked is worth: the report block of qemu-io, for people and as comma
 * separated values.
 *
 * Scripts filter these lines by their shape, which is fixed (docs/tools/qemu-io.rst).
 */
#include "qemu/osdep.h"

#include "qemu/cutils.h"
#include "tools/qemu-io/qemu-io.h"

#define NS_PER_SECOND      INT64_C(1000000000)
#define NS_PER_CENTISECOND (NS_PER_SECOND / 100)

static char *time_to_str(int64_t ns, bool is_always_long)
{
    int64_t centiseconds = ns / NS_PER_CENTISECOND;
    int64_t seconds = centiseconds / 100;
    int fraction = centiseconds % 100;

    if (seconds == 0 && !is_always_long) {
        return g_strdup_printf("00.%02d sec", fraction);
    }
    return g_strdup_printf("%" PRId64 ":%02d:%02d.%02d", seconds / 3600, (int)(seconds / 60 % 60),
                           (int)(seconds % 60), fraction);
}

static void report_human(const char *verb, int64_t offset, int64_t bytes, int64_t ns)
{
    double seconds = (double)ns / NS_PER_SECOND;
    g_autofree char *size = size_to_str_fixed(bytes);
    g_autofree char *rate = size_to_str_fixed(bytes / seconds);
    g_autofree char *duration = time_to_str(ns, false);

    printf("%s %" PRId64 "/%" PRId64 " bytes at offset %" PRId64 "\n", verb, bytes, bytes, offset);
    printf("%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n", size, duration, rate, 1 / seconds);
}

static void report_csv(int64_t bytes, int64_t ns)
{
    double seconds = (double)ns / NS_PER_SECOND;
    g_autofree char *duration = time_to_str(ns, true);

    printf("%" PRId64 ",1,%s,%.3f,%.3f\n", bytes, duration, bytes / seconds, 1 / seconds);
}

void io_report(IoReportForm form, const char *verb, int64_t offset, int64_t bytes, int64_t start_ns)
{
    int64_t ns = MAX(qemu_clock_get_ns() - start_ns, 1);

    switch (form) {
    case IO_REPORT_HUMAN:
        report_human(verb, offset, bytes, ns);
        break;
    case IO_REPORT_CSV:
        report_csv(bytes, ns);
        break;
    case IO_REPORT_QUIET:
        break;
    }
}

bool io_failed(const char *what, int ret)
{
    printf("%s failed: %s\n", what, bdrv_strerror(-ret));
    return false;
}
