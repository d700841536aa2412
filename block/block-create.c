/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making images.
 *
 * From `-o` words: they become a tree of schema members, that becomes typed options, the driver
 * checks those, and only then is the file made, opened, and given to the format's driver.  The
 * order is a promise: nothing the user typed wrongly costs an existing image.
 */
#include "qemu/osdep.h"

#include "block/block-create.h"
#include "block/graph-int.h"
#include "qapi/qapi-visit.h"
#include "qemu/cutils.h"

/* ---- from typed options ---- */

static int check_options(BlockDriver *drv, const BlockdevCreateOptions *options, Error **errp)
{
    Error *local_err = NULL;
    int ret = drv->bdrv_create_check ? drv->bdrv_create_check(options, &local_err) : 0;

    if (ret < 0 && !local_err) {
        error_setg_errno(&local_err, -ret, "Cannot create an image with these options");
    }
    error_propagate(errp, local_err);
    return ret;
}

int coroutine_fn bdrv_co_create(BlockdevCreateOptions *options, Error **errp)
{
    const char *name = BlockdevDriver_str(options->driver);
    BlockDriver *drv = bdrv_find_format(name);
    Error *local_err = NULL;
    int ret;

    if (!drv || !drv->bdrv_co_create) {
        error_setg(errp, "Driver '%s' does not support image creation", name);
        return -ENOTSUP;
    }
    ret = check_options(drv, options, errp);
    if (ret < 0) {
        return ret;
    }
    ret = drv->bdrv_co_create(options, &local_err);
    if (ret < 0 && !local_err) {
        error_setg_errno(&local_err, -ret, "Could not create the image");
    }
    error_propagate(errp, local_err);
    return ret;
}

typedef struct CreateCall {
    BlockdevCreateOptions *options;
    const char *filename;
    Error **errp;
    BlockDriver *drv;
} CreateCall;

static int coroutine_fn create_entry(void *arg)
{
    CreateCall *call = arg;

    return bdrv_co_create(call->options, call->errp);
}

static int create_now(BlockdevCreateOptions *options, Error **errp)
{
    CreateCall call = {.options = options, .errp = errp};

    return bdrv_run_co(qemu_get_aio_context(), create_entry, &call);
}

static int coroutine_fn delete_entry(void *arg)
{
    CreateCall *call = arg;

    return call->drv->bdrv_co_delete_file(call->filename, NULL);
}

/* ---- from words ---- */

/* An image about to be created. */
typedef struct ImagePlan {
    const char *filename;
    BlockDriver *drv;
    BlockDriver *protocol;
    const BdrvCreateWord *words;
    uint64_t size;       /* of the disk: what was asked for, in whole sectors */
    int64_t backing_size; /* -1: unknown, or there is none */
    json_t *given;       /* words as the user gave them, flat, aliases resolved; owned */
    json_t *options;     /* members for the format, without `file`; owned */
    json_t *file_options; /* members for the protocol; owned */
} ImagePlan;

static void image_plan_clear(ImagePlan *plan)
{
    json_decref(plan->given);
    json_decref(plan->options);
    json_decref(plan->file_options);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImagePlan, image_plan_clear)

/* The word that is spelled @spelling, an alias or not; NULL where there is none. */
static const BdrvCreateWord *find_word(const BdrvCreateWord *words, const char *spelling)
{
    for (; words->word; words++) {
        if (!strcmp(words->word, spelling)) {
            return words;
        }
    }
    return NULL;
}

/* The word under which the alias @word is shown: it stands before it in the table. */
static const BdrvCreateWord *shown_word(const BdrvCreateWord *word)
{
    while (word->is_alias) {
        word--;
    }
    return word;
}

/*
 * A size as a decimal number of bytes, a switch as on or off, all else as it is; NULL with @errp
 * set.
 */
