/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening nodes: from a file name, a reference or an option tree to a node with everything below
 * it.
 *
 * A format's `file` child is opened first; its content tells the format where the user does not.
 * Then the options are put into their typed form and the driver opens; a backing node, which the
 * image may name, comes last.  A failure at any step
 * leaves nothing behind.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"
#include "block/trace.h"
#include "qemu/error-report.h"

/* What is known of a node on its way to being opened. */
typedef struct NodeSpec {
    const char *filename;   /* still to be given to a driver; NULL: none */
    json_t *options;        /* owned */
    int flags;
    BlockDriver *drv;       /* NULL: to be probed */
    BlockDriverState *file; /* owned reference to the `file` child, or NULL */
    json_t *backing;        /* the option; owned, or NULL */
    const BackingTrail *above;
    bool is_file_inline;
    bool is_probed;
} NodeSpec;

static void node_spec_clear(NodeSpec *spec)
{
    json_decref(spec->options);
    json_decref(spec->backing);
    bdrv_unref(spec->file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NodeSpec, node_spec_clear)

/* Replace a `json:` name by the options in it; those given beside it win. */
static bool expand_json_filename(NodeSpec *spec, Error **errp)
{
    g_autoptr(json_t) tree = NULL;

    if (!spec->filename || !bdrv_is_json_filename(spec->filename)) {
        return true;
    }
    tree = bdrv_parse_json_filename(spec->filename, errp);
    if (!tree) {
        return false;
    }
    json_object_update(tree, spec->options);
    json_decref(spec->options);
    spec->options = g_steal_pointer(&tree);
    spec->filename = NULL;
    return true;
}

/* The string option @key: NULL where it is absent; false with @errp set where it is no string. */
static bool string_option(const json_t *options, const char *key, const char **value, Error **errp)
{
    const json_t *member = json_object_get(options, key);

    *value = json_string_value(member);
    if (member && !*value) {
        error_setg(errp, "Invalid parameter type for '%s', expected: string", key);
        return false;
    }
    return true;
}

/* Find the driver that is named or implied, without looking at any content. */
static bool choose_driver(NodeSpec *spec, Error **errp)
{
    const char *name, *option_filename;

    if (!string_option(spec->options, "driver", &name, errp) ||
        !string_option(spec->options, "filename", &option_filename, errp)) {
        return false;
    }
    if (name) {
        spec->drv = bdrv_find_format(name);
        if (!spec->drv) {
            error_setg(errp, "Unknown driver '%s'", name);
        }
        return spec->drv;
    }
    if (!(spec->flags & BDRV_O_PROTOCOL)) {
        return true;
    }
    if (!spec->filename && !option_filename) {
        error_setg(errp, "Must specify either driver or filename");
        return false;
    }
    spec->drv = bdrv_find_protocol(spec->filename ?: option_filename, spec->filename, errp);
    return spec->drv;
}

/* Hand the file name to the protocol driver, which turns it into options. */
static bool take_filename(NodeSpec *spec, Error **errp)
{
    const char *filename = spec->filename;
    Error *local_err = NULL;

    if (!filename || spec->drv->has_file_child) {
        return true;
    }
    if (json_object_get(spec->options, "filename")) {
        error_setg(errp, "Can't specify 'file' and 'filename' options at the same time");
        return false;
    }
    if (spec->drv->bdrv_parse_filename) {
        spec->drv->bdrv_parse_filename(filename, spec->options, &local_err);
    } else {
        json_object_set_new(spec->options, "filename",
                            json_stringn_nocheck(filename, strlen(filename)));
    }
    error_propagate(errp, local_err);
    return !local_err;
}

/* Open what the option `file`, or the file name, stands for. */
static bool open_file_child(NodeSpec *spec, Error **errp)
{
    json_t *file = json_object_get(spec->options, "file");
    int flags = bdrv_child_flags(spec->flags);

    if (file && spec->filename) {
        error_setg(errp, "Can't specify 'file' and 'filename' options at the same time");
    } else if (json_is_string(file)) {
        spec->file = bdrv_lookup_bs(json_string_value(file), errp);
        if (spec->file) {
            bdrv_ref(spec->file);
        }
    } else if (json_is_object(file)) {
        spec->file = bdrv_open_node(NULL, json_deep_copy(file), flags, NULL, errp);
        spec->is_file_inline = true;
    } else if (file) {
        error_setg(errp, "Invalid parameter type for 'file', expected: string or object");
    } else if (spec->filename) {
        spec->file = bdrv_open_node(spec->filename, NULL, flags, NULL, errp);
        spec->is_file_inline = true;
    } else if (spec->drv) {
        error_setg(errp, "A block device must be specified for \"file\"");
    } else {
        error_setg(errp, "Must specify either driver or file");
    }
    json_object_del(spec->options, "file");
    return spec->file;
}

/* Only the node that stands above it can open it, later. */
static void take_backing(NodeSpec *spec)
{
    if (bdrv_has_option(spec->drv, "backing")) {
        spec->backing = json_incref(json_object_get(spec->options, "backing"));
        json_object_del(spec->options, "backing");
    }
}

/* Read the beginning of @bs; returns how much there is, or a negative errno. */
static int read_probe_buffer(BlockDriverState *bs, uint8_t *buf, Error **errp)
{
    int64_t bytes = MIN(bs->total_bytes, BLOCK_PROBE_BUF_SIZE);
    BdrvChild *child;
    int ret;

    bdrv_ref(bs);
    child = bdrv_root_attach_child(bs, "probe", NULL, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL, errp);
    if (!child) {
        return -EPERM;
    }
    ret = bytes ? bdrv_pread(child, 0, bytes, buf, 0) : 0;
    bdrv_detach_child(child);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read image for determining its format");
        return ret;
    }
    return bytes;
}

