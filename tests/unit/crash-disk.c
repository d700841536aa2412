/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that remembers: see crash-disk.h.
 */
#include "qemu/osdep.h"

#include <sys/mman.h>

#include "block/graph-int.h"
#include "crash-disk.h"

#define PAGE_BYTES      4096
#define BOOT_ID_OFFSET  16 /* in the header page of the live write pointers */
#define STILL_IN_FLIGHT INT64_MAX

typedef struct CrashEvent {
    int64_t begin, end; /* moments */
    int64_t offset, bytes;
    uint8_t *data; /* NULL: zeroes */
    bool is_flush;
    bool is_truncate; /* to @offset */
    bool is_fua;
} CrashEvent;

typedef struct CrashDisk {
    uint8_t *memory;
    uint8_t *base; /* the content when the recording began */
    int64_t base_bytes;
    GRand *delays;
    int64_t moment;
    GPtrArray *events;  /* CrashEvent, by their beginning */
    int64_t map_offset; /* of the part that the driver above has mapped, bytes in the file */
    int64_t map_bytes;  /* 0: not mapped */
    uint8_t *map_known; /* its content as far as the events tell */
    unsigned int fail_countdown;
} CrashDisk;

/* ---- events ---- */

static void free_event(gpointer data)
{
    CrashEvent *event = data;

    g_free(event->data);
    g_free(event);
}

static CrashEvent *new_event(CrashDisk *disk, int64_t offset, int64_t bytes)
{
    CrashEvent *event = g_new0(CrashEvent, 1);

    event->begin = ++disk->moment;
    event->end = STILL_IN_FLIGHT;
    event->offset = offset;
    event->bytes = bytes;
    g_ptr_array_add(disk->events, event);
    return event;
}

/* Stores into mapped memory make no calls: find those since the last event. */
static void note_stores(CrashDisk *disk)
{
    for (int64_t at = 0; at < disk->map_bytes; at += 8) {
        const uint8_t *now = disk->memory + disk->map_offset + at;

        if (memcmp(now, disk->map_known + at, 8) != 0) {
            CrashEvent *event = new_event(disk, disk->map_offset + at, 8);

            event->data = g_memdup2(now, 8);
            event->end = event->begin;
            memcpy(disk->map_known + at, now, 8);
        }
    }
}

int64_t crash_disk_now(BlockDriverState *bs)
{
    CrashDisk *disk = bs->opaque;

    note_stores(disk);
    return ++disk->moment;
}

void crash_disk_fail_write(BlockDriverState *bs, unsigned int countdown)
{
    CrashDisk *disk = bs->opaque;

    disk->fail_countdown = countdown;
}

void crash_disk_record(BlockDriverState *bs)
{
    CrashDisk *disk = bs->opaque;

    note_stores(disk);
    for (guint i = 0; i < disk->events->len;) {
        const CrashEvent *event = g_ptr_array_index(disk->events, i);

        if (event->end == STILL_IN_FLIGHT) {
            i++; /* the driver's own work in the background */
        } else {
            g_ptr_array_remove_index(disk->events, i);
        }
    }
    g_free(disk->base);
    disk->base_bytes = bs->total_bytes;
    disk->base = g_memdup2(disk->memory, disk->base_bytes);
}

/* ---- the driver ---- */

static void coroutine_fn
dawdle(BlockDriverState *bs)
{
    CrashDisk *disk = bs->opaque;
    int turns = disk->delays ? g_rand_int_range(disk->delays, 0, 4) : 0;

    while (turns-- > 0) {
        aio_co_schedule(bs->aio_context, qemu_coroutine_self());
        qemu_coroutine_yield();
    }
}

static bool must_fail(CrashDisk *disk)
{
    return disk->fail_countdown && --disk->fail_countdown == 0;
}

static int coroutine_fn
crash_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
             size_t qiov_offset, BdrvRequestFlags flags)
{
    CrashDisk *disk = bs->opaque;

    dawdle(bs);
    qemu_iovec_from_buf(qiov, qiov_offset, disk->memory + offset, bytes);
    dawdle(bs);
    return 0;
}

static void apply_length(uint8_t *content, int64_t *bytes, int64_t new_bytes)
{
    if (new_bytes < *bytes) {
        memset(content + new_bytes, 0, *bytes - new_bytes);
    }
    *bytes = new_bytes;
}

