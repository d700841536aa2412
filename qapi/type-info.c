/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in types of the schema language, and look-ups in descriptions of types.
 */
#include "qemu/osdep.h"
#include "qapi/builtin-types.h"

/* Neither macro may use the other: `bool` must not be expanded before it is pasted. */
#define BUILTIN(type, ctype, kind_value)    \
    const QapiTypeInfo qapi_info_##type = { \
        .name = #type,                      \
        .doc = "",                          \
        .kind = kind_value,                 \
        .size = sizeof(ctype),              \
    };

#define BUILTIN_LIST(type)                               \
    const QapiTypeInfo qapi_info_##type##List = {        \
        .name = #type "List",                            \
        .doc = "",                                       \
        .kind = QAPI_KIND_LIST,                          \
        .size = sizeof(type##List),                      \
        .element = &qapi_info_##type,                    \
        .value_offset = offsetof(type##List, value),     \
    };                                                   \
    void qapi_free_##type##List(type##List *list)        \
    {                                                    \
        qapi_free_value(&qapi_info_##type##List, &list); \
    }

BUILTIN(str, char *, QAPI_KIND_STR)
BUILTIN(bool, bool, QAPI_KIND_BOOL)
BUILTIN(int, int64_t, QAPI_KIND_INT)
BUILTIN(int8, int8_t, QAPI_KIND_INT)
BUILTIN(int16, int16_t, QAPI_KIND_INT)
BUILTIN(int32, int32_t, QAPI_KIND_INT)
BUILTIN(int64, int64_t, QAPI_KIND_INT)
BUILTIN(uint8, uint8_t, QAPI_KIND_UINT)
BUILTIN(uint16, uint16_t, QAPI_KIND_UINT)
BUILTIN(uint32, uint32_t, QAPI_KIND_UINT)
BUILTIN(uint64, uint64_t, QAPI_KIND_UINT)
BUILTIN(size, uint64_t, QAPI_KIND_SIZE)
BUILTIN(number, double, QAPI_KIND_NUMBER)
BUILTIN(any, json_t *, QAPI_KIND_ANY)
BUILTIN(null, json_t *, QAPI_KIND_NULL)

BUILTIN_LIST(str)
BUILTIN_LIST(bool)
BUILTIN_LIST(int)
BUILTIN_LIST(int8)
BUILTIN_LIST(int16)
BUILTIN_LIST(int32)
BUILTIN_LIST(int64)
BUILTIN_LIST(uint8)
BUILTIN_LIST(uint16)
BUILTIN_LIST(uint32)
BUILTIN_LIST(uint64)
BUILTIN_LIST(size)
BUILTIN_LIST(number)
BUILTIN_LIST(any)

bool qapi_is_pointer(const QapiTypeInfo *type)
{
    switch (type->kind) {
    case QAPI_KIND_STR:
    case QAPI_KIND_NULL:
    case QAPI_KIND_ANY:
    case QAPI_KIND_LIST:
    case QAPI_KIND_OBJECT:
    case QAPI_KIND_ALTERNATE:
        return true;
    default:
        return false;
    }
}

const QapiMember *qapi_find_member(const QapiTypeInfo *type, const char *name)
{
    for (size_t i = 0; i < type->nr_members; i++) {
        if (!strcmp(type->members[i].name, name)) {
            return &type->members[i];
        }
    }
    return NULL;
}

const char *qapi_enum_str(const QapiTypeInfo *type, int value)
{
    assert(value >= 0 && value < type->nr_values);
    return type->values[value].name;
}

int qapi_enum_lookup(const QapiTypeInfo *type, const char *name)
{
    for (size_t i = 0; i < type->nr_values; i++) {
        if (!strcmp(type->values[i].name, name)) {
            return i;
        }
    }
    return -1;
}

int qapi_enum_parse(const QapiTypeInfo *type, const char *param, const char *value, Error **errp)
{
    int found = qapi_enum_lookup(type, value);

    if (found < 0) {
        error_setg(errp, "Parameter '%s' does not accept value '%s'", param, value);
    }
    return found;
}
