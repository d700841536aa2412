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
#include "block/block-create.h"
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

static void make_file(const char *name, int64_t size)
{
    g_autofree char *content = g_malloc0(size);

    g_assert_true(g_file_set_contents(name, content, size, NULL));
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

/* As if a format had written to its file when it was closed, and that fails to become durable. */
static bool has_closing_written;

static void closing_writes(BlockDriverState *bs)
{
    bs->file->bs->write_gen++;
    has_closing_written = true;
}

static int coroutine_fn flush_after_closing_fails(BlockDriverState *bs)
{
    return has_closing_written ? -EIO : 0;
}

static void test_the_end_tells_what_closing_could_not_save(void)
{
    BlockDriver *raw = bdrv_find_format("raw"), *null = bdrv_find_format("null-co");
    const BlockDriver old_raw = *raw, old_null = *null;

    add_node("{\"driver\": \"null-co\", \"node-name\": \"bottom\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"top\", \"file\": \"bottom\"}");
    raw->bdrv_close = closing_writes;
    null->bdrv_co_flush = flush_after_closing_fails;
    /* Users go first; otherwise nobody would look when their file is flushed for the last time. */
    g_assert_cmpint(bdrv_close_all_monitor_nodes(), ==, -EIO);
    g_assert_null(bdrv_next_node(NULL));
    *raw = old_raw;
    *null = old_null;
}

/* ---- reopening ---- */

static void reopen_json(const char *text, Error **errp)
{
    json_t *json = parse_json(text);
    BlockdevOptionsList *options = NULL;

    if (qapi_from_json(&qapi_info_BlockdevOptionsList, json, &options, errp)) {
        qmp_blockdev_reopen(options, errp);
    }
    qapi_free_BlockdevOptionsList(options);
    json_decref(json);
}

static void assert_reopen_fails(const char *text, const char *expected)
{
    Error *err = NULL;

    reopen_json(text, &err);
    assert_error(err, expected);
}

static void test_options_not_given_return_to_their_defaults(void)
{
    const BlockDriverState *bs;

    make_file("a.img", 65536);
    add_node("{\"driver\": \"raw\", \"node-name\": \"n\", \"read-only\": true,"
             " \"cache\": {\"no-flush\": true}, \"discard\": \"unmap\","
             " \"file\": {\"driver\": \"file\", \"node-name\": \"f\", \"filename\": \"a.img\"}}");
    bs = bdrv_find_node("n");
    reopen_json("[{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\"}]", &error_abort);
    g_assert_false(bs->read_only || bs->file->bs->read_only);
    g_assert_cmpint(bs->open_flags & (BDRV_O_NO_FLUSH | BDRV_O_UNMAP), ==, 0);
    g_assert_cmpint(bs->file->bs->open_flags & BDRV_O_NO_FLUSH, ==, 0);

    reopen_json("[{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\","
                " \"read-only\": true, \"cache\": {\"direct\": false}}]", &error_abort);
    g_assert_true(bs->read_only && bs->file->bs->read_only);
    end_of_program();
    g_unlink("a.img");
}

static void test_nodes_that_depend_on_each_other_change_in_one_step(void)
{
    make_file("a.img", 65536);
    add_node("{\"driver\": \"file\", \"node-name\": \"f\", \"filename\": \"a.img\","
             " \"read-only\": true}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\", \"read-only\": true}");
    /* In whatever order they are given. */
    reopen_json("[{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\"},"
                " {\"driver\": \"file\", \"node-name\": \"f\", \"filename\": \"a.img\"}]",
                &error_abort);
    g_assert_false(bdrv_find_node("n")->read_only || bdrv_find_node("f")->read_only);
    end_of_program();
    g_unlink("a.img");
}

static GString *prepared;

static int note_prepared(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                         Error **errp)
{
    g_string_append_printf(prepared, "%s ", bs->node_name);
    return 0;
}

static void test_children_are_prepared_before_their_parents(void)
{
    BlockDriver *raw = bdrv_find_format("raw"), *null = bdrv_find_format("null-co");
    const BlockDriver old_raw = *raw, old_null = *null;

    prepared = g_string_new(NULL);
    add_node("{\"driver\": \"null-co\", \"node-name\": \"f\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\"}");
    raw->bdrv_reopen_prepare = null->bdrv_reopen_prepare = note_prepared;
    reopen_json("[{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\"},"
                " {\"driver\": \"null-co\", \"node-name\": \"f\"}]", &error_abort);
    reopen_json("[{\"driver\": \"null-co\", \"node-name\": \"f\"},"
                " {\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\"}]", &error_abort);
    g_assert_cmpstr(prepared->str, ==, "f n f n ");
    *raw = old_raw;
    *null = old_null;
    g_string_free(prepared, true);
    end_of_program();
}

static void test_a_refused_reopening_changes_no_node(void)
{
    BlockBackend *writer;

    add_node("{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 65536}");
    add_node("{\"driver\": \"null-co\", \"node-name\": \"b\"}");
    writer = blk_new_open(NULL, "a", NULL, BDRV_O_RDWR, false, &error_abort);
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"b\", \"read-only\": true},"
                        " {\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 65536,"
                        "  \"read-only\": true}]", "Block node is read-only");
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 65536,"
                        "  \"read-only\": true},"
                        " {\"driver\": \"null-co\", \"node-name\": \"b\", \"read-only\": true}]",
                        "Block node is read-only");
    g_assert_false(bdrv_find_node("a")->read_only || bdrv_find_node("b")->read_only);
    blk_unref(writer);
    end_of_program();
}

