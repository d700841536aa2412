/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drain: a node without requests.
 *
 * While a node is drained, the block backends of the node and of everything above it hold new
 * requests back (they wait in bs->quiesce_queue), and those in flight have ended.  Requests that
 * come from the drainer itself, directly to the node, still work: that is how a node is flushed
 * before it is closed.
 *
 * Outside coroutines, in the node's thread or, which waits for it then, in the main thread.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

typedef void NodeFunc(BlockDriverState *bs);

/* Call @func for @bs and, as often as there are ways up to it, each node above. */
static void for_each_ancestor(BlockDriverState *bs, NodeFunc *func)
{
    BdrvChild *child;

    func(bs);
    LIST_FOREACH(child, &bs->parents, next_parent) {
        if (child->parent_is_node) {
            for_each_ancestor(child->parent, func);
        }
    }
}

static void quiesce(BlockDriverState *bs)
{
    bs->quiesce_counter++;
}

static void unquiesce(BlockDriverState *bs)
{
    assert(bs->quiesce_counter > 0);
    if (--bs->quiesce_counter == 0) {
        qemu_co_queue_restart_all(&bs->quiesce_queue);
    }
}

static bool is_busy(const BlockDriverState *bs)
{
    const BdrvChild *child;

    if (bs->in_flight > 0) {
        return true;
    }
    LIST_FOREACH(child, &bs->parents, next_parent) {
        if (child->parent_is_node && is_busy(child->parent)) {
            return true;
        }
    }
    return false;
}

static void begin(void *opaque)
{
    BlockDriverState *bs = opaque;

    for_each_ancestor(bs, quiesce);
    AIO_WAIT_WHILE(bs->aio_context, is_busy(bs));
}

void bdrv_drained_begin(BlockDriverState *bs)
{
    aio_run_in(bs->aio_context, begin, bs);
}

static void end(void *opaque)
{
    for_each_ancestor(opaque, unquiesce);
}

void bdrv_drained_end(BlockDriverState *bs)
{
    aio_run_in(bs->aio_context, end, bs);
}

void bdrv_drain_all(void)
{
    BlockDriverState *bs = NULL;

    while ((bs = bdrv_next_node(bs))) {
        bdrv_drained_begin(bs);
        bdrv_drained_end(bs);
    }
}
