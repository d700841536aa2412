/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Creating an image: header, refcount table, refcount blocks and L1 table in a row, then what is
 * preallocated.
 *
 * The first stage writes a complete empty image in a few writes; everything else is done by
 * opening that.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

#define DEFAULT_CLUSTER_SIZE (64 * KiB)
#define DEFAULT_REFCOUNT_BITS 16
#define MAX_CLUSTER_SIZE (2 * MiB)

/* An empty image: cluster 0 is the header, then follow the table, the blocks, and L1. */
typedef struct ImageLayout {
    uint64_t reftable_clusters;
    uint64_t nr_blocks;
    uint64_t l1_entries;
    uint64_t nr_clusters; /* all of them */
} ImageLayout;

/* ---- checks ---- */

static uint64_t wanted_cluster_size(const BlockdevCreateOptionsQcow2 *options)
{
    return options->has_cluster_size ? options->cluster_size : DEFAULT_CLUSTER_SIZE;
}

static uint32_t wanted_refcount_bits(const BlockdevCreateOptionsQcow2 *options)
{
    return options->has_refcount_bits ? options->refcount_bits : DEFAULT_REFCOUNT_BITS;
}

static bool is_v2(const BlockdevCreateOptionsQcow2 *options)
{
    return options->has_version && options->version == BLOCKDEV_QCOW2_VERSION_V2;
}

/* What the format has and this driver does not. */
static bool check_supported(const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    if (options->backing_file && options->zone) {
        error_setg(errp, "Zoned images with a backing file are not supported (backing_file=%s)",
                   options->backing_file);
        return false;
    }
    if (options->data_file || options->data_file_raw) {
        error_setg(errp, "External data files are not supported (data_file)");
        return false;
    }
    if (options->extended_l2) {
        error_setg(errp, "Extended L2 entries are not supported (extended_l2=on)");
        return false;
    }
    if (options->has_compression_type &&
        options->compression_type != QCOW2_COMPRESSION_TYPE_ZLIB) {
        error_setg(errp, "Compression type '%s' is not supported",
                   Qcow2CompressionType_str(options->compression_type));
        return false;
    }
    return true;
}

static bool check_values(const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    uint64_t cluster_size = wanted_cluster_size(options);
    uint32_t refcount_bits = wanted_refcount_bits(options);

    if (!is_power_of_2(cluster_size) || cluster_size < 1u << QCOW2_MIN_CLUSTER_BITS ||
        cluster_size > MAX_CLUSTER_SIZE) {
        error_setg(errp, "Cluster size must be a power of two between %d and %dk",
                   1 << QCOW2_MIN_CLUSTER_BITS, (int)(MAX_CLUSTER_SIZE / KiB));
        return false;
    }
    if (!is_power_of_2(refcount_bits) || refcount_bits > 64) {
        error_setg(errp, "Refcount width must be a power of two and may not exceed 64 bits");
        return false;
    }
    if (is_v2(options) && refcount_bits != DEFAULT_REFCOUNT_BITS) {
        error_setg(errp, "Different refcount widths than 16 bits require compatibility level 1.1 "
                         "or above (use version=v3 or greater)");
        return false;
    }
    if (is_v2(options) && options->lazy_refcounts) {
        error_setg(errp, "Lazy refcounts only supported with compatibility level 1.1 and above "
                         "(use version=v3 or greater)");
        return false;
    }
    return true;
}

static bool check_backing(const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    if (!options->backing_file) {
        if (options->has_backing_fmt) {
            error_setg(errp, "Backing format cannot be used without backing file");
        }
        return !options->has_backing_fmt;
    }
    if (strlen(options->backing_file) > QCOW2_MAX_BACKING_NAME) {
        error_setg(errp, "Backing file name too long: %zu bytes, at most %d are allowed",
                   strlen(options->backing_file), QCOW2_MAX_BACKING_NAME);
        return false;
    }
    if (options->has_preallocation && options->preallocation != PREALLOC_MODE_OFF) {
        error_setg(errp, "Backing file and preallocation cannot be used at the same time: "
                         "allocated clusters would hide the backing file");
        return false;
    }
    return true;
}

