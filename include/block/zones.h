/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zone table: which zones a device has, where their write pointers stand, and what a request
 * may do to them.
 *
 * A pure state machine: no I/O, no locks, no coroutines, no Error objects after construction.  A
 * driver calls it before and after its own I/O; all calls for one table come from one thread, and
 * none of them yields, so that a check and the reservation that follows from it are one step.
 *
 * Semantics: virtio 1.3 section 5.2.6 (zoned block devices), ZBC-2, Linux blk-zoned.
 */
#ifndef BLOCK_ZONES_H
#define BLOCK_ZONES_H

#include "block/block-common.h"
#include "qapi/error.h"

/* The most zones a table can have (a table of 8-byte entries then stays below 4 GiB). */
#define ZONES_MAX_NR 536870911

typedef struct BdrvZones BdrvZones;
typedef struct ZoneOpen ZoneOpen;

typedef struct ZonesGeometry {
    int64_t device_size;       /* bytes, > 0, multiple of @write_granularity */
    int64_t zone_size;         /* bytes, power of two */
    int64_t zone_capacity;     /* bytes, 0 < capacity <= size, multiple of @write_granularity */
    uint32_t nr_conventional;  /* the first zones; fewer than all zones */
    uint32_t max_open_zones;   /* 0: no limit */
    uint32_t max_active_zones; /* 0: no limit */
    uint32_t max_append_bytes; /* 0: append is refused */
    uint32_t write_granularity; /* bytes, power of two, >= 512 */
} ZonesGeometry;

/*
 * One write in flight.  The caller provides the storage (usually in its coroutine's frame) and
 * keeps it until the write has been settled.  Only @offset, @bytes and @ret are for the caller to
 * read.
 */
typedef struct ZoneWrite {
    int64_t offset; /* where the data goes: for an append, known once it has begun */
    int64_t bytes;
    int ret;        /* valid once settled: 0, or the errno to give to the requester */
    bool is_done;   /* the I/O has ended, settled or not */
    ZoneOpen *zone; /* the open state of its zone; NULL once settled */
    TAILQ_ENTRY(ZoneWrite) link; /* in the zone's list of writes in flight, then the settled list */
} ZoneWrite;

typedef TAILQ_HEAD(ZoneWriteList, ZoneWrite) ZoneWriteList;

typedef struct ZonesCounts {
    uint32_t nr_zones;
    uint32_t empty, implicitly_open, explicitly_open, closed;
    uint32_t full, read_only, offline, conventional;
} ZonesCounts;

/*
 * How many zones changed their condition in each way; commands that found nothing to change do not
 * count, and closes do not include evictions.  @whole_resets are commands, not zones: resets of the
 * whole device.
 */
typedef struct ZonesStats {
    uint64_t implicit_opens, explicit_opens, evictions, closes, finishes, resets;
    uint64_t whole_resets;
} ZonesStats;

/* ---- life ---- */

/*
 * Check a geometry on its own.
 *
 * Every message names the option as the user spells it (`zone.size`, `zone.capacity`,
 * `zone.conventional_zones`, `zone.max_open_zones`, `zone.max_active_zones`,
 * `zone.max_append_bytes`) and the value that was wrong. Limits above the number of sequential
 * zones are errors, as is max_open > max_active (both set).
 *
 * Returns true, or false with @errp set.
 */
bool zones_check_geometry(const ZonesGeometry *geometry, Error **errp);

/*
 * Make a table with every sequential zone empty.
 *
 * @open_data_size: bytes of zeroed memory that the caller wants beside each open zone, see
 * zone_write_open_data().
 *
 * The geometry must have passed zones_check_geometry().  Never returns NULL unless memory for
 * 32 bytes a zone cannot be had, which sets @errp.
 */
BdrvZones *zones_new(const ZonesGeometry *geometry, size_t open_data_size, Error **errp);

/* No write may be in flight. */
void zones_free(BdrvZones *zones);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BdrvZones, zones_free)

