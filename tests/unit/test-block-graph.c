/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The graph of nodes: opening by every kind of name, options, references, permissions, reopening,
 * and the rules of backends and creation that need no format.
 *
 * Files live in a temporary folder, which is the working directory while the tests run.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "block/block-backend.h"
#include "block/block-create.h"
#include "block/block_int.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"

#define FILE_BYTES (64 * KiB)

/* ---- helpers ---- */

static json_t *tree(const char *params)
{
    return keyval_parse(params, NULL, NULL, &error_abort);
}

static BlockDriverState *open_tree(const char *params, int flags, Error **errp)
{
    return bdrv_open(NULL, NULL, tree(params), flags, errp);
}

static void assert_error(Error *err, const char *expected)
{
    g_assert_nonnull(err);
    g_assert_cmpstr(error_get_pretty(err), ==, expected);
    error_free(err);
}

static void assert_open_fails(const char *params, int flags, const char *expected)
{
    Error *err = NULL;

    g_assert_null(open_tree(params, flags, &err));
    assert_error(err, expected);
    /* Nothing half-open stays behind. */
    g_assert_null(bdrv_next_node(NULL));
}

static void assert_no_nodes(void)
{
    g_assert_null(bdrv_next_node(NULL));
}

/* A file of zeroes, or one that begins with @head. */
static void make_file(const char *name, const char *head)
{
    g_autofree char *content = g_malloc0(FILE_BYTES);

    memcpy(content, head, strlen(head));
    g_assert_true(g_file_set_contents(name, content, FILE_BYTES, NULL));
}

/* Whether another open file description could take byte @byte of @name exclusively. */
static bool is_byte_free(const char *name, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int fd = open(name, O_RDWR);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fcntl(fd, F_OFD_GETLK, &lock), ==, 0);
    close(fd);
    return lock.l_type == F_UNLCK;
}

/* ---- names of images ---- */

static void test_plain_name_is_probed_on_file(void)
{
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = bdrv_open("a.img", NULL, NULL, 0, &error_abort);
    g_assert_cmpstr(bdrv_get_format_name(bs), ==, "raw");
    g_assert_cmpstr(bdrv_get_format_name(bs->file->bs), ==, "file");
    g_assert_cmpstr(bs->filename, ==, "a.img");
    g_assert_true(bs->probed);
    g_assert_true(bdrv_is_read_only(bs));
    g_assert_cmpint(bs->total_bytes, ==, FILE_BYTES);
    bdrv_unref(bs);
    assert_no_nodes();
}

static void test_prefix_selects_the_protocol(void)
{
    Error *err = NULL;
    BlockDriverState *bs = bdrv_open("null-co://", NULL, tree("driver=raw"), 0, &error_abort);

    g_assert_cmpstr(bdrv_get_format_name(bs->file->bs), ==, "null-co");
    bdrv_unref(bs);

    make_file("a.img", "");
    bs = bdrv_open("file:a.img", NULL, NULL, 0, &error_abort);
    g_assert_cmpstr(bs->file->bs->filename, ==, "a.img");
    bdrv_unref(bs);

    g_assert_null(bdrv_open("nosuch:a.img", NULL, NULL, 0, &err));
    assert_error(err, "Unknown protocol 'nosuch'");
    assert_no_nodes();
}

static void test_a_colon_behind_a_slash_is_no_prefix(void)
{
    BlockDriverState *bs;

    make_file("with:colon", "");
    bs = bdrv_open("./with:colon", NULL, NULL, 0, &error_abort);
    g_assert_cmpstr(bs->filename, ==, "./with:colon");
    bdrv_unref(bs);
}

static void test_json_name_is_an_option_tree(void)
{
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = bdrv_open("json:{\"driver\": \"raw\", \"file.driver\": \"file\", \"offset\": 512,"
                   " \"file\": {\"filename\": \"a.img\"}}", NULL, NULL, 0, &error_abort);
    g_assert_cmpstr(bdrv_get_format_name(bs), ==, "raw");
    g_assert_cmpint(bs->total_bytes, ==, FILE_BYTES - 512);
    g_assert_true(g_str_has_prefix(bs->filename, "json:{"));
    bdrv_unref(bs);
}

static void test_shown_json_name_opens_the_same_node(void)
{
    g_autofree char *shown = NULL;
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = open_tree("driver=raw,offset=1024,file.driver=file,file.filename=a.img", 0, &error_abort);
    shown = g_strdup(bs->filename);
    bdrv_unref(bs);
    bs = bdrv_open(shown, NULL, NULL, 0, &error_abort);
    g_assert_cmpint(bs->total_bytes, ==, FILE_BYTES - 1024);
    g_assert_cmpstr(bs->filename, ==, shown);
    bdrv_unref(bs);
}

