/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON values out of a stream: see json-stream.h.
 *
 * A small automaton follows brackets and strings, byte by byte, and collects the text of one value.
 * Whether the text is right JSON is left to jansson, once the brackets match.
 */
#include "qemu/osdep.h"

#include "json-stream.h"

/* Text memory beyond this is given back after each value. */
#define SMALL_LENGTH 4096

typedef enum StreamState {
    BETWEEN_VALUES,
    IN_WORD,   /* a number, true or the like, outside of brackets */
    IN_VALUE,  /* inside brackets, outside of strings */
    IN_STRING, /* inside or outside of brackets */
    AFTER_BACKSLASH,
    IN_REST_OF_LINE, /* after a mistake */
} StreamState;

/*
 * @text is empty between values.  @depth brackets are open, of which @brackets holds those that
 * will close them.
 */
struct JsonStream {
    StreamState state;
    GString *text;
    char brackets[JSON_STREAM_MAX_DEPTH];
    unsigned int depth;
    char quote;                            /* of the string we are in */
    unsigned int line, column;             /* of the next byte */
    unsigned int start_line, start_column; /* of the value */
};

/* What became of one byte. */
typedef enum Step {
    STEP_ON,
    STEP_END,        /* it is the last of a value */
    STEP_END_BEFORE, /* a value ended before it; not taken */
    STEP_MISTAKE,
} Step;

JsonStream *json_stream_new(void)
{
    JsonStream *stream = g_new0(JsonStream, 1);

    stream->text = g_string_new(NULL);
    stream->line = stream->column = 1;
    return stream;
}

void json_stream_free(JsonStream *stream)
{
    if (stream) {
        g_string_free(stream->text, true);
        g_free(stream);
    }
}

static void clear_text(JsonStream *stream)
{
    if (stream->text->allocated_len > SMALL_LENGTH) {
        g_string_free(stream->text, true);
        stream->text = g_string_new(NULL);
    }
    g_string_truncate(stream->text, 0);
    stream->depth = 0;
}

/* ---- mistakes ---- */

static Step G_GNUC_PRINTF(3, 4) mistake(JsonStream *stream, Error **errp, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    error_setg(errp, "%u:%u: JSON parse error, %s", stream->line, stream->column, text);
    if (stream->state != BETWEEN_VALUES) {
        stream->state = IN_REST_OF_LINE;
    }
    clear_text(stream);
    return STEP_MISTAKE;
}

static Step unexpected(JsonStream *stream, unsigned char c, Error **errp)
{
    if (g_ascii_isprint(c)) {
        return mistake(stream, errp, "unexpected '%c'", c);
    }
    return mistake(stream, errp, "unexpected byte 0x%02x", c);
}

/* ---- the automaton ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether it occurs in numbers or words. */
static bool is_of_word(char c)
{
    return g_ascii_isalnum(c) || c == '-' || c == '+' || c == '.' || c == '_';
}

static Step end_if_outermost(JsonStream *stream)
{
    if (stream->depth == 0) {
        stream->state = BETWEEN_VALUES;
        return STEP_END;
    }
    stream->state = IN_VALUE;
    return STEP_ON;
}

/* A byte outside of strings and words, which may begin one. */
static Step step_plain(JsonStream *stream, char c, Error **errp)
{
    switch (c) {
    case '[':
    case '{':
        if (stream->depth == JSON_STREAM_MAX_DEPTH) {
            return mistake(stream, errp, "more than %d levels of brackets", JSON_STREAM_MAX_DEPTH);
        }
        stream->brackets[stream->depth++] = c == '[' ? ']' : '}';
        stream->state = IN_VALUE;
        break;
    case ']':
    case '}':
        if (stream->depth == 0 || stream->brackets[stream->depth - 1] != c) {
            return unexpected(stream, c, errp);
        }
        stream->depth--;
        g_string_append_c(stream->text, c);
        return end_if_outermost(stream);
    case '"':
    case '\'':
        stream->quote = c;
        stream->state = IN_STRING;
        c = '"';
        break;
    default:
        if (is_of_word(c)) {
            stream->state = stream->depth ? IN_VALUE : IN_WORD;
        } else if (!stream->depth || !(is_space(c) || c == ',' || c == ':')) {
            return unexpected(stream, c, errp);
        }
    }
    g_string_append_c(stream->text, c);
    return STEP_ON;
}