/* Carry out @event, which lasts a while. */
static int coroutine_fn
run_change(BlockDriverState *bs, CrashEvent *event)
{
    CrashDisk *disk = bs->opaque;

    g_assert_cmpint(event->offset + event->bytes, <=, CRASH_DISK_MAX_BYTES);
    if (must_fail(disk)) {
        event->end = ++disk->moment;
        return -EIO;
    }
    note_stores(disk);
    dawdle(bs);
    if (event->is_truncate) {
        apply_length(disk->memory, &bs->total_bytes, event->offset);
    } else if (event->data) {
        memcpy(disk->memory + event->offset, event->data, event->bytes);
    } else {
        memset(disk->memory + event->offset, 0, event->bytes);
    }
    dawdle(bs);
    note_stores(disk);
    event->end = ++disk->moment;
    return 0;
}

static int coroutine_fn
crash_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes, QEMUIOVector *qiov,
              size_t qiov_offset, BdrvRequestFlags flags)
{
    CrashEvent *event = new_event(bs->opaque, offset, bytes);

    event->is_fua = flags & BDRV_REQ_FUA;
    event->data = g_malloc(bytes);
    qemu_iovec_to_buf(qiov, qiov_offset, event->data, bytes);
    return run_change(bs, event);
}

static int coroutine_fn
crash_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes, BdrvRequestFlags flags)
{
    return run_change(bs, new_event(bs->opaque, offset, bytes));
}

static int coroutine_fn
crash_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    CrashDisk *disk = bs->opaque;

    /* It is a hint, and now and then not taken.  A hole does not make a file longer. */
    bytes = MIN(bytes, bs->total_bytes - offset);
    if (disk->delays && g_rand_boolean(disk->delays)) {
        return 0;
    }
    return bytes <= 0 ? 0 : run_change(bs, new_event(bs->opaque, offset, bytes));
}

static int coroutine_fn
crash_flush(BlockDriverState *bs)
{
    CrashDisk *disk = bs->opaque;
    CrashEvent *event = new_event(disk, 0, 0);

    event->is_flush = true;
    dawdle(bs);
    note_stores(disk);
    event->end = ++disk->moment;
    return 0;
}

static int coroutine_fn
crash_truncate(BlockDriverState *bs, int64_t offset, bool exact, PreallocMode prealloc,
               BdrvRequestFlags flags, Error **errp)
{
    CrashEvent *event = new_event(bs->opaque, offset, 0);

    event->is_truncate = true;
    return run_change(bs, event);
}

static int64_t coroutine_fn
crash_getlength(BlockDriverState *bs)
{
    return bs->total_bytes;
}

static void *crash_map_shared(BlockDriverState *bs, int64_t offset, size_t bytes, Error **errp)
{
    CrashDisk *disk = bs->opaque;

    g_assert_cmpint(offset % PAGE_BYTES, ==, 0);
    g_assert_cmpint(offset + (int64_t)bytes, <=, bs->total_bytes);
    disk->map_offset = offset;
    disk->map_bytes = bytes;
    g_free(disk->map_known);
    disk->map_known = g_memdup2(disk->memory + offset, bytes);
    return disk->memory + offset;
}

static void crash_unmap_shared(BlockDriverState *bs, void *address, size_t bytes)
{
    CrashDisk *disk = bs->opaque;

    note_stores(disk);
    disk->map_bytes = 0;
}

static void crash_close(BlockDriverState *bs)
{
    CrashDisk *disk = bs->opaque;

    munmap(disk->memory, CRASH_DISK_MAX_BYTES);
    g_free(disk->base);
    g_free(disk->map_known);
    g_ptr_array_unref(disk->events);
}

static BlockDriver crash_disk_driver = {
    .format_name = "crash-disk",
    .instance_size = sizeof(CrashDisk),
    .bdrv_close = crash_close,
    .bdrv_co_preadv_part = crash_preadv,
    .bdrv_co_pwritev_part = crash_pwritev,
    .bdrv_co_pwrite_zeroes = crash_pwrite_zeroes,
    .bdrv_co_pdiscard = crash_pdiscard,
    .bdrv_co_flush = crash_flush,
    .bdrv_co_truncate = crash_truncate,
    .bdrv_co_getlength = crash_getlength,
    .bdrv_map_shared = crash_map_shared,
    .bdrv_unmap_shared = crash_unmap_shared,
};

