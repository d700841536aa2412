/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening images for the tools, see tool-image.h.
 */
#include "qemu/osdep.h"

#include <fcntl.h>

#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/keyval.h"
#include "tools/common/tool-image.h"

/*
 * A standard descriptor that is closed must not become that of an image: messages would be written
 * into it.
 */
static void open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

void tool_start(const char *argv0)
{
    error_init(argv0);
    open_standard_descriptors();
}

void tool_init(const char *argv0)
{
    tool_start(argv0);
    qemu_init_main_loop(&error_fatal);
    bdrv_init();
}

bool tool_image_set_cache(ToolImage *image, const char *mode)
{
    return bdrv_parse_cache_mode(mode, &image->flags, &image->writethrough);
}

/* Where nothing but options says what to open. */
static BlockBackend *tool_open_options(const ToolImage *image, json_t *options, Error **errp)
{
    if (!json_object_get(options, "driver") && !json_object_get(options, "file")) {
        error_setg(errp, "Must specify either driver or file");
        json_decref(options);
        return NULL;
    }
    return blk_new_open(NULL, NULL, options, image->flags, image->writethrough, errp);
}

/*
 * `aio` is an option of the protocol node: of the `file` child where there is a format, probed or
 * named.
 */
static void tool_set_aio(const ToolImage *image, json_t *options)
{
    if (image->aio) {
        json_object_set_new(
            options, "file",
            json_pack("{s:s, s:s}", "filename", image->filename, "aio", image->aio));
    }
}

static BlockBackend *tool_open_file(const ToolImage *image, json_t *options, Error **errp)
{
    if (image->format) {
        json_object_set_new(options, "driver", json_string(image->format));
    }
    tool_set_aio(image, options);
    return blk_new_open(image->aio ? NULL : image->filename, NULL, options, image->flags,
                        image->writethrough, errp);
}

/* A command line that makes no sense, whatever the image is. */
static bool has_share_conflict(const ToolImage *image)
{
    return image->force_share && (image->flags & BDRV_O_RDWR);
}

BlockBackend *tool_image_open_bare(const ToolImage *image, Error **errp)
{
    json_t *options;

    if (has_share_conflict(image)) {
        error_setg(errp, "force-share=on can only be used with read-only images");
        return NULL;
    }
    if (image->is_image_opts) {
        options = keyval_parse(image->filename, image->implied_key, NULL, errp);
    } else {
        options = image->options ? json_deep_copy(image->options) : json_object();
    }
    if (!options) {
        return NULL;
    }
    if (image->force_share) {
        json_object_set_new(options, "force-share", json_true());
    }
    if (image->is_image_opts || !image->filename) {
        return tool_open_options(image, options, errp);
    }
    return tool_open_file(image, options, errp);
}

BlockBackend *tool_image_open(const ToolImage *image, Error **errp)
{
    BlockBackend *blk;

    ERRP_GUARD();
    blk = tool_image_open_bare(image, errp);
    if (!blk && !image->is_image_opts && !has_share_conflict(image)) {
        error_prepend(errp, "Could not open '%s': ", image->filename);
    }
    return blk;
}
