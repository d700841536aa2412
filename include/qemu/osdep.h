/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first include of every C file.
 *
 * Brings the build configuration, the C and GLib basics that all files use, and a few arithmetic
 * helpers.  Nothing here depends on another header of this tree.
 */
#ifndef QEMU_OSDEP_H
#define QEMU_OSDEP_H

#include "config-host.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <unistd.h>

#include <glib.h>

#define KiB INT64_C(1024)
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)
#define TiB (1024 * GiB)
#define PiB (1024 * TiB)
#define EiB (1024 * PiB)

#define ARRAY_SIZE(array) G_N_ELEMENTS(array)

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* @unit of these two may be any positive number and is evaluated twice. */
#define DIV_ROUND_UP(n, unit) (((n) + (unit) - 1) / (unit))
#define QEMU_ALIGN_DOWN(n, unit) ((n) / (unit) * (unit))
#define QEMU_ALIGN_UP(n, unit) QEMU_ALIGN_DOWN((n) + (unit) - 1, (unit))
#define QEMU_IS_ALIGNED(n, unit) (((n) % (unit)) == 0)

/* @unit of these must be a power of two; no division is made. */
#define ROUND_DOWN(n, unit) ((n) & ~((__typeof__((n) + 0))(unit) - 1))
#define ROUND_UP(n, unit) ROUND_DOWN((n) + ((unit) - 1), unit)

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

/*
 * Marks a function that may yield and therefore must run inside a coroutine.
 * A compiler does not check it; readers and reviewers do.
 */
#define coroutine_fn

static inline bool is_power_of_2(uint64_t value)
{
    return value && !(value & (value - 1));
}

/* Base-2 logarithm, rounded down, of a @value that is not 0. */
static inline int ilog2(uint64_t value)
{
    return 63 - __builtin_clzll(value);
}

#endif
