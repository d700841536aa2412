/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option text as a JSON tree: see qemu/keyval.h.
 *
 * While parameters are read, lists are objects with indexes as keys, because their elements come in
 * any order.  At the end such objects become arrays; for adding to a finished tree its arrays are
 * turned into objects again.
 */
#include "qemu/osdep.h"
#include "qemu/keyval.h"

#define DIGITS     "0123456789"
#define NAME_START "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_CHARS NAME_START DIGITS "-"

static bool is_index(const char *component)
{
    return g_ascii_isdigit(component[0]);
}

/* The length of the key component that @text starts with, or 0 where none does. */
static size_t component_len(const char *text, bool is_first)
{
    size_t len = strspn(text, NAME_CHARS);

    if (strchr(NAME_START, text[0])) {
        return len;
    }
    if (is_first || strspn(text, DIGITS) != len || (text[0] == '0' && len > 1)) {
        return 0;
    }
    return len;
}

/* Split @key at its points into a NULL-terminated array; NULL with @errp set where it is no key. */
static char **split_key(const char *key, Error **errp)
{
    g_auto(GStrv) components = NULL;
    bool is_valid = *key;

    if (strlen(key) > KEYVAL_MAX_KEY) {
        error_setg(errp, "Parameter '%.32s...' is too long", key);
        return NULL;
    }
    components = g_strsplit(key, ".", -1);
    if (g_strv_length(components) > KEYVAL_MAX_DEPTH) {
        error_setg(errp, "Parameter '%.32s...' is nested too deeply", key);
        return NULL;
    }
    for (guint i = 0; components[i]; i++) {
        size_t len = component_len(components[i], i == 0);

        is_valid = is_valid && len > 0 && !components[i][len];
    }
    if (!is_valid) {
        error_setg(errp, "Invalid parameter '%s'", key);
        return NULL;
    }
    return g_steal_pointer(&components);
}

/* Store @value, whose reference is taken, under @key in @tree. */
static bool set_value(json_t *tree, const char *key, json_t *value, Error **errp)
{
    json_auto_t *owned = value;
    g_auto(GStrv) components = split_key(key, errp);
    json_t *object = tree;
    size_t prefix_len = 0;
    guint i;

    if (!components) {
        return false;
    }
    for (i = 0; components[i + 1]; i++) {
        json_t *child = json_object_get(object, components[i]);

        prefix_len += (i > 0) + strlen(components[i]);
        if (!child) {
            child = json_object();
            json_object_set_new(object, components[i], child);
        }
        if (!json_is_object(child)) {
            error_setg(errp, "Parameters '%.*s' and '%s' are both given", (int)prefix_len, key,
                       key);
            return false;
        }
        object = child;
    }
    if (json_is_object(json_object_get(object, components[i]))) {
        error_setg(errp, "Parameters '%s' and '%s.*' are both given", key, key);
        return false;
    }
    json_object_set(object, components[i], owned);
    return true;
}

/* The value that starts at *@text; *@text goes behind the comma that ends it, or to the end. */
static json_t *read_value(const char **text)
{
    g_autoptr(GString) value = g_string_new(NULL);
    const char *pos = *text;

    while (*pos) {
        size_t len = strcspn(pos, ",");

        g_string_append_len(value, pos, len);
        pos += len;
        if (*pos == ',') {
            pos++;
            if (*pos != ',') {
                break;
            }
            g_string_append_c(value, *pos++);
        }
    }
    *text = pos;
    return json_stringn_nocheck(value->str, value->len);
}

/* Whether the @len bytes up to a comma or the end at @word are a wish for help. */
static bool is_help(const char *word, size_t len)
{
    bool is_part_of_value = word[len] == ',' && word[len + 1] == ',';

    return !is_part_of_value && ((len == strlen("help") && memcmp(word, "help", len) == 0) ||
                                 (len == 1 && *word == '?'));
}

/* Read the parameter at *@text into @tree and go to the next one. */
static bool read_parameter(json_t *tree, const char **text, const char *implied_key, bool *p_help,
                           Error **errp)
{
    size_t len = strcspn(*text, "=,");
    g_autofree char *key = NULL;

    if ((*text)[len] != '=') {
        if (is_help(*text, len)) {
            if (!p_help) {
                error_setg(errp, "Help is not available for this option");
                return false;
            }
            *p_help = true;
            *text += len + ((*text)[len] == ',');
            return true;
        }
        if (implied_key && len > 0) {
            return set_value(tree, implied_key, read_value(text), errp);
        }
        error_setg(errp,
                   len > 0 ? "Expected '=' after parameter '%.*s'" : "Invalid parameter '%.*s'",
                   (int)len, *text);
        return false;
    }
    key = g_strndup(*text, len);
    *text += len + 1;
    return set_value(tree, key, read_value(text), errp);
}

