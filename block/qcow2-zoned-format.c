/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The zoned header extensions and the life of a zoned image: create, open, close.
 *
 * Nothing of the extensions is believed before it has been checked; what is wrong is refused with a
 * message that names the field, and the image is not changed.  The raw extensions stay in
 * BDRVQcow2State and are what a header rewrite stores.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"

#define ZONED_MODEL_NONE 0
#define ZONED_MODEL_HOST_MANAGED 1

#define ZONE_SIZE_DEFAULT (256 * MiB)
#define ZONE_SIZE_MIN (64 * KiB)
/* What every export can carry in one request. */
#define ZONE_APPEND_DEFAULT (1 * MiB)
/* The smallest unit of a write to a sequential zone. */
#define ZONE_WRITE_GRANULARITY 512

/* Piece of the write-pointer table that is handled at once. */
#define ZONE_TABLE_CHUNK_BYTES (1 * MiB)

/* Fields of the extension, see docs/interop/qcow2-zoned.rst. */
enum {
    EXT_MODEL = 0,
    EXT_RESERVED = 1,
    EXT_ZONE_SIZE = 4,
    EXT_ZONE_CAPACITY = 12,
    EXT_NR_CONVENTIONAL = 20,
    EXT_NR_ZONES = 24,
    EXT_MAX_ACTIVE = 28,
    EXT_MAX_OPEN = 32,
    EXT_MAX_APPEND = 36,
    EXT_TABLE_BYTES = 40,
    EXT_TABLE_OFFSET = 48,
};

enum {
    LIVE_EXT_OFFSET = 0,
    LIVE_EXT_BYTES = 8,
};

/* ---- header extensions ---- */

static void zoned_ext_store(uint8_t *ext, const ZonesGeometry *geometry, int64_t table_offset)
{
    uint32_t nr_zones = DIV_ROUND_UP(geometry->device_size, geometry->zone_size);

    memset(ext, 0, QCOW2_EXT_ZONED_LEN);
    ext[EXT_MODEL] = ZONED_MODEL_HOST_MANAGED;
    stq_be_p(ext + EXT_ZONE_SIZE, geometry->zone_size);
    stq_be_p(ext + EXT_ZONE_CAPACITY, geometry->zone_capacity);
    stl_be_p(ext + EXT_NR_CONVENTIONAL, geometry->nr_conventional);
    stl_be_p(ext + EXT_NR_ZONES, nr_zones);
    stl_be_p(ext + EXT_MAX_ACTIVE, geometry->max_active_zones);
    stl_be_p(ext + EXT_MAX_OPEN, geometry->max_open_zones);
    stl_be_p(ext + EXT_MAX_APPEND, geometry->max_append_bytes);
    stq_be_p(ext + EXT_TABLE_BYTES, (uint64_t)nr_zones * 8);
    stq_be_p(ext + EXT_TABLE_OFFSET, table_offset);
}

