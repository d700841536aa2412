/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of the built-in types, and what helps with lists of any type.
 *
 * A list is NULL when empty, otherwise a chain of elements {next, value}.  It owns its values.
 */
#ifndef QAPI_BUILTIN_TYPES_H
#define QAPI_BUILTIN_TYPES_H

#include <jansson.h>

#include "qapi/type-info.h"

#define QAPI_DECLARE_BUILTIN_LIST(name, ctype)        \
    typedef struct name##List name##List;             \
    struct name##List {                               \
        name##List *next;                             \
        ctype value;                                  \
    };                                                \
    extern const QapiTypeInfo qapi_info_##name##List; \
    void qapi_free_##name##List(name##List *list);    \
    G_DEFINE_AUTOPTR_CLEANUP_FUNC(name##List, qapi_free_##name##List)

QAPI_DECLARE_BUILTIN_LIST(str, char *)
QAPI_DECLARE_BUILTIN_LIST(bool, bool)
QAPI_DECLARE_BUILTIN_LIST(int, int64_t)
QAPI_DECLARE_BUILTIN_LIST(int8, int8_t)
QAPI_DECLARE_BUILTIN_LIST(int16, int16_t)
QAPI_DECLARE_BUILTIN_LIST(int32, int32_t)
QAPI_DECLARE_BUILTIN_LIST(int64, int64_t)
QAPI_DECLARE_BUILTIN_LIST(uint8, uint8_t)
QAPI_DECLARE_BUILTIN_LIST(uint16, uint16_t)
QAPI_DECLARE_BUILTIN_LIST(uint32, uint32_t)
QAPI_DECLARE_BUILTIN_LIST(uint64, uint64_t)
QAPI_DECLARE_BUILTIN_LIST(size, uint64_t)
QAPI_DECLARE_BUILTIN_LIST(number, double)
QAPI_DECLARE_BUILTIN_LIST(any, json_t *)

/*
 * Append @element, which the list takes over, and move @tail on.  @tail is a variable that starts
 * as the address of the list's head: `strList *list = NULL, **tail = &list; QAPI_LIST_APPEND(tail,
 * g_strdup("a"));`
 */
#define QAPI_LIST_APPEND(tail, element)        \
    do {                                       \
        *(tail) = g_malloc0(sizeof(**(tail))); \
        (*(tail))->value = (element);          \
        (tail) = &(*(tail))->next;             \
    } while (0)

#endif
