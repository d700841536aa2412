/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The visitors that read: strict JSON, and trees made from `key=value` options.
 *
 * Both keep a stack of the objects and lists that are open.  An object remembers which of its
 * members were asked for; those that were not are unexpected.
 */
#include "qemu/osdep.h"
#include "qapi/visitor.h"
#include "visit-internal.h"

/* Deeper nesting is refused: the walk recurses, and no schema needs more. */
#define MAX_DEPTH 256

typedef struct InputFrame {
    json_t *node;     /* borrowed from the root */
    const char *name; /* as a member, or NULL */
    size_t index;     /* lists: of the current element */
    GHashTable *seen; /* objects: names asked for; borrowed, they live in descriptions */
} InputFrame;

typedef struct InputVisitor {
    Visitor visitor;
    json_t *root;
    bool is_keyval;
    GArray *frames;
} InputVisitor;

static InputVisitor *input_visitor(Visitor *v)
{
    return container_of(v, InputVisitor, visitor);
}

static InputFrame *top_frame(InputVisitor *iv)
{
    return iv->frames->len ? &g_array_index(iv->frames, InputFrame, iv->frames->len - 1) : NULL;
}

static void append_step(const InputVisitor *iv, GString *path, const InputFrame *parent,
                        const char *name)
{
    if (name) {
        g_string_append_printf(path, "%s%s", path->len ? "." : "", name);
    } else if (parent && iv->is_keyval) {
        g_string_append_printf(path, "%s%zu", path->len ? "." : "", parent->index);
    } else if (parent) {
        g_string_append_printf(path, "[%zu]", parent->index);
    }
}

/* The path of the value @name in the current container; the caller frees it. */
static char *path_of(const InputVisitor *iv, const char *name)
{
    GString *path = g_string_new(NULL);
    const InputFrame *parent = NULL;

    for (guint i = 0; i < iv->frames->len; i++) {
        const InputFrame *frame = &g_array_index(iv->frames, InputFrame, i);

        append_step(iv, path, parent, frame->name);
        parent = frame;
    }
    append_step(iv, path, parent, name);
    return g_string_free(path, FALSE);
}

/* The JSON value of @name in the current container, or NULL. */
static json_t *lookup(InputVisitor *iv, const char *name)
{
    InputFrame *frame = top_frame(iv);

    if (!frame) {
        return iv->root;
    }
    if (json_is_array(frame->node)) {
        return json_array_get(frame->node, frame->index);
    }
    g_hash_table_add(frame->seen, (gpointer)name);
    return json_object_get(frame->node, name);
}

/* The same; NULL is an error. */
static json_t *lookup_required(InputVisitor *iv, const char *name, Error **errp)
{
    json_t *node = lookup(iv, name);

    if (!node) {
        g_autofree char *path = path_of(iv, name);

        error_setg(errp, "Parameter '%s' is missing", path);
    }
    return node;
}

static bool input_enter(Visitor *v, const char *name, const QapiTypeInfo *type, Error **errp)
{
    InputVisitor *iv = input_visitor(v);
    bool is_list = type->kind == QAPI_KIND_LIST;
    InputFrame frame = {.name = name, .index = SIZE_MAX};

    frame.node = lookup_required(iv, name, errp);
    if (!frame.node) {
        return false;
    }
    if (!(is_list ? json_is_array(frame.node) : json_is_object(frame.node))) {
        g_autofree char *path = path_of(iv, name);

        qapi_error_type(errp, path, is_list ? "array" : "object");
        return false;
    }
    if (iv->frames->len == MAX_DEPTH) {
        error_setg(errp, "Parameters are nested more than %d levels deep", MAX_DEPTH);
        return false;
    }
    if (!is_list) {
        frame.seen = g_hash_table_new(g_str_hash, g_str_equal);
    }
    g_array_append_val(iv->frames, frame);
    return true;
}

