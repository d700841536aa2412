/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a block driver sees: the node, its children, its limits, and the table of callbacks by which
 * the block layer calls the driver.
 *
 * Users of the block layer include block/block-backend.h instead.
 */
#ifndef BLOCK_INT_H
#define BLOCK_INT_H

#include <jansson.h>

#include "block/aio.h"
#include "block/block-common.h"
#include "block/block-graph.h"
#include "block/block-io.h"
#include "qapi/error.h"
#include "qapi/qapi-types.h"
#include "qemu/iov.h"

/*
 * What requests a node takes.  Filled with defaults, merged with the limits of bs->file by the
 * block layer, then refined by the driver's bdrv_refresh_limits.  Bytes unless said otherwise; 0
 * means "no limit" for the maxima.
 */
typedef struct BlockLimits {
    /*
     * Offsets and lengths must be multiples of this; power of two, >= 1.  The block layer aligns
     * what is not.
     */
    uint32_t request_alignment;
    int32_t max_transfer;
    int32_t max_pdiscard;
    uint32_t pdiscard_alignment;
    int32_t max_pwrite_zeroes;
    uint32_t pwrite_zeroes_alignment;
    /* Alignment that memory must have, and that is best for it. */
    size_t min_mem_alignment;
    size_t opt_mem_alignment;
    int max_iov;

    /* ---- zoned devices; BLK_Z_NONE: the rest is 0 ---- */
    BlockZoneModel zoned;
    int64_t zone_size;
    int64_t zone_capacity;
    uint32_t nr_zones;
    uint32_t nr_conventional_zones;
    uint32_t max_open_zones;
    uint32_t max_active_zones;
    uint32_t max_append_bytes;
    uint32_t write_granularity;
} BlockLimits;

/*
 * A request in flight on a node, in the frame of its coroutine.
 *
 * The node's list has the newest first.  A request waits only for older ones, so no two can wait
 * for each other: a serialising one for all that overlap, any other for the serialising ones among
 * them.
 */
typedef struct BdrvTrackedRequest {
    BlockDriverState *bs;
    /* the range it claims; of a serialising request rounded out to the request alignment */
    int64_t offset;
    int64_t bytes;
    bool is_serialising;
    CoQueue wait_queue; /* those that wait for this one to end */
    LIST_ENTRY(BdrvTrackedRequest) link;
} BdrvTrackedRequest;

/* What is counted of a node's requests. */
typedef enum BdrvStatsType {
    BDRV_STATS_READ,
    BDRV_STATS_WRITE,
    BDRV_STATS_WRITE_ZEROES,
    BDRV_STATS_ZONE_APPEND,
    BDRV_STATS_UNMAP,
    BDRV_STATS_FLUSH,
    BDRV_STATS_ZONE_MGMT,
    BDRV_STATS__MAX,
} BdrvStatsType;

/* Requests of one type since the node was made; each is in one of the last three. */
typedef struct BdrvCounter {
    uint64_t bytes;      /* of those done */
    uint64_t operations; /* done */
    uint64_t failed;     /* could not be done */
    uint64_t invalid;    /* refused: outside of the node, against the rules of zones, ... */
} BdrvCounter;

/* Belongs to the node's thread. */
typedef struct BdrvStats {
    BdrvCounter counters[BDRV_STATS__MAX];
    int64_t wr_highest_offset; /* the end of the furthest write, bytes */
} BdrvStats;

struct BdrvChild {
    BlockDriverState *bs;
    char *name;
    void *parent;            /* the parent node or BlockBackend, for messages and notifications */
    bool parent_is_node;
    uint64_t perm;           /* BLK_PERM_* the parent uses */
    uint64_t shared_perm;    /* BLK_PERM_* the parent lets others have */
    /* the parent opened it with options of its own, and reopens it with itself */
    bool is_inline;
    LIST_ENTRY(BdrvChild) next;        /* in the parent's children */
    LIST_ENTRY(BdrvChild) next_parent; /* in bs->parents */
};

struct BlockDriverState {
    /* NULL once the node has been made unusable: requests fail with -ENOMEDIUM */
    BlockDriver *drv;
    /* then, the driver whose state is still to be freed; otherwise NULL */
    BlockDriver *unusable_drv;
    /* the driver's state, drv->instance_size bytes, zeroed before bdrv_open */
    void *opaque;
    /* that of its parents and children, too */
    AioContext *aio_context;

    int open_flags;          /* BDRV_O_* in force */
    bool read_only;
    bool auto_read_only;     /* requested: may become writable in a reopen */
    bool force_share;
    bool probed;             /* the format was guessed from the content: see bdrv_probe_format() */
    /* a file: writes past the end extend it, and reads there find zeroes */
    bool is_growable;
    int64_t total_bytes;     /* length, a multiple of 512 */
    BlockLimits bl;
    /*
     * Which of BDRV_REQ_* the driver's callbacks understand; the block layer does without the
     * others.
     */
    unsigned int supported_write_flags;
    unsigned int supported_zero_flags;

