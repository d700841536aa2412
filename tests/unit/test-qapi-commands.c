/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dispatch of commands, events and introspection, with the schema of tests/qapi-schema; and the
 * introspection of the product's own schema.
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "tests/qapi-schema/test-qapi-commands.h"
#include "tests/qapi-schema/test-qapi-events.h"
#include "tests/qapi-schema/test-qapi-introspect.h"

/* ---- the commands of the test schema ---- */

static char *last_note;

int64_t qmp_add(int64_t a, bool has_b, int64_t b, const char *note, Error **errp)
{
    g_free(last_note);
    last_note = g_strdup(note);
    if (a < 0) {
        error_setg(errp, "a is negative");
        return 0;
    }
    return a + (has_b ? b : 1);
}

void qmp_do_nothing(Error **errp)
{
}

Shape *qmp_shape_echo(Shape *arg, Error **errp)
{
    json_t *json = qapi_Shape_to_json(arg);
    Shape *copy = qapi_Shape_from_json(json, errp);

    json_decref(json);
    return copy;
}

strList *qmp_list_names(Error **errp)
{
    strList *names = NULL, **tail = &names;

    QAPI_LIST_APPEND(tail, g_strdup("x"));
    return names;
}

/* ---- tests; JSON texts have ' for " ---- */

static json_t *parse(const char *text)
{
    g_autofree char *json_text = g_strdelimit(g_strdup(text), "'", '"');
    json_t *json = json_loads(json_text, JSON_DECODE_ANY, NULL);

    g_assert_nonnull(json);
    return json;
}

static void check_equal(json_t *json, const char *expected)
{
    json_t *expected_json = parse(expected);

    if (!json_equal(json, expected_json)) {
        g_error("%s is not %s", json_dumps(json, 0), expected);
    }
    json_decref(expected_json);
}

static void check_dispatch(const char *request, const char *expected)
{
    json_t *request_json = parse(request);
    json_t *response = qmp_dispatch(&test_qmp_commands, request_json);

    check_equal(response, expected);
    json_decref(response);
    json_decref(request_json);
}

static void check_refused(const char *request, const char *message)
{
    g_autofree char *expected =
        g_strdup_printf("{\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}}", message);
    json_t *request_json = parse(request);
    json_t *response = qmp_dispatch(&test_qmp_commands, request_json);
    json_t *expected_json = json_loads(expected, 0, NULL);

    if (!json_equal(response, expected_json)) {
        g_error("%s: %s", request, json_dumps(response, 0));
    }
    json_decref(expected_json);
    json_decref(response);
    json_decref(request_json);
}

static void test_call(void)
{
    check_dispatch("{'execute': 'add', 'arguments': {'a': 2, 'b': 3, 'note': 'n'}, 'id': [1]}",
                   "{'return': 5, 'id': [1]}");
    g_assert_cmpstr(last_note, ==, "n");
    check_dispatch("{'execute': 'add', 'arguments': {'a': 2}}", "{'return': 3}");
    g_assert_null(last_note);
    check_dispatch("{'execute': 'do-nothing'}", "{'return': {}}");
    check_dispatch("{'execute': 'list-names', 'arguments': {}}", "{'return': ['x']}");
    check_dispatch("{'execute': 'shape_echo', 'arguments': {'type': 'round', 'radius': 3}}",
                   "{'return': {'type': 'round', 'radius': 3}}");
}

static void test_refusals(void)
{
    check_dispatch("{'execute': 'nope', 'id': 7}",
                   "{'error': {'class': 'CommandNotFound', 'desc': 'The command nope has not been "
                   "found'}, 'id': 7}");
    check_refused("{'execute': 'add', 'arguments': {'a': -1}}", "a is negative");
    check_refused("{'execute': 'add'}", "Parameter 'a' is missing");
    check_refused("{'execute': 'add', 'arguments': {'a': 1, 'c': 1}}",
                  "Parameter 'c' is unexpected");
    check_refused("{'execute': 'do-nothing', 'arguments': {'c': 1}}",
                  "Parameter 'c' is unexpected");
    check_refused("{'execute': 'shape_echo', 'arguments': {'type': 'x'}}",
                  "Parameter 'type' does not accept value 'x'");
    check_refused("[]", "QMP input must be a JSON object");
    check_refused("{}", "QMP input lacks member 'execute'");
    check_refused("{'execute': 5}", "QMP input member 'execute' must be a string");
    check_refused("{'execute': 'add', 'arguments': []}",
                  "QMP input member 'arguments' must be an object");
    check_refused("{'execute': 'add', 'extra': 1}", "QMP input member 'extra' is unexpected");
}

static void test_table(void)
{
    g_assert_true(qmp_find_command(&test_qmp_commands, "shape_echo")->coroutine);
    g_assert_false(qmp_find_command(&test_qmp_commands, "add")->coroutine);
    g_assert_null(qmp_find_command(&test_qmp_commands, "hidden-command"));
}

static void take_event(json_t *event, void *opaque)
{
    json_t **taken = opaque;

    json_decref(*taken);
    *taken = json_incref(event);
}

