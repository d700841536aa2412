/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving nodes from one thread to another.
 *
 * All nodes that are connected live in one AioContext, so they move together, and the backends that
 * use them with them: see bdrv_try_change_aio_context().  The main thread decides, the old thread
 * lets go, the new one takes over; each waits for the one before, so that no lock is needed.
 */
#include "qemu/osdep.h"

#include "block/backend-int.h"
#include "block/graph-int.h"
#include "block/iothread.h"
#include "block/trace.h"

typedef struct ContextMove {
    AioContext *from;
    AioContext *to;
    GPtrArray *nodes; /* of BlockDriverState, children before their parents */
} ContextMove;

/* That of an unusable node, too: it may still be at work. */
static const BlockDriver *driver_of(const BlockDriverState *bs)
{
    return bs->drv ?: bs->unusable_drv;
}

static BlockDriverState *node_at(const GPtrArray *nodes, guint i)
{
    return g_ptr_array_index(nodes, i);
}

/* ---- what belongs together ---- */

static void add_once(GPtrArray *nodes, BlockDriverState *bs)
{
    if (!g_ptr_array_find(nodes, bs, NULL)) {
        g_ptr_array_add(nodes, bs);
    }
}

static GPtrArray *find_component(BlockDriverState *bs)
{
    GPtrArray *nodes = g_ptr_array_new();

    add_once(nodes, bs);
    for (guint i = 0; i < nodes->len; i++) {
        const BdrvChild *edge;

        LIST_FOREACH(edge, &node_at(nodes, i)->children, next) {
            add_once(nodes, edge->bs);
        }
        LIST_FOREACH(edge, &node_at(nodes, i)->parents, next_parent) {
            if (edge->parent_is_node) {
                add_once(nodes, edge->parent);
            }
        }
    }
    return nodes;
}

static void add_after_children(GPtrArray *sorted, BlockDriverState *bs)
{
    const BdrvChild *child;

    LIST_FOREACH(child, &bs->children, next) {
        add_after_children(sorted, child->bs);
    }
    add_once(sorted, bs);
}

static GPtrArray *find_component_sorted(BlockDriverState *bs)
{
    g_autoptr(GPtrArray) nodes = find_component(bs);
    GPtrArray *sorted = g_ptr_array_new();

    for (guint i = 0; i < nodes->len; i++) {
        add_after_children(sorted, node_at(nodes, i));
    }
    return sorted;
}

/* ---- whether it can go ---- */

static int check_users(const BlockDriverState *bs, Error **errp)
{
    const BdrvChild *edge;

    LIST_FOREACH(edge, &bs->parents, next_parent) {
        const BlockBackend *user = edge->parent;

        if (!edge->parent_is_node && (!user || !user->follows_node)) {
            error_setg(errp, "node '%s' is used by %s, which stays where it is", bs->node_name,
                       user ? blk_get_user(user) : "a block backend");
            return -EBUSY;
        }
    }
    return 0;
}

static int check_move(const ContextMove *move, Error **errp)
{
    for (guint i = 0; i < move->nodes->len; i++) {
        BlockDriverState *bs = node_at(move->nodes, i);
        const BlockDriver *drv = driver_of(bs);
        int ret = check_users(bs, errp);

        if (ret < 0) {
            return ret;
        }
        if (drv && drv->bdrv_can_change_aio_context &&
            !drv->bdrv_can_change_aio_context(bs, move->to, errp)) {
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- going ---- */

static bool is_busy(const ContextMove *move)
{
    for (guint i = 0; i < move->nodes->len; i++) {
        const BlockDriverState *bs = node_at(move->nodes, i);
        const BdrvChild *edge;

        if (bs->in_flight > 0) {
            return true;
        }
        LIST_FOREACH(edge, &bs->parents, next_parent) {
            const BlockBackend *user = edge->parent;

            if (!edge->parent_is_node && user->nr_completed > 0) {
                return true;
            }
        }
    }
    return false;
}

/* From now on @bs and what uses it directly belong to @ctx. */
static void set_context(BlockDriverState *bs, AioContext *ctx)
{
    const BdrvChild *edge;

    bs->aio_context = ctx;
    qemu_co_queue_move(&bs->quiesce_queue, ctx);
    LIST_FOREACH(edge, &bs->parents, next_parent) {
        if (!edge->parent_is_node) {
            blk_set_context(edge->parent, ctx);
        }
    }
}

static void leave(void *opaque)
{
    const ContextMove *move = opaque;

    for (guint i = 0; i < move->nodes->len; i++) {
        node_at(move->nodes, i)->quiesce_counter++;
    }
    AIO_WAIT_WHILE(move->from, is_busy(move));
    for (guint i = move->nodes->len; i-- > 0;) {
        BlockDriverState *bs = node_at(move->nodes, i);
        const BlockDriver *drv = driver_of(bs);

        if (drv && drv->bdrv_detach_aio_context) {
            drv->bdrv_detach_aio_context(bs);
        }
    }
    assert(!is_busy(move));
    for (guint i = 0; i < move->nodes->len; i++) {
        set_context(node_at(move->nodes, i), move->to);
    }
}

static void arrive(void *opaque)
{
    const ContextMove *move = opaque;

    for (guint i = 0; i < move->nodes->len; i++) {
        BlockDriverState *bs = node_at(move->nodes, i);
        const BlockDriver *drv = driver_of(bs);

        trace_bdrv_change_aio_context(bs->node_name, move->from, move->to);
        if (drv && drv->bdrv_attach_aio_context) {
            drv->bdrv_attach_aio_context(bs, move->to);
        }
    }
    for (guint i = 0; i < move->nodes->len; i++) {
        BlockDriverState *bs = node_at(move->nodes, i);

        if (--bs->quiesce_counter == 0) {
            qemu_co_queue_restart_all(&bs->quiesce_queue);
        }
    }
}

int bdrv_try_change_aio_context(BlockDriverState *bs, AioContext *ctx, Error **errp)
{
    ERRP_GUARD();
    g_autoptr(GPtrArray) nodes = find_component_sorted(bs);
    ContextMove move = {.from = bs->aio_context, .to = ctx, .nodes = nodes};
    int ret;

    assert(qemu_get_current_aio_context() == qemu_get_aio_context());
    if (move.from == move.to) {
        return 0;
    }
    ret = check_move(&move, errp);
    if (ret < 0) {
        g_autofree char *from = iothread_describe_context(move.from);
        g_autofree char *to = iothread_describe_context(move.to);

        error_prepend(errp, "Cannot move node '%s' from %s to %s: ", bs->node_name, from, to);
        return ret;
    }
    aio_run_in(move.from, leave, &move);
    aio_run_in(move.to, arrive, &move);
    return 0;
}
