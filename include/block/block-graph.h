/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The graph of block nodes: opening, naming, referencing, permissions.
 *
 * All of it runs outside coroutines, unless a function says otherwise.  The main thread alone opens
 * nodes, closes them, reopens them and moves them to other threads; it sees to it that what must
 * run in the node's thread does, and waits.  Everything else runs in the node's thread: see
 * docs/devel/threads.rst.
 */
#ifndef BLOCK_GRAPH_H
#define BLOCK_GRAPH_H

#include <jansson.h>

#include "block/block-common.h"
#include "qapi/error.h"
#include "qapi/qapi-types.h"
#include "qemu/coroutine.h"

/* ---- permissions; the bits are those of docs/interop/image-locking.rst ---- */

enum {
    BLK_PERM_CONSISTENT_READ = 1 << 0,
    BLK_PERM_WRITE = 1 << 1,
    BLK_PERM_WRITE_UNCHANGED = 1 << 2,
    BLK_PERM_RESIZE = 1 << 3,
    BLK_PERM_ALL = 15,
};

/* ---- drivers ---- */

void bdrv_init(void);
BlockDriver *bdrv_find_format(const char *format_name);
/* The protocol driver for a file name: by prefix, by device probing, otherwise `file`. */
BlockDriver *bdrv_find_protocol(const char *filename, bool allow_prefix, Error **errp);
const char *bdrv_driver_name(const BlockDriver *drv);
void bdrv_iterate_format(void (*it)(void *opaque, const char *name), void *opaque);

/* ---- nodes ---- */

/*
 * Open a node with everything below it.
 *
 * Exactly one of @filename (plain, `proto:rest` or `json:{}`), @reference (an existing node) or
 * @options alone names it; @options is the option tree of this node (-blockdev form; string leaves
 * are accepted for every scalar) and is consumed; it may be NULL.  Without `driver` the format is
 * probed (never with BDRV_O_PROTOCOL). cache.direct, cache.no-flush, read-only, auto-read-only,
 * discard and force-share default to @flags for this node and are handed to its children. In a
 * coroutine it yields until the event loop has done the work.
 *
 * Returns a new reference, or NULL with @errp set to the REASON, to which the caller adds what it
 * wanted (`Could not open 'NAME': REASON`).
 */
BlockDriverState *bdrv_open(const char *filename, const char *reference, json_t *options, int flags,
                            Error **errp);
void bdrv_ref(BlockDriverState *bs);
/*
 * Drops a reference; the last one flushes and closes the node (in a coroutine: yields until that is
 * done).  NULL is fine.
 */
void bdrv_unref(BlockDriverState *bs);

/*
 * The flags and the write mode behind the name of a cache mode (`writeback`, `none`, ...): sets
 * BDRV_O_NOCACHE and BDRV_O_NO_FLUSH in *@flags as it says, and *@writethrough.  Returns false,
 * with nothing changed, for another name.
 */
bool bdrv_parse_cache_mode(const char *mode, int *flags, bool *writethrough);
/* The same for `discard`: ignore or off, unmap or on; sets BDRV_O_UNMAP. */
bool bdrv_parse_discard_flags(const char *mode, int *flags);

BlockDriverState *bdrv_find_node(const char *node_name);
BlockDriverState *bdrv_lookup_bs(const char *name, Error **errp);
/* Named nodes, in order of creation; pass NULL to start. */
BlockDriverState *bdrv_next_node(BlockDriverState *bs);
const char *bdrv_get_node_name(const BlockDriverState *bs);
const char *bdrv_get_format_name(const BlockDriverState *bs);
bool bdrv_is_read_only(const BlockDriverState *bs);
AioContext *bdrv_get_aio_context(BlockDriverState *bs);

/*
 * Move @bs, and every node that it is connected with through parents and children, to the thread of
 * @ctx.  Requests in flight are completed first; those that users make meanwhile wait, and go on in
 * the new thread.
 *
 * Called in the main thread.  Returns 0, or with @errp set and nothing changed: -EBUSY where a user
 * of one of the nodes must stay where it is (see blk_set_allow_aio_context_change()), -EINVAL where
 * a driver cannot work in @ctx.
 */
