/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chardev on standard input and output.
 *
 * Its peer is there from the beginning, and none comes after it: the end of the input is the end of
 * the session, not of the program.  The streams may be shared with other processes, the user's
 * shell among them, so their flags are put back at the program's end, whichever way it takes.
 */
#include "qemu/osdep.h"

#include <fcntl.h>

#include "chardev.h"

static const int fds[] = {STDIN_FILENO, STDOUT_FILENO};
static int saved_flags[ARRAY_SIZE(fds)];
static bool is_used;

typedef struct StdioChardev {
    Chardev chr;
    bool is_told;
} StdioChardev;

static void restore_flags(void)
{
    if (is_used) {
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
            fcntl(fds[i], F_SETFL, saved_flags[i]);
        }
        is_used = false;
    }
}

static void stdio_await_peer(Chardev *chr)
{
    StdioChardev *s = container_of(chr, StdioChardev, chr);

    if (!s->is_told) {
        s->is_told = true;
        chardev_peer_came(chr, STDIN_FILENO, STDOUT_FILENO);
    }
}

static void stdio_drop_peer(Chardev *chr)
{
    restore_flags();
}

static void stdio_free(Chardev *chr)
{
    restore_flags();
    g_free(container_of(chr, StdioChardev, chr));
}

static const ChardevOps stdio_ops = {
    .await_peer = stdio_await_peer,
    .drop_peer = stdio_drop_peer,
    .free = stdio_free,
};

Chardev *chardev_stdio_new(int *ret, Error **errp)
{
    static bool has_exit_handler, has_been_used;
    StdioChardev *s;

    if (has_been_used) {
        error_setg(errp, "Only one chardev can use standard input and output");
        *ret = -EEXIST;
        return NULL;
    }
    /* Both before any is changed: they may be one file. */
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        saved_flags[i] = fcntl(fds[i], F_GETFL);
        if (saved_flags[i] < 0) {
            *ret = -errno;
            error_setg_errno(errp, errno, "Cannot use standard %s", i ? "output" : "input");
            return NULL;
        }
    }
    is_used = has_been_used = true;
    if (!has_exit_handler) {
        has_exit_handler = atexit(restore_flags) == 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fcntl(fds[i], F_SETFL, saved_flags[i] | O_NONBLOCK);
    }
    s = g_new0(StdioChardev, 1);
    s->chr.ops = &stdio_ops;
    return &s->chr;
}
