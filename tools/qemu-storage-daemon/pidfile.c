/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PID file: see daemon.h.
 *
 * It is written under another name and linked or renamed to its own, so that who finds it finds a
 * number in it.  Its lock tells the file of a living process from one that was left behind: who
 * wants to replace one must get the lock on it first.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "tools/qemu-storage-daemon/daemon.h"

struct PidFile {
    char *path; /* absolute: the working directory may change */
    int fd;     /* keeps the lock */
};

static void pidfile_free(PidFile *pidfile)
{
    close(pidfile->fd);
    g_free(pidfile->path);
    g_free(pidfile);
}

static bool lock_file(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Whether @path is (still) the file that @fd has open. */
static bool is_same_file(const char *path, int fd)
{
    struct stat at_path, open_file;

    return lstat(path, &at_path) == 0 && fstat(fd, &open_file) == 0 &&
           at_path.st_dev == open_file.st_dev && at_path.st_ino == open_file.st_ino;
}

/* A new, locked file beside @path with the process' ID; *@name is to be freed.  -1: @errp is set.
 */
static int write_new_file(const char *path, char **name, Error **errp)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    size_t length = strlen(text);
    int fd;

    *name = g_strdup_printf("%s.XXXXXX", path);
    fd = mkostemp(*name, O_CLOEXEC);
    if (fd < 0) {
        error_setg_errno(errp, errno, "Could not create '%s'", path);
        g_clear_pointer(name, g_free);
        return -1;
    }
    if (fchmod(fd, 0600) < 0 || !lock_file(fd) || write(fd, text, length) != length) {
        error_setg_errno(errp, errno, "Could not write '%s'", path);
        unlink(*name);
        close(fd);
        g_clear_pointer(name, g_free);
        return -1;
    }
    return fd;
}

/* A number and a newline, or nothing yet (made by mktemp, say). */
static bool is_pid_text(int fd)
{
    char text[32];
    ssize_t nr = pread(fd, text, sizeof(text), 0);
    ssize_t nr_digits = 0;

    while (nr_digits < nr && g_ascii_isdigit(text[nr_digits])) {
        nr_digits++;
    }
    return nr == 0 || (nr > 0 && nr_digits > 0 &&
                       (nr == nr_digits || (nr == nr_digits + 1 && text[nr_digits] == '\n')));
}

/*
 * Take the lock on what stands at @path, so that it can be replaced.  Returns its descriptor; -1
 * with @errp set where it must stay; -1 without where it has gone in the meantime.
 */
static int seize_old_file(const char *path, Error **errp)
{
    /* Not blocking: it could be a pipe. */
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    struct stat status;

    if (fd < 0) {
        if (errno != ENOENT) {
            error_setg_errno(errp, errno, "Could not open '%s'", path);
        }
        return -1;
    }
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || !is_pid_text(fd)) {
        error_setg(errp, "'%s' exists and is not a PID file", path);
    } else if (!lock_file(fd)) {
        error_setg(errp, "'%s' belongs to another process", path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* Give the file @name, which is complete, the name @path. */
static bool put_in_place(const char *name, const char *path, Error **errp)
{
    ERRP_GUARD();

    for (;;) {
        bool is_replaced;
        int old_fd;

        if (link(name, path) == 0) {
            unlink(name);
            return true;
        }
        if (errno != EEXIST) {
            error_setg_errno(errp, errno, "Could not create '%s'", path);
            return false;
        }
        old_fd = seize_old_file(path, errp);
        if (*errp) {
            return false;
        }
        is_replaced = old_fd >= 0 && is_same_file(path, old_fd) && rename(name, path) == 0;
        if (old_fd >= 0) {
            close(old_fd);
        }
        if (is_replaced) {
            return true;
        }
        /* Somebody else was faster: look again. */
    }
}

PidFile *pidfile_create(const char *path, Error **errp)
{
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autofree char *name = NULL;
    PidFile *pidfile;
    int fd = write_new_file(absolute, &name, errp);

    if (fd < 0) {
        return NULL;
    }
    if (!put_in_place(name, absolute, errp)) {
        unlink(name);
        close(fd);
        return NULL;
    }
    pidfile = g_new0(PidFile, 1);
    pidfile->path = g_steal_pointer(&absolute);
    pidfile->fd = fd;
    return pidfile;
}

void pidfile_remove(PidFile *pidfile)
{
    if (!pidfile) {
        return;
    }
    if (is_same_file(pidfile->path, pidfile->fd)) {
        unlink(pidfile->path);
    }
    pidfile_free(pidfile);
}
