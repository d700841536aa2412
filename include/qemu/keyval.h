/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Option text of the form key=value,key=value as a JSON tree, and JSON text likewise.
 *
 *     driver=qcow2,file.filename=a,,b.img,list.0=x,list.1=y
 *     {"driver": "qcow2", "file": {"filename": "a,b.img"}, "list": ["x", "y"]}
 *
 * A key is one or more components with points between them.  A component is a name (a letter or _,
 * then letters, digits, - and _) or, not as the first one, an index (0, 1, 2 ... without leading
 * zeroes).  Names nest; indexes make a list, in any order but without gaps.  A value ends at a
 * comma; two commas stand for one.  Where a key is given twice the last one wins; a key that is
 * both a value and the start of a longer key is an error.  A comma at the very end is ignored.
 *
 * All leaves are strings, with the bytes that the user gave: file names need not be UTF-8, so what
 * is sent as JSON must be checked there.  Who visits the tree gives the strings their type.
 */
#ifndef QEMU_KEYVAL_H
#define QEMU_KEYVAL_H

#include "qemu/osdep.h"
#include "qapi/error.h"

#include <jansson.h>

/* Larger input is refused, so that hostile text cannot exhaust the stack or memory. */
#define KEYVAL_MAX_TEXT  (1024 * 1024) /* bytes of one option */
#define KEYVAL_MAX_KEY   1024          /* bytes of one key */
#define KEYVAL_MAX_DEPTH 64            /* components of one key */

/*
 * Parse @params.
 *
 * @implied_key: the key of a first value that has none (`qcow2,file=...` with `driver`), or NULL.
 * @p_help: set to whether a bare `help` or `?` stands among the parameters (which are then
 *     parsed nevertheless); NULL where the option has no help, which makes those an error.
 *
 * Returns a new object, possibly an empty one, or NULL with @errp set.
 */
json_t *keyval_parse(const char *params, const char *implied_key, bool *p_help, Error **errp);

/*
 * The same for an option that may be given more than once: add @params to @into, which came from an
 * earlier call or is empty.  What @params sets replaces what was there; lists go on growing.
 *
 * Returns @into (no new reference), or NULL with @errp set and @into unchanged.
 */
json_t *keyval_parse_into(json_t *into, const char *params, const char *implied_key, bool *p_help,
                          Error **errp);

/*
 * Parse @text, one JSON value of any type; a member given twice is an error.
 *
 * Returns a new reference, or NULL with @errp set to `LINE:COLUMN: JSON parse error, REASON`.
 */
json_t *json_parse_text(const char *text, Error **errp);

#endif
