/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The human form of what `qemu-img info` and qemu-io's `info` say about an image.
 */
#ifndef IMAGE_INFO_PRINT_H
#define IMAGE_INFO_PRINT_H

#include "qapi/qapi-types.h"

/* Print all of @info to stdout, in the layout of `qemu-img info`. */
void image_info_print(const ImageInfo *info);

/* Print the `Format specific information:` block, each line behind @indent blanks. */
void image_specific_info_print(const ImageInfoSpecific *info, int indent);

#endif
