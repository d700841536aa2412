/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Integers of a fixed byte order, as formats and protocols have them.
 *
 * ld<size>_<order>_p(p) and st<size>_<order>_p(p, v) read and write one at any address, aligned or
 * not; size is uw/w (16 bits), l (32), q (64), order is be or le.  <order><bits>_to_cpu(v) and
 * cpu_to_<order><bits>(v) convert a value that already is in memory of the right type.
 */
#ifndef QEMU_BSWAP_H
#define QEMU_BSWAP_H

#include "qemu/osdep.h"

#include <endian.h>

/* The four functions of one width and byte order. */
#define DEFINE_BYTE_ORDER(order, bits, load, store)                         \
    static inline uint##bits##_t order##bits##_to_cpu(uint##bits##_t value) \
    {                                                                       \
        return order##bits##toh(value);                                     \
    }                                                                       \
    static inline uint##bits##_t cpu_to_##order##bits(uint##bits##_t value) \
    {                                                                       \
        return hto##order##bits(value);                                     \
    }                                                                       \
    static inline uint##bits##_t load(const void *p)                        \
    {                                                                       \
        uint##bits##_t value;                                               \
                                                                            \
        memcpy(&value, p, sizeof(value));                                   \
        return order##bits##toh(value);                                     \
    }                                                                       \
    static inline void store(void *p, uint##bits##_t value)                 \
    {                                                                       \
        value = hto##order##bits(value);                                    \
        memcpy(p, &value, sizeof(value));                                   \
    }

DEFINE_BYTE_ORDER(be, 16, lduw_be_p, stw_be_p)
DEFINE_BYTE_ORDER(be, 32, ldl_be_p, stl_be_p)
DEFINE_BYTE_ORDER(be, 64, ldq_be_p, stq_be_p)
DEFINE_BYTE_ORDER(le, 16, lduw_le_p, stw_le_p)
DEFINE_BYTE_ORDER(le, 32, ldl_le_p, stl_le_p)
DEFINE_BYTE_ORDER(le, 64, ldq_le_p, stq_le_p)

#undef DEFINE_BYTE_ORDER

#endif
