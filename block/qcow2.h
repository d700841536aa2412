/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the qcow2 driver share: the on-disk constants, the state of an open image, and
 * the functions that each file offers to the others.  The format itself is described in
 * docs/interop/qcow2.rst, the way this driver keeps it consistent in docs/devel/qcow2.rst.
 *
 * Locking: everything runs in the node's AioContext.  s->lock protects the metadata and is held
 * across I/O on it; data I/O runs without it.  What does not yield may look at the metadata without
 * the lock, because metadata in memory is changed only between yields.  coroutine_fn functions
 * below are called with s->lock held unless they say otherwise.
 *
 * On-disk order is decided in one place, qcow2_write_caches(): refcount blocks => refcount table =>
 * L2 slices => L1. Clusters that lose their last reference wait in s->pending_frees until the table
 * that pointed to them is stable.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include "block/block_int.h"

/* ---- the format ---- */

#define QCOW2_MAGIC UINT32_C(0x514649fb) /* "QFI\xfb" */
#define QCOW2_V2_HEADER_LENGTH 72
#define QCOW2_V3_HEADER_LENGTH 112 /* as written; at least 104 as read */

#define QCOW2_MIN_CLUSTER_BITS 9
#define QCOW2_MAX_CLUSTER_BITS 21
#define QCOW2_MAX_REFCOUNT_ORDER 6
#define QCOW2_MAX_REFTABLE_BYTES (8 * MiB)
#define QCOW2_MAX_L1_BYTES (32 * MiB)
#define QCOW2_MAX_SNAPSHOTS 65536
#define QCOW2_MAX_SNAPSHOT_TABLE_BYTES (64 * MiB)
#define QCOW2_MAX_BACKING_NAME 1023 /* bytes */

#define QCOW2_OFLAG_COPIED (UINT64_C(1) << 63)
#define QCOW2_OFLAG_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_OFLAG_ZERO (UINT64_C(1) << 0)
#define QCOW2_L1_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QCOW2_L2_OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define QCOW2_L1_RESERVED_MASK UINT64_C(0x7f000000000001ff)
#define QCOW2_L2_STD_RESERVED_MASK UINT64_C(0x3f000000000001fe)
#define QCOW2_REFTABLE_OFFSET_MASK UINT64_C(0xfffffffffffffe00)
#define QCOW2_REFTABLE_RESERVED_MASK UINT64_C(0x1ff)

enum {
    QCOW2_INCOMPAT_DIRTY = 1 << 0,
    QCOW2_INCOMPAT_CORRUPT = 1 << 1,
    QCOW2_INCOMPAT_DATA_FILE = 1 << 2,
    QCOW2_INCOMPAT_COMPRESSION = 1 << 3,
    QCOW2_INCOMPAT_EXTL2 = 1 << 4,
    QCOW2_INCOMPAT_ZONED = 1 << 5,
};

#define QCOW2_COMPAT_LAZY_REFCOUNTS (UINT64_C(1) << 0)

#define QCOW2_AUTOCLEAR_BITMAPS (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_DATA_FILE_RAW (UINT64_C(1) << 1)
#define QCOW2_AUTOCLEAR_ZONED_LIVE_WP (UINT64_C(1) << 63)

enum {
    QCOW2_EXT_END = 0,
    QCOW2_EXT_BACKING_FORMAT = 0xe2792aca,
    QCOW2_EXT_FEATURE_TABLE = 0x6803f857,
    QCOW2_EXT_BITMAPS = 0x23852875,
    QCOW2_EXT_CRYPTO = 0x0537be77,
    QCOW2_EXT_DATA_FILE = 0x44415441,
    QCOW2_EXT_ZONED = 0x007a6264,
    QCOW2_EXT_ZONED_LIVE_WP = 0x7a6c7770,
};

typedef enum Qcow2ClusterType {
    QCOW2_CLUSTER_UNALLOCATED,
    QCOW2_CLUSTER_ZERO_PLAIN, /* reads as zeroes, no host cluster */
    QCOW2_CLUSTER_ZERO_ALLOC, /* reads as zeroes, a host cluster is kept */
    QCOW2_CLUSTER_NORMAL,
    QCOW2_CLUSTER_COMPRESSED,
} Qcow2ClusterType;

/*
 * Why clusters are freed; decides, with the pass-discard-* options, whether the host's space is
 * given back.
 */
typedef enum Qcow2DiscardType {
    QCOW2_DISCARD_NEVER,
    QCOW2_DISCARD_ALWAYS,
    QCOW2_DISCARD_REQUEST,
    QCOW2_DISCARD_SNAPSHOT,
    QCOW2_DISCARD_OTHER,
    QCOW2_DISCARD_MAX,
} Qcow2DiscardType;

