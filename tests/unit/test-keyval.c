/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of qemu/keyval.h: tables of text and the tree, as compact sorted JSON, or the error.
 */
#include "qemu/osdep.h"
#include "qemu/keyval.h"

static void assert_tree(const json_t *tree, const char *expected)
{
    char *text;

    g_assert_nonnull(tree);
    text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
    g_assert_cmpstr(text, ==, expected);
    free(text);
}

static const struct {
    const char *params;
    const char *implied_key;
    const char *tree;
} good_cases[] = {
    {"", NULL, "{}"},
    {"a=1", NULL, "{'a':'1'}"},
    {"a=", NULL, "{'a':''}"},
    {"a=1,", NULL, "{'a':'1'}"},
    {"a=b=c", NULL, "{'a':'b=c'}"},
    {"a=1,b.c=x,d.0=y", NULL, "{'a':'1','b':{'c':'x'},'d':['y']}"},
    {"a=1,,b", NULL, "{'a':'1,b'}"},
    {"a=,,", NULL, "{'a':','}"},
    {"a=,,,b=,,,,", NULL, "{'a':',','b':',,'}"},
    {"a=1,a=2", NULL, "{'a':'2'}"},
    {"l.1=b,l.0=a,l.2=c", NULL, "{'l':['a','b','c']}"},
    {"l.0=a,l.0=b", NULL, "{'l':['b']}"},
    {"l.0.x=1,l.1.x=2,l.0.y=3", NULL, "{'l':[{'x':'1','y':'3'},{'x':'2'}]}"},
    {"l.0.0=a,l.0.1=b,l.1.0=c", NULL, "{'l':[['a','b'],['c']]}"},
    {"l.10=k,l.0=a,l.1=b,l.2=c,l.3=d,l.4=e,l.5=f,l.6=g,l.7=h,l.8=i,l.9=j", NULL,
     "{'l':['a','b','c','d','e','f','g','h','i','j','k']}"},
    {"cache.no-flush=on,x_y.Z9=1,_a=2", NULL,
     "{'_a':'2','cache':{'no-flush':'on'},'x_y':{'Z9':'1'}}"},
    {"qcow2,file=a", "driver", "{'driver':'qcow2','file':'a'}"},
    {"a,,b,file=c", "driver", "{'driver':'a,b','file':'c'}"},
    {"driver=raw,file=a", "driver", "{'driver':'raw','file':'a'}"},
    {"x=1", "file.node", "{'x':'1'}"},
    {"n0", "file.node", "{'file':{'node':'n0'}}"},
    {"help,,me", "driver", "{'driver':'help,me'}"},
    {"a=help", NULL, "{'a':'help'}"},
    {"a= b ", NULL, "{'a':' b '}"},
};

static void test_good_text(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(good_cases); i++) {
        g_autofree char *expected = g_strdelimit(g_strdup(good_cases[i].tree), "'", '"');
        bool is_help_wanted = true;
        json_auto_t *tree = keyval_parse(good_cases[i].params, good_cases[i].implied_key,
                                         &is_help_wanted, &error_abort);

        g_test_message("'%s'", good_cases[i].params);
        assert_tree(tree, expected);
        g_assert_false(is_help_wanted);
    }
}

static const struct {
    const char *params;
    const char *implied_key;
    const char *message;
} bad_cases[] = {
    {"a", NULL, "Expected '=' after parameter 'a'"},
    {"a=1,b", NULL, "Expected '=' after parameter 'b'"},
    {"x=1,raw", "driver", "Expected '=' after parameter 'raw'"},
    {"=1", NULL, "Invalid parameter ''"},
    {",a=1", NULL, "Invalid parameter ''"},
    {",", "driver", "Invalid parameter ''"},
    {".=1", NULL, "Invalid parameter '.'"},
    {".a=1", NULL, "Invalid parameter '.a'"},
    {"a.=1", NULL, "Invalid parameter 'a.'"},
    {"a..b=1", NULL, "Invalid parameter 'a..b'"},
    {"0=x", NULL, "Invalid parameter '0'"},
    {"a.01=x", NULL, "Invalid parameter 'a.01'"},
    {"a.1b=x", NULL, "Invalid parameter 'a.1b'"},
    {"a.-1=x", NULL, "Invalid parameter 'a.-1'"},
    {"a b=1", NULL, "Invalid parameter 'a b'"},
    {" a=1", NULL, "Invalid parameter ' a'"},
    {"\xc3\xa9=1", NULL, "Invalid parameter '\xc3\xa9'"},
    {"a=1,a.b=2", NULL, "Parameters 'a' and 'a.b' are both given"},
    {"a.b=1,a.b.c.d=2", NULL, "Parameters 'a.b' and 'a.b.c.d' are both given"},
    {"a.b=2,a=1", NULL, "Parameters 'a' and 'a.*' are both given"},
    {"a.0=2,a=1", NULL, "Parameters 'a' and 'a.*' are both given"},
    {"l.1=a", NULL, "Parameter 'l.0' is missing"},
    {"l.0=a,l.2=c", NULL, "Parameter 'l.1' is missing"},
    {"x.l.0.y.0=a,x.l.0.y.4294967296=c", NULL, "Parameter 'x.l.0.y.1' is missing"},
    {"l.0=a,l.x=b", NULL, "Parameters 'l.*' mix names and list indexes"},
    {"o.p.l.0=a,o.p.l.x=b", NULL, "Parameters 'o.p.l.*' mix names and list indexes"},
    {"help", NULL, "Help is not available for this option"},
    {"a=1,?", NULL, "Help is not available for this option"},
};