/*
 * Set zone @index to what storage says of it after a restart: empty where @wp is its start, full
 * where @wp is at or past start + capacity, otherwise closed.
 *
 * Only between zones_new() and the first request; @index is below zones_nr().  The active limit is
 * not enforced here: a device keeps what it holds and refuses new ones.
 *
 * Returns 0, or -EINVAL when @wp lies outside the zone, is not a multiple of the granularity, or
 * the zone is conventional.
 */
int zones_load_wp(BdrvZones *zones, uint32_t index, int64_t wp);

/* ---- looking ---- */

const ZonesGeometry *zones_geometry(const BdrvZones *zones);
uint32_t zones_nr(const BdrvZones *zones);
uint32_t zones_index(const BdrvZones *zones, int64_t offset);
int64_t zones_start(const BdrvZones *zones, uint32_t index);
/* Addressable length and writable length of a zone; the last one may be smaller than the others. */
int64_t zones_length(const BdrvZones *zones, uint32_t index);
int64_t zones_capacity(const BdrvZones *zones, uint32_t index);
/*
 * The end of what was written and acknowledged (absolute, bytes).  A finished zone: start + length.
 * Conventional: start. This is what storage keeps, and what zones_load_wp() takes back; a defect
 * does not change it.
 */
int64_t zones_wp(const BdrvZones *zones, uint32_t index);
BlockZoneState zones_state(const BdrvZones *zones, uint32_t index);
bool zones_is_conventional(const BdrvZones *zones, uint32_t index);
void zones_counts(const BdrvZones *zones, ZonesCounts *counts);
const ZonesStats *zones_stats(const BdrvZones *zones);

/*
 * Describe up to *@nr_zones zones from the one that contains @offset; sets *@nr_zones to how many
 * were described (0 where @offset is at or past the end of the device).
 */
void zones_report(const BdrvZones *zones, int64_t offset, unsigned int *nr_zones,
                  BlockZoneDescriptor *descriptors);

/*
 * What a read of [@offset, @offset + @bytes) finds at its beginning.  The range lies within the
 * device.
 *
 * Sets *@count (> 0, <= @bytes) to how far the answer holds, and returns 1 where the data must be
 * fetched, 0 where it reads as zeroes (above the completed write pointer, or past the capacity), or
 * -ZONE_ERR_OFFLINE (*@count is not set).  An extent never crosses a zone boundary.
 *
 * The whole capacity of a finished zone must be fetched, before a restart as after it: it is
 * storage that has to give zeroes for what was never written.
 */
int zones_read_extent(const BdrvZones *zones, int64_t offset, int64_t bytes, int64_t *count);

/* ---- writing ---- */

/*
 * Admit a write to a sequential zone and reserve its range: on success the submitted write pointer
 * has moved, the zone is open, and @write is in flight until zones_write_end().
 *
 * @offset, @bytes: within the device, @bytes > 0; @offset not in a conventional zone.
 *
 * Returns 0, or, with nothing changed and nothing evicted (checked in this order):
 * -EAGAIN                   the zone is held for management, or is settling after a failed
 *                           write: wait and try again;
 * -ZONE_ERR_OFFLINE, -ZONE_ERR_RDONLY
 * -ZONE_ERR_FULL            the zone is full (also when writes in flight already fill it);
 * -ZONE_ERR_PAST_CAPACITY   the range passes the capacity;
 * -EINVAL                   not a multiple of the write granularity;
 * -ZONE_ERR_NOT_AT_WP       it does not start at the submitted write pointer;
 * -ZONE_ERR_ACTIVE_RESOURCE, -ZONE_ERR_OPEN_RESOURCE.
 */
int zones_write_begin(BdrvZones *zones, ZoneWrite *write, int64_t offset, int64_t bytes);

/*
 * The same for a zone append; the position is chosen here and stands in @write->offset.
 *
 * @zone_start must be the start of a sequential zone (-ZONE_ERR_APPEND, or -ZONE_ERR_CONVENTIONAL),
 * @bytes at most max_append_bytes (-ZONE_ERR_APPEND) and at most what is left
 * (-ZONE_ERR_PAST_CAPACITY); otherwise as zones_write_begin(). Type, start and limit are checked
 * before the zone's condition.
 */
int zones_append_begin(BdrvZones *zones, ZoneWrite *write, int64_t zone_start, int64_t bytes);