/* Classes of the overlap check: the templates are none, constant, cached (default) and all. */
enum {
    QCOW2_OL_MAIN_HEADER = 1 << 0,
    QCOW2_OL_ACTIVE_L1 = 1 << 1,
    QCOW2_OL_ACTIVE_L2 = 1 << 2,
    QCOW2_OL_REFCOUNT_BLOCK = 1 << 3,
    QCOW2_OL_REFCOUNT_TABLE = 1 << 4,
    QCOW2_OL_SNAPSHOT_TABLE = 1 << 5,
    QCOW2_OL_INACTIVE_L1 = 1 << 6,
    QCOW2_OL_INACTIVE_L2 = 1 << 7,
    QCOW2_OL_BITMAP_DIRECTORY = 1 << 8,
    QCOW2_OL_ZONE_TABLE = 1 << 9,

    QCOW2_OL_CONSTANT = QCOW2_OL_MAIN_HEADER | QCOW2_OL_ACTIVE_L1 | QCOW2_OL_REFCOUNT_TABLE |
                        QCOW2_OL_SNAPSHOT_TABLE | QCOW2_OL_BITMAP_DIRECTORY | QCOW2_OL_ZONE_TABLE,
    QCOW2_OL_CACHED =
        QCOW2_OL_CONSTANT | QCOW2_OL_ACTIVE_L2 | QCOW2_OL_REFCOUNT_BLOCK | QCOW2_OL_INACTIVE_L1,
    QCOW2_OL_ALL = QCOW2_OL_CACHED | QCOW2_OL_INACTIVE_L2,
};

/* A range of the image file, both in bytes. */
typedef struct Qcow2HostRange {
    int64_t offset;
    int64_t bytes;
} Qcow2HostRange;

/* A range whose reference is gone from memory, but perhaps not yet from the disk. */
typedef struct Qcow2PendingFree {
    uint64_t id;
    Qcow2HostRange range;
    Qcow2DiscardType type;
} Qcow2PendingFree;

/*
 * A header extension (or the data of one) kept verbatim, so that a rewrite of the header preserves
 * it.
 */
typedef struct Qcow2Extension {
    uint32_t magic;
    uint32_t len;
    TAILQ_ENTRY(Qcow2Extension) link;
    uint8_t data[];
} Qcow2Extension;

/*
 * A write in flight to clusters that the L2 tables do not point to yet.  Requests that touch the
 * same guest clusters wait.
 */
typedef struct Qcow2Alloc {
    int64_t guest_offset; /* cluster aligned */
    int64_t host_offset;  /* cluster aligned */
    int64_t bytes;        /* whole clusters */
    bool is_new;          /* allocated for this write, freed if it fails */
    uint64_t head_entry;  /* the L2 entries of the first and the last cluster so far */
    uint64_t tail_entry;
    CoQueue waiters;
    LIST_ENTRY(Qcow2Alloc) link;
} Qcow2Alloc;

typedef struct Qcow2Cache Qcow2Cache;
struct Qcow2Zoned;

/* Runtime options, see BlockdevOptionsQcow2 in the schema. */
typedef struct Qcow2Options {
    uint64_t l2_cache_bytes;
    uint64_t refcount_cache_bytes;
    uint32_t l2_slice_bytes; /* cache-entry size: power of two, 512 .. cluster size */
    uint64_t cache_clean_interval; /* seconds, 0: never */
    bool lazy_refcounts;
    bool pass_discard[QCOW2_DISCARD_MAX];
    bool discard_no_unref; /* discarded clusters keep their place, as zero clusters */
    int overlap_check; /* QCOW2_OL_* */
} Qcow2Options;

/*
 * An open image.
 *
 * Invariants: bs->total_bytes <= l1_size * l2_entries * cluster_size; every nonzero offset in
 * l1_table and reftable is cluster aligned, or is found not to be when it is used
 * (qcow2_signal_corruption()). free_cluster_index: no cluster below it is free. zero_from: host
 * clusters at and after it were never written, and read as zeroes once allocated.
 */
