/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening images for the tools, see tool-image.h.
 */
#include "qemu/osdep.h"

#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "tools/common/tool-image.h"

void tool_init(const char *argv0)
{
    error_init(argv0);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();
}

bool tool_image_set_cache(ToolImage *image, const char *mode)
{
    return bdrv_parse_cache_mode(mode, &image->flags, &image->writethrough);
}

static BlockBackend *tool_open_image_opts(const ToolImage *image, Error **errp)
{
    json_t *options = keyval_parse(image->filename, image->implied_key, NULL, errp);

    if (!options) {
        return NULL;
    }
    if (!json_object_get(options, "driver") && !json_object_get(options, "file")) {
        error_setg(errp, "Must specify either driver or file");
        json_decref(options);
        return NULL;
    }
    if (image->force_share) {
        json_object_set_new(options, "force-share", json_true());
    }
    return blk_new_open(NULL, NULL, options, image->flags, image->writethrough, errp);
}

/* `aio` is an option of the protocol node: of the `file` child where there is a format, probed or named. */
static void tool_set_aio(const ToolImage *image, json_t *options)
{
    if (image->aio) {
        json_object_set_new(options, "file",
                            json_pack("{s:s, s:s}", "filename", image->filename, "aio", image->aio));
    }
}

static BlockBackend *tool_open_file(const ToolImage *image, Error **errp)
{
    json_t *options = json_object();
    BlockBackend *blk;

    ERRP_GUARD();
    if (image->format) {
        json_object_set_new(options, "driver", json_string(image->format));
    }
    if (image->force_share) {
        json_object_set_new(options, "force-share", json_true());
    }
    tool_set_aio(image, options);
    blk = blk_new_open(image->aio ? NULL : image->filename, NULL, options, image->flags, image->writethrough, errp);
    if (!blk) {
        error_prepend(errp, "Could not open '%s': ", image->filename);
    }
    return blk;
}

BlockBackend *tool_image_open(const ToolImage *image, Error **errp)
{
    if (image->force_share && (image->flags & BDRV_O_RDWR)) {
        error_setg(errp, "force-share=on can only be used with read-only images");
        return NULL;
    }
    return image->is_image_opts ? tool_open_image_opts(image, errp) : tool_open_file(image, errp);
}