static bool input_leave(Visitor *v, Error **errp)
{
    InputVisitor *iv = input_visitor(v);
    InputFrame *frame = top_frame(iv);
    bool is_ok = true;

    if (frame->seen) {
        const char *key;
        json_t *value;

        json_object_foreach(frame->node, key, value)
        {
            if (!g_hash_table_contains(frame->seen, key)) {
                g_autofree char *path = path_of(iv, key);

                error_setg(errp, "Parameter '%s' is unexpected", path);
                is_ok = false;
                break;
            }
        }
        g_hash_table_unref(frame->seen);
    }
    g_array_set_size(iv->frames, iv->frames->len - 1);
    return is_ok;
}

static bool input_scalar(Visitor *v, const char *name, const QapiTypeInfo *type, void *slot,
                         Error **errp)
{
    InputVisitor *iv = input_visitor(v);
    json_t *node = lookup_required(iv, name, errp);
    g_autofree char *path = NULL;

    if (!node) {
        return false;
    }
    path = path_of(iv, name);
    if (iv->is_keyval && json_is_string(node) && type->kind != QAPI_KIND_ANY) {
        return keyval_read_scalar(json_string_value(node), path, type, slot, errp);
    }
    return json_read_scalar(node, path, type, slot, errp);
}

static bool input_has_member(Visitor *v, const char *name)
{
    return lookup(input_visitor(v), name) != NULL;
}

static bool input_has_element(Visitor *v)
{
    InputFrame *frame = top_frame(input_visitor(v));

    frame->index++;
    return frame->index < json_array_size(frame->node);
}

/* Whether JSON value @node is what a branch of type @type of an alternate takes. */
static bool fits(const InputVisitor *iv, json_t *node, const QapiTypeInfo *type)
{
    switch (type->kind) {
    case QAPI_KIND_OBJECT:
        return json_is_object(node);
    case QAPI_KIND_LIST:
        return json_is_array(node);
    case QAPI_KIND_NULL:
        return json_is_null(node);
    case QAPI_KIND_STR:
    case QAPI_KIND_ENUM:
        return json_is_string(node);
    case QAPI_KIND_BOOL:
        return json_is_boolean(node) || (iv->is_keyval && json_is_string(node));
    case QAPI_KIND_NUMBER:
        return json_is_number(node) || (iv->is_keyval && json_is_string(node));
    default:
        return json_is_integer(node) || (iv->is_keyval && json_is_string(node));
    }
}

static int input_choose(Visitor *v, const char *name, const QapiTypeInfo *type, Error **errp)
{
    InputVisitor *iv = input_visitor(v);
    json_t *node = lookup_required(iv, name, errp);
    g_autofree char *path = NULL;

    if (!node) {
        return -1;
    }
    for (size_t i = 0; i < type->nr_members; i++) {
        if (fits(iv, node, type->members[i].info)) {
            return i;
        }
    }
    path = path_of(iv, name);
    qapi_error_type(errp, path, type->name);
    return -1;
}

static const VisitorOps input_ops = {
    .direction = VISITOR_INPUT,
    .enter = input_enter,
    .leave = input_leave,
    .scalar = input_scalar,
    .has_member = input_has_member,
    .has_element = input_has_element,
    .choose = input_choose,
};

static Visitor *input_visitor_new(json_t *root, bool is_keyval)
{
    InputVisitor *iv = g_new0(InputVisitor, 1);

    iv->visitor.ops = &input_ops;
    iv->root = root;
    iv->is_keyval = is_keyval;
    iv->frames = g_array_new(FALSE, FALSE, sizeof(InputFrame));
    return &iv->visitor;
}

Visitor *json_input_visitor_new(json_t *json)
{
    return input_visitor_new(json, false);
}

Visitor *keyval_input_visitor_new(json_t *tree)
{
    return input_visitor_new(tree, true);
}

void input_visitor_free(Visitor *v)
{
    InputVisitor *iv = input_visitor(v);

    assert(!iv->frames->len);
    g_array_free(iv->frames, TRUE);
    g_free(iv);
}