static void test_bad_json_names_the_place(void)
{
    Error *err = NULL;

    g_assert_null(bdrv_open("json:{\"driver\": }", NULL, NULL, 0, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "Could not parse the JSON options: 1:"));
    error_free(err);
    err = NULL;
    g_assert_null(bdrv_open("json:[1]", NULL, NULL, 0, &err));
    error_free(err);
    err = NULL;
    g_assert_null(bdrv_open("json:{\"a\": 1, \"a.b\": 2}", NULL, NULL, 0, &err));
    assert_error(err, "Cannot mix the option 'a.b' with one that contains it");
}

static void test_missing_file_says_so(void)
{
    Error *err = NULL;

    g_assert_null(bdrv_open("nosuch.img", NULL, NULL, 0, &err));
    assert_error(err, "Could not open 'nosuch.img': No such file or directory");
    assert_no_nodes();
}

/* ---- options ---- */

static void test_driver_of_file_may_be_omitted(void)
{
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = open_tree("driver=raw,file.filename=a.img", 0, &error_abort);
    g_assert_cmpstr(bdrv_get_format_name(bs->file->bs), ==, "file");
    g_assert_cmpstr(bs->filename, ==, "a.img");
    bdrv_unref(bs);
    bs = open_tree("file.filename=a.img", 0, &error_abort);
    g_assert_cmpstr(bdrv_get_format_name(bs), ==, "raw");
    bdrv_unref(bs);
}

static void test_bad_options_are_refused_by_name(void)
{
    make_file("a.img", "");
    assert_open_fails("node-name=a", 0, "Must specify either driver or file");
    assert_open_fails("driver=nosuch", 0, "Unknown driver 'nosuch'");
    assert_open_fails("driver=raw", 0, "A block device must be specified for \"file\"");
    assert_open_fails("driver=raw,foo=1,file.filename=a.img", 0,
                      "Block format 'raw' does not support the option 'foo'");
    assert_open_fails("driver=raw,file.filename=a.img,file.foo=1", 0,
                      "Block protocol 'file' does not support the option 'foo'");
    assert_open_fails("driver=raw,file=nosuch", 0,
                      "Cannot find device='nosuch' nor node-name='nosuch'");
    assert_open_fails("driver=null-co,discard=maybe", 0,
                      "Parameter 'discard' does not accept value 'maybe'");
    assert_open_fails("driver=null-co,force-share=on", BDRV_O_RDWR,
                      "force-share=on can only be used with read-only images");
    assert_open_fails("driver=raw,file.node-name=a", 0, "Must specify either driver or filename");
    assert_open_fails("driver=null-co,read-only=perhaps", 0,
                      "Parameter 'read-only' expects 'on' or 'off', got 'perhaps'");
}

static void test_children_follow_flags_and_keep_their_own(void)
{
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = open_tree("driver=raw,cache.no-flush=on,file.filename=a.img", BDRV_O_RDWR, &error_abort);
    g_assert_true(bs->file->bs->open_flags & BDRV_O_NO_FLUSH);
    g_assert_true(bs->file->bs->open_flags & BDRV_O_RDWR);
    /* The format decides about discards, so its file carries out all it gets. */
    g_assert_false(bs->open_flags & BDRV_O_UNMAP);
    g_assert_true(bs->file->bs->open_flags & BDRV_O_UNMAP);
    bdrv_unref(bs);
    bs = open_tree("driver=raw,cache.no-flush=on,discard=unmap,file.filename=a.img,"
                   "file.cache.no-flush=off,file.discard=ignore", BDRV_O_RDWR, &error_abort);
    g_assert_true(bs->open_flags & BDRV_O_UNMAP);
    g_assert_false(bs->file->bs->open_flags & (BDRV_O_NO_FLUSH | BDRV_O_UNMAP));
    bdrv_unref(bs);
}

static void test_auto_read_only_falls_back(void)
{
    Error *err = NULL;
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = open_tree("driver=raw,file.read-only=on,file.filename=a.img,auto-read-only=on",
                   BDRV_O_RDWR, &error_abort);
    g_assert_true(bdrv_is_read_only(bs));
    g_assert_true(bdrv_is_read_only(bs->file->bs));
    bdrv_unref(bs);
    g_assert_null(blk_new_open(NULL, NULL,
                               tree("driver=raw,file.filename=a.img,file.read-only=on"),
                               BDRV_O_RDWR, false, &err));
    assert_error(err, "Block node is read-only");
    assert_no_nodes();
}

