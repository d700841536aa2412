/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * query-qmp-schema from descriptions of types: a walk that numbers types as it meets them.
 */
#include "qemu/osdep.h"
#include "qapi/builtin-types.h"
#include "qapi/introspect.h"

typedef struct Introspection {
    json_t *entities;
    GHashTable *names; /* type -> the name that clients see (owned) */
    GQueue pending;    /* types that have a name but no entity yet */
} Introspection;

static const QapiTypeInfo no_members = {.name = "", .kind = QAPI_KIND_OBJECT};

static const char *json_type_of(const QapiTypeInfo *type)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
        return "string";
    case QAPI_KIND_BOOL:
        return "boolean";
    case QAPI_KIND_INT:
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return "int";
    case QAPI_KIND_NUMBER:
        return "number";
    case QAPI_KIND_NULL:
        return "null";
    default:
        return "value";
    }
}

static bool is_integer(const QapiTypeInfo *type)
{
    return !strcmp(json_type_of(type), "int");
}

/* The name of @type for clients.  Integers of all widths are one type on the wire. */
static const char *name_of(Introspection *in, const QapiTypeInfo *type)
{
    char *name = g_hash_table_lookup(in->names, type);

    if (name) {
        return name;
    }
    if (is_integer(type) && type != &qapi_info_int) {
        return name_of(in, &qapi_info_int);
    }
    switch (type->kind) {
    case QAPI_KIND_STR:
    case QAPI_KIND_BOOL:
    case QAPI_KIND_INT:
    case QAPI_KIND_NUMBER:
    case QAPI_KIND_NULL:
    case QAPI_KIND_ANY:
        name = g_strdup(type->name);
        break;
    case QAPI_KIND_LIST:
        if (is_integer(type->element) && type != &qapi_info_intList) {
            return name_of(in, &qapi_info_intList);
        }
        name = g_strdup_printf("[%s]", name_of(in, type->element));
        break;
    default:
        name = g_strdup_printf("%u", g_hash_table_size(in->names));
    }
    g_hash_table_insert(in->names, (gpointer)type, name);
    g_queue_push_tail(&in->pending, (gpointer)type);
    return name;
}

static json_t *members_json(Introspection *in, const QapiTypeInfo *type)
{
    json_t *members = json_array();

    for (size_t i = 0; i < type->nr_members; i++) {
        const QapiMember *member = &type->members[i];
        json_t *entry =
            json_pack("{s:s, s:s}", "name", member->name, "type", name_of(in, member->info));

        if (member->optional) {
            /* No default that a client could rely on: null, as the protocol says. */
            json_object_set_new(entry, "default", json_null());
        }
        json_array_append_new(members, entry);
    }
    return members;
}

static json_t *variants_json(Introspection *in, const QapiTypeInfo *type)
{
    json_t *variants = json_array();

    for (size_t i = 0; i < type->tag_info->nr_values; i++) {
        const QapiTypeInfo *branch = i < type->nr_branches ? type->branches[i] : NULL;

        json_array_append_new(variants,
                              json_pack("{s:s, s:s}", "case", type->tag_info->values[i].name,
                                        "type", name_of(in, branch ? branch : &no_members)));
    }
    return variants;
}

static void describe_object(Introspection *in, const QapiTypeInfo *type, json_t *entity)
{
    json_object_set_new(entity, "meta-type", json_string("object"));
    json_object_set_new(entity, "members", members_json(in, type));
    if (type->tag_name) {
        json_object_set_new(entity, "tag", json_string(type->tag_name));
        json_object_set_new(entity, "variants", variants_json(in, type));
    }
}

static void describe_alternate(Introspection *in, const QapiTypeInfo *type, json_t *entity)
{
    json_t *members = json_array();

    for (size_t i = 0; i < type->nr_members; i++) {
        json_array_append_new(members,
                              json_pack("{s:s}", "type", name_of(in, type->members[i].info)));
    }
    json_object_set_new(entity, "meta-type", json_string("alternate"));
    json_object_set_new(entity, "members", members);
}

static void describe_enum(const QapiTypeInfo *type, json_t *entity)
{
    json_t *members = json_array();
    json_t *values = json_array();

    for (size_t i = 0; i < type->nr_values; i++) {
        json_array_append_new(members, json_pack("{s:s}", "name", type->values[i].name));
        json_array_append_new(values, json_string(type->values[i].name));
    }
    json_object_set_new(entity, "meta-type", json_string("enum"));
    json_object_set_new(entity, "members", members);
    json_object_set_new(entity, "values", values);
}

static void describe_type(Introspection *in, const QapiTypeInfo *type)
{
    json_t *entity = json_pack("{s:s}", "name", name_of(in, type));

    switch (type->kind) {
    case QAPI_KIND_OBJECT:
        describe_object(in, type, entity);
        break;
    case QAPI_KIND_ALTERNATE:
        describe_alternate(in, type, entity);
        break;
    case QAPI_KIND_ENUM:
        describe_enum(type, entity);
        break;
    case QAPI_KIND_LIST:
        json_object_set_new(entity, "meta-type", json_string("array"));
        json_object_set_new(entity, "element-type", json_string(name_of(in, type->element)));
        break;
    default:
        json_object_set_new(entity, "meta-type", json_string("builtin"));
        json_object_set_new(entity, "json-type", json_string(json_type_of(type)));
    }
    json_array_append_new(in->entities, entity);
}

static void describe_root(Introspection *in, const QapiRoot *root)
{
    const QapiTypeInfo *arguments = root->arguments ? root->arguments : &no_members;
    const QapiTypeInfo *returns = root->returns ? root->returns : &no_members;
    json_t *entity = json_pack("{s:s, s:s, s:s}", "name", root->name, "meta-type", root->meta_type,
                               "arg-type", name_of(in, arguments));

    if (!strcmp(root->meta_type, "command")) {
        json_object_set_new(entity, "ret-type", json_string(name_of(in, returns)));
    }
    json_array_append_new(in->entities, entity);
}

json_t *qapi_introspect_roots(const QapiRoot *roots, size_t nr_roots)
{
    Introspection in = {
        .entities = json_array(),
        .names = g_hash_table_new_full(NULL, NULL, NULL, g_free),
        .pending = G_QUEUE_INIT,
    };

    for (size_t i = 0; i < nr_roots; i++) {
        describe_root(&in, &roots[i]);
    }
    while (!g_queue_is_empty(&in.pending)) {
        describe_type(&in, g_queue_pop_head(&in.pending));
    }
    g_hash_table_unref(in.names);
    return in.entities;
}