static char *normalise_value(const BdrvCreateWord *word, const char *value, Error **errp)
{
    uint64_t bytes;
    bool is_on;

    if (!strcmp(word->type_name, "size")) {
        int ret = qemu_strtosz(value, NULL, &bytes);

        if (ret < 0) {
            error_setg(errp, ret == -ERANGE ? "Parameter '%s' is too large: '%s'"
                                            : "Parameter '%s' expects a size in bytes, got '%s'",
                       word->word, value);
            return NULL;
        }
        return g_strdup_printf("%" PRIu64, bytes);
    }
    if (!strcmp(word->type_name, "bool") && parse_bool(value, &is_on)) {
        return g_strdup(is_on ? "on" : "off");
    }
    return g_strdup(value);
}

/* Enter one word, spelled as the user did. */
static bool take_word(ImagePlan *plan, const char *spelling, const json_t *value, Error **errp)
{
    const BdrvCreateWord *word = find_word(plan->words, spelling);
    g_autofree char *text = NULL;

    if (!word && !strcmp(spelling, "backing_file")) {
        error_setg(errp, "Backing file not supported for file format '%s'",
                   plan->drv->format_name);
        return false;
    }
    if (!word) {
        error_setg(errp,
                   g_str_has_prefix(spelling, "encrypt") ? "Encryption is not supported ('%s')"
                                                         : "Invalid parameter '%s'",
                   spelling);
        return false;
    }
    if (!json_is_string(value)) {
        error_setg(errp, "Parameter '%s' expects a single value", spelling);
        return false;
    }
    text = normalise_value(word, json_string_value(value), errp);
    if (!text) {
        return false;
    }
    word = shown_word(word);
    if (json_object_get(plan->given, word->word)) {
        error_setg(errp, "Parameter '%s' is given in two spellings", word->word);
        return false;
    }
    json_object_set_new(plan->given, word->word, json_stringn_nocheck(text, strlen(text)));
    return true;
}

/* Enter all of @tree, whose keys stand behind @prefix. */
static bool take_words(ImagePlan *plan, const char *prefix, json_t *tree, Error **errp)
{
    const char *key;
    json_t *value;

    json_object_foreach(tree, key, value) {
        g_autofree char *spelling = g_strconcat(prefix, key, NULL);
        g_autofree char *inner_prefix = g_strconcat(spelling, ".", NULL);
        bool ok = json_is_object(value) ? take_words(plan, inner_prefix, value, errp)
                                        : take_word(plan, spelling, value, errp);

        if (!ok) {
            return false;
        }
    }
    return true;
}

/* Look at the backing file that was given: it must be there, and not be the image itself. */
static bool inspect_backing(ImagePlan *plan, const char *name, const char *format, Error **errp)
{
    g_autofree char *full_name = bdrv_resolve_backing_name(plan->filename, name, errp);
    json_t *options = format ? json_pack("{s:s}", "driver", format) : NULL;
    BlockDriverState *backing = full_name ? bdrv_open(full_name, NULL, options, 0, errp) : NULL;

    ERRP_GUARD();
    if (!backing) {
        error_prepend(errp, "Could not open '%s': ", full_name ?: name);
        error_append_hint(errp, "Could not open backing image.\n");
        return false;
    }
    plan->backing_size = backing->total_bytes;
    if (!format) {
        error_setg(errp, "Backing file specified without backing format");
        error_append_hint(errp, "Detected format of %s.\n", backing->drv->format_name);
    } else if (bdrv_chain_has_file(backing, plan->filename)) {
        error_setg(errp, "The backing file '%s' is, or stands on, the image that is to be created",
                   name);
    }
    bdrv_unref(backing);
    return !*errp;
}

static bool take_backing(ImagePlan *plan, bool is_opened, Error **errp)
{
    const char *name = json_string_value(json_object_get(plan->given, "backing_file"));
    const char *format = json_string_value(json_object_get(plan->given, "backing_fmt"));

    if (format && !bdrv_find_format(format)) {
        error_setg(errp, "Unknown backing file format '%s'", format);
        return false;
    }
    if (!name) {
        return true;
    }
    if (!*name) {
        error_setg(errp, "Expected backing file name, got empty string");
        return false;
    }
    if (is_opened) {
        return inspect_backing(plan, name, format, errp);
    }
    if (!format) {
        error_setg(errp, "Backing file specified without backing format");
    }
    return format;
}

