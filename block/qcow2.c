/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The qcow2 driver: its table of callbacks, opening, closing and reopening an image.
 */
#include "qemu/osdep.h"

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"

/* ---- the clean-up of unused cache entries ---- */

static void arm_cache_clean_timer(BDRVQcow2State *s)
{
    timer_mod_ns(s->cache_clean_timer,
                 qemu_clock_get_ns() + (int64_t)s->options.cache_clean_interval * 1000000000);
}

static void cache_clean_timer_cb(void *opaque)
{
    BlockDriverState *bs = opaque;
    BDRVQcow2State *s = bs->opaque;

    qcow2_cache_clean_unused(s->l2_cache);
    qcow2_cache_clean_unused(s->refcount_cache);
    arm_cache_clean_timer(s);
}

static void stop_cache_clean_timer(BDRVQcow2State *s)
{
    if (s->cache_clean_timer) {
        timer_del(s->cache_clean_timer);
        timer_free(s->cache_clean_timer);
        s->cache_clean_timer = NULL;
    }
}

static void start_cache_clean_timer(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    stop_cache_clean_timer(s);
    if (s->options.cache_clean_interval) {
        s->cache_clean_timer = aio_timer_new(bs->aio_context, cache_clean_timer_cb, bs);
        arm_cache_clean_timer(s);
    }
}

/* ---- open ---- */

static void init_state(BDRVQcow2State *s)
{
    qemu_co_mutex_init(&s->lock);
    qemu_co_queue_init(&s->io_epoch_waiters);
    LIST_INIT(&s->allocs);
    TAILQ_INIT(&s->unknown_extensions);
    s->pending_frees = g_array_new(false, false, sizeof(Qcow2PendingFree));
}

static void free_state(BDRVQcow2State *s)
{
    stop_cache_clean_timer(s);
    qcow2_overlap_reset(s);
    qcow2_cache_free(s->l2_cache);
    qcow2_cache_free(s->refcount_cache);
    qcow2_refcount_unload(s);
    g_clear_pointer(&s->l1_table, g_free);
    g_clear_pointer(&s->l1_dirty, g_free);
    g_clear_pointer(&s->pending_frees, g_array_unref);
    qcow2_free_header(s);
}

static int make_caches(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    const Qcow2Options *options = &s->options;

    s->l2_slice_bytes = options->l2_slice_bytes;
    s->l2_slice_bits = ilog2(options->l2_slice_bytes) - 3;
    s->l2_cache = qcow2_cache_new(bs, options->l2_cache_bytes / options->l2_slice_bytes,
                                  options->l2_slice_bytes, QCOW2_OL_ACTIVE_L2);
    s->refcount_cache = qcow2_cache_new(bs, options->refcount_cache_bytes >> s->cluster_bits,
                                        s->cluster_size, QCOW2_OL_REFCOUNT_BLOCK);
    if (!s->l2_cache || !s->refcount_cache) {
        error_setg(errp, "Could not allocate metadata caches of %" PRIu64 " bytes",
                   options->l2_cache_bytes + options->refcount_cache_bytes);
        return -ENOMEM;
    }
    return 0;
}

/* Features that others maintain but we do not are void once we write; that comes before any
 * other change. */
static int coroutine_fn clear_unknown_autoclear(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    uint64_t known = s->zoned_ext ? QCOW2_AUTOCLEAR_ZONED_LIVE_WP : 0;
    int ret;

    if (!(s->autoclear_features & ~known)) {
        return 0;
    }
    s->autoclear_features &= known;
    ret = qcow2_update_header(bs);
    if (ret == 0) {
        ret = qcow2_file_sync(bs);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not update qcow2 header");
    }
    return ret;
}

static int refuse_dirty(const BDRVQcow2State *s, Error **errp)
{
    if (s->incompatible_features & QCOW2_INCOMPAT_DIRTY) {
        error_setg(errp, "Could not repair dirty image");
        return -ENOTSUP;
    }
    return 0;
}

/* The image was not closed cleanly: its refcounts are perhaps behind the tables. */
static int coroutine_fn repair_dirty(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    BdrvCheckResult result = {0};
    int ret;

    if (!(s->incompatible_features & QCOW2_INCOMPAT_DIRTY)) {
        return 0;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_check_refcounts(bs, &result, BDRV_FIX_LEAKS | BDRV_FIX_ERRORS);
    if (ret == 0 && (result.corruptions || result.check_errors)) {
        ret = -EIO;
    }
    if (ret == 0) {
        ret = qcow2_mark_clean(bs);
    }
    qemu_co_mutex_unlock(&s->lock);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not repair dirty image");
    }
    return ret;
}

/* What an opener does who will write guest data. */
static int coroutine_fn prepare_for_writing(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    ZonesGeometry geometry;
    /* An image that will be refused for its zones must not have been changed before. */
    int ret = qcow2_zoned_load_ext(bs, &geometry, errp);

    if (ret >= 0) {
        ret = clear_unknown_autoclear(bs, errp);
    }
    if (ret == 0) {
        ret = repair_dirty(bs, errp);
    }
    s->use_lazy_refcounts = s->options.lazy_refcounts;
    return ret;
}

