/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of exports: see block/export.h.
 *
 * It judges what all exports have in common, moves their nodes to the thread that was asked for,
 * gives them a backend there, and sends the event when one has gone.  An export is in the list from
 * its creation until just before that.
 *
 * The list is the main thread's.  All else of an export belongs to the thread of its node, where
 * every callback of its driver runs; the main thread goes there with aio_run_in().
 */
#include "qemu/osdep.h"

#include "block/export.h"
#include "block/iothread.h"
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
    ERRP_GUARD();
    uint64_t perm = BLK_PERM_CONSISTENT_READ | (options->writable ? BLK_PERM_WRITE : 0);
    g_autofree char *user = g_strdup_printf("export '%s'", options->id);
    g_autoptr(BlockBackend) blk = NULL;

    if (options->writable && bdrv_is_read_only(bs)) {
        error_setg(errp, "Cannot export read-only node as writable");
        return NULL;
    }
    blk = blk_new(bdrv_get_aio_context(bs), perm,
                  BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED);
    blk_set_user(blk, user);
    if (blk_insert_bs(blk, bs, errp) < 0) {
        error_prepend(errp, "Cannot export node '%s' as %s: ", bdrv_get_node_name(bs),
                      options->writable ? "writable" : "read-only");
        return NULL;
    }
    blk_set_enable_write_cache(blk, !options->writethrough);
    return g_steal_pointer(&blk);
}

/* What the main thread has done in the thread of the node. */
typedef struct AddCall {
    const BlockExportDriver *drv;
    BlockDriverState *bs;
    BlockExportOptions *options;
    Error *err;
    BlockExport *exp;
} AddCall;

static void add_call(void *opaque)
{
    AddCall *call = opaque;
    const BlockExportOptions *options = call->options;
    BlockBackend *blk = new_backend(call->bs, options, &call->err);
    BlockExport *exp;

    if (!blk) {
        return;
    }
    exp = g_malloc0(call->drv->instance_size);
    *exp = (BlockExport){
        .drv = call->drv,
        .id = g_strdup(options->id),
        .blk = blk,
        .is_writable = options->writable,
        .refcnt = 1,
    };
    if (call->drv->create(exp, call->options, &call->err) < 0) {
        blk_unref(blk);
        g_free(exp->id);
        g_free(exp);
        return;
    }
    call->exp = exp;
}

/*
 * Let @bs live in the iothread called @id.  A node has one thread, that of the first of its exports
 * which asked for one, until the last of its exports is gone.
 */
static bool move_to_iothread(BlockDriverState *bs, const char *id, Error **errp)
{
    const IOThread *iothread = iothread_find(id);

    if (!iothread) {
        error_setg(errp, "There is no iothread '%s'", id);
        return false;
    }
    return bdrv_try_change_aio_context(bs, iothread_get_aio_context(iothread), errp) == 0;
}

/* Nothing is lost where others of its users keep @bs where it is. */
static void move_home(BlockDriverState *bs)
{
    bdrv_try_change_aio_context(bs, qemu_get_aio_context(), NULL);
}

BlockExport *blk_exp_add(BlockExportOptions *options, Error **errp)
{
    AddCall call = {.drv = find_driver(options->type), .options = options};

    if (!check_id(options->id, errp)) {
        return NULL;
    }
    if (!call.drv) {
        error_setg(errp, "Exports of type '%s' are not supported",
                   BlockExportType_str(options->type));
        return NULL;
    }
    call.bs = bdrv_lookup_bs(options->node_name, errp);
    if (!call.bs ||
        (options->iothread && !move_to_iothread(call.bs, options->iothread, errp))) {
        return NULL;
    }
    aio_run_in(bdrv_get_aio_context(call.bs), add_call, &call);
    if (!call.exp) {
        move_home(call.bs);
        error_propagate(errp, call.err);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&exports, call.exp, link);
    return call.exp;
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

static void delete_call(void *opaque)
{
    BlockExport *exp = opaque;

    assert(exp->refcnt == 0 && exp->is_shutting_down);
    exp->drv->delete(exp);
    blk_unref(exp->blk);
}

/* In the main thread. */
static void delete_export(void *opaque)
{
    BlockExport *exp = opaque;
    BlockDriverState *bs = blk_bs(exp->blk);

    bdrv_ref(bs);
    aio_run_in(blk_get_aio_context(exp->blk), delete_call, exp);
    TAILQ_REMOVE(&exports, exp, link);
    move_home(bs);
    bdrv_unref(bs);
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

typedef struct ShutdownCall {
    BlockExport *exp;
    bool spares_users;
    bool is_refused;
} ShutdownCall;

static void shutdown_call(void *opaque)
{
    ShutdownCall *call = opaque;
    BlockExport *exp = call->exp;

    call->is_refused = call->spares_users && exp->refcnt > 1;
    if (!call->is_refused && !exp->is_shutting_down) {
        exp->is_shutting_down = true;
        exp->drv->request_shutdown(exp);
        blk_exp_unref(exp);
    }
}

void blk_exp_request_shutdown(BlockExport *exp)
{
    ShutdownCall call = {.exp = exp};

    if (!exp->is_shutting_down) {
        aio_run_in(blk_get_aio_context(exp->blk), shutdown_call, &call);
    }
}

bool blk_exp_request_shutdown_if_idle(BlockExport *exp)
{
    ShutdownCall call = {.exp = exp, .spares_users = true};

    aio_run_in(blk_get_aio_context(exp->blk), shutdown_call, &call);
    return !call.is_refused;
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