static void test_events(void)
{
    json_t *event = NULL;
    int64_t seconds;

    qapi_event_send_idle();
    qapi_event_set_handler(take_event, &event);
    qapi_event_send_something("w", false, 0, COLOUR_RED);
    g_assert_cmpstr(json_string_value(json_object_get(event, "event")), ==, "SOMETHING");
    check_equal(json_object_get(event, "data"), "{'what': 'w', 'colour': 'red'}");
    seconds = json_integer_value(json_object_get(json_object_get(event, "timestamp"), "seconds"));
    g_assert_cmpint(seconds, >=, g_get_real_time() / G_USEC_PER_SEC - 60);

    Shape shape = {.type = SHAPE_TYPE_ROUND, .u.round.radius = 9};

    qapi_event_send_drawn(&shape);
    check_equal(json_object_get(event, "data"), "{'type': 'round', 'radius': 9}");
    qapi_event_send_idle();
    g_assert_null(json_object_get(event, "data"));

    uint8List byte = {.value = 255};

    qapi_event_send_counted(&byte, true, NULL);
    check_equal(json_object_get(event, "data"), "{'small': [255], 'large': []}");
    qapi_event_send_counted(NULL, false, NULL);
    check_equal(json_object_get(event, "data"), "{'small': []}");
    qapi_event_set_handler(NULL, NULL);
    json_decref(event);
}

/* The entity called @name; borrowed. */
static json_t *entity(json_t *entities, const char *name)
{
    size_t i;
    json_t *value;

    json_array_foreach(entities, i, value)
    {
        if (!strcmp(json_string_value(json_object_get(value, "name")), name)) {
            return value;
        }
    }
    g_error("no entity %s", name);
}

static json_t *referred(json_t *entities, json_t *from, const char *key)
{
    return entity(entities, json_string_value(json_object_get(from, key)));
}

static void check_names_are_unique(json_t *entities)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    size_t i;
    json_t *value;

    json_array_foreach(entities, i, value)
    {
        const char *name = json_string_value(json_object_get(value, "name"));

        g_assert_true(g_hash_table_add(names, (gpointer)name));
    }
}

static void test_introspection(void)
{
    json_t *entities = test_qapi_introspect();
    json_t *add = entity(entities, "add");
    json_t *shape = referred(entities, entity(entities, "DRAWN"), "arg-type");
    json_t *variant = json_array_get(json_object_get(shape, "variants"), 1);

    check_equal(json_object_get(add, "meta-type"), "'command'");
    check_equal(json_object_get(add, "ret-type"), "'int'");
    check_equal(json_object_get(referred(entities, add, "arg-type"), "members"),
                "[{'name': 'a', 'type': 'int'}, {'name': 'b', 'type': 'int', 'default': null},"
                " {'name': 'note', 'type': 'str', 'default': null}]");
    check_equal(json_object_get(shape, "tag"), "'type'");
    check_equal(json_object_get(variant, "case"), "'round'");
    check_equal(json_object_get(referred(entities, variant, "type"), "members"),
                "[{'name': 'radius', 'type': 'int'}]");
    /* On the wire all widths of integers are one type, and so are the lists of them. */
    check_names_are_unique(entities);
    json_decref(entities);
}

/* The answer is made of the schema's own types. */
static void test_query_schema(void)
{
    g_autoptr(SchemaInfoList) schema = qmp_query_qmp_schema(&error_abort);
    size_t nr_entities = 0;

    for (SchemaInfoList *entity = schema; entity; entity = entity->next) {
        nr_entities++;
    }
    g_assert_cmpuint(nr_entities, >, 20);
}

static void test_block_options(void)
{
    json_t *tree =
        parse("{'driver': 'qcow2', 'file': {'driver': 'file', 'filename': 'a', 'aio': 'io_uring'},"
              " 'overlap-check': 'none', 'backing': null, 'cache': {'direct': 'on'},"
              " 'l2-cache-size': '1M', 'read-only': true}");
    g_autoptr(BlockdevOptions) options = qapi_BlockdevOptions_from_keyval(tree, NULL);
    BlockdevOptionsQcow2 *qcow2 = &options->u.qcow2;

    json_decref(tree);
    g_assert_cmpint(options->driver, ==, BLOCKDEV_DRIVER_QCOW2);
    g_assert_true(options->has_read_only && options->read_only);
    g_assert_true(options->cache->has_direct && options->cache->direct);
    g_assert_cmpint(qcow2->file->type, ==, BLOCKDEV_REF_KIND_DEFINITION);
    g_assert_cmpstr(qcow2->file->u.definition.u.file.filename, ==, "a");
    g_assert_cmpint(qcow2->file->u.definition.u.file.aio, ==, BLOCKDEV_AIO_OPTIONS_IO_URING);
    g_assert_cmpint(qcow2->backing->type, ==, BLOCKDEV_REF_OR_NULL_KIND_NULL);
    g_assert_cmpint(qcow2->overlap_check->u.mode, ==, QCOW2_OVERLAP_CHECK_MODE_NONE);
    g_assert_cmpuint(qcow2->l2_cache_size, ==, MiB);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qapi/commands/arguments-in-results-out", test_call);
    g_test_add_func("/qapi/commands/bad-requests-are-refused-in-words", test_refusals);
    g_test_add_func("/qapi/commands/table-says-what-may-yield", test_table);
    g_test_add_func("/qapi/events/data-and-time-reach-the-handler", test_events);
    g_test_add_func("/qapi/introspect/commands-lead-to-their-types", test_introspection);
    g_test_add_func("/qapi/introspect/query-qmp-schema-fits-its-own-types", test_query_schema);
    g_test_add_func("/qapi/schema/block-options-from-the-command-line", test_block_options);
    ret = g_test_run();
    g_free(last_note);
    return ret;
}
