/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON values out of a stream of bytes, right and wrong ones, cut into pieces in every way.
 *
 * What came out of a stream is compared as text: values as JSON, mistakes as `!` and the message,
 * with ` | ` between them.
 */
#include "qemu/osdep.h"

#include "monitor/json-stream.h"

/* ---- reading ---- */

static void append_outcome(GString *outcomes, json_t *value, const Error *err)
{
    if (outcomes->len) {
        g_string_append(outcomes, " | ");
    }
    if (value) {
        char *text = json_dumps(value, JSON_ENCODE_ANY);

        g_string_append(outcomes, text);
        free(text);
    } else {
        g_string_append_printf(outcomes, "!%s", error_get_pretty(err));
    }
}

static void feed(JsonStream *stream, const char *bytes, size_t len, GString *outcomes)
{
    while (len) {
        g_autoptr(Error) err = NULL;
        json_auto_t *value = NULL;
        size_t taken = json_stream_read(stream, bytes, len, &value, &err);

        g_assert_cmpuint(taken, <=, len);
        g_assert_false(value && err);
        bytes += taken;
        len -= taken;
        if (value || err) {
            append_outcome(outcomes, value, err);
        } else {
            g_assert_cmpuint(len, ==, 0);
        }
    }
}

/* Feed the bytes in pieces of @piece, the first being @first. */
static char *outcomes_in_pieces(const char *bytes, size_t len, size_t first, size_t piece)
{
    g_autoptr(JsonStream) stream = json_stream_new();
    GString *outcomes = g_string_new(NULL);
    size_t done = MIN(first, len);

    feed(stream, bytes, done, outcomes);
    while (done < len) {
        size_t size = MIN(piece, len - done);

        feed(stream, bytes + done, size, outcomes);
        done += size;
    }
    return g_string_free(outcomes, false);
}

static void check_bytes(const char *bytes, size_t len, const char *expected)
{
    g_autofree char *whole = outcomes_in_pieces(bytes, len, len, 1);
    g_autofree char *bytewise = outcomes_in_pieces(bytes, len, 0, 1);

    g_assert_cmpstr(whole, ==, expected);
    g_assert_cmpstr(bytewise, ==, expected);
    for (size_t first = 1; first < len; first++) {
        g_autofree char *cut = outcomes_in_pieces(bytes, len, first, len);

        g_assert_cmpstr(cut, ==, expected);
    }
}

static void check(const char *text, const char *expected)
{
    check_bytes(text, strlen(text), expected);
}

/* ---- tests ---- */

static void test_values(void)
{
    check("{\"a\": [1, 2.5, true, null, \"x\"]}", "{\"a\": [1, 2.5, true, null, \"x\"]}");
    check("{}[]{ }\n[\n]\"s\"", "{} | [] | {} | [] | \"s\"");
    check("1 -2\ntrue\tnull 3", "1 | -2 | true | null");
    check("1{}2[]3\"x\"", "1 | {} | 2 | [] | 3 | \"x\"");
    check("[\"}]\", \"\\\"]\", \"\\\\\"]", "[\"}]\", \"\\\"]\", \"\\\\\"]");
    check("\"\xc3\xa4\\u00e4\"", "\"\xc3\xa4\xc3\xa4\"");
    check("", "");
    check("{\"never\": \"finished", "");
}

static void test_single_quotes(void)
{
    check("{'execute': 'x'}", "{\"execute\": \"x\"}");
    check("['a\"b', 'it\\'s', \"it\\'s\", \"it's\", '\\\"', '\\n', '\\\\']",
          "[\"a\\\"b\", \"it's\", \"it's\", \"it's\", \"\\\"\", \"\\n\", \"\\\\\"]");
}

static void test_mistakes(void)
{
    check("nope {}", "!1:4: JSON parse error, invalid token near 'nope' | {}");
    check("{}\n  ]{}", "{} | !2:3: JSON parse error, unexpected ']' | {}");
    check("\xff{}", "!1:1: JSON parse error, unexpected byte 0xff | {}");
    check("{\"a\" 1}{}", "!1:6: JSON parse error, ':' expected near '1' | {}");
    check("{}\n\n [1,\n2,]\n[]", "{} | !4:3: JSON parse error, unexpected token near ']' | []");
    check("{\"a\": 1, \"a\": 2}{}",
          "!1:12: JSON parse error, duplicate object key near '\"a\"' | {}");
    check("[\"\xc3\x28\"] []", "!1:2: JSON parse error, unable to decode byte 0xc3 near '\"' | []");
    check("[\"\\u0000\"] []", "!1:9: JSON parse error, a string contains \\u0000 | []");
    check("[99999999999999999999] []",
          "!1:21: JSON parse error, too big integer near '99999999999999999999' | []");
    /* characters are counted, not bytes */
    check("\"\xc3\xa4\" ]", "\"\xc3\xa4\" | !1:5: JSON parse error, unexpected ']'");
}

/* What follows a mistake in a line could be meant as a part of the broken value. */
static void test_rest_of_line(void)
{
    check("{\"a\": @, \"b\": {\"execute\": \"quit\"}}\n{}",
          "!1:7: JSON parse error, unexpected '@' | {}");
    check("[1} {\"execute\": \"quit\"}\n[]", "!1:3: JSON parse error, unexpected '}' | []");
    check("\"a\tb\" {\"execute\": \"quit\"}\n[]",
          "!1:3: JSON parse error, a string contains the control character 0x09 | []");
    check("{\"a\": \"\n{}",
          "!1:8: JSON parse error, a string contains the control character 0x0a | {}");
    check("\"\\\n{}", "!1:3: JSON parse error, a string contains the control character 0x0a | {}");
    check_bytes("[\0] {}\n{}", 9, "!1:2: JSON parse error, unexpected byte 0x00 | {}");
    check_bytes("\"\0\" {}\n{}", 9,
                "!1:2: JSON parse error, a string contains the control character 0x00 | {}");
}

