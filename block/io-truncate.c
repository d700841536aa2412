/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The length of a node: asking for it and changing it; and the consistency check of its format.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

int64_t coroutine_fn bdrv_co_getlength(BlockDriverState *bs)
{
    int64_t length;

    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    if (!bs->drv->bdrv_co_getlength) {
        return bs->total_bytes;
    }
    bdrv_inc_in_flight(bs);
    length = bs->drv->bdrv_co_getlength(bs);
    bdrv_dec_in_flight(bs);
    if (length < 0) {
        return length;
    }
    if (length > BDRV_MAX_LENGTH) {
        return -EFBIG;
    }
    bs->total_bytes = ROUND_UP(length, BDRV_SECTOR_SIZE);
    return bs->total_bytes;
}

static int check_new_length(const BlockDriverState *bs, int64_t offset, Error **errp)
{
    if (!bs->drv) {
        error_setg(errp, "No medium inserted");
        return -ENOMEDIUM;
    }
    if (offset < 0) {
        error_setg(errp, "Image size cannot be negative");
        return -EINVAL;
    }
    if (offset > BDRV_MAX_LENGTH) {
        error_setg(errp, "Image size %" PRId64 " is too large: the limit is %" PRId64 " bytes",
                   offset, BDRV_MAX_LENGTH);
        return -EFBIG;
    }
    if (bs->read_only) {
        error_setg(errp, "Image is read-only");
        return -EPERM;
    }
    if (!bs->drv->bdrv_co_truncate) {
        error_setg(errp, "Image format driver does not support resize");
        return -ENOTSUP;
    }
    return 0;
}

int coroutine_fn bdrv_co_truncate(BdrvChild *child, int64_t offset, bool exact,
                                  PreallocMode prealloc, BdrvRequestFlags flags, Error **errp)
{
    BlockDriverState *bs = child->bs;
    BdrvTrackedRequest req;
    int64_t length;
    int ret = check_new_length(bs, offset, errp);

    if (ret < 0) {
        return ret;
    }
    /*
     * Nothing may be in flight between the old and the new end, nor start growing a file meanwhile.
     */
    length = MIN(offset, bs->total_bytes);
    io_tracked_begin_serialising(&req, bs, length, BDRV_MAX_LENGTH - length);
    if (bs->drv) {
        ret = bs->drv->bdrv_co_truncate(bs, offset, exact, prealloc, flags, errp);
    } else {
        ret = check_new_length(bs, offset, errp);
    }
    io_note_change(bs, 0, ret);
    if (ret == 0) {
        bs->total_bytes = ROUND_UP(offset, BDRV_SECTOR_SIZE);
        length = bdrv_co_getlength(bs);
        if (length < 0) {
            error_setg_errno(errp, -length, "Could not refresh the image size");
            ret = length;
        }
    }
    io_tracked_end(&req);
    return ret;
}

int coroutine_fn bdrv_co_check(BlockDriverState *bs, BdrvCheckResult *result, BdrvCheckMode fix)
{
    int ret;

    if (!bs->drv) {
        return -ENOMEDIUM;
    }
    if (!bs->drv->bdrv_co_check) {
        return -ENOTSUP;
    }
    *result = (BdrvCheckResult){0};
    bdrv_inc_in_flight(bs);
    ret = bs->drv->bdrv_co_check(bs, result, fix);
    bdrv_dec_in_flight(bs);
    return ret;
}