static int coroutine_fn load_image(BlockDriverState *bs, const BlockdevOptionsQcow2 *options,
                                   int flags, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    int ret = qcow2_read_header(bs, flags, errp);

    if (ret < 0) {
        return ret;
    }
    qcow2_refcount_setup(s);
    if (!qcow2_parse_options(bs, options, flags, &s->options, errp)) {
        return -EINVAL;
    }
    ret = make_caches(bs, errp);
    if (ret == 0) {
        ret = qcow2_refcount_load(bs, errp);
    }
    if (ret == 0) {
        ret = qcow2_l1_load(bs, errp);
    }
    /* On a device, what lies behind the image is not zero. */
    s->zero_from = bs->file->bs->is_growable ? ROUND_UP(qcow2_file_length(bs), s->cluster_size)
                                             : INT64_MAX;
    if (ret == 0 && (flags & BDRV_O_RDWR) && !(flags & BDRV_O_CHECK)) {
        ret = prepare_for_writing(bs, errp);
        /* A repair has perhaps put something behind the end. */
        s->zero_from = MAX(s->zero_from, ROUND_UP(qcow2_file_length(bs), s->cluster_size));
    }
    return ret;
}

typedef struct OpenCall {
    BlockDriverState *bs;
    const BlockdevOptionsQcow2 *options;
    int flags;
    Error **errp;
} OpenCall;

static int coroutine_fn open_entry(void *arg)
{
    OpenCall *call = arg;
    BDRVQcow2State *s = call->bs->opaque;
    int ret;

    init_state(s);
    ret = load_image(call->bs, call->options, call->flags, call->errp);
    if (ret == 0) {
        ret = qcow2_zoned_open(call->bs, call->flags, call->errp);
    }
    if (ret < 0) {
        free_state(s);
    }
    return ret;
}

static int qcow2_open(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                      Error **errp)
{
    OpenCall call = {.bs = bs, .options = &options->u.qcow2, .flags = flags, .errp = errp};
    int ret = bdrv_run_co(bs->aio_context, open_entry, &call);

    if (ret < 0) {
        return ret;
    }
    bs->supported_zero_flags = BDRV_REQ_MAY_UNMAP | BDRV_REQ_NO_FALLBACK;
    start_cache_clean_timer(bs);
    return 0;
}

/* ---- close ---- */

/* Leave the file as a clean image: everything written, space given back, not dirty. */
static int coroutine_fn inactivate_entry(void *arg)
{
    BlockDriverState *bs = arg;
    BDRVQcow2State *s = bs->opaque;
    int ret = s->zoned ? qcow2_zoned_inactivate(bs) : 0;

    if (ret < 0) {
        return ret;
    }
    qemu_co_mutex_lock(&s->lock);
    ret = qcow2_flush_all(bs);
    if (ret == 0 && s->use_lazy_refcounts) {
        ret = qcow2_mark_clean(bs);
    }
    if (ret == 0 && s->has_reserve) {
        qcow2_cut_file(bs);
        s->has_reserve = false;
    }
    qemu_co_mutex_unlock(&s->lock);
    return ret;
}

static int coroutine_fn close_zones_entry(void *arg)
{
    qcow2_zoned_close(arg);
    return 0;
}

static void qcow2_close(BlockDriverState *bs)
{
    bdrv_run_co(bs->aio_context, close_zones_entry, bs);
    if (bs->drv && !bs->read_only) {
        /* Who needs to know of errors has flushed before. */
        bdrv_run_co(bs->aio_context, inactivate_entry, bs);
    }
    free_state(bs->opaque);
}

/* ---- moving to another thread ---- */

static int coroutine_fn wait_for_background_entry(void *arg)
{
    qcow2_zoned_wait_for_background(arg);
    return 0;
}

static void qcow2_detach_aio_context(BlockDriverState *bs)
{
    stop_cache_clean_timer(bs->opaque);
    bdrv_run_co(bs->aio_context, wait_for_background_entry, bs);
}

static void qcow2_attach_aio_context(BlockDriverState *bs, AioContext *ctx)
{
    const BDRVQcow2State *s = bs->opaque;

    assert(!s->cache_clean_timer && !(s->zoned && s->zoned->background));
    start_cache_clean_timer(bs);
}

/* ---- reopen ---- */

static int coroutine_fn reopen_writable_entry(void *arg)
{
    OpenCall *call = arg;
    BDRVQcow2State *s = call->bs->opaque;

    if (s->incompatible_features & QCOW2_INCOMPAT_CORRUPT) {
        error_setg(call->errp, "qcow2: Image is corrupt; cannot be opened read/write");
        return -EACCES;
    }
    if (s->nb_snapshots) {
        error_setg(call->errp, "Internal snapshots are not supported (this image has %" PRIu32
                   "); it can be opened read-only", s->nb_snapshots);
        return -ENOTSUP;
    }
    return refuse_dirty(s, call->errp);
}