static char *repeat(char c, size_t count)
{
    char *text = g_malloc(count + 1);

    memset(text, c, count);
    text[count] = '\0';
    return text;
}

static void check_pieces(const char *text, const char *expected)
{
    for (size_t piece = 4095; piece <= 4097; piece++) {
        g_autofree char *outcomes = outcomes_in_pieces(text, strlen(text), 0, piece);

        g_assert_cmpstr(outcomes, ==, expected);
    }
}

static void test_depth(void)
{
    g_autofree char *opening = repeat('[', JSON_STREAM_MAX_DEPTH);
    g_autofree char *closing = repeat(']', JSON_STREAM_MAX_DEPTH);
    g_autofree char *deepest = g_strconcat(opening, closing, NULL);
    g_autofree char *too_deep = g_strconcat(opening, "[]", closing, "\n{}", NULL);
    g_autofree char *endless = repeat('{', 10 * 1000 * 1000);

    check_pieces(deepest, deepest);
    check_pieces(too_deep, "!1:1025: JSON parse error, more than 1024 levels of brackets | {}");
    check_pieces(endless, "!1:1025: JSON parse error, more than 1024 levels of brackets");
}

static void test_length(void)
{
    g_autofree char *filling = repeat('x', JSON_STREAM_MAX_LENGTH - 2);
    g_autofree char *longest = g_strconcat("\"", filling, "\"", NULL);
    g_autofree char *too_long = g_strconcat("\"x", filling, "\"\n{}", NULL);
    g_autofree char *word = repeat('7', 3 * JSON_STREAM_MAX_LENGTH);

    check_pieces(longest, longest);
    check_pieces(too_long, "!1:1048577: JSON parse error, a value of more than 1048576 bytes | {}");
    check_pieces(word, "!1:1048577: JSON parse error, a value of more than 1048576 bytes");
}

/* ---- mutations ---- */

static const char *const seeds[] = {
    "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"query-version\", \"id\": [1, {\"a\": "
    "null}]}\n",
    "{'execute': 'blockdev-add', 'arguments': {'driver': 'file', 'x': 'it\\'s', 'n': -1.5e3}}\n",
    "[[[[{\"a\": {\"b\": {\"c\": [true, false, null]}}}]]]] 12 \"\\u00e4\\\\\" {}\n",
};

static const char interesting[] = "{}[]\"'\\:,\n \t0-e.ut\0\xff\xc3\x80@";

static void mutate(GByteArray *bytes)
{
    unsigned int nr_changes = g_test_rand_int_range(1, 6);

    for (unsigned int i = 0; i < nr_changes && bytes->len; i++) {
        unsigned int at = g_test_rand_int_range(0, bytes->len);
        guint8 byte = interesting[g_test_rand_int_range(0, sizeof(interesting) - 1)];

        switch (g_test_rand_int_range(0, 4)) {
        case 0:
            bytes->data[at] = byte;
            break;
        case 1:
            g_byte_array_remove_range(bytes, at, MIN(bytes->len - at, 1 + at % 7));
            break;
        case 2:
            bytes->data[at] ^= 1 << (at % 8);
            break;
        default: {
            g_autofree guint8 *copy = g_memdup2(bytes->data + at, bytes->len - at);

            g_byte_array_append(bytes, copy, MIN(bytes->len - at, 40));
        }
        }
    }
}

/* After whatever came, an end of the line, and all that could be open closed, a value is a value.
 */
static void check_that_it_recovers(JsonStream *stream)
{
    GString *outcomes = g_string_new(NULL);

    feed(stream, "\x01\n\x01\n{\"ok\": 1}", 13, outcomes);
    g_assert_true(g_str_has_suffix(outcomes->str, "{\"ok\": 1}"));
    g_string_free(outcomes, true);
}

static void test_mutations(void)
{
    unsigned int nr_cases = g_test_thorough() ? 1000000 : 100000;

    for (unsigned int i = 0; i < nr_cases; i++) {
        const char *seed = seeds[i % ARRAY_SIZE(seeds)];
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_autoptr(JsonStream) stream = json_stream_new();
        GString *outcomes = g_string_new(NULL);
        g_autofree char *in_pieces = NULL;

        g_byte_array_append(bytes, (const guint8 *)seed, strlen(seed));
        mutate(bytes);
        feed(stream, (const char *)bytes->data, bytes->len, outcomes);
        in_pieces = outcomes_in_pieces((const char *)bytes->data, bytes->len,
                                       g_test_rand_int_range(0, 9), g_test_rand_int_range(1, 40));
        g_assert_cmpstr(in_pieces, ==, outcomes->str);
        check_that_it_recovers(stream);
        g_string_free(outcomes, true);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/json/values-are-found-however-they-are-cut", test_values);
    g_test_add_func("/monitor/json/single-quotes-are-quotes-too", test_single_quotes);
    g_test_add_func("/monitor/json/mistakes-are-told-with-their-place", test_mistakes);
    g_test_add_func("/monitor/json/rest-of-a-bad-line-is-dropped", test_rest_of_line);
    g_test_add_func("/monitor/json/depth-is-bounded", test_depth);
    g_test_add_func("/monitor/json/length-is-bounded", test_length);
    g_test_add_func("/monitor/json/mutations-are-survived-however-they-are-cut", test_mutations);
    return g_test_run();
}