static bool probe_driver(NodeSpec *spec, Error **errp)
{
    uint8_t buf[BLOCK_PROBE_BUF_SIZE] = {0};
    int bytes = read_probe_buffer(spec->file, buf, errp);

    if (bytes < 0) {
        return false;
    }
    spec->drv = bdrv_probe_format(buf, bytes, spec->file->filename);
    spec->is_probed = true;
    return true;
}

/* Anybody who writes a format's magic into a raw image decides how it is read next time. */
static void warn_about_probed_raw(const BlockDriverState *bs)
{
    if (!bs->probed || bs->read_only || strcmp(bs->drv->format_name, "raw")) {
        return;
    }
    error_printf("WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                 "         A guest could make it look like another format, so writes to its first\n"
                 "         sector are restricted; name the format 'raw' to lift the restriction.\n",
                 bs->file->bs->filename);
}

/* Give the new node what the specification holds; its driver is not called yet. */
static bool prepare_node(BlockDriverState *bs, NodeSpec *spec, Error **errp)
{
    BlockDriverState *file = g_steal_pointer(&spec->file);

    bs->drv = spec->drv;
    bs->opaque = g_malloc0(MAX(spec->drv->instance_size, 1));
    bs->open_flags = spec->flags & ~BDRV_O_PROTOCOL;
    bs->auto_read_only = spec->flags & BDRV_O_AUTO_RDONLY;
    bs->read_only = !(spec->flags & BDRV_O_RDWR);
    bs->force_share = spec->flags & BDRV_O_FORCE_SHARE;
    bs->probed = spec->is_probed;
    bs->full_options = json_incref(spec->options);
    if (!file) {
        return true;
    }
    if (!bdrv_attach_child(bs, file, "file", errp)) {
        return false;
    }
    bs->file->is_inline = spec->is_file_inline;
    return true;
}

static bool call_driver_open(BlockDriverState *bs, const BlockdevOptions *typed, Error **errp)
{
    const BlockDriver *drv = bs->drv;
    Error *local_err = NULL;
    int ret = drv->bdrv_open(bs, typed, bs->open_flags, &local_err);

    if (ret < 0) {
        if (!local_err) {
            error_setg_errno(&local_err, -ret, "Could not open the image as '%s'",
                             drv->format_name);
        }
        /* The driver has cleaned up after itself: it is not to be closed again. */
        bs->drv = NULL;
        bs->unusable_drv = NULL;
        error_propagate(errp, local_err);
        return false;
    }
    if (!bs->drv) {
        error_setg(errp, "The image was found to be damaged while it was opened as '%s'",
                   drv->format_name);
        return false;
    }
    assert(bs->total_bytes >= 0 && bs->total_bytes <= BDRV_MAX_LENGTH);
    return true;
}

/* Everything is decided: a new node, opened by its driver. */
static BlockDriverState *create_node(NodeSpec *spec, Error **errp)
{
    g_autoptr(BlockdevOptions) typed =
        bdrv_typed_options(spec->drv, spec->options, spec->file, errp);
    const char *node_name = json_string_value(json_object_get(spec->options, "node-name"));
    BlockDriverState *bs = typed ? bdrv_new_node(node_name, errp) : NULL;

    if (!bs) {
        return NULL;
    }
    if (!prepare_node(bs, spec, errp)) {
        bs->drv = NULL;
        bdrv_unref(bs);
        return NULL;
    }
    if (!call_driver_open(bs, typed, errp)) {
        bdrv_unref(bs);
        return NULL;
    }
    return bs;
}