static void test_cache_modes(void)
{
    int flags = BDRV_O_RDWR;
    bool writethrough = true;

    g_assert_true(bdrv_parse_cache_mode("none", &flags, &writethrough));
    g_assert_cmpint(flags, ==, BDRV_O_RDWR | BDRV_O_NOCACHE);
    g_assert_false(writethrough);
    g_assert_true(bdrv_parse_cache_mode("directsync", &flags, &writethrough));
    g_assert_cmpint(flags, ==, BDRV_O_RDWR | BDRV_O_NOCACHE);
    g_assert_true(writethrough);
    g_assert_true(bdrv_parse_cache_mode("unsafe", &flags, &writethrough));
    g_assert_cmpint(flags, ==, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
    g_assert_false(bdrv_parse_cache_mode("fast", &flags, &writethrough));
    g_assert_cmpint(flags, ==, BDRV_O_RDWR | BDRV_O_NO_FLUSH);
}

/* ---- node names and references ---- */

static void test_node_names_are_unique_and_wellformed(void)
{
    Error *err = NULL;
    BlockDriverState *bs;

    assert_open_fails("driver=null-co,node-name=1a", 0, "Invalid node-name: '1a'");
    assert_open_fails("driver=null-co,node-name=#block1", 0, "Invalid node-name: '#block1'");
    assert_open_fails("driver=null-co,node-name=a23456789012345678901234567890bc", 0,
                      "Node name too long: 'a23456789012345678901234567890bc' has 32 characters, "
                      "at most 31 are allowed");
    bs = open_tree("driver=null-co,node-name=q", 0, &error_abort);
    g_assert_true(bdrv_find_node("q") == bs);
    g_assert_null(open_tree("driver=null-co,node-name=q", 0, &err));
    assert_error(err, "Duplicate nodes with node-name='q'");
    bdrv_unref(bs);
    g_assert_null(bdrv_find_node("q"));
}

static void test_nodes_without_a_name_get_one(void)
{
    BlockDriverState *a = open_tree("driver=null-co", 0, &error_abort);
    BlockDriverState *b = open_tree("driver=null-co", 0, &error_abort);

    g_assert_true(g_str_has_prefix(bdrv_get_node_name(a), "#block"));
    g_assert_cmpstr(bdrv_get_node_name(a), !=, bdrv_get_node_name(b));
    g_assert_true(bdrv_next_node(NULL) == a);
    g_assert_true(bdrv_next_node(a) == b);
    g_assert_null(bdrv_next_node(b));
    bdrv_unref(a);
    bdrv_unref(b);
}

static void test_referenced_child_outlives_its_parent(void)
{
    BlockDriverState *child = open_tree("driver=null-co,node-name=child", 0, &error_abort);
    BlockDriverState *parent = open_tree("driver=raw,file=child", 0, &error_abort);

    g_assert_true(parent->file->bs == child);
    g_assert_cmpint(child->refcnt, ==, 2);
    bdrv_unref(child);
    g_assert_true(bdrv_find_node("child") == child);
    bdrv_ref(child);
    bdrv_unref(parent);
    g_assert_true(bdrv_find_node("child") == child);
    bdrv_unref(child);
    assert_no_nodes();
}

static void test_reference_takes_no_options(void)
{
    Error *err = NULL;
    BlockDriverState *bs = open_tree("driver=null-co,node-name=q", 0, &error_abort);

    g_assert_true(bdrv_open(NULL, "q", NULL, 0, &error_abort) == bs);
    bdrv_unref(bs);
    g_assert_null(bdrv_open(NULL, "q", tree("size=1M"), 0, &err));
    assert_error(err, "Cannot reference an existing block device with additional options");
    bdrv_unref(bs);
}

/* ---- permissions ---- */

static void test_conflicting_permissions_are_refused(void)
{
    Error *err = NULL;
    BlockDriverState *bs = open_tree("driver=null-co,node-name=q", BDRV_O_RDWR, &error_abort);
    BlockBackend *keeper = blk_new(bs->aio_context, BLK_PERM_CONSISTENT_READ,
                                   BLK_PERM_CONSISTENT_READ);
    BlockBackend *writer = blk_new(bs->aio_context, BLK_PERM_WRITE, BLK_PERM_ALL);

    blk_insert_bs(keeper, bs, &error_abort);
    g_assert_cmpint(blk_insert_bs(writer, bs, &err), ==, -EPERM);
    assert_error(err, "Conflicts with use by a block backend as 'root', "
                 "which does not allow 'write' on q");
    blk_remove_bs(keeper);

    blk_insert_bs(writer, bs, &error_abort);
    err = NULL;
    g_assert_cmpint(blk_insert_bs(keeper, bs, &err), ==, -EPERM);
    assert_error(err, "Conflicts with use by a block backend as 'root', which uses 'write' on q");
    blk_unref(writer);
    blk_unref(keeper);
    bdrv_unref(bs);
}

static void test_raw_passes_permissions_through(void)
{
    BlockDriverState *bs;
    BlockBackend *blk;
    BdrvChild *file;

    make_file("a.img", "");
    bs = open_tree("driver=raw,file.filename=a.img", BDRV_O_RDWR, &error_abort);
    file = bs->file;
    g_assert_cmpuint(file->perm, ==, 0);
    blk = blk_new(bs->aio_context, BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE, BLK_PERM_ALL);
    blk_insert_bs(blk, bs, &error_abort);
    g_assert_cmpuint(file->perm, ==, BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE);
    g_assert_cmpuint(file->shared_perm, ==, BLK_PERM_ALL);
    g_assert_false(is_byte_free("a.img", 100));
    g_assert_false(is_byte_free("a.img", 101));
    for (int byte = 102; byte < 104; byte++) {
        g_assert_true(is_byte_free("a.img", byte));
        g_assert_true(is_byte_free("a.img", byte + 100));
    }
    blk_unref(blk);
    g_assert_cmpuint(file->perm, ==, 0);
    g_assert_true(is_byte_free("a.img", 101));
    bdrv_unref(bs);
}

/* Which of the bytes of image-locking.rst somebody holds, as `100 101 ...`. */
static char *held_bytes(const char *name)
{
    GString *text = g_string_new(NULL);

    for (int base = 100; base <= 200; base += 100) {
        for (int i = 0; i < 4; i++) {
            if (!is_byte_free(name, base + i)) {
                g_string_append_printf(text, "%s%d", text->len ? " " : "", base + i);
            }
        }
    }
    return g_string_free(text, FALSE);
}

static void assert_held(const char *expected)
{
    g_autofree char *held = held_bytes("a.img");

    g_assert_cmpstr(held, ==, expected);
}

static void test_format_holds_the_locks_of_its_mode(void)
{
    /* Raw that does not pass permissions through is a format like any other. */
    BlockDriver *drv = bdrv_find_format("raw");
    Error *err = NULL;
    BlockBackend *blk;

    make_file("a.img", "");
    drv->is_passthrough = false;
    blk = blk_new_open("a.img", NULL, tree("driver=raw"), 0, false, &error_abort);
    assert_held("100 201 203");
    g_assert_cmpint(blk_reopen(blk, NULL, BDRV_O_RDWR, &error_abort), ==, 0);
    assert_held("100 101 103 201 203");
    g_assert_null(bdrv_open("a.img", NULL, tree("driver=raw"), 0, &err));
    assert_error(err, "Failed to get shared \"write\" lock");
    err = NULL;
    g_assert_null(bdrv_open("a.img", NULL, tree("driver=raw"), BDRV_O_RDWR, &err));
    assert_error(err, "Failed to get \"write\" lock");
    g_assert_cmpint(blk_reopen(blk, NULL, 0, &error_abort), ==, 0);
    assert_held("100 201 203");
    blk_unref(blk);
    blk = blk_new_open("a.img", NULL, tree("driver=raw,force-share=on"), 0, false, &error_abort);
    assert_held("100");
    blk_unref(blk);
    assert_held("");
    drv->is_passthrough = true;
}

static void test_conflict_below_leaves_everything_as_it_was(void)
{
    Error *err = NULL;
    BlockDriverState *file = open_tree("driver=null-co,node-name=f", BDRV_O_RDWR, &error_abort);
    BlockDriverState *raw = open_tree("driver=raw,node-name=r,file=f", BDRV_O_RDWR, &error_abort);
    BlockBackend *keeper = blk_new(file->aio_context, 0, BLK_PERM_CONSISTENT_READ);
    BlockBackend *user = blk_new(file->aio_context, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL);

    blk_insert_bs(keeper, file, &error_abort);
    blk_insert_bs(user, raw, &error_abort);
    g_assert_cmpint(blk_reopen(user, NULL, BDRV_O_RDWR, &err), ==, -EPERM);
    assert_error(err, "Conflicts with use by a block backend as 'root', "
                 "which does not allow 'write' on f");
    g_assert_cmpuint(raw->file->perm, ==, BLK_PERM_CONSISTENT_READ);
    g_assert_false(blk_is_writable(user));
    blk_unref(user);
    blk_unref(keeper);
    bdrv_unref(raw);
    bdrv_unref(file);
}

static void test_resizing_is_a_permission_of_the_moment(void)
{
    BlockBackend *blk;

    make_file("a.img", "");
    blk = blk_new_open("a.img", NULL, tree("driver=raw"), BDRV_O_RDWR, false, &error_abort);
    g_assert_true(is_byte_free("a.img", 103));
    g_assert_cmpint(blk_truncate(blk, 2 * FILE_BYTES, true, PREALLOC_MODE_OFF, 0, &error_abort), ==,
                    0);
    g_assert_true(is_byte_free("a.img", 103));
    g_assert_cmpint(blk_getlength(blk), ==, 2 * FILE_BYTES);
    blk_unref(blk);
}

/* ---- reopening ---- */

static void test_reopen_changes_mode_of_node_and_file(void)
{
    BlockBackend *blk;
    BlockDriverState *bs;
    uint8_t byte = 1;

    make_file("a.img", "");
    blk = blk_new_open("a.img", NULL, tree("driver=raw"), 0, false, &error_abort);
    bs = blk_bs(blk);
    g_assert_cmpint(blk_pwrite(blk, 0, 1, &byte, 0), ==, -EPERM);
    g_assert_cmpint(blk_reopen(blk, NULL, BDRV_O_RDWR, &error_abort), ==, 0);
    g_assert_false(bs->read_only || bs->file->bs->read_only);
    g_assert_cmpint(blk_pwrite(blk, 0, 1, &byte, 0), ==, 0);
    g_assert_false(is_byte_free("a.img", 101));
    g_assert_cmpint(blk_reopen(blk, NULL, 0, &error_abort), ==, 0);
    g_assert_true(bs->read_only && bs->file->bs->read_only);
    g_assert_true(is_byte_free("a.img", 101));
    g_assert_cmpint(blk_pwrite(blk, 0, 1, &byte, 0), ==, -EPERM);
    blk_unref(blk);
}

static void test_reopen_refuses_what_cannot_change(void)
{
    Error *err = NULL;
    BlockBackend *blk = blk_new_open(NULL, NULL, tree("driver=null-co,size=1M"), 0, false,
                                     &error_abort);
    BlockDriverState *bs = blk_bs(blk);

    g_assert_cmpint(bdrv_reopen(bs, tree("size=2M"), 0, &err), ==, -EINVAL);
    assert_error(err, "Cannot change the option 'size'");
    err = NULL;
    g_assert_cmpint(bdrv_reopen(bs, tree("foo=1"), 0, &err), ==, -EINVAL);
    assert_error(err, "Cannot change the option 'foo'");
    g_assert_cmpint(bdrv_reopen(bs, tree("size=1M,driver=null-co"), 0, &error_abort), ==, 0);
    g_assert_cmpint(bdrv_reopen(bs, tree("cache.no-flush=on"), 0, &error_abort), ==, 0);
    g_assert_true(bs->open_flags & BDRV_O_NO_FLUSH);
    g_assert_cmpint(bdrv_reopen(bs, tree("cache.direct=on"), 0, &error_abort), ==, 0);
    g_assert_true(bs->open_flags & BDRV_O_NO_FLUSH);
    blk_unref(blk);
}

static void test_refused_reopen_changes_nothing(void)
{
    Error *err = NULL;
    BlockBackend *blk = blk_new_open(NULL, NULL, tree("driver=raw,file.driver=null-co"),
                                     BDRV_O_RDWR, false, &error_abort);
    BlockDriverState *bs = blk_bs(blk);

    /* The backend still wants to write. */
    g_assert_cmpint(bdrv_reopen(bs, NULL, 0, &err), ==, -EPERM);
    assert_error(err, "Block node is read-only");
    g_assert_false(bs->read_only || bs->file->bs->read_only);
    g_assert_true(bs->file->perm & BLK_PERM_WRITE);
    g_assert_cmpuint(bs->quiesce_counter, ==, 0);
    g_assert_cmpint(blk_pwrite_zeroes(blk, 0, 4096, 0), ==, 0);
    blk_unref(blk);
}

static void test_reopened_format_keeps_its_data(void)
{
    uint8_t written[512], found[512];
    BlockBackend *blk;

    memset(written, 0x5a, sizeof(written));
    g_assert_true(bdrv_img_create("a.img", "qcow2", NULL, MiB, BDRV_CREATE_QUIET, &error_abort));
    blk = blk_new_open("a.img", NULL, NULL, 0, false, &error_abort);
    g_assert_cmpstr(bdrv_get_format_name(blk_bs(blk)), ==, "qcow2");
    g_assert_cmpint(blk_reopen(blk, NULL, BDRV_O_RDWR, &error_abort), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, 4096, sizeof(written), written, 0), ==, 0);
    g_assert_cmpint(blk_reopen(blk, NULL, 0, &error_abort), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, 4096, sizeof(written), written, 0), ==, -EPERM);
    g_assert_cmpint(blk_pread(blk, 4096, sizeof(found), found, 0), ==, 0);
    g_assert_cmpmem(found, sizeof(found), written, sizeof(written));
    assert_held("100 201 203");
    blk_unref(blk);
}

