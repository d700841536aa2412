/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing the mode of open nodes: read-only, cache mode, and the options that a driver says it can
 * change.
 *
 * A node is reopened together with the children it opened itself, which follow its flags, and with
 * whatever else is to change in the same step.  All of them are drained and flushed, all drivers
 * prepare, permissions and locks change, and only then all commit; a refusal on the way leaves
 * every node as it was.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"
#include "block/trace.h"

/* One node being reopened. */
typedef struct ReopenNode {
    BlockDriverState *bs; /* a reference */
    json_t *options; /* the complete new ones, owned */
    BlockdevOptions *typed;
    int flags;
    int old_flags;
    bool is_prepared;
} ReopenNode;

static void reopen_node_free(gpointer opaque)
{
    ReopenNode *node = opaque;

    json_decref(node->options);
    qapi_free_BlockdevOptions(node->typed);
    bdrv_unref(node->bs);
    g_free(node);
}

/* Whether the driver, or the block layer for all drivers, can give @key another value. */
static bool can_change(const BlockDriverState *bs, const char *key)
{
    static const char *const fixed_generic[] = {"driver", "node-name"};

    for (size_t i = 0; i < ARRAY_SIZE(fixed_generic); i++) {
        if (!strcmp(key, fixed_generic[i])) {
            return false;
        }
    }
    if (bdrv_is_generic_option(key)) {
        return true;
    }
    for (const char *const *name = bs->drv->mutable_options; name && *name; name++) {
        if (!strcmp(key, *name)) {
            return true;
        }
    }
    return false;
}

/* The value that @key has now, as the user would write it; a new reference, or NULL. */
static json_t *current_value(const BlockDriverState *bs, const char *key)
{
    if (!strcmp(key, "driver")) {
        return json_string(bs->drv->format_name);
    }
    if (!strcmp(key, "node-name")) {
        return json_string(bs->node_name);
    }
    if (!strcmp(key, "file") && bs->file) {
        return json_string(bs->file->bs->node_name);
    }
    if (!strcmp(key, "backing") && bdrv_has_option(bs->drv, key)) {
        return bs->backing ? json_string(bs->backing->bs->node_name) : json_null();
    }
    return json_incref(json_object_get(bs->full_options, key));
}

/* The options of @bs with those in @changes on top; NULL with @errp set where one cannot change. */
static json_t *merge_options(const BlockDriverState *bs, const json_t *changes, Error **errp)
{
    g_autoptr(json_t) merged = json_copy(bs->full_options);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)changes, key, value) {
        g_autoptr(json_t) now = current_value(bs, key);

        if (!can_change(bs, key) && !json_equal(now, value)) {
            error_setg(errp, "Cannot change the option '%s'", key);
            return NULL;
        }
        if (json_is_object(now) && json_is_object(value)) {
            /* `cache.direct` leaves `cache.no-flush` as it is. */
            g_autoptr(json_t) members = json_copy(now);

            json_object_update(members, value);
            json_object_set(merged, key, members);
        } else if (strcmp(key, "file") && strcmp(key, "backing")) {
            json_object_set(merged, key, value);
        }
    }
    return g_steal_pointer(&merged);
}

/*
 * The options of @bs where @options, without references to its children, are all there are; NULL
 * with @errp set where one would have to change, or return to its default, that cannot.
 */
static json_t *replace_options(const BlockDriverState *bs, const json_t *options, Error **errp)
{
    g_autoptr(json_t) replaced = json_copy((json_t *)options);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)options, key, value) {
        g_autoptr(json_t) now = current_value(bs, key);

        if (!can_change(bs, key) && !json_equal(now, value)) {
            error_setg(errp, "Cannot change the option '%s'", key);
            return NULL;
        }
    }
    json_object_foreach(bs->full_options, key, value) {
        if (!can_change(bs, key) && !json_object_get(options, key)) {
            error_setg(errp, "Option '%s' cannot be reset to its default value", key);
            return NULL;
        }
    }
    json_object_del(replaced, "file");
    if (!json_is_null(json_object_get(replaced, "backing"))) {
        json_object_del(replaced, "backing");
    }
    return g_steal_pointer(&replaced);
}

static bool is_among(const GPtrArray *nodes, const BlockDriverState *bs)
{
    for (guint i = 0; i < nodes->len; i++) {
        const ReopenNode *node = nodes->pdata[i];

        if (node->bs == bs) {
            return true;
        }
    }
    return false;
}

static bool add_inline_children(GPtrArray *nodes, BlockDriverState *bs, int flags, Error **errp);