/*
 * The caller's memory beside the open zone that @write, which is in flight, goes to.  It is zeroed
 * whenever the zone leaves the open conditions with nothing in flight, and whenever a failed write
 * has made the write pointer fall back.
 */
void *zone_write_open_data(const ZoneWrite *write);

/*
 * The I/O of @write has ended with @ret (0 or a negative errno).
 *
 * Writes of one zone are settled in the order in which they began.  Appends to @settled, in that
 * order, every write that this one allows to be answered (perhaps none, perhaps many, perhaps
 * @write itself), with its @ret filled in: once one has failed, those behind it fail with -EIO, and
 * the submitted write pointer falls back to the completed one when the last of them has been
 * settled.  A zone whose completed write pointer reaches its capacity becomes full here and gives
 * its resources back.
 *
 * A zone that was evicted or closed with writes in flight stays closed, or becomes empty where none
 * of its writes ever succeeded.  An open zone stays open, even where its first write failed.
 */
void zones_write_end(BdrvZones *zones, ZoneWrite *write, int ret, ZoneWriteList *settled);

/* ---- management ---- */

/*
 * Check the range of a management command: @offset a zone start, @len a positive multiple of the
 * zone size or reaching exactly the end of the device, all of it inside the device.  Returns 0 or
 * -EINVAL.
 */
int zones_check_range(const BdrvZones *zones, int64_t offset, int64_t len);

/*
 * Keep new writes out of the zones of a (checked) range: they get -EAGAIN until zones_release() of
 * the same range. Returns 0, or -EAGAIN when some zone in it is already held.
 */
int zones_hold(BdrvZones *zones, int64_t offset, int64_t len);
void zones_release(BdrvZones *zones, int64_t offset, int64_t len);

/* True while a write is in flight in a zone of the range. */
bool zones_is_busy(const BdrvZones *zones, int64_t offset, int64_t len);

/*
 * Decide whether @op may be done to all the zones of a held range with nothing in flight.
 *
 * A reset of the whole device skips conventional, read-only and offline zones, like RESET ALL.
 * Resources for opening several zones are counted together, with what can be evicted.  A condition
 * that refuses @op in any zone comes before resources; the first such zone decides.
 *
 * For BLK_ZO_OPEN this and zones_mgmt_apply() must be one step, as another zone's write could take
 * the slots.  For a finish or reset the caller may do its I/O between the two.
 *
 * Returns 0, -ZONE_ERR_CONVENTIONAL, -ZONE_ERR_OFFLINE, -ZONE_ERR_RDONLY, -ZONE_ERR_FULL (open of a
 * full zone),
 * -ZONE_ERR_CONDITION (close of an empty or full zone), -ZONE_ERR_ACTIVE_RESOURCE or
 * -ZONE_ERR_OPEN_RESOURCE.
 */
int zones_mgmt_check(const BdrvZones *zones, BlockZoneOp op, int64_t offset, int64_t len);

/*
 * Whether @op, which passed zones_mgmt_check(), would change what must be stored of zone @index
 * (its write pointer).
 */
bool zones_mgmt_moves_wp(const BdrvZones *zones, BlockZoneOp op, uint32_t index);

/*
 * Do @op, which has passed zones_mgmt_check(); this cannot fail.  Opening evicts least recently
 * written zones as needed, never one of the range.  A zone that became defective since the check is
 * passed over by finish and reset.
 */
void zones_mgmt_apply(BdrvZones *zones, BlockZoneOp op, int64_t offset, int64_t len);

/*
 * Put zone @index, which is not conventional and has nothing in flight, into a defect condition, or
 * back into what its write pointer says (@state BLK_ZS_RDONLY, BLK_ZS_OFFLINE, BLK_ZS_EMPTY meaning
 * "no longer defective"; a zone that is not defective then stays as it is).  As in zones_load_wp()
 * the active limit is not enforced for a zone that comes back.
 */
void zones_set_defect(BdrvZones *zones, uint32_t index, BlockZoneState state);

/* ---- checking ---- */

/* Abort where the table contradicts itself.  Walks every zone: for tests. */
void zones_assert_valid(const BdrvZones *zones);

#endif