static void test_bad_reopenings_are_refused(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 65536}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"r\", \"file\": \"a\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"s\","
             " \"file\": {\"driver\": \"null-co\", \"node-name\": \"in\"}}");
    reopen_json("[]", &error_abort);
    assert_reopen_fails("[{\"driver\": \"null-co\"}]", "node-name not specified");
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"x\"}]",
                        "Failed to find node with node-name='x'");
    assert_reopen_fails("[{\"driver\": \"null-aio\", \"node-name\": \"a\"}]",
                        "Cannot change the option 'driver'");
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 4096}]",
                        "Cannot change the option 'size'");
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"a\"}]",
                        "Option 'size' cannot be reset to its default value");
    assert_reopen_fails("[{\"driver\": \"raw\", \"node-name\": \"r\", \"file\": \"in\"}]",
                        "Cannot change the option 'file'");
    assert_reopen_fails("[{\"driver\": \"raw\", \"node-name\": \"r\", \"file\": \"a\"},"
                        " {\"driver\": \"raw\", \"node-name\": \"r\", \"file\": \"a\"}]",
                        "Node 'r' is to be reopened twice, by itself or with the node that opened "
                        "it");
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"in\"},"
                        " {\"driver\": \"raw\", \"node-name\": \"s\", \"file\": \"in\"}]",
                        "Node 'in' is to be reopened twice, by itself or with the node that opened "
                        "it");
    assert_reopen_fails("[{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 65536,"
                        " \"force-share\": true}]",
                        "force-share=on can only be used with read-only images");
    end_of_program();
}

/* ---- looking at nodes ---- */

static void assert_query(bool is_flat, const char *expected)
{
    BlockDeviceInfoList *list = qmp_query_named_block_nodes(true, is_flat, &error_abort);
    g_autoptr(GString) text = g_string_new(NULL);

    for (BlockDeviceInfoList *item = list; item; item = item->next) {
        const BlockDeviceInfo *info = item->value;

        g_string_append_printf(text, "%s:%s:%s:%s%s%" PRIu64 "%s ", info->node_name, info->drv,
                               info->ro ? "ro" : "rw", info->cache->direct ? "direct:" : "",
                               info->cache->no_flush ? "no-flush:" : "", info->image->virtual_size,
                               info->image->children ? "+" : "");
    }
    qapi_free_BlockDeviceInfoList(list);
    g_assert_cmpstr(text->str, ==, expected);
}

