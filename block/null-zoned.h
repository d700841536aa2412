/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zoned side of the null drivers: zones that live in memory only and hold no data, so that
 * what zones cost can be measured without a disk below.
 *
 * The functions with the names of driver callbacks do the zoned part of them.
 */
#ifndef BLOCK_NULL_ZONED_H
#define BLOCK_NULL_ZONED_H

#include "block/block_int.h"
#include "block/zones.h"

typedef struct NullZoned {
    BdrvZones *zones;
    CoQueue waiters; /* requests that the table told to try again, commands that wait for writes */
} NullZoned;

/*
 * Makes the zones of a device of @device_size bytes.  Returns 0, or -EINVAL or -ENOMEM with @errp
 * set.
 */
int null_zoned_open(NullZoned *zoned, const BlockdevZoneOptions *options, int64_t device_size,
                    Error **errp);
void null_zoned_close(NullZoned *zoned);
void null_zoned_refresh_limits(const NullZoned *zoned, BlockLimits *bl);

/* What a write does while it is in flight. */
typedef void coroutine_fn NullWork(BlockDriverState *bs);

int coroutine_fn null_zoned_write(NullZoned *zoned, BlockDriverState *bs, int64_t offset,
                                  int64_t bytes, NullWork *work);
int coroutine_fn null_zoned_append(NullZoned *zoned, BlockDriverState *bs, int64_t *offset,
                                   int64_t bytes, NullWork *work);
int coroutine_fn null_zoned_mgmt(NullZoned *zoned, BlockZoneOp op, int64_t offset, int64_t len);
/* Where a zero write or discard may go: 0, or -ENOTSUP in sequential zones. */
int null_zoned_check_conventional(const NullZoned *zoned, int64_t offset, int64_t bytes);

#endif
