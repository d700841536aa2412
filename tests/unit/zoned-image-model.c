/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model of a zoned image, and what tests of zoned images share: see zoned-image-model.h.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <glib/gstdio.h>

#include "block/block-create.h"
#include "zoned-image-model.h"

/* ---- the model ---- */

ImageModel *image_model_new(const ZonesGeometry *geometry)
{
    ImageModel *model = g_new0(ImageModel, 1);

    model->zones = model_new(geometry);
    model->size = geometry->device_size;
    model->data = g_malloc0(model->size);
    return model;
}

void image_model_free(ImageModel *model)
{
    model_free(model->zones);
    g_free(model->data);
    g_free(model);
}

void image_model_restart(ImageModel *model)
{
    for (unsigned int i = 0; i < model->zones->nr_zones; i++) {
        ModelZone *zone = &model->zones->zones[i];

        if (zone->state == BLK_ZS_IOPEN || zone->state == BLK_ZS_EOPEN) {
            zone->state = zone->wp == zone->start ? BLK_ZS_EMPTY : BLK_ZS_CLOSED;
        }
    }
}

static bool is_inside(const ImageModel *model, int64_t offset, int64_t bytes)
{
    return offset >= 0 && offset <= model->size && bytes <= model->size - offset;
}

static bool is_conventional(const ImageModel *model, int64_t offset)
{
    return model_zone_at(model->zones, offset)->state == BLK_ZS_NOT_WP;
}

int image_model_write_begin(ImageModel *model, ModelWrite *write, int64_t offset, int64_t bytes)
{
    *write = (ModelWrite){.bytes = 0};
    if (!is_inside(model, offset, bytes)) {
        return -EIO;
    }
    if (bytes == 0) {
        return 0;
    }
    if (is_conventional(model, offset)) {
        return is_conventional(model, offset + bytes - 1) ? 0 : -ZONE_ERR_PAST_CAPACITY;
    }
    return model_write_begin(model->zones, write, offset, bytes);
}

int image_model_append_begin(ImageModel *model, ModelWrite *write, int64_t offset, int64_t bytes)
{
    const ZonesGeometry *geometry = &model->zones->geometry;

    *write = (ModelWrite){.bytes = 0};
    if (!is_inside(model, offset, 0) || offset == model->size ||
        offset % geometry->zone_size != 0 || bytes == 0 || bytes > geometry->max_append_bytes ||
        bytes % geometry->write_granularity != 0) {
        return -EINVAL;
    }
    return model_append_begin(model->zones, write, offset, bytes);
}

int image_model_random_access(ImageModel *model, int64_t offset, int64_t bytes)
{
    if (!is_inside(model, offset, bytes)) {
        return -EIO;
    }
    if (bytes == 0) {
        return 0;
    }
    if (!is_conventional(model, offset)) {
        return -ENOTSUP;
    }
    return is_conventional(model, offset + bytes - 1) ? 0 : -ZONE_ERR_PAST_CAPACITY;
}

int image_model_mgmt_range(const ImageModel *model, int64_t offset, int64_t len)
{
    int64_t zone_size = model->zones->geometry.zone_size;
    bool is_to_end = len == model->size - offset;

    if (offset >= model->size || offset % zone_size != 0 || len <= 0 ||
        (len % zone_size != 0 && !is_to_end)) {
        return -EINVAL;
    }
    return len > model->size - offset ? -EIO : 0;
}

void image_model_settle(ImageModel *model, ModelWrite *write)
{
    g_autoptr(GPtrArray) answered = g_ptr_array_new();

    model_write_end(model->zones, write, 0, answered);
    g_assert_cmpuint(answered->len, ==, 1);
    g_assert_true(g_ptr_array_index(answered, 0) == write);
}

void image_model_apply(ImageModel *model, BlockZoneOp op, int64_t offset, int64_t len)
{
    model_mgmt_apply(model->zones, op, offset, len);
    for (unsigned int i = 0; op == BLK_ZO_RESET && i < model->zones->nr_zones; i++) {
        const ModelZone *zone = &model->zones->zones[i];

        if (zone->start >= offset && zone->start < offset + len && zone->state == BLK_ZS_EMPTY) {
            memset(model->data + zone->start, 0, zone->length);
        }
    }
}

void zone_report(BlockBackend *blk, unsigned int nr_zones, BlockZoneDescriptor *zones)
{
    unsigned int nr_reported = nr_zones + 1;

    g_assert_cmpint(blk_zone_report(blk, 0, &nr_reported, zones), ==, 0);
    g_assert_cmpuint(nr_reported, ==, nr_zones);
}

void image_model_check_report(const ImageModel *model, BlockBackend *blk)
{
    unsigned int nr_zones = model->zones->nr_zones;
    g_autofree BlockZoneDescriptor *real = g_new0(BlockZoneDescriptor, nr_zones + 1);

    zone_report(blk, nr_zones, real);
    for (unsigned int i = 0; i < nr_zones; i++) {
        BlockZoneDescriptor wanted = {0};

        model_describe(&model->zones->zones[i], &wanted);
        g_assert_cmpint(real[i].start, ==, wanted.start);
        g_assert_cmpint(real[i].length, ==, wanted.length);
        g_assert_cmpint(real[i].cap, ==, wanted.cap);
        g_assert_cmpint(real[i].type, ==, wanted.type);
        g_assert_cmpint(real[i].state, ==, wanted.state);
        g_assert_cmpint(real[i].wp, ==, wanted.wp);
    }
}

void image_model_check_data(const ImageModel *model, BlockBackend *blk)
{
    g_autofree uint8_t *buf = g_malloc(model->size);

    g_assert_cmpint(blk_pread(blk, 0, model->size, buf, 0), ==, 0);
    g_assert_cmpmem(buf, model->size, model->data, model->size);
}