/* ---- backends ---- */

static void count_completion(void *opaque, int ret)
{
    int *counter = opaque;

    g_assert_cmpint(ret, ==, 0);
    (*counter)++;
}

static void test_callbacks_come_later_and_drain_waits_for_them(void)
{
    static const char *const drivers[] = {"driver=null-co", "driver=null-aio"};
    static uint8_t buffer[4096];
    QEMUIOVector qiov;

    qemu_iovec_init_buf(&qiov, buffer, sizeof(buffer));
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        BlockBackend *blk = blk_new_open(NULL, NULL, tree(drivers[i]), BDRV_O_RDWR, false,
                                         &error_abort);
        int nr_done = 0;

        for (int n = 0; n < 300; n++) {
            blk_aio_preadv(blk, n * 4096, &qiov, 0, count_completion, &nr_done);
            blk_aio_pwritev(blk, n * 4096, &qiov, 0, count_completion, &nr_done);
            blk_aio_flush(blk, count_completion, &nr_done);
            g_assert_cmpint(nr_done, ==, 0);
        }
        blk_drain(blk);
        g_assert_cmpint(nr_done, ==, 900);
        blk_unref(blk);
    }
}

typedef struct Resubmitter {
    BlockBackend *blk;
    QEMUIOVector qiov;
    int nr_left;
    int depth;
} Resubmitter;