static bool check_size(const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    uint64_t cluster_size = wanted_cluster_size(options);
    uint64_t bytes_per_l1_entry = cluster_size * (cluster_size / sizeof(uint64_t));

    if (!QEMU_IS_ALIGNED(options->size, (uint64_t)BDRV_SECTOR_SIZE)) {
        error_setg(errp, "Image size must be a multiple of %d bytes, got %" PRIu64,
                   (int)BDRV_SECTOR_SIZE, options->size);
        return false;
    }
    if (options->size > BDRV_MAX_LENGTH ||
        DIV_ROUND_UP(options->size, bytes_per_l1_entry) > QCOW2_MAX_L1_BYTES / sizeof(uint64_t)) {
        error_setg(errp, "The image size is too large for file format 'qcow2' (try using a larger "
                         "cluster size)");
        return false;
    }
    return true;
}

int qcow2_create_check(const BlockdevCreateOptions *options, Error **errp)
{
    const BlockdevCreateOptionsQcow2 *qcow2 = &options->u.qcow2;

    if (!check_values(qcow2, errp) || !check_backing(qcow2, errp) || !check_size(qcow2, errp)) {
        return -EINVAL;
    }
    if (!check_supported(qcow2, errp)) {
        return -ENOTSUP;
    }
    return qcow2->zone
               ? qcow2_zoned_create_check(qcow2, qcow2->size, wanted_cluster_size(qcow2), errp)
               : 0;
}

/* ---- the empty image ---- */

static void init_geometry(BDRVQcow2State *s, const BlockdevCreateOptionsQcow2 *options)
{
    TAILQ_INIT(&s->unknown_extensions);
    s->cluster_size = wanted_cluster_size(options);
    s->cluster_bits = ilog2(s->cluster_size);
    s->l2_bits = s->cluster_bits - 3;
    s->qcow_version = is_v2(options) ? 2 : 3;
    s->refcount_order = ilog2(wanted_refcount_bits(options));
    s->compatible_features = options->lazy_refcounts ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0;
    qcow2_refcount_setup(s);
}

static void plan_layout(const BDRVQcow2State *s, uint64_t size, ImageLayout *layout)
{
    uint64_t nr_clusters;

    *layout = (ImageLayout){.l1_entries = qcow2_l1_entries_for(s, size)};
    do {
        nr_clusters = layout->nr_clusters;
        layout->nr_clusters = 1 + layout->reftable_clusters + layout->nr_blocks +
                              qcow2_size_to_clusters(s, layout->l1_entries * sizeof(uint64_t));
        layout->nr_blocks =
            DIV_ROUND_UP(layout->nr_clusters, UINT64_C(1) << s->refcount_block_bits);
        layout->reftable_clusters =
            qcow2_size_to_clusters(s, layout->nr_blocks * sizeof(uint64_t));
    } while (layout->nr_clusters != nr_clusters);
}

static int coroutine_fn write_refcounts(BDRVQcow2State *s, BdrvChild *file,
                                        const ImageLayout *layout)
{
    uint64_t table_bytes = layout->reftable_clusters << s->cluster_bits;
    uint64_t bytes = table_bytes + (layout->nr_blocks << s->cluster_bits);
    uint64_t block_offset = s->reftable_offset + table_bytes;
    g_autofree uint8_t *buf = g_try_malloc0(bytes);
    uint64_t index_mask = (UINT64_C(1) << s->refcount_block_bits) - 1;

    if (!buf) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < layout->nr_blocks; i++) {
        stq_be_p(buf + i * sizeof(uint64_t), block_offset + (i << s->cluster_bits));
    }
    for (uint64_t i = 0; i < layout->nr_clusters; i++) {
        uint8_t *block = buf + table_bytes + ((i >> s->refcount_block_bits) << s->cluster_bits);

        s->set_refcount(block, i & index_mask, 1);
    }
    return bdrv_co_pwrite(file, s->reftable_offset, bytes, buf, 0);
}

static int coroutine_fn write_l1(BDRVQcow2State *s, BdrvChild *file)
{
    if (s->l1_size == 0) {
        return 0;
    }
    return bdrv_co_pwrite_zeroes(file, s->l1_table_offset,
                                 ROUND_UP(s->l1_size * sizeof(uint64_t), BDRV_SECTOR_SIZE), 0);
}

