/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over a value of any type, the same for reading, writing and freeing.
 *
 * On input every container is zeroed before it is filled, so that at any moment what has been read
 * so far can be freed by the same walk; that is how errors in the middle are cleaned up.
 */
#include "qemu/osdep.h"
#include "qapi/visitor.h"
#include "visit-internal.h"

static bool visit_members(Visitor *v, const QapiTypeInfo *type, char *obj, Error **errp);

int64_t qapi_load_int(const QapiTypeInfo *type, const void *slot)
{
    bool is_signed = type->kind == QAPI_KIND_INT;

    switch (type->size) {
    case 1:
        return is_signed ? *(const int8_t *)slot : *(const uint8_t *)slot;
    case 2:
        return is_signed ? *(const int16_t *)slot : *(const uint16_t *)slot;
    case 4:
        return is_signed ? *(const int32_t *)slot : (int64_t) * (const uint32_t *)slot;
    default:
        assert(type->size == 8);
        return *(const int64_t *)slot;
    }
}

void qapi_store_int(const QapiTypeInfo *type, void *slot, int64_t value)
{
    switch (type->size) {
    case 1:
        *(uint8_t *)slot = value;
        break;
    case 2:
        *(uint16_t *)slot = value;
        break;
    case 4:
        *(uint32_t *)slot = value;
        break;
    default:
        assert(type->size == 8);
        *(int64_t *)slot = value;
    }
}

/* Whether an optional member takes part in the walk.  On input this also sets its has_ flag. */
static bool is_member_present(Visitor *v, const QapiMember *member, char *obj)
{
    bool *has = member->has_offset == QAPI_NO_FLAG ? NULL : (bool *)(obj + member->has_offset);
    bool is_present;

    switch (v->ops->direction) {
    case VISITOR_INPUT:
        is_present = v->ops->has_member(v, member->name);
        if (has) {
            *has = is_present;
        }
        return is_present;
    case VISITOR_OUTPUT:
        return (has && *has) ||
               (qapi_is_pointer(member->info) && *(void **)(obj + member->offset) != NULL);
    default:
        /* Everything is freed, whatever flags say; absent members are NULL or need no freeing. */
        return true;
    }
}

/* The struct type that the tag of union @obj adds to it, or NULL. */
static const QapiTypeInfo *union_branch(const QapiTypeInfo *type, const char *obj)
{
    int64_t tag = qapi_load_int(type->tag_info, obj + type->tag_offset);

    return tag < type->nr_branches ? type->branches[tag] : NULL;
}

static bool visit_members(Visitor *v, const QapiTypeInfo *type, char *obj, Error **errp)
{
    /* The dealloc walk clears the tag on its way, so that the branch must be known before. */
    const QapiTypeInfo *branch = type->tag_name ? union_branch(type, obj) : NULL;

    for (size_t i = 0; i < type->nr_members; i++) {
        const QapiMember *member = &type->members[i];

        if (member->optional && !is_member_present(v, member, obj)) {
            continue;
        }
        if (!visit_type(v, member->name, member->info, obj + member->offset, errp)) {
            return false;
        }
    }
    if (type->tag_name && v->ops->direction == VISITOR_INPUT) {
        branch = union_branch(type, obj);
    }
    return !branch || visit_members(v, branch, obj + type->branch_offset, errp);
}

/* Visit a struct where it lies. */
static bool visit_object_in_place(Visitor *v, const char *name, const QapiTypeInfo *type, char *obj,
                                  Error **errp)
{
    bool is_ok;

    if (!v->ops->enter(v, name, type, errp)) {
        return false;
    }
    is_ok = visit_members(v, type, obj, errp);
    return v->ops->leave(v, is_ok ? errp : NULL) && is_ok;
}

static bool visit_alternate(Visitor *v, const char *name, const QapiTypeInfo *type, char *obj,
                            Error **errp)
{
    unsigned int *tag = (unsigned int *)(obj + type->tag_offset);
    const QapiMember *branch;

    if (v->ops->direction == VISITOR_INPUT) {
        int chosen = v->ops->choose(v, name, type, errp);

        if (chosen < 0) {
            return false;
        }
        *tag = chosen;
    }
    assert(*tag < type->nr_members);
    branch = &type->members[*tag];
    if (branch->info->kind == QAPI_KIND_OBJECT) {
        return visit_object_in_place(v, name, branch->info, obj + branch->offset, errp);
    }
    return visit_type(v, name, branch->info, obj + branch->offset, errp);
}