static void resubmit(void *opaque, int ret)
{
    Resubmitter *r = opaque;

    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpint(r->depth++, ==, 0);
    if (r->nr_left-- > 0) {
        blk_aio_preadv(r->blk, 0, &r->qiov, 0, resubmit, r);
    }
    r->depth--;
}

static void test_requests_from_callbacks_do_not_nest(void)
{
    static uint8_t buffer[512];
    Resubmitter r = {.nr_left = 100000};

    r.blk = blk_new_open(NULL, NULL, tree("driver=null-co"), 0, false, &error_abort);
    qemu_iovec_init_buf(&r.qiov, buffer, sizeof(buffer));
    blk_aio_preadv(r.blk, 0, &r.qiov, 0, resubmit, &r);
    blk_drain(r.blk);
    g_assert_cmpint(r.nr_left, ==, -1);
    blk_unref(r.blk);
}

static void note_result(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

static void test_bad_requests_are_refused(void)
{
    static uint8_t buffer[512];
    BlockBackend *blk = blk_new(qemu_get_aio_context(), BLK_PERM_ALL, BLK_PERM_ALL);
    int ret = 1;

    g_assert_cmpint(blk_pread(blk, 0, 512, buffer, 0), ==, -ENOMEDIUM);
    g_assert_cmpint(blk_flush(blk), ==, -ENOMEDIUM);
    g_assert_cmpint(blk_getlength(blk), ==, -ENOMEDIUM);
    blk_aio_flush(blk, note_result, &ret);
    blk_unref(blk);
    g_assert_cmpint(ret, ==, -ENOMEDIUM);

    blk = blk_new_open(NULL, NULL, tree("driver=null-co,size=1M"), 0, false, &error_abort);
    g_assert_cmpint(blk_pread(blk, -512, 512, buffer, 0), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, 0, -1, buffer, 0), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, INT64_MAX - 511, 512, buffer, 0), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, MiB, 512, buffer, 0), ==, -EIO);
    g_assert_cmpint(blk_pread(blk, MiB - 512, 512, buffer, 0), ==, 0);
    g_assert_cmpint(blk_pwrite(blk, 0, 512, buffer, 0), ==, -EPERM);
    g_assert_cmpint(blk_pdiscard(blk, 0, 512), ==, -EPERM);
    blk_unref(blk);
}

