/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counting what L1 and L2 tables refer to.
 *
 * Tables are collected before they are read: one that many L1 entries point to, be it shared by
 * snapshots or part of a loop that somebody built, is read once and its references count as often
 * as it is pointed to.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"
#include "qemu/bswap.h"

/* Tables not farther apart than this are read together, with what lies between them. */
#define L2_READ_GAP_BYTES (32 * KiB)

#define COMPRESSED_SECTOR_BYTES 512

/* ---- L1 ---- */

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void note_l2_table(Qcow2Check *check, int64_t offset, uint32_t l1_index, uint64_t nr_refs,
                          bool is_active)
{
    gpointer key = GSIZE_TO_POINTER((gsize)(offset >> check->s->cluster_bits));
    guint known = GPOINTER_TO_UINT(g_hash_table_lookup(check->l2_by_offset, key));
    CheckL2Table table = {
        .offset = offset, .nr_refs = nr_refs, .l1_index = l1_index, .is_active = is_active};

    if (known) {
        CheckL2Table *seen = &g_array_index(check->l2_tables, CheckL2Table, known - 1);

        seen->nr_refs = saturating_add(seen->nr_refs, nr_refs);
        return;
    }
    g_array_append_val(check->l2_tables, table);
    g_hash_table_insert(check->l2_by_offset, key, GUINT_TO_POINTER(check->l2_tables->len));
}

void qcow2_check_collect_l2(Qcow2Check *check, const uint64_t *l1_table, uint32_t nr_entries,
                            uint64_t nr_refs, bool is_active)
{
    BDRVQcow2State *s = check->s;

    for (uint32_t i = 0; i < nr_entries; i++) {
        int64_t l2_offset = l1_table[i] & QCOW2_L1_OFFSET_MASK;

        if (l1_table[i] == 0) {
            continue;
        }
        if (l1_table[i] & QCOW2_L1_RESERVED_MASK) {
            fprintf(stderr, "ERROR found L1 entry with reserved bits set: %" PRIx64 "\n",
                    l1_table[i]);
            check->result->corruptions++;
        }
        if (l2_offset == 0) {
            continue;
        }
        if (qcow2_offset_into_cluster(s, l2_offset)) {
            fprintf(stderr,
                    "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry "
                    "corrupted\n",
                    (uint64_t)l2_offset);
            check->result->corruptions++;
        }
        if (!qcow2_check_count(check, l2_offset, s->cluster_size, nr_refs) ||
            qcow2_offset_into_cluster(s, l2_offset)) {
            continue;
        }
        note_l2_table(check, l2_offset, i, nr_refs, is_active);
    }
}

/* ---- L2 ---- */

int coroutine_fn qcow2_check_read_l2(Qcow2Check *check, guint first, uint8_t *buf)
{
    const CheckL2Table *tables = &g_array_index(check->l2_tables, CheckL2Table, 0);
    int64_t start = tables[first].offset;
    int64_t end = start + check->s->cluster_size;
    guint next = first + 1;
    int ret;

    for (; next < check->l2_tables->len; next++) {
        int64_t offset = tables[next].offset;

        if (offset < end || offset - end > L2_READ_GAP_BYTES ||
            offset + check->s->cluster_size - start > CHECK_L2_BATCH_BYTES) {
            break;
        }
        end = offset + check->s->cluster_size;
    }
    ret = qcow2_file_pread(check->bs, start, end - start, buf);
    if (ret < 0) {
        fprintf(stderr, "ERROR could not read the L2 table at offset=%" PRIx64 ": %s\n",
                (uint64_t)start, strerror(-ret));
        check->result->check_errors++;
        return ret;
    }
    return next - first;
}

