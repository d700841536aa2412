/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared by the visitors of this folder, and by nobody else.
 */
#ifndef QAPI_VISIT_INTERNAL_H
#define QAPI_VISIT_INTERNAL_H

#include <jansson.h>

#include "qapi/type-info.h"

/* A json_t whose reference g_autoptr() gives back. */
typedef json_t JsonRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonRef, json_decref)

/*
 * Put what @json says into the variable of scalar @type at @slot.  JSON types are taken strictly.
 * @path: of the parameter, for messages; "" for the outermost value.
 */
bool json_read_scalar(json_t *json, const char *path, const QapiTypeInfo *type, void *slot,
                      Error **errp);

/* The same where the value is the string @text of a `key=value` option. */
bool keyval_read_scalar(const char *text, const char *path, const QapiTypeInfo *type, void *slot,
                        Error **errp);

/* Set the error that the value at @path has the wrong type: @expected is "integer", "string",
 * ... */
void qapi_error_type(Error **errp, const char *path, const char *expected);

#endif
