/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backing files: what their names mean, and opening the chain below an image.
 *
 * A relative name counts from the folder of the image that has it.  The nodes of a chain are opened
 * from the top down, each before the one below it, so that an image that is met again on the way
 * down is recognised, whatever it is called there.
 */
#include "qemu/osdep.h"

#include <sys/stat.h>

#include "block/graph-int.h"

/* Chains in use have a few images, those of tests fifty; each takes a descriptor and some stack. */
#define MAX_CHAIN_LENGTH 200

/* ---- names ---- */

char *bdrv_resolve_backing_name(const char *overlay, const char *name, Error **errp)
{
    const char *slash = strrchr(overlay, '/');
    size_t folder_length =
        slash ? slash + 1 - overlay : (ptrdiff_t)bdrv_protocol_prefix_len(overlay);

    if (!*name || g_path_is_absolute(name) || bdrv_protocol_prefix_len(name)) {
        return g_strdup(name);
    }
    if (bdrv_is_json_filename(overlay)) {
        error_setg(errp, "The backing file name '%s' is relative, but '%s' has no folder", name,
                   overlay);
        return NULL;
    }
    return g_strdup_printf("%.*s%s", (int)folder_length, overlay, name);
}

/* The protocol node that @bs stands on. */
static const BlockDriverState *bottom_of(const BlockDriverState *bs)
{
    while (bs->file) {
        bs = bs->file->bs;
    }
    return bs;
}

char *bdrv_full_backing_name(const BlockDriverState *bs, Error **errp)
{
    return bdrv_resolve_backing_name(bottom_of(bs)->filename, bs->backing_file, errp);
}

/* ---- chains ---- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat stat_a, stat_b;

    if (stat(a, &stat_a) < 0 || stat(b, &stat_b) < 0) {
        return strcmp(a, b) == 0;
    }
    return stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino;
}

bool bdrv_chain_has_file(const BlockDriverState *bs, const char *filename)
{
    for (; bs; bs = bs->backing ? bs->backing->bs : NULL) {
        if (is_same_file(bottom_of(bs)->filename, filename)) {
            return true;
        }
    }
    return false;
}

/* Whether the image on @bs, which has a backing file, may be opened where it stands. */
static bool check_trail(const BlockDriverState *bs, const BackingTrail *above, Error **errp)
{
    const char *filename = bottom_of(bs)->filename;
    unsigned int length = 1;

    for (; above; above = above->above) {
        if (is_same_file(bottom_of(above->overlay)->filename, filename)) {
            error_setg(errp, "Backing file '%s' leads back to '%s'", bs->backing_file, filename);
            return false;
        }
        length++;
    }
    if (length >= MAX_CHAIN_LENGTH) {
        error_setg(errp, "The chain of backing files is longer than %d", MAX_CHAIN_LENGTH);
        return false;
    }
    return true;
}

/*
 * Open what the option tree @given (NULL: none) says, completed by what the image on @bs says.
 */
static BlockDriverState *open_described(const BlockDriverState *bs, const json_t *given,
                                        const BackingTrail *trail, Error **errp)
{
    json_t *options = given ? json_deep_copy(given) : json_object();
    bool has_file = json_object_get(options, "file") || json_object_get(options, "filename");
    g_autofree char *filename = NULL;

    if (!has_file && bs->backing_file) {
        filename = bdrv_full_backing_name(bs, errp);
        if (!filename) {
            json_decref(options);
            return NULL;
        }
    }
    if (filename && bs->backing_format && !json_object_get(options, "driver")) {
        json_object_set_new(options, "driver", json_string(bs->backing_format));
    }
    return bdrv_open_node(filename, options, bdrv_backing_flags(bs->open_flags), trail, errp);
}

typedef struct AttachCall {
    BlockDriverState *bs;
    BlockDriverState *backing; /* its reference goes over */
    Error *err;
} AttachCall;

static void attach_call(void *opaque)
{
    AttachCall *call = opaque;

    bdrv_attach_child(call->bs, call->backing, "backing", &call->err);
}

/* Make @backing, whose reference is taken over, the backing node of @bs, in the thread of that. */
static bool attach_backing(BlockDriverState *bs, BlockDriverState *backing, Error **errp)
{
    AttachCall call = {.bs = bs, .backing = backing};

    if (bdrv_try_change_aio_context(backing, bs->aio_context, errp) < 0) {
        bdrv_unref(backing);
        return false;
    }
    aio_run_in(bs->aio_context, attach_call, &call);
    error_propagate(errp, call.err);
    return !call.err;
}

bool bdrv_open_backing(BlockDriverState *bs, const json_t *given, const BackingTrail *above,
                       Error **errp)
{
    const char *reference = json_string_value(given);
    BackingTrail trail = {.overlay = bs, .above = above};
    BlockDriverState *backing = NULL;

    if (given ? json_is_null(given) || (reference && !*reference)
              : !bs->backing_file || (bs->open_flags & BDRV_O_NO_BACKING)) {
        return true;
    }
    if (given && !reference && !json_is_object(given)) {
        error_setg(errp, "Invalid parameter type for 'backing', expected: string, object or null");
        return false;
    }
    ERRP_GUARD();
    if (check_trail(bs, above, errp)) {
        backing = reference ? bdrv_lookup_bs(reference, errp)
                            : open_described(bs, given, &trail, errp);
    }
    if (!backing) {
        /* Once is enough, however far down it was. */
        error_prepend(errp, "%s", above ? "" : "Could not open backing file: ");
        return false;
    }
    if (reference) {
        bdrv_ref(backing);
    }
    if (!attach_backing(bs, backing, errp)) {
        return false;
    }
    bs->backing->is_inline = !reference;
    return true;
}
