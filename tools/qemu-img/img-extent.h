/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an image says of a stretch of its disk, for commands that go through disks extent by extent.
 */
#ifndef IMG_EXTENT_H
#define IMG_EXTENT_H

#include "block/block-backend.h"

/* A stretch of the disk that is alike throughout. */
typedef struct ImgExtent {
    int64_t start;
    int64_t length;
    int64_t offset; /* in @file, if @has_offset */
    bool has_offset, is_present, is_zero, is_data, is_compressed;
    int depth;
    BlockDriverState *file;
} ImgExtent;

/*
 * The extent that begins at @offset, at most @bytes (> 0) long, all of which lie on the disk.
 * Outside coroutines.  False (reported) where the image cannot tell.
 */
bool img_extent_at(BlockBackend *blk, int64_t offset, int64_t bytes, ImgExtent *extent);

#endif
