/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nodes say about themselves, for `info`, queries and error messages.
 *
 * Only metadata is looked at.  Main thread, outside coroutines.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"

typedef struct InfoCall {
    BlockDriverState *bs;
    BlockDriverInfo *info;
    int64_t allocated;
} InfoCall;

static int coroutine_fn get_info_entry(void *arg)
{
    InfoCall *call = arg;

    return call->bs->drv->bdrv_co_get_info(call->bs, call->info);
}

/* A node that only passes requests on has the structure of what is below it. */
static BlockDriverState *node_with_info(BlockDriverState *bs)
{
    while (bs->drv && bs->drv->is_passthrough && !bs->drv->bdrv_co_get_info) {
        bs = bs->file->bs;
    }
    return bs;
}

int bdrv_get_info(BlockDriverState *bs, BlockDriverInfo *info)
{
    InfoCall call = {.bs = node_with_info(bs), .info = info};

    *info = (BlockDriverInfo){0};
    if (!call.bs->drv) {
        return -ENOMEDIUM;
    }
    if (!call.bs->drv->bdrv_co_get_info) {
        return -ENOTSUP;
    }
    return bdrv_run_co(bs->aio_context, get_info_entry, &call);
}

ImageInfoSpecific *bdrv_get_specific_info(BlockDriverState *bs, Error **errp)
{
    if (!bs->drv || !bs->drv->bdrv_get_specific_info) {
        return NULL;
    }
    return bs->drv->bdrv_get_specific_info(bs, errp);
}

static int coroutine_fn allocated_size_entry(void *arg)
{
    InfoCall *call = arg;

    call->allocated = call->bs->drv->bdrv_co_get_allocated_file_size(call->bs);
    return 0;
}

int64_t bdrv_get_allocated_file_size(BlockDriverState *bs)
{
    InfoCall call = {.bs = bs};

    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    if (bs->drv->bdrv_co_get_allocated_file_size) {
        bdrv_run_co(bs->aio_context, allocated_size_entry, &call);
        return call.allocated;
    }
    return bs->file ? bdrv_get_allocated_file_size(bs->file->bs) : -ENOTSUP;
}

/* A limit of 0 is none, and absent. */
#define SET_LIMIT(info, member, value)                                                             \
    do {                                                                                           \
        (info)->has_##member = (value) != 0;                                                       \
        (info)->member = (value);                                                                  \
    } while (0)

static BlockLimitsInfo *query_limits(const BlockDriverState *bs)
{
    BlockLimitsInfo *info = g_new0(BlockLimitsInfo, 1);
    const BlockLimits *bl = &bs->bl;

    info->request_alignment = bl->request_alignment;
    info->max_iov = bl->max_iov;
    info->min_mem_alignment = bl->min_mem_alignment;
    info->opt_mem_alignment = bl->opt_mem_alignment;
    SET_LIMIT(info, max_discard, bl->max_pdiscard);
    SET_LIMIT(info, discard_alignment, bl->pdiscard_alignment);
    SET_LIMIT(info, max_write_zeroes, bl->max_pwrite_zeroes);
    SET_LIMIT(info, write_zeroes_alignment, bl->pwrite_zeroes_alignment);
    SET_LIMIT(info, max_transfer, bl->max_transfer);
    return info;
}

/* ImageInfo and BlockGraphInfo begin with the members of their base. */
G_STATIC_ASSERT(offsetof(ImageInfo, limits) == offsetof(BlockNodeInfo, limits));
G_STATIC_ASSERT(offsetof(BlockGraphInfo, limits) == offsetof(BlockNodeInfo, limits));

static bool query_node(BlockDriverState *bs, BlockNodeInfo *info, Error **errp)
{
    Error *local_err = NULL;
    BlockDriverInfo driver_info;
    int64_t length = bdrv_getlength(bs);
    int64_t allocated;

    if (length < 0) {
        error_setg_errno(errp, -length, "Can't get image size '%s'", bs->filename);
        return false;
    }
    info->filename = g_strdup(bs->filename);
    info->format = g_strdup(bdrv_get_format_name(bs));
    info->virtual_size = length;
    info->has_dirty_flag = true;
    allocated = bdrv_get_allocated_file_size(bs);
    info->has_actual_size = allocated >= 0;
    info->actual_size = MAX(allocated, 0);
    if (bdrv_get_info(bs, &driver_info) == 0) {
        info->has_cluster_size = driver_info.cluster_size != 0;
        info->cluster_size = driver_info.cluster_size;
        info->dirty_flag = driver_info.is_dirty;
    }
    info->backing_filename = g_strdup(bs->backing_file);
    info->full_backing_filename =
        bs->backing_file ? bdrv_full_backing_name(bs, NULL) : NULL;
    info->backing_filename_format = g_strdup(bs->backing_format);
    info->limits = query_limits(bs);
    info->format_specific = bdrv_get_specific_info(bs, &local_err);
    error_propagate(errp, local_err);
    return !local_err;
}

static bool query_children(BlockDriverState *bs, BlockChildInfoList **list, Error **errp)
{
    BlockChildInfoList **tail = list;
    BdrvChild *child;

    LIST_FOREACH(child, &bs->children, next) {
        BlockChildInfo *info;

        if (child == bs->backing) {
            continue; /* an image of its own */
        }
        info = g_new0(BlockChildInfo, 1);
        QAPI_LIST_APPEND(tail, info);
        info->name = g_strdup(child->name);
        info->info = g_new0(BlockGraphInfo, 1);
        if (!query_node(child->bs, (BlockNodeInfo *)info->info, errp) ||
            !query_children(child->bs, &info->info->children, errp)) {
            return false;
        }
    }
    return true;
}

ImageInfo *bdrv_query_image_info(BlockDriverState *bs, Error **errp)
{
    g_autoptr(ImageInfo) info = g_new0(ImageInfo, 1);

    if (!bs->drv) {
        error_setg(errp, "Node '%s' is not usable after an error", bs->node_name);
        return NULL;
    }
    if (!query_node(bs, (BlockNodeInfo *)info, errp) ||
        !query_children(bs, &info->children, errp)) {
        return NULL;
    }
    return g_steal_pointer(&info);
}

const char *bdrv_strerror(int err)
{
    static const struct {
        int err;
        const char *text;
    } refusals[] = {
        {ZONE_ERR_NOT_AT_WP, "Write does not start at the write pointer of the zone"},
        {ZONE_ERR_PAST_CAPACITY, "Request passes the capacity or the end of the zone"},
        {ZONE_ERR_FULL, "Zone is full"},
        {ZONE_ERR_RDONLY, "Zone is read-only"},
        {ZONE_ERR_OFFLINE, "Zone is offline"},
        {ZONE_ERR_OPEN_RESOURCE, "Too many open zones"},
        {ZONE_ERR_ACTIVE_RESOURCE, "Too many active zones"},
        {ZONE_ERR_CONVENTIONAL, "Not possible in a conventional zone"},
        {ZONE_ERR_CONDITION, "Not possible in the present condition of the zone"},
        {ZONE_ERR_APPEND, "Append is not to the start of a zone, or is too long"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        if (refusals[i].err == err) {
            return refusals[i].text;
        }
    }
    return strerror(err);
}
