/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making images: from typed options (blockdev-create), and from a file name with `-o` words
 * (qemu-img).
 *
 * The words of `-o` are other spellings of the schema's members (`cluster_size`, `compat`,
 * `zone_model`, `zone.mode`): a driver publishes the table that relates them, so that help texts,
 * types and checks come from the schema.
 */
#ifndef BLOCK_CREATE_H
#define BLOCK_CREATE_H

#include "block/block_int.h"

/* One `-o` word. */
typedef struct BdrvCreateWord {
    const char *word; /* as typed, e.g. "cluster_size" */
    /* Dotted path in the driver's branch of BlockdevCreateOptions, e.g. "cluster-size". */
    const char *member;
    const char *type_name; /* size, str, bool, num */
    /* Shown in `Formatting` where the word is not given; NULL: not shown. */
    const char *fixed_default;
    /* @member belongs to the file that the image is put in (BlockdevCreateOptionsFile). */
    bool is_of_file;
    bool is_alias; /* accepted, but shown and documented under its other spelling */
    /* Translates old spellings of values (`1.1` -> `v3`); NULL: as typed. */
    const char *(*map_value)(const char *value);
} BdrvCreateWord;

/*
 * Tables in the order in which `Formatting` prints them; an alias follows the word it stands for,
 * and the last has word NULL. NULL where @format cannot be created.
 */
const BdrvCreateWord *bdrv_create_words(const char *format);

/*
 * Print what `-o help` shows for @format to stdout: its words, with the schema's text about each.
 * Returns false with @errp set where the format is unknown or cannot be created.
 */
bool bdrv_print_create_help(const char *format, Error **errp);

enum {
    /* Do not print the `Formatting ...` line to stdout. */
    BDRV_CREATE_QUIET = 1 << 0,
    /* Take the name of a backing file as it is; it need not exist. */
    BDRV_CREATE_BACKING_UNSEEN = 1 << 1,
};

/*
 * Create @filename in @format with the `-o` words in @words (an object of strings, dotted words
 * nested or flat; consumed).
 *
 * @flags: BDRV_CREATE_*.  @size_bytes -1: take `size` from @words, or the size of the backing file.
 * What can be judged from the words is judged before any file is touched, so that a bad
 * value never harms an existing image.  On failure nothing that did not exist before is left
 * behind. Returns true, or false with @errp set; messages begin `FILE: `.
 */
bool bdrv_img_create(const char *filename, const char *format, json_t *words, int64_t size_bytes,
                     unsigned int flags, Error **errp);

/*
 * Create from typed options, after the driver's check of them. Returns 0, -ENOTSUP where the driver
 * cannot create anything, or what the driver returns; @errp is set.
 */
int coroutine_fn bdrv_co_create(BlockdevCreateOptions *options, Error **errp);

#endif
