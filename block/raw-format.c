/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The raw format: the bytes of another node as they are, or a window of them.
 *
 * Everything passes through to the file, zone commands too as long as the window is the whole
 * device.  Where raw was guessed from the content, a write that would make the image look like
 * another format is refused: otherwise whoever writes the disk decides how it is opened next time.
 */
#include "qemu/osdep.h"
#include "block/block_int.h"

typedef struct RawState {
    int64_t offset;
    int64_t size; /* -1: up to the end of the file */
    /* one at a time looks at the beginning and changes it, where that is guarded */
    CoMutex head_lock;
} RawState;

/* ---- open ---- */

static int raw_probe(const uint8_t *buf, int buf_size, const char *filename)
{
    /* What nobody else knows. */
    return 1;
}

/* Check the window against @file_length; 0, or -EINVAL with @errp set. */
static int check_window(const BlockDriverState *bs, uint64_t offset, bool has_size, uint64_t size,
                        uint64_t file_length, Error **errp)
{
    bool is_whole = offset == 0 && (!has_size || size == file_length);

    if (offset % BDRV_SECTOR_SIZE || offset > file_length) {
        error_setg(errp, "offset must be a multiple of 512 within the file (%" PRIu64
                   " bytes), got %" PRIu64, file_length, offset);
        return -EINVAL;
    }
    if (has_size && (size % BDRV_SECTOR_SIZE || size > file_length - offset)) {
        error_setg(errp, "size must be a multiple of 512 up to the end of the file (%" PRIu64
                   " bytes from offset on), got %" PRIu64, file_length - offset, size);
        return -EINVAL;
    }
    if (!is_whole && bs->file->bs->bl.zoned != BLK_Z_NONE) {
        error_setg(errp, "offset and size cannot select a part of a zoned device");
        return -EINVAL;
    }
    return 0;
}

static int set_window(BlockDriverState *bs, RawState *s, const BlockdevOptionsRaw *options,
                      Error **errp)
{
    int64_t file_length = bdrv_getlength(bs->file->bs);
    int ret;

    if (file_length < 0) {
        error_setg_errno(errp, -file_length, "Could not get the size of the file");
        return file_length;
    }
    ret = check_window(bs, options->offset, options->has_size, options->size, file_length, errp);
    if (ret == 0) {
        s->offset = options->offset;
        s->size = options->has_size ? (int64_t)options->size : -1;
    }
    return ret;
}

static int64_t coroutine_fn raw_co_getlength(BlockDriverState *bs)
{
    RawState *s = bs->opaque;
    int64_t file_length = bdrv_co_getlength(bs->file->bs);

    if (file_length < 0 || s->size >= 0) {
        return file_length < 0 ? file_length : s->size;
    }
    return MAX(file_length - s->offset, 0);
}

static int raw_open(BlockDriverState *bs, const BlockdevOptions *options, int flags, Error **errp)
{
    RawState *s = bs->opaque;
    int ret = set_window(bs, s, &options->u.raw, errp);

    if (ret < 0) {
        return ret;
    }
    qemu_co_mutex_init(&s->head_lock);
    bs->total_bytes = s->size >= 0 ? s->size : bs->file->bs->total_bytes - s->offset;
    bs->supported_write_flags = BDRV_REQ_FUA;
    bs->supported_zero_flags = BDRV_REQ_FUA | BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK;
    return 0;
}

static int raw_reopen_prepare(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                              Error **errp)
{
    return 0;
}

static void raw_refresh_limits(BlockDriverState *bs, Error **errp)
{
    const BlockLimits *below = &bs->file->bs->bl;
    BlockLimits *bl = &bs->bl;

    bl->pdiscard_alignment = below->pdiscard_alignment;
    bl->pwrite_zeroes_alignment = below->pwrite_zeroes_alignment;
    bl->zoned = below->zoned;
    bl->zone_size = below->zone_size;
    bl->zone_capacity = below->zone_capacity;
    bl->nr_zones = below->nr_zones;
    bl->nr_conventional_zones = below->nr_conventional_zones;
    bl->max_open_zones = below->max_open_zones;
    bl->max_active_zones = below->max_active_zones;
    bl->max_append_bytes = below->max_append_bytes;
    bl->write_granularity = below->write_granularity;
}

