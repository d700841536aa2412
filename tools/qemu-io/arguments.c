/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arguments of commands: numbers and pattern bytes.
 */
#include "qemu/osdep.h"

#include "qemu/cutils.h"
#include "tools/qemu-io/qemu-io.h"

bool io_parse_number(const char *text, int64_t *value)
{
    uint64_t number;
    int ret = qemu_strtosz(text, NULL, &number);

    if (ret == -ERANGE || (ret == 0 && number > INT64_MAX)) {
        printf("Parsing error: argument too large -- %s\n", text);
        return false;
    }
    if (ret < 0) {
        printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n",
               text);
        return false;
    }
    *value = number;
    return true;
}

bool io_parse_length(const char *text, int64_t *length)
{
    int64_t number;

    if (!io_parse_number(text, &number)) {
        return false;
    }
    if (number > BDRV_REQUEST_MAX_BYTES) {
        printf("length cannot exceed %" PRId64 ", given %s\n", BDRV_REQUEST_MAX_BYTES, text);
        return false;
    }
    *length = number;
    return true;
}

bool io_parse_pattern(const char *text, uint8_t *pattern)
{
    unsigned int byte;

    if (qemu_strtoui(text, NULL, 0, &byte) < 0 || byte > UINT8_MAX) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *pattern = byte;
    return true;
}
