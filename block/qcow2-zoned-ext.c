/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two header extensions of zoned images: what they say, and whether it can be believed.
 *
 * Nothing is believed before it has been checked; what is wrong is refused with a message that
 * names the field, and the image is not changed.  The raw extensions stay in BDRVQcow2State and are
 * what a header rewrite stores.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

#define ZONED_MODEL_NONE 0
#define ZONED_MODEL_HOST_MANAGED 1

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

/* ---- the zoned extension ---- */

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

void qcow2_zoned_store_ext(BDRVQcow2State *s, const ZonesGeometry *geometry, int64_t table_offset)
{
    uint32_t nr_zones = DIV_ROUND_UP(geometry->device_size, geometry->zone_size);
    uint8_t *ext = g_malloc0(QCOW2_EXT_ZONED_LEN);

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
    g_free(s->zoned_ext);
    s->zoned_ext = ext;
    s->zoned_ext_len = QCOW2_EXT_ZONED_LEN;
    s->incompatible_features |= QCOW2_INCOMPAT_ZONED;
}

/* The geometry an extension describes, unchecked where @geometry's own check will look. */
static bool zoned_ext_geometry(const uint8_t *ext, int64_t device_size, int64_t cluster_size,
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

int qcow2_zoned_load_ext(BlockDriverState *bs, ZonesGeometry *geometry, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = zoned_check_presence(s, errp);

    if (ret < 0 || !s->zoned_ext || s->zoned_ext[EXT_MODEL] == ZONED_MODEL_NONE) {
        return ret;
    }
    return zoned_ext_geometry(s->zoned_ext, bs->total_bytes, s->cluster_size, geometry, errp)
               ? 1
               : -EINVAL;
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

int qcow2_zoned_load_table_place(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;

    z->table_offset = MIN(ldq_be_p(s->zoned_ext + EXT_TABLE_OFFSET), (uint64_t)INT64_MAX);
    z->table_bytes = ldq_be_p(s->zoned_ext + EXT_TABLE_BYTES);
    return zoned_check_area(bs, "write-pointer table", z->table_offset, z->table_bytes,
                            s->cluster_size, errp);
}

int qcow2_zoned_metadata_ranges(BlockDriverState *bs, Qcow2HostRange ranges[2])
{
    const BDRVQcow2State *s = bs->opaque;
    int n = 0;

    if (s->zoned_ext && s->zoned_ext_len == QCOW2_EXT_ZONED_LEN) {
        ranges[n++] = (Qcow2HostRange){.offset = ldq_be_p(s->zoned_ext + EXT_TABLE_OFFSET),
                                       .bytes = ldq_be_p(s->zoned_ext + EXT_TABLE_BYTES)};
    }
    if (s->live_wp_ext && s->live_wp_ext_len == QCOW2_EXT_ZONED_LIVE_WP_LEN &&
        (s->autoclear_features & QCOW2_AUTOCLEAR_ZONED_LIVE_WP)) {
        ranges[n++] = (Qcow2HostRange){.offset = ldq_be_p(s->live_wp_ext + LIVE_EXT_OFFSET),
                                       .bytes = ldq_be_p(s->live_wp_ext + LIVE_EXT_BYTES)};
    }
    return n;
}

/* ---- the live write pointers extension ---- */

void qcow2_zoned_store_live_ext(BDRVQcow2State *s, int64_t offset, int64_t bytes)
{
    g_free(s->live_wp_ext);
    s->live_wp_ext = g_malloc(QCOW2_EXT_ZONED_LIVE_WP_LEN);
    s->live_wp_ext_len = QCOW2_EXT_ZONED_LIVE_WP_LEN;
    stq_be_p(s->live_wp_ext + LIVE_EXT_OFFSET, offset);
    stq_be_p(s->live_wp_ext + LIVE_EXT_BYTES, bytes);
    s->autoclear_features |= QCOW2_AUTOCLEAR_ZONED_LIVE_WP;
}

int qcow2_zoned_load_live_ext(BlockDriverState *bs, Error **errp)
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
