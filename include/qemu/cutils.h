/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers, sizes and switches between text and C.
 *
 * The parsers are strict, because their text comes from command lines and files: nothing but the
 * number may stand there, no blanks, no plus sign, no exponent.  They never yield or look at errno.
 * Shared by all: @end may be NULL, then text behind the number is an error; otherwise *@end is set
 * to the first character behind the number (to @nptr where there is none).  *@result changes only
 * on success.
 */
#ifndef QEMU_CUTILS_H
#define QEMU_CUTILS_H

#include "qemu/osdep.h"
#include "qapi/error.h"

/*
 * Integers in @base 2 to 36, or 0: 0x is hexadecimal, a leading 0 octal, all else decimal.  The
 * signed ones take a minus sign, the unsigned ones no sign at all.
 *
 * Return 0, -EINVAL for text that is no such number, -ERANGE where it does not fit.
 */
int qemu_strtoi(const char *nptr, const char **end, int base, int *result);
int qemu_strtoui(const char *nptr, const char **end, int base, unsigned int *result);
int qemu_strtoi64(const char *nptr, const char **end, int base, int64_t *result);
int qemu_strtou64(const char *nptr, const char **end, int base, uint64_t *result);

/*
 * A size in bytes: decimal, or hexadecimal after 0x; decimal ones may end in one of b K M G T P E
 * (any case; powers of 1024), and from K on may have a fraction, which counts down to the byte
 * below.  A letter, digit or point right behind the size makes it invalid even where @end is given
 * (`1KB`, `1e3`).
 *
 * Returns 0, -EINVAL for text that is no size, -ERANGE for 2^64 and above.
 */
int qemu_strtosz(const char *nptr, const char **end, uint64_t *result);

/*
 * The size that a user gave for @what (`image size`), in bytes, between @min (>= 0) and @max.
 *
 * Returns it, or sets @errp and returns -EINVAL or, out of range, -ERANGE.
 */
int64_t parse_size_arg(const char *what, const char *text, int64_t min, int64_t max, Error **errp);

/* on, yes, true, y / off, no, false, n.  Returns false, *@result unchanged, for other text. */
bool parse_bool(const char *text, bool *result);

/* The same for the option called @name; sets @errp where it returns false. */
bool parse_bool_arg(const char *name, const char *text, bool *result, Error **errp);

/*
 * A size for people, three significant digits: `0.977 KiB`, `64 KiB`, `1 GiB`.  The next unit is
 * taken from 1000 of one on, so four digits never appear.  The caller frees it with g_free().
 */
char *size_to_str(uint64_t bytes);

/*
 * The other form, of qemu-io: up to three decimals and the largest power of 1024 below it
 * (`512 bytes`, `1.938 MiB`, `64 KiB`); @bytes may be a rate.  The caller frees it with g_free().
 */
char *size_to_str_fixed(double bytes);

#endif
