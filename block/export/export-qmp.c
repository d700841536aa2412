/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of a monitor about exports: see qapi/block-export.json.
 */
#include "qemu/osdep.h"

#include "block/export.h"
#include "qapi/qapi-commands.h"

void qmp_block_export_add(BlockExportOptions *options, Error **errp)
{
    blk_exp_add(options, errp);
}

void qmp_block_export_del(const char *id, bool has_mode, BlockExportRemoveMode mode, Error **errp)
{
    ERRP_GUARD();
    BlockExport *exp = blk_exp_find(id);

    if (!exp) {
        error_setg(errp, "Export '%s' is not found", id);
        return;
    }
    if (exp->is_shutting_down) {
        error_setg(errp, "Export '%s' is already shutting down", id);
        return;
    }
    if (has_mode && mode == BLOCK_EXPORT_REMOVE_MODE_HARD) {
        blk_exp_request_shutdown(exp);
    } else if (!blk_exp_request_shutdown_if_idle(exp)) {
        error_setg(errp, "Export '%s' is still in use", id);
        error_append_hint(errp, "Use mode='hard' to disconnect its users.\n");
    }
}

BlockExportInfoList *qmp_query_block_exports(Error **errp)
{
    BlockExportInfoList *list = NULL, **tail = &list;

    for (BlockExport *exp = blk_exp_next(NULL); exp; exp = blk_exp_next(exp)) {
        BlockExportInfo *info = g_new0(BlockExportInfo, 1);

        info->id = g_strdup(exp->id);
        info->type = exp->drv->type;
        info->node_name = g_strdup(bdrv_get_node_name(blk_bs(exp->blk)));
        info->shutting_down = exp->is_shutting_down;
        info->device = exp->drv->device ? g_strdup(exp->drv->device(exp)) : NULL;
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}
