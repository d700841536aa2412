/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BlockBackend: the handle by which a user of the block layer (a tool, an export) holds a node.
 *
 * It carries what belongs to the user rather than the node: permissions, the write cache mode, and
 * the count of its requests in flight.
 */
#ifndef BLOCK_BACKEND_H
#define BLOCK_BACKEND_H

#include "block/aio.h"
#include "block/block-common.h"
#include "block/block-graph.h"
#include "block/block-io.h"

/* ---- life ---- */

/*
 * A backend without a node.  It is used in the thread of @ctx, or in the one of the node that it is
 * given later; only the functions that make and free backends or wait may be called in the main
 * thread, too.
 */
BlockBackend *blk_new(AioContext *ctx, uint64_t perm, uint64_t shared_perm);
/* Returns 0, or -EPERM with @errp set where other users of the node do not allow it. */
int blk_insert_bs(BlockBackend *blk, BlockDriverState *bs, Error **errp);
void blk_remove_bs(BlockBackend *blk);
void blk_ref(BlockBackend *blk);
/* The last one drains, flushes and lets go of the node. */
void blk_unref(BlockBackend *blk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockBackend, blk_unref)

/* Who uses it, for messages: `export 'ID'` or the like; copied. */
void blk_set_user(BlockBackend *blk, const char *user);
const char *blk_get_user(const BlockBackend *blk);
/*
 * Whether its node may be moved to another thread (default: no), and the backend with it.  Requests
 * and callbacks go on there; the user must be prepared for that at any time.
 */
void blk_set_allow_aio_context_change(BlockBackend *blk, bool allow);

/*
 * Open an image, see bdrv_open(); @flags decide the permissions: reading unless BDRV_O_NO_IO,
 * writing with BDRV_O_RDWR, with all others shared.  blk_truncate() takes the one to resize while
 * it runs.  @writethrough: every write is durable when it completes.
 */
BlockBackend *blk_new_open(const char *filename, const char *reference, json_t *options, int flags,
                           bool writethrough, Error **errp);

/*
 * bdrv_reopen() of the node, with the permission to write taken or given up as @flags say.  In the
 * node's thread, outside coroutines; there must be a node.  Returns 0, or a negative errno with @errp set; then the flags
 * and permissions are as before.
 */
int blk_reopen(BlockBackend *blk, json_t *options, int flags, Error **errp);

/* NULL where there is none. */
BlockDriverState *blk_bs(BlockBackend *blk);
AioContext *blk_get_aio_context(BlockBackend *blk);
void blk_set_enable_write_cache(BlockBackend *blk, bool enable);
bool blk_enable_write_cache(const BlockBackend *blk);
bool blk_is_writable(const BlockBackend *blk);
int64_t blk_getlength(BlockBackend *blk);
void *blk_blockalign(BlockBackend *blk, size_t size);
/* Wait until no request of this backend is in flight. */
void blk_drain(BlockBackend *blk);

/* ---- requests in coroutines ---- */

int coroutine_fn blk_co_preadv(BlockBackend *blk, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
                               BdrvRequestFlags flags);
int coroutine_fn blk_co_pwritev(BlockBackend *blk, int64_t offset, int64_t bytes,
                                QEMUIOVector *qiov, BdrvRequestFlags flags);
int coroutine_fn blk_co_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes,
                                      BdrvRequestFlags flags);
int coroutine_fn blk_co_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes);
int coroutine_fn blk_co_flush(BlockBackend *blk);
int coroutine_fn blk_co_zone_report(BlockBackend *blk, int64_t offset, unsigned int *nr_zones,
                                    BlockZoneDescriptor *zones);
int coroutine_fn blk_co_zone_mgmt(BlockBackend *blk, BlockZoneOp op, int64_t offset, int64_t len);
int coroutine_fn blk_co_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov,
                                    BdrvRequestFlags flags);

/* ---- the same with a callback, from outside coroutines ---- */

typedef void BlockCompletionFunc(void *opaque, int ret);

/*
 * Start a request; @cb(@opaque, ret) is called from the event loop, never before the function has
 * returned. @qiov stays with the caller and must live until then.
 */
void blk_aio_preadv(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags,
                    BlockCompletionFunc *cb, void *opaque);
void blk_aio_pwritev(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags,
                     BlockCompletionFunc *cb, void *opaque);
void blk_aio_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, BdrvRequestFlags flags,
                           BlockCompletionFunc *cb, void *opaque);
void blk_aio_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes, BlockCompletionFunc *cb,
                      void *opaque);
void blk_aio_flush(BlockBackend *blk, BlockCompletionFunc *cb, void *opaque);
/* *@offset must live until the callback. */
void blk_aio_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov,
                         BdrvRequestFlags flags, BlockCompletionFunc *cb, void *opaque);

/* ---- and waiting ---- */

int blk_pread(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf, BdrvRequestFlags flags);
int blk_pwrite(BlockBackend *blk, int64_t offset, int64_t bytes, const void *buf,
               BdrvRequestFlags flags);
int blk_preadv(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags);
int blk_pwritev(BlockBackend *blk, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags);
int blk_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes, BdrvRequestFlags flags);
int blk_pdiscard(BlockBackend *blk, int64_t offset, int64_t bytes);
int blk_flush(BlockBackend *blk);
int blk_truncate(BlockBackend *blk, int64_t offset, bool exact, PreallocMode prealloc,
                 BdrvRequestFlags flags, Error **errp);
int blk_zone_report(BlockBackend *blk, int64_t offset, unsigned int *nr_zones,
                    BlockZoneDescriptor *zones);
int blk_zone_mgmt(BlockBackend *blk, BlockZoneOp op, int64_t offset, int64_t len);
int blk_zone_append(BlockBackend *blk, int64_t *offset, QEMUIOVector *qiov, BdrvRequestFlags flags);

#endif
