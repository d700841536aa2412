/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is still to be sent to one client.
 *
 * Bytes are written at once as far as the descriptor takes them; the rest waits here, and the owner
 * calls qmp_output_flush() when the descriptor is writable.  Nothing here bounds the length: that
 * is the owner's, who knows what can be left out.
 */
#ifndef MONITOR_QMP_OUTPUT_H
#define MONITOR_QMP_OUTPUT_H

#include <jansson.h>

#include "qemu/osdep.h"

typedef struct QmpOutput {
    int fd; /* non-blocking */
    bool is_pretty;
    bool has_failed; /* nobody reads any more: what is sent vanishes */
    GByteArray *bytes;
    size_t written; /* of @bytes */
} QmpOutput;

void qmp_output_init(QmpOutput *out, int fd, bool is_pretty);
void qmp_output_cleanup(QmpOutput *out);

/* Send @message as a line, or indented over several. */
void qmp_output_send(QmpOutput *out, json_t *message);

/* Write what the descriptor takes. */
void qmp_output_flush(QmpOutput *out);

/* How many bytes wait. */
size_t qmp_output_pending(const QmpOutput *out);

#endif