/* The geometry an extension describes, unchecked where @geometry's own check will look. */
static bool zoned_ext_load(const uint8_t *ext, int64_t device_size, int64_t cluster_size,
                           ZonesGeometry *geometry, Error **errp)
{
    uint64_t zone_size = ldq_be_p(ext + EXT_ZONE_SIZE);
    uint64_t zone_capacity = ldq_be_p(ext + EXT_ZONE_CAPACITY);
    uint32_t nr_zones = ldl_be_p(ext + EXT_NR_ZONES);
    uint64_t table_bytes = ldq_be_p(ext + EXT_TABLE_BYTES);

    ERRP_GUARD();
    *geometry = (ZonesGeometry){
        .device_size = device_size,
        .zone_size = MIN(zone_size, (uint64_t)INT64_MAX),
        .zone_capacity = MIN(zone_capacity, (uint64_t)INT64_MAX),
        .nr_conventional = ldl_be_p(ext + EXT_NR_CONVENTIONAL),
        .max_open_zones = ldl_be_p(ext + EXT_MAX_OPEN),
        .max_active_zones = ldl_be_p(ext + EXT_MAX_ACTIVE),
        .max_append_bytes = ldl_be_p(ext + EXT_MAX_APPEND),
        .write_granularity = ZONE_WRITE_GRANULARITY,
    };
    if (!zones_check_geometry(geometry, errp)) {
        error_prepend(errp, "Invalid zoned header extension: ");
        return false;
    }
    if (!QEMU_IS_ALIGNED(geometry->zone_size, cluster_size)) {
        error_setg(errp,
                   "Invalid zoned header extension: zone size %" PRId64
                   " is not a multiple of the cluster size %" PRId64,
                   geometry->zone_size, cluster_size);
        return false;
    }
    if (nr_zones != DIV_ROUND_UP(device_size, geometry->zone_size)) {
        error_setg(errp,
                   "Invalid zoned header extension: number of zones is %" PRIu32
                   ", but the disk has %" PRId64,
                   nr_zones, DIV_ROUND_UP(device_size, geometry->zone_size));
        return false;
    }
    if (table_bytes != (uint64_t)nr_zones * 8) {
        error_setg(errp,
                   "Invalid zoned header extension: write-pointer table size is %" PRIu64
                   ", expected %" PRIu64,
                   table_bytes, (uint64_t)nr_zones * 8);
        return false;
    }
    return true;
}

/* ---- places of the two areas ---- */

static bool ranges_overlap(int64_t a, int64_t a_bytes, int64_t b, int64_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* The metadata that every image has and that zoned areas must not lie over; NULL: none of it. */
static const char *zoned_area_hits(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    BDRVQcow2State *s = bs->opaque;

    if (ranges_overlap(offset, bytes, 0, s->cluster_size)) {
        return "the header";
    }
    if (ranges_overlap(offset, bytes, s->l1_table_offset, (int64_t)s->l1_size * 8)) {
        return "the L1 table";
    }
    if (ranges_overlap(offset, bytes, s->reftable_offset,
                       s->reftable_clusters * s->cluster_size)) {
        return "the refcount table";
    }
    for (uint32_t i = 0; i < s->l1_size; i++) {
        int64_t l2_offset = s->l1_table[i] & QCOW2_L1_OFFSET_MASK;

        if (l2_offset && ranges_overlap(offset, bytes, l2_offset, s->cluster_size)) {
            return "an L2 table";
        }
    }
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        int64_t block = s->reftable[i] & QCOW2_REFTABLE_OFFSET_MASK & INT64_MAX;

        if (block && ranges_overlap(offset, bytes, block, s->cluster_size)) {
            return "a refcount block";
        }
    }
    return NULL;
}

/* Check that an area lies inside the file and over nothing else. */
static int zoned_check_area(BlockDriverState *bs, const char *what, uint64_t offset,
                            uint64_t bytes, uint32_t alignment, Error **errp)
{
    int64_t file_length = qcow2_file_length(bs);
    const char *hit;

    if (offset == 0 || !QEMU_IS_ALIGNED(offset, alignment) || file_length < 0 ||
        offset > (uint64_t)file_length || bytes > (uint64_t)file_length - offset) {
        error_setg(errp,
                   "Invalid zoned header extension: the %s at %#" PRIx64 " (%" PRIu64
                   " bytes) is misaligned or outside the file",
                   what, offset, bytes);
        return -EINVAL;
    }
    hit = zoned_area_hits(bs, offset, bytes);
    if (hit) {
        error_setg(errp,
                   "Invalid zoned header extension: the %s at %#" PRIx64 " overlaps %s", what,
                   offset, hit);
        return -EINVAL;
    }
    return 0;
}

int qcow2_zoned_metadata_ranges(BlockDriverState *bs, Qcow2HostRange ranges[2])
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int n = 0;

    ranges[n++] = (Qcow2HostRange){.offset = z->table_offset, .bytes = z->table_bytes};
    if (z->live_offset) {
        ranges[n++] = (Qcow2HostRange){.offset = z->live_offset, .bytes = z->live_bytes};
    }
    return n;
}