typedef struct BDRVQcow2State {
    /* ---- geometry, constant ---- */
    int cluster_bits;
    int64_t cluster_size;
    int l2_bits;           /* entries of an L2 table: 1 << l2_bits */
    int l2_slice_bits;     /* entries of an L2 slice, the unit of the L2 cache */
    int64_t l2_slice_bytes;
    int refcount_order;
    int refcount_bits;
    uint64_t refcount_max;
    int refcount_block_bits; /* entries of a refcount block: 1 << refcount_block_bits */

    /* ---- header, as on disk ---- */
    int qcow_version;
    uint64_t incompatible_features;
    uint64_t compatible_features;
    uint64_t autoclear_features;
    uint8_t compression_type;
    uint32_t crypt_method;
    uint32_t header_length;
    uint8_t *unknown_header_fields; /* what follows byte 112 of the header */
    size_t unknown_header_fields_size;
    TAILQ_HEAD(, Qcow2Extension) unknown_extensions;
    uint8_t *zoned_ext; /* data of QCOW2_EXT_ZONED as read; NULL: absent */
    uint32_t zoned_ext_len;
    uint8_t *live_wp_ext; /* data of QCOW2_EXT_ZONED_LIVE_WP as read; NULL: absent */
    uint32_t live_wp_ext_len;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset;

    /* ---- active L1 table, host byte order ---- */
    uint64_t *l1_table;
    uint32_t l1_size; /* entries */
    uint64_t l1_table_offset;
    bool *l1_dirty; /* one for each 512-byte sector of the table: the file does not have it yet */
    bool l1_is_dirty;

    /* ---- refcounts ---- */
    uint64_t *reftable; /* host byte order */
    uint32_t reftable_entries;
    uint64_t reftable_offset;
    uint32_t reftable_clusters;
    bool *reftable_dirty; /* like l1_dirty */
    bool reftable_is_dirty;
    uint64_t free_cluster_index;
    int64_t zero_from;
    bool has_reserve;    /* the file is longer than its clusters, see qcow2_file_reserve() */
    bool cannot_reserve; /* it does not work, or might hit a write on its way */
    /* @index counts entries of the (on-disk order) refcount block @block. */
    uint64_t (*get_refcount)(const void *block, uint64_t index);
    void (*set_refcount)(void *block, uint64_t index, uint64_t value);

    /* ---- caches and order ---- */
    Qcow2Cache *l2_cache;
    Qcow2Cache *refcount_cache;
    /*
     * Every write that something else must wait for takes the next number of write_seq; what has a
     * number above synced_seq is perhaps not stable yet.
     */
    uint64_t write_seq;
    uint64_t synced_seq;
    uint64_t refcounts_seq; /* of the last write of refcount blocks or table: L2 writes wait for it */
    uint64_t data_seq;      /* of the last data that an L2 entry in memory relies on: the same */
    uint64_t l2_seq;        /* of the last write of L2 slices: L1 writes wait for it */
    GArray *pending_frees;  /* of Qcow2PendingFree, in order of their ids */
    uint64_t last_free_id;
    int64_t pending_free_bytes;

    CoMutex lock;
    LIST_HEAD(, Qcow2Alloc) allocs; /* in flight */
    /*
     * Data requests in flight on clusters found in the L2 tables, by parity of io_epoch at their
     * start: freed clusters are given to others only when none is left of the epochs in which they
     * could be found.
     */
    unsigned int io_epoch;
    unsigned int io_in_flight[2];
    CoQueue io_epoch_waiters;

    Qcow2Options options;
    Qcow2Options *next_options; /* between prepare and commit of a reopen */
    QEMUTimer *cache_clean_timer;
    bool use_lazy_refcounts;
    bool signaled_corruption;
    void *overlap_state; /* of qcow2-overlap.c, see qcow2_overlap_reset() */

    struct Qcow2Zoned *zoned; /* NULL: not zoned; see qcow2-zoned.h */
} BDRVQcow2State;

/* ---- small arithmetic ---- */

static inline int64_t qcow2_start_of_cluster(const BDRVQcow2State *s, int64_t offset)
{
    return offset & ~(s->cluster_size - 1);
}

static inline int64_t qcow2_offset_into_cluster(const BDRVQcow2State *s, int64_t offset)
{
    return offset & (s->cluster_size - 1);
}

static inline int64_t qcow2_size_to_clusters(const BDRVQcow2State *s, uint64_t bytes)
{
    return (bytes + (s->cluster_size - 1)) >> s->cluster_bits;
}

static inline uint64_t qcow2_l1_index(const BDRVQcow2State *s, int64_t guest_offset)
{
    return (uint64_t)guest_offset >> (s->l2_bits + s->cluster_bits);
}

static inline unsigned int qcow2_l2_index(const BDRVQcow2State *s, int64_t guest_offset)
{
    return (guest_offset >> s->cluster_bits) & ((1u << s->l2_bits) - 1);
}

static inline unsigned int qcow2_l2_slice_index(const BDRVQcow2State *s, int64_t guest_offset)
{
    return (guest_offset >> s->cluster_bits) & ((1u << s->l2_slice_bits) - 1);
}

