/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file in memory that remembers what was done to it and when, so that a test can see what would
 * be left of it after a crash at any moment.
 *
 * A moment is a number; each beginning and end of a request is one, and the test's own events can
 * be.  After the death of the process everything that had ended is there.  After a power cut only
 * that is sure which had ended before a flush began that had itself ended, or was written with FUA;
 * of the rest any sectors may be there or not.
 */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include "block/block_int.h"

typedef enum CrashKind { CRASH_OF_PROCESS, CRASH_OF_POWER } CrashKind;

/* The most that a file can grow to, in bytes. */
#define CRASH_DISK_MAX_BYTES (64 * MiB)

/*
 * A node named @node_name with the @bytes of @content.  @delays: requests take a random number of
 * turns of the event loop; NULL: they end at once.  The caller has a reference and keeps @delays.
 */
BlockDriverState *crash_disk_new(const char *node_name, const uint8_t *content, int64_t bytes,
                                 GRand *delays);

/* Forget the past: what is in the file now is there for good. */
void crash_disk_record(BlockDriverState *bs);
/* Let the @countdown-th change from now on fail with -EIO, once; 0: none. */
void crash_disk_fail_write(BlockDriverState *bs, unsigned int countdown);

/* A new moment, now. */
int64_t crash_disk_now(BlockDriverState *bs);

/*
 * One of the contents that a crash of @kind at @moment can leave; sets *@bytes.  Of a power cut the
 * boot id of the live write pointers, if the file has some, is not that of this machine any more.
 */
uint8_t *crash_disk_after(BlockDriverState *bs, CrashKind kind, int64_t moment, GRand *rand,
                          int64_t *bytes);

#endif
