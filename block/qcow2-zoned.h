/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zoned qcow2 images: what the rest of the driver may call, and what the files of the zoned part
 * share.
 *
 * The rules of zones are block/zones.c's.  The zoned part adds storage to them:
 *
 * - qcow2-zoned-ext.c: the header extensions, what they say and whether it can be believed
 * - qcow2-zoned-create.c: making a zoned image
 * - qcow2-zoned-open.c: open, reopen, close
 * - qcow2-zoned.c: requests - read, write, append, management, report, flush
 * - qcow2-zoned-map.c: where a zone's data lies - runs mapped ahead, clusters given back
 * - qcow2-zoned-commit.c: the write-pointer table - what is durable, and group commit
 * - qcow2-zoned-live.c: write pointers that survive the process, in memory shared with the image
 * - qcow2-zoned-info.c: limits and image information
 * - qcow2-zoned-check.c: check and repair
 *
 * docs/interop/qcow2-zoned.rst specifies the format, docs/devel/qcow2-zoned.rst the order of
 * writes on which the crash promises rest.
 */
#ifndef BLOCK_QCOW2_ZONED_H
#define BLOCK_QCOW2_ZONED_H

#include "block/block_int.h"
#include "block/qcow2.h"
#include "block/zones.h"

/* Lengths of the data of the two header extensions, bytes. */
#define QCOW2_EXT_ZONED_LEN 56
#define QCOW2_EXT_ZONED_LIVE_WP_LEN 16

/* Write-pointer table entry: the zone is conventional. */
#define QCOW2_ZONE_WP_CONV (UINT64_C(1) << 59)
#define QCOW2_ZONE_WP_MASK (QCOW2_ZONE_WP_CONV - 1)

/* The table is read and written in pieces of this many bytes. */
/* The smallest unit of a write to a sequential zone, bytes. */
#define ZONE_WRITE_GRANULARITY 512

#define ZONE_WP_BLOCK_BYTES 4096
#define ZONE_WP_BLOCK_ENTRIES (ZONE_WP_BLOCK_BYTES / 8)

/*
 * The part of an open zone whose place in the file is known; kept beside the zone's open state.
 * All zero: nothing is known yet.
 */
typedef struct ZoneRun {
    int64_t guest_start; /* cluster aligned */
    int64_t guest_end;   /* exclusive */
    int64_t host_start;
    bool is_mapping;     /* one writer is finding or making the next run, the others wait */
} ZoneRun;

/*
 * Space taken from the refcount tables ahead of its use.  The refcounts of @ready are durable, so
 * that L2 entries that point into it may reach the disk at any time.
 */
typedef struct ZoneReserve {
    Qcow2HostRange ready;
    Qcow2HostRange next; /* follows when @ready is used up */
    int64_t taken_bytes; /* the size of the last one taken */
    bool is_refilling;
    CoQueue refilled;
} ZoneReserve;

typedef struct ZoneCommit ZoneCommit;
typedef struct ZoneLive ZoneLive;

typedef struct Qcow2Zoned {
    BdrvZones *zones;
    int64_t table_offset;      /* of the write-pointer table, bytes in the image file */
    int64_t table_bytes;
    int64_t live_offset;       /* of the live write pointers; 0: the image has none */
    int64_t live_bytes;

    /* requests that zones.c told to try again, and commands waiting for writes to end */
    CoQueue waiters;
    ZoneReserve reserve;
    /* 0, or why zones cannot be written after a reopen: a negative errno */
    int session_error;
    GHashTable *mapped_ahead;  /* set of zones (index) that got a run in this session */
    GArray *unlinked;          /* of Qcow2HostRange: clusters that no L2 entry in memory points to */
    bool is_freeing;           /* a coroutine is about to give freed clusters back */
    unsigned int background;   /* coroutines at work of their own accord; close waits for them */
    CoQueue background_done;
    ZoneCommit *commit;
    /* NULL: unavailable (read-only, or the protocol cannot map its file) */
    ZoneLive *live;
    /* found by an opener that checks; those zones are offline meanwhile */
    uint64_t nr_bad_entries;
    bool is_table_swapped;     /* every entry would be right in the other byte order */
} Qcow2Zoned;