int bdrv_try_change_aio_context(BlockDriverState *bs, AioContext *ctx, Error **errp);
/* Recompute the limits of @bs from its file and its driver. */
void bdrv_refresh_limits(BlockDriverState *bs, Error **errp);

/*
 * Change read-only, cache mode or driver options of a node; keys that cannot change give an error
 * that names them (`Cannot change the option 'X'`).  @options is consumed.
 */
int bdrv_reopen(BlockDriverState *bs, json_t *options, int flags, Error **errp);

/* A node, and all its options from now on, as in -blockdev; both stay the caller's. */
typedef struct BdrvReopen {
    BlockDriverState *bs;
    const json_t *options;
} BdrvReopen;

/*
 * Give nodes, each of which is there once, new options.  What is not among them returns to its
 * default; a key that can not is named in the error (`Option 'X' cannot be reset to its default
 * value`).  Children that a node opened itself follow it.
 *
 * Returns 0, or a negative errno with @errp set and no node changed.
 */
int bdrv_reopen_replace(const BdrvReopen *items, size_t nr_items, Error **errp);

/* ---- backing files ---- */

/*
 * The name under which the backing file @name of the image @overlay is opened from here: a relative
 * one counts from the overlay's folder.  To be freed; NULL with @errp set where @overlay has none.
 */
char *bdrv_resolve_backing_name(const char *overlay, const char *name, Error **errp);
/* The same for the backing file that the image on @bs names; it must name one. */
char *bdrv_full_backing_name(const BlockDriverState *bs, Error **errp);
/* Whether @bs, or an image below it, lies in the local file @filename, whatever its name there. */
bool bdrv_chain_has_file(const BlockDriverState *bs, const char *filename);

/* ---- children ---- */

/*
 * Make @child_bs (whose reference is taken over, even on failure) the child @name of @parent.  The
 * permissions are checked against all other parents of @child_bs first (`Conflicts with use by
 * ...`) and handed to its driver, which locks the file.
 */
BdrvChild *bdrv_attach_child(BlockDriverState *parent, BlockDriverState *child_bs, const char *name,
                             Error **errp);
/*
 * The same for a user of the block layer; @parent is NULL where that is no backend.  In the main
 * thread or in the node's; in a coroutine only in the node's, otherwise it is refused.
 */
BdrvChild *bdrv_root_attach_child(BlockDriverState *child_bs, const char *name, BlockBackend *parent,
                                  uint64_t perm, uint64_t shared_perm, Error **errp);
void bdrv_detach_child(BdrvChild *child);
int bdrv_child_try_set_perm(BdrvChild *child, uint64_t perm, uint64_t shared, Error **errp);

/* ---- quiescence ---- */

/* Keep new requests of users out and wait for those in flight. */
void bdrv_drained_begin(BlockDriverState *bs);
void bdrv_drained_end(BlockDriverState *bs);
void bdrv_drain_all(void);

/* ---- information ---- */

typedef struct BlockDriverInfo {
    int64_t cluster_size;      /* 0: none */
    int64_t vm_state_offset;   /* bytes, 0: none */
    bool is_dirty;             /* not cleanly shut down */
} BlockDriverInfo;

typedef enum BdrvCheckMode {
    BDRV_FIX_LEAKS = 1,
    BDRV_FIX_ERRORS = 2,
} BdrvCheckMode;

typedef struct BdrvCheckResult {
    int corruptions, leaks, check_errors, corruptions_fixed, leaks_fixed;
    int64_t image_end_offset;
    uint64_t allocated_clusters, total_clusters, fragmented_clusters, compressed_clusters;
} BdrvCheckResult;

/*
 * What `info` shows of a node, with its children; nothing is read but metadata.
 * NULL with @errp set where the length or the driver's part cannot be had.
 */
ImageInfo *bdrv_query_image_info(BlockDriverState *bs, Error **errp);
int bdrv_get_info(BlockDriverState *bs, BlockDriverInfo *info);
ImageInfoSpecific *bdrv_get_specific_info(BlockDriverState *bs, Error **errp);
/* Bytes on the host's disk, of this node and its file child; negative errno where unknown. */
int64_t bdrv_get_allocated_file_size(BlockDriverState *bs);

/* @err (> 0) as a sentence: the cause of a zoned device's refusal, otherwise strerror(). */
const char *bdrv_strerror(int err);

#endif
