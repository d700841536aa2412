/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands from a terminal, with line editing, a history, and completion of command names; and the
 * way in which loop.c lets it wait for keys.
 */
#ifndef LINE_EDITOR_H
#define LINE_EDITOR_H

#include "tools/qemu-io/qemu-io.h"

#define IO_PROMPT "qemu-io> "

/*
 * Read commands from the terminal and run them until its end or `quit`.  Returns false, with
 * nothing read, where line editing is not built in or does not work on this terminal.
 */
bool io_edit_commands(IoSession *io);

/* Run the event loop until something, perhaps the end, can be read from standard input. */
void io_wait_for_input(void);

/* read(2) of standard input, with the event loop running until there is something. */
ssize_t io_read_input(void *buffer, size_t size);

#endif
