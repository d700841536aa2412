/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is still to be sent to one client: see qmp-output.h.
 */
#include "qemu/osdep.h"

#include "qmp-output.h"

/* An empty buffer that has grown beyond this gives its memory back. */
#define SMALL_LENGTH 65536

void qmp_output_init(QmpOutput *out, int fd, bool is_pretty)
{
    *out = (QmpOutput){.fd = fd, .is_pretty = is_pretty, .bytes = g_byte_array_new()};
}

void qmp_output_cleanup(QmpOutput *out)
{
    g_byte_array_unref(out->bytes);
}

size_t qmp_output_pending(const QmpOutput *out)
{
    return out->bytes->len - out->written;
}

static void drop_written(QmpOutput *out)
{
    if (out->written < out->bytes->len) {
        /* moving the rest costs no more than writing what was before it did */
        if (out->written >= out->bytes->len / 2) {
            g_byte_array_remove_range(out->bytes, 0, out->written);
            out->written = 0;
        }
        return;
    }
    if (out->bytes->len > SMALL_LENGTH) {
        g_byte_array_unref(out->bytes);
        out->bytes = g_byte_array_new();
    }
    g_byte_array_set_size(out->bytes, 0);
    out->written = 0;
}

void qmp_output_flush(QmpOutput *out)
{
    while (!out->has_failed && qmp_output_pending(out) > 0) {
        ssize_t ret = write(out->fd, out->bytes->data + out->written, qmp_output_pending(out));

        if (ret >= 0) {
            out->written += ret;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            out->has_failed = true;
        }
    }
    if (out->has_failed) {
        out->written = out->bytes->len;
    }
    drop_written(out);
}

void qmp_output_send(QmpOutput *out, json_t *message)
{
    char *text = json_dumps(message, out->is_pretty ? JSON_INDENT(4) : 0);

    g_assert(text);
    g_byte_array_append(out->bytes, (const guint8 *)text, strlen(text));
    g_byte_array_append(out->bytes, (const guint8 *)"\n", 1);
    free(text);
    qmp_output_flush(out);
}
