/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File names as users write them, and as nodes show them.
 *
 * `path`, `proto:rest` and `json:{...}` come in; a path, the name the user gave, or a `json:`
 * description that opens the same node again goes out.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"
#include "qemu/keyval.h"

#define JSON_PREFIX "json:"

size_t bdrv_protocol_prefix_len(const char *filename)
{
    size_t len = strcspn(filename, ":/");

    return filename[len] == ':' ? len : 0;
}

bool bdrv_is_json_filename(const char *filename)
{
    return g_str_has_prefix(filename, JSON_PREFIX);
}

/*
 * The object under @name in @tree, made where there is none; NULL where something else stands
 * there.
 */
static json_t *nested_object(json_t *tree, const char *name)
{
    json_t *object = json_object_get(tree, name);

    if (!object) {
        object = json_object();
        json_object_set_new(tree, name, object);
    }
    return json_is_object(object) ? object : NULL;
}

/* Enter @value under the dotted @key. */
static bool set_dotted(json_t *tree, const char *key, json_t *value, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    guint last = g_strv_length(parts) - 1;

    for (guint i = 0; i < last && tree; i++) {
        tree = nested_object(tree, parts[i]);
    }
    if (!tree || json_object_get(tree, parts[last])) {
        error_setg(errp, "Cannot mix the option '%s' with one that contains it", key);
        return false;
    }
    json_object_set(tree, parts[last], value);
    return true;
}

/*
 * Turn `"file.filename": x` into `"file": {"filename": x}`; plain keys first, so that their order
 * does not matter.
 */
static json_t *nest_dotted_keys(json_t *flat, Error **errp)
{
    g_autoptr(json_t) tree = json_object();
    const char *key;
    json_t *value;

    json_object_foreach(flat, key, value) {
        if (!strchr(key, '.')) {
            json_object_set_new(tree, key, json_deep_copy(value));
        }
    }
    json_object_foreach(flat, key, value) {
        if (strchr(key, '.') && !set_dotted(tree, key, value, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&tree);
}

json_t *bdrv_parse_json_filename(const char *filename, Error **errp)
{
    g_autoptr(json_t) tree = NULL;

    assert(bdrv_is_json_filename(filename));
    ERRP_GUARD();
    tree = json_parse_text(filename + strlen(JSON_PREFIX), errp);
    if (!tree) {
        error_prepend(errp, "Could not parse the JSON options: ");
        return NULL;
    }
    if (!json_is_object(tree)) {
        error_setg(errp, "Invalid JSON object given");
        return NULL;
    }
    return nest_dotted_keys(tree, errp);
}

/* Whether an option was given that changes what a reader of @bs sees. */
static bool has_strong_option(const BlockDriverState *bs)
{
    if (bs->is_backing_given) {
        return true;
    }
    for (const char *const *name = bs->drv->strong_options; name && *name; name++) {
        if (json_object_get(bs->full_options, *name)) {
            return true;
        }
    }
    return false;
}

/* The options that open @bs again, its children's included. */
static json_t *describe(const BlockDriverState *bs)
{
    json_t *tree = json_object();
    const BdrvChild *child;
    const char *key;
    json_t *value;

    json_object_set_new(tree, "driver", json_string(bs->drv->format_name));
    json_object_foreach(bs->full_options, key, value) {
        if (!bdrv_is_generic_option(key)) {
            json_object_set(tree, key, value);
        }
    }
    LIST_FOREACH(child, &bs->children, next) {
        if (child != bs->backing || bs->is_backing_given) {
            json_object_set_new(tree, child->name, describe(child->bs));
        }
    }
    return tree;
}

static char *json_description(const BlockDriverState *bs)
{
    g_autoptr(json_t) tree = describe(bs);
    char *text = json_dumps(tree, JSON_SORT_KEYS);
    /* Bytes that are not UTF-8 have no JSON form. */
    char *name = g_strconcat(JSON_PREFIX, text ?: "{}", NULL);

    free(text);
    return name;
}

void bdrv_set_filename(BlockDriverState *bs, const char *opened_as)
{
    const char *plain = json_string_value(json_object_get(bs->full_options, "filename"));
    g_autofree char *description = NULL;

    if (bs->drv->has_file_child) {
        plain = bs->file->bs->filename;
    } else if (!plain) {
        plain = opened_as;
    }
    if (!plain || has_strong_option(bs)) {
        plain = description = json_description(bs);
    }
    g_strlcpy(bs->filename, plain, sizeof(bs->filename));
}
