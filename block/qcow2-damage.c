/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty and corrupt bits of the header, and what happens when damage is found while an image
 * is in use.
 */
#include "qemu/osdep.h"

#include "block/qcow2.h"
#include "qapi/qapi-events.h"
#include "qemu/error-report.h"

/* Set or clear incompatible feature bits on disk, and make that stable. */
static int coroutine_fn change_incompat_bits(BlockDriverState *bs, uint64_t set, uint64_t clear)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t old = s->incompatible_features;
    int ret;

    s->incompatible_features = (old | set) & ~clear;
    if (s->incompatible_features == old) {
        return 0;
    }
    ret = qcow2_write_incompat_features(bs);
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret < 0) {
        s->incompatible_features = old;
    }
    return ret;
}

int coroutine_fn qcow2_mark_dirty(BlockDriverState *bs)
{
    return change_incompat_bits(bs, QCOW2_INCOMPAT_DIRTY, 0);
}

/* Everything including the refcounts on disk, so that a bit can be cleared that says they are
 * not. */
static int coroutine_fn make_all_stable(BlockDriverState *bs)
{
    int ret = qcow2_process_pending_frees(bs);

    if (ret == 0) {
        ret = qcow2_write_caches(bs);
    }
    if (ret == 0) {
        ret = qcow2_flush_refcounts(bs);
    }
    return ret < 0 ? ret : qcow2_file_sync(bs);
}

int coroutine_fn qcow2_mark_clean(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    if (!(s->incompatible_features & QCOW2_INCOMPAT_DIRTY)) {
        return 0;
    }
    ret = make_all_stable(bs);
    return ret < 0 ? ret : change_incompat_bits(bs, 0, QCOW2_INCOMPAT_DIRTY);
}

int coroutine_fn qcow2_mark_consistent(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    int ret;

    if (!(s->incompatible_features & QCOW2_INCOMPAT_CORRUPT)) {
        return 0;
    }
    ret = make_all_stable(bs);
    return ret < 0 ? ret : change_incompat_bits(bs, 0, QCOW2_INCOMPAT_CORRUPT);
}

void coroutine_fn qcow2_signal_corruption(BlockDriverState *bs, bool is_fatal, int64_t offset,
                                          int64_t bytes, const char *fmt, ...)
{
    BDRVQcow2State *s = bs->opaque;
    g_autofree char *reason = NULL;
    va_list args;

    is_fatal = is_fatal && !bs->read_only;
    if (s->signaled_corruption && (!is_fatal || !bs->drv)) {
        return;
    }
    va_start(args, fmt);
    reason = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (is_fatal) {
        error_printf("qcow2: Marking image as corrupt: %s; further corruption events will be "
                     "suppressed\n", reason);
    } else {
        error_printf("qcow2: Image is corrupt: %s; further non-fatal corruption events will be "
                     "suppressed\n", reason);
    }
    qapi_event_send_block_image_corrupted("", bs->node_name, reason, offset >= 0,
                                          MAX(offset, 0), bytes >= 0, MAX(bytes, 0), is_fatal);
    s->signaled_corruption = true;
    if (is_fatal) {
        /* Nothing more may be written except this one bit, which v2 images do not have. */
        if (s->qcow_version >= 3) {
            change_incompat_bits(bs, QCOW2_INCOMPAT_CORRUPT, 0);
        }
        bdrv_make_unusable(bs);
    }
}