static void test_nodes_are_listed_as_they_are(void)
{
    add_node("{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 1048576,"
             " \"read-only\": true}");
    add_node("{\"driver\": \"null-co\", \"node-name\": \"b\", \"size\": 65536,"
             " \"cache\": {\"direct\": true, \"no-flush\": true}}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"c\", \"file\": \"b\", \"size\": 4096}");
    assert_query(false, "a:null-co:ro:1048576 b:null-co:rw:direct:no-flush:65536 "
                        "c:raw:rw:4096+ ");
    assert_query(true, "a:null-co:ro:1048576 b:null-co:rw:direct:no-flush:65536 c:raw:rw:4096 ");
    end_of_program();
}

static void test_broken_nodes_are_listed_too(void)
{
    BlockDeviceInfoList *list;

    add_node("{\"driver\": \"null-co\", \"node-name\": \"a\", \"size\": 65536,"
             " \"read-only\": true}");
    bdrv_make_unusable(bdrv_find_node("a"));
    list = qmp_query_named_block_nodes(false, false, &error_abort);
    g_assert_false(list->value->active);
    g_assert_cmpstr(list->value->drv, ==, "null-co");
    g_assert_cmpint(list->value->image->virtual_size, ==, 65536);
    qapi_free_BlockDeviceInfoList(list);
    end_of_program();
}

/* ---- resizing ---- */

static void assert_resize_fails(const char *name, uint64_t size, const char *expected)
{
    Error *err = NULL;

    qmp_block_resize(name, size, &err);
    assert_error(err, expected);
}

static void test_resizing_changes_the_length(void)
{
    make_file("a.img", 65536);
    add_node("{\"driver\": \"file\", \"node-name\": \"f\", \"filename\": \"a.img\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\"}");
    qmp_block_resize("n", 131072, &error_abort);
    g_assert_cmpint(bdrv_find_node("n")->total_bytes, ==, 131072);
    qmp_block_resize("n", 4096, &error_abort);
    g_assert_cmpint(bdrv_find_node("f")->total_bytes, ==, 4096);
    end_of_program();
    g_unlink("a.img");
}

static void test_resizing_is_refused_with_a_reason(void)
{
    BlockBackend *reader;

    make_file("a.img", 65536);
    add_node("{\"driver\": \"file\", \"node-name\": \"n\", \"filename\": \"a.img\"}");
    add_node("{\"driver\": \"null-co\", \"node-name\": \"ro\", \"read-only\": true}");
    assert_resize_fails("nosuch", 4096, "Failed to find node with node-name='nosuch'");
    assert_resize_fails("n", UINT64_MAX, "Parameter 'size' must be between 0 and "
                        "9223372035781033984, got 18446744073709551615");
    assert_resize_fails("ro", 4096, "Block node is read-only");

    reader = blk_new(qemu_get_aio_context(), BLK_PERM_CONSISTENT_READ, BLK_PERM_CONSISTENT_READ);
    g_assert_cmpint(blk_insert_bs(reader, bdrv_find_node("n"), &error_abort), ==, 0);
    assert_resize_fails("n", 4096, "Conflicts with use by a block backend as 'root', which does "
                        "not allow 'write' on n");
    g_assert_cmpint(bdrv_find_node("n")->total_bytes, ==, 65536);
    blk_unref(reader);
    end_of_program();
    g_unlink("a.img");
}

/* ---- statistics ---- */

static BlockBackend *open_named(const char *name)
{
    return blk_new_open(NULL, name, NULL, BDRV_O_RDWR, false, &error_abort);
}

static BlockStats *stats_of(const char *name, bool is_node)
{
    BlockStatsList *list = qmp_query_blockstats(true, is_node, &error_abort);
    BlockStats *found = NULL;

    for (BlockStatsList *item = list; item; item = item->next) {
        if (!strcmp(item->value->node_name, name)) {
            found = g_steal_pointer(&item->value);
        }
    }
    qapi_free_BlockStatsList(list);
    return found;
}