/* ---- for the driver ---- */

/* Called while s->lock need not be held. All return 0 or a negative errno, with @errp set where
 * there is one. */
int coroutine_fn qcow2_zoned_open(BlockDriverState *bs, int flags, Error **errp);
/*
 * End of writing: open zones are closed, everything is made durable, the space mapped ahead is
 * given back. Nothing is in flight.
 */
int coroutine_fn qcow2_zoned_inactivate(BlockDriverState *bs);
/* The image, open read-only until now, can be written; an error is reported and meets the
 * writes. */
void coroutine_fn qcow2_zoned_activate(BlockDriverState *bs);
void coroutine_fn qcow2_zoned_close(BlockDriverState *bs);
/* Nothing is in flight: wait until the driver does nothing of its own accord either. */
void coroutine_fn qcow2_zoned_wait_for_background(BlockDriverState *bs);
/* Check create options: @options' zone member is not NULL.  Touches nothing. */
int qcow2_zoned_create_check(const BlockdevCreateOptionsQcow2 *options, int64_t size,
                             int64_t cluster_size, Error **errp);
/* Turn the freshly formatted plain image @bs into a zoned one. */
int coroutine_fn qcow2_zoned_create(BlockDriverState *bs,
                                    const BlockdevCreateOptionsQcow2 *options, Error **errp);
void qcow2_zoned_refresh_limits(BlockDriverState *bs);
Qcow2ZonedInfo *qcow2_zoned_specific_info(BlockDriverState *bs);
const BdrvZones *qcow2_get_zones(const BlockDriverState *bs);

int coroutine_fn qcow2_zoned_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            QEMUIOVector *qiov, size_t qiov_offset);
/* For a range that begins in a sequential zone. */
int coroutine_fn qcow2_zoned_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             QEMUIOVector *qiov, size_t qiov_offset);
/*
 * 0 when the range is conventional and the driver may go on as on a plain image; -ENOTSUP where it
 * begins in a sequential zone, -ZONE_ERR_PAST_CAPACITY where it runs into one.
 */
int qcow2_zoned_check_random_access(BlockDriverState *bs, int64_t offset, int64_t bytes);
int coroutine_fn qcow2_zoned_co_flush(BlockDriverState *bs);
/*
 * What the zones say of a range: sets *@count and returns 1 where the tables tell what is there, 0
 * where it reads as zeroes, -ZONE_ERR_OFFLINE.  An extent ends with its zone.
 */
int qcow2_zoned_data_extent(BlockDriverState *bs, int64_t offset, int64_t bytes, int64_t *count);
int coroutine_fn qcow2_co_zone_report(BlockDriverState *bs, int64_t offset, unsigned int *nr_zones,
                                      BlockZoneDescriptor *zones);
int coroutine_fn qcow2_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                    int64_t len);
int coroutine_fn qcow2_co_zone_append(BlockDriverState *bs, int64_t *offset, QEMUIOVector *qiov,
                                      BdrvRequestFlags flags);

/*
 * The ranges of the image file that the zoned metadata occupies, as the extensions say; they may be
 * unchecked (zones are opened after a dirty image has been repaired).  Returns how many.
 */
int qcow2_zoned_metadata_ranges(BlockDriverState *bs, Qcow2HostRange ranges[2]);
/* For check: verify the table's entries; with BDRV_FIX_ERRORS in @fix repair them. */
int coroutine_fn qcow2_zoned_check_table(BlockDriverState *bs, BdrvCheckResult *result,
                                         BdrvCheckMode fix);

/* ---- qcow2-zoned-ext.c ---- */

/*
 * Check the zoned extension as read.  Returns 1 with @geometry set, 0 where the image is not zoned,
 * or -EINVAL, -ENOTSUP.
 */
int qcow2_zoned_load_ext(BlockDriverState *bs, ZonesGeometry *geometry, Error **errp);
/* Take the place of the table from it; 0 or -EINVAL where it cannot be there. */
int qcow2_zoned_load_table_place(BlockDriverState *bs, Error **errp);
/* Take the place of the live pointers, if the header tells of one that counts.  0 or -EINVAL. */
int qcow2_zoned_load_live_ext(BlockDriverState *bs, Error **errp);
/* Set the extensions and feature bits in the state; the caller writes the header. */
void qcow2_zoned_store_ext(BDRVQcow2State *s, const ZonesGeometry *geometry, int64_t table_offset);
void qcow2_zoned_store_live_ext(BDRVQcow2State *s, int64_t offset, int64_t bytes);

