/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command that lists nodes: see qapi/block-runtime.json.
 *
 * Each node is looked at in its thread.  A node that is broken is in the list all the same: that is
 * when people look.
 */
#include "qemu/osdep.h"

#include "block/qmp-int.h"
#include "qapi/qapi-commands.h"

typedef struct QueryCall {
    BlockDriverState *bs;
    bool is_flat;
    BlockDeviceInfo *info;
} QueryCall;

/* What is known of a node without asking its driver. */
static ImageInfo *minimal_image_info(const BlockDriverState *bs)
{
    ImageInfo *info = g_new0(ImageInfo, 1);

    info->filename = g_strdup(bs->filename);
    info->format = g_strdup(bdrv_get_format_name(bs));
    info->virtual_size = bs->total_bytes;
    return info;
}

static ImageInfo *image_info(BlockDriverState *bs, bool is_flat)
{
    ImageInfo *info = bs->drv ? bdrv_query_image_info(bs, NULL) : NULL;

    if (!info) {
        return minimal_image_info(bs);
    }
    if (is_flat) {
        g_clear_pointer(&info->children, qapi_free_BlockChildInfoList);
        info->has_children = false;
        g_clear_pointer(&info->backing_image, qapi_free_ImageInfo);
    }
    return info;
}

static BlockdevChildList *children_info(const BlockDriverState *bs)
{
    BlockdevChildList *list = NULL, **tail = &list;
    const BdrvChild *child;

    LIST_FOREACH(child, &bs->children, next) {
        BlockdevChild *info = g_new0(BlockdevChild, 1);

        info->child = g_strdup(child->name);
        info->node_name = g_strdup(child->bs->node_name);
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static int backing_depth(const BlockDriverState *bs)
{
    int depth = 0;

    while (bs->backing) {
        bs = bs->backing->bs;
        depth++;
    }
    return depth;
}

static void query_node(void *opaque)
{
    QueryCall *call = opaque;
    BlockDriverState *bs = call->bs;
    BlockDeviceInfo *info = call->info = g_new0(BlockDeviceInfo, 1);

    info->file = g_strdup(bs->filename);
    info->node_name = g_strdup(bs->node_name);
    info->ro = bs->read_only;
    info->drv = g_strdup(bdrv_get_format_name(bs));
    info->backing_file = g_strdup(bs->backing_file);
    info->backing_file_depth = backing_depth(bs);
    info->children = children_info(bs);
    info->active = bs->drv;
    info->cache = g_new0(BlockdevCacheInfo, 1);
    info->cache->writeback = true;
    info->cache->direct = bs->open_flags & BDRV_O_NOCACHE;
    info->cache->no_flush = bs->open_flags & BDRV_O_NO_FLUSH;
    info->iothread = bs->aio_context != qemu_get_aio_context();
    info->image = image_info(bs, call->is_flat);
}

BlockDeviceInfoList *qmp_query_named_block_nodes(bool has_flat, bool flat, Error **errp)
{
    BlockDeviceInfoList *list = NULL, **tail = &list;
    BlockDriverState *bs = bdrv_next_node(NULL), *next;

    for (; bs; bs = next) {
        QueryCall call = {.bs = bs, .is_flat = flat};

        /* Drivers that are asked may poll, and what runs then can let go of nodes. */
        bdrv_ref(bs);
        aio_run_in(bdrv_get_aio_context(bs), query_node, &call);
        QAPI_LIST_APPEND(tail, call.info);
        next = bdrv_next_node(bs);
        bdrv_unref(bs);
    }
    return list;
}