/* ---- stamps ---- */

void stamp_fill(void *buf, int64_t offset, int64_t bytes, uint32_t number)
{
    uint64_t *words = buf;

    for (int64_t i = 0; i < bytes / 8; i++) {
        words[i] = (uint64_t)number << STAMP_BITS | (uint64_t)(offset + i * 8);
    }
}

uint32_t stamp_read(const void *sector, int64_t offset)
{
    const uint64_t *words = sector;
    uint32_t number = words[0] >> STAMP_BITS;

    if (number & STAMP_FLOATING) {
        offset = words[0] & ((UINT64_C(1) << STAMP_BITS) - 1);
    }
    for (int64_t i = 0; i < BDRV_SECTOR_SIZE / 8; i++) {
        uint64_t wanted = number ? (uint64_t)number << STAMP_BITS | (uint64_t)(offset + i * 8) : 0;

        g_assert_cmphex(words[i], ==, wanted);
    }
    return number;
}

/* ---- images ---- */

void random_geometry(GRand *rand, int64_t cluster_size, int64_t most, ZonesGeometry *geometry)
{
    int64_t wanted_zone_size = 64 * KiB << g_rand_int_range(rand, 0, 3);
    int64_t zone_size = MAX(wanted_zone_size, cluster_size);
    uint32_t nr_zones = g_rand_int_range(rand, 3, MAX(MIN(most / zone_size, 20), 4));
    uint32_t nr_conventional = g_rand_int_range(rand, 0, MIN(nr_zones, 4));
    uint32_t nr_sequential = nr_zones - nr_conventional;

    *geometry = (ZonesGeometry){
        .device_size = nr_zones * zone_size,
        .zone_size = zone_size,
        .zone_capacity = zone_size,
        .nr_conventional = nr_conventional,
        .max_append_bytes = 512 << g_rand_int_range(rand, 0, 10),
        .write_granularity = 512,
    };
    if (g_rand_boolean(rand)) {
        geometry->zone_capacity = g_rand_int_range(rand, 1, zone_size / 512 + 1) * 512;
    }
    geometry->max_append_bytes = MIN(geometry->max_append_bytes, geometry->zone_capacity);
    if (g_rand_boolean(rand)) {
        geometry->device_size -= g_rand_int_range(rand, 0, zone_size / 512) * 512;
    }
    if (g_rand_boolean(rand)) {
        geometry->max_active_zones = g_rand_int_range(rand, 1, nr_sequential + 1);
    }
    if (g_rand_boolean(rand)) {
        uint32_t limit = geometry->max_active_zones ? geometry->max_active_zones : nr_sequential;

        geometry->max_open_zones = g_rand_int_range(rand, 1, limit + 1);
    }
}

char *make_test_dir(const char *name)
{
    const char *parent = g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir();
    char *dir = g_strdup_printf("%s/%s-XXXXXX", parent, name);

    g_assert_nonnull(g_mkdtemp(dir));
    return dir;
}

void remove_test_dir(char *dir)
{
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(entries))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_unlink(path);
    }
    g_rmdir(dir);
    g_free(dir);
}

static void set_number(json_t *words, const char *word, int64_t value)
{
    g_autofree char *text = g_strdup_printf("%" PRId64, value);

    json_object_set_new(words, word, json_string(text));
}

void make_zoned_image(const char *path, int64_t cluster_size, const ZonesGeometry *geometry)
{
    json_t *words = json_pack("{s:s}", "zone_model", "host-managed");

    set_number(words, "cluster_size", cluster_size);
    set_number(words, "zone_size", geometry->zone_size);
    set_number(words, "zone_capacity", geometry->zone_capacity);
    set_number(words, "conventional_zones", geometry->nr_conventional);
    set_number(words, "max_open_zones", geometry->max_open_zones);
    set_number(words, "max_active_zones", geometry->max_active_zones);
    set_number(words, "max_append_bytes", geometry->max_append_bytes);
    g_assert_true(bdrv_img_create(path, "qcow2", words, geometry->device_size, BDRV_CREATE_QUIET, &error_abort));
}

BlockBackend *open_image(const char *path, int flags)
{
    json_t *options = json_pack("{s:s, s:{s:s, s:s}}", "driver", "qcow2", "file", "driver", "file",
                                "filename", path);

    return blk_new_open(NULL, NULL, options, flags, false, &error_abort);
}

typedef struct Check {
    BlockDriverState *bs;
    BdrvCheckResult result;
} Check;

static int coroutine_fn
check_entry(void *arg)
{
    Check *check = arg;

    return bdrv_co_check(check->bs, &check->result, 0);
}

/* check names every leaked cluster: nobody wants to read that thousands of times. */
static void silently_check(BlockBackend *blk, Check *check)
{
    int saved = dup(STDERR_FILENO);
    int nowhere = open("/dev/null", O_WRONLY);

    fflush(stderr);
    dup2(nowhere, STDERR_FILENO);
    g_assert_cmpint(bdrv_run_co(blk_get_aio_context(blk), check_entry, check), ==, 0);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(nowhere);
    close(saved);
}

void check_image(BlockBackend *blk, bool may_leak)
{
    Check check = {.bs = blk_bs(blk)};
    const BdrvCheckResult *found = &check.result;

    silently_check(blk, &check);
    if (found->check_errors || found->corruptions || (found->leaks && !may_leak)) {
        /* Once more, to be read. */
        bdrv_run_co(blk_get_aio_context(blk), check_entry, &check);
        g_error("check found %d corruptions, %d leaks and %d errors", found->corruptions,
                found->leaks, found->check_errors);
    }
}