/* ---- qcow2-zoned.c ---- */

/*
 * Run @entry(@bs) in a coroutine of its own, soon; close waits until that has called
 * zone_background_end(), its last act.
 */
void zone_background_start(BlockDriverState *bs, CoroutineEntry *entry);
void zone_background_end(BlockDriverState *bs);

/* ---- qcow2-zoned-map.c ---- */

/*
 * Find or make the place of the byte at guest @offset, to which a reserved write of at least
 * *@bytes goes, in the zone that @run belongs to and that may be written up to @zone_end.
 *
 * Lowers *@bytes to what lies contiguously from *@host_offset on.  Yields only when the run at
 * hand does not reach. Returns 0, -ENOSPC, -EIO, or another errno of the file.
 */
int coroutine_fn qcow2_zone_map_write(BlockDriverState *bs, ZoneRun *run, int64_t zone_end,
                                      int64_t offset, int64_t *bytes, int64_t *host_offset);

/*
 * Remove the mapping of [@offset, @end) (cluster aligned).  In the background its data is punched
 * out of the file, the removal made stable, and the clusters freed, in this order.
 */
int coroutine_fn qcow2_zone_unmap(BlockDriverState *bs, int64_t offset, int64_t end);
/* Unmap what was mapped ahead of the write pointers of zones that are not open. */
int coroutine_fn qcow2_zone_unmap_ahead(BlockDriverState *bs);
/* Make what is above @wp in its cluster zero, and unmap the clusters behind it up to @end. */
int coroutine_fn qcow2_zone_trim(BlockDriverState *bs, int64_t wp, int64_t end);
/* Give the reserve back. */
void coroutine_fn qcow2_zone_release_reserve(BlockDriverState *bs);

/* ---- qcow2-zoned-commit.c ---- */

ZoneCommit *zone_commit_new(BlockDriverState *bs);
void zone_commit_free(ZoneCommit *commit);
/* The completed write pointer of zone @index has moved. */
void zone_commit_mark(ZoneCommit *commit, uint32_t index);
/* Make all acknowledged writes and their write pointers durable. */
int coroutine_fn zone_commit_flush(BlockDriverState *bs);
/*
 * Make @op (reset or finish) on held, checked zones durable and apply it.  On failure nothing is
 * applied.
 */
int coroutine_fn zone_commit_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                  int64_t len);

/* ---- qcow2-zoned-live.c ---- */

/*
 * Take over what a process that died in this boot of the machine has left: raises the write
 * pointers that lag behind.  Sets *@found when there was anything.
 */
int coroutine_fn zone_live_recover(BlockDriverState *bs, bool *found, Error **errp);
/* What an earlier session left no longer counts: durable before anything of the image changes. */
int coroutine_fn zone_live_forget(BlockDriverState *bs);
/* Start keeping live pointers; NULL where the file cannot be mapped. */
ZoneLive *zone_live_start(BlockDriverState *bs);
/* Let go of the area.  @is_durable: the table says everything, so the live pointers mean nothing
 * from now on. */
void zone_live_stop(BlockDriverState *bs, bool is_durable);
/* Before the first write to zone @index since it opened: its slot must exist.  May yield. */
int coroutine_fn zone_live_prepare(BlockDriverState *bs, uint32_t index);
/* The completed write pointer of the zone is @wp, or 0: the table says it. */
void zone_live_set(ZoneLive *live, uint32_t index, uint64_t wp);
/*
 * Allocate the area, page aligned whatever the cluster size, and note it in the state; the caller
 * writes the header. 0 or -errno.
 */
int coroutine_fn qcow2_zoned_add_live_area(BlockDriverState *bs, uint32_t nr_zones);
/* Bytes that the area takes for @nr_zones zones. */
int64_t zone_live_area_bytes(uint32_t nr_zones);

#endif
