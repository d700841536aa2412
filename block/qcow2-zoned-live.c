/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live write pointers: acknowledged writes survive the death of the process.
 *
 * The table says what a power cut leaves; after a mere crash of the process more is there, since
 * the kernel still has everything that was written.  So the completed write pointers also stand in
 * an area of the image that is mapped into memory: moving one costs a store.  The area counts only
 * while the machine has not been rebooted (boot id) and only for the session that wrote it (session
 * number); a clean close takes the session back.
 *
 * The area: a header page, then pages of a session number and 511 write pointers each (0: the table
 * says it).  A page is written through the file before its first use, so that a full disk is an
 * error of that write instead of a fault of a store.  docs/interop/qcow2-zoned.rst has the layout.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/random.h>

#include "block/qcow2-zoned.h"
#include "block/qcow2.h"
#include "qemu/bswap.h"

#define LIVE_PAGE_BYTES 4096
#define LIVE_PAGE_SLOTS (LIVE_PAGE_BYTES / 8 - 1)
#define LIVE_MAGIC UINT64_C(0x716c697665777031)
#define BOOT_ID_BYTES 16

/* Header page, big-endian; all zero: no session. */
#define LIVE_HEADER_MAGIC 0
#define LIVE_HEADER_SESSION 8
#define LIVE_HEADER_BOOT_ID 16

struct ZoneLive {
    uint8_t *area;      /* mapped, shared with the image file */
    size_t area_bytes;
    uint64_t session;
    bool has_header;    /* the header of this session has been written */
    bool *is_prepared;  /* per page of slots */
    CoMutex lock;       /* pages are prepared one at a time */
};

int64_t zone_live_area_bytes(uint32_t nr_zones)
{
    return (1 + DIV_ROUND_UP((int64_t)nr_zones, LIVE_PAGE_SLOTS)) * LIVE_PAGE_BYTES;
}

int coroutine_fn qcow2_zoned_add_live_area(BlockDriverState *bs, uint32_t nr_zones)
{
    BDRVQcow2State *s = bs->opaque;
    const int64_t page = LIVE_PAGE_BYTES;
    int64_t bytes = ROUND_UP(zone_live_area_bytes(nr_zones), s->cluster_size);
    int64_t slack = s->cluster_size < page ? page - s->cluster_size : 0;
    int64_t offset, area;
    int ret = 0;

    qemu_co_mutex_lock(&s->lock);
    offset = qcow2_alloc_clusters(bs, bytes + slack);
    if (offset >= 0) {
        area = ROUND_UP(offset, page);
        if (area > offset) {
            ret = qcow2_free_clusters(bs, offset, area - offset, QCOW2_DISCARD_NEVER);
        }
        if (ret == 0 && area + bytes < offset + bytes + slack) {
            ret = qcow2_free_clusters(bs, area + bytes, offset + slack - area,
                                      QCOW2_DISCARD_NEVER);
        }
    }
    if (offset >= 0 && ret == 0) {
        ret = qcow2_write_caches(bs);
    }
    qemu_co_mutex_unlock(&s->lock);
    if (offset < 0 || ret < 0) {
        return offset < 0 ? (int)offset : ret;
    }

    /* The header page says that there is no session; the file must reach to the end of the area. */
    ret = bdrv_co_pwrite_zeroes(bs->file, area, page, 0);
    if (ret == 0 && bdrv_co_getlength(bs->file->bs) < area + bytes) {
        ret = bdrv_co_truncate(bs->file, area + bytes, false, PREALLOC_MODE_OFF, 0, NULL);
    }
    if (ret < 0) {
        return ret;
    }
    qcow2_zoned_store_live_ext(s, area, bytes);
    return 0;
}

