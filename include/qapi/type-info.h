/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptions of QAPI types at run time.
 *
 * The schema compiler writes one constant QapiTypeInfo, `qapi_info_NAME`, for every type of the
 * schema.  The visitors, the introspection and the option help of the tools read nothing else, so
 * that generated code is mostly tables.  The C side of each kind is described in
 * docs/devel/qapi.rst.
 */
#ifndef QAPI_TYPE_INFO_H
#define QAPI_TYPE_INFO_H

#include "qapi/error.h"

typedef enum QapiKind {
    QAPI_KIND_STR,    /* char *, UTF-8 */
    QAPI_KIND_BOOL,   /* bool */
    QAPI_KIND_INT,    /* int8_t ... int64_t, by size */
    QAPI_KIND_UINT,   /* uint8_t ... uint64_t, by size */
    QAPI_KIND_SIZE,   /* uint64_t; as a string it may have a suffix */
    QAPI_KIND_NUMBER, /* double */
    QAPI_KIND_NULL,   /* json_t *, always json_null() */
    QAPI_KIND_ANY,    /* json_t *, any value */
    QAPI_KIND_ENUM,
    QAPI_KIND_LIST,
    QAPI_KIND_OBJECT,
    QAPI_KIND_ALTERNATE,
} QapiKind;

typedef struct QapiTypeInfo QapiTypeInfo;

/* An optional member without a has_ flag: NULL says that it is absent.  Lists have a flag, for
 * NULL is an empty list. */
#define QAPI_NO_FLAG SIZE_MAX

/* A member of an object (bases' members included), or a branch of an alternate. */
typedef struct QapiMember {
    const char *name;         /* as users write it */
    const char *type;         /* name of the type in the schema */
    const char *doc;          /* the schema's text about it, one line; "" for none */
    const QapiTypeInfo *info; /* the type; the members of an object are the nested options */
    bool optional;
    size_t offset;     /* in the C struct */
    size_t has_offset; /* of the has_ flag, or QAPI_NO_FLAG */
} QapiMember;

typedef struct QapiEnumValue {
    const char *name;
    const char *doc;
} QapiEnumValue;

struct QapiTypeInfo {
    const char *name;
    const char *doc;
    QapiKind kind;
    size_t size; /* of the C value; for objects, alternates and lists of the struct pointed to */

    /* objects and alternates */
    const QapiMember *members;
    size_t nr_members;

    /* unions: @branches[tag value] is NULL where a value adds no members; alternates use only
     * @tag_offset */
    const char *tag_name;
    const QapiTypeInfo *tag_info;
    size_t tag_offset;
    const QapiTypeInfo *const *branches;
    size_t nr_branches;
    size_t branch_offset; /* of the C union in which the branch's struct is embedded */

    /* enums, indexed by the C constant */
    const QapiEnumValue *values;
    size_t nr_values;

    /* lists */
    const QapiTypeInfo *element;
    size_t value_offset;
};

/* The name under which help code knows descriptions of structs. */
typedef QapiTypeInfo QapiStructInfo;

/* Whether a C variable of the type is a pointer that the value's owner must free. */
bool qapi_is_pointer(const QapiTypeInfo *type);

/* The member of @type called @name, or NULL. */
const QapiMember *qapi_find_member(const QapiTypeInfo *type, const char *name);

/* The name of @value, which must be one of the enum's. */
const char *qapi_enum_str(const QapiTypeInfo *type, int value);

/* The value called @name, or -1. */
int qapi_enum_lookup(const QapiTypeInfo *type, const char *name);

/*
 * The value called @value, or -1 with the error "Parameter '@param' does not accept value
 * '@value'".
 */
int qapi_enum_parse(const QapiTypeInfo *type, const char *param, const char *value, Error **errp);

/*
 * Free the value in the variable at @slot (for a list of strings, a `strList **`) with all it
 * holds, and set the variable to NULL or 0.
 */
void qapi_free_value(const QapiTypeInfo *type, void *slot);

/* The built-in types. */
extern const QapiTypeInfo qapi_info_str, qapi_info_bool, qapi_info_int, qapi_info_int8,
    qapi_info_int16, qapi_info_int32, qapi_info_int64, qapi_info_uint8, qapi_info_uint16,
    qapi_info_uint32, qapi_info_uint64, qapi_info_size, qapi_info_number, qapi_info_null,
    qapi_info_any;

#endif
