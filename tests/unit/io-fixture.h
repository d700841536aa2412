/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node whose driver keeps its data in memory, checks every request against the limits it
 * announced, and counts what it gets: what tests of the request path put below it.
 */
#ifndef TESTS_IO_FIXTURE_H
#define TESTS_IO_FIXTURE_H

#include "block/block_int.h"

/* What the driver does and has seen; a test changes it at will. */
typedef struct MemoryDisk {
    uint8_t *data;
    int64_t size;        /* allocated: a multiple of any alignment in use */
    /* NULL: answer at once; otherwise after a random number of turns of the loop */
    GRand *delays;
    bool has_no_zeroes;  /* zero writes are -ENOTSUP */
    bool needs_aligned_zeroes; /* those off bl.pwrite_zeroes_alignment are */
    int fail_with;       /* what the next calls return, if not 0 */
    int nr_reads, nr_writes, nr_zeroes, nr_discards, nr_flushes;
    int nr_busy, max_busy; /* writes in the driver at a time */
    BdrvRequestFlags last_flags;
} MemoryDisk;

/* A node of @length bytes over a disk of random content, and the child by which a user holds it. */
BdrvChild *memory_disk_new(int64_t length);
MemoryDisk *memory_disk(BdrvChild *child);
void memory_disk_free(BdrvChild *child);

/* Requests from outside coroutines that bdrv_pread() and its kind do not cover. */
int run_pwrite_zeroes(BdrvChild *child, int64_t offset, int64_t bytes, BdrvRequestFlags flags);
int run_pdiscard(BdrvChild *child, int64_t offset, int64_t bytes);
int run_pwritev(BdrvChild *child, int64_t offset, QEMUIOVector *qiov, BdrvRequestFlags flags);
int run_preadv(BdrvChild *child, int64_t offset, QEMUIOVector *qiov);
/* The map is checked by nobody, so only the count comes back. */
int run_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t *pnum);

#endif
