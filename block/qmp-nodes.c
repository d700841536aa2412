/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands that make, change and delete nodes: see qapi/block-runtime.json, and
 * block/monitor-nodes.h.
 *
 * Whatever touches a node is done in its thread, where nothing of its requests can come between.
 */
#include "qemu/osdep.h"

#include "block/block-backend.h"
#include "block/monitor-nodes.h"
#include "block/qmp-int.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"

/* A node that the user made; the list owns a reference to it. */
typedef struct MonitorNode {
    BlockDriverState *bs;
    TAILQ_ENTRY(MonitorNode) link;
} MonitorNode;

static TAILQ_HEAD(MonitorNodeList, MonitorNode) monitor_nodes =
    TAILQ_HEAD_INITIALIZER(monitor_nodes);

static MonitorNode *find_monitor_node(const BlockDriverState *bs)
{
    MonitorNode *node;

    TAILQ_FOREACH(node, &monitor_nodes, link) {
        if (node->bs == bs) {
            return node;
        }
    }
    return NULL;
}

BlockDriverState *qmp_find_node(const char *node_name, Error **errp)
{
    BlockDriverState *bs = bdrv_find_node(node_name);

    if (!bs) {
        error_setg(errp, "Failed to find node with node-name='%s'", node_name);
    }
    return bs;
}

/* ---- adding ---- */

void qmp_blockdev_add(BlockdevOptions *options, Error **errp)
{
    BlockDriverState *bs;
    MonitorNode *node;

    if (!options->node_name) {
        error_setg(errp, "'node-name' must be specified for the root node");
        return;
    }
    bs = bdrv_open(NULL, NULL, qapi_to_tree(&qapi_info_BlockdevOptions, &options), BDRV_O_RDWR,
                   errp);
    if (!bs) {
        return;
    }
    node = g_new0(MonitorNode, 1);
    node->bs = bs;
    TAILQ_INSERT_TAIL(&monitor_nodes, node, link);
}

/* ---- deleting ---- */

typedef struct CloseCall {
    BlockDriverState *bs;
    int ret;
} CloseCall;

static void flush_and_unref(void *opaque)
{
    CloseCall *call = opaque;

    call->ret = bdrv_is_read_only(call->bs) ? 0 : bdrv_flush(call->bs);
    bdrv_unref(call->bs);
}

/* Give back the list's reference.  Returns 0, or what the flush returned. */
static int close_monitor_node(MonitorNode *node)
{
    CloseCall call = {.bs = node->bs};

    TAILQ_REMOVE(&monitor_nodes, node, link);
    g_free(node);
    aio_run_in(bdrv_get_aio_context(call.bs), flush_and_unref, &call);
    return call.ret;
}

void qmp_blockdev_del(const char *node_name, Error **errp)
{
    BlockDriverState *bs = qmp_find_node(node_name, errp);
    MonitorNode *node;
    int ret;

    if (!bs) {
        return;
    }
    node = find_monitor_node(bs);
    if (!node) {
        error_setg(errp, "Node %s was not made by blockdev-add", node_name);
        return;
    }
    if (bs->refcnt > 1) {
        error_setg(errp, "Node %s is in use", node_name);
        return;
    }
    ret = close_monitor_node(node);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Node %s is deleted, but could not be flushed", node_name);
    }
}

/* A node that no other of the list uses, so that it can go next: there always is one. */
static MonitorNode *find_topmost(void)
{
    MonitorNode *node;

    TAILQ_FOREACH(node, &monitor_nodes, link) {
        if (LIST_EMPTY(&node->bs->parents)) {
            return node;
        }
    }
    return TAILQ_LAST(&monitor_nodes, MonitorNodeList);
}

int bdrv_close_all_monitor_nodes(void)
{
    int first_error = 0;

    while (!TAILQ_EMPTY(&monitor_nodes)) {
        MonitorNode *node = find_topmost();
        g_autofree char *name = g_strdup(node->bs->node_name);
        int ret = close_monitor_node(node);

        if (ret < 0) {
            error_report("Could not flush node '%s': %s", name, bdrv_strerror(-ret));
            first_error = first_error ?: ret;
        }
    }
    return first_error;
}

/* ---- reopening ---- */

/* Append what @options ask for to @items. */
static bool add_reopen_item(GArray *items, const BlockdevOptions *options, Error **errp)
{
    BdrvReopen item = {0};

    if (!options->node_name) {
        error_setg(errp, "node-name not specified");
        return false;
    }
    item.bs = qmp_find_node(options->node_name, errp);
    if (!item.bs) {
        return false;
    }
    item.options = qapi_to_tree(&qapi_info_BlockdevOptions, &options);
    g_array_append_val(items, item);
    return true;
}

void qmp_blockdev_reopen(BlockdevOptionsList *options, Error **errp)
{
    g_autoptr(GArray) items = g_array_new(false, false, sizeof(BdrvReopen));
    bool ok = true;

    for (; options && ok; options = options->next) {
        ok = add_reopen_item(items, options->value, errp);
    }
    if (ok) {
        bdrv_reopen_replace((const BdrvReopen *)items->data, items->len, errp);
    }
    for (guint i = 0; i < items->len; i++) {
        json_decref((json_t *)g_array_index(items, BdrvReopen, i).options);
    }
}

/* ---- resizing ---- */

typedef struct ResizeCall {
    BlockDriverState *bs;
    int64_t size;
    Error *err;
} ResizeCall;

static void resize(void *opaque)
{
    ResizeCall *call = opaque;
    g_autoptr(BlockBackend) blk =
        blk_new(bdrv_get_aio_context(call->bs), BLK_PERM_WRITE, BLK_PERM_ALL);

    if (blk_insert_bs(blk, call->bs, &call->err) == 0) {
        blk_truncate(blk, call->size, false, PREALLOC_MODE_OFF, 0, &call->err);
    }
}

void qmp_block_resize(const char *node_name, uint64_t size, Error **errp)
{
    ResizeCall call = {.bs = qmp_find_node(node_name, errp), .size = size};

    if (!call.bs) {
        return;
    }
    if (size > BDRV_MAX_LENGTH) {
        error_setg(errp, "Parameter 'size' must be between 0 and %" PRId64 ", got %" PRIu64,
                   (int64_t)BDRV_MAX_LENGTH, size);
        return;
    }
    aio_run_in(bdrv_get_aio_context(call.bs), resize, &call);
    error_propagate(errp, call.err);
}
