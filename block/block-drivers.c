/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry of block drivers, and how one is chosen: by name, by the form of a file name, or by
 * the first bytes of an image.
 *
 * Drivers enter themselves from constructors, before main(); after that the list only ever is read.
 */
#include "qemu/osdep.h"

#include "block/graph-int.h"

static TAILQ_HEAD(, BlockDriver) drivers = TAILQ_HEAD_INITIALIZER(drivers);

void bdrv_register(BlockDriver *drv)
{
    assert(drv->format_name);
    assert(!bdrv_find_format(drv->format_name));
    /* A pass-through driver without a child would have nothing to pass requests to. */
    assert(!drv->is_passthrough || drv->has_file_child);
    TAILQ_INSERT_TAIL(&drivers, drv, link);
}

void bdrv_init(void)
{
    /* Nodes live in the context of the main thread, and plain names need the file driver. */
    assert(qemu_get_aio_context());
    assert(!TAILQ_EMPTY(&drivers));
}

BlockDriver *bdrv_find_format(const char *format_name)
{
    BlockDriver *drv;

    TAILQ_FOREACH(drv, &drivers, link) {
        if (!strcmp(drv->format_name, format_name)) {
            return drv;
        }
    }
    return NULL;
}

static BlockDriver *find_device_driver(const char *filename)
{
    BlockDriver *best = NULL;
    BlockDriver *drv;
    int best_score = 0;

    TAILQ_FOREACH(drv, &drivers, link) {
        int score = drv->bdrv_probe_device ? drv->bdrv_probe_device(filename) : 0;

        if (score > best_score) {
            best_score = score;
            best = drv;
        }
    }
    return best;
}

BlockDriver *bdrv_find_protocol(const char *filename, bool allow_prefix, Error **errp)
{
    size_t prefix_len = allow_prefix ? bdrv_protocol_prefix_len(filename) : 0;
    BlockDriver *drv = find_device_driver(filename);

    if (drv) {
        return drv;
    }
    if (!prefix_len) {
        drv = bdrv_find_format("file");
        if (!drv) {
            error_setg(errp, "Unknown protocol 'file'");
        }
        return drv;
    }
    TAILQ_FOREACH(drv, &drivers, link) {
        if (drv->protocol_name && strlen(drv->protocol_name) == prefix_len &&
            !strncmp(drv->protocol_name, filename, prefix_len)) {
            return drv;
        }
    }
    error_setg(errp, "Unknown protocol '%.*s'", (int)prefix_len, filename);
    return NULL;
}

const char *bdrv_driver_name(const BlockDriver *drv)
{
    return drv->format_name;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void bdrv_iterate_format(void (*it)(void *opaque, const char *name), void *opaque)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    BlockDriver *drv;

    TAILQ_FOREACH(drv, &drivers, link) {
        g_ptr_array_add(names, (gpointer)drv->format_name);
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        it(opaque, names->pdata[i]);
    }
}

BlockDriver *bdrv_probe_format(const uint8_t *buf, int buf_size, const char *filename)
{
    BlockDriver *best = bdrv_find_format("raw");
    BlockDriver *drv;
    int best_score = 0;

    assert(best);
    TAILQ_FOREACH(drv, &drivers, link) {
        int score = drv->bdrv_probe ? drv->bdrv_probe(buf, buf_size, filename) : 0;

        if (score > best_score) {
            best_score = score;
            best = drv;
        }
    }
    return best;
}
