/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header: reading and checking it, and writing it back with everything in it that this driver
 * does not know.
 *
 * Nothing read here is trusted: counts are limited before they are multiplied, offsets before they
 * are added.  The order of the checks is that of docs/interop/qcow2.rst, so that one damaged image
 * gets the same message everywhere.
 */
#include "qemu/osdep.h"

#include "block/qcow2-header.h"
#include "qemu/bswap.h"

/* Offsets of the fixed fields. */
enum {
    HDR_MAGIC = 0,
    HDR_VERSION = 4,
    HDR_BACKING_OFFSET = 8,
    HDR_BACKING_SIZE = 16,
    HDR_CLUSTER_BITS = 20,
    HDR_SIZE = 24,
    HDR_CRYPT_METHOD = 32,
    HDR_L1_SIZE = 36,
    HDR_L1_OFFSET = 40,
    HDR_REFTABLE_OFFSET = 48,
    HDR_REFTABLE_CLUSTERS = 56,
    HDR_NB_SNAPSHOTS = 60,
    HDR_SNAPSHOTS_OFFSET = 64,
    HDR_INCOMPATIBLE = 72,
    HDR_COMPATIBLE = 80,
    HDR_AUTOCLEAR = 88,
    HDR_REFCOUNT_ORDER = 96,
    HDR_LENGTH = 100,
    HDR_COMPRESSION = 104,
};

#define V3_MIN_LENGTH 104
#define SNAPSHOT_ENTRY_MIN_BYTES 40

/* ---- reading ---- */

static int check_identity(BDRVQcow2State *s, const uint8_t *buf, Error **errp)
{
    uint32_t version = ldl_be_p(buf + HDR_VERSION);
    uint32_t cluster_bits = ldl_be_p(buf + HDR_CLUSTER_BITS);

    if (ldl_be_p(buf + HDR_MAGIC) != QCOW2_MAGIC) {
        error_setg(errp, "Image is not in qcow2 format");
        return -EINVAL;
    }
    if (version < 2 || version > 3) {
        error_setg(errp, "Unsupported qcow2 version %" PRIu32, version);
        return -ENOTSUP;
    }
    if (cluster_bits < QCOW2_MIN_CLUSTER_BITS || cluster_bits > QCOW2_MAX_CLUSTER_BITS) {
        error_setg(errp, "Unsupported cluster size: 2^%" PRIu32, cluster_bits);
        return -EINVAL;
    }
    s->qcow_version = version;
    s->cluster_bits = cluster_bits;
    s->cluster_size = INT64_C(1) << cluster_bits;
    s->l2_bits = cluster_bits - 3;
    return 0;
}

/* The fields that only v3 has; @cluster is all of cluster 0. */
static int read_v3_fields(BDRVQcow2State *s, const uint8_t *cluster, Error **errp)
{
    s->header_length = QCOW2_V2_HEADER_LENGTH;
    s->refcount_order = 4;
    if (s->qcow_version < 3) {
        return 0;
    }
    s->header_length = ldl_be_p(cluster + HDR_LENGTH);
    if (s->header_length < V3_MIN_LENGTH) {
        error_setg(errp, "qcow2 header too short");
        return -EINVAL;
    }
    if (s->header_length > s->cluster_size) {
        error_setg(errp, "qcow2 header exceeds cluster size");
        return -EINVAL;
    }
    s->incompatible_features = ldq_be_p(cluster + HDR_INCOMPATIBLE);
    s->compatible_features = ldq_be_p(cluster + HDR_COMPATIBLE);
    s->autoclear_features = ldq_be_p(cluster + HDR_AUTOCLEAR);
    s->refcount_order = MIN(ldl_be_p(cluster + HDR_REFCOUNT_ORDER), (uint32_t)INT_MAX);
    if (s->header_length > HDR_COMPRESSION) {
        s->compression_type = cluster[HDR_COMPRESSION];
    }
    if (s->header_length > QCOW2_V3_HEADER_LENGTH) {
        s->unknown_header_fields_size = s->header_length - QCOW2_V3_HEADER_LENGTH;
        s->unknown_header_fields = g_memdup2(cluster + QCOW2_V3_HEADER_LENGTH,
                                             s->unknown_header_fields_size);
    }
    return 0;
}