/* Elements of any list begin with the pointer to the next one. */
static bool visit_elements(Visitor *v, const QapiTypeInfo *type, void **head, Error **errp)
{
    void **link = head;

    while (v->ops->direction == VISITOR_INPUT ? v->ops->has_element(v) : *link != NULL) {
        char *element;

        if (v->ops->direction == VISITOR_INPUT) {
            *link = g_malloc0(type->size);
        }
        element = *link;
        if (!visit_type(v, NULL, type->element, element + type->value_offset, errp)) {
            return false;
        }
        if (v->ops->direction == VISITOR_DEALLOC) {
            *link = *(void **)element;
            g_free(element);
        } else {
            link = (void **)element;
        }
    }
    return true;
}

static bool visit_list(Visitor *v, const char *name, const QapiTypeInfo *type, void **head,
                       Error **errp)
{
    bool is_ok;

    if (!v->ops->enter(v, name, type, errp)) {
        return false;
    }
    is_ok = visit_elements(v, type, head, errp);
    return v->ops->leave(v, is_ok ? errp : NULL) && is_ok;
}

/* Visit an object or alternate that is held by the pointer @slot. */
static bool visit_allocated(Visitor *v, const char *name, const QapiTypeInfo *type, void **slot,
                            Error **errp)
{
    bool is_ok;

    if (v->ops->direction == VISITOR_INPUT) {
        *slot = g_malloc0(type->size);
    } else if (v->ops->direction == VISITOR_DEALLOC && !*slot) {
        return true;
    }
    assert(*slot);
    is_ok = type->kind == QAPI_KIND_OBJECT ? visit_object_in_place(v, name, type, *slot, errp)
                                           : visit_alternate(v, name, type, *slot, errp);
    if (v->ops->direction == VISITOR_DEALLOC) {
        g_free(*slot);
        *slot = NULL;
    }
    return is_ok;
}

bool visit_type(Visitor *v, const char *name, const QapiTypeInfo *type, void *slot, Error **errp)
{
    bool is_ok;

    switch (type->kind) {
    case QAPI_KIND_OBJECT:
    case QAPI_KIND_ALTERNATE:
        is_ok = visit_allocated(v, name, type, slot, errp);
        break;
    case QAPI_KIND_LIST:
        is_ok = visit_list(v, name, type, slot, errp);
        break;
    default:
        return v->ops->scalar(v, name, type, slot, errp);
    }
    if (!is_ok && v->ops->direction == VISITOR_INPUT) {
        qapi_free_value(type, slot);
    }
    return is_ok;
}

static bool read_with(Visitor *v, const QapiTypeInfo *type, void *slot, Error **errp)
{
    bool is_ok = visit_type(v, NULL, type, slot, errp);

    input_visitor_free(v);
    return is_ok;
}

bool qapi_from_json(const QapiTypeInfo *type, json_t *json, void *slot, Error **errp)
{
    g_autoptr(JsonRef) tree = json ? json_incref(json) : json_object();

    return read_with(json_input_visitor_new(tree), type, slot, errp);
}

bool qapi_from_keyval(const QapiTypeInfo *type, json_t *tree, void *slot, Error **errp)
{
    g_autoptr(JsonRef) held = tree ? json_incref(tree) : json_object();

    return read_with(keyval_input_visitor_new(held), type, slot, errp);
}

/* Consumes @v. */
static json_t *write_with(Visitor *v, const QapiTypeInfo *type, const void *slot)
{
    json_t *json;

    /* An output visitor only reads from the slot. */
    visit_type(v, NULL, type, (void *)slot, NULL);
    json = json_output_visitor_take(v);
    json_output_visitor_free(v);
    return json;
}

json_t *qapi_to_json(const QapiTypeInfo *type, const void *slot)
{
    return write_with(json_output_visitor_new(), type, slot);
}

json_t *qapi_to_tree(const QapiTypeInfo *type, const void *slot)
{
    return write_with(tree_output_visitor_new(), type, slot);
}
