/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wish to quit: of a signal, or of a command.
 *
 * Signals come through a descriptor in the main loop, so that no code runs between two others'
 * instructions, and threads made later have them blocked.
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <sys/signalfd.h>

#include "block/aio.h"
#include "monitor/monitor.h"
#include "tools/qemu-storage-daemon/daemon.h"

static bool is_quit_wanted;
static ShutdownCause reason_to_quit;
static int signal_fd = -1;

void quit_request(ShutdownCause reason)
{
    if (!is_quit_wanted) {
        is_quit_wanted = true;
        reason_to_quit = reason;
    }
    chardev_cancel_waits();
    aio_notify(qemu_get_aio_context());
}

bool quit_is_wanted(void)
{
    return is_quit_wanted;
}

ShutdownCause quit_reason(void)
{
    assert(is_quit_wanted);
    return reason_to_quit;
}

static void read_signal(void *opaque)
{
    struct signalfd_siginfo info;

    if (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
        quit_request(SHUTDOWN_CAUSE_HOST_SIGNAL);
    }
}

static bool is_ignored(int signal_number)
{
    struct sigaction action;

    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

bool quit_catch_signals(Error **errp)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    /* nohup means that a closed terminal is no reason to end */
    if (!is_ignored(SIGHUP)) {
        sigaddset(&set, SIGHUP);
    }
    /*
     * A shell has SIGINT ignored in what it runs in the background.  It comes nevertheless: Linux
     * does not drop an ignored signal while it is blocked.
     */
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
        error_setg_errno(errp, errno, "Cannot block signals");
        return false;
    }
    signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signal_fd < 0) {
        error_setg_errno(errp, errno, "Cannot make a descriptor for signals");
        return false;
    }
    aio_set_fd_handler(qemu_get_aio_context(), signal_fd, read_signal, NULL, NULL);
    return true;
}
