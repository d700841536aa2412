/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports: block nodes given to somebody outside the process.
 *
 * The registry knows every export by its id, holds its node by a BlockBackend with the right
 * permissions, and ends it in order.  How requests come in is the business of a BlockExportDriver.
 *
 * Exports are made, found and ended in the main thread, outside coroutines.  What a driver does it
 * does in the thread of the exported node, which stays there as long as it is exported.
 */
#ifndef BLOCK_EXPORT_H
#define BLOCK_EXPORT_H

#include "block/block-backend.h"
#include "qapi/error.h"
#include "qapi/qapi-types.h"

typedef struct BlockExport BlockExport;

/*
 * One way to export; a table a BlockExportType, entered by blk_exp_driver_register().
 *
 * All callbacks are called outside coroutines in the thread of exp->blk, whose loop they may poll,
 * while the main thread waits for them: so they must not wait for it.
 */
typedef struct BlockExportDriver {
    BlockExportType type;
    /* Of the driver's state, which begins with its BlockExport. */
    size_t instance_size;
    /*
     * Make the export work: @exp has its id and its backend.  Returns 0, or a negative errno with
     * @errp set and nothing left behind; delete() is not called then.
     */
    int (*create)(BlockExport *exp, BlockExportOptions *options, Error **errp);
    /*
     * Disconnect users and give back the references held for them, now or later; called once.
     * Requests in flight are completed first.
     */
    void (*request_shutdown)(BlockExport *exp);
    /* Nobody has a reference any more: free what create() made. */
    void (*delete)(BlockExport *exp);
    /* The path of the device of @exp, constant after create(), for which any thread may ask.  NULL:
     * exports of this type have none. */
    const char *(*device)(BlockExport *exp);
    TAILQ_ENTRY(BlockExportDriver) link;
} BlockExportDriver;

/*
 * @refcnt: one as long as nobody has asked for a shutdown, and one for each user of a driver's
 * making (a connection); at 0 the export is deleted from a bottom half of the main thread.
 *
 * @refcnt and @is_shutting_down change in the thread of @blk only; the main thread may read
 * @is_shutting_down, which changes only while it waits.
 */
struct BlockExport {
    const BlockExportDriver *drv;
    char *id;
    BlockBackend *blk;
    bool is_writable;
    bool is_shutting_down;
    int refcnt;
    TAILQ_ENTRY(BlockExport) link;
};

/* From a constructor: see block_init(). */
void blk_exp_driver_register(BlockExportDriver *drv);

/*
 * Make an export from @options, which stay the caller's.  Its node is moved to the iothread that
 * they name, if any, and back to the main thread when its last export is gone.
 *
 * The node may have several exports that only read, or one that writes: the permissions of their
 * backends see to that, and likewise keep other writers away.  A zoned node that is exported for
 * writing comes with all its zones; there is no part of a node.
 *
 * Returns the export, a reference to which the registry keeps; NULL with @errp set otherwise.
 */
BlockExport *blk_exp_add(BlockExportOptions *options, Error **errp);

/* NULL where there is no such export. */
BlockExport *blk_exp_find(const char *id);

/* Exports from the oldest to the newest; NULL to start. */
BlockExport *blk_exp_next(BlockExport *exp);

/* For drivers, in the thread of the export. */
void blk_exp_ref(BlockExport *exp);
void blk_exp_unref(BlockExport *exp);

/* Begin to end @exp; done when BLOCK_EXPORT_DELETED is sent.  A second call changes nothing. */
void blk_exp_request_shutdown(BlockExport *exp);
/* The same, unless somebody uses it: false then. */
bool blk_exp_request_shutdown_if_idle(BlockExport *exp);

/* End all exports, or those of @type, and wait until they are gone. */
void blk_exp_close_all(void);
void blk_exp_close_all_type(BlockExportType type);

#endif
