/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands as a management client sends them: find the function, check the arguments, call it,
 * wrap the answer.
 *
 * The schema compiler writes a table for the commands of a schema (qapi-commands.h:
 * qmp_commands).  Reading from a socket, the greeting and the negotiation belong to the monitor,
 * which calls qmp_dispatch().
 */
#ifndef QAPI_QMP_DISPATCH_H
#define QAPI_QMP_DISPATCH_H

#include <jansson.h>

#include "qapi/type-info.h"

typedef struct QmpCommand {
    const char *name;
    const char *doc;
    /* Returns the "return" value (new reference), or NULL with @errp set.  @arguments may be
     * NULL. */
    json_t *(*marshal)(json_t *arguments, Error **errp);
    const QapiTypeInfo *arguments; /* NULL: none */
    const QapiTypeInfo *returns;   /* NULL: an empty object */
    bool coroutine;                /* the function may yield */
} QmpCommand;

typedef struct QmpCommandTable {
    const QmpCommand *commands;
    size_t nr_commands;
} QmpCommandTable;

/* The command called @name, or NULL. */
const QmpCommand *qmp_find_command(const QmpCommandTable *table, const char *name);

/*
 * The command that @request asks for, so that the caller can see in which context it must run
 * before running it.  Returns NULL with @errp set when the request is malformed (`QMP input ...`)
 * or the command unknown.
 */
const QmpCommand *qmp_request_command(const QmpCommandTable *table, json_t *request, Error **errp);

/*
 * Carry out @request, `{"execute": NAME, "arguments": {...}, "id": ANY}`.
 *
 * Returns the response as new JSON, never NULL: `{"return": ...}` or `{"error": {"class",
 * "desc"}}`, with the request's id if it had one.  May yield if the command is marked so; then it
 * must run in a coroutine.
 */
json_t *qmp_dispatch(const QmpCommandTable *table, json_t *request);

/*
 * The response to @request where it is refused because of @err, as new JSON.  @request may be
 * anything; NULL stands for input that was not even JSON.
 */
json_t *qmp_error_response(json_t *request, const Error *err);

/* The error object of a response, `{"class": ..., "desc": ...}`, as new JSON. */
json_t *qmp_error_json(const Error *err);

/* For generated code: check that a command without parameters was given none. */
bool qmp_check_no_arguments(json_t *arguments, Error **errp);

#endif
