/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The progress of a command.  See tool-progress.h.
 *
 * The signal handler only notes that somebody asked: what is printed comes from the thread that
 * does the work, between two steps.
 */
#include "tools/common/tool-progress.h"

#include <signal.h>

static volatile sig_atomic_t somebody_asked;

static void note_question(int signum)
{
    somebody_asked = 1;
}

static void print_state(FILE *stream, int64_t hundredths, char end)
{
    fprintf(stream, "    (%" PRId64 ".%02" PRId64 "/100%%)%c", hundredths / 100, hundredths % 100,
            end);
    fflush(stream);
}

static void update(ToolProgress *progress)
{
    int64_t hundredths =
        progress->total > 0 ? (int64_t)(10000.0 * progress->done / progress->total) : 10000;

    if (somebody_asked) {
        somebody_asked = 0;
        print_state(stderr, hundredths, '\n');
    }
    if (progress->is_shown && hundredths != progress->printed) {
        progress->printed = hundredths;
        print_state(stdout, hundredths, '\r');
    }
}

void tool_progress_begin(ToolProgress *progress, bool is_shown, int64_t total)
{
    struct sigaction action = {.sa_handler = note_question, .sa_flags = SA_RESTART};

    *progress = (ToolProgress){.is_shown = is_shown, .total = total, .printed = -1};
    sigaction(SIGUSR1, &action, NULL);
    if (total > 0) {
        update(progress);
    }
}

void tool_progress_add(ToolProgress *progress, int64_t amount)
{
    progress->done += amount;
    update(progress);
}

void tool_progress_end(ToolProgress *progress)
{
    if (progress->is_shown) {
        printf("\n");
        fflush(stdout);
    }
}