static int check_compression(const BDRVQcow2State *s, Error **errp)
{
    bool has_bit = s->incompatible_features & QCOW2_INCOMPAT_COMPRESSION;

    if (s->compression_type > 1) {
        error_setg(errp, "qcow2: unknown compression type: %u", s->compression_type);
        return -ENOTSUP;
    }
    if (has_bit != (s->compression_type != 0)) {
        error_setg(errp, "qcow2: Compression type incompatible feature bit must %sbe set",
                   has_bit ? "not " : "");
        return -EINVAL;
    }
    return 0;
}

static int check_features(const BDRVQcow2State *s, const uint8_t *cluster, uint64_t backing_offset,
                          int flags, Error **errp)
{
    uint64_t known = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_COMPRESSION |
                     QCOW2_INCOMPAT_ZONED;
    uint64_t unknown = s->incompatible_features & ~known;

    if (unknown) {
        qcow2_report_unsupported_features(s, cluster, backing_offset, unknown, errp);
        return -ENOTSUP;
    }
    if ((s->incompatible_features & QCOW2_INCOMPAT_CORRUPT) && (flags & BDRV_O_RDWR) &&
        !(flags & BDRV_O_CHECK)) {
        error_setg(errp, "qcow2: Image is corrupt; cannot be opened read/write");
        return -EACCES;
    }
    if (s->refcount_order > QCOW2_MAX_REFCOUNT_ORDER) {
        error_setg(errp, "Reference count entry width too large; may not exceed 64 bits");
        return -EINVAL;
    }
    return 0;
}

/* A table of @nr_entries of @entry_bytes at @offset: not longer than @max_bytes, and aligned. */
static int check_table(const BDRVQcow2State *s, uint64_t offset, uint64_t nr_entries,
                       uint64_t entry_bytes, uint64_t max_bytes, const char *what, Error **errp)
{
    if (nr_entries > max_bytes / entry_bytes) {
        error_setg(errp, "%s too large", what);
        return -EFBIG;
    }
    if (offset > (uint64_t)INT64_MAX - nr_entries * entry_bytes ||
        qcow2_offset_into_cluster(s, offset)) {
        error_setg(errp, "%s offset invalid", what);
        return -EINVAL;
    }
    return 0;
}

static int read_table_pointers(BDRVQcow2State *s, const uint8_t *buf, int flags, Error **errp)
{
    int ret;

    s->reftable_offset = ldq_be_p(buf + HDR_REFTABLE_OFFSET);
    s->reftable_clusters = ldl_be_p(buf + HDR_REFTABLE_CLUSTERS);
    s->nb_snapshots = ldl_be_p(buf + HDR_NB_SNAPSHOTS);
    s->snapshots_offset = ldq_be_p(buf + HDR_SNAPSHOTS_OFFSET);
    s->l1_size = ldl_be_p(buf + HDR_L1_SIZE);
    s->l1_table_offset = ldq_be_p(buf + HDR_L1_OFFSET);

    if (s->reftable_clusters == 0 && !(flags & BDRV_O_CHECK)) {
        error_setg(errp, "Image does not contain a reference count table");
        return -EINVAL;
    }
    ret = check_table(s, s->reftable_offset, s->reftable_clusters, s->cluster_size,
                      QCOW2_MAX_REFTABLE_BYTES, "Reference count table", errp);
    if (ret == 0) {
        uint64_t max_bytes = QCOW2_MAX_SNAPSHOTS * SNAPSHOT_ENTRY_MIN_BYTES;

        ret = check_table(s, s->snapshots_offset, s->nb_snapshots, SNAPSHOT_ENTRY_MIN_BYTES,
                          max_bytes, "Snapshot table", errp);
    }
    if (ret == 0) {
        ret = check_table(s, s->l1_table_offset, s->l1_size, sizeof(uint64_t), QCOW2_MAX_L1_BYTES,
                          "Active L1 table", errp);
    }
    return ret;
}

static int read_size(BlockDriverState *bs, const uint8_t *buf, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t size = ldq_be_p(buf + HDR_SIZE);
    uint64_t needed = qcow2_l1_entries_for(s, size);

    if (needed > INT_MAX) {
        error_setg(errp, "Image is too big");
        return -EFBIG;
    }
    if (s->l1_size < needed) {
        error_setg(errp, "L1 table is too small");
        return -EINVAL;
    }
    bs->total_bytes = ROUND_DOWN(size, BDRV_SECTOR_SIZE);
    return 0;
}

