/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixture of the qcow2 tests.
 */
#include "qemu/osdep.h"

#include <glib/gstdio.h>

#include "block/block-create.h"
#include "qcow2-fixture.h"

static char *folder;

void qcow2_fixture_init(void)
{
    g_autoptr(GError) error = NULL;

    folder = g_dir_make_tmp("test-qcow2-XXXXXX", &error);
    g_assert_no_error(error);
    g_assert_true(qemu_init_main_loop(NULL));
    bdrv_init();
}

void qcow2_fixture_done(void)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(folder);
    g_clear_pointer(&folder, g_free);
}

char *qcow2_fixture_path(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

/* `a=b,c=d` as an object of strings. */
static json_t *parse_words(const char *words)
{
    g_auto(GStrv) pairs = g_strsplit(words ?: "", ",", -1);
    json_t *tree = json_object();

    for (char **pair = pairs; *pair && **pair; pair++) {
        char *equals = strchr(*pair, '=');

        *equals = '\0';
        json_object_set_new(tree, *pair, json_string(equals + 1));
    }
    return tree;
}

bool qcow2_fixture_create(const char *path, const char *words, int64_t size, Error **errp)
{
    return bdrv_img_create(path, "qcow2", parse_words(words), size, BDRV_CREATE_QUIET, errp);
}

BlockBackend *qcow2_fixture_open(const char *path, const char *options, Error **errp)
{
    json_t *tree = parse_words(options);

    json_object_set_new(tree, "driver", json_string("qcow2"));
    return blk_new_open(path, NULL, tree, BDRV_O_RDWR | BDRV_O_UNMAP, false, errp);
}

bool qcow2_fixture_stock_agrees(const char *arguments)
{
    g_autofree char *program = g_find_program_in_path("qemu-img");
    g_autofree char *command = NULL;
    g_autofree char *output = NULL;
    g_autofree char *errors = NULL;
    int status;

    if (!program) {
        return true;
    }
    command = g_strdup_printf("%s %s", program, arguments);
    g_assert_true(g_spawn_command_line_sync(command, &output, &errors, &status, NULL));
    if (status != 0) {
        g_test_message("%s\n%s%s", command, output, errors);
    }
    return status == 0;
}