/* The tree at @node with every array as an object: a new reference. */
static json_t *lists_to_objects(json_t *node)
{
    json_t *object;
    json_t *child;
    const char *key;
    size_t index;

    if (!json_is_object(node) && !json_is_array(node)) {
        return json_incref(node);
    }
    object = json_object();
    json_object_foreach(node, key, child)
    {
        json_object_set_new(object, key, lists_to_objects(child));
    }
    json_array_foreach(node, index, child)
    {
        g_autofree char *name = g_strdup_printf("%zu", index);

        json_object_set_new(object, name, lists_to_objects(child));
    }
    return object;
}

static json_t *objects_to_lists(json_t *node, GString *path, Error **errp);

/* Append a point, where one is needed, and @component to @path; returns the length to go back to.
 */
static size_t path_push(GString *path, const char *component)
{
    size_t old_len = path->len;

    g_string_append_printf(path, "%s%s", old_len ? "." : "", component);
    return old_len;
}

/* The array that the object @node, all of whose keys are indexes, stands for. */
static json_t *object_to_list(json_t *node, GString *path, Error **errp)
{
    size_t nr_elements = json_object_size(node);
    json_auto_t *list = json_array();

    for (size_t i = 0; i < nr_elements; i++) {
        g_autofree char *index = g_strdup_printf("%zu", i);
        json_t *element = json_object_get(node, index);
        size_t old_len = path_push(path, index);

        if (!element) {
            error_setg(errp, "Parameter '%s' is missing", path->str);
            return NULL;
        }
        element = objects_to_lists(element, path, errp);
        if (!element) {
            return NULL;
        }
        json_array_append_new(list, element);
        g_string_truncate(path, old_len);
    }
    return json_incref(list);
}

/*
 * The tree at @node, which @path leads to, with arrays in place of the objects that stand for them:
 * a new reference, or NULL with @errp set.
 */
static json_t *objects_to_lists(json_t *node, GString *path, Error **errp)
{
    json_auto_t *object = NULL;
    size_t nr_indexes = 0;
    json_t *child;
    const char *key;

    if (!json_is_object(node)) {
        return json_incref(node);
    }
    json_object_foreach(node, key, child)
    {
        nr_indexes += is_index(key);
    }
    if (nr_indexes > 0 && nr_indexes == json_object_size(node)) {
        return object_to_list(node, path, errp);
    }
    if (nr_indexes > 0) {
        error_setg(errp, "Parameters '%s.*' mix names and list indexes", path->str);
        return NULL;
    }
    object = json_object();
    json_object_foreach(node, key, child)
    {
        size_t old_len = path_push(path, key);

        child = objects_to_lists(child, path, errp);
        if (!child) {
            return NULL;
        }
        json_object_set_new(object, key, child);
        g_string_truncate(path, old_len);
    }
    return json_incref(object);
}

json_t *keyval_parse_into(json_t *into, const char *params, const char *implied_key, bool *p_help,
                          Error **errp)
{
    g_autoptr(GString) path = g_string_new(NULL);
    json_auto_t *tree = NULL;
    json_auto_t *finished = NULL;
    const char *text = params;

    if (p_help) {
        *p_help = false;
    }
    if (strlen(params) > KEYVAL_MAX_TEXT) {
        error_setg(errp, "Parameters are too long: %zu bytes, at most %d are allowed",
                   strlen(params), KEYVAL_MAX_TEXT);
        return NULL;
    }
    tree = lists_to_objects(into);
    while (*text) {
        if (!read_parameter(tree, &text, text == params ? implied_key : NULL, p_help, errp)) {
            return NULL;
        }
    }
    finished = objects_to_lists(tree, path, errp);
    if (!finished) {
        return NULL;
    }
    json_object_clear(into);
    json_object_update(into, finished);
    return into;
}

json_t *keyval_parse(const char *params, const char *implied_key, bool *p_help, Error **errp)
{
    json_t *tree = json_object();

    if (!keyval_parse_into(tree, params, implied_key, p_help, errp)) {
        json_decref(tree);
        return NULL;
    }
    return tree;
}

json_t *json_parse_text(const char *text, Error **errp)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

    if (!value) {
        error_setg(errp, "%d:%d: JSON parse error, %s", error.line, error.column, error.text);
    }
    return value;
}