static Step step_string(JsonStream *stream, unsigned char c, Error **errp)
{
    if (c < 0x20) {
        return mistake(stream, errp, "a string contains the control character 0x%02x", c);
    }
    if (c == stream->quote) {
        g_string_append_c(stream->text, '"');
        return end_if_outermost(stream);
    }
    if (c == '\\') {
        stream->state = AFTER_BACKSLASH;
        return STEP_ON;
    }
    /* between single quotes */
    if (c == '"') {
        g_string_append_c(stream->text, '\\');
    }
    g_string_append_c(stream->text, c);
    return STEP_ON;
}

static Step step_escape(JsonStream *stream, unsigned char c, Error **errp)
{
    if (c < 0x20) {
        return mistake(stream, errp, "a string contains the control character 0x%02x", c);
    }
    if (c != '\'') {
        g_string_append_c(stream->text, '\\');
    }
    g_string_append_c(stream->text, c);
    stream->state = IN_STRING;
    return STEP_ON;
}

static Step step(JsonStream *stream, char c, Error **errp)
{
    if (stream->text->len >= JSON_STREAM_MAX_LENGTH) {
        return mistake(stream, errp, "a value of more than %d bytes", JSON_STREAM_MAX_LENGTH);
    }
    switch (stream->state) {
    case BETWEEN_VALUES:
        if (is_space(c)) {
            return STEP_ON;
        }
        stream->start_line = stream->line;
        stream->start_column = stream->column;
        return step_plain(stream, c, errp);
    case IN_WORD:
        if (!is_of_word(c)) {
            stream->state = BETWEEN_VALUES;
            return STEP_END_BEFORE;
        }
        g_string_append_c(stream->text, c);
        return STEP_ON;
    case IN_VALUE:
        return step_plain(stream, c, errp);
    case IN_STRING:
        return step_string(stream, c, errp);
    case AFTER_BACKSLASH:
        return step_escape(stream, c, errp);
    case IN_REST_OF_LINE:
        return STEP_ON;
    }
    g_assert_not_reached();
}

/* Count @c, which was taken. */
static void move_on(JsonStream *stream, char c)
{
    if (c == '\n') {
        stream->line++;
        stream->column = 1;
        if (stream->state == IN_REST_OF_LINE) {
            stream->state = BETWEEN_VALUES;
        }
    } else if ((c & 0xc0) != 0x80) {
        /* not inside a character of UTF-8 */
        stream->column++;
    }
}

static json_t *parse_text(JsonStream *stream, Error **errp)
{
    json_error_t error;
    json_t *value = json_loadb(stream->text->str, stream->text->len,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);

    if (!value) {
        unsigned int line = MAX(error.line, 1) - 1;
        unsigned int column = MAX(error.column, 1);
        bool has_nul = json_error_code(&error) == json_error_null_character;

        error_setg(errp, "%u:%u: JSON parse error, %s", stream->start_line + line,
                   line ? column : stream->start_column + column - 1,
                   has_nul ? "a string contains \\u0000" : error.text);
    }
    clear_text(stream);
    return value;
}

size_t json_stream_read(JsonStream *stream, const char *bytes, size_t len, json_t **value,
                        Error **errp)
{
    size_t taken = 0;

    *value = NULL;
    while (taken < len) {
        char c = bytes[taken];
        Step result = step(stream, c, errp);

        if (result != STEP_END_BEFORE) {
            move_on(stream, c);
            taken++;
        }
        if (result == STEP_MISTAKE) {
            break;
        }
        if (result != STEP_ON) {
            *value = parse_text(stream, errp);
            break;
        }
    }
    return taken;
}