static int read_backing_name(BlockDriverState *bs, const uint8_t *cluster, uint64_t offset,
                             Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint32_t length = ldl_be_p(cluster + HDR_BACKING_SIZE);

    if (offset == 0) {
        return 0;
    }
    if (length > MIN(QCOW2_MAX_BACKING_NAME, s->cluster_size - (int64_t)offset)) {
        error_setg(errp, "Backing file name too long");
        return -EINVAL;
    }
    bs->backing_file = g_strndup((const char *)cluster + offset, length);
    return 0;
}

/* What an image may have, but this driver cannot use. */
static int refuse_unsupported(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;

    if (s->crypt_method > 2) {
        error_setg(errp, "Unsupported encryption method %" PRIu32, s->crypt_method);
        return -EINVAL;
    }
    /* Nobody looks at guest data; a check counts the clusters of all of these. */
    if (flags & (BDRV_O_NO_IO | BDRV_O_CHECK)) {
        return 0;
    }
    if (s->crypt_method) {
        error_setg(errp, "Encrypted images are not supported (encryption method %" PRIu32 ")",
                   s->crypt_method);
        return -ENOTSUP;
    }
    if (bs->backing_file && s->zoned_ext) {
        error_setg(errp, "Zoned images with a backing file are not supported (this one has '%s')",
                   bs->backing_file);
        return -ENOTSUP;
    }
    if (s->nb_snapshots && (flags & BDRV_O_RDWR)) {
        error_setg(errp, "Internal snapshots are not supported (this image has %" PRIu32 "); it can "
                   "be opened read-only", s->nb_snapshots);
        return -ENOTSUP;
    }
    return 0;
}

/* Cluster 0 is here: everything after the identity. */
static int parse_header(BlockDriverState *bs, const uint8_t *cluster, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t backing_offset = ldq_be_p(cluster + HDR_BACKING_OFFSET);
    int ret = read_v3_fields(s, cluster, errp);

    if (ret < 0) {
        return ret;
    }
    if (backing_offset > (uint64_t)s->cluster_size) {
        error_setg(errp, "Invalid backing file offset");
        return -EINVAL;
    }
    s->crypt_method = ldl_be_p(cluster + HDR_CRYPT_METHOD);
    ret = check_compression(s, errp);
    if (ret == 0) {
        ret = check_features(s, cluster, backing_offset, flags, errp);
    }
    if (ret == 0) {
        ret = read_table_pointers(s, cluster, flags, errp);
    }
    if (ret == 0) {
        ret = read_size(bs, cluster, errp);
    }
    if (ret == 0) {
        ret = qcow2_read_extensions(bs, cluster, backing_offset, errp);
    }
    if (ret == 0) {
        ret = read_backing_name(bs, cluster, backing_offset, errp);
    }
    return ret < 0 ? ret : refuse_unsupported(bs, flags, errp);
}

int coroutine_fn qcow2_read_header(BlockDriverState *bs, int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint8_t start[QCOW2_V3_HEADER_LENGTH];
    g_autofree uint8_t *cluster = NULL;
    int ret = qcow2_file_pread(bs, 0, sizeof(start), start);

    TAILQ_INIT(&s->unknown_extensions);
    if (ret == 0) {
        ret = check_identity(s, start, errp);
        if (ret < 0) {
            return ret;
        }
        cluster = g_malloc(s->cluster_size);
        ret = qcow2_file_pread(bs, 0, s->cluster_size, cluster);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read qcow2 header");
        return ret;
    }
    return parse_header(bs, cluster, flags, errp);
}

void qcow2_free_header(BDRVQcow2State *s)
{
    Qcow2Extension *extension;

    while ((extension = TAILQ_FIRST(&s->unknown_extensions))) {
        TAILQ_REMOVE(&s->unknown_extensions, extension, link);
        g_free(extension);
    }
    g_clear_pointer(&s->unknown_header_fields, g_free);
    g_clear_pointer(&s->zoned_ext, g_free);
    g_clear_pointer(&s->live_wp_ext, g_free);
}

/* ---- writing ---- */

