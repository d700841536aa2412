/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands from standard input, with a prompt before each.
 *
 * While the user thinks, the event loop runs, so that requests in flight complete and say so. Input
 * that does not come from a terminal is read with read(2) alone: a stdio buffer could hold a line
 * that the event loop cannot see.
 */
#include "qemu/osdep.h"

#include <poll.h>

#include "qemu/error-report.h"
#include "tools/qemu-io/line-editor.h"
#include "tools/qemu-io/qemu-io.h"

static void note_readable(void *opaque)
{
    bool *is_readable = opaque;

    *is_readable = true;
}

void io_wait_for_input(void)
{
    AioContext *ctx = qemu_get_aio_context();
    struct pollfd pollfd = {.fd = STDIN_FILENO, .events = POLLIN};
    bool is_readable = false;

    /* Files and the like are always readable, and epoll does not take them. */
    if (poll(&pollfd, 1, 0) != 0) {
        return;
    }
    aio_set_fd_handler(ctx, STDIN_FILENO, note_readable, NULL, &is_readable);
    while (!is_readable) {
        aio_poll(ctx, true);
        /* What a completed request has printed is to be seen now. */
        fflush(stdout);
    }
    aio_set_fd_handler(ctx, STDIN_FILENO, NULL, NULL, NULL);
}

ssize_t io_read_input(void *buffer, size_t size)
{
    ssize_t nr;

    do {
        io_wait_for_input();
        nr = read(STDIN_FILENO, buffer, size);
    } while (nr < 0 && (errno == EINTR || errno == EAGAIN));
    return nr;
}

/*
 * Take the first line out of @pending, reading on until there is one.  Returns NULL at the end of
 * the input; a last line may lack its newline.
 */
static char *read_line(GString *pending)
{
    char chunk[4096];
    char *newline, *line;
    size_t length;

    while (!(newline = memchr(pending->str, '\n', pending->len))) {
        ssize_t nr = io_read_input(chunk, sizeof(chunk));

        if (nr < 0) {
            error_report("Could not read commands: %s", strerror(errno));
        }
        if (nr <= 0) {
            break;
        }
        g_string_append_len(pending, chunk, nr);
    }
    if (!newline && pending->len == 0) {
        return NULL;
    }
    length = newline ? newline - pending->str : pending->len;
    line = g_strndup(pending->str, length);
    g_string_erase(pending, 0, newline ? length + 1 : length);
    return line;
}

static void read_plain_commands(IoSession *io)
{
    GString *pending = g_string_new(NULL);

    while (!io->is_quitting) {
        g_autofree char *line = NULL;

        printf("%s", IO_PROMPT);
        fflush(stdout);
        line = read_line(pending);
        if (!line) {
            break;
        }
        io_run_line(io, line);
    }
    g_string_free(pending, true);
}

void io_read_commands(IoSession *io)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !io_edit_commands(io)) {
        read_plain_commands(io);
    }
}