static void test_requests_wait_while_the_node_is_drained(void)
{
    BlockBackend *blk = blk_new_open(NULL, NULL, tree("driver=null-co"), BDRV_O_RDWR, false,
                                     &error_abort);
    int nr_done = 0;

    bdrv_drained_begin(blk_bs(blk));
    blk_aio_flush(blk, count_completion, &nr_done);
    while (aio_poll(qemu_get_aio_context(), false)) {
    }
    g_assert_cmpint(nr_done, ==, 0);
    bdrv_drained_end(blk_bs(blk));
    blk_drain(blk);
    g_assert_cmpint(nr_done, ==, 1);
    blk_unref(blk);
}

static int coroutine_fn open_and_close_in_coroutine(void *arg)
{
    BlockBackend *blk = blk_new_open("a.img", NULL, tree("driver=raw"), BDRV_O_RDWR, false,
                                     &error_abort);
    int ret = blk_co_pwrite_zeroes(blk, 0, 4096, 0);

    blk_unref(blk);
    return ret;
}

static void test_coroutines_can_open_and_close(void)
{
    make_file("a.img", "");
    g_assert_cmpint(bdrv_run_co(qemu_get_aio_context(), open_and_close_in_coroutine, NULL), ==, 0);
    assert_no_nodes();
}

