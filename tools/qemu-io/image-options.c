/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options about how an image is opened that the command line of qemu-io and its command `open`
 * share.
 */
#include "qemu/osdep.h"

#include "qemu/error-report.h"
#include "tools/qemu-io/qemu-io.h"

bool io_set_cache(ToolImage *image, const char *mode)
{
    if (!tool_image_set_cache(image, mode)) {
        error_report("Invalid cache option: %s", mode);
        return false;
    }
    return true;
}

bool io_set_discard(ToolImage *image, const char *mode)
{
    if (!bdrv_parse_discard_flags(mode, &image->flags)) {
        error_report("Invalid discard option: %s", mode);
        return false;
    }
    return true;
}

bool io_set_aio(ToolImage *image, const char *mode)
{
    static const char *const modes[] = {"threads", "native", "io_uring"};

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (strcmp(modes[i], mode) == 0) {
            image->aio = modes[i];
            return true;
        }
    }
    error_report("Invalid aio option: %s", mode);
    return false;
}

bool io_refuse_snapshot(void)
{
    error_report("Temporary overlays (-s) are not supported");
    return false;
}
