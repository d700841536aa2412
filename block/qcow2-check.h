/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of check and repair share.
 *
 *   qcow2-check.c        the order of the steps, and what is done with the outcome
 *   qcow2-check-map.c    references counted per cluster, in memory
 *   qcow2-check-walk.c   counting what L1 and L2 tables refer to
 *   qcow2-check-meta.c   counting all other metadata: header, refcount structures, snapshots, ...
 *   qcow2-check-compare.c  counts against the refcounts in the file, and setting these right
 *   qcow2-repair-tables.c  COPIED flags and L2 entries
 *   qcow2-repair-rebuild.c all refcount structures anew
 *
 * The image may be hostile: whatever it says, each table is read once, and memory is bounded by the
 * size of the file and of the tables in it.
 */
#ifndef BLOCK_QCOW2_CHECK_H
#define BLOCK_QCOW2_CHECK_H

#include "block/qcow2.h"
#include "qemu/buffer.h"

/* ---- qcow2-check-map.c: cluster index => number of references ---- */

typedef struct RefMap RefMap;

RefMap *refmap_new(void);
void refmap_free(RefMap *map);
uint64_t refmap_get(RefMap *map, uint64_t cluster);
void refmap_set(RefMap *map, uint64_t cluster, uint64_t count);
/* Saturates at UINT64_MAX. */
void refmap_add(RefMap *map, uint64_t cluster, uint64_t addend);
/* The last cluster with a count above 0, or -1. */
int64_t refmap_last(RefMap *map);

/*
 * Visit the clusters with a count above 0 in ascending order.  Counts may be changed meanwhile,
 * but none be added.
 *
 *     RefMapIter iter;
 *     refmap_iter_init(&iter, map);
 *     while (refmap_iter_next(&iter, &cluster, &count)) ...
 *     refmap_iter_clear(&iter);
 */
typedef struct RefMapIter {
    RefMap *map;
    uint64_t *keys; /* of the chunks, ascending */
    guint nr_keys;
    guint key;
    unsigned int index; /* in the chunk */
} RefMapIter;

void refmap_iter_init(RefMapIter *iter, RefMap *map);
bool refmap_iter_next(RefMapIter *iter, uint64_t *cluster, uint64_t *count);
void refmap_iter_clear(RefMapIter *iter);

/* ---- the check ---- */

/* An L2 table, however many L1 entries point to it. */
typedef struct CheckL2Table {
    int64_t offset;    /* in the image file, cluster aligned */
    uint64_t nr_refs;  /* from all L1 tables */
    uint32_t l1_index; /* in the active L1 table, if is_active */
    bool is_active;
    bool has_misaligned_zero; /* an entry that repair can turn into a plain zero cluster */
} CheckL2Table;

/* What is known of the refcount block of one table entry. */
typedef enum CheckRefblock {
    CHECK_REFBLOCK_NONE,    /* all its refcounts are 0 */
    CHECK_REFBLOCK_GOOD,
    CHECK_REFBLOCK_REPEATED, /* counted, but an entry before has it too */
    CHECK_REFBLOCK_UNUSABLE, /* at an impossible place, not counted */
} CheckRefblock;

typedef struct Qcow2Check {
    BlockDriverState *bs;
    BDRVQcow2State *s;
    BdrvCheckResult *result;
    BdrvCheckMode fix;
    int64_t file_length;
    uint64_t nr_clusters; /* of the file, the last one may be partial */
    RefMap *map;          /* references found; after the comparison the refcounts in force */
    GArray *l2_tables;    /* of CheckL2Table, those of the active L1 table first */
    GHashTable *l2_by_offset; /* cluster index => index in l2_tables + 1 */
    CheckRefblock *refblocks; /* one for each entry of the refcount table */
    GHashTable *refblock_places; /* set of the cluster indexes of refcount blocks */
    bool is_reftable_counted;
    bool needs_rebuild; /* the refcount structures cannot be repaired in place */
    int64_t last_used;        /* cluster with references or a refcount; -1: none */
    int64_t next_contiguous;  /* where the table's next data cluster belongs, 0: anywhere */
} Qcow2Check;

/*
 * Count @nr_refs references to every cluster that [@offset, +@bytes) touches.  A range that
 * exceeds the file by a cluster or more is reported as corruption and not counted; returns whether
 * it was counted.
 */
bool qcow2_check_count(Qcow2Check *check, int64_t offset, int64_t bytes, uint64_t nr_refs);

/*
 * True where all references to the clusters of [@offset, +@bytes) are the @nr_refs that the caller
 * knows of, so that writing there does not damage anything else.
 */
bool qcow2_check_is_exclusive(Qcow2Check *check, int64_t offset, int64_t bytes, uint64_t nr_refs);

/* "Repairing" or "ERROR": how a line about something begins that is repaired or not. */
const char *qcow2_check_verb(bool is_repair);

/*
 * Note the L2 tables of an L1 table that is in use @nr_refs times and has @nr_entries entries in
 * host byte order, and count the tables themselves.  The active one comes first.
 */
void qcow2_check_collect_l2(Qcow2Check *check, const uint64_t *l1_table, uint32_t nr_entries,
                            uint64_t nr_refs, bool is_active);
/*
 * Count what the collected L2 tables refer to.  0 or -errno (the file could not be read, counted in
 * check_errors).
 */
int coroutine_fn qcow2_check_walk_l2(Qcow2Check *check);

/*
 * Read the L2 tables @first .. of check->l2_tables into @buf (CHECK_L2_BATCH_BYTES, or a cluster
 * if that is larger): as many as one read gets. Returns their number, with the place of table i in
 * @buf being its offset less that of table @first; or -errno.
 */
#define CHECK_L2_BATCH_BYTES (1 * MiB)
int coroutine_fn qcow2_check_read_l2(Qcow2Check *check, guint first, uint8_t *buf);

/*
 * Count the metadata other than the active tree: header, refcount structures, snapshots with
 * their L1 tables, bitmaps, encryption header, zone tables.  0 or -errno.
 */
int coroutine_fn qcow2_check_count_metadata(Qcow2Check *check);
/*
 * Count the refcount table and its blocks, after everything else; sets check->refblocks and
 * needs_rebuild.
 */
void qcow2_check_count_refcounts(Qcow2Check *check);

/*
 * Compare references and refcounts, with a line for each difference, and set right what @fix
 * allows; where all is made anew anyway, only say so.  0 or -errno.
 */
int coroutine_fn qcow2_check_compare(Qcow2Check *check, BdrvCheckMode fix);
/* Set check->needs_rebuild where a cluster in use has refcount 0; says nothing. 0 or -errno. */
int coroutine_fn qcow2_check_find_lost(Qcow2Check *check);

/*
 * Make all refcount structures anew from the map, behind the end of the file, and let the header
 * point to them. 0, -EFBIG (too large a file for a refcount table), or -errno: the old ones are in
 * force.
 */
int coroutine_fn qcow2_repair_rebuild(Qcow2Check *check);

/*
 * Compare the COPIED flags of the active tables with the refcounts, find misaligned zero clusters,
 * and set both right where check->fix allows.  0 or -errno.
 */
int coroutine_fn qcow2_repair_tables(Qcow2Check *check);

#endif
