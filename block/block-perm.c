/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Children and permissions.
 *
 * Each edge of the graph carries what the parent uses of the child and what it lets others use.
 * The two must fit for every pair of parents of a node.  What a node needs of its children follows
 * from its own mode and its parents, so a change at the top runs down to the protocol driver, which
 * turns the sums into file locks.
 *
 * A change that is refused anywhere leaves the graph as it was.
 */
#include "qemu/osdep.h"

#include "block/block-backend.h"
#include "block/graph-int.h"
#include "block/iothread.h"
#include "block/trace.h"

static const char *perm_name(uint64_t perm)
{
    static const char *const names[] = {"consistent read", "write", "write unchanged", "resize"};

    return names[ilog2(perm)];
}

/* The lowest of @perms. */
static uint64_t first_perm(uint64_t perms)
{
    return perms & -perms;
}

static char *describe_parent(const BdrvChild *child)
{
    if (child->parent_is_node) {
        const BlockDriverState *parent = child->parent;

        return g_strdup_printf("node '%s'", parent->node_name);
    }
    return g_strdup(child->parent ? blk_get_user(child->parent) : "a block backend");
}

/* Whether @child may use @perm and share @shared beside the other parents of its node. */
static int check_conflicts(const BdrvChild *child, uint64_t perm, uint64_t shared, Error **errp)
{
    const BdrvChild *other;

    LIST_FOREACH(other, &child->bs->parents, next_parent) {
        uint64_t forbidden = perm & ~other->shared_perm;
        uint64_t unshared = other->perm & ~shared;

        if (other == child || !(forbidden | unshared)) {
            continue;
        }
        g_autofree char *user = describe_parent(other);

        error_setg(errp, "Conflicts with use by %s as '%s', which %s '%s' on %s", user, other->name,
                   forbidden ? "does not allow" : "uses",
                   perm_name(first_perm(forbidden ? forbidden : unshared)), child->bs->node_name);
        return -EPERM;
    }
    return 0;
}

void bdrv_cumulative_perm(const BlockDriverState *bs, uint64_t *perm, uint64_t *shared)
{
    const BdrvChild *parent;

    *perm = 0;
    *shared = BLK_PERM_ALL;
    LIST_FOREACH(parent, &bs->parents, next_parent) {
        *perm |= parent->perm;
        *shared &= parent->shared_perm;
    }
}

/* A format keeps metadata in its file: as long as it is open nobody else may change it. */
static void format_child_perm(const BlockDriverState *bs, uint64_t *nperm, uint64_t *nshared)
{
    *nperm = BLK_PERM_CONSISTENT_READ;
    *nshared = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED;
    if (!bs->read_only) {
        *nperm |= BLK_PERM_WRITE | BLK_PERM_RESIZE;
    }
}

/*
 * What @bs needs of its child @name, from its own mode and what its parents use and share.  A
 * backing node is read, and must go on showing what it shows.
 */
static void needs_of_child(BlockDriverState *bs, const char *name, uint64_t *nperm,
                           uint64_t *nshared)
{
    const BlockDriver *drv = bs->drv ?: bs->unusable_drv;
    uint64_t perm, shared;

    bdrv_cumulative_perm(bs, &perm, &shared);
    if (!strcmp(name, "backing")) {
        *nperm = BLK_PERM_CONSISTENT_READ;
        *nshared = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED;
    } else if (drv && drv->bdrv_child_perm) {
        drv->bdrv_child_perm(bs, perm, shared, bs->open_flags, nperm, nshared);
    } else if (drv && drv->is_passthrough) {
        *nperm = perm;
        *nshared = shared;
    } else {
        format_child_perm(bs, nperm, nshared);
    }
    if (bs->force_share) {
        *nshared = BLK_PERM_ALL;
    }
}

static int update_edge(BdrvChild *child, uint64_t perm, uint64_t shared, Error **errp);