/* ---- create ---- */

/* A disk of default-sized zones should have some even where it is small. */
static int64_t zone_size_for(int64_t device_size, int64_t cluster_size)
{
    int64_t zone_size = ZONE_SIZE_DEFAULT;

    while (device_size < ZONE_SIZE_DEFAULT && zone_size > device_size / 8 &&
           zone_size > MAX(ZONE_SIZE_MIN, cluster_size)) {
        zone_size /= 2;
    }
    return zone_size;
}

static void zoned_geometry_from_options(const BlockdevZoneOptions *zone, int64_t device_size,
                                        int64_t cluster_size, ZonesGeometry *geometry)
{
    uint64_t size = zone->has_size ? zone->size : (uint64_t)zone_size_for(device_size, cluster_size);
    uint64_t capacity = zone->has_capacity ? zone->capacity : size;

    *geometry = (ZonesGeometry){
        .device_size = device_size,
        .zone_size = size,
        .zone_capacity = capacity,
        .nr_conventional = zone->has_conventional_zones ? zone->conventional_zones : 0,
        .max_active_zones = zone->has_max_active_zones ? zone->max_active_zones : 0,
        .write_granularity = ZONE_WRITE_GRANULARITY,
    };
    geometry->max_open_zones =
        zone->has_max_open_zones ? zone->max_open_zones : geometry->max_active_zones;
    if (!zone->has_max_append_bytes) {
        geometry->max_append_bytes = MIN(ZONE_APPEND_DEFAULT, geometry->zone_capacity / 2) &
                                     ~(ZONE_WRITE_GRANULARITY - 1);
    } else {
        geometry->max_append_bytes = MIN(zone->max_append_bytes, (uint64_t)UINT32_MAX);
    }
}

static int zoned_create_geometry(const BlockdevCreateOptionsQcow2 *options, int64_t size,
                                 int64_t cluster_size, ZonesGeometry *geometry, Error **errp)
{
    const BlockdevZoneOptions *zone = options->zone;

    if ((zone->has_size && zone->size > INT64_MAX) ||
        (zone->has_capacity && zone->capacity > INT64_MAX)) {
        bool is_size = zone->has_size && zone->size > INT64_MAX;

        error_setg(errp, "%s must be below 8 EiB, got %" PRIu64,
                   is_size ? "zone.size" : "zone.capacity", is_size ? zone->size : zone->capacity);
        return -EINVAL;
    }
    zoned_geometry_from_options(zone, size, cluster_size, geometry);
    if (zone->has_max_append_bytes && zone->max_append_bytes > UINT32_MAX) {
        error_setg(errp, "zone.max_append_bytes must be below 4 GiB, got %" PRIu64,
                   zone->max_append_bytes);
        return -EINVAL;
    }
    if (!zones_check_geometry(geometry, errp)) {
        return -EINVAL;
    }
    if (!QEMU_IS_ALIGNED(geometry->zone_size, cluster_size)) {
        error_setg(errp,
                   "zone.size must be a multiple of the cluster size %" PRId64 ", got %" PRId64,
                   cluster_size, geometry->zone_size);
        return -EINVAL;
    }
    return 0;
}

int qcow2_zoned_create_check(const BlockdevCreateOptionsQcow2 *options, int64_t size,
                             int64_t cluster_size, Error **errp)
{
    ZonesGeometry geometry;

    if (options->has_version && options->version == BLOCKDEV_QCOW2_VERSION_V2) {
        error_setg(errp, "Zoned images need compatibility level 1.1 or above (version=v3)");
        return -EINVAL;
    }
    return zoned_create_geometry(options, size, cluster_size, &geometry, errp);
}