/*
 * What the L2 entry @l2_entry (host byte order) stands for.  The zero bit in a v2 image is not
 * looked at here.
 */
static inline Qcow2ClusterType qcow2_cluster_type(uint64_t l2_entry)
{
    if (unlikely(l2_entry & QCOW2_OFLAG_COMPRESSED)) {
        return QCOW2_CLUSTER_COMPRESSED;
    }
    if (unlikely(l2_entry & QCOW2_OFLAG_ZERO)) {
        return l2_entry & QCOW2_L2_OFFSET_MASK ? QCOW2_CLUSTER_ZERO_ALLOC
                                               : QCOW2_CLUSTER_ZERO_PLAIN;
    }
    return l2_entry & QCOW2_L2_OFFSET_MASK ? QCOW2_CLUSTER_NORMAL : QCOW2_CLUSTER_UNALLOCATED;
}

/* How far the backing node reaches, in bytes; 0: there is none. */
static inline int64_t qcow2_backing_length(const BlockDriverState *bs)
{
    return bs->backing ? bs->backing->bs->total_bytes : 0;
}

/* Entries of an L1 table for @bytes of guest disk; may exceed what is allowed. */
static inline uint64_t qcow2_l1_entries_for(const BDRVQcow2State *s, uint64_t bytes)
{
    int shift = s->cluster_bits + s->l2_bits;

    return (bytes >> shift) + !!(bytes & ((UINT64_C(1) << shift) - 1));
}

/* ---- qcow2-damage.c ---- */

/*
 * Tell of a structural violation, in the words of @fmt.  Read-write: sets the corrupt bit on disk
 * and makes the node unusable when @is_fatal; read-only: reports once.  Does not write when the bit
 * is set already.
 * @offset, @bytes: the host range concerned, -1: none. May yield; with or without s->lock.  The
 * caller fails its request with -EIO.
 */
void coroutine_fn qcow2_signal_corruption(BlockDriverState *bs, bool is_fatal, int64_t offset,
                                          int64_t bytes, const char *fmt, ...)
    G_GNUC_PRINTF(5, 6);

/* Set the dirty bit and make it stable; nothing to do when it is set.  0 or -errno. */
int coroutine_fn qcow2_mark_dirty(BlockDriverState *bs);
/* Write the caches, make them stable, then clear the dirty bit.  0 or -errno. */
int coroutine_fn qcow2_mark_clean(BlockDriverState *bs);
/*
 * Clear the corrupt bit (after a repair that left nothing wrong), after writing the caches.  0 or
 * -errno.
 */
int coroutine_fn qcow2_mark_consistent(BlockDriverState *bs);

/* ---- qcow2-file.c: the image file ---- */

/*
 * Read from the image file; what lies behind its end reads as zeroes.  For metadata and data alike;
 * s->lock not needed.
 * Returns 0 or -errno.
 */
int coroutine_fn qcow2_file_pread(BlockDriverState *bs, int64_t offset, int64_t bytes, void *buf);
int coroutine_fn qcow2_file_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        QEMUIOVector *qiov, size_t qiov_offset);
/*
 * Write metadata, after the overlap check; @ign: QCOW2_OL_* classes that the range is expected to
 * lie in.
 * Returns 0, -EIO after a hit, or -errno.
 */
int coroutine_fn qcow2_file_pwritev(BlockDriverState *bs, int ign, int64_t offset,
                                    QEMUIOVector *qiov);
int coroutine_fn qcow2_file_pwrite(BlockDriverState *bs, int ign, int64_t offset, int64_t bytes,
                                   const void *buf);
/*
 * Make stable what has been written to the image file, and note it in s->synced_seq.  Returns 0 or
 * -errno.
 */
int coroutine_fn qcow2_file_sync(BlockDriverState *bs);
/* Length of the image file as last known, without I/O; qcow2 writes behind it extend it. */
int64_t qcow2_file_length(BlockDriverState *bs);

/*
 * The clusters up to @end of the file have been allocated: let the file grow in large steps,
 * because writes that make it longer wait for one another in the host's file system.  What is
 * behind s->zero_from becomes zeroes, so this comes before the first write there can be on its
 * way. qcow2_cut_file() takes back what is left over.  With s->lock held.  Failing does no harm.
 */
void coroutine_fn qcow2_file_reserve(BlockDriverState *bs, int64_t end);

/*
 * Bracket of data I/O on a host range that was looked up in the L2 tables: nothing may yield
 * between the lookup and the beginning.  Clusters in use between the two are not given to anybody
 * else.  s->lock not needed; not nested. qcow2_data_io_begin() returns what qcow2_data_io_end()
 * takes.
 */