static void test_unusable_node_refuses_requests_and_closes(void)
{
    uint8_t byte;
    BlockBackend *blk;

    make_file("a.img", "");
    blk = blk_new_open("a.img", NULL, tree("driver=raw"), BDRV_O_RDWR, false, &error_abort);
    bdrv_make_unusable(blk_bs(blk));
    g_assert_cmpint(blk_pread(blk, 0, 1, &byte, 0), ==, -ENOMEDIUM);
    blk_unref(blk);
    assert_no_nodes();
}

/* ---- creation ---- */

static bool create(const char *filename, const char *format, const char *words, int64_t size,
                   Error **errp)
{
    return bdrv_img_create(filename, format, tree(words), size, BDRV_CREATE_QUIET, errp);
}

static void test_raw_image_has_the_size_asked_for(void)
{
    struct stat st;

    g_assert_true(create("new.img", "raw", "", 1000, &error_abort));
    g_assert_cmpint(stat("new.img", &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1024);
    g_assert_true(create("new.img", "raw", "size=1.5M,preallocation=falloc", -1, &error_abort));
    g_assert_cmpint(stat("new.img", &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 3 * MiB / 2);
    g_unlink("new.img");
    assert_no_nodes();
}

static void test_bad_words_touch_no_file(void)
{
    static const struct {
        const char *format, *words;
        int64_t size;
        const char *error;
    } cases[] = {
        {"raw", "", -1, "Image creation needs a size parameter"},
        {"raw", "size=1M", MiB, "The image size must be specified only once"},
        {"raw", "foo=1", MiB, "Invalid parameter 'foo'"},
        {"raw", "foo.bar=1", MiB, "Invalid parameter 'foo.bar'"},
        {"raw", "size=1e30", -1, "Parameter 'size' expects a size in bytes, got '1e30'"},
        {"raw", "size=-1", -1, "Parameter 'size' expects a size in bytes, got '-1'"},
        {"raw", "preallocation=some", MiB,
         "Parameter 'preallocation' does not accept value 'some'"},
        {"qcow2", "cluster_size=3", MiB,
         "Cluster size must be a power of two between 512 and 2048k"},
        {"qcow2", "compat=0.9", MiB, "Parameter 'version' does not accept value '0.9'"},
        {"qcow2", "zone_size=64M", MiB, "Parameter 'zone.mode' is missing"},
        {"qcow2", "zone.mode=host-managed,zone_model=host-managed", MiB,
         "Parameter 'zone.mode' is given in two spellings"},
        {"qcow2", "zone_model=host-managed,max_open_zones=-1", MiB,
         "Parameter 'zone.max-open-zones' must be between 0 and 4294967295, got -1"},
        {"nosuch", "", MiB, "Unknown file format 'nosuch'"},
        {"null-co", "", MiB, "Format driver 'null-co' does not support image creation"},
    };

    make_file("a.img", "precious");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *content = NULL;
        g_autofree char *message = g_strconcat("a.img: ", cases[i].error, NULL);
        Error *err = NULL;
        gsize length;

        g_assert_false(create("a.img", cases[i].format, cases[i].words, cases[i].size, &err));
        assert_error(err, message);
        g_assert_true(g_file_get_contents("a.img", &content, &length, NULL));
        g_assert_cmpuint(length, ==, FILE_BYTES);
        g_assert_cmpmem(content, 8, "precious", 8);

        err = NULL;
        g_assert_false(create("absent.img", cases[i].format, cases[i].words, cases[i].size, &err));
        error_free(err);
        g_assert_false(g_file_test("absent.img", G_FILE_TEST_EXISTS));
    }
}

static void test_info_describes_node_and_file(void)
{
    g_autoptr(ImageInfo) info = NULL;
    BlockDriverState *bs;

    make_file("a.img", "");
    bs = bdrv_open("a.img", NULL, tree("driver=raw"), 0, &error_abort);
    info = bdrv_query_image_info(bs, &error_abort);
    g_assert_cmpstr(info->format, ==, "raw");
    g_assert_cmpuint(info->virtual_size, ==, FILE_BYTES);
    g_assert_true(info->has_actual_size);
    g_assert_cmpuint(info->limits->request_alignment, ==, 1);
    g_assert_cmpstr(info->children->value->name, ==, "file");
    g_assert_cmpstr(info->children->value->info->format, ==, "file");
    g_assert_cmpuint(info->children->value->info->virtual_size, ==, FILE_BYTES);
    bdrv_unref(bs);
}

static void test_zone_refusals_are_sentences(void)
{
    g_assert_cmpstr(bdrv_strerror(ZONE_ERR_FULL), ==, "Zone is full");
    g_assert_cmpstr(bdrv_strerror(EIO), ==, strerror(EIO));
}

/* ---- main ---- */

static const struct {
    const char *path;
    void (*test)(void);
} tests[] = {
    {"names/plain-name-is-probed-on-file", test_plain_name_is_probed_on_file},
    {"names/prefix-selects-the-protocol", test_prefix_selects_the_protocol},
    {"names/a-colon-behind-a-slash-is-no-prefix", test_a_colon_behind_a_slash_is_no_prefix},
    {"names/json-name-is-an-option-tree", test_json_name_is_an_option_tree},
    {"names/shown-json-name-opens-the-same-node", test_shown_json_name_opens_the_same_node},
    {"names/bad-json-names-the-place", test_bad_json_names_the_place},
    {"names/missing-file-says-so", test_missing_file_says_so},
    {"options/driver-of-file-may-be-omitted", test_driver_of_file_may_be_omitted},
    {"options/bad-options-are-refused-by-name", test_bad_options_are_refused_by_name},
    {"options/children-follow-flags-and-keep-their-own",
     test_children_follow_flags_and_keep_their_own},
    {"options/auto-read-only-falls-back", test_auto_read_only_falls_back},
    {"options/cache-modes", test_cache_modes},
    {"nodes/names-are-unique-and-wellformed", test_node_names_are_unique_and_wellformed},
    {"nodes/without-a-name-get-one", test_nodes_without_a_name_get_one},
    {"nodes/referenced-child-outlives-its-parent", test_referenced_child_outlives_its_parent},
    {"nodes/reference-takes-no-options", test_reference_takes_no_options},
    {"nodes/unusable-node-refuses-requests-and-closes",
     test_unusable_node_refuses_requests_and_closes},
    {"permissions/conflicts-are-refused", test_conflicting_permissions_are_refused},
    {"permissions/raw-passes-them-through", test_raw_passes_permissions_through},
    {"permissions/format-holds-the-locks-of-its-mode", test_format_holds_the_locks_of_its_mode},
    {"permissions/conflict-below-leaves-everything-as-it-was",
     test_conflict_below_leaves_everything_as_it_was},
    {"permissions/resizing-is-of-the-moment", test_resizing_is_a_permission_of_the_moment},
    {"reopen/changes-mode-of-node-and-file", test_reopen_changes_mode_of_node_and_file},
    {"reopen/refuses-what-cannot-change", test_reopen_refuses_what_cannot_change},
    {"reopen/refused-changes-nothing", test_refused_reopen_changes_nothing},
    {"reopen/format-keeps-its-data", test_reopened_format_keeps_its_data},
    {"backend/callbacks-come-later-and-drain-waits-for-them",
     test_callbacks_come_later_and_drain_waits_for_them},
    {"backend/requests-from-callbacks-do-not-nest", test_requests_from_callbacks_do_not_nest},
    {"backend/bad-requests-are-refused", test_bad_requests_are_refused},
    {"backend/requests-wait-while-the-node-is-drained",
     test_requests_wait_while_the_node_is_drained},
    {"backend/coroutines-can-open-and-close", test_coroutines_can_open_and_close},
    {"create/raw-image-has-the-size-asked-for", test_raw_image_has_the_size_asked_for},
    {"create/bad-words-touch-no-file", test_bad_words_touch_no_file},
    {"info/describes-node-and-file", test_info_describes_node_and_file},
    {"info/zone-refusals-are-sentences", test_zone_refusals_are_sentences},
};

int main(int argc, char **argv)
{
    g_autofree char *folder = NULL;
    int status;

    g_test_init(&argc, &argv, NULL);
    error_init(argv[0]);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();
    folder = g_dir_make_tmp("test-block-graph-XXXXXX", NULL);
    g_assert_nonnull(folder);
    g_assert_cmpint(chdir(folder), ==, 0);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *path = g_strconcat("/block-graph/", tests[i].path, NULL);

        g_test_add_func(path, tests[i].test);
    }
    status = g_test_run();
    g_unlink("a.img");
    g_unlink("with:colon");
    g_assert_cmpint(chdir("/"), ==, 0);
    g_rmdir(folder);
    return status;
}
