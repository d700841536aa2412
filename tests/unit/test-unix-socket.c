/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unix sockets: what is replaced, and what is left alone.
 */
#include "qemu/osdep.h"

#include <glib/gstdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "qemu/unix-socket.h"

static char *dir, *path;

static void check_listen(int expected)
{
    Error *err = NULL;
    int fd = unix_socket_listen(path, &err);

    g_assert_cmpint(MIN(fd, 0), ==, expected);
    g_assert_cmpint(!err, ==, fd >= 0);
    error_free(err);
    if (fd >= 0) {
        close(fd);
    }
}

static void test_free(void)
{
    struct stat st;
    mode_t old_mask = umask(0);

    check_listen(0);
    umask(old_mask);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode, ==, S_IFSOCK | 0600);
    unlink(path);
}

static void test_stale(void)
{
    check_listen(0);
    check_listen(0);
    unlink(path);
}

static void test_in_use(void)
{
    int fd = unix_socket_listen(path, &error_abort);
    int64_t start = g_get_monotonic_time();

    check_listen(-EADDRINUSE);
    g_assert_cmpint(g_get_monotonic_time() - start, <, G_USEC_PER_SEC / 2);
    close(fd);
    unlink(path);
}

static void test_no_socket(void)
{
    g_autofree char *contents = NULL;

    g_file_set_contents(path, "precious", -1, NULL);
    check_listen(-EADDRINUSE);
    g_file_get_contents(path, &contents, NULL, NULL);
    g_assert_cmpstr(contents, ==, "precious");
    unlink(path);
}

/* A socket that lives on after the process that listened on it. */
static int listen_in_dead_process(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), status;
    pid_t pid;

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
    pid = fork();
    if (pid == 0) {
        _exit(listen(fd, 1) == 0 ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    return fd;
}

static void test_inherited(void)
{
    int fd = listen_in_dead_process();

    check_listen(-EADDRINUSE);
    close(fd);
    unlink(path);
}

static void *close_later(void *opaque)
{
    g_usleep(G_USEC_PER_SEC / 10);
    close(GPOINTER_TO_INT(opaque));
    return NULL;
}

static void test_dying(void)
{
    int fd = listen_in_dead_process();
    GThread *thread = g_thread_new("closer", close_later, GINT_TO_POINTER(fd));

    check_listen(0);
    g_thread_join(thread);
    unlink(path);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    dir = g_dir_make_tmp("socket-XXXXXX", NULL);
    path = g_build_filename(dir, "s", NULL);
    g_test_add_func("/unix-socket/listen/makes-it-the-owner-s", test_free);
    g_test_add_func("/unix-socket/listen/replaces-a-dead-program-s", test_stale);
    g_test_add_func("/unix-socket/listen/leaves-a-living-program-s", test_in_use);
    g_test_add_func("/unix-socket/listen/leaves-what-is-no-socket", test_no_socket);
    g_test_add_func("/unix-socket/listen/leaves-one-that-was-inherited", test_inherited);
    g_test_add_func("/unix-socket/listen/waits-for-a-dying-program-s", test_dying);
    ret = g_test_run();
    g_rmdir(dir);
    g_free(path);
    g_free(dir);
    return ret;
}
