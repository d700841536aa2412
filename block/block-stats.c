/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting of requests that were not done; those that were are counted inline (io-int.h).
 */
#include "qemu/osdep.h"

#include "block/io-int.h"

/*
 * Whether @err says that the request was not one to be made, rather than that it could not be done.
 * Zones that are read-only or offline are defects.
 */
static bool is_refusal(int err)
{
    static const int refusals[] = {
        EINVAL, ENOTSUP, EPERM, ZONE_ERR_NOT_AT_WP, ZONE_ERR_PAST_CAPACITY, ZONE_ERR_FULL,
        ZONE_ERR_OPEN_RESOURCE, ZONE_ERR_ACTIVE_RESOURCE, ZONE_ERR_CONVENTIONAL,
        ZONE_ERR_CONDITION, ZONE_ERR_APPEND,
    };

    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        if (refusals[i] == err) {
            return true;
        }
    }
    return false;
}

void io_count_error(BlockDriverState *bs, BdrvStatsType type, int err)
{
    BdrvCounter *counter = &bs->stats.counters[type];

    if (is_refusal(-err)) {
        counter->invalid++;
    } else {
        counter->failed++;
    }
}
