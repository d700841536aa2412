/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Header extensions, among them the table that gives names to feature bits.
 *
 * Those that this driver has no use for are kept byte for byte and written back.
 */
#include "qemu/osdep.h"

#include "block/qcow2-header.h"
#include "qemu/bswap.h"

#define EXT_HEADER_BYTES 8
#define BACKING_FORMAT_MAX 15
#define BITMAPS_EXT_BYTES 24
#define CRYPTO_EXT_BYTES 16

/* A record of the feature name table. */
#define FEATURE_RECORD_BYTES 48
#define FEATURE_NAME_BYTES 46
#define FEATURE_TABLE_MIN_CLUSTER 8192 /* smaller clusters have no room to spare */

enum {
    FEATURE_INCOMPATIBLE = 0,
    FEATURE_COMPATIBLE = 1,
    FEATURE_AUTOCLEAR = 2,
};

typedef struct FeatureName {
    uint8_t set;
    uint8_t bit;
    const char *name;
} FeatureName;

/* The last one is only written to images that have it. */
static const FeatureName feature_names[] = {
    {FEATURE_INCOMPATIBLE, 0, "dirty bit"},
    {FEATURE_INCOMPATIBLE, 1, "corrupt bit"},
    {FEATURE_INCOMPATIBLE, 2, "external data file"},
    {FEATURE_INCOMPATIBLE, 3, "compression type"},
    {FEATURE_INCOMPATIBLE, 4, "extended L2 entries"},
    {FEATURE_COMPATIBLE, 0, "lazy refcounts"},
    {FEATURE_AUTOCLEAR, 0, "bitmaps"},
    {FEATURE_AUTOCLEAR, 1, "raw external data"},
    {FEATURE_INCOMPATIBLE, 5, "zoned format"},
};

/* ---- walking ---- */

typedef struct ExtensionWalk {
    const uint8_t *cluster;
    uint64_t at;
    uint64_t end;
    uint32_t magic; /* of the current one */
    uint32_t len;
    const uint8_t *data;
} ExtensionWalk;

static void walk_init(ExtensionWalk *walk, const BDRVQcow2State *s, const uint8_t *cluster,
                      uint64_t backing_offset)
{
    *walk = (ExtensionWalk){
        .cluster = cluster,
        .at = s->header_length,
        .end = backing_offset ? backing_offset : (uint64_t)s->cluster_size,
    };
}

/* Go to the next extension.  1: there is one; 0: no more; -EINVAL: it is longer than the room. */
static int walk_next(ExtensionWalk *walk)
{
    if (walk->end < EXT_HEADER_BYTES || walk->at > walk->end - EXT_HEADER_BYTES) {
        return 0;
    }
    walk->magic = ldl_be_p(walk->cluster + walk->at);
    walk->len = ldl_be_p(walk->cluster + walk->at + 4);
    walk->at += EXT_HEADER_BYTES;
    if (walk->len > walk->end - walk->at) {
        return -EINVAL;
    }
    if (walk->magic == QCOW2_EXT_END) {
        return 0;
    }
    walk->data = walk->cluster + walk->at;
    walk->at += ROUND_UP((uint64_t)walk->len, 8);
    return 1;
}

/* ---- reading ---- */

static void keep_extension(BDRVQcow2State *s, const ExtensionWalk *walk)
{
    Qcow2Extension *extension = g_malloc(sizeof(*extension) + walk->len);

    extension->magic = walk->magic;
    extension->len = walk->len;
    memcpy(extension->data, walk->data, walk->len);
    TAILQ_INSERT_TAIL(&s->unknown_extensions, extension, link);
}

static int check_length(const ExtensionWalk *walk, uint32_t expected, const char *what,
                        Error **errp)
{
    if (walk->len != expected) {
        error_setg(errp, "%s header extension has %" PRIu32 " bytes, expected %" PRIu32, what,
                   walk->len, expected);
        return -EINVAL;
    }
    return 0;
}

/* Keep the data of one of our own in *@data, which must be the only one. */
static int keep_zoned(const ExtensionWalk *walk, uint8_t **data, uint32_t *len, Error **errp)
{
    if (*data) {
        error_setg(errp, "Header extension %#" PRIx32 " appears twice", walk->magic);
        return -EINVAL;
    }
    *data = g_malloc(MAX(walk->len, 1));
    memcpy(*data, walk->data, walk->len);
    *len = walk->len;
    return 0;
}

static int read_extension(BlockDriverState *bs, const ExtensionWalk *walk, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = 0;

    switch (walk->magic) {
    case QCOW2_EXT_BACKING_FORMAT:
        if (walk->len > BACKING_FORMAT_MAX) {
            error_setg(errp, "Backing format name too long (%" PRIu32 " bytes)", walk->len);
            return -EINVAL;
        }
        g_free(bs->backing_format);
        bs->backing_format = g_strndup((const char *)walk->data, walk->len);
        return 0;
    case QCOW2_EXT_FEATURE_TABLE:
        return 0; /* written anew with the names that we know */
    case QCOW2_EXT_ZONED:
        return keep_zoned(walk, &s->zoned_ext, &s->zoned_ext_len, errp);
    case QCOW2_EXT_ZONED_LIVE_WP:
        return keep_zoned(walk, &s->live_wp_ext, &s->live_wp_ext_len, errp);
    case QCOW2_EXT_BITMAPS:
        ret = check_length(walk, BITMAPS_EXT_BYTES, "Bitmaps", errp);
        break;
    case QCOW2_EXT_CRYPTO:
        ret = check_length(walk, CRYPTO_EXT_BYTES, "Encryption", errp);
        break;
    }
    if (ret == 0) {
        keep_extension(s, walk);
    }
    return ret;
}