static void test_requests_are_counted_by_outcome(void)
{
    g_autofree uint8_t *buf = g_malloc0(64 * KiB);
    g_autoptr(BlockStats) info = NULL;
    BlockBackend *blk;

    add_node("{\"driver\": \"null-co\", \"node-name\": \"n\", \"size\": 1048576,"
             " \"read-zeroes\": true, \"discard\": \"unmap\"}");
    blk = open_named("n");
    g_assert_cmpint(blk_pread(blk, 0, 4096, buf, 0), ==, 0);
    g_assert_cmpint(blk_pread(blk, 4096, 65536, buf, 0), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, 524288, 512, buf, 0), ==, 0);
    g_assert_cmpint(blk_pwrite_zeroes(blk, 0, 1024, 0), ==, 0);
    g_assert_cmpint(blk_pdiscard(blk, 0, 65536), ==, 0);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    g_assert_cmpint(blk_pread(blk, 1048576, 512, buf, 0), ==, -EIO);
    g_assert_cmpint(blk_pwrite(blk, 1048064, 1024, buf, 0), ==, -EIO);
    info = stats_of("n", true);
    g_assert_cmpuint(info->stats->rd_operations, ==, 2);
    g_assert_cmpuint(info->stats->rd_bytes, ==, 69632);
    g_assert_cmpuint(info->stats->wr_operations, ==, 2);
    g_assert_cmpuint(info->stats->wr_bytes, ==, 1536);
    g_assert_cmpuint(info->stats->wr_highest_offset, ==, 524800);
    g_assert_cmpuint(info->stats->unmap_operations, ==, 1);
    g_assert_cmpuint(info->stats->unmap_bytes, ==, 65536);
    g_assert_cmpuint(info->stats->flush_operations, ==, 1);
    g_assert_cmpuint(info->stats->invalid_rd_operations, ==, 1);
    g_assert_cmpuint(info->stats->invalid_wr_operations, ==, 1);
    g_assert_cmpuint(info->stats->failed_rd_operations, ==, 0);
    g_assert_null(info->zones);
    blk_unref(blk);
    end_of_program();
}

static void test_a_tree_has_its_file_below_it(void)
{
    g_autoptr(BlockStats) info = NULL;
    uint8_t buf[512] = {0};
    BlockBackend *blk;

    add_node("{\"driver\": \"null-co\", \"node-name\": \"f\"}");
    add_node("{\"driver\": \"raw\", \"node-name\": \"n\", \"file\": \"f\", \"offset\": 512}");
    blk = open_named("n");
    g_assert_cmpint(blk_pwrite(blk, 0, 512, buf, 0), ==, 0);
    info = stats_of("n", false);
    g_assert_cmpuint(info->stats->wr_highest_offset, ==, 512);
    g_assert_cmpstr(info->parent->node_name, ==, "f");
    g_assert_cmpuint(info->parent->stats->wr_highest_offset, ==, 1024);
    g_assert_null(stats_of("f", false));
    blk_unref(blk);
    end_of_program();
}

/* ---- zones ---- */

#define ZONED_NODE                                                                                 \
    "{\"driver\": \"null-co\", \"node-name\": \"z\", \"size\": 1048576,"                           \
    " \"zone\": {\"mode\": \"host-managed\", \"size\": 65536, \"capacity\": 61440,"                \
    " \"conventional-zones\": 2, \"max-open-zones\": 2, \"max-active-zones\": 4}"