/* Add @bs with the complete @options to @nodes, after the children that are reopened with it. */
static bool add_node(GPtrArray *nodes, BlockDriverState *bs, json_t *options, int flags,
                     Error **errp)
{
    ReopenNode *node;

    if (!bdrv_flags_from_options(options, &flags, errp) ||
        !add_inline_children(nodes, bs, flags, errp)) {
        return false;
    }
    if (is_among(nodes, bs)) {
        error_setg(errp, "Node '%s' is to be reopened twice, by itself or with the node that opened"
                         " it", bs->node_name);
        return false;
    }
    node = g_new0(ReopenNode, 1);
    g_ptr_array_add(nodes, node);
    node->bs = bs;
    bdrv_ref(bs);
    node->flags = flags & ~BDRV_O_PROTOCOL;
    node->old_flags = bs->open_flags;
    node->typed = bdrv_typed_options(bs->drv, options, bs->file ? bs->file->bs : NULL, errp);
    node->options = json_incref(options);
    return node->typed;
}

static bool check_usable(const BlockDriverState *bs, Error **errp)
{
    if (!bs->drv) {
        error_setg(errp, "Node '%s' is not usable after an error", bs->node_name);
        return false;
    }
    return true;
}

/* Add @bs with @changes to its options to @nodes. */
static bool collect(GPtrArray *nodes, BlockDriverState *bs, const json_t *changes, int flags,
                    Error **errp)
{
    g_autoptr(json_t) options = NULL;

    if (!check_usable(bs, errp)) {
        return false;
    }
    options = merge_options(bs, changes, errp);
    return options && add_node(nodes, bs, options, flags, errp);
}

static bool add_inline_children(GPtrArray *nodes, BlockDriverState *bs, int flags, Error **errp)
{
    BdrvChild *child;

    LIST_FOREACH(child, &bs->children, next) {
        int child_flags = child == bs->backing ? bdrv_backing_flags(flags)
                                               : bdrv_child_flags(flags);

        if (child->is_inline && !collect(nodes, child->bs, NULL, child_flags, errp)) {
            return false;
        }
    }
    return true;
}

static unsigned int height_of(const BlockDriverState *bs)
{
    unsigned int height = 0;
    const BdrvChild *child;

    LIST_FOREACH(child, &bs->children, next) {
        height = MAX(height, height_of(child->bs) + 1);
    }
    return height;
}

static gint compare_heights(gconstpointer a, gconstpointer b)
{
    const ReopenNode *const *node_a = a, *const *node_b = b;

    return (gint)height_of((*node_a)->bs) - (gint)height_of((*node_b)->bs);
}

static void set_mode(BlockDriverState *bs, int flags)
{
    bs->open_flags = flags;
    bs->read_only = !(flags & BDRV_O_RDWR);
    bs->auto_read_only = flags & BDRV_O_AUTO_RDONLY;
    bs->force_share = flags & BDRV_O_FORCE_SHARE;
}

static int prepare(ReopenNode *node, Error **errp)
{
    BlockDriverState *bs = node->bs;
    Error *local_err = NULL;
    int ret = 0;

    if (bs->drv->bdrv_reopen_prepare) {
        ret = bs->drv->bdrv_reopen_prepare(bs, node->typed, node->flags, &local_err);
    }
    node->is_prepared = ret == 0;
    if (ret < 0 && !local_err) {
        error_setg_errno(&local_err, -ret, "Could not reopen '%s'", bs->filename);
    }
    error_propagate(errp, local_err);
    return ret;
}

/* Recompute permissions from the top; what is below a node follows it. */
static int refresh_perms(GPtrArray *nodes, Error **errp)
{
    int ret = 0;

    for (guint i = nodes->len; i-- > 0 && ret == 0;) {
        const ReopenNode *node = nodes->pdata[i];

        ret = bdrv_refresh_perm(node->bs, errp);
    }
    return ret;
}

static void roll_back(GPtrArray *nodes)
{
    for (guint i = 0; i < nodes->len; i++) {
        ReopenNode *node = nodes->pdata[i];

        set_mode(node->bs, node->old_flags);
    }
    refresh_perms(nodes, NULL);
    for (guint i = 0; i < nodes->len; i++) {
        ReopenNode *node = nodes->pdata[i];

        if (node->is_prepared && node->bs->drv->bdrv_reopen_abort) {
            node->bs->drv->bdrv_reopen_abort(node->bs);
        }
    }
}

static void commit(const ReopenNode *node)
{
    BlockDriverState *bs = node->bs;

    json_decref(bs->full_options);
    bs->full_options = json_incref(node->options);
    if (bs->drv->bdrv_reopen_commit) {
        bs->drv->bdrv_reopen_commit(bs, node->flags);
    }
    bdrv_refresh_limits(bs, NULL);
}