/* This boot of the machine; false where the system does not tell. */
static bool zone_live_boot_id(uint8_t boot_id[BOOT_ID_BYTES])
{
    g_autofree char *text = NULL;
    unsigned int n = 0;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL)) {
        return false;
    }
    for (const char *p = text; *p && n < 2 * BOOT_ID_BYTES; p++) {
        int digit = g_ascii_xdigit_value(*p);

        if (digit >= 0) {
            boot_id[n / 2] = n % 2 ? boot_id[n / 2] | digit : digit << 4;
            n++;
        }
    }
    return n == 2 * BOOT_ID_BYTES;
}

static bool zone_live_is_empty(const uint8_t *header)
{
    return buffer_is_zero(header, LIVE_PAGE_BYTES);
}

/* Raise the write pointers that page @page of session @session has further on. */
static void zone_live_apply_page(Qcow2Zoned *z, const uint8_t *content, uint32_t page, bool *found)
{
    uint32_t first = page * LIVE_PAGE_SLOTS;
    uint32_t end = MIN(first + LIVE_PAGE_SLOTS, zones_nr(z->zones));

    for (uint32_t i = first; i < end; i++) {
        uint64_t wp = ldq_be_p(content + 8 * (1 + i - first));

        if (wp == 0 || wp > INT64_MAX || zones_is_conventional(z->zones, i) ||
            (int64_t)wp <= zones_wp(z->zones, i)) {
            continue;
        }
        if (zones_load_wp(z->zones, i, wp) == 0) {
            zone_commit_mark(z->commit, i);
            *found = true;
        }
    }
}

int coroutine_fn zone_live_recover(BlockDriverState *bs, bool *found, Error **errp)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    uint32_t nr_pages = z->live_bytes / LIVE_PAGE_BYTES - 1;
    QEMU_AUTO_VFREE uint8_t *page = qemu_memalign(LIVE_PAGE_BYTES, LIVE_PAGE_BYTES);
    uint8_t boot_id[BOOT_ID_BYTES];
    uint64_t session;
    int ret;

    *found = false;
    ret = bdrv_co_pread(bs->file, z->live_offset, LIVE_PAGE_BYTES, page, 0);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Could not read the live write pointers");
        return ret;
    }
    session = ldq_be_p(page + LIVE_HEADER_SESSION);
    if (ldq_be_p(page + LIVE_HEADER_MAGIC) != LIVE_MAGIC || session == 0 ||
        !zone_live_boot_id(boot_id) ||
        memcmp(page + LIVE_HEADER_BOOT_ID, boot_id, BOOT_ID_BYTES) != 0) {
        return 0;
    }

    for (uint32_t i = 0; i < nr_pages; i++) {
        ret = bdrv_co_pread(bs->file, z->live_offset + (1 + (int64_t)i) * LIVE_PAGE_BYTES,
                            LIVE_PAGE_BYTES, page, 0);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Could not read the live write pointers");
            return ret;
        }
        if (ldq_be_p(page) == session) {
            zone_live_apply_page(z, page, i, found);
        }
    }
    return 0;
}

int coroutine_fn zone_live_forget(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    QEMU_AUTO_VFREE uint8_t *page = qemu_memalign(LIVE_PAGE_BYTES, LIVE_PAGE_BYTES);
    int ret = bdrv_co_pread(bs->file, s->zoned->live_offset, LIVE_PAGE_BYTES, page, 0);

    if (ret < 0 || zone_live_is_empty(page)) {
        return ret;
    }
    memset(page, 0, LIVE_PAGE_BYTES);
    return bdrv_co_pwrite(bs->file, s->zoned->live_offset, LIVE_PAGE_BYTES, page, BDRV_REQ_FUA);
}

ZoneLive *zone_live_start(BlockDriverState *bs)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    BlockDriverState *file_bs = bs->file->bs;
    ZoneLive *live;
    uint8_t *area;

    if (!file_bs->drv->bdrv_map_shared) {
        return NULL;
    }
    area = file_bs->drv->bdrv_map_shared(file_bs, z->live_offset, z->live_bytes, NULL);
    if (!area) {
        return NULL;
    }

    live = g_new0(ZoneLive, 1);
    live->area = area;
    live->area_bytes = z->live_bytes;
    live->is_prepared = g_new0(bool, z->live_bytes / LIVE_PAGE_BYTES);
    while (live->session == 0) {
        if (getrandom(&live->session, sizeof(live->session), 0) != sizeof(live->session)) {
            live->session = g_get_real_time();
        }
    }
    qemu_co_mutex_init(&live->lock);
    return live;
}

