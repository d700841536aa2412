/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the hostile front-end share.
 *
 * A case is one act of hostility against one export.  It depends on the seed and its own number
 * only, so that it can be done again.  It may end the connection, break rings, take memory away;
 * the daemon may answer what it likes, but it answers in less than SLOW_MS.
 *
 * The second half of a disk is protected: no case asks for a change there that is allowed.  So that
 * memory that is taken for a request by mistake asks for nothing either, data consists of bytes
 * above 0x3f: there is no such request.
 */
#ifndef TESTS_VHOST_USER_HOSTILE_H
#define TESTS_VHOST_USER_HOSTILE_H

#include "front-end.h"

#define SLOW_MS 10000
#define DISK_BYTES (16 * MiB)
#define DISK_SECTORS (DISK_BYTES / 512)
#define PROTECTED_SECTOR (DISK_SECTORS / 2)
#define ZONE_BYTES (1 * MiB)
#define ZONE_SECTORS (ZONE_BYTES / 512)
#define NR_ZONES (DISK_BYTES / ZONE_BYTES)

#define QUEUES 2
#define QUEUE_SIZE 64
#define DEPTH 16
#define DATA_BYTES (16 * KiB)

typedef struct Hostile {
    char *path; /* of the socket */
    bool is_zoned;
    GRand *rand;
    FrontEnd *fe;     /* connected, or not */
    GString *failure; /* what was wrong with the daemon; empty: nothing */
} Hostile;

#define BIT(nr) (UINT64_C(1) << (nr))

/* What byte @offset of a protected part is that was written. */
static inline uint8_t hostile_pattern(uint64_t offset)
{
    return 0x40 | ((offset + offset / 512 * 7) & 0x3f);
}

void G_GNUC_PRINTF(2, 3) hostile_fail(Hostile *h, const char *format, ...);

/* A number up to @max (exclusive). */
unsigned int hostile_below(Hostile *h, unsigned int max);
/* A number that is often wrong, near @honest, powers of two and the ends of types. */
uint64_t hostile_number(Hostile *h, uint64_t honest);

/* A connection, or the old one, with memory and log, and rings that have not been started; false
 * with a failure. */
bool hostile_connect(Hostile *h);
/* New rings, which have not been started, with some honest reads in them. */
void hostile_fill_rings(Hostile *h);
/* Make @req one that is harmless and would be granted: a read anywhere, a write that is no loss. */
void hostile_honest_request(Hostile *h, FrontEndRequest *req);
/* A case each. */
void hostile_message_case(Hostile *h);
void hostile_ring_case(Hostile *h);
void hostile_request_case(Hostile *h);
void hostile_memory_case(Hostile *h);

#endif