static void test_what_becomes_of_zones_is_counted(void)
{
    g_autofree uint8_t *buf = g_malloc0(64 * KiB);
    g_autoptr(BlockStats) info = NULL;
    BlockBackend *blk;
    QEMUIOVector qiov;
    int64_t offset = 6 * 65536;

    add_node(ZONED_NODE "}");
    blk = open_named("z");
    qemu_iovec_init_buf(&qiov, buf, 4096);
    for (int i = 2; i < 5; i++) {
        g_assert_cmpint(blk_pwrite(blk, i * 65536, 4096, buf, 0), ==, 0);
    }
    g_assert_cmpint(blk_zone_append(blk, &offset, &qiov, 0), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, 2 * 65536, 4096, buf, 0), ==, -ZONE_ERR_NOT_AT_WP);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_CLOSE, 6 * 65536, 65536), ==, 0);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_OPEN, 6 * 65536, 65536), ==, 0);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_FINISH, 7 * 65536, 65536), ==, 0);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, 2 * 65536, 65536), ==, 0);
    info = stats_of("z", true);
    g_assert_cmpuint(info->zones->implicit_opens, ==, 4);
    g_assert_cmpuint(info->zones->explicit_opens, ==, 1);
    g_assert_cmpuint(info->zones->evictions, ==, 2);
    g_assert_cmpuint(info->zones->closes, ==, 1);
    g_assert_cmpuint(info->zones->finishes, ==, 1);
    g_assert_cmpuint(info->zones->resets, ==, 1);
    g_assert_cmpuint(info->zones->reset_alls, ==, 0);
    g_assert_cmpuint(info->zones->appends, ==, 1);
    g_assert_cmpuint(info->zones->open, ==, 2);
    g_assert_cmpuint(info->zones->active, ==, 3);
    g_assert_cmpuint(info->zones->full, ==, 1);
    g_assert_cmpuint(info->zones->empty, ==, 10);
    g_assert_false(info->zones->has_write_amplification);
    g_assert_cmpuint(info->stats->zone_mgmt_operations, ==, 4);
    g_assert_cmpuint(info->stats->zone_append_bytes, ==, 4096);
    g_assert_cmpuint(info->stats->wr_highest_offset, ==, 6 * 65536 + 4096);
    g_assert_cmpuint(info->stats->invalid_wr_operations, ==, 1);
    blk_unref(blk);
    end_of_program();
}

static void test_write_amplification_is_what_the_file_gets(void)
{
    g_autofree uint8_t *buf = g_malloc0(MiB);
    g_autoptr(BlockStats) info = NULL;
    BlockBackend *blk;

    g_assert_true(bdrv_img_create("a.img", "qcow2",
                                  json_pack("{s:s, s:s}", "zone.mode", "host-managed", "zone.size",
                                            "1M"),
                                  8 * MiB, true, &error_abort));
    add_node("{\"driver\": \"qcow2\", \"node-name\": \"z\", \"file\": {\"driver\": \"file\","
             " \"filename\": \"a.img\"}}");
    info = stats_of("z", true);
    g_assert_false(info->zones->has_write_amplification);
    qapi_free_BlockStats(info);
    blk = open_named("z");
    g_assert_cmpint(blk_pwrite(blk, 0, MiB, buf, 0), ==, 0);
    g_assert_cmpint(blk_flush(blk), ==, 0);
    info = stats_of("z", false);
    g_assert_cmpuint(info->stats->wr_bytes, ==, MiB);
    g_assert_true(info->zones->has_write_amplification);
    g_assert_cmpfloat(info->zones->write_amplification, >=, 1.0);
    g_assert_cmpfloat(info->zones->write_amplification, <, 2.0);
    g_assert_cmpuint(info->zones->write_amplification * MiB, <=, info->parent->stats->wr_bytes);
    blk_unref(blk);
    end_of_program();
    g_unlink("a.img");
}

static BlockZonesInfo *query_zones_json(const char *conditions, int64_t offset, int64_t count)
{
    ZoneConditionList *list = NULL;
    BlockZonesInfo *info;

    if (conditions) {
        json_t *json = parse_json(conditions);

        g_assert_true(qapi_from_json(&qapi_info_ZoneConditionList, json, &list, &error_abort));
        json_decref(json);
    }
    info = qmp_query_block_zones("z", offset >= 0, MAX(offset, 0), count >= 0, MAX(count, 0),
                                 conditions, list, false, false, &error_abort);
    qapi_free_ZoneConditionList(list);
    return info;
}