/* ---- the guarded beginning ---- */

static bool is_guarded(const BlockDriverState *bs, int64_t offset)
{
    return unlikely(bs->probed) && offset < BLOCK_PROBE_BUF_SIZE;
}

/*
 * Whether the image would still be raw after a write of @bytes at @offset from @qiov (NULL:
 * zeroes). Returns 0, -EPERM, or the error of reading what the write leaves.
 */
static int coroutine_fn check_head(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                   QEMUIOVector *qiov, size_t qiov_offset)
{
    RawState *s = bs->opaque;
    uint8_t head[BLOCK_PROBE_BUF_SIZE];
    int64_t head_bytes = MIN(bs->total_bytes, BLOCK_PROBE_BUF_SIZE);
    int64_t written = MIN(bytes, head_bytes - offset);
    int ret = bdrv_co_pread(bs->file, s->offset, head_bytes, head, 0);

    if (ret < 0) {
        return ret;
    }
    if (qiov) {
        qemu_iovec_to_buf(qiov, qiov_offset, head + offset, written);
    } else {
        memset(head + offset, 0, written);
    }
    return bdrv_probe_format(head, head_bytes, bs->filename) == bs->drv ? 0 : -EPERM;
}

/* ---- requests ---- */

static int coroutine_fn raw_co_preadv_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                           QEMUIOVector *qiov, size_t qiov_offset,
                                           BdrvRequestFlags flags)
{
    RawState *s = bs->opaque;

    return bdrv_co_preadv_part(bs->file, offset + s->offset, bytes, qiov, qiov_offset, flags);
}

static int coroutine_fn raw_co_pwritev_part(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            QEMUIOVector *qiov, size_t qiov_offset,
                                            BdrvRequestFlags flags)
{
    RawState *s = bs->opaque;
    int ret;

    if (!is_guarded(bs, offset)) {
        return bdrv_co_pwritev_part(bs->file, offset + s->offset, bytes, qiov, qiov_offset, flags);
    }
    qemu_co_mutex_lock(&s->head_lock);
    ret = check_head(bs, offset, bytes, qiov, qiov_offset);
    if (ret == 0) {
        ret = bdrv_co_pwritev_part(bs->file, offset + s->offset, bytes, qiov, qiov_offset, flags);
    }
    qemu_co_mutex_unlock(&s->head_lock);
    return ret;
}

static int coroutine_fn raw_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                             BdrvRequestFlags flags)
{
    RawState *s = bs->opaque;
    int ret;

    if (!is_guarded(bs, offset)) {
        return bdrv_co_pwrite_zeroes(bs->file, offset + s->offset, bytes, flags);
    }
    qemu_co_mutex_lock(&s->head_lock);
    ret = check_head(bs, offset, bytes, NULL, 0);
    if (ret == 0) {
        ret = bdrv_co_pwrite_zeroes(bs->file, offset + s->offset, bytes, flags);
    }
    qemu_co_mutex_unlock(&s->head_lock);
    return ret;
}

static int coroutine_fn raw_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    RawState *s = bs->opaque;

    return bdrv_co_pdiscard(bs->file, offset + s->offset, bytes);
}

static int coroutine_fn raw_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                            int64_t *pnum, int64_t *map, BlockDriverState **file)
{
    RawState *s = bs->opaque;
    int status = bdrv_co_block_status(bs->file->bs, offset + s->offset, bytes, pnum, map, file);

    if (status >= 0 && *pnum == 0) {
        /* The file has become shorter than it was. */
        *pnum = bytes;
        status |= BDRV_BLOCK_ZERO;
    }
    return status;
}

static int coroutine_fn raw_co_truncate(BlockDriverState *bs, int64_t offset, bool exact,
                                        PreallocMode prealloc, BdrvRequestFlags flags, Error **errp)
{
    RawState *s = bs->opaque;

    if (s->size >= 0) {
        error_setg(errp, "Cannot resize a raw device whose size is fixed by its options");
        return -ENOTSUP;
    }
    if (offset > BDRV_MAX_LENGTH - s->offset) {
        error_setg(errp, "Image size %" PRId64 " is too large behind offset %" PRId64, offset,
                   s->offset);
        return -EFBIG;
    }
    return bdrv_co_truncate(bs->file, offset + s->offset, exact, prealloc, flags, errp);
}

