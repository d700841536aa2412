/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting the metadata other than the active L1 and L2 tables.
 *
 * Snapshots, bitmaps and encryption headers are counted although nothing else in this driver uses
 * them: a check that took their clusters for leaks would destroy them.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"
#include "block/qcow2-zoned.h"
#include "qemu/bswap.h"

/* More than this is not read for one kind of table, whatever it says: 65536 snapshots share
 * tables. */
#define TABLE_BUDGET_BYTES (256 * MiB)

#define TABLE_PIECE_BYTES (64 * KiB)

static int read_failed(Qcow2Check *check, const char *what, int ret)
{
    fprintf(stderr, "ERROR could not read the %s: %s\n", what, strerror(-ret));
    check->result->check_errors++;
    return ret;
}

/* ---- snapshots ---- */

#define SNAPSHOT_HEADER_BYTES 40

/* An L1 table of a snapshot, and how many snapshots have it. */
typedef struct SnapshotL1 {
    uint64_t offset;
    uint32_t nr_entries;
    uint64_t nr_refs;
} SnapshotL1;

/* Check the L1 table that snapshot @index points to; add it to @l1_tables. */
static void note_snapshot_l1(Qcow2Check *check, uint32_t index, const uint8_t *header,
                             GHashTable *l1_tables)
{
    uint64_t offset = ldq_be_p(header);
    uint32_t nr_entries = ldl_be_p(header + 8);
    SnapshotL1 *known;

    if (qcow2_offset_into_cluster(check->s, offset)) {
        fprintf(stderr,
                "ERROR snapshot %" PRIu32 " l1_offset=%#" PRIx64 ": L1 table is not cluster "
                "aligned; snapshot table entry corrupted\n",
                index, offset);
        check->result->corruptions++;
        return;
    }
    if (nr_entries > QCOW2_MAX_L1_BYTES / sizeof(uint64_t)) {
        fprintf(stderr,
                "ERROR snapshot %" PRIu32 " l1_size=%#" PRIx32 ": L1 table is too large; "
                "snapshot table entry corrupted\n",
                index, nr_entries);
        check->result->corruptions++;
        return;
    }
    known = g_hash_table_lookup(l1_tables, &offset);
    if (known) {
        known->nr_refs++;
        known->nr_entries = MAX(known->nr_entries, nr_entries);
        return;
    }
    known = g_new(SnapshotL1, 1);
    *known = (SnapshotL1){.offset = offset, .nr_entries = nr_entries, .nr_refs = 1};
    g_hash_table_insert(l1_tables, &known->offset, known);
}

/* Read the snapshot table, whose entries have no common length. */
static int coroutine_fn read_snapshot_table(Qcow2Check *check, GHashTable *l1_tables)
{
    BDRVQcow2State *s = check->s;
    uint64_t at = 0;

    for (uint32_t i = 0; i < s->nb_snapshots; i++) {
        uint8_t header[SNAPSHOT_HEADER_BYTES];
        int ret = qcow2_file_pread(check->bs, s->snapshots_offset + at, sizeof(header), header);

        if (ret < 0) {
            return read_failed(check, "snapshot table", ret);
        }
        at += sizeof(header) + (uint64_t)ldl_be_p(header + 36) + lduw_be_p(header + 12) +
              lduw_be_p(header + 14);
        at = ROUND_UP(at, 8);
        if (at > QCOW2_MAX_SNAPSHOT_TABLE_BYTES) {
            fprintf(stderr, "ERROR snapshot table: snapshot %" PRIu32 " ends at %" PRIu64
                            " bytes, more than a table may have\n",
                    i, at);
            check->result->corruptions++;
            return 0;
        }
        note_snapshot_l1(check, i, header, l1_tables);
    }
    qcow2_check_count(check, s->snapshots_offset, at, 1);
    return 0;
}

static int coroutine_fn count_snapshot_l1(Qcow2Check *check, const SnapshotL1 *l1)
{
    int64_t bytes = l1->nr_entries * sizeof(uint64_t);
    g_autofree uint64_t *table = NULL;
    int ret;

    if (!qcow2_check_count(check, l1->offset, bytes, l1->nr_refs) || bytes == 0) {
        return 0;
    }
    table = g_try_malloc(bytes);
    if (!table) {
        return -ENOMEM;
    }
    ret = qcow2_file_pread(check->bs, l1->offset, bytes, table);
    if (ret < 0) {
        return read_failed(check, "L1 table of a snapshot", ret);
    }
    for (uint32_t i = 0; i < l1->nr_entries; i++) {
        table[i] = be64_to_cpu(table[i]);
    }
    qcow2_check_collect_l2(check, table, l1->nr_entries, l1->nr_refs, false);
    return 0;
}

