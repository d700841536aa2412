/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a long command has come: the line of `-p`, and an answer to SIGUSR1.
 */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include "qemu/osdep.h"

typedef struct ToolProgress {
    bool is_shown;
    int64_t done;
    int64_t total;
    int64_t printed; /* in hundredths of a percent; -1: nothing yet */
} ToolProgress;

/*
 * Begin: @total is in a unit of the caller's choice.  @is_shown: keep a line on stdout up to date.
 * From now on SIGUSR1 has the state printed to stderr, at the next step.  One at a time.
 */
void tool_progress_begin(ToolProgress *progress, bool is_shown, int64_t total);

/* @amount more is done. */
void tool_progress_add(ToolProgress *progress, int64_t amount);

/* The work has ended, well or not; the line on stdout is finished. */
void tool_progress_end(ToolProgress *progress);

#endif