unsigned int qcow2_data_io_begin(BDRVQcow2State *s);
void qcow2_data_io_end(BDRVQcow2State *s, unsigned int epoch);
/* Wait for all that have begun before this call.  May be called with s->lock held. */
void coroutine_fn qcow2_data_io_wait(BDRVQcow2State *s);

/* ---- qcow2-header.c ---- */

/*
 * Read and check the header, the extensions and names, in the order of the format's description,
 * into the state.
 * @flags: BDRV_O_*.  Returns 0, or -errno (-EINVAL, -ENOTSUP, -EFBIG, I/O errors) with @errp set.
 */
int coroutine_fn qcow2_read_header(BlockDriverState *bs, int flags, Error **errp);
/*
 * Build cluster 0 in @cluster (s->cluster_size bytes) for a disk of @size bytes from the state;
 * the names may be NULL. Returns 0, or -ENOSPC where it does not fit.
 */
int qcow2_build_header(BDRVQcow2State *s, int64_t size, const char *backing_file,
                       const char *backing_format, uint8_t *cluster);
/* Free what qcow2_read_header() allocated. */
void qcow2_free_header(BDRVQcow2State *s);
/*
 * Write cluster 0 anew from the state: fixed fields, extensions, backing file name.  Not synced.
 * Returns 0, -ENOSPC where it does not fit into the cluster, or -errno.
 */
int coroutine_fn qcow2_update_header(BlockDriverState *bs);
/* Write only the incompatible feature bits (8 bytes in the first sector).  Not synced. */
int coroutine_fn qcow2_write_incompat_features(BlockDriverState *bs);
/* Write (l1_size, l1_table_offset) resp. (reftable offset, clusters) in place.  Not synced. */
int coroutine_fn qcow2_write_l1_pointer(BlockDriverState *bs);
int coroutine_fn qcow2_write_reftable_pointer(BlockDriverState *bs);

/* ---- qcow2-cache.c: a write-back cache of tables of one size ---- */

/* A cache for up to @nr_tables (>= 2) tables of @table_bytes each.  NULL: no memory. */
Qcow2Cache *qcow2_cache_new(BlockDriverState *bs, unsigned int nr_tables, unsigned int table_bytes,
                            int overlap_class);
/* Drops everything, dirty or not. */
void qcow2_cache_free(Qcow2Cache *cache);
/*
 * Get the table at host @offset (not 0, table aligned) and hold it until qcow2_cache_put(); reads
 * it if needed, evicting another one, which may write and sync.  Contents are as on disk
 * (big-endian).
 * Returns 0, -EIO, or -errno; *@table is valid on success only.
 */
int coroutine_fn qcow2_cache_get(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                 void **table);
/* The same without reading: the contents are zeroes. The table is not dirty yet. */
int coroutine_fn qcow2_cache_get_empty(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                       void **table);
void qcow2_cache_put(Qcow2Cache *cache, void *table);
/* @table is held, and was changed. */
void qcow2_cache_mark_dirty(Qcow2Cache *cache, void *table);
/*
 * The table at @offset if the cache has it: valid until the next yield; no lock needed. NULL
 * otherwise.
 */
void *qcow2_cache_peek(Qcow2Cache *cache, int64_t offset);
/*
 * Write the dirty tables in [@offset, @offset + @bytes), without any ordering and without sync (use
 * qcow2_write_caches()).  *@wrote (may be NULL) is set to true if anything was written.
 */
int coroutine_fn qcow2_cache_write_range(BlockDriverState *bs, Qcow2Cache *cache, int64_t offset,
                                         int64_t bytes, bool *wrote);
bool qcow2_cache_is_dirty(const Qcow2Cache *cache);
/*
 * Forget tables in [@offset, @offset + @bytes), dirty or not; none may be held.  For clusters being
 * freed.
 */
void qcow2_cache_forget(Qcow2Cache *cache, int64_t offset, int64_t bytes);
/* Forget all; none may be dirty or held. */
void qcow2_cache_forget_all(Qcow2Cache *cache);
/* Give back the memory of clean tables not used since the previous call.  Does not yield. */
void qcow2_cache_clean_unused(Qcow2Cache *cache);

/* ---- qcow2-flush.c: what reaches the disk in which order ---- */

/*
 * Write dirty refcount blocks, then (after a sync) table entries of new blocks.  Not synced. 0 or
 * -errno.
 */
int coroutine_fn qcow2_flush_refcounts(BlockDriverState *bs);
/*
 * Write all dirty metadata in dependency order; syncs only between steps that depend on one
 * another, not at the end. 0 or -errno.
 */
int coroutine_fn qcow2_write_caches(BlockDriverState *bs);
/*
 * Before an L2 slice is written: make stable what it relies on (refcounts, linked data).  No-op
 * when all is.
 */