/* The header goes last: until then the file is not an image. */
static int coroutine_fn write_header(BDRVQcow2State *s, BdrvChild *file,
                                     const BlockdevCreateOptionsQcow2 *options)
{
    const char *format = options->has_backing_fmt ? BlockdevDriver_str(options->backing_fmt) : NULL;
    g_autofree uint8_t *cluster = g_malloc(s->cluster_size);
    int ret = qcow2_build_header(s, options->size, options->backing_file, format, cluster);

    return ret < 0 ? ret : bdrv_co_pwrite(file, 0, s->cluster_size, cluster, 0);
}

static int coroutine_fn format_file(BdrvChild *file, const BlockdevCreateOptionsQcow2 *options,
                                    Error **errp)
{
    g_autofree BDRVQcow2State *s = g_new0(BDRVQcow2State, 1);
    ImageLayout layout;
    int ret;

    init_geometry(s, options);
    plan_layout(s, options->size, &layout);
    s->reftable_offset = s->cluster_size;
    s->reftable_clusters = layout.reftable_clusters;
    s->l1_size = layout.l1_entries;
    if (s->l1_size) {
        s->l1_table_offset = (1 + layout.reftable_clusters + layout.nr_blocks) << s->cluster_bits;
    }

    if (bdrv_co_getlength(file->bs) > 0) {
        ret = bdrv_co_truncate(file, 0, false, PREALLOC_MODE_OFF, 0, errp);
        if (ret < 0 && ret != -ENOTSUP) {
            return ret;
        }
    }
    ret = write_refcounts(s, file, &layout);
    if (ret == 0) {
        ret = write_l1(s, file);
    }
    if (ret == 0) {
        ret = write_header(s, file, options);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not write the qcow2 metadata");
    }
    return ret;
}

/* ---- the rest ---- */

static int coroutine_fn fill_image(BlockDriverState *bs, const BlockdevCreateOptionsQcow2 *options,
                                   Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = options->zone ? qcow2_zoned_create(bs, options, errp) : 0;

    if (ret < 0) {
        return ret;
    }
    if (!options->has_preallocation || options->preallocation == PREALLOC_MODE_OFF) {
        return 0;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_preallocate(bs, 0, bs->total_bytes, options->preallocation, errp);
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

/* Open the empty image on the node @file_node, and do what remains. */
static int coroutine_fn complete_image(const char *file_node,
                                       const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    json_t *open_options = json_pack("{s:s, s:s}", "driver", "qcow2", "file", file_node);
    BlockDriverState *bs = bdrv_open(NULL, NULL, open_options, BDRV_O_RDWR | BDRV_O_NO_BACKING, errp);
    int ret;

    if (!bs) {
        return -EIO;
    }
    ret = fill_image(bs, options, errp);
    if (ret == 0) {
        ret = bdrv_co_flush(bs);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not flush the image");
        }
    }
    bdrv_unref(bs);
    return ret;
}

static int coroutine_fn format_node(BlockDriverState *node,
                                    const BlockdevCreateOptionsQcow2 *options, Error **errp)
{
    BdrvChild *file;
    int ret;

    bdrv_ref(node);
    file = bdrv_root_attach_child(node, "file", NULL, BLK_PERM_WRITE | BLK_PERM_RESIZE,
                                  BLK_PERM_ALL, errp);
    if (!file) {
        return -EPERM;
    }
    ret = format_file(file, options, errp);
    bdrv_detach_child(file);
    return ret;
}

int coroutine_fn qcow2_co_create(BlockdevCreateOptions *options, Error **errp)
{
    const BlockdevCreateOptionsQcow2 *qcow2 = &options->u.qcow2;
    BlockDriverState *node;
    int ret;

    if (qcow2->file->type != BLOCKDEV_REF_KIND_REFERENCE) {
        error_setg(errp, "'file' must name an existing node");
        return -EINVAL;
    }
    node = bdrv_open(NULL, qcow2->file->u.reference, NULL, 0, errp);
    if (!node) {
        return -ENOENT;
    }
    ret = format_node(node, qcow2, errp);
    if (ret == 0) {
        ret = complete_image(bdrv_get_node_name(node), qcow2, errp);
    }
    bdrv_unref(node);
    return ret;
}