static int coroutine_fn count_snapshots(Qcow2Check *check)
{
    g_autoptr(GHashTable) l1_tables =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    int64_t budget = TABLE_BUDGET_BYTES;
    GHashTableIter iter;
    gpointer value;
    int ret = read_snapshot_table(check, l1_tables);

    g_hash_table_iter_init(&iter, l1_tables);
    while (ret == 0 && g_hash_table_iter_next(&iter, NULL, &value)) {
        const SnapshotL1 *l1 = value;

        budget -= l1->nr_entries * sizeof(uint64_t);
        if (budget < 0) {
            return read_failed(check, "L1 tables of snapshots", -EFBIG);
        }
        ret = count_snapshot_l1(check, l1);
    }
    return ret;
}

/* ---- bitmaps ---- */

#define BITMAP_ENTRY_BYTES 24
#define BITMAP_DIRECTORY_MAX_BYTES (65535 * KiB)
#define BITMAP_TABLE_OFFSET_MASK UINT64_C(0x00fffffffffffe00)

static int coroutine_fn count_bitmap_table(Qcow2Check *check, uint64_t offset, int64_t bytes)
{
    uint64_t piece[TABLE_PIECE_BYTES / sizeof(uint64_t) / 16];

    for (int64_t at = 0; at < bytes; at += sizeof(piece)) {
        int64_t length = MIN(bytes - at, (int64_t)sizeof(piece));
        int ret = qcow2_file_pread(check->bs, offset + at, length, piece);

        if (ret < 0) {
            return read_failed(check, "bitmap table", ret);
        }
        for (size_t i = 0; i < length / sizeof(uint64_t); i++) {
            uint64_t data_offset = be64_to_cpu(piece[i]) & BITMAP_TABLE_OFFSET_MASK;

            if (data_offset) {
                qcow2_check_count(check, data_offset, check->s->cluster_size, 1);
            }
        }
    }
    return 0;
}

static int bitmap_corrupt(Qcow2Check *check, uint32_t index, const char *why)
{
    fprintf(stderr, "ERROR bitmap %" PRIu32 ": %s\n", index, why);
    check->result->corruptions++;
    return 0;
}

/* The directory of @count bitmaps is in @directory. */
static int coroutine_fn count_bitmap_tables(Qcow2Check *check, uint32_t count,
                                            const uint8_t *directory, uint64_t directory_bytes)
{
    int64_t budget = TABLE_BUDGET_BYTES;
    uint64_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = directory + at;
        uint64_t offset;
        int64_t bytes;
        int ret;

        if (directory_bytes - at < BITMAP_ENTRY_BYTES) {
            return bitmap_corrupt(check, i, "the directory ends before it");
        }
        offset = ldq_be_p(entry);
        bytes = ldl_be_p(entry + 8) * (int64_t)sizeof(uint64_t);
        at += ROUND_UP(BITMAP_ENTRY_BYTES + lduw_be_p(entry + 18) +
                           (uint64_t)ldl_be_p(entry + 20), 8);
        if (at > directory_bytes) {
            return bitmap_corrupt(check, i, "its name and extra data exceed the directory");
        }
        if (qcow2_offset_into_cluster(check->s, offset) || offset > (uint64_t)INT64_MAX / 2) {
            return bitmap_corrupt(check, i, "its table is not cluster aligned");
        }
        budget -= bytes;
        if (budget < 0) {
            return read_failed(check, "bitmap tables", -EFBIG);
        }
        if (!qcow2_check_count(check, offset, bytes, 1)) {
            continue;
        }
        ret = count_bitmap_table(check, offset, bytes);
        if (ret < 0) {
            return ret;
        }
    }
    return 0;
}

static int coroutine_fn count_bitmaps(Qcow2Check *check, const Qcow2Extension *extension)
{
    uint32_t count = ldl_be_p(extension->data);
    uint64_t bytes = ldq_be_p(extension->data + 8);
    uint64_t offset = ldq_be_p(extension->data + 16);
    g_autofree uint8_t *directory = NULL;
    int ret;

    if (bytes > BITMAP_DIRECTORY_MAX_BYTES || offset > INT64_MAX - bytes) {
        fprintf(stderr, "ERROR bitmap directory: offset %#" PRIx64 " size %#" PRIx64 " invalid\n",
                offset, bytes);
        check->result->corruptions++;
        return 0;
    }
    if (!qcow2_check_count(check, offset, bytes, 1)) {
        return 0;
    }
    directory = g_try_malloc(MAX(bytes, 1));
    if (!directory) {
        return -ENOMEM;
    }
    ret = qcow2_file_pread(check->bs, offset, bytes, directory);
    if (ret < 0) {
        return read_failed(check, "bitmap directory", ret);
    }
    return count_bitmap_tables(check, count, directory, bytes);
}

/* ---- extensions ---- */

static void count_encryption_header(Qcow2Check *check, const Qcow2Extension *extension)
{
    uint64_t offset = ldq_be_p(extension->data);
    uint64_t bytes = ldq_be_p(extension->data + 8);

    if (offset > INT64_MAX / 2 || bytes > INT64_MAX / 2) {
        fprintf(stderr, "ERROR encryption header: offset %#" PRIx64 " size %#" PRIx64
                        " invalid\n", offset, bytes);
        check->result->corruptions++;
        return;
    }
    qcow2_check_count(check, offset, bytes, 1);
}

