/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of exports: see block/export.h.
 *
 * It judges what all exports have in common, gives them a backend on their node, and sends the
 * event when one has gone.  An export is in the list from its creation until just before that.
 */
#include "qemu/osdep.h"

#include "block/export.h"
#include "qapi/qapi-events.h"

static TAILQ_HEAD(, BlockExportDriver) drivers = TAILQ_HEAD_INITIALIZER(drivers);
static TAILQ_HEAD(, BlockExport) exports = TAILQ_HEAD_INITIALIZER(exports);

static const BlockExportDriver *find_driver(BlockExportType type)
{
    const BlockExportDriver *drv;

    TAILQ_FOREACH(drv, &drivers, link) {
        if (drv->type == type) {
            return drv;
        }
    }
    return NULL;
}

void blk_exp_driver_register(BlockExportDriver *drv)
{
    assert(drv->instance_size >= sizeof(BlockExport));
    assert(!find_driver(drv->type));
    TAILQ_INSERT_TAIL(&drivers, drv, link);
}

/* ---- making one ---- */

static bool check_id(const char *id, Error **errp)
{
    bool is_wellformed = g_ascii_isalpha(*id);

    for (const char *c = id; *c && is_wellformed; c++) {
        is_wellformed = g_ascii_isalnum(*c) || strchr("-._", *c);
    }
    if (!is_wellformed) {
        error_setg(errp, "Invalid block export id '%s'", id);
        error_append_hint(errp, "Ids consist of letters, digits, '-', '.', '_', starting with a "
                                "letter.\n");
        return false;
    }
    if (blk_exp_find(id)) {
        error_setg(errp, "Block export id '%s' is already in use", id);
        return false;
    }
    return true;
}

/*
 * Many readers or one writer.  What a reader has seen may be in its caches for good, so nobody may
 * change it, nor the length that it was told.
 */
static BlockBackend *new_backend(BlockDriverState *bs, const BlockExportOptions *options,
                                 Error **errp)
{
    uint64_t perm = BLK_PERM_CONSISTENT_READ | (options->writable ? BLK_PERM_WRITE : 0);
    g_autoptr(BlockBackend) blk = NULL;

    if (options->writable && bdrv_is_read_only(bs)) {
        error_setg(errp, "Cannot export read-only node as writable");
        return NULL;
    }
    blk = blk_new(bdrv_get_aio_context(bs), perm,
                  BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED);
    if (blk_insert_bs(blk, bs, errp) < 0) {
        return NULL;
    }
    blk_set_enable_write_cache(blk, !options->writethrough);
    return g_steal_pointer(&blk);
}

BlockExport *blk_exp_add(BlockExportOptions *options, Error **errp)
{
    ERRP_GUARD();
    const BlockExportDriver *drv = find_driver(options->type);
    BlockDriverState *bs;
    BlockBackend *blk;
    BlockExport *exp;

    if (!check_id(options->id, errp)) {
        return NULL;
    }
    if (!drv) {
        error_setg(errp, "Exports of type '%s' are not supported",
                   BlockExportType_str(options->type));
        return NULL;
    }
    if (options->iothread) {
        error_setg(errp, "Cannot use iothread '%s': nodes run in the main thread only",
                   options->iothread);
        return NULL;
    }
    bs = bdrv_lookup_bs(options->node_name, errp);
    blk = bs ? new_backend(bs, options, errp) : NULL;
    if (!blk) {
        return NULL;
    }
    exp = g_malloc0(drv->instance_size);
    *exp = (BlockExport){
        .drv = drv,
        .id = g_strdup(options->id),
        .blk = blk,
        .is_writable = options->writable,
        .refcnt = 1,
    };
    if (drv->create(exp, options, errp) < 0) {
        blk_unref(blk);
        g_free(exp->id);
        g_free(exp);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&exports, exp, link);
    return exp;
}

/* ---- finding ---- */

BlockExport *blk_exp_find(const char *id)
{
    BlockExport *exp;

    TAILQ_FOREACH(exp, &exports, link) {
        if (!strcmp(exp->id, id)) {
            return exp;
        }
    }
    return NULL;
}

BlockExport *blk_exp_next(BlockExport *exp)
{
    return exp ? TAILQ_NEXT(exp, link) : TAILQ_FIRST(&exports);
}

/* ---- ending ---- */

static void delete_export(void *opaque)
{
    BlockExport *exp = opaque;

    assert(exp->refcnt == 0 && exp->is_shutting_down);
    exp->drv->delete(exp);
    blk_unref(exp->blk);
    TAILQ_REMOVE(&exports, exp, link);
    qapi_event_send_block_export_deleted(exp->id);
    g_free(exp->id);
    g_free(exp);
}

void blk_exp_ref(BlockExport *exp)
{
    assert(exp->refcnt > 0);
    exp->refcnt++;
}

void blk_exp_unref(BlockExport *exp)
{
    assert(exp->refcnt > 0);
    if (--exp->refcnt == 0) {
        /* The caller may be a callback of what the driver is going to free. */
        aio_bh_schedule_oneshot(qemu_get_aio_context(), delete_export, exp);
    }
}

void blk_exp_request_shutdown(BlockExport *exp)
{
    if (exp->is_shutting_down) {
        return;
    }
    exp->is_shutting_down = true;
    exp->drv->request_shutdown(exp);
    blk_exp_unref(exp);
}

/* Ask the exports of @drv (NULL: all) to end; whether there are any. */
static bool shut_down_those_of(const BlockExportDriver *drv)
{
    bool is_any_left = false;
    BlockExport *exp;

    TAILQ_FOREACH(exp, &exports, link) {
        if (!drv || exp->drv == drv) {
            blk_exp_request_shutdown(exp);
            is_any_left = true;
        }
    }
    return is_any_left;
}

void blk_exp_close_all(void)
{
    AIO_WAIT_WHILE(qemu_get_aio_context(), shut_down_those_of(NULL));
}

void blk_exp_close_all_type(BlockExportType type)
{
    const BlockExportDriver *drv = find_driver(type);

    if (drv) {
        AIO_WAIT_WHILE(qemu_get_aio_context(), shut_down_those_of(drv));
    }
}
