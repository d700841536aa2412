/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * COPIED flags against refcounts, zero clusters at impossible places, and setting both right in the
 * L1 and L2 tables.
 *
 * A table is written only where the references that were counted prove that nothing else lies in
 * its place.
 */
#include "qemu/osdep.h"

#include "block/qcow2-check.h"
#include "qemu/bswap.h"

typedef struct TablePass {
    Qcow2Check *check;
    bool fix_copied;
    bool fix_zeroes;
    bool has_written;
} TablePass;

/* Count a finding as repaired or not. */
static void count_finding(Qcow2Check *check, bool is_repair)
{
    *(is_repair ? &check->result->corruptions_fixed : &check->result->corruptions) += 1;
}

static bool is_copied_wrong(Qcow2Check *check, uint64_t entry, uint64_t offset, uint64_t *refcount)
{
    *refcount = refmap_get(check->map, offset >> check->s->cluster_bits);
    return (*refcount == 1) != !!(entry & QCOW2_OFLAG_COPIED);
}

/* ---- L1 ---- */

static int coroutine_fn check_l1_flags(TablePass *pass)
{
    Qcow2Check *check = pass->check;
    BDRVQcow2State *s = check->s;
    bool is_repair = pass->fix_copied &&
                     qcow2_check_is_exclusive(check, s->l1_table_offset,
                                              s->l1_size * sizeof(uint64_t), 1);

    for (uint32_t i = 0; i < s->l1_size; i++) {
        uint64_t offset = s->l1_table[i] & QCOW2_L1_OFFSET_MASK;
        uint64_t refcount;

        if (offset == 0 || !is_copied_wrong(check, s->l1_table[i], offset, &refcount)) {
            continue;
        }
        fprintf(stderr,
                "%s OFLAG_COPIED L2 cluster: l1_index=%" PRIu32 " l1_entry=%" PRIx64
                " refcount=%" PRIu64 "\n",
                qcow2_check_verb(is_repair), i, s->l1_table[i], refcount);
        count_finding(check, is_repair);
        if (is_repair) {
            s->l1_table[i] ^= QCOW2_OFLAG_COPIED;
            qcow2_mark_l1_dirty(s, i);
        }
    }
    pass->has_written |= s->l1_is_dirty;
    return s->l1_is_dirty ? qcow2_write_caches(check->bs) : 0;
}

/* ---- L2 ---- */

/* What the entry should be; differs from @entry only where that is to be repaired. */
static uint64_t check_l2_entry(TablePass *pass, const CheckL2Table *table, uint64_t entry,
                               bool can_write)
{
    Qcow2Check *check = pass->check;
    uint64_t offset = entry & QCOW2_L2_OFFSET_MASK;
    uint64_t refcount;
    bool is_repair;

    if ((entry & QCOW2_OFLAG_COMPRESSED) || offset == 0) {
        return entry;
    }
    if (qcow2_cluster_type(entry) == QCOW2_CLUSTER_ZERO_ALLOC &&
        qcow2_offset_into_cluster(check->s, offset)) {
        is_repair = can_write && pass->fix_zeroes;
        fprintf(stderr,
                "%s offset=%" PRIx64 ": Preallocated cluster is not properly aligned; L2 entry "
                "corrupted.\n",
                qcow2_check_verb(is_repair), offset);
        count_finding(check, is_repair);
        if (is_repair) {
            return QCOW2_OFLAG_ZERO;
        }
    }
    if (!table->is_active || !is_copied_wrong(check, entry, offset, &refcount)) {
        return entry;
    }
    is_repair = can_write && pass->fix_copied;
    fprintf(stderr, "%s OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64 "\n",
            qcow2_check_verb(is_repair), entry, refcount);
    count_finding(check, is_repair);
    return is_repair ? entry ^ QCOW2_OFLAG_COPIED : entry;
}

static int coroutine_fn check_l2_table(TablePass *pass, const CheckL2Table *table,
                                       uint8_t *entries)
{
    Qcow2Check *check = pass->check;
    int64_t bytes = check->s->cluster_size;
    bool can_write = (pass->fix_copied || pass->fix_zeroes) &&
                     qcow2_check_is_exclusive(check, table->offset, bytes, table->nr_refs);
    bool is_changed = false;

    for (int64_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t entry = ldq_be_p(entries + at);
        uint64_t repaired = entry ? check_l2_entry(pass, table, entry, can_write) : 0;

        if (unlikely(repaired != entry)) {
            stq_be_p(entries + at, repaired);
            is_changed = true;
        }
    }
    pass->has_written |= is_changed;
    return is_changed ? qcow2_file_pwrite(check->bs, QCOW2_OL_ACTIVE_L2, table->offset, bytes,
                                          entries)
                      : 0;
}

static int coroutine_fn check_l2_tables(TablePass *pass)
{
    Qcow2Check *check = pass->check;
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
            const CheckL2Table *table = &g_array_index(check->l2_tables, CheckL2Table, first + i);
            int ret;

            if (!table->is_active && !table->has_misaligned_zero) {
                continue;
            }
            ret = check_l2_table(pass, table, buf + (table->offset - start));
            if (ret < 0) {
                fprintf(stderr, "ERROR could not write the L2 table at offset=%" PRIx64 ": %s\n",
                        (uint64_t)table->offset, strerror(-ret));
                check->result->check_errors++;
                return ret;
            }
        }
    }
    return 0;
}

int coroutine_fn qcow2_repair_tables(Qcow2Check *check)
{
    bool is_sound = check->result->corruptions == 0 && check->result->check_errors == 0;
    TablePass pass = {
        .check = check,
        .fix_copied = (check->fix & BDRV_FIX_ERRORS) || (check->fix && is_sound),
        .fix_zeroes = check->fix & BDRV_FIX_ERRORS,
    };
    /* A flag may say that a refcount is 1 only when it is so on the disk. */
    int ret = check->fix ? qcow2_file_sync(check->bs) : 0;

    if (ret == 0) {
        ret = check_l1_flags(&pass);
    }
    if (ret == 0) {
        ret = check_l2_tables(&pass);
    }
    return ret < 0 || !pass.has_written ? ret : qcow2_file_sync(check->bs);
}
