/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the block graph share among themselves and nobody else uses.
 *
 * Option trees are jansson objects with nested keys; scalars may be JSON values or strings, as they
 * come from a command line.  Everything here runs outside coroutines, in the main thread or, where
 * a function says so, in the thread of the node while the main thread waits for it.
 */
#ifndef BLOCK_GRAPH_INT_H
#define BLOCK_GRAPH_INT_H

#include "block/block_int.h"

/* Owning pointers to JSON values. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/* ---- file names (block-filename.c) ---- */

/* The length of `proto` in `proto:rest`, 0 where no colon comes before the first slash. */
size_t bdrv_protocol_prefix_len(const char *filename);

/* True for `json:...`. */
bool bdrv_is_json_filename(const char *filename);

/* The option tree in a `json:{}` name, dotted keys nested; NULL with @errp set. */
json_t *bdrv_parse_json_filename(const char *filename, Error **errp);

/*
 * Fill bs->filename: the name by which the node can be opened again, the child's where the node
 * adds nothing to it, otherwise a `json:` description.  @opened_as is the name it was opened by, or
 * NULL.
 */
void bdrv_set_filename(BlockDriverState *bs, const char *opened_as);

/* ---- options (block-options.c) ---- */

/*
 * Apply the generic options found in @options (read-only, auto-read-only, cache.*, discard,
 * force-share) to the BDRV_O_* in *@flags, which stand for those that are not given.
 */
bool bdrv_flags_from_options(const json_t *options, int *flags, Error **errp);

/* The flags that a child opened by @parent_flags's node starts from. */
int bdrv_child_flags(int parent_flags);
/* The same for a backing node: nobody writes to it. */
int bdrv_backing_flags(int parent_flags);

/* True for options that every driver has. */
bool bdrv_is_generic_option(const char *key);

/* True where @key is an option of @drv or of all drivers. */
bool bdrv_has_option(const BlockDriver *drv, const char *key);

/*
 * The typed form of @options for @drv, with the child "file", if @file is not NULL, as a reference
 * to that node. NULL with @errp set; a key that the driver does not have is named.
 */
BlockdevOptions *bdrv_typed_options(const BlockDriver *drv, const json_t *options,
                                    const BlockDriverState *file, Error **errp);

/* ---- opening (block-open.c, block-backing.c) ---- */

/* The images above one that is being opened as their backing file, nearest first. */
typedef struct BackingTrail {
    const BlockDriverState *overlay;
    const struct BackingTrail *above;
} BackingTrail;

/* bdrv_open() of a new node; @options is consumed and may be NULL. */
BlockDriverState *bdrv_open_node(const char *filename, json_t *options, int flags,
                                 const BackingTrail *above, Error **errp);

/*
 * Open the backing node of @bs, whose driver has opened it, and attach it: what the option @given
 * says (null or an empty string: none), or where that is NULL what the image says.  Nothing to do
 * is a success.  False with @errp set otherwise; also where the chain would not end.
 */
bool bdrv_open_backing(BlockDriverState *bs, const json_t *given, const BackingTrail *above,
                       Error **errp);

/* ---- nodes (block-node.c) ---- */

/*
 * A node named @node_name (NULL: a generated name) with one reference and no driver; NULL with
 * @errp set.
 */
BlockDriverState *bdrv_new_node(const char *node_name, Error **errp);

/*
 * Call @func(@opaque) outside of any coroutine in the thread of @ctx, and return when it has.  In a
 * coroutine: yields, and the event loop of its thread sees to it.  In the main thread or in the one
 * of @ctx.
 */
void bdrv_call_in(AioContext *ctx, void (*func)(void *opaque), void *opaque);

/* ---- permissions (block-perm.c) ---- */

/* What the parents of @bs together use of it, and what all of them share. */
void bdrv_cumulative_perm(const BlockDriverState *bs, uint64_t *perm, uint64_t *shared);

/*
 * Recompute what @bs needs of its children, and its locks, after its mode or its parents changed.
 * On failure @errp is set; the caller puts the mode back and calls again, which then succeeds.
 */
int bdrv_refresh_perm(BlockDriverState *bs, Error **errp);

#endif