static void test_bad_text(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_cases); i++) {
        g_autoptr(Error) err = NULL;

        g_test_message("'%s'", bad_cases[i].params);
        g_assert_null(keyval_parse(bad_cases[i].params, bad_cases[i].implied_key, NULL, &err));
        g_assert_cmpstr(error_get_pretty(err), ==, bad_cases[i].message);
        g_assert_null(keyval_parse(bad_cases[i].params, bad_cases[i].implied_key, NULL, NULL));
    }
}

static void test_help_is_noticed(void)
{
    static const char *const cases[] = {"help,a=1", "a=1,help", "?,a=1", "a=1,?,", "help,help,a=1"};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool is_help_wanted = false;
        json_auto_t *tree = keyval_parse(cases[i], "driver", &is_help_wanted, &error_abort);

        g_assert_true(is_help_wanted);
        assert_tree(tree, "{\"a\":\"1\"}");
    }
}

static void test_limits(void)
{
    g_autofree char *long_key = g_strnfill(KEYVAL_MAX_KEY + 1, 'k');
    g_autofree char *long_param = g_strconcat(long_key, "=1", NULL);
    g_autofree char *just_fits = g_strconcat(long_key + 1, "=1", NULL);
    g_autofree char *long_text = g_strnfill(KEYVAL_MAX_TEXT + 1, 'a');
    g_autoptr(GString) deep = g_string_new("a");
    g_autoptr(Error) key_err = NULL;
    g_autoptr(Error) depth_err = NULL;
    g_autoptr(Error) text_err = NULL;
    json_auto_t *longest = keyval_parse(just_fits, NULL, NULL, &error_abort);
    json_auto_t *deepest = NULL;

    g_assert_cmpuint(json_object_size(longest), ==, 1);
    g_assert_null(keyval_parse(long_param, NULL, NULL, &key_err));
    g_assert_cmpstr(error_get_pretty(key_err), ==,
                    "Parameter 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...' is too long");
    for (int i = 1; i < KEYVAL_MAX_DEPTH; i++) {
        g_string_append(deep, ".a");
    }
    g_string_append(deep, "=1");
    deepest = keyval_parse(deep->str, NULL, NULL, &error_abort);
    g_assert_nonnull(deepest);
    g_string_prepend(deep, "a.");
    g_assert_null(keyval_parse(deep->str, NULL, NULL, &depth_err));
    g_assert_null(keyval_parse(long_text, "key", NULL, &text_err));
    g_assert_cmpstr(error_get_pretty(text_err), ==,
                    "Parameters are too long: 1048577 bytes, at most 1048576 are allowed");
}

static void test_options_accumulate(void)
{
    json_auto_t *tree = json_object();
    g_autoptr(Error) err = NULL;

    g_assert_true(keyval_parse_into(tree, "size=1G,l.0=a", NULL, NULL, &error_abort) == tree);
    keyval_parse_into(tree, "zone.size=64M,l.1.x=b", NULL, NULL, &error_abort);
    keyval_parse_into(tree, "size=2G,zone.mode=host-managed,l.1.y=c", NULL, NULL, &error_abort);
    assert_tree(tree, "{\"l\":[\"a\",{\"x\":\"b\",\"y\":\"c\"}],\"size\":\"2G\","
                      "\"zone\":{\"mode\":\"host-managed\",\"size\":\"64M\"}}");
    g_assert_null(keyval_parse_into(tree, "size=3G,l.3=d", NULL, NULL, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, "Parameter 'l.2' is missing");
    assert_tree(tree, "{\"l\":[\"a\",{\"x\":\"b\",\"y\":\"c\"}],\"size\":\"2G\","
                      "\"zone\":{\"mode\":\"host-managed\",\"size\":\"64M\"}}");
}

static void test_values_keep_their_bytes(void)
{
    json_auto_t *tree = keyval_parse("filename=\xff\xfe", NULL, NULL, &error_abort);

    g_assert_cmpstr(json_string_value(json_object_get(tree, "filename")), ==, "\xff\xfe");
}

static void test_json(void)
{
    static const char *const bad[] = {"",   "{", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,\"a\":2}",
                                      "nul"};
    json_auto_t *tree = json_parse_text("{\"a\": [1, true, null]}", &error_abort);
    json_auto_t *number = json_parse_text(" 9223372036854775807 ", &error_abort);
    g_autoptr(Error) located = NULL;

    assert_tree(tree, "{\"a\":[1,true,null]}");
    g_assert_cmpint(json_integer_value(number), ==, INT64_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autoptr(Error) err = NULL;

        g_assert_null(json_parse_text(bad[i], &err));
        g_assert_nonnull(strstr(error_get_pretty(err), ": JSON parse error, "));
    }
    g_assert_null(json_parse_text("{\n  x}", &located));
    g_assert_true(g_str_has_prefix(error_get_pretty(located), "2:3: JSON parse error, "));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/keyval/keys-nest-and-indexes-make-lists", test_good_text);
    g_test_add_func("/keyval/bad-text-is-refused-by-name", test_bad_text);
    g_test_add_func("/keyval/wish-for-help-is-noticed-anywhere", test_help_is_noticed);
    g_test_add_func("/keyval/text-keys-and-depth-are-limited", test_limits);
    g_test_add_func("/keyval/repeated-options-accumulate-or-change-nothing",
                    test_options_accumulate);
    g_test_add_func("/keyval/values-keep-their-bytes", test_values_keep_their_bytes);
    g_test_add_func("/json/errors-tell-line-and-column", test_json);
    return g_test_run();
}
