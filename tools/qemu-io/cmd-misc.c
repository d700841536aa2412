/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands about the program itself: waiting, leaving, dying.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "qemu/cutils.h"
#include "tools/qemu-io/qemu-io.h"

#define NS_PER_MS INT64_C(1000000)

static bool quit_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    io->is_quitting = true;
    return true;
}

static void sleep_over(void *opaque)
{
    bool *is_over = opaque;

    *is_over = true;
}

/* Requests in flight complete meanwhile. */
static bool sleep_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    AioContext *ctx = qemu_get_aio_context();
    QEMUTimer *timer;
    bool is_over = false;
    int64_t ms;

    if (qemu_strtoi64(argv[1], NULL, 0, &ms) < 0 || ms < 0 || ms > INT_MAX) {
        printf("%s is not a valid number\n", argv[1]);
        return false;
    }
    timer = aio_timer_new(ctx, sleep_over, &is_over);
    timer_mod_ns(timer, qemu_clock_get_ns() + ms * NS_PER_MS);
    AIO_WAIT_WHILE(ctx, !is_over);
    timer_free(timer);
    return true;
}

static bool abort_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    abort();
}

static bool sigraise_run(IoSession *io, const IoCommand *command, int argc, char **argv)
{
    int number;

    if (qemu_strtoi(argv[1], NULL, 0, &number) < 0 || number <= 0 || number >= NSIG) {
        printf("%s is not a valid number\n", argv[1]);
        return false;
    }
    /* The signal may end the program: what was printed before must not be lost. */
    fflush(stdout);
    raise(number);
    return true;
}

static const IoCommand commands[] = {
    {
        .name = "quit",
        .alias = "q",
        .run = quit_run,
        .max_args = IO_ANY_ARGS,
        .args = "",
        .summary = "leave",
    },
    {
        .name = "sleep",
        .run = sleep_run,
        .min_args = 1,
        .max_args = 1,
        .args = "ms",
        .summary = "wait for a number of milliseconds",
    },
    {
        .name = "abort",
        .run = abort_run,
        .args = "",
        .summary = "die as if by a failed assertion",
    },
    {
        .name = "sigraise",
        .run = sigraise_run,
        .min_args = 1,
        .max_args = 1,
        .args = "signal",
        .summary = "send itself a signal, given by its number",
    },
};

const IoCommandGroup io_misc_commands = {commands, ARRAY_SIZE(commands)};
