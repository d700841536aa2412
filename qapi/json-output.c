/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The visitors that write: JSON for others, and trees of options for ourselves, in which nothing of
 * what is not possible in JSON is lost.
 */
#include "qemu/osdep.h"
#include "qapi/visitor.h"

typedef struct OutputVisitor {
    Visitor visitor;
    bool is_tree;
    json_t *result;
    GPtrArray *open; /* containers, borrowed from what holds them */
} OutputVisitor;

static OutputVisitor *output_visitor(Visitor *v)
{
    return container_of(v, OutputVisitor, visitor);
}

/* Put @json, taken over, where the walk is. */
static void place(OutputVisitor *ov, const char *name, json_t *json)
{
    json_t *parent = ov->open->len ? ov->open->pdata[ov->open->len - 1] : NULL;
    int ret = 0;

    if (!parent) {
        assert(!ov->result);
        ov->result = json;
    } else if (json_is_array(parent)) {
        ret = json_array_append_new(parent, json);
    } else {
        ret = json_object_set_new_nocheck(parent, name, json);
    }
    assert(ret == 0);
}

static bool output_enter(Visitor *v, const char *name, const QapiTypeInfo *type, Error **errp)
{
    OutputVisitor *ov = output_visitor(v);
    json_t *json = type->kind == QAPI_KIND_LIST ? json_array() : json_object();

    place(ov, name, json);
    g_ptr_array_add(ov->open, json);
    return true;
}

static bool output_leave(Visitor *v, Error **errp)
{
    OutputVisitor *ov = output_visitor(v);

    g_ptr_array_set_size(ov->open, ov->open->len - 1);
    return true;
}

/* File names and the like need not be UTF-8, JSON must. */
static json_t *json_from_str(const char *text, bool is_tree)
{
    g_autofree char *valid = is_tree ? NULL : g_utf8_make_valid(text, -1);

    return is_tree ? json_stringn_nocheck(text, strlen(text)) : json_string(valid);
}

static json_t *json_from_unsigned(uint64_t value, bool is_tree)
{
    g_autofree char *digits = NULL;

    if (value <= INT64_MAX) {
        return json_integer(value);
    }
    if (!is_tree) {
        return json_real(value);
    }
    digits = g_strdup_printf("%" PRIu64, value);
    return json_string(digits);
}

static json_t *json_from_scalar(const QapiTypeInfo *type, const void *slot, bool is_tree)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
        return json_from_str(*(char *const *)slot, is_tree);
    case QAPI_KIND_BOOL:
        return json_boolean(*(const bool *)slot);
    case QAPI_KIND_INT:
        return json_integer(qapi_load_int(type, slot));
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return json_from_unsigned(qapi_load_int(type, slot), is_tree);
    case QAPI_KIND_NUMBER:
        return json_real(*(const double *)slot);
    case QAPI_KIND_NULL:
        return json_null();
    case QAPI_KIND_ANY:
        return json_incref(*(json_t *const *)slot);
    case QAPI_KIND_ENUM:
        return json_string(qapi_enum_str(type, qapi_load_int(type, slot)));
    default:
        g_assert_not_reached();
    }
}

static bool output_scalar(Visitor *v, const char *name, const QapiTypeInfo *type, void *slot,
                          Error **errp)
{
    OutputVisitor *ov = output_visitor(v);

    place(ov, name, json_from_scalar(type, slot, ov->is_tree));
    return true;
}

static const VisitorOps output_ops = {
    .direction = VISITOR_OUTPUT,
    .enter = output_enter,
    .leave = output_leave,
    .scalar = output_scalar,
};

static Visitor *output_visitor_new(bool is_tree)
{
    OutputVisitor *ov = g_new0(OutputVisitor, 1);

    ov->visitor.ops = &output_ops;
    ov->is_tree = is_tree;
    ov->open = g_ptr_array_new();
    return &ov->visitor;
}

Visitor *json_output_visitor_new(void)
{
    return output_visitor_new(false);
}

Visitor *tree_output_visitor_new(void)
{
    return output_visitor_new(true);
}

json_t *json_output_visitor_take(Visitor *v)
{
    return g_steal_pointer(&output_visitor(v)->result);
}

void json_output_visitor_free(Visitor *v)
{
    OutputVisitor *ov = output_visitor(v);

    json_decref(ov->result);
    g_ptr_array_free(ov->open, TRUE);
    g_free(ov);
}