    BdrvChild *file;         /* of format drivers and filters */
    BdrvChild *backing;      /* NULL: none */
    LIST_HEAD(, BdrvChild) children;
    LIST_HEAD(, BdrvChild) parents;

    char *node_name;
    char filename[4096];     /* as opened, or a json: description */
    char *backing_file;      /* names as stored in the image, NULL: none */
    char *backing_format;
    bool is_backing_given;   /* `backing` was an option, whatever the image says */
    json_t *full_options;    /* the complete option tree of this node, for json: names and reopen */

    int refcnt;
    unsigned int in_flight;
    unsigned int quiesce_counter; /* > 0: drained, new requests of users wait */
    CoQueue quiesce_queue;   /* where they wait; restarted when the counter is back to 0 */
    unsigned int serialising_in_flight;
    LIST_HEAD(, BdrvTrackedRequest) tracked_requests;
    BdrvStats stats;
    uint64_t write_gen;      /* advanced by each change that has ended */
    uint64_t flushed_gen;    /* <= write_gen: the changes up to here are durable */
    bool flush_in_progress;
    CoQueue flush_queue;

    TAILQ_ENTRY(BlockDriverState) node_list;
};

/*
 * A driver.  All callbacks are optional unless said otherwise.  The coroutine_fn ones run in the
 * node's AioContext and get arguments that the block layer has checked against the node's length
 * and aligned and split by its limits.
 */
struct BlockDriver {
    const char *format_name;   /* mandatory */
    const char *protocol_name; /* of `NAME:rest` file names; NULL for formats */
    int instance_size;
    /* The driver stores its data in bs->file, which is open before bdrv_open is called. */
    bool has_file_child;
    /*
     * The driver passes requests through to bs->file unchanged (raw): the parent's permissions go
     * through too.
     */
    bool is_passthrough;

    /*
     * 0..100: how sure the driver is that @buf (the first @buf_size bytes) starts an image of its
     * format.
     */
    int (*bdrv_probe)(const uint8_t *buf, int buf_size, const char *filename);
    /* The same for a protocol, by file name (a block device node). */
    int (*bdrv_probe_device)(const char *filename);
    /* Turn a `protocol:rest` or plain file name into options, in place. */
    void (*bdrv_parse_filename)(const char *filename, json_t *options, Error **errp);

    /*
     * Called outside coroutines, with the node's options in their typed form.  Sets bs->total_bytes
     * and may set bs->supported_*_flags.  Returns 0, or a negative errno with @errp set.
     */
    int (*bdrv_open)(BlockDriverState *bs, const BlockdevOptions *options, int flags, Error **errp);
    /*
     * Everything is flushed and no request is in flight.  Outside coroutines.  Where bs->drv is
     * NULL (the node was made unusable) only memory is freed, nothing written.
     */
    void (*bdrv_close)(BlockDriverState *bs);
    /*
     * Outside coroutines, drained and flushed: change bs->open_flags to @flags (only read-only,
     * cache and the driver's own mutable options differ).  All prepare first, children before their
     * parents; then all are committed, in the same order, or all that had been prepared are
     * aborted.  bs->open_flags and bs->read_only are still the old ones in prepare and abort, and
     * the new ones in commit.
     */
    int (*bdrv_reopen_prepare)(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                               Error **errp);
    void (*bdrv_reopen_commit)(BlockDriverState *bs, int flags);
    void (*bdrv_reopen_abort)(BlockDriverState *bs);
    /* Names of the driver's options that bdrv_reopen_prepare can change; the last is NULL. */
    const char *const *mutable_options;
    /*
     * The node moves to another thread.  All outside coroutines, while no request is in flight.
     * First every driver is asked, in the main thread, whether its node can work in @ctx; false
     * with @errp set.  Then each detaches in the old thread, parents before their children: it ends
     * what it does of its own accord (timers, bottom halves, coroutines), for which it may poll the
     * loop.  Then each attaches in the new one, children first; bs->aio_context is @ctx by then.
     */
    bool (*bdrv_can_change_aio_context)(BlockDriverState *bs, AioContext *ctx, Error **errp);
    void (*bdrv_detach_aio_context)(BlockDriverState *bs);
    void (*bdrv_attach_aio_context)(BlockDriverState *bs, AioContext *ctx);
    /*
     * Names of the options that change what a reader sees, so that a file name alone would not
     * describe the node; the last is NULL.
     */
    const char *const *strong_options;
    void (*bdrv_refresh_limits)(BlockDriverState *bs, Error **errp);

    /*
     * Permissions on this protocol node are about to change to these sums: take and release locks.
     */
    int (*bdrv_set_perm)(BlockDriverState *bs, uint64_t perm, uint64_t shared, Error **errp);
    /*
     * What the driver needs of its child, from what its own parents need of it; NULL: a format's
     * usual needs.
     */
    void (*bdrv_child_perm)(BlockDriverState *bs, uint64_t perm, uint64_t shared, int flags,
                            uint64_t *nperm, uint64_t *nshared);