void zone_live_stop(BlockDriverState *bs, bool is_durable)
{
    BDRVQcow2State *s = bs->opaque;
    Qcow2Zoned *z = s->zoned;
    ZoneLive *live = z->live;

    if (!live) {
        return;
    }
    if (live->has_header && is_durable) {
        memset(live->area, 0, LIVE_PAGE_BYTES);
    }
    bs->file->bs->drv->bdrv_unmap_shared(bs->file->bs, live->area, live->area_bytes);
    g_free(live->is_prepared);
    g_free(live);
    z->live = NULL;
}

static int coroutine_fn zone_live_write_page(BlockDriverState *bs, uint32_t page,
                                             const uint8_t *content)
{
    BDRVQcow2State *s = bs->opaque;

    return bdrv_co_pwrite(bs->file, s->zoned->live_offset + (int64_t)page * LIVE_PAGE_BYTES,
                          LIVE_PAGE_BYTES, content, 0);
}

/*
 * The header comes last: it makes the session count, and pages of other sessions do not bear its
 * number.
 */
static int coroutine_fn zone_live_write_header(BlockDriverState *bs, ZoneLive *live)
{
    QEMU_AUTO_VFREE uint8_t *page = qemu_memalign(LIVE_PAGE_BYTES, LIVE_PAGE_BYTES);
    int ret;

    memset(page, 0, LIVE_PAGE_BYTES);
    stq_be_p(page + LIVE_HEADER_MAGIC, LIVE_MAGIC);
    stq_be_p(page + LIVE_HEADER_SESSION, live->session);
    if (!zone_live_boot_id(page + LIVE_HEADER_BOOT_ID)) {
        return 0; /* nobody could tell whether the pointers still hold */
    }
    ret = zone_live_write_page(bs, 0, page);
    live->has_header = ret == 0;
    return ret;
}

static int coroutine_fn zone_live_prepare_page(BlockDriverState *bs, ZoneLive *live, uint32_t page)
{
    QEMU_AUTO_VFREE uint8_t *content = qemu_memalign(LIVE_PAGE_BYTES, LIVE_PAGE_BYTES);
    int ret;

    memset(content, 0, LIVE_PAGE_BYTES);
    stq_be_p(content, live->session);
    ret = zone_live_write_page(bs, 1 + page, content);
    if (ret == 0 && !live->has_header) {
        ret = zone_live_write_header(bs, live);
    }
    live->is_prepared[page] = ret == 0;
    return ret;
}

int coroutine_fn zone_live_prepare(BlockDriverState *bs, uint32_t index)
{
    BDRVQcow2State *s = bs->opaque;
    ZoneLive *live = s->zoned->live;
    uint32_t page = index / LIVE_PAGE_SLOTS;
    int ret = 0;

    if (!live || live->is_prepared[page]) {
        return 0;
    }
    qemu_co_mutex_lock(&live->lock);
    if (!live->is_prepared[page]) {
        ret = zone_live_prepare_page(bs, live, page);
    }
    qemu_co_mutex_unlock(&live->lock);
    return ret;
}

void zone_live_set(ZoneLive *live, uint32_t index, uint64_t wp)
{
    uint32_t page = index / LIVE_PAGE_SLOTS;
    uint64_t *slots = (uint64_t *)(live->area + (1 + (size_t)page) * LIVE_PAGE_BYTES);

    if (live->is_prepared[page]) {
        __atomic_store_n(&slots[1 + index % LIVE_PAGE_SLOTS], cpu_to_be64(wp), __ATOMIC_RELAXED);
    }
}