static void store_fixed_fields(const BDRVQcow2State *s, int64_t size, uint8_t *buf)
{
    stl_be_p(buf + HDR_MAGIC, QCOW2_MAGIC);
    stl_be_p(buf + HDR_VERSION, s->qcow_version);
    stl_be_p(buf + HDR_CLUSTER_BITS, s->cluster_bits);
    stq_be_p(buf + HDR_SIZE, size);
    stl_be_p(buf + HDR_CRYPT_METHOD, s->crypt_method);
    stl_be_p(buf + HDR_L1_SIZE, s->l1_size);
    stq_be_p(buf + HDR_L1_OFFSET, s->l1_table_offset);
    stq_be_p(buf + HDR_REFTABLE_OFFSET, s->reftable_offset);
    stl_be_p(buf + HDR_REFTABLE_CLUSTERS, s->reftable_clusters);
    stl_be_p(buf + HDR_NB_SNAPSHOTS, s->nb_snapshots);
    stq_be_p(buf + HDR_SNAPSHOTS_OFFSET, s->snapshots_offset);
    if (s->qcow_version < 3) {
        return;
    }
    stq_be_p(buf + HDR_INCOMPATIBLE, s->incompatible_features);
    stq_be_p(buf + HDR_COMPATIBLE, s->compatible_features);
    stq_be_p(buf + HDR_AUTOCLEAR, s->autoclear_features);
    stl_be_p(buf + HDR_REFCOUNT_ORDER, s->refcount_order);
    stl_be_p(buf + HDR_LENGTH, s->header_length);
    buf[HDR_COMPRESSION] = s->compression_type;
    if (s->unknown_header_fields_size) {
        memcpy(buf + QCOW2_V3_HEADER_LENGTH, s->unknown_header_fields,
               s->unknown_header_fields_size);
    }
}

int qcow2_build_header(BDRVQcow2State *s, int64_t size, const char *backing_file,
                       const char *backing_format, uint8_t *cluster)
{
    size_t name_length = backing_file ? strlen(backing_file) : 0;
    size_t at;

    s->header_length = s->qcow_version < 3 ? QCOW2_V2_HEADER_LENGTH
                                           : ROUND_UP(QCOW2_V3_HEADER_LENGTH +
                                                      s->unknown_header_fields_size, 8);
    if (s->header_length > s->cluster_size) {
        return -ENOSPC;
    }
    memset(cluster, 0, s->cluster_size);
    store_fixed_fields(s, size, cluster);
    at = qcow2_store_extensions(s, backing_format, cluster, s->header_length);
    if (at == 0 || name_length > s->cluster_size - at) {
        return -ENOSPC;
    }
    if (name_length) {
        memcpy(cluster + at, backing_file, name_length);
        stq_be_p(cluster + HDR_BACKING_OFFSET, at);
        stl_be_p(cluster + HDR_BACKING_SIZE, name_length);
    }
    return 0;
}

int coroutine_fn qcow2_update_header(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree uint8_t *cluster = g_malloc(s->cluster_size);
    int ret = qcow2_build_header(s, bs->total_bytes, bs->backing_file, bs->backing_format,
                                 cluster);

    if (ret < 0) {
        return ret;
    }
    return qcow2_file_pwrite(bs, QCOW2_OL_MAIN_HEADER, 0, s->cluster_size, cluster);
}

int coroutine_fn qcow2_write_incompat_features(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t features = cpu_to_be64(s->incompatible_features);

    assert(s->qcow_version >= 3);
    return bdrv_co_pwrite(bs->file, HDR_INCOMPATIBLE, sizeof(features), &features, 0);
}

int coroutine_fn qcow2_write_l1_pointer(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint8_t fields[12];

    stl_be_p(fields, s->l1_size);
    stq_be_p(fields + 4, s->l1_table_offset);
    return qcow2_file_pwrite(bs, QCOW2_OL_MAIN_HEADER, HDR_L1_SIZE, sizeof(fields), fields);
}

int coroutine_fn qcow2_write_reftable_pointer(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    uint8_t fields[12];

    stq_be_p(fields, s->reftable_offset);
    stl_be_p(fields + 8, s->reftable_clusters);
    return qcow2_file_pwrite(bs, QCOW2_OL_MAIN_HEADER, HDR_REFTABLE_OFFSET, sizeof(fields),
                             fields);
}