/* Put the size, from the command line, the words or the backing file, among the words, in bytes. */
static bool take_size(ImagePlan *plan, int64_t size_bytes, Error **errp)
{
    const char *given = json_string_value(json_object_get(plan->given, "size"));
    g_autofree char *text = NULL;
    uint64_t size = size_bytes;

    if (given && size_bytes >= 0) {
        error_setg(errp, "The image size must be specified only once");
        return false;
    }
    if (!given && size_bytes < 0) {
        size = plan->backing_size;
        if (plan->backing_size < 0) {
            error_setg(errp, "Image creation needs a size parameter");
            return false;
        }
    }
    if (given) {
        qemu_strtosz(given, NULL, &size);
    }
    if (size > BDRV_MAX_LENGTH) {
        error_setg(errp, "The image size is too large for file format '%s': %" PRIu64,
                   plan->drv->format_name, size);
        return false;
    }
    plan->size = ROUND_UP(size, (uint64_t)BDRV_SECTOR_SIZE);
    text = g_strdup_printf("%" PRIu64, size);
    json_object_set_new(plan->given, "size", json_string(text));
    return true;
}

static void print_value(const char *word, const char *value)
{
    printf(" %s=", word);
    for (; *value; value++) {
        if (*value == ',') {
            putchar(',');
        }
        putchar(*value);
    }
}

static void print_formatting(const ImagePlan *plan)
{
    printf("Formatting '%s', fmt=%s", plan->filename, plan->drv->format_name);
    for (const BdrvCreateWord *word = plan->words; word->word; word++) {
        const char *value = json_string_value(json_object_get(plan->given, word->word));

        value = value ?: word->fixed_default;
        if (value) {
            print_value(word->word, value);
        }
    }
    printf("\n");
    fflush(stdout);
}

/* Set the member at the dotted @path, at most two levels deep. */
static void set_member(json_t *tree, const char *path, const char *value)
{
    const char *dot = strchr(path, '.');

    if (dot) {
        g_autofree char *group = g_strndup(path, dot - path);

        if (!json_object_get(tree, group)) {
            json_object_set_new(tree, group, json_object());
        }
        tree = json_object_get(tree, group);
        path = dot + 1;
    }
    json_object_set_new(tree, path, json_stringn_nocheck(value, strlen(value)));
}

/* Distribute the words to the members they stand for. */
static void build_trees(ImagePlan *plan)
{
    for (const BdrvCreateWord *word = plan->words; word->word; word++) {
        const char *value = json_string_value(json_object_get(plan->given, word->word));

        if (value) {
            set_member(word->is_of_file ? plan->file_options : plan->options, word->member,
                       word->map_value ? word->map_value(value) : value);
        }
    }
    json_object_set_new(plan->options, "size", json_sprintf("%" PRIu64, plan->size));
}

/* The typed options of the image on the node named @file. */
static BlockdevCreateOptions *typed_options(const ImagePlan *plan, const char *file, Error **errp)
{
    g_autoptr(json_t) tree = json_copy(plan->options);

    json_object_set_new(tree, "driver", json_string(plan->drv->format_name));
    json_object_set_new(tree, "file", json_string(file));
    return qapi_BlockdevCreateOptions_from_keyval(tree, errp);
}

/* NULL, with *@is_needed false, for a protocol whose files are always there (a device). */
static BlockdevCreateOptions *typed_file_options(const ImagePlan *plan, bool *is_needed,
                                                 Error **errp)
{
    g_autoptr(json_t) tree = json_copy(plan->file_options);
    BlockDriver *protocol = plan->protocol;
    Error *local_err = NULL;

    *is_needed = protocol->bdrv_co_create;
    if (!*is_needed) {
        if (!protocol->bdrv_probe_device) {
            error_setg(errp, "Protocol driver '%s' does not support image creation",
                       protocol->format_name);
            *is_needed = true;
        }
        return NULL;
    }
    json_object_set_new(tree, "driver", json_string(protocol->format_name));
    json_object_set_new(tree, "size", json_string("0"));
    if (protocol->bdrv_parse_filename) {
        protocol->bdrv_parse_filename(plan->filename, tree, &local_err);
    } else {
        set_member(tree, "filename", plan->filename);
    }
    if (local_err) {
        error_propagate(errp, local_err);
        return NULL;
    }
    return qapi_BlockdevCreateOptions_from_keyval(tree, errp);
}