    int coroutine_fn (*bdrv_co_preadv_part)(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            QEMUIOVector *qiov, size_t qiov_offset,
                                            BdrvRequestFlags flags);
    int coroutine_fn (*bdrv_co_pwritev_part)(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             QEMUIOVector *qiov, size_t qiov_offset,
                                             BdrvRequestFlags flags);
    /* -ENOTSUP: the block layer writes buffers of zeroes instead, unless BDRV_REQ_NO_FALLBACK. */
    int coroutine_fn (*bdrv_co_pwrite_zeroes)(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                              BdrvRequestFlags flags);
    int coroutine_fn (*bdrv_co_pdiscard)(BlockDriverState *bs, int64_t offset, int64_t bytes);
    /*
     * Make everything acknowledged durable, lower layers included (the driver flushes bs->file
     * itself, through bdrv_co_flush()).  NULL: bs->file is flushed.
     */
    int coroutine_fn (*bdrv_co_flush)(BlockDriverState *bs);
    int coroutine_fn (*bdrv_co_block_status)(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             int64_t *pnum, int64_t *map, BlockDriverState **file);
    int coroutine_fn (*bdrv_co_truncate)(BlockDriverState *bs, int64_t offset, bool exact,
                                         PreallocMode prealloc, BdrvRequestFlags flags,
                                         Error **errp);
    /*
     * The length now, in bytes, for drivers whose length can change under them; otherwise
     * bs->total_bytes counts.
     */
    int64_t coroutine_fn (*bdrv_co_getlength)(BlockDriverState *bs);
    int64_t coroutine_fn (*bdrv_co_get_allocated_file_size)(BlockDriverState *bs);

    int coroutine_fn (*bdrv_co_zone_report)(BlockDriverState *bs, int64_t offset,
                                            unsigned int *nr_zones, BlockZoneDescriptor *zones);
    int coroutine_fn (*bdrv_co_zone_mgmt)(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                          int64_t len);
    int coroutine_fn (*bdrv_co_zone_append)(BlockDriverState *bs, int64_t *offset,
                                            QEMUIOVector *qiov, BdrvRequestFlags flags);
    /* The zones of the node, as block/zones.h has them, NULL where it has none; for looking only. */
    const struct BdrvZones *(*bdrv_get_zones)(const BlockDriverState *bs);

    /*
     * Everything about @options that can be judged before a file is touched: values, combinations,
     * sizes. Returns 0, or a negative errno with @errp set.  Always called before bdrv_co_create;
     * opens nothing.
     */
    int (*bdrv_create_check)(const BlockdevCreateOptions *options, Error **errp);
    /*
     * Create an image on existing nodes (formats), or an empty file (protocols); see
     * block-create.h.
     */
    int coroutine_fn (*bdrv_co_create)(BlockdevCreateOptions *options, Error **errp);
    /* Remove a protocol's file again after a failed create. */
    int coroutine_fn (*bdrv_co_delete_file)(const char *filename, Error **errp);

    int coroutine_fn (*bdrv_co_check)(BlockDriverState *bs, BdrvCheckResult *result,
                                      BdrvCheckMode fix);
    int coroutine_fn (*bdrv_co_get_info)(BlockDriverState *bs, BlockDriverInfo *info);
    ImageInfoSpecific *(*bdrv_get_specific_info)(BlockDriverState *bs, Error **errp);

    /*
     * Map @bytes of the file at @offset into memory, shared with the file (a page-aligned range
     * inside the file). Only protocol drivers with a local file have it.  NULL with @errp set when
     * it cannot be done.
     */
    void *(*bdrv_map_shared)(BlockDriverState *bs, int64_t offset, size_t bytes, Error **errp);
    void (*bdrv_unmap_shared)(BlockDriverState *bs, void *address, size_t bytes);

    TAILQ_ENTRY(BlockDriver) link;
};

/* Registration; each driver file has a `block_init(register_function)` constructor. */
void bdrv_register(BlockDriver *drv);
#define block_init(function)                                                                       \
    static void __attribute__((constructor)) block_register_##function(void)                       \
    {                                                                                              \
        function();                                                                                \
    }

/*
 * The format whose image most likely begins with @buf, the first @buf_size bytes of @filename.
 * Never NULL: `raw` takes what no other driver knows.  A node with bs->probed refuses to write a
 * first sector that would change the answer.
 */
BlockDriver *bdrv_probe_format(const uint8_t *buf, int buf_size, const char *filename);
/* How many bytes a probe looks at. */
#define BLOCK_PROBE_BUF_SIZE 2048

/*
 * Make @bs unusable after an error that must not spread: requests fail with -ENOMEDIUM from now on,
 * and when the node goes its driver is closed without writing.  From a request of the driver too.
 */
void bdrv_make_unusable(BlockDriverState *bs);

#endif