static int update_children(BlockDriverState *bs, Error **errp)
{
    BdrvChild *child;

    LIST_FOREACH(child, &bs->children, next) {
        uint64_t nperm, nshared;
        int ret;

        needs_of_child(bs, child->name, &nperm, &nshared);
        ret = update_edge(child, nperm, nshared, errp);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

static int apply_perm(BlockDriverState *bs, Error **errp)
{
    const uint64_t changing = BLK_PERM_WRITE | BLK_PERM_RESIZE;
    uint64_t perm, shared;
    int ret;

    bdrv_cumulative_perm(bs, &perm, &shared);
    if (bs->read_only && (perm & changing)) {
        error_setg(errp, "Block node is read-only");
        return -EPERM;
    }
    ret = update_children(bs, errp);
    if (ret < 0) {
        return ret;
    }
    if (bs->drv && bs->drv->bdrv_set_perm) {
        return bs->drv->bdrv_set_perm(bs, perm, shared, errp);
    }
    return 0;
}

/*
 * Give an edge its new permissions and carry the consequences down.  On failure the edge is put
 * back; what had changed below by then goes back with it, because it is computed from the same
 * edges.
 */
static int update_edge(BdrvChild *child, uint64_t perm, uint64_t shared, Error **errp)
{
    uint64_t old_perm = child->perm;
    uint64_t old_shared = child->shared_perm;
    int ret = check_conflicts(child, perm, shared, errp);

    if (ret < 0) {
        return ret;
    }
    trace_bdrv_child_perm(child->bs->node_name, child->name, perm, shared);
    child->perm = perm;
    child->shared_perm = shared;
    ret = apply_perm(child->bs, errp);
    if (ret < 0) {
        child->perm = old_perm;
        child->shared_perm = old_shared;
        /* What was held a moment ago can be had again. */
        apply_perm(child->bs, NULL);
    }
    return ret;
}

int bdrv_refresh_perm(BlockDriverState *bs, Error **errp)
{
    return apply_perm(bs, errp);
}

int bdrv_child_try_set_perm(BdrvChild *child, uint64_t perm, uint64_t shared, Error **errp)
{
    return update_edge(child, perm, shared, errp);
}

/* Take a new edge into the graph with no permissions, then ask for those it needs. */
static BdrvChild *attach(BdrvChild *child, uint64_t perm, uint64_t shared, Error **errp)
{
    child->shared_perm = BLK_PERM_ALL;
    LIST_INSERT_HEAD(&child->bs->parents, child, next_parent);
    if (update_edge(child, perm, shared, errp) < 0) {
        LIST_REMOVE(child, next_parent);
        bdrv_unref(child->bs);
        g_free(child->name);
        g_free(child);
        return NULL;
    }
    return child;
}

static BdrvChild *new_edge(BlockDriverState *child_bs, const char *name, void *parent)
{
    BdrvChild *child = g_new0(BdrvChild, 1);

    child->bs = child_bs;
    child->name = g_strdup(name);
    child->parent = parent;
    return child;
}

/* The member of @parent that points to its child @name, NULL for others. */
static BdrvChild **well_known_child(BlockDriverState *parent, const char *name)
{
    if (!strcmp(name, "file")) {
        return &parent->file;
    }
    return !strcmp(name, "backing") ? &parent->backing : NULL;
}

BdrvChild *bdrv_attach_child(BlockDriverState *parent, BlockDriverState *child_bs, const char *name,
                             Error **errp)
{
    BdrvChild *child = new_edge(child_bs, name, parent);
    BdrvChild **well_known = well_known_child(parent, name);
    uint64_t perm, shared;

    assert(!well_known || !*well_known);
    assert(parent->aio_context == child_bs->aio_context);
    child->parent_is_node = true;
    needs_of_child(parent, name, &perm, &shared);
    child = attach(child, perm, shared, errp);
    if (!child) {
        return NULL;
    }
    LIST_INSERT_HEAD(&parent->children, child, next);
    if (well_known) {
        *well_known = child;
    }
    return child;
}

/* A coroutine stays in its thread, and so must the nodes that it works on. */
static bool check_thread_of_user(const BlockDriverState *bs, Error **errp)
{
    g_autofree char *place = NULL;

    if (!qemu_in_coroutine() || bs->aio_context == qemu_get_current_aio_context()) {
        return true;
    }
    place = iothread_describe_context(bs->aio_context);
    error_setg(errp, "Node '%s' cannot be used here while it is in %s", bs->node_name, place);
    return false;
}

typedef struct AttachCall {
    BdrvChild *child;
    uint64_t perm, shared;
    Error *err;
} AttachCall;

static void attach_call(void *opaque)
{
    AttachCall *call = opaque;

    call->child = attach(call->child, call->perm, call->shared, &call->err);
}

BdrvChild *bdrv_root_attach_child(BlockDriverState *child_bs, const char *name, BlockBackend *parent,
                                  uint64_t perm, uint64_t shared_perm, Error **errp)
{
    AttachCall call = {.perm = perm, .shared = shared_perm};

    if (!check_thread_of_user(child_bs, errp)) {
        bdrv_unref(child_bs);
        return NULL;
    }
    call.child = new_edge(child_bs, name, parent);
    if (qemu_in_coroutine()) {
        attach_call(&call);
    } else {
        aio_run_in(child_bs->aio_context, attach_call, &call);
    }
    error_propagate(errp, call.err);
    return call.child;
}

void bdrv_detach_child(BdrvChild *child)
{
    BlockDriverState *bs = child->bs;

    assert(bs->aio_context == qemu_get_current_aio_context());
    if (child->parent_is_node) {
        BdrvChild **well_known = well_known_child(child->parent, child->name);

        if (well_known && *well_known == child) {
            *well_known = NULL;
        }
        LIST_REMOVE(child, next);
    }
    LIST_REMOVE(child, next_parent);
    g_free(child->name);
    g_free(child);
    /*
     * Giving up permissions cannot be refused; a node about to go closes its file, locks and all.
     */
    if (bs->refcnt > 1) {
        bdrv_refresh_perm(bs, NULL);
    }
    bdrv_unref(bs);
}
