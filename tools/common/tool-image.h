/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the tools start and how they open the image that a user names.
 *
 * One place for what all of them share: `-f`, `--image-opts`, cache modes, `-U`, and the messages
 * when an image cannot be opened.
 */
#ifndef TOOL_IMAGE_H
#define TOOL_IMAGE_H

#include "block/block-backend.h"

/*
 * The name of the program for its messages; and no standard descriptor is closed, so that none can
 * become an image's.
 */
void tool_start(const char *argv0);

/* tool_start(), event loop, drivers.  Ends the program with status 1 where that fails. */
void tool_init(const char *argv0);

/*
 * How an image was named and is to be opened; all zero: read-only, format probed, cache=writeback.
 */
typedef struct ToolImage {
    const char *filename; /* as typed; with @is_image_opts the option string */
    const char *format;   /* -f; NULL: probe */
    bool is_image_opts;
    bool force_share; /* -U */
    bool writethrough;
    const char *aio; /* -i: threads, native, io_uring; NULL: the driver's choice */
    int flags;       /* BDRV_O_* */
    /* With @is_image_opts: the key that a first bare word stands for; NULL: none. */
    const char *implied_key;
    /*
     * Further options of the node, borrowed; NULL: none.  Where they say it all, @filename may be
     * NULL.
     */
    json_t *options;
} ToolImage;

/*
 * Set the cache flags of @image from the name of a mode (`writeback`, `none`, ...).
 * Returns false where there is no such mode.
 */
bool tool_image_set_cache(ToolImage *image, const char *mode);

/*
 * Open @image.  Returns a backend, or NULL with @errp set: `Could not open 'NAME': REASON`, or what
 * is wrong with the options.
 */
BlockBackend *tool_image_open(const ToolImage *image, Error **errp);

/* The same, with nothing but the REASON in @errp. */
BlockBackend *tool_image_open_bare(const ToolImage *image, Error **errp);

#endif
