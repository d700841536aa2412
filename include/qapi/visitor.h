/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Visitors: walk a value of any QAPI type, and on the way read it from JSON, write it as JSON, or
 * free it.
 *
 * visit_type() knows the types, from their descriptions; a Visitor knows one outside form and is
 * called for each scalar, and at the beginning and end of each object and list.  Most users want
 * only the conversions at the end, or rather their typed fronts qapi_X_from_json(),
 * qapi_X_from_keyval(), qapi_X_to_json().
 */
#ifndef QAPI_VISITOR_H
#define QAPI_VISITOR_H

#include <jansson.h>

#include "qapi/type-info.h"

typedef struct Visitor Visitor;

typedef enum VisitorDirection {
    VISITOR_INPUT,   /* fills C variables */
    VISITOR_OUTPUT,  /* reads C variables */
    VISITOR_DEALLOC, /* frees what C variables hold */
} VisitorDirection;

/* What a kind of visitor does.  Functions marked "input" are called, and needed, for that
 * direction only. */
typedef struct VisitorOps {
    VisitorDirection direction;

    /* An object or list called @name begins; false with @errp set, and no leave(), if it is not
     * one. */
    bool (*enter)(Visitor *v, const char *name, const QapiTypeInfo *type, Error **errp);
    /* It ends.  Called after errors too, then with @errp NULL; checks that nothing is left over. */
    bool (*leave)(Visitor *v, Error **errp);
    /* Transfer or free the scalar in the variable at @slot. */
    bool (*scalar)(Visitor *v, const char *name, const QapiTypeInfo *type, void *slot,
                   Error **errp);

    /* Input: whether the current object has a member @name. */
    bool (*has_member)(Visitor *v, const char *name);
    /* Input: whether the current list has one more element. */
    bool (*has_element)(Visitor *v);
    /* Input: the index of the branch of alternate @type that fits the value @name, or -1 with
     * @errp set. */
    int (*choose)(Visitor *v, const char *name, const QapiTypeInfo *type, Error **errp);
} VisitorOps;

struct Visitor {
    const VisitorOps *ops;
};

/*
 * Visit the value of @type in the variable at @slot: a `T *` for scalars and enums, a `T **` for
 * all else.
 *
 * @name is the member's name in the current object, or NULL for an element of a list and for the
 * outermost value. Returns true, or false with @errp set; on input the variable is then NULL or 0
 * and owns nothing.
 */
bool visit_type(Visitor *v, const char *name, const QapiTypeInfo *type, void *slot, Error **errp);

/*
 * A visitor that reads @json, which must outlive it, with JSON's types taken strictly.  Errors name
 * members by their path, `a.b[0].c`.
 */
Visitor *json_input_visitor_new(json_t *json);

/*
 * A visitor that reads @tree, made from `key=value` options.  A string stands for any scalar:
 * integers (decimal, 0x hexadecimal, 0 octal), sizes (with suffix), booleans (on, off, yes, no,
 * true, false) and numbers.  Leaves that came from `json:` text and have the right JSON type are
 * taken as they are.  Paths look like `a.b.0.c`.
 */
Visitor *keyval_input_visitor_new(json_t *tree);
void input_visitor_free(Visitor *v);

/* A visitor that builds JSON, to be fetched once (new reference) after the outermost value has
 * been visited. */
Visitor *json_output_visitor_new(void);
/* The same for a tree that stays in the process: see qapi_to_tree(). */
Visitor *tree_output_visitor_new(void);
json_t *json_output_visitor_take(Visitor *v);
void json_output_visitor_free(Visitor *v);

/*
 * Read the value of @type from @json or @tree into the variable at @slot.  NULL for JSON stands
 * for an empty object.  Returns true, or false with @errp set and the variable NULL or 0.
 */
bool qapi_from_json(const QapiTypeInfo *type, json_t *json, void *slot, Error **errp);
bool qapi_from_keyval(const QapiTypeInfo *type, json_t *tree, void *slot, Error **errp);

/*
 * The value in the variable at @slot as new JSON.  A string that is not UTF-8 has its stray bytes
 * replaced.  An unsigned integer above INT64_MAX becomes a real number, the nearest there is.
 */
json_t *qapi_to_json(const QapiTypeInfo *type, const void *slot);

/*
 * The value as a new tree that qapi_from_keyval() reads back without loss: strings keep their bytes,
 * and integers above INT64_MAX become strings.  Not to be sent as JSON.
 */
json_t *qapi_to_tree(const QapiTypeInfo *type, const void *slot);

/* Read and write an integer variable of @type (int kinds and enums). */
int64_t qapi_load_int(const QapiTypeInfo *type, const void *slot);
void qapi_store_int(const QapiTypeInfo *type, void *slot, int64_t value);

#endif
