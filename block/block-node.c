/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of block nodes: names, references, the last goodbye.
 *
 * Every node has a name of its own, generated (`#block123`) where the user gave none, and stands in
 * one list. Users' names begin with a letter, so the two kinds never meet.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"
#include "block/trace.h"

/* As long as names may be elsewhere, so that scripts carry over. */
#define NODE_NAME_MAX_LEN 31

static TAILQ_HEAD(, BlockDriverState) nodes = TAILQ_HEAD_INITIALIZER(nodes);

static bool is_wellformed_name(const char *name)
{
    if (!g_ascii_isalpha(name[0])) {
        return false;
    }
    for (const char *p = name; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p)) {
            return false;
        }
    }
    return true;
}

static char *choose_node_name(const char *wanted, Error **errp)
{
    static unsigned int last_number;

    if (!wanted) {
        return g_strdup_printf("#block%03u", ++last_number);
    }
    if (!is_wellformed_name(wanted)) {
        error_setg(errp, "Invalid node-name: '%s'", wanted);
        return NULL;
    }
    if (strlen(wanted) > NODE_NAME_MAX_LEN) {
        error_setg(errp, "Node name too long: '%s' has %zu characters, at most %d are allowed",
                   wanted, strlen(wanted), NODE_NAME_MAX_LEN);
        return NULL;
    }
    if (bdrv_find_node(wanted)) {
        error_setg(errp, "Duplicate nodes with node-name='%s'", wanted);
        return NULL;
    }
    return g_strdup(wanted);
}

BlockDriverState *bdrv_new_node(const char *node_name, Error **errp)
{
    char *name = choose_node_name(node_name, errp);
    BlockDriverState *bs;

    if (!name) {
        return NULL;
    }
    bs = g_new0(BlockDriverState, 1);
    bs->node_name = name;
    bs->refcnt = 1;
    bs->aio_context = qemu_get_current_aio_context();
    LIST_INIT(&bs->children);
    LIST_INIT(&bs->parents);
    LIST_INIT(&bs->tracked_requests);
    qemu_co_queue_init(&bs->flush_queue);
    qemu_co_queue_init(&bs->quiesce_queue);
    TAILQ_INSERT_TAIL(&nodes, bs, node_list);
    return bs;
}

typedef struct OutsideCall {
    AioContext *ctx;
    void (*func)(void *opaque);
    void *opaque;
    Coroutine *co;
} OutsideCall;

static void outside_call_bh(void *opaque)
{
    OutsideCall *call = opaque;

    aio_run_in(call->ctx, call->func, call->opaque);
    aio_co_wake(call->co);
}

void bdrv_call_in(AioContext *ctx, void (*func)(void *opaque), void *opaque)
{
    OutsideCall call = {.ctx = ctx, .func = func, .opaque = opaque};

    if (!qemu_in_coroutine()) {
        aio_run_in(ctx, func, opaque);
        return;
    }
    call.co = qemu_coroutine_self();
    aio_bh_schedule_oneshot(qemu_get_current_aio_context(), outside_call_bh, &call);
    qemu_coroutine_yield();
}

/* The driver flushes and frees its state; of an unusable node it only frees. */
static void close_driver(BlockDriverState *bs)
{
    BlockDriver *drv = bs->drv ?: bs->unusable_drv;

    if (!drv) {
        return;
    }
    bdrv_drained_begin(bs);
    if (bs->drv && !bs->read_only) {
        /* The node goes away in any case; who needs to know has flushed before. */
        bdrv_flush(bs);
    }
    if (drv->bdrv_close) {
        drv->bdrv_close(bs);
    }
    bdrv_drained_end(bs);
    bs->drv = NULL;
}

static void delete_node(void *opaque)
{
    BlockDriverState *bs = opaque;

    assert(LIST_EMPTY(&bs->parents));
    trace_bdrv_node_close(bs->node_name);
    close_driver(bs);
    while (!LIST_EMPTY(&bs->children)) {
        bdrv_detach_child(LIST_FIRST(&bs->children));
    }
    assert(!bs->in_flight);
    assert(qemu_co_queue_empty(&bs->quiesce_queue));
    TAILQ_REMOVE(&nodes, bs, node_list);
    json_decref(bs->full_options);
    g_free(bs->backing_file);
    g_free(bs->backing_format);
    g_free(bs->node_name);
    g_free(bs->opaque);
    g_free(bs);
}

void bdrv_ref(BlockDriverState *bs)
{
    assert(bs->refcnt > 0);
    bs->refcnt++;
}

void bdrv_unref(BlockDriverState *bs)
{
    if (!bs) {
        return;
    }
    assert(bs->refcnt > 0);
    if (--bs->refcnt == 0) {
        bdrv_call_in(bs->aio_context, delete_node, bs);
    }
}

void bdrv_make_unusable(BlockDriverState *bs)
{
    if (bs->drv) {
        /* A request of the driver is still running on its state: that is freed with the node. */
        bs->unusable_drv = bs->drv;
        bs->drv = NULL;
    }
}

BlockDriverState *bdrv_find_node(const char *node_name)
{
    BlockDriverState *bs;

    TAILQ_FOREACH(bs, &nodes, node_list) {
        if (!strcmp(bs->node_name, node_name)) {
            return bs;
        }
    }
    return NULL;
}

BlockDriverState *bdrv_lookup_bs(const char *name, Error **errp)
{
    BlockDriverState *bs = bdrv_find_node(name);

    if (!bs) {
        error_setg(errp, "Cannot find device='%s' nor node-name='%s'", name, name);
    }
    return bs;
}

BlockDriverState *bdrv_next_node(BlockDriverState *bs)
{
    return bs ? TAILQ_NEXT(bs, node_list) : TAILQ_FIRST(&nodes);
}

const char *bdrv_get_node_name(const BlockDriverState *bs)
{
    return bs->node_name;
}

const char *bdrv_get_format_name(const BlockDriverState *bs)
{
    const BlockDriver *drv = bs->drv ?: bs->unusable_drv;

    return drv ? drv->format_name : NULL;
}

bool bdrv_is_read_only(const BlockDriverState *bs)
{
    return bs->read_only;
}

AioContext *bdrv_get_aio_context(BlockDriverState *bs)
{
    return bs->aio_context;
}
