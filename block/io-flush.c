/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flushes.
 *
 * One is in flight at a node at a time.  Those that come meanwhile wait for it; the first of them
 * then flushes for all, because what was acknowledged before they came may have missed the one they
 * found.
 *
 * A node without children has nothing to flush unless something has changed since the last time.  A
 * format driver may hold metadata that no request announced, so it is always asked; what it sends
 * on to its file is subject to the rule above.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

static int coroutine_fn flush_driver(BlockDriverState *bs)
{
    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    if (bs->drv->bdrv_co_flush) {
        return bs->drv->bdrv_co_flush(bs);
    }
    return bs->file ? bdrv_co_flush(bs->file->bs) : 0;
}

static int coroutine_fn flush_tracked(BlockDriverState *bs)
{
    uint64_t wanted_gen = bs->write_gen;
    int ret = 0;

    while (bs->flush_in_progress) {
        qemu_co_queue_wait(&bs->flush_queue, NULL);
    }
    if (bs->flushed_gen < wanted_gen) {
        uint64_t gen = bs->write_gen;

        bs->flush_in_progress = true;
        ret = flush_driver(bs);
        bs->flush_in_progress = false;
        if (ret == 0) {
            bs->flushed_gen = gen;
        }
        qemu_co_queue_restart_all(&bs->flush_queue);
    }
    return ret;
}

int coroutine_fn bdrv_co_flush(BlockDriverState *bs)
{
    bool is_leaf = LIST_EMPTY(&bs->children);
    int ret;

    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    if (is_leaf && (bs->open_flags & BDRV_O_NO_FLUSH)) {
        return 0;
    }
    if (!is_leaf) {
        bs->write_gen++;
    }
    bdrv_inc_in_flight(bs);
    ret = flush_tracked(bs);
    bdrv_dec_in_flight(bs);
    return io_count(bs, BDRV_STATS_FLUSH, 0, ret);
}
