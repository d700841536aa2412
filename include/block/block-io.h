/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to a node, as format drivers send them to their children and block backends to their
 * root.
 *
 * coroutine_fn functions may yield, and run in the AioContext of the node; they need no locks,
 * because only its thread touches a node's requests.  Ranges are checked against the length of the
 * node: outside of it requests fail with -EIO. Only a file that can grow (bs->is_growable) takes
 * writes past its end (-EFBIG beyond BDRV_MAX_LENGTH) and reads zeroes there. Every request fails
 * with -ENOMEDIUM on a node that was made unusable.
 */
#ifndef BLOCK_IO_H
#define BLOCK_IO_H

#include "block/block-common.h"
#include "block/block-graph.h"
#include "qemu/iov.h"

/*
 * Read or write @bytes at @offset, from or to @qiov beginning @qiov_offset bytes into it.
 * Returns 0, -EIO (out of range), -EPERM (node is read-only), or what the driver returns.
 */
int coroutine_fn bdrv_co_preadv_part(BdrvChild *child, int64_t offset, int64_t bytes,
                                     QEMUIOVector *qiov, size_t qiov_offset,
                                     BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pwritev_part(BdrvChild *child, int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov, size_t qiov_offset,
                                      BdrvRequestFlags flags);
int coroutine_fn bdrv_co_preadv(BdrvChild *child, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
                                BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pwritev(BdrvChild *child, int64_t offset, int64_t bytes,
                                 QEMUIOVector *qiov, BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pread(BdrvChild *child, int64_t offset, int64_t bytes, void *buf,
                               BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pwrite(BdrvChild *child, int64_t offset, int64_t bytes, const void *buf,
                                BdrvRequestFlags flags);
/* -ENOTSUP with BDRV_REQ_NO_FALLBACK where only writing buffers would do it. */
int coroutine_fn bdrv_co_pwrite_zeroes(BdrvChild *child, int64_t offset, int64_t bytes,
                                       BdrvRequestFlags flags);
/*
 * A hint: what the node cannot discard, it leaves; the content is then unspecified.  Ignored where
 * BDRV_O_UNMAP is off. Only a host-managed zoned node, where a discard is no hint, says -ENOTSUP.
 */
int coroutine_fn bdrv_co_pdiscard(BdrvChild *child, int64_t offset, int64_t bytes);
/* Everything acknowledged before this call is durable when it returns 0. */
int coroutine_fn bdrv_co_flush(BlockDriverState *bs);

/*
 * What is stored at [@offset, @offset + @bytes): BDRV_BLOCK_* for the first *@pnum bytes (> 0
 * unless at the end), with *@map and *@file where BDRV_BLOCK_OFFSET_VALID.  Looks through filters
 * and pass-through layers down to the protocol, so that holes of the host file show as zeroes.
 */
int coroutine_fn bdrv_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file);

/*
 * The same for the disk that @bs and the backing nodes below it show together: *@depth is 0 where
 * @bs has the data, 1 for its backing node, and so on.  Where none has any it is that of the last.
 */
int coroutine_fn bdrv_co_block_status_above(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            int64_t *pnum, int64_t *map, BlockDriverState **file,
                                            int *depth);
/* Whether the range of that disk is known to read as zeroes; false also where that is unknown. */
bool coroutine_fn bdrv_co_is_zero(BlockDriverState *bs, int64_t offset, int64_t bytes);

/*
 * Change the length.  @exact: fail rather than end up longer (a block device).
 * Returns 0, -ENOTSUP, -EINVAL, -EFBIG, -ENOSPC ... with @errp set.
 */
int coroutine_fn bdrv_co_truncate(BdrvChild *child, int64_t offset, bool exact,
                                  PreallocMode prealloc, BdrvRequestFlags flags, Error **errp);
/* In bytes, or a negative errno. */
int64_t coroutine_fn bdrv_co_getlength(BlockDriverState *bs);
int coroutine_fn bdrv_co_check(BlockDriverState *bs, BdrvCheckResult *result, BdrvCheckMode fix);

/*
 * ---- zones: -ENOTSUP on a device that has none; otherwise see the ZONE_ERR_* of block-common.h
 * ----
 */

int coroutine_fn bdrv_co_zone_report(BlockDriverState *bs, int64_t offset, unsigned int *nr_zones,
                                     BlockZoneDescriptor *zones);
/*
 * @offset: a zone start; @len: whole zones, or up to the end of the device (-EINVAL).  All of the
 * zones or none.
 */
int coroutine_fn bdrv_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                   int64_t len);
/* *@offset: the start of the zone; on success where the data was written. */
int coroutine_fn bdrv_co_zone_append(BlockDriverState *bs, int64_t *offset, QEMUIOVector *qiov,
                                     BdrvRequestFlags flags);

/* ---- the same for code outside coroutines (and inside): they wait, running the event loop ---- */

int bdrv_pread(BdrvChild *child, int64_t offset, int64_t bytes, void *buf, BdrvRequestFlags flags);
int bdrv_pwrite(BdrvChild *child, int64_t offset, int64_t bytes, const void *buf,
                BdrvRequestFlags flags);
int bdrv_flush(BlockDriverState *bs);
int64_t bdrv_getlength(BlockDriverState *bs);
int bdrv_truncate(BdrvChild *child, int64_t offset, bool exact, PreallocMode prealloc,
                  BdrvRequestFlags flags, Error **errp);

/*
 * Run @func(@arg) in a coroutine of the node's AioContext and wait for its result; inside a
 * coroutine it is just called. How a driver's bdrv_open does its I/O.
 */
typedef int coroutine_fn BdrvCoFunc(void *arg);
int bdrv_run_co(AioContext *ctx, BdrvCoFunc *func, void *arg);

/*
 * Memory that any node below @bs can read into and write from without a bounce buffer;
 * qemu_vfree().
 */
void *bdrv_blockalign(BlockDriverState *bs, size_t size);

/* The driver's limits as merged by bdrv_refresh_limits(). */
const struct BlockLimits *bdrv_limits(const BlockDriverState *bs);

/* Held while a driver works on a request of its own making (not on behalf of a tracked one). */
void bdrv_inc_in_flight(BlockDriverState *bs);
void bdrv_dec_in_flight(BlockDriverState *bs);

#endif