int coroutine_fn qcow2_settle_before_l2(BlockDriverState *bs);
/*
 * Write the dirty L2 slices, and L1 entries, that map [@guest_offset, +@bytes) now, respecting the
 * order.  Syncs only where the order needs it: refcounts that were never synced, a new L2 table.  0
 * or -errno.
 */
int coroutine_fn qcow2_write_l2_range(BlockDriverState *bs, int64_t guest_offset, int64_t bytes);
/*
 * Write all, sync, give pending frees back, write and sync again where that changed something.  0
 * or -errno.
 */
int coroutine_fn qcow2_flush_all(BlockDriverState *bs);
/*
 * Write all, sync, give pending frees back; called without s->lock, which is not held while the
 * disk works.  0 or -errno.
 */
int coroutine_fn qcow2_flush_unlocked(BlockDriverState *bs);
/*
 * Free [@offset, +@bytes) once the tables as they are now in memory are stable: at the next flush,
 * or at once when much is waiting already (see qcow2_process_pending_frees()).  Until then the
 * clusters keep their refcount.
 */
int coroutine_fn qcow2_free_clusters_later(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                           Qcow2DiscardType type);
/*
 * Make the tables stable and give pending frees back to the allocator and the host.  0 or -errno.
 */
int coroutine_fn qcow2_process_pending_frees(BlockDriverState *bs);
/* Mark L1 (or refcount table) entry @index as changed in memory. */
void qcow2_mark_l1_dirty(BDRVQcow2State *s, uint32_t index);
void qcow2_mark_reftable_dirty(BDRVQcow2State *s, uint32_t index);

/* ---- qcow2-refcount.c, qcow2-refalloc.c ---- */

/*
 * Choose get_refcount/set_refcount and the derived fields for s->refcount_order and
 * s->cluster_bits.
 */
void qcow2_refcount_setup(BDRVQcow2State *s);
/*
 * Read the refcount table that s->reftable_offset and s->reftable_clusters tell of.  0 or -errno
 * with @errp set.
 */
int coroutine_fn qcow2_refcount_load(BlockDriverState *bs, Error **errp);
void qcow2_refcount_unload(BDRVQcow2State *s);
/*
 * *@refcount of the host cluster @cluster_index; clusters without a block have 0.  0, -EIO
 * (damage), or -errno.
 */
int coroutine_fn qcow2_get_refcount(BlockDriverState *bs, uint64_t cluster_index,
                                    uint64_t *refcount);
/*
 * Add @addend (+1 or -1) to the refcounts of the clusters that [@offset, +@bytes) touches.  All or
 * none on error where that can be had (an I/O error while taking back leaves leaks).
 * Returns 0, -EINVAL (below zero; corruption is signalled), -ERANGE (above the maximum), or -errno.
 */
int coroutine_fn qcow2_update_refcount(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       int addend, Qcow2DiscardType type);
/* Set the refcount of one cluster, making a block for it if needed.  For repair. */
int coroutine_fn qcow2_set_refcount(BlockDriverState *bs, uint64_t cluster_index, uint64_t value);
/*
 * A contiguous host range of whole clusters for @bytes, with refcount 1 (in the cache).  Never
 * offset 0.
 * Returns the host offset, -ENOSPC, -EFBIG (offset limit of the format), or -errno.
 */
int64_t coroutine_fn qcow2_alloc_clusters(BlockDriverState *bs, int64_t bytes);
/*
 * As many as can be had contiguously of *@nr_clusters (>= 1) clusters at @host_offset: sets
 * *@nr_clusters to the number (perhaps 0) that were free there and now have refcount 1.  0 or
 * -errno.
 */
int coroutine_fn qcow2_alloc_clusters_at(BlockDriverState *bs, int64_t host_offset,
                                         int64_t *nr_clusters);
/*
 * refcount - 1 at once for [@offset, +@bytes); the caller has made stable that nothing on disk
 * points there (or nothing ever did).  Clusters that reach 0 may be reused and, as @type says, are
 * discarded on the host.  0 or -errno.
 */
int coroutine_fn qcow2_free_clusters(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     Qcow2DiscardType type);
/* Free the refcount blocks that count nothing but themselves.  0, -EIO (damage), or -errno. */
int coroutine_fn qcow2_drop_idle_refblocks(BlockDriverState *bs);
/*
 * Index of the last host cluster with a refcount above 0, at or before the end of the file.
 * Negative errno.
 */
int64_t coroutine_fn qcow2_last_used_cluster(BlockDriverState *bs);

/* ---- qcow2-l2.c: L1 and L2 tables ---- */

