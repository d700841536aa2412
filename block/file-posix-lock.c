/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks against conflicting use of an image by several programs.
 *
 * A user holds a shared lock on byte 100 + i for each permission i that it uses, and on byte 200 +
 * i for each that it lets nobody else use.  All locks are shared ones and never fail; a conflict is
 * found by asking whether somebody holds the opposite byte.  Everybody takes its own first and asks
 * then, so that of two who start at once at least one sees the other.
 *
 * The locks are those of open file descriptions (fcntl(2), F_OFD_SETLK): they end with the
 * description, and other descriptors of the same process count as somebody else.
 */
#include "qemu/osdep.h"

#include <fcntl.h>

#include "block/file-posix.h"

/* How often, and how long apart, locks are asked for before somebody else is said to have them. */
#define LOCK_ATTEMPTS 10
#define LOCK_INTERVAL_US 20000

#define PERM_BYTE 100
#define UNSHARED_BYTE 200
#define NR_PERMS 4

static const char *const perm_names[NR_PERMS] = {
    "consistent read", "write", "write unchanged", "resize",
};

void file_locks_init(FileLocks *locks, bool has_mode, OnOffAuto mode)
{
    locks->is_enabled = !has_mode || mode != ON_OFF_AUTO_OFF;
    locks->is_lenient = !has_mode || mode == ON_OFF_AUTO_AUTO;
    locks->perm = 0;
    locks->unshared = 0;
}

static int lock_byte(int fd, off_t byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* 1 where somebody else has @byte locked, 0 where nobody has, or a negative errno. */
static int byte_is_locked(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &lock) < 0) {
        return -errno;
    }
    return lock.l_type != F_UNLCK;
}

/* Lock or unlock the bytes from @base on of all permissions in @perms. */
static int set_bytes(int fd, off_t base, uint64_t perms, short type)
{
    for (int i = 0; i < NR_PERMS; i++) {
        int ret = perms & (1 << i) ? lock_byte(fd, base + i, type) : 0;

        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/* Fail if somebody holds the byte from @base on of a permission in @perms. */
static int check_bytes(int fd, off_t base, uint64_t perms, const char *shared, const char *filename,
                       Error **errp)
{
    ERRP_GUARD();

    for (int i = 0; i < NR_PERMS; i++) {
        int ret = perms & (1 << i) ? byte_is_locked(fd, base + i) : 0;

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not query the locks of '%s'", filename);
            return ret;
        }
        if (ret > 0) {
            error_setg(errp, "Failed to get %s\"%s\" lock", shared, perm_names[i]);
            error_append_hint(errp, "Is another process using the image [%s]?\n", filename);
            return -EAGAIN;
        }
    }
    return 0;
}

static bool is_unsupported(int err)
{
    return err == -EINVAL || err == -ENOSYS || err == -ENOTSUP || err == -ENOLCK;
}

/* Take the new locks and look for conflicts; what was taken stays taken on failure. */
static int take_locks(FileLocks *locks, int fd, const char *filename, uint64_t new_perm,
                      uint64_t new_unshared, Error **errp)
{
    int ret = set_bytes(fd, PERM_BYTE, new_perm, F_RDLCK);

    if (ret == 0) {
        ret = set_bytes(fd, UNSHARED_BYTE, new_unshared, F_RDLCK);
    }
    if (ret < 0) {
        if (is_unsupported(ret) && locks->is_lenient) {
            locks->is_enabled = false;
            return 0;
        }
        error_setg_errno(errp, -ret, "Could not lock '%s'", filename);
        return ret;
    }
    ret = check_bytes(fd, UNSHARED_BYTE, new_perm, "", filename, errp);
    if (ret < 0) {
        return ret;
    }
    return check_bytes(fd, PERM_BYTE, new_unshared, "shared ", filename, errp);
}

static void let_go(int fd, uint64_t perm, uint64_t unshared)
{
    set_bytes(fd, PERM_BYTE, perm, F_UNLCK);
    set_bytes(fd, UNSHARED_BYTE, unshared, F_UNLCK);
}

/*
 * take_locks(), and again for a while where somebody else has them: after a program with an
 * io_uring was killed the kernel needs some time until it has let go of the file.
 */
static int take_locks_patiently(FileLocks *locks, int fd, const char *filename, uint64_t new_perm,
                                uint64_t new_unshared, Error **errp)
{
    for (int attempt = 1;; attempt++) {
        Error *local_err = NULL;
        int ret = take_locks(locks, fd, filename, new_perm, new_unshared, &local_err);

        if (ret == 0) {
            return 0;
        }
        let_go(fd, new_perm, new_unshared);
        if (ret != -EAGAIN || attempt == LOCK_ATTEMPTS) {
            error_propagate(errp, local_err);
            return ret;
        }
        error_free(local_err);
        g_usleep(LOCK_INTERVAL_US);
    }
}

int file_locks_set(FileLocks *locks, int fd, const char *filename, uint64_t perm, uint64_t shared,
                   Error **errp)
{
    uint64_t unshared = BLK_PERM_ALL & ~shared;
    uint64_t new_perm = perm & ~locks->perm;
    uint64_t new_unshared = unshared & ~locks->unshared;
    int ret;

    if (!locks->is_enabled) {
        return 0;
    }
    ret = take_locks_patiently(locks, fd, filename, new_perm, new_unshared, errp);
    if (ret < 0) {
        return ret;
    }
    let_go(fd, locks->perm & ~perm, locks->unshared & ~unshared);
    locks->perm = perm;
    locks->unshared = unshared;
    return 0;
}

void file_locks_release(const FileLocks *locks, int fd)
{
    let_go(fd, locks->perm, locks->unshared);
}

int file_locks_move(const FileLocks *locks, int new_fd, Error **errp)
{
    int ret = 0;

    if (locks->is_enabled) {
        ret = set_bytes(new_fd, PERM_BYTE, locks->perm, F_RDLCK);
    }
    if (locks->is_enabled && ret == 0) {
        ret = set_bytes(new_fd, UNSHARED_BYTE, locks->unshared, F_RDLCK);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not keep the locks of the file");
    }
    return ret;
}
