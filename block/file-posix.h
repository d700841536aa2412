/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the drivers for files (file-posix.c) and devices (host-device.c) of the host share, and the
 * parts that stand in files of their own: locks and creation.
 */
#ifndef BLOCK_FILE_POSIX_H
#define BLOCK_FILE_POSIX_H

#include "block/block_int.h"

/* ---- locks (file-posix-lock.c) ---- */

/*
 * The locks that a node holds on its file, see docs/interop/image-locking.rst.  They belong to the
 * open file description and last until it is closed.
 */
typedef struct FileLocks {
    bool is_enabled;
    bool is_lenient;   /* locking=auto: do without where the file system cannot lock */
    uint64_t perm;     /* BLK_PERM_* whose bytes 100 + bit are locked */
    uint64_t unshared; /* BLK_PERM_* whose bytes 200 + bit are locked */
} FileLocks;

void file_locks_init(FileLocks *locks, bool has_mode, OnOffAuto mode);

/*
 * Change the locks to those of a user of @perm who shares @shared.  New ones are taken and
 * conflicts looked for before old ones are let go, so that a failure changes nothing.
 *
 * Returns 0, or a negative errno (-EAGAIN: somebody else's use conflicts) with @errp set.
 */
int file_locks_set(FileLocks *locks, int fd, const char *filename, uint64_t perm, uint64_t shared,
                   Error **errp);

/*
 * Let go of all locks on @fd, which is closed next.  Closing alone is not enough: a ring of the
 * kernel may hold the description a while longer, even when the program has ended, and others would
 * find the file in use.
 */
void file_locks_release(const FileLocks *locks, int fd);

/* Take on @new_fd, another description of the same file, what is held on the old one. */
int file_locks_move(const FileLocks *locks, int new_fd, Error **errp);

/* ---- the state of a node ---- */

/* What decides how a file is open; a reopen makes a second one. */
typedef struct FileHandle {
    int fd; /* -1: none */
    bool is_read_only;
    bool is_direct;
    bool is_engine_given; /* by the user, who wants this one and no other */
    AioEngine engine;
    /* Bytes: what O_DIRECT asks for, 1 without it. */
    uint32_t request_alignment;
    uint32_t memory_alignment;
} FileHandle;

typedef struct FilePosix {
    FileHandle handle;
    FileHandle reopened; /* between bdrv_reopen_prepare and commit or abort */
    char *filename;
    bool is_device;
    int sector_size; /* of a device, bytes: the unit of its zeroing and discarding */
    FileLocks locks;
    /* What the file system was found unable to do is not asked of it again. */
    bool cannot_zero_range;
    bool cannot_punch_hole;
    bool cannot_seek_data;
    /*
     * An earlier flush failed, and the page cache may have dropped what it could not write: flushes
     * fail from then on.
     */
    int flush_error;
} FilePosix;

/* ---- callbacks that both drivers have ---- */

int file_open_common(BlockDriverState *bs, const BlockdevOptionsFile *options, int flags,
                     bool is_device, Error **errp);
void file_close(BlockDriverState *bs);
int file_reopen_common(BlockDriverState *bs, const BlockdevOptionsFile *options, int flags,
                       Error **errp);
void file_reopen_commit(BlockDriverState *bs, int flags);
void file_reopen_abort(BlockDriverState *bs);
extern const char *const file_mutable_options[];
bool file_can_change_aio_context(BlockDriverState *bs, AioContext *ctx, Error **errp);
void file_attach_aio_context(BlockDriverState *bs, AioContext *ctx);
void file_refresh_limits(BlockDriverState *bs, Error **errp);
int file_set_perm(BlockDriverState *bs, uint64_t perm, uint64_t shared, Error **errp);
int coroutine_fn file_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov, size_t qiov_offset,
                                     BdrvRequestFlags flags);
int coroutine_fn file_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov, size_t qiov_offset,
                                      BdrvRequestFlags flags);
int coroutine_fn file_co_flush(BlockDriverState *bs);

/* `NAME:PATH` and plain paths: drops the prefix @protocol. */
void file_parse_filename_with(const char *protocol, const char *filename, json_t *options);

/* ---- length and creation (file-posix-create.c) ---- */

int coroutine_fn file_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                                  PreallocMode prealloc, BdrvRequestFlags flags, Error **errp);
int file_create_check(const BlockdevCreateOptions *options, Error **errp);
int coroutine_fn file_co_create(BlockdevCreateOptions *options, Error **errp);
int coroutine_fn file_co_delete_file(const char *filename, Error **errp);

#endif