static int coroutine_fn raw_co_zone_report(BlockDriverState *bs, int64_t offset,
                                           unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    return bdrv_co_zone_report(bs->file->bs, offset, nr_zones, zones);
}

static int coroutine_fn raw_co_zone_mgmt(BlockDriverState *bs, BlockZoneOp op, int64_t offset,
                                         int64_t len)
{
    return bdrv_co_zone_mgmt(bs->file->bs, op, offset, len);
}

static int coroutine_fn raw_co_zone_append(BlockDriverState *bs, int64_t *offset,
                                           QEMUIOVector *qiov, BdrvRequestFlags flags)
{
    return bdrv_co_zone_append(bs->file->bs, offset, qiov, flags);
}

static int coroutine_fn raw_co_get_info(BlockDriverState *bs, BlockDriverInfo *info)
{
    return bdrv_get_info(bs->file->bs, info);
}

/* ---- creation ---- */

static int raw_create_check(const BlockdevCreateOptions *options, Error **errp)
{
    const BlockdevCreateOptionsRaw *raw = &options->u.raw;

    if (raw->size > BDRV_MAX_LENGTH) {
        error_setg(errp, "Image size %" PRIu64 " is too large: the limit is %" PRId64 " bytes",
                   raw->size, BDRV_MAX_LENGTH);
        return -EFBIG;
    }
    if (raw->preallocation == PREALLOC_MODE_METADATA) {
        error_setg(errp, "Unsupported preallocation mode '%s'",
                   PreallocMode_str(raw->preallocation));
        return -ENOTSUP;
    }
    return 0;
}

/* A raw image is a file of the right length. */
static int coroutine_fn raw_co_create(BlockdevCreateOptions *options, Error **errp)
{
    const BlockdevCreateOptionsRaw *raw = &options->u.raw;
    BlockDriverState *file;
    BdrvChild *child;
    int ret;

    if (raw->file->type != BLOCKDEV_REF_KIND_REFERENCE) {
        error_setg(errp, "'file' must name an existing node");
        return -EINVAL;
    }
    file = bdrv_open(NULL, raw->file->u.reference, NULL, 0, errp);
    if (!file) {
        return -ENOENT;
    }
    child = bdrv_root_attach_child(file, "file", NULL, BLK_PERM_WRITE | BLK_PERM_RESIZE,
                                   BLK_PERM_ALL, errp);
    if (!child) {
        return -EPERM;
    }
    ret = bdrv_co_truncate(child, raw->size, false, raw->preallocation, 0, errp);
    bdrv_detach_child(child);
    return ret;
}

static const char *const raw_strong_options[] = {"offset", "size", NULL};

static BlockDriver bdrv_raw = {
    .format_name = "raw",
    .instance_size = sizeof(RawState),
    .has_file_child = true,
    .is_passthrough = true,
    .strong_options = raw_strong_options,
    .bdrv_probe = raw_probe,
    .bdrv_open = raw_open,
    .bdrv_reopen_prepare = raw_reopen_prepare,
    .bdrv_refresh_limits = raw_refresh_limits,
    .bdrv_co_preadv_part = raw_co_preadv_part,
    .bdrv_co_pwritev_part = raw_co_pwritev_part,
    .bdrv_co_pwrite_zeroes = raw_co_pwrite_zeroes,
    .bdrv_co_pdiscard = raw_co_pdiscard,
    .bdrv_co_block_status = raw_co_block_status,
    .bdrv_co_truncate = raw_co_truncate,
    .bdrv_co_getlength = raw_co_getlength,
    .bdrv_co_zone_report = raw_co_zone_report,
    .bdrv_co_zone_mgmt = raw_co_zone_mgmt,
    .bdrv_co_zone_append = raw_co_zone_append,
    .bdrv_create_check = raw_create_check,
    .bdrv_co_create = raw_co_create,
    .bdrv_co_get_info = raw_co_get_info,
};

static void bdrv_raw_init(void)
{
    bdrv_register(&bdrv_raw);
}

block_init(bdrv_raw_init)