typedef struct FinishCall {
    NodeSpec *spec;
    BlockDriverState *bs;
    Error *err;
} FinishCall;

static void create_call(void *opaque)
{
    FinishCall *call = opaque;

    if (call->spec->drv || probe_driver(call->spec, &call->err)) {
        take_backing(call->spec);
        call->bs = create_node(call->spec, &call->err);
    }
}

/* What follows from the driver's answers and the children. */
static void settle_call(void *opaque)
{
    FinishCall *call = opaque;

    bdrv_refresh_limits(call->bs, &call->err);
    if (!call->err) {
        /* The driver may have turned out to be read-only. */
        bdrv_refresh_perm(call->bs, &call->err);
    }
}

/* Note how the node got, or did not get, its backing node. */
static void note_backing_option(BlockDriverState *bs, json_t *option)
{
    bs->is_backing_given = option;
    if (option && !bs->backing) {
        json_object_set(bs->full_options, "backing", option);
    }
}

/*
 * The last steps.  The driver is to be probed and called in the thread of the node's file, where
 * the node will be; backing nodes are opened in the main thread and follow it there.
 */
static BlockDriverState *finish_node(NodeSpec *spec, const char *opened_as, Error **errp)
{
    AioContext *ctx = spec->file ? spec->file->aio_context : qemu_get_aio_context();
    FinishCall call = {.spec = spec};

    aio_run_in(ctx, create_call, &call);
    if (call.bs && bdrv_open_backing(call.bs, spec->backing, spec->above, &call.err)) {
        aio_run_in(ctx, settle_call, &call);
    }
    if (call.err) {
        error_propagate(errp, call.err);
        bdrv_unref(call.bs);
        return NULL;
    }
    note_backing_option(call.bs, spec->backing);
    bdrv_set_filename(call.bs, opened_as);
    trace_bdrv_node_open(call.bs->node_name, call.bs->drv->format_name, call.bs->filename,
                         call.bs->open_flags);
    warn_about_probed_raw(call.bs);
    return call.bs;
}

BlockDriverState *bdrv_open_node(const char *filename, json_t *options, int flags,
                                 const BackingTrail *above, Error **errp)
{
    g_auto(NodeSpec) spec = {
        .filename = filename,
        .options = options ?: json_object(),
        .flags = flags,
        .above = above,
    };

    if (!expand_json_filename(&spec, errp) ||
        !bdrv_flags_from_options(spec.options, &spec.flags, errp) || !choose_driver(&spec, errp)) {
        return NULL;
    }
    if (!spec.drv || spec.drv->has_file_child) {
        if (!open_file_child(&spec, errp)) {
            return NULL;
        }
        if (bdrv_is_read_only(spec.file) && (spec.flags & BDRV_O_AUTO_RDONLY)) {
            spec.flags &= ~BDRV_O_RDWR;
        }
    } else if (!take_filename(&spec, errp)) {
        return NULL;
    }
    return finish_node(&spec, filename, errp);
}

typedef struct OpenCall {
    const char *filename;
    json_t *options;
    int flags;
    Error *err;
    BlockDriverState *bs;
} OpenCall;

static void open_call(void *opaque)
{
    OpenCall *call = opaque;

    call->bs = bdrv_open_node(call->filename, call->options, call->flags, NULL, &call->err);
}

/* An existing node takes no options. */
static BlockDriverState *open_reference(const char *reference, json_t *options, Error **errp)
{
    BlockDriverState *bs = bdrv_lookup_bs(reference, errp);

    if (bs && json_object_size(options)) {
        error_setg(errp, "Cannot reference an existing block device with additional options");
        bs = NULL;
    }
    if (bs) {
        bdrv_ref(bs);
    }
    json_decref(options);
    return bs;
}

BlockDriverState *bdrv_open(const char *filename, const char *reference, json_t *options, int flags,
                            Error **errp)
{
    OpenCall call = {.filename = filename, .options = options, .flags = flags};

    assert(filename || reference || options);
    assert(qemu_get_current_aio_context() == qemu_get_aio_context());
    if (reference) {
        return open_reference(reference, options, errp);
    }
    bdrv_call_in(qemu_get_aio_context(), open_call, &call);
    error_propagate(errp, call.err);
    return call.bs;
}
