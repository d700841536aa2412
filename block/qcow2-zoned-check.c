/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Check and repair of the write-pointer table.
 *
 * Works on the table as it is on disk, entry by entry, and writes only what it repairs.  Repair
 * keeps data: where a write pointer cannot be trusted the zone becomes full, so that everything in
 * it can be read and nothing be overwritten before somebody resets it.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

/* What the entry of zone @index should be, given that it is @entry. */
static uint64_t zone_repaired_entry(const BdrvZones *zones, uint32_t index, uint64_t entry)
{
    const ZonesGeometry *geometry = zones_geometry(zones);
    uint64_t start = zones_start(zones, index);

    if (zones_is_conventional(zones, index)) {
        return start | QCOW2_ZONE_WP_CONV;
    }
    if (entry < start || entry > start + geometry->zone_size) {
        return start + geometry->zone_size;
    }
    return ROUND_DOWN(entry, (uint64_t)geometry->write_granularity);
}

/* Check the entries of one block in @buf; repairs them there.  Returns how many were wrong. */
static int zone_check_entries(BlockDriverState *bs, uint32_t first, uint32_t n, uint8_t *buf,
                              bool is_repair)
{
    BDRVQcow2State *s = bs->opaque;
    const Qcow2Zoned *z = s->zoned;
    int nr_bad = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t entry = ldq_be_p(buf + i * 8);
        uint64_t repaired = zone_repaired_entry(
            z->zones, first + i, z->is_table_swapped ? GUINT64_SWAP_LE_BE(entry) : entry);

        if (repaired == entry) {
            continue;
        }
        fprintf(stderr, "%s zone %" PRIu32 " write pointer=%#" PRIx64 "%s%#" PRIx64 "\n",
                is_repair ? "Repairing" : "ERROR", first + i, entry,
                is_repair ? " -> " : " should be ", repaired);
        stq_be_p(buf + i * 8, repaired);
        nr_bad++;
    }
    return nr_bad;
}

int coroutine_fn qcow2_zoned_check_table(BlockDriverState *bs, BdrvCheckResult *result,
                                         BdrvCheckMode fix)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    bool is_repair = fix & BDRV_FIX_ERRORS;
    QEMU_AUTO_VFREE uint8_t *buf = qemu_memalign(ZONE_WP_BLOCK_BYTES, ZONE_WP_BLOCK_BYTES);
    int nr_repaired = 0;

    for (int64_t at = 0; at < z->table_bytes; at += ZONE_WP_BLOCK_BYTES) {
        int64_t bytes = MIN(z->table_bytes - at, ZONE_WP_BLOCK_BYTES);
        int ret = qcow2_file_pread(bs, z->table_offset + at, bytes, buf);
        int nr_bad;

        if (ret < 0) {
            fprintf(stderr, "ERROR could not read the write-pointer table: %s\n", strerror(-ret));
            result->check_errors++;
            return ret;
        }
        nr_bad = zone_check_entries(bs, at / 8, bytes / 8, buf, is_repair);
        if (nr_bad == 0) {
            continue;
        }
        if (!is_repair) {
            result->corruptions += nr_bad;
            continue;
        }
        ret = bdrv_co_pwrite(bs->file, z->table_offset + at, bytes, buf, 0);
        if (ret < 0) {
            result->corruptions += nr_bad;
            result->check_errors++;
            return ret;
        }
        nr_repaired += nr_bad;
    }
    result->corruptions_fixed += nr_repaired;
    if (nr_repaired) {
        z->is_table_swapped = false;
        return qcow2_file_sync(bs);
    }
    return 0;
}