static int qcow2_reopen_prepare(BlockDriverState *bs, const BlockdevOptions *options, int flags,
                                Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    OpenCall call = {.bs = bs, .flags = flags, .errp = errp};
    Qcow2Options new_options;
    int ret = 0;

    if (!qcow2_parse_options(bs, &options->u.qcow2, flags, &new_options, errp)) {
        return -EINVAL;
    }
    if (bs->read_only && (flags & BDRV_O_RDWR)) {
        ret = bdrv_run_co(bs->aio_context, reopen_writable_entry, &call);
    } else if (!bs->read_only) {
        ret = bdrv_run_co(bs->aio_context, inactivate_entry, bs);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not write the metadata");
        }
    }
    if (ret == 0) {
        s->next_options = g_memdup2(&new_options, sizeof(new_options));
    }
    return ret;
}

static int coroutine_fn reopened_writable_entry(void *arg)
{
    BlockDriverState *bs = arg;
    BDRVQcow2State *s = bs->opaque;
    int ret = clear_unknown_autoclear(bs, NULL);

    if (s->zoned) {
        qcow2_zoned_activate(bs);
    }
    return ret;
}

static void qcow2_reopen_commit(BlockDriverState *bs, int flags)
{
    BDRVQcow2State *s = bs->opaque;

    /* Sizes of caches stay what they are: they are not among the options that can change. */
    s->options.cache_clean_interval = s->next_options->cache_clean_interval;
    memcpy(s->options.pass_discard, s->next_options->pass_discard,
           sizeof(s->options.pass_discard));
    s->options.discard_no_unref = s->next_options->discard_no_unref;
    s->options.overlap_check = s->next_options->overlap_check;
    s->options.lazy_refcounts = s->next_options->lazy_refcounts;
    g_clear_pointer(&s->next_options, g_free);

    s->use_lazy_refcounts = (flags & BDRV_O_RDWR) && s->options.lazy_refcounts;
    if (flags & BDRV_O_RDWR) {
        bdrv_run_co(bs->aio_context, reopened_writable_entry, bs);
    }
    start_cache_clean_timer(bs);
}

static void qcow2_reopen_abort(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;

    g_clear_pointer(&s->next_options, g_free);
    if (s->zoned && !bs->read_only) {
        bdrv_run_co(bs->aio_context, reopened_writable_entry, bs);
    }
}

/* ---- limits and the table ---- */

static void qcow2_refresh_limits(BlockDriverState *bs, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;

    bs->bl.pwrite_zeroes_alignment = s->cluster_size;
    bs->bl.pdiscard_alignment = s->cluster_size;
    bs->bl.max_pwrite_zeroes = 0;
    bs->bl.max_pdiscard = 0;
    if (s->zoned) {
        qcow2_zoned_refresh_limits(bs);
    }
}

static const char *const qcow2_mutable_options[] = {
    "lazy-refcounts",    "pass-discard-request", "pass-discard-snapshot", "pass-discard-other",
    "discard-no-unref",  "overlap-check",        "cache-clean-interval",  NULL,
};

static BlockDriver bdrv_qcow2 = {
    .format_name = "qcow2",
    .instance_size = sizeof(BDRVQcow2State),
    .has_file_child = true,
    .mutable_options = qcow2_mutable_options,
    .bdrv_probe = qcow2_probe,
    .bdrv_open = qcow2_open,
    .bdrv_close = qcow2_close,
    .bdrv_detach_aio_context = qcow2_detach_aio_context,
    .bdrv_attach_aio_context = qcow2_attach_aio_context,
    .bdrv_reopen_prepare = qcow2_reopen_prepare,
    .bdrv_reopen_commit = qcow2_reopen_commit,
    .bdrv_reopen_abort = qcow2_reopen_abort,
    .bdrv_refresh_limits = qcow2_refresh_limits,
    .bdrv_co_preadv_part = qcow2_co_preadv_part,
    .bdrv_co_pwritev_part = qcow2_co_pwritev_part,
    .bdrv_co_pwrite_zeroes = qcow2_co_pwrite_zeroes,
    .bdrv_co_pdiscard = qcow2_co_pdiscard,
    .bdrv_co_flush = qcow2_co_flush,
    .bdrv_co_block_status = qcow2_co_block_status,
    .bdrv_co_truncate = qcow2_co_truncate,
    .bdrv_co_check = qcow2_co_check,
    .bdrv_co_zone_report = qcow2_co_zone_report,
    .bdrv_co_zone_mgmt = qcow2_co_zone_mgmt,
    .bdrv_co_zone_append = qcow2_co_zone_append,
    .bdrv_get_zones = qcow2_get_zones,
    .bdrv_create_check = qcow2_create_check,
    .bdrv_co_create = qcow2_co_create,
    .bdrv_co_get_info = qcow2_co_get_info,
    .bdrv_get_specific_info = qcow2_get_specific_info,
};

static void bdrv_qcow2_init(void)
{
    bdrv_register(&bdrv_qcow2);
}

block_init(bdrv_qcow2_init)
