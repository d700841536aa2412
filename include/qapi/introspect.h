/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answer to query-qmp-schema, made from the descriptions of types.
 *
 * Names of types are of no concern to a client, so that all but built-in ones are replaced by
 * numbers, which may differ from build to build.
 */
#ifndef QAPI_INTROSPECT_H
#define QAPI_INTROSPECT_H

#include <jansson.h>

#include "qapi/type-info.h"

/* A command or event: what introspection starts from. */
typedef struct QapiRoot {
    const char *name;
    const char *meta_type;         /* "command" or "event" */
    const QapiTypeInfo *arguments; /* NULL: an object without members */
    const QapiTypeInfo *returns;   /* commands; NULL: an object without members */
} QapiRoot;

/* A new array of SchemaInfo objects for @roots and every type that can be reached from them. */
json_t *qapi_introspect_roots(const QapiRoot *roots, size_t nr_roots);

#endif