/* Write the table of a new disk: every zone at its start. */
static int coroutine_fn zoned_write_new_table(BlockDriverState *bs, const ZonesGeometry *geometry,
                                              int64_t table_offset)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t nr_zones = DIV_ROUND_UP(geometry->device_size, geometry->zone_size);
    int64_t end = ROUND_UP((int64_t)nr_zones * 8, s->cluster_size);
    int64_t chunk = MIN(end, MAX(ZONE_TABLE_CHUNK_BYTES, s->cluster_size));
    QEMU_AUTO_VFREE uint8_t *buf = qemu_memalign(4096, chunk);
    uint64_t index = 0;

    for (int64_t at = 0; at < end; at += chunk) {
        int64_t bytes = MIN(chunk, end - at);
        int ret;

        memset(buf, 0, bytes);
        for (int64_t i = 0; i < bytes / 8 && index < nr_zones; i++, index++) {
            uint64_t flag = index < geometry->nr_conventional ? QCOW2_ZONE_WP_CONV : 0;

            stq_be_p(buf + i * 8, index * geometry->zone_size | flag);
        }
        ret = bdrv_co_pwrite(bs->file, table_offset + at, bytes, buf, 0);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

/*
 * Allocate the area of the live write pointers, page aligned whatever the cluster size, and note it
 * in the state; the caller writes the header.
 */
static int coroutine_fn zoned_allocate_live_area(BlockDriverState *bs, uint32_t nr_zones)
{
    BDRVQcow2State *s = bs->opaque;
    const int64_t page = ZONE_WP_BLOCK_BYTES;
    int64_t bytes = ROUND_UP(zone_live_area_bytes(nr_zones), s->cluster_size);
    int64_t slack = s->cluster_size < page ? page - s->cluster_size : 0;
    int64_t offset, area;
    int ret = 0;

    qemu_co_mutex_lock(&s->lock);
    offset = qcow2_alloc_clusters(bs, bytes + slack);
    if (offset >= 0) {
        area = ROUND_UP(offset, page);
        if (area > offset) {
            ret = qcow2_free_clusters(bs, offset, area - offset, QCOW2_DISCARD_NEVER);
        }
        if (ret == 0 && area + bytes < offset + bytes + slack) {
            ret = qcow2_free_clusters(bs, area + bytes, offset + slack - area,
                                      QCOW2_DISCARD_NEVER);
        }
    }
    if (offset >= 0 && ret == 0) {
        ret = qcow2_write_caches(bs);
    }
    qemu_co_mutex_unlock(&s->lock);
    if (offset < 0 || ret < 0) {
        return offset < 0 ? (int)offset : ret;
    }

    /* The header page says that there is no session; the file must reach to the end of the area. */
    ret = bdrv_co_pwrite_zeroes(bs->file, area, page, 0);
    if (ret == 0 && bdrv_co_getlength(bs->file->bs) < area + bytes) {
        ret = bdrv_co_truncate(bs->file, area + bytes, false, PREALLOC_MODE_OFF, 0, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    g_free(s->live_wp_ext);
    s->live_wp_ext = g_malloc(QCOW2_EXT_ZONED_LIVE_WP_LEN);
    s->live_wp_ext_len = QCOW2_EXT_ZONED_LIVE_WP_LEN;
    stq_be_p(s->live_wp_ext + LIVE_EXT_OFFSET, area);
    stq_be_p(s->live_wp_ext + LIVE_EXT_BYTES, bytes);
    s->autoclear_features |= QCOW2_AUTOCLEAR_ZONED_LIVE_WP;
    return 0;
}

int coroutine_fn qcow2_zoned_create(BlockDriverState *bs,
                                    const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZonesGeometry geometry;
    uint32_t nr_zones;
    int64_t table_offset;
    int ret = zoned_create_geometry(options, bs->total_bytes, s->cluster_size, &geometry, errp);

    if (ret < 0) {
        return ret;
    }
    nr_zones = DIV_ROUND_UP(geometry.device_size, geometry.zone_size);
    qemu_co_mutex_lock(&s->lock);
    table_offset = qcow2_alloc_clusters(bs, ROUND_UP((int64_t)nr_zones * 8, s->cluster_size));
    qemu_co_mutex_unlock(&s->lock);
    ret = table_offset < 0 ? (int)table_offset : 0;
    if (ret == 0) {
        ret = zoned_write_new_table(bs, &geometry, table_offset);
    }
    if (ret == 0) {
        ret = zoned_allocate_live_area(bs, nr_zones);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the write-pointer table");
        return ret;
    }

    g_free(s->zoned_ext);
    s->zoned_ext = g_malloc(QCOW2_EXT_ZONED_LEN);
    s->zoned_ext_len = QCOW2_EXT_ZONED_LEN;
    zoned_ext_store(s->zoned_ext, &geometry, table_offset);
    s->incompatible_features |= QCOW2_INCOMPAT_ZONED;
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_update_header(bs);
    qemu_co_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the zoned header extension");
    }
    return ret;
}

/* ---- open ---- */

/* Whether a table entry may stand for zone @index. */
static bool zoned_entry_is_valid(const BdrvZones *zones, uint32_t index, uint64_t entry)
{
    uint64_t start = zones_start(zones, index);

    if (zones_is_conventional(zones, index)) {
        return entry == (start | QCOW2_ZONE_WP_CONV);
    }
    return entry >= start && entry <= start + zones_geometry(zones)->zone_size &&
           QEMU_IS_ALIGNED(entry, ZONE_WRITE_GRANULARITY);
}

typedef struct ZoneTableScan {
    BlockDriverState *bs;
    bool is_check;        /* bad entries are counted, not refused */
    uint32_t index;       /* of the next entry */
    uint64_t nr_bad;
    uint64_t nr_bad_swapped; /* had the table the other byte order */
    uint32_t first_bad;
    uint64_t first_bad_entry;
} ZoneTableScan;

/* An entry that does not say what an empty zone's says. */
static void zone_table_entry_load(ZoneTableScan *scan, BdrvZones *zones, uint32_t index,
                                  uint64_t entry)
{
    int64_t full = zones_start(zones, index) + zones_capacity(zones, index);

    if (!zoned_entry_is_valid(zones, index, entry)) {
        if (scan->nr_bad++ == 0) {
            scan->first_bad = index;
            scan->first_bad_entry = entry;
        }
        if (scan->is_check && !zones_is_conventional(zones, index)) {
            zones_set_defect(zones, index, BLK_ZS_OFFLINE);
        }
    } else if (!(entry & QCOW2_ZONE_WP_CONV)) {
        /* A finished zone says start + zone_size, even where it is shorter or has less capacity. */
        int64_t end = zones_start(zones, index) + zones_length(zones, index);

        zones_load_wp(zones, index, (int64_t)entry > full ? end : (int64_t)entry);
    }
    scan->nr_bad_swapped += !zoned_entry_is_valid(zones, index, GUINT64_SWAP_LE_BE(entry));
}

static int coroutine_fn zoned_scan_table(ZoneTableScan *scan, Error **errp)
{
    BDRVQcow2State *s = scan->bs->opaque;
    Qcow2Zoned *z = s->zoned;
    const ZonesGeometry *geometry = zones_geometry(z->zones);
    QEMU_AUTO_VFREE uint8_t *buf =
        qemu_memalign(4096, MIN(ZONE_TABLE_CHUNK_BYTES, z->table_bytes));

    for (int64_t at = 0; at < z->table_bytes; at += ZONE_TABLE_CHUNK_BYTES) {
        int64_t bytes = MIN(ZONE_TABLE_CHUNK_BYTES, z->table_bytes - at);
        int ret = qcow2_file_pread(scan->bs, z->table_offset + at, bytes, buf);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not read the write-pointer table");
            return ret;
        }
        for (int64_t i = 0; i < bytes; i += 8, scan->index++) {
            uint64_t entry = ldq_be_p(buf + i);
            uint64_t start = scan->index * geometry->zone_size;

            /* Nearly all entries of a large disk are this one. */
            if (likely(entry == start && scan->index >= geometry->nr_conventional)) {
                scan->nr_bad_swapped += entry != 0;
                continue;
            }
            zone_table_entry_load(scan, z->zones, scan->index, entry);
        }
    }
    return 0;
}

static int coroutine_fn zoned_load_table(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneTableScan scan = {.bs = bs, .is_check = flags & BDRV_O_CHECK};
    int ret = zoned_scan_table(&scan, errp);

    if (ret < 0 || scan.nr_bad == 0) {
        return ret;
    }
    s->zoned->nr_bad_entries = scan.nr_bad;
    s->zoned->is_table_swapped = scan.nr_bad_swapped == 0;
    if (scan.is_check) {
        return 0;
    }
    if (s->zoned->is_table_swapped) {
        error_setg(errp, "The write-pointer table is little-endian, as an earlier implementation "
                         "wrote it; 'check -r all' converts it");
    } else {
        error_setg(errp,
                   "Write pointer of zone %" PRIu32 " is %#" PRIx64
                   ", which no such zone can have (%" PRIu64 " bad entries)",
                   scan.first_bad, scan.first_bad_entry, scan.nr_bad);
    }
    return -EINVAL;
}

/* The area of the live pointers, if the header tells of one that can be believed. */
static int zoned_load_live_ext(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int64_t needed = zone_live_area_bytes(zones_nr(z->zones));
    uint64_t offset, bytes;
    int ret;

    if (!s->live_wp_ext || !(s->autoclear_features & QCOW2_AUTOCLEAR_ZONED_LIVE_WP)) {
        return 0;
    }
    if (s->live_wp_ext_len != QCOW2_EXT_ZONED_LIVE_WP_LEN) {
        error_setg(errp, "Live write pointers header extension has %" PRIu32 " bytes, expected %d",
                   s->live_wp_ext_len, QCOW2_EXT_ZONED_LIVE_WP_LEN);
        return -EINVAL;
    }
    offset = ldq_be_p(s->live_wp_ext + LIVE_EXT_OFFSET);
    bytes = ldq_be_p(s->live_wp_ext + LIVE_EXT_BYTES);
    if (bytes < (uint64_t)needed || bytes > (uint64_t)ROUND_UP(needed, s->cluster_size)) {
        error_setg(errp, "Live write pointers area has %" PRIu64 " bytes, expected %" PRId64,
                   bytes, ROUND_UP(needed, s->cluster_size));
        return -EINVAL;
    }
    ret = zoned_check_area(bs, "live write pointers area", offset, bytes,
                           MAX(s->cluster_size, ZONE_WP_BLOCK_BYTES), errp);
    if (ret < 0) {
        return ret;
    }
    if (ranges_overlap(offset, bytes, z->table_offset, z->table_bytes)) {
        error_setg(errp,
                   "Live write pointers area at %#" PRIx64 " overlaps the write-pointer table",
                   offset);
        return -EINVAL;
    }
    z->live_offset = offset;
    z->live_bytes = bytes;
    return 0;
}

/* An image from elsewhere has no area for live pointers: give it one. */
static int coroutine_fn zoned_add_live_area(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = zoned_allocate_live_area(bs, zones_nr(s->zoned->zones));

    if (ret < 0) {
        return ret;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_update_header(bs);
    qemu_co_mutex_unlock(&s->lock);
    if (ret == 0) {
        s->zoned->live_offset = ldq_be_p(s->live_wp_ext + LIVE_EXT_OFFSET);
        s->zoned->live_bytes = ldq_be_p(s->live_wp_ext + LIVE_EXT_BYTES);
    }
    return ret;
}

/*
 * For an opener that will write: what a dead process left becomes durable, then a new session
 * begins.
 */
static int coroutine_fn zoned_start_session(BlockDriverState *bs, bool has_recovered, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret = 0;

    /* A reset gives space back whatever `discard` says of ordinary requests. */
    bs->file->bs->open_flags |= BDRV_O_UNMAP;
    if (has_recovered) {
        ret = zone_commit_flush(bs);
    }
    if (ret == 0 && z->live_offset) {
        ret = zone_live_forget(bs);
    } else if (ret == 0) {
        ret = zoned_add_live_area(bs);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not update the write pointers");
        return ret;
    }
    z->live = zone_live_start(bs);
    return 0;
}

static void zoned_free(BDRVQcow2State *s)
{
    Qcow2Zoned *z = s->zoned;

    zone_commit_free(z->commit);
    zones_free(z->zones);
    g_free(z);
    s->zoned = NULL;
}

static int coroutine_fn zoned_open_table(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    bool has_recovered = false;
    int ret = zoned_check_area(bs, "write-pointer table", z->table_offset, z->table_bytes,
                               s->cluster_size, errp);

    if (ret == 0) {
        ret = zoned_load_table(bs, flags, errp);
    }
    if (ret < 0) {
        return ret;
    }
    z->commit = zone_commit_new(bs);
    ret = zoned_load_live_ext(bs, errp);
    if (ret == 0 && z->live_offset && !(flags & BDRV_O_CHECK)) {
        ret = zone_live_recover(bs, &has_recovered, errp);
    }
    if (ret == 0 && (flags & BDRV_O_RDWR) && !(flags & BDRV_O_CHECK)) {
        ret = zoned_start_session(bs, has_recovered, errp);
    }
    return ret;
}

/* The extension and the feature bit are there together or not at all. */
static int zoned_check_presence(const BDRVQcow2State *s, Error **errp)
{
    bool has_bit = s->incompatible_features & QCOW2_INCOMPAT_ZONED;

    if (has_bit != !!s->zoned_ext) {
        error_setg(errp, has_bit ? "Feature bit \"zoned format\" is set, but the zoned header extension "
                                   "is missing"
                                 : "Zoned header extension without the feature bit \"zoned format\"");
        return -EINVAL;
    }
    if (!has_bit) {
        return 0;
    }
    if (s->zoned_ext_len != QCOW2_EXT_ZONED_LEN) {
        error_setg(errp, "Zoned header extension has %" PRIu32 " bytes, expected %d",
                   s->zoned_ext_len, QCOW2_EXT_ZONED_LEN);
        return -EINVAL;
    }
    if (s->zoned_ext[EXT_MODEL] > ZONED_MODEL_HOST_MANAGED) {
        error_setg(errp, "Unknown zone model %d", s->zoned_ext[EXT_MODEL]);
        return -ENOTSUP;
    }
    if (!buffer_is_zero(s->zoned_ext + EXT_RESERVED, EXT_ZONE_SIZE - EXT_RESERVED)) {
        error_setg(errp, "Reserved bytes of the zoned header extension are not zero");
        return -ENOTSUP;
    }
    return 0;
}

int coroutine_fn qcow2_zoned_open(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZonesGeometry geometry;
    Qcow2Zoned *z;
    int ret = zoned_check_presence(s, errp);

    if (ret < 0 || !s->zoned_ext || s->zoned_ext[EXT_MODEL] == ZONED_MODEL_NONE) {
        return ret;
    }
    if (!zoned_ext_load(s->zoned_ext, bs->total_bytes, s->cluster_size, &geometry, errp)) {
        return -EINVAL;
    }

    z = s->zoned = g_new0(Qcow2Zoned, 1);
    qemu_co_queue_init(&z->waiters);
    qemu_co_queue_init(&z->reserve.refilled);
    qemu_co_queue_init(&z->background_done);
    z->table_offset = MIN(ldq_be_p(s->zoned_ext + EXT_TABLE_OFFSET), (uint64_t)INT64_MAX);
    z->table_bytes = ldq_be_p(s->zoned_ext + EXT_TABLE_BYTES);
    z->zones = zones_new(&geometry, sizeof(ZoneRun), errp);
    ret = z->zones ? zoned_open_table(bs, flags, errp) : -ENOMEM;
    if (ret < 0) {
        zoned_free(s);
    }
    return ret;
}

/* ---- close and reopen ---- */

/* A session ends with no zone open, as a restart would find them. */
static void zoned_close_open_zones(Qcow2Zoned *z)
{
    int64_t zone_size = zones_geometry(z->zones)->zone_size;

    for (uint32_t i = 0; i < zones_nr(z->zones); i++) {
        BlockZoneState state = zones_state(z->zones, i);
        int64_t start = zones_start(z->zones, i);
        int64_t len = MIN(zone_size, zones_length(z->zones, i));

        if (state == BLK_ZS_IOPEN || state == BLK_ZS_EOPEN) {
            zones_hold(z->zones, start, len);
            zones_mgmt_apply(z->zones, BLK_ZO_CLOSE, start, len);
            zones_release(z->zones, start, len);
        }
    }
}

int coroutine_fn qcow2_zoned_inactivate(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret;

    while (z->background) {
        qemu_co_queue_wait(&z->background_done, NULL);
    }
    zoned_close_open_zones(z);
    qcow2_zone_release_reserve(bs);
    ret = zone_commit_flush(bs);
    zone_live_stop(bs, ret == 0);
    return ret;
}

void coroutine_fn qcow2_zoned_activate(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Error *err = NULL;

    s->zoned->session_error = zoned_start_session(bs, true, &err);
    if (err) {
        error_reportf_err(err, "Zones of '%s' cannot be written: ", bs->filename);
    }
}

void coroutine_fn qcow2_zoned_close(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    int ret = 0;

    if (!z) {
        return;
    }
    while (z->background) {
        qemu_co_queue_wait(&z->background_done, NULL);
    }
    if (!bs->drv) {
        zone_live_stop(bs, false);
    } else if (!bs->read_only && !(bs->open_flags & BDRV_O_CHECK)) {
        ret = qcow2_zoned_inactivate(bs);
    }
    if (ret < 0) {
        error_report("Could not make the write pointers of '%s' durable: %s", bs->filename,
                     strerror(-ret));
    }
    zoned_free(s);
}

/* ---- what others are told ---- */

void qcow2_zoned_refresh_limits(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    const ZonesGeometry *geometry = zones_geometry(s->zoned->zones);

    bs->bl.zoned = BLK_Z_HM;
    bs->bl.zone_size = geometry->zone_size;
    bs->bl.zone_capacity = geometry->zone_capacity;
    bs->bl.nr_zones = zones_nr(s->zoned->zones);
    bs->bl.nr_conventional_zones = geometry->nr_conventional;
    bs->bl.max_open_zones = geometry->max_open_zones;
    bs->bl.max_active_zones = geometry->max_active_zones;
    bs->bl.max_append_bytes = geometry->max_append_bytes;
    bs->bl.write_granularity = geometry->write_granularity;
}

static ZoneConditionCounts *zoned_conditions(const BdrvZones *zones)
{
    ZoneConditionCounts *conditions = g_new0(ZoneConditionCounts, 1);
    ZonesCounts counts;

    zones_counts(zones, &counts);
    conditions->empty = counts.empty;
    conditions->implicitly_open = counts.implicitly_open;
    conditions->explicitly_open = counts.explicitly_open;
    conditions->closed = counts.closed;
    conditions->full = counts.full;
    conditions->read_only = counts.read_only;
    conditions->offline = counts.offline;
    conditions->conventional = counts.conventional;
    return conditions;
}

Qcow2ZonedInfo *qcow2_zoned_specific_info(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    const BdrvZones *zones = s->zoned->zones;
    const ZonesGeometry *geometry = zones_geometry(zones);
    Qcow2ZonedInfo *info = g_new0(Qcow2ZonedInfo, 1);

    info->mode = ZONE_MODEL_HOST_MANAGED;
    info->size = geometry->zone_size;
    info->capacity = geometry->zone_capacity;
    info->nr_zones = zones_nr(zones);
    info->conventional_zones = geometry->nr_conventional;
    info->max_append_bytes = geometry->max_append_bytes;
    info->max_active_zones = geometry->max_active_zones;
    info->max_open_zones = geometry->max_open_zones;
    info->conditions = zoned_conditions(zones);
    return info;
}
