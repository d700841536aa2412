/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is told about an image: probing, cluster size and dirtiness, and what only qcow2 has.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

int qcow2_probe(const uint8_t *buf, int buf_size, const char *filename)
{
    uint32_t version;

    if (buf_size < 8 || ldl_be_p(buf) != QCOW2_MAGIC) {
        return 0;
    }
    version = ldl_be_p(buf + 4);
    return version >= 2 ? 100 : 0;
}

int coroutine_fn qcow2_co_get_info(BlockDriverState *bs, BlockDriverInfo *info)
{
    BDRVQcow2State *s = bs->opaque;

    info->cluster_size = s->cluster_size;
    info->vm_state_offset =
        (int64_t)(qcow2_l1_entries_for(s, bs->total_bytes) << (s->cluster_bits + s->l2_bits));
    info->is_dirty = s->incompatible_features & QCOW2_INCOMPAT_DIRTY;
    return 0;
}

ImageInfoSpecific *qcow2_get_specific_info(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ImageInfoSpecific *info = g_new0(ImageInfoSpecific, 1);
    ImageInfoSpecificQCow2 *qcow2 = g_new0(ImageInfoSpecificQCow2, 1);

    info->type = IMAGE_INFO_SPECIFIC_TYPE_QCOW2;
    info->u.qcow2.data = qcow2;
    qcow2->compat = g_strdup(s->qcow_version < 3 ? "0.10" : "1.1");
    qcow2->refcount_bits = s->refcount_bits;
    qcow2->compression_type = s->compression_type ? QCOW2_COMPRESSION_TYPE_ZSTD
                                                  : QCOW2_COMPRESSION_TYPE_ZLIB;
    if (s->qcow_version >= 3) {
        qcow2->has_lazy_refcounts = true;
        qcow2->lazy_refcounts = s->compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
        qcow2->has_corrupt = true;
        qcow2->corrupt = s->incompatible_features & QCOW2_INCOMPAT_CORRUPT;
        qcow2->has_extended_l2 = true;
        qcow2->extended_l2 = s->incompatible_features & QCOW2_INCOMPAT_EXTL2;
    }
    if (s->zoned) {
        qcow2->zoned = qcow2_zoned_specific_info(bs);
    }
    return info;
}