static void assert_zones(const char *conditions, int64_t offset, int64_t count,
                         const char *expected)
{
    g_autoptr(BlockZonesInfo) info = query_zones_json(conditions, offset, count);
    g_autoptr(GString) text = g_string_new(NULL);

    for (ZoneDescriptorList *item = info->zones; item; item = item->next) {
        g_string_append_printf(text, "%u:%s ", item->value->index,
                               ZoneCondition_str(item->value->condition));
    }
    if (info->has_next) {
        g_string_append_printf(text, "next %" PRIu64, info->next / 65536);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

static void mgmt(BlockZoneCommand op, uint64_t offset, uint64_t length)
{
    qmp_block_zone_mgmt("z", op, true, offset, true, length, &error_abort);
}

static void test_zones_are_selected_by_range_and_condition(void)
{
    add_node(ZONED_NODE "}");
    mgmt(BLOCK_ZONE_COMMAND_FINISH, 3 * 65536, 65536);
    mgmt(BLOCK_ZONE_COMMAND_FINISH, 15 * 65536, 65536);
    mgmt(BLOCK_ZONE_COMMAND_OPEN, 5 * 65536, 65536);
    assert_zones(NULL, -1, 4, "0:not-write-pointer 1:not-write-pointer 2:empty 3:full next 4");
    assert_zones(NULL, 15 * 65536 + 4097, -1, "15:full ");
    assert_zones("[\"full\", \"explicitly-open\"]", -1, -1, "3:full 5:explicitly-open 15:full ");
    assert_zones("[\"full\"]", 65536, 1, "3:full next 4");
    assert_zones("[\"offline\"]", -1, -1, "");
    assert_zones("[]", -1, -1, "");
    end_of_program();
}

static void test_a_zone_is_described_in_bytes(void)
{
    g_autoptr(BlockZonesInfo) info = NULL;
    const ZoneDescriptor *zone;

    add_node(ZONED_NODE "}");
    mgmt(BLOCK_ZONE_COMMAND_FINISH, 3 * 65536, 65536);
    info = query_zones_json(NULL, 0, 4);
    g_assert_cmpuint(info->zone_size, ==, 65536);
    g_assert_cmpuint(info->zone_capacity, ==, 61440);
    g_assert_cmpuint(info->nr_zones, ==, 16);
    g_assert_cmpuint(info->conventional_zones, ==, 2);
    g_assert_cmpuint(info->max_open_zones, ==, 2);
    g_assert_cmpuint(info->max_active_zones, ==, 4);
    g_assert_false(info->zones->value->has_write_pointer);
    g_assert_cmpint(info->zones->value->type, ==, ZONE_TYPE_CONVENTIONAL);
    zone = info->zones->next->next->next->value;
    g_assert_cmpuint(zone->start, ==, 3 * 65536);
    g_assert_cmpuint(zone->length, ==, 65536);
    g_assert_cmpuint(zone->capacity, ==, 61440);
    g_assert_cmpuint(zone->write_pointer, ==, 4 * 65536);
    g_assert_cmpint(zone->type, ==, ZONE_TYPE_SEQUENTIAL_WRITE_REQUIRED);
    end_of_program();
}

static void test_a_summary_counts_conditions_and_lists_no_zones(void)
{
    g_autoptr(BlockZonesInfo) info = NULL;

    add_node(ZONED_NODE "}");
    mgmt(BLOCK_ZONE_COMMAND_FINISH, 3 * 65536, 65536);
    info = qmp_query_block_zones("z", false, 0, false, 0, false, NULL, true, true, &error_abort);
    g_assert_cmpuint(info->conditions->full, ==, 1);
    g_assert_cmpuint(info->conditions->empty, ==, 13);
    g_assert_cmpuint(info->conditions->conventional, ==, 2);
    g_assert_false(info->has_zones);
    g_assert_false(info->has_next);
    end_of_program();
}

static void test_long_reports_come_in_bounded_answers(void)
{
    uint64_t nr_answers = 0, nr_zones = 0, offset = 0;

    add_node("{\"driver\": \"null-co\", \"node-name\": \"z\", \"size\": 655360000,"
             " \"zone\": {\"mode\": \"host-managed\", \"size\": 65536}}");
    do {
        g_autoptr(BlockZonesInfo) info = query_zones_json(NULL, offset, -1);

        for (ZoneDescriptorList *item = info->zones; item; item = item->next) {
            g_assert_cmpuint(item->value->index, ==, nr_zones);
            nr_zones++;
        }
        nr_answers++;
        offset = info->has_next ? info->next : 0;
    } while (offset);
    g_assert_cmpuint(nr_zones, ==, 10000);
    g_assert_cmpuint(nr_answers, ==, 3);
    end_of_program();
}

static void assert_zones_query_fails(const char *name, uint64_t offset, bool has_count,
                                     bool summary, const char *expected)
{
    Error *err = NULL;

    g_assert_null(qmp_query_block_zones(name, offset > 0, offset, has_count, 0, false, NULL,
                                        summary, summary, &err));
    assert_error(err, expected);
}

static void test_bad_zone_queries_are_refused(void)
{
    add_node(ZONED_NODE "}");
    add_node("{\"driver\": \"null-co\", \"node-name\": \"plain\"}");
    assert_zones_query_fails("nosuch", 0, false, false,
                             "Failed to find node with node-name='nosuch'");
    assert_zones_query_fails("plain", 0, false, false, "Node 'plain' has no zones");
    assert_zones_query_fails("z", 1048576, false, false,
                             "Offset 1048576 is past the end of node 'z' (1048576 bytes)");
    assert_zones_query_fails("z", UINT64_MAX, false, false, "Offset 9223372036854775807 is past "
                             "the end of node 'z' (1048576 bytes)");
    assert_zones_query_fails("z", 0, true, false, "Parameter 'count' must be at least 1, got 0");
    assert_zones_query_fails("z", 65536, false, true,
                             "Parameter 'summary' cannot be used together with 'offset'");
    end_of_program();
}

static void test_commands_change_whole_ranges_of_zones(void)
{
    add_node(ZONED_NODE "}");
    mgmt(BLOCK_ZONE_COMMAND_OPEN, 2 * 65536, 131072);
    assert_zones("[\"explicitly-open\"]", -1, -1, "2:explicitly-open 3:explicitly-open ");
    mgmt(BLOCK_ZONE_COMMAND_FINISH, 2 * 65536, 14 * 65536);
    assert_zones("[\"full\"]", 13 * 65536, -1, "13:full 14:full 15:full ");
    mgmt(BLOCK_ZONE_COMMAND_RESET, 4 * 65536, 65536);
    assert_zones("[\"empty\"]", -1, -1, "4:empty ");
    qmp_block_zone_mgmt("z", BLOCK_ZONE_COMMAND_RESET, true, 14 * 65536, false, 0, &error_abort);
    assert_zones("[\"empty\"]", -1, -1, "4:empty 14:empty 15:empty ");
    qmp_block_zone_mgmt("z", BLOCK_ZONE_COMMAND_RESET, false, 0, false, 0, &error_abort);
    assert_zones("[\"full\"]", -1, -1, "");
    end_of_program();
}

static void assert_mgmt_fails(const char *name, BlockZoneCommand op, uint64_t offset,
                              uint64_t length, const char *expected)
{
    Error *err = NULL;

    qmp_block_zone_mgmt(name, op, true, offset, true, length, &err);
    assert_error(err, expected);
}

static void test_refused_zone_commands_say_why(void)
{
    const BlockZoneCommand reset = BLOCK_ZONE_COMMAND_RESET;
    BlockBackend *reader;

    add_node(ZONED_NODE "}");
    add_node("{\"driver\": \"null-co\", \"node-name\": \"plain\"}");
    assert_mgmt_fails("nosuch", reset, 0, 65536, "Failed to find node with node-name='nosuch'");
    assert_mgmt_fails("plain", reset, 0, 65536, "Node 'plain' has no zones");
    assert_mgmt_fails("z", reset, 1048576, 65536,
                      "Offset 1048576 is past the end of node 'z' (1048576 bytes)");
    assert_mgmt_fails("z", reset, UINT64_MAX, 65536, "Offset 9223372036854775807 is past the end "
                      "of node 'z' (1048576 bytes)");
    assert_mgmt_fails("z", reset, 4096, 65536,
                      "Offset 4096 is not the start of a zone of 65536 bytes");
    assert_mgmt_fails("z", reset, 0, 0, "Length 0 is not a multiple of the zone size 65536");
    assert_mgmt_fails("z", reset, 0, 4097, "Length 4097 is not a multiple of the zone size 65536");
    assert_mgmt_fails("z", reset, 983040, 131072,
                      "Length 131072 from offset 983040 passes the end of node 'z'");
    assert_mgmt_fails("z", reset, 65536, 131072, "Could not reset zones [65536, 196608) of node "
                      "'z': Not possible in a conventional zone");
    assert_mgmt_fails("z", BLOCK_ZONE_COMMAND_OPEN, 131072, 196608, "Could not open zones "
                      "[131072, 327680) of node 'z': Too many open zones");

    reader = blk_new(qemu_get_aio_context(), BLK_PERM_CONSISTENT_READ, BLK_PERM_CONSISTENT_READ);
    g_assert_cmpint(blk_insert_bs(reader, bdrv_find_node("z"), &error_abort), ==, 0);
    assert_mgmt_fails("z", reset, 131072, 65536, "Conflicts with use by a block backend as "
                      "'root', which does not allow 'write' on z");
    blk_unref(reader);
    end_of_program();
}

static void test_zones_of_read_only_nodes_do_not_change(void)
{
    add_node(ZONED_NODE ", \"read-only\": true}");
    assert_mgmt_fails("z", BLOCK_ZONE_COMMAND_RESET, 0, 1048576, "Node 'z' is read-only");
    assert_zones("[\"full\"]", -1, -1, "");
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
    {"nodes/the-end-tells-what-closing-could-not-save",
     test_the_end_tells_what_closing_could_not_save},
    {"reopen/options-not-given-return-to-their-defaults",
     test_options_not_given_return_to_their_defaults},
    {"reopen/nodes-that-depend-on-each-other-change-in-one-step",
     test_nodes_that_depend_on_each_other_change_in_one_step},
    {"reopen/children-are-prepared-before-their-parents",
     test_children_are_prepared_before_their_parents},
    {"reopen/refused-changes-no-node", test_a_refused_reopening_changes_no_node},
    {"reopen/bad-ones-are-refused", test_bad_reopenings_are_refused},
    {"query/nodes-are-listed-as-they-are", test_nodes_are_listed_as_they_are},
    {"query/broken-nodes-are-listed-too", test_broken_nodes_are_listed_too},
    {"resize/changes-the-length", test_resizing_changes_the_length},
    {"resize/is-refused-with-a-reason", test_resizing_is_refused_with_a_reason},
    {"stats/requests-are-counted-by-outcome", test_requests_are_counted_by_outcome},
    {"stats/a-tree-has-its-file-below-it", test_a_tree_has_its_file_below_it},
    {"stats/what-becomes-of-zones-is-counted", test_what_becomes_of_zones_is_counted},
    {"stats/write-amplification-is-what-the-file-gets",
     test_write_amplification_is_what_the_file_gets},
    {"zones/are-selected-by-range-and-condition", test_zones_are_selected_by_range_and_condition},
    {"zones/are-described-in-bytes", test_a_zone_is_described_in_bytes},
    {"zones/a-summary-counts-conditions-and-lists-no-zones",
     test_a_summary_counts_conditions_and_lists_no_zones},
    {"zones/long-reports-come-in-bounded-answers", test_long_reports_come_in_bounded_answers},
    {"zones/bad-queries-are-refused", test_bad_zone_queries_are_refused},
    {"zones/commands-change-whole-ranges", test_commands_change_whole_ranges_of_zones},
    {"zones/refused-commands-say-why", test_refused_zone_commands_say_why},
    {"zones/those-of-read-only-nodes-do-not-change", test_zones_of_read_only_nodes_do_not_change},
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