/*
 * The slice that maps @guest_offset, held in the cache until qcow2_cache_put(s->l2_cache, *slice);
 * *@index is the entry in it. *@slice is NULL where there is no L2 table (the range is
 * unallocated).  0, -EIO (damage, signalled), or -errno.
 */
int coroutine_fn qcow2_l2_get(BlockDriverState *bs, int64_t guest_offset, uint64_t **slice,
                              unsigned int *index);
/*
 * The same for changing it: makes the L2 table (or a private copy of a shared one) and, with lazy
 * refcounts, marks the image dirty.
 */
int coroutine_fn qcow2_l2_get_for_write(BlockDriverState *bs, int64_t guest_offset,
                                        uint64_t **slice, unsigned int *index);
/*
 * Without I/O: like qcow2_l2_get() where the slice is cached, valid until the next yield.  False:
 * use qcow2_l2_get().
 */
bool qcow2_l2_peek(BDRVQcow2State *s, int64_t guest_offset, uint64_t **slice, unsigned int *index);
/* Read the L1 table; checks were made with the header.  0 or -errno with @errp set. */
int coroutine_fn qcow2_l1_load(BlockDriverState *bs, Error **errp);
/* Make the L1 table at least @min_size entries long.  0, -EFBIG, or -errno. */
int coroutine_fn qcow2_l1_grow(BlockDriverState *bs, uint64_t min_size);

/* ---- qcow2-cluster.c: mapping ---- */

/*
 * The largest extent of one type, contiguous in the file, at @guest_offset: *@bytes (in: > 0) is
 * lowered to it, *@type set, and *@host_offset for NORMAL and ZERO_ALLOC to the host address of
 * @guest_offset itself, for COMPRESSED to the raw L2 entry, otherwise to 0.  Extents end at the end
 * of an L2 slice.  0, -EIO (damage, signalled), or -errno.
 */
int coroutine_fn qcow2_get_host_offset(BlockDriverState *bs, int64_t guest_offset, int64_t *bytes,
                                       int64_t *host_offset, Qcow2ClusterType *type);
/*
 * The same without I/O and without the lock.  False where the slice is not cached or something
 * looks wrong: use the other.  @for_write: true only for NORMAL clusters with COPIED set.
 */
bool qcow2_peek_host_offset(BDRVQcow2State *s, int64_t guest_offset, int64_t *bytes,
                            int64_t *host_offset, Qcow2ClusterType *type, bool for_write);
/*
 * Point the L2 entries of a cluster aligned guest range at a contiguous, aligned host range whose
 * refcounts are 1 (COPIED set), making L2 tables as needed.  The entries must be unallocated.
 * Changes the cache only.
 * Returns 0, -EEXIST with nothing more linked at an entry that is in use, or -errno (a beginning
 * may be linked).
 */
int coroutine_fn qcow2_link_clusters(BlockDriverState *bs, int64_t guest_offset,
                                     int64_t host_offset, int64_t bytes);
/*
 * Make the entries of a cluster aligned guest range unallocated and append the host ranges they
 * pointed at to @freed (of Qcow2HostRange, merged where contiguous), without touching refcounts.
 * Changes the cache only.
 * 0, -ENOTSUP (compressed cluster), or -errno (@freed tells of what was done).
 */
int coroutine_fn qcow2_unlink_clusters(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                       GArray *freed);
/*
 * Wait until no allocating write in flight touches [@guest_offset, +@bytes); s->lock is released
 * meanwhile.
 * Returns true if it waited: what was looked up before must be looked up again.
 */
bool coroutine_fn qcow2_wait_for_allocs(BlockDriverState *bs, int64_t guest_offset, int64_t bytes);

/* Where a write may go. */
typedef struct Qcow2WriteTarget {
    int64_t host_offset; /* of the first byte written */
    int64_t bytes;       /* how much of the request this covers */
    Qcow2Alloc *alloc;   /* NULL: write in place; otherwise finish with qcow2_alloc_finish() */
} Qcow2WriteTarget;

/*
 * Find or allocate host clusters for a beginning of the write [@guest_offset, +@bytes).  0 or
 * -errno. @target->alloc: the caller writes all of the clusters (zeroes around the guest data),
 * without s->lock.
 */
int coroutine_fn qcow2_prepare_write(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                     Qcow2WriteTarget *target);
/*
 * The data of @alloc has been written (@ret 0) or not: link or free its clusters, wake those who
 * wait, free @alloc.
 */
int coroutine_fn qcow2_alloc_finish(BlockDriverState *bs, Qcow2Alloc *alloc, int ret);