static int coroutine_fn count_extensions(Qcow2Check *check)
{
    BDRVQcow2State *s = check->s;
    const Qcow2Extension *extension;
    int ret = 0;

    TAILQ_FOREACH(extension, &s->unknown_extensions, link) {
        if (extension->magic == QCOW2_EXT_CRYPTO) {
            count_encryption_header(check, extension);
        } else if (extension->magic == QCOW2_EXT_BITMAPS &&
                   (s->autoclear_features & QCOW2_AUTOCLEAR_BITMAPS)) {
            ret = count_bitmaps(check, extension);
        }
        if (ret < 0) {
            break;
        }
    }
    return ret;
}

/* ---- zones ---- */

static void count_zone_tables(Qcow2Check *check)
{
    Qcow2HostRange ranges[2];
    int count = qcow2_zoned_metadata_ranges(check->bs, ranges);

    for (int i = 0; i < count; i++) {
        qcow2_check_count(check, ranges[i].offset, ranges[i].bytes, 1);
    }
}

int coroutine_fn qcow2_check_count_metadata(Qcow2Check *check)
{
    int ret;

    count_zone_tables(check);
    ret = check->s->nb_snapshots ? count_snapshots(check) : 0;
    return ret < 0 ? ret : count_extensions(check);
}

/* ---- refcount structures ---- */

/* Judge and count the block of table entry @index. */
static CheckRefblock count_refblock(Qcow2Check *check, uint32_t index)
{
    BDRVQcow2State *s = check->s;
    uint64_t entry = s->reftable[index];
    uint64_t offset = entry & QCOW2_REFTABLE_OFFSET_MASK;
    bool is_repair = check->fix & BDRV_FIX_ERRORS;

    if (entry & QCOW2_REFTABLE_RESERVED_MASK) {
        fprintf(stderr, "%s refcount table entry %" PRIu32 " has reserved bits set\n",
                qcow2_check_verb(is_repair), index);
    } else if (offset == 0) {
        return CHECK_REFBLOCK_NONE;
    } else if (qcow2_offset_into_cluster(s, offset)) {
        fprintf(stderr,
                "%s refcount block %" PRIu32 " is not cluster aligned; refcount table entry "
                "corrupted\n",
                qcow2_check_verb(is_repair), index);
    } else if (offset >> s->cluster_bits >= check->nr_clusters) {
        fprintf(stderr, "%s refcount block %" PRIu32 " is outside image\n",
                qcow2_check_verb(is_repair), index);
    } else {
        gpointer place = GSIZE_TO_POINTER((gsize)(offset >> s->cluster_bits));

        qcow2_check_count(check, offset, s->cluster_size, 1);
        return g_hash_table_add(check->refblock_places, place) ? CHECK_REFBLOCK_GOOD
                                                               : CHECK_REFBLOCK_REPEATED;
    }
    check->needs_rebuild = true;
    *(is_repair ? &check->result->corruptions_fixed : &check->result->corruptions) += 1;
    return CHECK_REFBLOCK_UNUSABLE;
}

/* A block that something else uses too cannot stay where it is. */
static void find_shared_refblocks(Qcow2Check *check)
{
    BDRVQcow2State *s = check->s;
    bool is_repair = check->fix & BDRV_FIX_ERRORS;

    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        uint64_t references;

        if (check->refblocks[i] != CHECK_REFBLOCK_GOOD &&
            check->refblocks[i] != CHECK_REFBLOCK_REPEATED) {
            continue;
        }
        references = refmap_get(check->map, s->reftable[i] >> s->cluster_bits);
        if (references == 1) {
            continue;
        }
        fprintf(stderr, "%s refcount block %" PRIu32 " refcount=%" PRIu64 "\n",
                qcow2_check_verb(is_repair), i, references);
        check->needs_rebuild = true;
        *(is_repair ? &check->result->corruptions_fixed : &check->result->corruptions) += 1;
    }
}

void qcow2_check_count_refcounts(Qcow2Check *check)
{
    BDRVQcow2State *s = check->s;
    int64_t table_bytes = (int64_t)s->reftable_clusters << s->cluster_bits;

    check->refblocks = g_new0(CheckRefblock, s->reftable_entries + 1);
    check->is_reftable_counted = qcow2_check_count(check, s->reftable_offset, table_bytes, 1);
    for (uint32_t i = 0; i < s->reftable_entries; i++) {
        check->refblocks[i] = count_refblock(check, i);
    }
    find_shared_refblocks(check);
    /* Nor can a table in the place of something else, or behind the end of the file. */
    if ((check->fix & BDRV_FIX_ERRORS) &&
        (!check->is_reftable_counted ||
         !qcow2_check_is_exclusive(check, s->reftable_offset, table_bytes, 1))) {
        check->needs_rebuild = true;
    }
}
