/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of block nodes: those that every driver has, what children inherit of them, and the step
 * from a tree of strings to the schema's types.
 *
 * The schema decides which options there are; nothing here lists those of a driver.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"
#include "qapi/qapi-visit.h"
#include "qemu/cutils.h"

/* A switch that every node has; on means @flag, or its absence where @is_inverse. */
typedef struct GenericSwitch {
    const char *group; /* the object around it, or NULL */
    const char *name;
    int flag;
    bool is_inverse;
} GenericSwitch;

static const GenericSwitch generic_switches[] = {
    {NULL, "read-only", BDRV_O_RDWR, true},
    {NULL, "auto-read-only", BDRV_O_AUTO_RDONLY, false},
    {NULL, "force-share", BDRV_O_FORCE_SHARE, false},
    {"cache", "direct", BDRV_O_NOCACHE, false},
    {"cache", "no-flush", BDRV_O_NO_FLUSH, false},
};

static void set_flag(int *flags, int flag, bool is_set)
{
    *flags = is_set ? *flags | flag : *flags & ~flag;
}

static bool read_switch(const json_t *value, const char *name, bool *result, Error **errp)
{
    if (json_is_boolean(value)) {
        *result = json_is_true(value);
        return true;
    }
    if (!json_is_string(value)) {
        error_setg(errp, "Invalid parameter type for '%s', expected: boolean", name);
        return false;
    }
    return parse_bool_arg(name, json_string_value(value), result, errp);
}

static bool apply_switch(const json_t *options, const GenericSwitch *item, int *flags, Error **errp)
{
    const json_t *group = item->group ? json_object_get(options, item->group) : options;
    const json_t *value = json_object_get(group, item->name);
    g_autofree char *path = NULL;
    bool is_on;

    if (!value) {
        return true;
    }
    path = item->group ? g_strdup_printf("%s.%s", item->group, item->name) : g_strdup(item->name);
    if (!read_switch(value, path, &is_on, errp)) {
        return false;
    }
    set_flag(flags, item->flag, is_on != item->is_inverse);
    return true;
}

bool bdrv_flags_from_options(const json_t *options, int *flags, Error **errp)
{
    const json_t *discard = json_object_get(options, "discard");

    for (size_t i = 0; i < ARRAY_SIZE(generic_switches); i++) {
        if (!apply_switch(options, &generic_switches[i], flags, errp)) {
            return false;
        }
    }
    if (discard) {
        const char *mode = json_string_value(discard);

        if (!mode || !bdrv_parse_discard_flags(mode, flags)) {
            error_setg(errp, "Parameter 'discard' does not accept value '%s'", mode ?: "");
            return false;
        }
    }
    if ((*flags & BDRV_O_FORCE_SHARE) && (*flags & BDRV_O_RDWR)) {
        error_setg(errp, "force-share=on can only be used with read-only images");
        return false;
    }
    return true;
}

int bdrv_child_flags(int parent_flags)
{
    /* What reaches the child has passed the parent's own decision about discards. */
    return (parent_flags | BDRV_O_UNMAP | BDRV_O_PROTOCOL) & ~BDRV_O_NO_BACKING;
}

int bdrv_backing_flags(int parent_flags)
{
    return parent_flags & ~(BDRV_O_RDWR | BDRV_O_AUTO_RDONLY | BDRV_O_UNMAP | BDRV_O_CHECK);
}

bool bdrv_parse_cache_mode(const char *mode, int *flags, bool *writethrough)
{
    static const struct {
        const char *name;
        int flags;
        bool writethrough;
    } modes[] = {
        {"writeback", 0, false},
        {"none", BDRV_O_NOCACHE, false},
        {"off", BDRV_O_NOCACHE, false},
        {"writethrough", 0, true},
        {"directsync", BDRV_O_NOCACHE, true},
        {"unsafe", BDRV_O_NO_FLUSH, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (!strcmp(mode, modes[i].name)) {
            *flags = (*flags & ~(BDRV_O_NOCACHE | BDRV_O_NO_FLUSH)) | modes[i].flags;
            *writethrough = modes[i].writethrough;
            return true;
        }
    }
    return false;
}

bool bdrv_parse_discard_flags(const char *mode, int *flags)
{
    bool is_unmap = !strcmp(mode, "unmap") || !strcmp(mode, "on");

    if (!is_unmap && strcmp(mode, "ignore") && strcmp(mode, "off")) {
        return false;
    }
    set_flag(flags, BDRV_O_UNMAP, is_unmap);
    return true;
}

bool bdrv_is_generic_option(const char *key)
{
    return qapi_find_member(&qapi_info_BlockdevOptions, key);
}

bool bdrv_has_option(const BlockDriver *drv, const char *key)
{
    const QapiTypeInfo *type = &qapi_info_BlockdevOptions;
    int tag = qapi_enum_lookup(type->tag_info, drv->format_name);
    const QapiTypeInfo *branch = tag < 0 ? NULL : type->branches[tag];

    return bdrv_is_generic_option(key) || (branch && qapi_find_member(branch, key));
}

/* The first key in @options that @drv does not know, NULL where there is none. */
static const char *find_unknown_option(const BlockDriver *drv, const json_t *options)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)options, key, value) {
        if (!bdrv_has_option(drv, key)) {
            return key;
        }
    }
    return NULL;
}

BlockdevOptions *bdrv_typed_options(const BlockDriver *drv, const json_t *options,
                                    const BlockDriverState *file, Error **errp)
{
    g_autoptr(json_t) tree = json_copy((json_t *)options);
    const char *unknown = find_unknown_option(drv, options);

    if (unknown) {
        error_setg(errp, "Block %s '%s' does not support the option '%s'",
                   drv->has_file_child ? "format" : "protocol", drv->format_name, unknown);
        return NULL;
    }
    json_object_set_new(tree, "driver", json_string(drv->format_name));
    if (file) {
        json_object_set_new(tree, "file", json_string(file->node_name));
    }
    return qapi_BlockdevOptions_from_keyval(tree, errp);
}