BlockDriverState *crash_disk_new(const char *node_name, const uint8_t *content, int64_t bytes,
                                 GRand *delays)
{
    BlockDriverState *bs = bdrv_new_node(node_name, &error_abort);
    CrashDisk *disk = g_new0(CrashDisk, 1);

    g_assert_cmpint(bytes, <=, CRASH_DISK_MAX_BYTES);
    disk->memory = mmap(NULL, CRASH_DISK_MAX_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    g_assert_true(disk->memory != MAP_FAILED);
    memcpy(disk->memory, content, bytes);
    disk->delays = delays;
    disk->events = g_ptr_array_new_with_free_func(free_event);
    bs->drv = &crash_disk_driver;
    bs->opaque = disk;
    bs->read_only = false;
    bs->open_flags = BDRV_O_RDWR | BDRV_O_UNMAP;
    bs->is_growable = true;
    bs->total_bytes = ROUND_UP(bytes, BDRV_SECTOR_SIZE);
    bs->supported_write_flags = BDRV_REQ_FUA;
    bdrv_refresh_limits(bs, &error_abort);
    return bs;
}

/* ---- what a crash leaves ---- */

/* What had ended before this moment is durable at @moment. */
static int64_t durable_before(const CrashDisk *disk, int64_t moment)
{
    int64_t before = 0;

    for (guint i = 0; i < disk->events->len; i++) {
        const CrashEvent *event = g_ptr_array_index(disk->events, i);

        if (event->is_flush && event->end <= moment) {
            before = MAX(before, event->begin);
        }
    }
    return before;
}

static void apply_sectors(uint8_t *content, int64_t *bytes, const CrashEvent *event, int64_t from,
                          int64_t count)
{
    int64_t offset = event->offset + from;

    if (event->is_truncate) {
        apply_length(content, bytes, offset);
        return;
    }
    if (event->data) {
        memcpy(content + offset, event->data + from, count);
    } else {
        memset(content + offset, 0, count);
    }
    *bytes = MAX(*bytes, offset + count);
}

/* An event that may have happened, in part or not at all; @chance percent of it has. */
static void apply_maybe(uint8_t *content, int64_t *bytes, const CrashEvent *event, int chance,
                        GRand *rand)
{
    bool is_torn = event->bytes > BDRV_SECTOR_SIZE && g_rand_int_range(rand, 0, 4) == 0;

    if (!is_torn) {
        if (g_rand_int_range(rand, 0, 100) < chance) {
            apply_sectors(content, bytes, event, 0, event->bytes);
        }
        return;
    }
    for (int64_t at = 0; at < event->bytes; at += BDRV_SECTOR_SIZE) {
        if (g_rand_int_range(rand, 0, 100) < chance) {
            apply_sectors(content, bytes, event, at, MIN(BDRV_SECTOR_SIZE, event->bytes - at));
        }
    }
}

uint8_t *crash_disk_after(BlockDriverState *bs, CrashKind kind, int64_t moment, GRand *rand,
                          int64_t *bytes)
{
    static const int chances[] = {0, 5, 50, 50, 95, 100};
    CrashDisk *disk = bs->opaque;
    uint8_t *content = g_malloc0(CRASH_DISK_MAX_BYTES);
    int chance = chances[g_rand_int_range(rand, 0, ARRAY_SIZE(chances))];
    int64_t sure_before = kind == CRASH_OF_PROCESS ? moment + 1 : durable_before(disk, moment);

    note_stores(disk);
    memcpy(content, disk->base, disk->base_bytes);
    *bytes = disk->base_bytes;
    for (guint i = 0; i < disk->events->len; i++) {
        const CrashEvent *event = g_ptr_array_index(disk->events, i);

        if (event->begin > moment || event->is_flush) {
            continue;
        }
        if (event->end < sure_before || (event->is_fua && event->end <= moment)) {
            apply_sectors(content, bytes, event, 0, event->bytes);
        } else {
            apply_maybe(content, bytes, event, chance, rand);
        }
    }
    *bytes = ROUND_UP(*bytes, BDRV_SECTOR_SIZE);
    if (kind == CRASH_OF_POWER && disk->map_offset) {
        content[disk->map_offset + BOOT_ID_OFFSET]++; /* never back to what it was */
    }
    return content;
}
