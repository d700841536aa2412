/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading, writing and freeing values of generated types, with the schema of tests/qapi-schema.
 *
 * Inputs are JSON texts in which ' stands for ", so that they can be read.
 */
#include "qemu/osdep.h"
#include "tests/qapi-schema/test-qapi-visit.h"

static json_t *parse(const char *text)
{
    g_autofree char *json_text = g_strdelimit(g_strdup(text), "'", '"');
    json_error_t error;
    json_t *json = json_loads(json_text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (!json) {
        g_error("%s: %s", text, error.text);
    }
    return json;
}

typedef bool Reader(const QapiTypeInfo *type, json_t *json, void *slot, Error **errp);

/* What is read from @text comes out as @expected. */
static void check_read(Reader *read, const QapiTypeInfo *type, const char *text,
                       const char *expected)
{
    json_t *json = parse(text);
    json_t *expected_json = parse(expected);
    json_t *output;
    void *obj = NULL;
    Error *err = NULL;

    if (!read(type, json, &obj, &err)) {
        g_error("%s: %s", text, error_get_pretty(err));
    }
    json_decref(json);
    output = qapi_to_json(type, &obj);
    qapi_free_value(type, &obj);
    g_assert_null(obj);
    if (!json_equal(output, expected_json)) {
        g_error("%s became %s", text, json_dumps(output, 0));
    }
    json_decref(output);
    json_decref(expected_json);
}

static void check_json(const QapiTypeInfo *type, const char *text)
{
    check_read(qapi_from_json, type, text, text);
}

static void check_keyval(const QapiTypeInfo *type, const char *text, const char *expected)
{
    check_read(qapi_from_keyval, type, text, expected);
}

static void check_error(Reader *read, const QapiTypeInfo *type, const char *text,
                        const char *message)
{
    json_t *json = parse(text);
    void *obj = NULL;
    Error *err = NULL;

    g_assert_false(read(type, json, &obj, &err));
    g_assert_null(obj);
    g_assert_cmpstr(error_get_pretty(err), ==, message);
    error_free(err);
    json_decref(json);
}

static void check_json_error(const QapiTypeInfo *type, const char *text, const char *message)
{
    check_error(qapi_from_json, type, text, message);
}

static void check_keyval_error(const QapiTypeInfo *type, const char *text, const char *message)
{
    check_error(qapi_from_keyval, type, text, message);
}

static void test_round_trip(void)
{
    check_json(&qapi_info_Scalars, "{}");
    check_json(
        &qapi_info_Scalars,
        "{'str': 'x', 'bool': true, 'int': -5, 'int8': -128, 'int16': -32768, 'int32': -2147483648,"
        " 'int64': -9223372036854775808, 'uint8': 255, 'uint16': 65535, 'uint32': 4294967295,"
        " 'uint64': 9223372036854775807, 'size': 0, 'number': 1.5, 'colour': 'dark-green',"
        " 'any': {'a': [1, null]}}");
    check_json(&qapi_info_Derived,
               "{'id': 'a', 'default': 3, 'names': ['x', 'y'], 'small': [], 'shown': 's',"
               " 'children': [{'id': 'b', 'names': []}, {'id': 'c', 'scalars': {'int': 1}}]}");
    check_json(&qapi_info_Empty, "{}");
    check_json(&qapi_info_Shape, "{'type': 'point', 'label': 'origin'}");
    check_json(&qapi_info_Shape, "{'type': 'nested', 'inside': {'type': 'nested', 'inside': "
                                 "{'type': 'round', 'radius': 7}}}");
    check_json(&qapi_info_strList, "['a', 'b']");
    check_json(&qapi_info_ShapeList, "[{'type': 'point'}, {'type': 'round', 'radius': 0}]");
}

static void test_alternate(void)
{
    check_json(&qapi_info_Picture, "{'shape': 'name', 'limit': 4}");
    check_json(&qapi_info_Picture, "{'shape': {'type': 'round', 'radius': 1}, 'limit': null}");
    check_json(&qapi_info_Picture, "{'shape': [{'type': 'point'}, {'type': 'point'}]}");
    check_json(&qapi_info_Picture, "{'shape': null}");
    check_json_error(&qapi_info_Picture, "{'shape': 5}",
                     "Invalid parameter type for 'shape', expected: ShapeRef");
    check_json_error(&qapi_info_Picture, "{'shape': null, 'limit': '4'}",
                     "Invalid parameter type for 'limit', expected: Limit");
    check_keyval(&qapi_info_Picture, "{'shape': 'n', 'limit': '0x10'}",
                 "{'shape': 'n', 'limit': 16}");
    check_keyval(&qapi_info_Picture, "{'shape': {'type': 'round', 'radius': '9'}, 'limit': 3}",
                 "{'shape': {'type': 'round', 'radius': 9}, 'limit': 3}");
}

static void test_c_side(void)
{
    json_t *json =
        parse("{'type': 'nested', 'label': 'l', 'inside': {'type': 'round', 'radius': 7}}");
    g_autoptr(Shape) shape = qapi_Shape_from_json(json, NULL);

    json_decref(json);
    g_assert_cmpint(shape->type, ==, SHAPE_TYPE_NESTED);
    g_assert_cmpstr(shape->label, ==, "l");
    g_assert_cmpint(shape->u.nested.inside->type, ==, SHAPE_TYPE_ROUND);
    g_assert_cmpuint(shape->u.nested.inside->u.round.radius, ==, 7);

    json = parse("{'id': 'a', 'default': 4, 'names': ['x', 'y']}");
    g_autoptr(Derived) derived = qapi_Derived_from_json(json, NULL);

    json_decref(json);
    g_assert_true(derived->has_q_default);
    g_assert_cmpint(derived->q_default, ==, 4);
    g_assert_null(derived->scalars);
    g_assert_cmpstr(derived->names->next->value, ==, "y");
    g_assert_null(derived->names->next->next);
}

static void test_build_by_hand(void)
{
    strList *names = NULL, **tail = &names;
    Derived derived = {.id = (char *)"by\xff"
                                     "hand"};
    json_t *json, *expected = parse("{'id': 'by\\ufffdhand', 'names': ['one', 'two']}");

    QAPI_LIST_APPEND(tail, g_strdup("one"));
    QAPI_LIST_APPEND(tail, g_strdup("two"));
    derived.names = names;
    json = qapi_Derived_to_json(&derived);
    g_assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
    qapi_free_strList(names);
    qapi_free_strList(NULL);
    qapi_free_Shape(NULL);
}

static void test_tree_reads_back_without_loss(void)
{
    Scalars before = {.str = (char *)"by\xff" "tes", .has_uint64 = true, .uint64 = UINT64_MAX};
    const Scalars *obj = &before;
    json_t *tree = qapi_to_tree(&qapi_info_Scalars, &obj);
    Scalars *after = NULL;

    g_assert_true(qapi_from_keyval(&qapi_info_Scalars, tree, &after, &error_abort));
    g_assert_cmpstr(after->str, ==, before.str);
    g_assert_true(after->has_uint64);
    g_assert_cmpuint(after->uint64, ==, UINT64_MAX);
    qapi_free_Scalars(after);
    json_decref(tree);
}

static void test_large_unsigned_output(void)
{
    Scalars scalars = {.has_uint64 = true, .uint64 = UINT64_MAX};
    json_t *json = qapi_Scalars_to_json(&scalars);

    g_assert_cmpfloat(json_real_value(json_object_get(json, "uint64")), ==, 18446744073709551616.0);
    json_decref(json);
}

static void test_missing_and_unexpected(void)
{
    const QapiTypeInfo *derived = &qapi_info_Derived;

    check_json_error(derived, "{}", "Parameter 'id' is missing");
    check_json_error(derived, "{'id': 'a', 'x': 1}", "Parameter 'x' is unexpected");
    check_json_error(derived, "{'id': 'a', 'hidden': 'x'}", "Parameter 'hidden' is unexpected");
    check_json_error(derived, "{'id': 'a', 'scalars': {'y': 1}}",
                     "Parameter 'scalars.y' is unexpected");
    check_json_error(derived, "{'id': 'a', 'children': [{'id': 'b'}, {'names': ['x']}]}",
                     "Parameter 'children[1].id' is missing");
    check_keyval_error(derived, "{'id': 'a', 'children': [{'id': 'b'}, {}]}",
                       "Parameter 'children.1.id' is missing");
    check_json_error(&qapi_info_Shape, "{'label': 'x'}", "Parameter 'type' is missing");
    check_json_error(&qapi_info_Shape, "{'type': 'round'}", "Parameter 'radius' is missing");
    check_json_error(&qapi_info_Shape, "{'type': 'point', 'radius': 1}",
                     "Parameter 'radius' is unexpected");
    check_json_error(&qapi_info_Picture, "{'shape': {'type': 'nested', 'inside': {}}}",
                     "Parameter 'shape.inside.type' is missing");
}

static void test_strict_types(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{'str': 1}", "Invalid parameter type for 'str', expected: string"},
        {"{'bool': 'on'}", "Invalid parameter type for 'bool', expected: boolean"},
        {"{'int': '1'}", "Invalid parameter type for 'int', expected: integer"},
        {"{'int': 1.0}", "Invalid parameter type for 'int', expected: integer"},
        {"{'size': '1G'}", "Invalid parameter type for 'size', expected: integer"},
        {"{'number': '1'}", "Invalid parameter type for 'number', expected: number"},
        {"{'colour': 3}", "Invalid parameter type for 'colour', expected: string"},
        {"{'colour': 'pink'}", "Parameter 'colour' does not accept value 'pink'"},
        {"{'colour': 'ultraviolet'}", "Parameter 'colour' does not accept value 'ultraviolet'"},
        {"{'str': null}", "Invalid parameter type for 'str', expected: string"},
        {"{'str': 'a\\u0000b'}", "Parameter 'str' contains a NUL character"},
        {"[]", "Invalid parameter type, expected: object"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check_json_error(&qapi_info_Scalars, cases[i].text, cases[i].message);
    }
    check_json_error(&qapi_info_Derived, "{'id': 'a', 'names': 'x'}",
                     "Invalid parameter type for 'names', expected: array");
    check_json_error(&qapi_info_Derived, "{'id': 'a', 'scalars': []}",
                     "Invalid parameter type for 'scalars', expected: object");
    check_json_error(&qapi_info_Derived, "{'id': 'a', 'names': ['x', 1]}",
                     "Invalid parameter type for 'names[1]', expected: string");
}

static void test_integer_ranges(void)
{
    static const struct {
        const char *member, *below, *above, *range;
    } cases[] = {
        {"int8", "-129", "128", "-128 and 127"},
        {"int16", "-32769", "32768", "-32768 and 32767"},
        {"int32", "-2147483649", "2147483648", "-2147483648 and 2147483647"},
        {"uint8", "-1", "256", "0 and 255"},
        {"uint16", "-1", "65536", "0 and 65535"},
        {"uint32", "-1", "4294967296", "0 and 4294967295"},
        {"uint64", "-1", NULL, "0 and 18446744073709551615"},
        {"size", "-1", NULL, "0 and 18446744073709551615"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *values[] = {cases[i].below, cases[i].above};

        for (size_t j = 0; j < 2 && values[j]; j++) {
            g_autofree char *native = g_strdup_printf("{'%s': %s}", cases[i].member, values[j]);
            g_autofree char *text = g_strdup_printf("{'%s': '%s'}", cases[i].member, values[j]);
            g_autofree char *message = g_strdup_printf("Parameter '%s' must be between %s, got %s",
                                                       cases[i].member, cases[i].range, values[j]);

            check_json_error(&qapi_info_Scalars, native, message);
            if (strcmp(cases[i].member, "size")) {
                check_keyval_error(&qapi_info_Scalars, text, message);
            }
        }
    }
}

static void test_keyval_values(void)
{
    check_keyval(&qapi_info_Scalars,
                 "{'str': '5', 'bool': 'on', 'int': '-0x10', 'uint8': '255', 'size': '1.5G',"
                 " 'number': '2.5', 'colour': '1-blue', 'any': 'x'}",
                 "{'str': '5', 'bool': true, 'int': -16, 'uint8': 255, 'size': 1610612736,"
                 " 'number': 2.5, 'colour': '1-blue', 'any': 'x'}");
    check_keyval(&qapi_info_Scalars, "{'int64': '-9223372036854775808', 'int32': '-2147483648'}",
                 "{'int64': -9223372036854775808, 'int32': -2147483648}");
    check_keyval(&qapi_info_Scalars, "{'bool': 'no'}", "{'bool': false}");
    check_keyval(&qapi_info_Derived, "{'id': 'a', 'small': ['1', 2], 'names': ['x']}",
                 "{'id': 'a', 'small': [1, 2], 'names': ['x']}");
}

/* Options from the command line and from json: text meet in one tree. */
static void test_keyval_native_leaves(void)
{
    check_keyval(&qapi_info_Scalars,
                 "{'bool': true, 'int': 5, 'size': 4096, 'number': 2.5, 'any': [1]}",
                 "{'bool': true, 'int': 5, 'size': 4096, 'number': 2.5, 'any': [1]}");
    check_keyval_error(&qapi_info_Scalars, "{'str': 5}",
                       "Invalid parameter type for 'str', expected: string");
    check_keyval_error(&qapi_info_Scalars, "{'bool': 1}",
                       "Invalid parameter type for 'bool', expected: boolean");
    check_keyval_error(&qapi_info_Scalars, "{'int8': 300}",
                       "Parameter 'int8' must be between -128 and 127, got 300");
}

static void test_keyval_bad_values(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{'bool': 'maybe'}", "Parameter 'bool' expects 'on' or 'off', got 'maybe'"},
        {"{'int': ''}", "Parameter 'int' expects an integer, got ''"},
        {"{'int': '5x'}", "Parameter 'int' expects an integer, got '5x'"},
        {"{'uint32': '-'}", "Parameter 'uint32' expects an integer, got '-'"},
        {"{'int64': '9223372036854775808'}",
         "Parameter 'int64' must be between -9223372036854775808 and 9223372036854775807, "
         "got 9223372036854775808"},
        {"{'uint64': '18446744073709551616'}",
         "Parameter 'uint64' must be between 0 and 18446744073709551615, got 18446744073709551616"},
        {"{'size': '1e30'}", "Parameter 'size' expects a size in bytes, optionally with one of the "
                             "suffixes K, M, G, T, P and E, got '1e30'"},
        {"{'size': '-1'}", "Parameter 'size' expects a size in bytes, optionally with one of the "
                           "suffixes K, M, G, T, P and E, got '-1'"},
        {"{'size': '16E'}", "Parameter 'size' is too large: '16E'"},
        {"{'number': 'nan'}", "Parameter 'number' expects a number, got 'nan'"},
        {"{'colour': 'pink'}", "Parameter 'colour' does not accept value 'pink'"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        check_keyval_error(&qapi_info_Scalars, cases[i].text, cases[i].message);
    }
}

static void test_deep_nesting(void)
{
    GString *text = g_string_new("{'type': 'point'}");

    for (int i = 0; i < 300; i++) {
        g_string_prepend(text, "{'type': 'nested', 'inside': ");
        g_string_append_c(text, '}');
    }
    check_json_error(&qapi_info_Shape, text->str,
                     "Parameters are nested more than 256 levels deep");
    g_string_free(text, TRUE);
}

/* Fail at every prefix of a document: nothing may leak or be freed twice (the sanitizers look). */
static void test_every_broken_document(void)
{
    json_t *good = parse("{'id': 'a', 'names': ['x', 'y'], 'scalars': {'str': 's', 'any': [1]},"
                         " 'children': [{'id': 'b', 'names': ['z']}]}");
    const char *key;
    json_t *value;

    json_object_foreach(good, key, value)
    {
        json_t *broken = json_deep_copy(good);
        Error *err = NULL;

        json_object_set_new(broken, key, json_real(0.5));
        g_assert_null(qapi_Derived_from_json(broken, &err));
        g_assert_nonnull(err);
        error_free(err);
        json_decref(broken);
    }
    json_decref(good);
}

static void test_type_info(void)
{
    const QapiStructInfo *info = &qapi_info_Derived;
    const QapiMember *member = qapi_find_member(info, "scalars");

    g_assert_cmpstr(info->name, ==, "Derived");
    g_assert_cmpstr(info->doc, ==, "A struct with a base, lists and a condition.");
    g_assert_cmpstr(info->members[0].name, ==, "id");
    g_assert_cmpstr(info->members[0].doc, ==, "its name");
    g_assert_false(info->members[0].optional);
    g_assert_cmpstr(member->type, ==, "Scalars");
    g_assert_true(member->optional);
    g_assert_true(member->info == &qapi_info_Scalars);
    g_assert_null(qapi_find_member(info, "hidden"));
    g_assert_cmpstr(qapi_info_Colour.values[COLOUR_DARK_GREEN].doc, ==, "has a dash");
}

static void test_enum(void)
{
    Error *err = NULL;

    g_assert_cmpint(COLOUR__MAX, ==, 3);
    g_assert_cmpstr(Colour_str(COLOUR_1_BLUE), ==, "1-blue");
    g_assert_cmpint(qapi_enum_parse(&qapi_info_Colour, "c", "dark-green", &err), ==,
                    COLOUR_DARK_GREEN);
    g_assert_null(err);
    g_assert_cmpint(qapi_enum_parse(&qapi_info_Colour, "c", "pink", &err), ==, -1);
    g_assert_cmpstr(error_get_pretty(err), ==, "Parameter 'c' does not accept value 'pink'");
    error_free(err);
}

static void test_visit_into_open_visitor(void)
{
    Visitor *v = json_output_visitor_new();
    Colour colour = COLOUR_RED;
    json_t *json;

    g_assert_true(visit_type_Colour(v, "c", &colour, NULL));
    json = json_output_visitor_take(v);
    g_assert_cmpstr(json_string_value(json), ==, "red");
    json_decref(json);
    json_output_visitor_free(v);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/visit/what-is-read-is-written", test_round_trip);
    g_test_add_func("/qapi/visit/alternate-takes-the-branch-that-fits", test_alternate);
    g_test_add_func("/qapi/visit/members-arrive-in-c", test_c_side);
    g_test_add_func("/qapi/visit/values-made-in-c-are-written", test_build_by_hand);
    g_test_add_func("/qapi/visit/unsigned-above-int64-is-a-real", test_large_unsigned_output);
    g_test_add_func("/qapi/visit/tree-reads-back-without-loss", test_tree_reads_back_without_loss);
    g_test_add_func("/qapi/visit/missing-and-unexpected-are-named-by-path",
                    test_missing_and_unexpected);
    g_test_add_func("/qapi/visit/json-types-are-strict", test_strict_types);
    g_test_add_func("/qapi/visit/integers-fit-their-width", test_integer_ranges);
    g_test_add_func("/qapi/visit/keyval-strings-become-scalars", test_keyval_values);
    g_test_add_func("/qapi/visit/keyval-takes-native-leaves", test_keyval_native_leaves);
    g_test_add_func("/qapi/visit/keyval-bad-values-are-quoted", test_keyval_bad_values);
    g_test_add_func("/qapi/visit/deep-nesting-is-refused", test_deep_nesting);
    g_test_add_func("/qapi/visit/failure-leaves-nothing-behind", test_every_broken_document);
    g_test_add_func("/qapi/types/info-describes-members", test_type_info);
    g_test_add_func("/qapi/types/enum-names-and-values", test_enum);
    g_test_add_func("/qapi/visit/enum-front", test_visit_into_open_visitor);
    return g_test_run();
}