/*
 * ---- qcow2-discard.c: whole clusters (or up to the end of the disk) that need not keep content
 * ----
 *
 * Both wait for allocating writes in flight in the range.
 */

enum {
    QCOW2_ZERO_UNMAP = 1 << 0,          /* host clusters are given back, otherwise kept */
    QCOW2_ZERO_ONLY_ALLOCATED = 1 << 1, /* what is unallocated stays so */
};

/*
 * Make the range read as zeroes.  @flags: QCOW2_ZERO_*.
 * 0, -ENOTSUP (v2 image; compressed clusters), -EIO (damage, signalled), or -errno.
 */
int coroutine_fn qcow2_zero_clusters(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                     unsigned int flags);
/* Make the range unallocated and free its clusters later.  Errors as above. */
int coroutine_fn qcow2_discard_clusters(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                        Qcow2DiscardType type);

/* ---- driver callbacks, by file; called by the block layer without s->lock ---- */

/* qcow2-io.c */
int coroutine_fn qcow2_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      QEMUIOVector *qiov, size_t qiov_offset,
                                      BdrvRequestFlags flags);
int coroutine_fn qcow2_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       QEMUIOVector *qiov, size_t qiov_offset,
                                       BdrvRequestFlags flags);
/* Write zeroes like any data; @bytes is less than a cluster.  Not a callback. */
int coroutine_fn qcow2_write_zeroes_as_data(BlockDriverState *bs, int64_t offset, int64_t bytes);
int coroutine_fn qcow2_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        BdrvRequestFlags flags);
int coroutine_fn qcow2_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes);
int coroutine_fn qcow2_co_flush(BlockDriverState *bs);
int coroutine_fn qcow2_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       int64_t *pnum, int64_t *map, BlockDriverState **file);
/* qcow2-resize.c */
int coroutine_fn qcow2_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                                   PreallocMode prealloc, BdrvRequestFlags flags, Error **errp);
/*
 * Map and allocate [@guest_offset, +@bytes), as far as it is not, reading as zeroes; with s->lock
 * held.
 */
int coroutine_fn qcow2_preallocate(BlockDriverState *bs, int64_t guest_offset, int64_t bytes,
                                   PreallocMode mode, Error **errp);
/* Cut the image file behind the last cluster in use, with s->lock held.  Failing does no harm. */
void coroutine_fn qcow2_cut_file(BlockDriverState *bs);
/* qcow2-create.c */
int qcow2_create_check(const BlockdevCreateOptions *options, Error **errp);
int coroutine_fn qcow2_co_create(BlockdevCreateOptions *options, Error **errp);
/* qcow2-info.c */
int qcow2_probe(const uint8_t *buf, int buf_size, const char *filename);
int coroutine_fn qcow2_co_get_info(BlockDriverState *bs, BlockDriverInfo *info);
ImageInfoSpecific *qcow2_get_specific_info(BlockDriverState *bs, Error **errp);

/* ---- qcow2-options.c ---- */

/*
 * Derive the runtime options for the opened header from @options; NULL: defaults.  False with @errp
 * set.
 */
bool qcow2_parse_options(BlockDriverState *bs, const BlockdevOptionsQcow2 *options, int flags,
                         Qcow2Options *result, Error **errp);

/* ---- qcow2-check*.c, qcow2-overlap.c ---- */

/*
 * Compare refcounts with references and, as @fix says, repair; adds to *@result.  With s->lock
 * held. 0 when the check could be completed, whatever it found; otherwise -errno.
 */
int coroutine_fn qcow2_check_refcounts(BlockDriverState *bs, BdrvCheckResult *result,
                                       BdrvCheckMode fix);
/*
 * The driver's callback: takes s->lock, checks, clears the dirty and corrupt bits after a repair
 * that left nothing wrong.
 */
int coroutine_fn qcow2_co_check(BlockDriverState *bs, BdrvCheckResult *result, BdrvCheckMode fix);

/*
 * Before a write of [@offset, +@size) to the image file: refuse what would hit live metadata,
 * except the classes in @ign.
 * @data_file: the range lies in an external data file.
 * Returns 0, or -EIO after signalling corruption.
 */
int coroutine_fn qcow2_pre_write_overlap_check(BlockDriverState *bs, int ign, int64_t offset,
                                               int64_t size, bool data_file);
/* A metadata cluster (L2 table or refcount block: @overlap_class) has come into being at host
 * @offset. */
void qcow2_overlap_added(BDRVQcow2State *s, int overlap_class, int64_t offset);
/* Metadata has moved or gone: s->overlap_state is made anew when it is next needed.  Also frees
 * it. */
void qcow2_overlap_reset(BDRVQcow2State *s);

#endif
