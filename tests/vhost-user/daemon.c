/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Child processes of tests: see daemon.h.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "daemon.h"
#include "wire.h"

#define WAIT_MS 20000
#define STEP_US 2000

extern char **environ;

static GPid spawn(const char *const *arguments, const char *log)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_APPEND,
                                     0600);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (posix_spawn(&pid, arguments[0], &actions, NULL, (char *const *)arguments, environ) != 0) {
        pid = 0;
    }
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

bool daemon_is_alive(Daemon *daemon)
{
    if (daemon->pid && waitpid(daemon->pid, &daemon->status, WNOHANG) == daemon->pid) {
        daemon->pid = 0;
    }
    return daemon->pid;
}

bool daemon_start(Daemon *daemon, const char *const *arguments, const char *log,
                  const char *socket)
{
    daemon->pid = spawn(arguments, log);
    for (int waited = 0; waited < WAIT_MS * 1000 && daemon_is_alive(daemon); waited += STEP_US) {
        int fd = wire_connect(socket);

        if (fd >= 0) {
            close(fd);
            return true;
        }
        g_usleep(STEP_US);
    }
    return false;
}

bool daemon_end(Daemon *daemon, int signal_number)
{
    if (!daemon_is_alive(daemon)) {
        return true;
    }
    kill(daemon->pid, signal_number);
    for (int waited = 0; waited < WAIT_MS * 1000; waited += STEP_US) {
        if (!daemon_is_alive(daemon)) {
            return true;
        }
        g_usleep(STEP_US);
    }
    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, &daemon->status, 0);
    daemon->pid = 0;
    return false;
}

int run_program(const char *const *arguments, const char *log)
{
    pid_t pid = spawn(arguments, log);
    int status;

    if (!pid || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}
