/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the block layer, called as the monitor calls them: with arguments as JSON, so
 * that the schema's checks are in the way.
 *
 * Files live in a temporary folder, which is the working directory while the tests run.
 */
#include "qemu/osdep.h"

#include <glib/gstdio.h>

#include "block/block-backend.h"
#include "block/block_int.h"
#include "block/monitor-nodes.h"
#include "qapi/qapi-commands.h"
#include "qapi/qapi-visit.h"
#include "qemu/error-report.h"

/* ---- helpers ---- */

static json_t *parse_json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);

    g_assert_cmpstr(value ? "" : error.text, ==, "");
    return value;
}

static void assert_error(Error *err, const char *expected)
{
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, expected);
    error_free(err);
}

static void add_node_json(const char *text, Error **errp)
{
    json_t *json = parse_json(text);
    g_autoptr(BlockdevOptions) options = qapi_BlockdevOptions_from_json(json, errp);

    json_decref(json);
    if (options) {
        qmp_blockdev_add(options, errp);
    }
}

static void add_node(const char *text)
{
    add_node_json(text, &error_abort);
}

static void assert_add_fails(const char *text, const char *expected)
{
    Error *err = NULL;

    add_node_json(text, &err);
    assert_error(err, expected);
}

static void assert_del_fails(const char *name, const char *expected)
{
    Error *err = NULL;

    qmp_blockdev_del(name, &err);
    assert_error(err, expected);
}

static void end_of_program(void)
{
    g_assert_cmpint(bdrv_close_all_monitor_nodes(), ==, 0);
    g_assert_null(bdrv_next_node(NULL));
}

/* ---- making and deleting nodes ---- */

static void test_added_node_stays_until_it_is_deleted(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"n\", \"size\": 1048576}");
    g_assert_cmpint(bdrv_find_node("n")->total_bytes, ==, MiB);
    qmp_blockdev_del("n", &error_abort);
    g_assert_null(bdrv_next_node(NULL));
}

static void test_refused_nodes_leave_nothing(void)
{
    assert_add_fails("{\"driver\": \"null-co\"}",
                     "'node-name' must be specified for the root node");
    assert_add_fails("{\"driver\": \"nosuch\", \"node-name\": \"n\"}",
                     "Parameter 'driver' does not accept value 'nosuch'");
    assert_add_fails("{\"node-name\": \"n\"}", "Parameter 'driver' is missing");
    assert_add_fails("{\"driver\": \"raw\", \"node-name\": \"n\"}", "Parameter 'file' is missing");
    assert_add_fails("{\"driver\": \"null-co\", \"node-name\": \"n\", \"colour\": 1}",
                     "Parameter 'colour' is unexpected");
    assert_add_fails("{\"driver\": \"null-co\", \"node-name\": \"0n\"}", "Invalid node-name: '0n'");
    assert_add_fails("{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"nosuch\"}",
                     "Cannot find device='nosuch' nor node-name='nosuch'");
    assert_add_fails("{\"driver\": \"null-co\", \"node-name\": \"n\", \"size\": -1}",
                     "Parameter 'size' must be between 0 and 18446744073709551615, got -1");
    g_assert_null(bdrv_next_node(NULL));
}

static void test_names_are_unique(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"q\"}");
    assert_add_fails("{\"driver\": \"null-co\", \"node-name\": \"q\"}",
                     "Duplicate nodes with node-name='q'");
    end_of_program();
}

static void test_used_and_foreign_nodes_are_not_deleted(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"f\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"q\", \"file\": \"f\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"r\","
             " \"file\": {\"driver\": \"null-co\", \"node-name\": \"inner\"}}");
    assert_del_fails("nosuch", "Failed to find node with node-name='nosuch'");
    assert_del_fails("f", "Node f is in use");
    assert_del_fails("inner", "Node inner was not made by blockdev-add");
    qmp_blockdev_del("q", &error_abort);
    qmp_blockdev_del("f", &error_abort);
    end_of_program();
}

static void test_the_end_closes_users_before_what_they_use(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"bottom\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"middle\", \"file\": \"bottom\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"top\", \"file\": \"middle\"}");
    add_node("{\"driver\": \"null-co\", \"node-name\": \"other\"}");
    end_of_program();
}

static const struct {
    const char *path;
    void (*test)(void);
} tests[] = {
    {"nodes/added-node-stays-until-it-is-deleted", test_added_node_stays_until_it_is_deleted},
    {"nodes/refused-nodes-leave-nothing", test_refused_nodes_leave_nothing},
    {"nodes/names-are-unique", test_names_are_unique},
    {"nodes/used-and-foreign-nodes-are-not-deleted", test_used_and_foreign_nodes_are_not_deleted},
    {"nodes/the-end-closes-users-before-what-they-use",
     test_the_end_closes_users_before_what_they_use},
};

int main(int argc, char **argv)
{
    g_autofree char *folder = NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    error_init(argv[0]);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();
    folder = g_dir_make_tmp("test-block-qmp-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_assert_cmpint(chdir(folder), ==, 0);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strconcat("/block-qmp/", tests[i].path, NULL);

        g_test_add_func(path, tests[i].test);
    }
    status = g_test_run();
    g_assert_cmpint(chdir("/"), ==, 0);
    g_rmdir(folder);
    return status;
}