int qcow2_read_extensions(BlockDriverState *bs, const uint8_t *cluster, uint64_t backing_offset,
                          Error **errp)
{
    ExtensionWalk walk;
    int ret;

    walk_init(&walk, bs->opaque, cluster, backing_offset);
    while ((ret = walk_next(&walk)) > 0) {
        ret = read_extension(bs, &walk, errp);
        if (ret < 0) {
            return ret;
        }
    }
    if (ret < 0) {
        error_setg(errp, "Header extension too large");
    }
    return ret;
}

/* The image's own name for incompatible feature @bit, or NULL; @walk stands at the table. */
static char *name_in_table(const ExtensionWalk *walk, unsigned int bit)
{
    for (uint32_t at = 0; at + FEATURE_RECORD_BYTES <= walk->len; at += FEATURE_RECORD_BYTES) {
        const uint8_t *record = walk->data + at;

        if (record[0] == FEATURE_INCOMPATIBLE && record[1] == bit) {
            return g_strndup((const char *)record + 2, FEATURE_NAME_BYTES);
        }
    }
    return NULL;
}

void qcow2_report_unsupported_features(const BDRVQcow2State *s, const uint8_t *cluster,
                                       uint64_t backing_offset, uint64_t unknown, Error **errp)
{
    g_autoptr(GString) names = g_string_new(NULL);
    ExtensionWalk walk;
    bool has_table = false;

    walk_init(&walk, s, cluster, backing_offset);
    while (!has_table && walk_next(&walk) > 0) {
        has_table = walk.magic == QCOW2_EXT_FEATURE_TABLE;
    }
    for (unsigned int bit = 0; has_table && bit < 64; bit++) {
        g_autofree char *name = NULL;

        if (unknown & (UINT64_C(1) << bit)) {
            name = name_in_table(&walk, bit);
        }
        if (name) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
            unknown &= ~(UINT64_C(1) << bit);
        }
    }
    if (unknown) {
        g_string_append_printf(names, "%sUnknown incompatible feature: %" PRIx64,
                               names->len ? ", " : "", unknown);
    }
    error_setg(errp, "Unsupported qcow2 feature(s): %s", names->str);
}

/* ---- writing ---- */

typedef struct ExtensionWriter {
    uint8_t *cluster;
    size_t at;
    size_t end;
    bool is_full;
} ExtensionWriter;

/* Room for an extension of @len bytes, with its header and padding written; NULL where it does
 * not fit. */
static uint8_t *add_extension(ExtensionWriter *writer, uint32_t magic, size_t len)
{
    size_t bytes = EXT_HEADER_BYTES + ROUND_UP(len, 8);
    uint8_t *start = writer->cluster + writer->at;

    if (writer->is_full || bytes > writer->end - writer->at) {
        writer->is_full = true;
        return NULL;
    }
    stl_be_p(start, magic);
    stl_be_p(start + 4, len);
    memset(start + EXT_HEADER_BYTES, 0, bytes - EXT_HEADER_BYTES);
    writer->at += bytes;
    return start + EXT_HEADER_BYTES;
}

static void add_data(ExtensionWriter *writer, uint32_t magic, const void *data, size_t len)
{
    uint8_t *room = add_extension(writer, magic, len);

    if (room && len) {
        memcpy(room, data, len);
    }
}

static void add_feature_table(ExtensionWriter *writer, bool is_zoned)
{
    size_t count = ARRAY_SIZE(feature_names) - !is_zoned;
    uint8_t *record = add_extension(writer, QCOW2_EXT_FEATURE_TABLE, count * FEATURE_RECORD_BYTES);

    for (size_t i = 0; record && i < count; i++, record += FEATURE_RECORD_BYTES) {
        record[0] = feature_names[i].set;
        record[1] = feature_names[i].bit;
        memcpy(record + 2, feature_names[i].name, strlen(feature_names[i].name));
    }
}

static void add_zoned(ExtensionWriter *writer, const BDRVQcow2State *s)
{
    if (s->zoned_ext) {
        add_data(writer, QCOW2_EXT_ZONED, s->zoned_ext, s->zoned_ext_len);
    }
    if (s->live_wp_ext) {
        add_data(writer, QCOW2_EXT_ZONED_LIVE_WP, s->live_wp_ext, s->live_wp_ext_len);
    }
}

size_t qcow2_store_extensions(const BDRVQcow2State *s, const char *backing_format,
                              uint8_t *cluster, size_t at)
{
    ExtensionWriter writer = {.cluster = cluster, .at = at, .end = s->cluster_size};
    const Qcow2Extension *extension;

    if (backing_format) {
        add_data(&writer, QCOW2_EXT_BACKING_FORMAT, backing_format, strlen(backing_format));
    }
    if (s->qcow_version >= 3 && s->cluster_size >= FEATURE_TABLE_MIN_CLUSTER) {
        add_feature_table(&writer, s->zoned_ext != NULL);
    }
    add_zoned(&writer, s);
    TAILQ_FOREACH(extension, &s->unknown_extensions, link) {
        add_data(&writer, extension->magic, extension->data, extension->len);
    }
    add_extension(&writer, QCOW2_EXT_END, 0);
    return writer.is_full ? 0 : writer.at;
}