static void count_compressed(Qcow2Check *check, const CheckL2Table *table, uint64_t entry)
{
    int offset_bits = 70 - check->s->cluster_bits;
    uint64_t offset = entry & ((UINT64_C(1) << offset_bits) - 1);
    uint64_t size_mask = (UINT64_C(1) << (62 - offset_bits)) - 1;
    uint64_t nr_sectors = (entry >> offset_bits & size_mask) + 1;

    if (entry & QCOW2_OFLAG_COPIED) {
        fprintf(stderr,
                "ERROR: coffset=0x%" PRIx64 ": copied flag must never be set for compressed "
                "clusters\n",
                offset);
        check->result->corruptions++;
    }
    if (table->is_active) {
        check->result->allocated_clusters++;
        check->result->compressed_clusters++;
        /* They have no place where they belong. */
        check->result->fragmented_clusters++;
    }
    qcow2_check_count(check, offset,
                      nr_sectors * COMPRESSED_SECTOR_BYTES - offset % COMPRESSED_SECTOR_BYTES,
                      table->nr_refs);
}

static void note_fragmentation(Qcow2Check *check, int64_t offset)
{
    check->result->allocated_clusters++;
    if (check->next_contiguous && offset != check->next_contiguous) {
        check->result->fragmented_clusters++;
    }
    check->next_contiguous = offset + check->s->cluster_size;
}

static void report_misaligned_data(Qcow2Check *check, uint64_t offset)
{
    fprintf(stderr,
            "ERROR offset=%" PRIx64 ": Data cluster is not properly aligned; L2 entry "
            "corrupted.\n",
            offset);
    check->result->corruptions++;
}

static void count_standard(Qcow2Check *check, CheckL2Table *table, uint64_t entry)
{
    BDRVQcow2State *s = check->s;
    uint64_t reserved =
        QCOW2_L2_STD_RESERVED_MASK | (s->qcow_version < 3 ? QCOW2_OFLAG_ZERO : 0);
    int64_t offset = entry & QCOW2_L2_OFFSET_MASK;

    if (unlikely(entry & reserved)) {
        fprintf(stderr, "ERROR found l2 entry with reserved bits set: %" PRIx64 "\n", entry);
        check->result->corruptions++;
    }
    if (offset == 0) {
        return;
    }
    if (unlikely(qcow2_offset_into_cluster(s, offset))) {
        if (qcow2_cluster_type(entry) == QCOW2_CLUSTER_ZERO_ALLOC) {
            table->has_misaligned_zero = true;
            if (check->fix & BDRV_FIX_ERRORS) {
                return; /* will not refer to anything */
            }
        } else {
            report_misaligned_data(check, offset);
        }
    }
    if (table->is_active) {
        note_fragmentation(check, offset);
    }
    qcow2_check_count(check, offset, s->cluster_size, table->nr_refs);
}

static void count_l2_table(Qcow2Check *check, CheckL2Table *table, const uint8_t *entries)
{
    unsigned int nr_entries = 1u << check->s->l2_bits;

    /* The place of the table itself interrupts the data in any case. */
    check->next_contiguous = 0;
    for (unsigned int i = 0; i < nr_entries; i++) {
        uint64_t entry = ldq_be_p(entries + i * sizeof(uint64_t));

        if (entry & QCOW2_OFLAG_COMPRESSED) {
            count_compressed(check, table, entry);
        } else if (entry) {
            count_standard(check, table, entry);
        }
    }
}

int coroutine_fn qcow2_check_walk_l2(Qcow2Check *check)
{
    QEMU_AUTO_VFREE uint8_t *buf =
        qemu_try_memalign(4096, MAX(CHECK_L2_BATCH_BYTES, check->s->cluster_size));
    int count;

    if (!buf) {
        return -ENOMEM;
    }
    for (guint first = 0; first < check->l2_tables->len; first += count) {
        int64_t start = g_array_index(check->l2_tables, CheckL2Table, first).offset;

        count = qcow2_check_read_l2(check, first, buf);
        if (count < 0) {
            return count;
        }
        for (int i = 0; i < count; i++) {
            CheckL2Table *table = &g_array_index(check->l2_tables, CheckL2Table, first + i);

            count_l2_table(check, table, buf + (table->offset - start));
        }
    }
    return 0;
}
