/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON values out of a stream of bytes that anybody may have sent.
 *
 * The stream finds where a value ends; jansson parses it.  Values need nothing between them, except
 * that a number or a word ends with the next byte that cannot be part of it.  As QMP clients may,
 * strings can be quoted by ' as well.  An object has no member twice, a string no NUL and no
 * invalid UTF-8.
 *
 * After a mistake inside a value the rest of the line is dropped, so that no fragment of a request
 * is taken for a request; a mistake between values costs one byte or word.
 */
#ifndef MONITOR_JSON_STREAM_H
#define MONITOR_JSON_STREAM_H

#include <jansson.h>

#include "qapi/error.h"

/* A value that is longer, in bytes, or deeper is a mistake; memory is bounded by the first. */
#define JSON_STREAM_MAX_LENGTH (1024 * 1024)
#define JSON_STREAM_MAX_DEPTH  1024

typedef struct JsonStream JsonStream;

JsonStream *json_stream_new(void);
void json_stream_free(JsonStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonStream, json_stream_free)

/*
 * Take bytes up to the end of the first value or mistake among them.
 *
 * Returns how many of the @len bytes were taken.  If a value ended, *@value is set (new reference);
 * after a mistake @errp is, to "LINE:COLUMN: JSON parse error, ...", counted from 1 since the
 * stream began; otherwise all bytes were taken, and neither is set.  @errp must not be NULL.
 */
size_t json_stream_read(JsonStream *stream, const char *bytes, size_t len, json_t **value,
                        Error **errp);

#endif