/* Put the image into its file, which is there and empty. */
static bool create_in_file(const ImagePlan *plan, Error **errp)
{
    BlockDriverState *file =
        bdrv_open(plan->filename, NULL, NULL, BDRV_O_RDWR | BDRV_O_UNMAP | BDRV_O_PROTOCOL, errp);
    BlockdevCreateOptions *options;
    bool ok = false;

    if (!file) {
        return false;
    }
    options = typed_options(plan, file->node_name, errp);
    if (options) {
        ok = create_now(options, errp) == 0;
    }
    qapi_free_BlockdevCreateOptions(options);
    bdrv_unref(file);
    return ok;
}

/*
 * All has been checked: make the file and the image in it; take away again what was not there
 * before.
 */
static bool carry_out(const ImagePlan *plan, BlockdevCreateOptions *file_options, Error **errp)
{
    CreateCall cleanup = {.drv = plan->protocol};
    bool existed;

    if (!file_options) {
        return create_in_file(plan, errp);
    }
    cleanup.filename = file_options->u.file.filename;
    existed = g_file_test(cleanup.filename, G_FILE_TEST_EXISTS);
    if (create_now(file_options, errp) < 0) {
        return false;
    }
    if (create_in_file(plan, errp)) {
        return true;
    }
    if (!existed && plan->protocol->bdrv_co_delete_file) {
        bdrv_run_co(qemu_get_aio_context(), delete_entry, &cleanup);
    }
    return false;
}

/* Check everything, say what is about to be done, and do it. */
static bool create_planned(ImagePlan *plan, bool quiet, Error **errp)
{
    g_autoptr(BlockdevCreateOptions) options = NULL;
    g_autoptr(BlockdevCreateOptions) file_options = NULL;
    bool is_file_needed;

    if (!quiet) {
        print_formatting(plan);
    }
    build_trees(plan);
    /* The file's node does not exist yet; a check does not look at it. */
    options = typed_options(plan, "file", errp);
    if (!options || check_options(plan->drv, options, errp) < 0) {
        return false;
    }
    file_options = typed_file_options(plan, &is_file_needed, errp);
    if (!file_options && is_file_needed) {
        return false;
    }
    return carry_out(plan, file_options, errp);
}

static bool find_drivers(ImagePlan *plan, const char *format, Error **errp)
{
    plan->drv = bdrv_find_format(format);
    plan->words = bdrv_create_words(format);
    if (!plan->drv) {
        error_setg(errp, "Unknown file format '%s'", format);
        return false;
    }
    if (!plan->words || !plan->drv->bdrv_co_create) {
        error_setg(errp, "Format driver '%s' does not support image creation", format);
        return false;
    }
    plan->protocol = bdrv_find_protocol(plan->filename, true, errp);
    return plan->protocol;
}

bool bdrv_img_create(const char *filename, const char *format, json_t *words, int64_t size_bytes,
                     unsigned int flags, Error **errp)
{
    g_auto(ImagePlan) plan = {
        .filename = filename,
        .backing_size = -1,
        .given = json_object(),
        .options = json_object(),
        .file_options = json_object(),
    };
    g_autoptr(json_t) owned_words = words;

    ERRP_GUARD();
    if (find_drivers(&plan, format, errp) && take_words(&plan, "", words, errp) &&
        take_backing(&plan, !(flags & BDRV_CREATE_BACKING_UNSEEN), errp) &&
        take_size(&plan, size_bytes, errp) &&
        create_planned(&plan, flags & BDRV_CREATE_QUIET, errp)) {
        return true;
    }
    error_prepend(errp, "%s: ", filename);
    return false;
}