/* All nodes are drained: prepare, change modes and permissions, commit. */
static int reopen_all(GPtrArray *nodes, Error **errp)
{
    int ret = 0;

    for (guint i = 0; i < nodes->len && ret == 0; i++) {
        ret = prepare(nodes->pdata[i], errp);
    }
    if (ret == 0) {
        for (guint i = 0; i < nodes->len; i++) {
            ReopenNode *node = nodes->pdata[i];

            set_mode(node->bs, node->flags);
        }
        ret = refresh_perms(nodes, errp);
    }
    if (ret < 0) {
        roll_back(nodes);
        return ret;
    }
    for (guint i = 0; i < nodes->len; i++) {
        commit(nodes->pdata[i]);
    }
    return 0;
}

static void drain_all(GPtrArray *nodes, void (*begin_or_end)(BlockDriverState *bs))
{
    for (guint i = 0; i < nodes->len; i++) {
        const ReopenNode *node = nodes->pdata[i];

        begin_or_end(node->bs);
    }
}

/* What is in the caches of formats goes to their files first. */
static int flush_all(GPtrArray *nodes, Error **errp)
{
    for (guint i = nodes->len; i-- > 0;) {
        const ReopenNode *node = nodes->pdata[i];
        int ret = node->bs->read_only ? 0 : bdrv_flush(node->bs);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not flush '%s' before reopening it",
                             node->bs->filename);
            return ret;
        }
    }
    return 0;
}

/* In the thread of @nodes, which become sorted: children before their parents. */
static int reopen_nodes(GPtrArray *nodes, Error **errp)
{
    int ret;

    g_ptr_array_sort(nodes, compare_heights);
    drain_all(nodes, bdrv_drained_begin);
    ret = flush_all(nodes, errp);
    if (ret == 0) {
        ret = reopen_all(nodes, errp);
    }
    drain_all(nodes, bdrv_drained_end);
    for (guint i = 0; i < nodes->len; i++) {
        const ReopenNode *node = nodes->pdata[i];

        trace_bdrv_node_reopen(node->bs->node_name, node->old_flags, node->flags, ret);
    }
    return ret;
}

typedef struct ReopenCall {
    BlockDriverState *bs;
    const json_t *changes;
    int flags;
    const BdrvReopen *items;
    size_t nr_items;
    Error *err;
    int ret;
} ReopenCall;

static void change_call(void *opaque)
{
    ReopenCall *call = opaque;
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(reopen_node_free);

    call->ret = collect(nodes, call->bs, call->changes, call->flags, &call->err)
                    ? reopen_nodes(nodes, &call->err)
                    : -EINVAL;
}

int bdrv_reopen(BlockDriverState *bs, json_t *options, int flags, Error **errp)
{
    g_autoptr(json_t) changes = options;
    ReopenCall call = {.bs = bs, .changes = changes, .flags = flags};

    aio_run_in(bs->aio_context, change_call, &call);
    error_propagate(errp, call.err);
    return call.ret;
}

static bool collect_items(GPtrArray *nodes, const ReopenCall *call, Error **errp)
{
    for (size_t i = 0; i < call->nr_items; i++) {
        const BdrvReopen *item = &call->items[i];
        g_autoptr(json_t) options = NULL;

        if (!check_usable(item->bs, errp)) {
            return false;
        }
        options = replace_options(item->bs, item->options, errp);
        if (!options || !add_node(nodes, item->bs, options, BDRV_O_RDWR, errp)) {
            return false;
        }
    }
    return true;
}

static void replace_call(void *opaque)
{
    ReopenCall *call = opaque;
    g_autoptr(GPtrArray) nodes = g_ptr_array_new_with_free_func(reopen_node_free);

    call->ret =
        collect_items(nodes, call, &call->err) ? reopen_nodes(nodes, &call->err) : -EINVAL;
}

int bdrv_reopen_replace(const BdrvReopen *items, size_t nr_items, Error **errp)
{
    ReopenCall call = {.items = items, .nr_items = nr_items};

    for (size_t i = 0; i < nr_items; i++) {
        if (items[i].bs->aio_context != items[0].bs->aio_context) {
            error_setg(errp, "Nodes '%s' and '%s' are in different threads and cannot be reopened "
                             "together", items[0].bs->node_name, items[i].bs->node_name);
            return -EINVAL;
        }
    }
    if (nr_items > 0) {
        aio_run_in(items[0].bs->aio_context, replace_call, &call);
        error_propagate(errp, call.err);
    }
    return call.ret;
}
