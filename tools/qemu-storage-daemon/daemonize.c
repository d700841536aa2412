/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Going to the background: the process that was started waits until its child serves, and tells the
 * result by its exit status.  What went wrong the child has said itself.
 *
 * They are connected by a pipe: one byte from the child means success, the end of the pipe that
 * the child is gone.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "qemu/error-report.h"
#include "tools/qemu-storage-daemon/daemon.h"

static int parent_fd = -1;

static G_NORETURN void wait_for_child(pid_t child, int child_fd)
{
    ssize_t nr;
    int status;
    char byte;

    do {
        nr = read(child_fd, &byte, 1);
    } while (nr < 0 && errno == EINTR);
    if (nr == 1) {
        _exit(EXIT_SUCCESS);
    }
    if (waitpid(child, &status, 0) != child) {
        error_report("--daemonize: Lost the process in the background: %s", strerror(errno));
    } else if (WIFSIGNALED(status)) {
        error_report("--daemonize: The process in the background was killed by signal %d (%s)",
                     WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) == EXIT_SUCCESS) {
        error_report("--daemonize: The process in the background was told to end before it served");
    }
    _exit(EXIT_FAILURE);
}

bool daemonize_begin(Error **errp)
{
    int fds[2];
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        error_setg_errno(errp, errno, "Cannot make a pipe to the background");
        return false;
    }
    /* Or both processes would write out what is buffered. */
    fflush(NULL);
    child = fork();
    if (child < 0) {
        error_setg_errno(errp, errno, "Cannot start a process in the background");
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (child > 0) {
        close(fds[1]);
        wait_for_child(child, fds[0]);
    }
    close(fds[0]);
    parent_fd = fds[1];
    setsid();
    return true;
}

bool daemonize_finish(Error **errp)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    bool is_done = false;

    if (null_fd < 0 || stderr_fd < 0) {
        error_setg_errno(errp, errno, "Cannot give up the standard descriptors");
    } else if (chdir("/") < 0) {
        error_setg_errno(errp, errno, "Cannot change to the root directory");
    } else {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
            dup2(null_fd, fd);
        }
        is_done = write(parent_fd, "", 1) == 1;
        if (!is_done) {
            dup2(stderr_fd, STDERR_FILENO);
            error_setg(errp, "The process that started this one is gone");
        }
    }
    if (null_fd >= 0) {
        close(null_fd);
    }
    if (stderr_fd >= 0) {
        close(stderr_fd);
    }
    close(parent_fd);
    return is_done;
}
