/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Promises of the drivers at the ends of the request path: file with each engine, buffered and with
 * O_DIRECT, its locks as another process sees them, raw's window, and the null drivers.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "block/block-create.h"
#include "block/block_int.h"
#include "qemu/buffer.h"

static char *test_dir;

static char *test_path(const char *name)
{
    return g_build_filename(test_dir, name, NULL);
}

/* A file of @size bytes, all @byte. */
static char *make_file(const char *name, size_t size, uint8_t byte)
{
    char *path = test_path(name);
    g_autofree char *content = g_malloc(size);

    memset(content, byte, size);
    g_assert_true(g_file_set_contents(path, content, size, NULL));
    return path;
}

/*
 * Open an option tree (printf-style JSON) and hold it with all permissions, all shared; NULL with
 * @errp set.
 */
static BdrvChild *open_json(int flags, Error **errp, const char *format, ...) G_GNUC_PRINTF(3, 4);
static BdrvChild *open_json(int flags, Error **errp, const char *format, ...)
{
    g_autofree char *text = NULL;
    BlockDriverState *bs;
    json_t *options;
    uint64_t perm = BLK_PERM_CONSISTENT_READ;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    options = json_loads(text, 0, NULL);
    g_assert_nonnull(options);
    bs = bdrv_open(NULL, NULL, options, flags, errp);
    if (!bs) {
        return NULL;
    }
    if (flags & BDRV_O_RDWR) {
        perm |= BLK_PERM_WRITE | BLK_PERM_RESIZE;
    }
    return bdrv_root_attach_child(bs, "test", NULL, perm, BLK_PERM_ALL, errp);
}

/* ---- requests a test needs that have no waiting form ---- */

typedef struct Range {
    BdrvChild *child;
    int64_t offset;
    int64_t bytes;
    BdrvRequestFlags flags;
    int64_t *pnum;
    BlockZoneOp op;
} Range;

static int coroutine_fn zeroes_entry(void *arg)
{
    Range *range = arg;

    return bdrv_co_pwrite_zeroes(range->child, range->offset, range->bytes, range->flags);
}

static int coroutine_fn discard_entry(void *arg)
{
    Range *range = arg;

    return bdrv_co_pdiscard(range->child, range->offset, range->bytes);
}

static int coroutine_fn status_entry(void *arg)
{
    Range *range = arg;
    BlockDriverState *file;
    int64_t map;

    return bdrv_co_block_status(range->child->bs, range->offset, range->bytes, range->pnum, &map,
                                &file);
}

static int coroutine_fn mgmt_entry(void *arg)
{
    Range *range = arg;

    return bdrv_co_zone_mgmt(range->child->bs, range->op, range->offset, range->bytes);
}

static int run_range(BdrvCoFunc *func, Range range)
{
    return bdrv_run_co(range.child->bs->aio_context, func, &range);
}

/* ---- the file driver ---- */

static void check_content(BdrvChild *child, int64_t offset, int64_t bytes, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(bytes);

    g_assert_cmpint(bdrv_pread(child, offset, bytes, buf, 0), ==, 0);
    for (int64_t i = 0; i < bytes; i++) {
        g_assert_cmphex(buf[i], ==, byte);
    }
}

typedef struct FileMode {
    const char *aio;
    bool is_direct;
} FileMode;

static void test_data(const void *opaque)
{
    const FileMode *mode = opaque;
    g_autofree char *path = make_file("data", MiB + 100, 0x11);
    g_autoptr(Error) err = NULL;
    uint8_t buf[3000];
    BdrvChild *child = open_json(BDRV_O_RDWR | BDRV_O_UNMAP, &err,
                                 "{\"driver\": \"file\", \"filename\": \"%s\", \"aio\": \"%s\","
                                 " \"cache\": {\"direct\": %s}}",
                                 path, mode->aio, mode->is_direct ? "true" : "false");

    if (!child) {
        g_test_skip(error_get_pretty(err));
        return;
    }
    g_assert_cmpint(child->bs->total_bytes, ==, MiB + 512);
    memset(buf, 0x22, sizeof(buf));
    g_assert_cmpint(bdrv_pwrite(child, 1001, sizeof(buf), buf, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 2 * MiB + 7, 512, buf, BDRV_REQ_FUA), ==, 0);
    g_assert_cmpint(run_range(zeroes_entry, (Range){.child = child, .offset = 99999,
                              .bytes = 54321}), ==, 0);
    g_assert_cmpint(bdrv_flush(child->bs), ==, 0);
    check_content(child, 0, 1001, 0x11);
    check_content(child, 1001, 3000, 0x22);
    check_content(child, 4001, 99999 - 4001, 0x11);
    check_content(child, 99999, 54321, 0);
    check_content(child, 99999 + 54321, MiB + 100 - 99999 - 54321, 0x11);
    check_content(child, MiB + 100, MiB - 93, 0);
    check_content(child, 2 * MiB + 7, 512, 0x22);
    check_content(child, 2 * MiB + 519, 3 * MiB, 0);
    bdrv_detach_child(child);
    unlink(path);
}

static void test_holes(void)
{
    g_autofree char *path = make_file("holes", MiB, 0x11);
    int64_t pnum;
    BdrvChild *child = open_json(BDRV_O_RDWR | BDRV_O_UNMAP, &error_abort,
                                 "{\"driver\": \"raw\", \"file\": {\"driver\": \"file\","
                                 " \"filename\": \"%s\"}}", path);
    int64_t before = bdrv_get_allocated_file_size(child->bs);

    g_assert_cmpint(run_range(discard_entry, (Range){.child = child, .offset = 256 * KiB,
                              .bytes = 512 * KiB}), ==, 0);
    check_content(child, 256 * KiB, 512 * KiB, 0);
    g_assert_cmpint(bdrv_get_allocated_file_size(child->bs), <=, before - 512 * KiB);
    g_assert_cmphex(run_range(status_entry, (Range){.child = child, .offset = 4096, .bytes = MiB,
                              .pnum = &pnum}) & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO), ==,
                    BDRV_BLOCK_DATA);
    g_assert_cmpint(pnum, ==, 252 * KiB);
    g_assert_cmphex(run_range(status_entry, (Range){.child = child, .offset = 256 * KiB,
                              .bytes = MiB, .pnum = &pnum}) & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO),
                    ==, BDRV_BLOCK_ZERO);
    g_assert_cmpint(pnum, ==, 512 * KiB);
    g_assert_cmpint(run_range(zeroes_entry, (Range){.child = child, .offset = 0, .bytes = 128 * KiB,
                              .flags = BDRV_REQ_MAY_UNMAP}), ==, 0);
    g_assert_cmpint(bdrv_get_allocated_file_size(child->bs), <=, before - 640 * KiB);
    check_content(child, 0, 128 * KiB, 0);
    bdrv_detach_child(child);
    unlink(path);
}

static void test_truncate(void)
{
    g_autofree char *path = make_file("truncate", 4096, 0x11);
    g_autoptr(Error) err = NULL;
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"file\", \"filename\": \"%s\"}", path);

    g_assert_cmpint(bdrv_truncate(child, MiB, true, PREALLOC_MODE_OFF, 0, &error_abort), ==, 0);
    g_assert_cmpint(bdrv_getlength(child->bs), ==, MiB);
    g_assert_cmpint(bdrv_get_allocated_file_size(child->bs), <, 512 * KiB);
    g_assert_cmpint(bdrv_truncate(child, 2 * MiB, true, PREALLOC_MODE_FALLOC, 0, &error_abort),
                    ==, 0);
    g_assert_cmpint(bdrv_get_allocated_file_size(child->bs), >=, MiB);
    g_assert_cmpint(bdrv_truncate(child, 3 * MiB, true, PREALLOC_MODE_FULL, 0, &error_abort), ==, 0);
    g_assert_cmpint(bdrv_get_allocated_file_size(child->bs), >=, 2 * MiB);
    check_content(child, 4096, 3 * MiB - 4096, 0);
    g_assert_cmpint(bdrv_truncate(child, MiB, true, PREALLOC_MODE_FULL, 0, &err), ==, -EINVAL);
    g_assert_cmpint(bdrv_truncate(child, 512, true, PREALLOC_MODE_OFF, 0, &error_abort), ==, 0);
    g_assert_cmpint(child->bs->total_bytes, ==, 512);
    bdrv_detach_child(child);
    unlink(path);
}

static void test_shared_memory(void)
{
    g_autofree char *path = make_file("map", 8192, 0x11);
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"file\", \"filename\": \"%s\"}", path);
    BlockDriver *drv = child->bs->drv;
    uint8_t *memory = drv->bdrv_map_shared(child->bs, 4096, 4096, &error_abort);

    g_assert_cmphex(memory[5], ==, 0x11);
    memset(memory, 0x33, 4096);
    drv->bdrv_unmap_shared(child->bs, memory, 4096);
    check_content(child, 4096, 4096, 0x33);
    bdrv_detach_child(child);
    unlink(path);
}

static void test_wrong_file_types(void)
{
    g_autoptr(Error) directory = NULL;
    g_autoptr(Error) device = NULL;
    g_autoptr(Error) missing = NULL;

    g_assert_null(open_json(0, &directory, "{\"driver\": \"file\", \"filename\": \"%s\"}",
                            test_dir));
    g_assert_nonnull(strstr(error_get_pretty(directory), "is a directory"));
    g_assert_null(open_json(0, &device, "{\"driver\": \"host_device\", \"filename\": \"/dev/null\"}"));
    g_assert_nonnull(strstr(error_get_pretty(device), "to be a block device"));
    g_assert_null(open_json(0, &missing, "{\"driver\": \"file\", \"filename\": \"%s/nothing\"}",
                            test_dir));
    g_assert_nonnull(strstr(error_get_pretty(missing), "No such file or directory"));
}

/* ---- locks ---- */

/*
 * Which of the bytes 100 to 203 another process sees locked, as a bit mask: used ones from bit 0,
 * unshared ones from 8.
 */
static int bytes_seen_by_others(const char *path)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open(path, O_RDWR);
        int mask = 0;

        for (int i = 0; i < 8; i++) {
            struct flock lock = {
                .l_type = F_WRLCK, .l_whence = SEEK_SET,
                .l_start = (i < 4 ? 100 : 200 - 4) + i, .l_len = 1,
            };

            if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) {
                mask |= 1 << i;
            }
        }
        _exit(mask);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WEXITSTATUS(status);
}

static void test_locks_are_seen(void)
{
    g_autofree char *path = make_file("locks", 4096, 0);
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"file\", \"filename\": \"%s\"}", path);

    g_assert_cmphex(bytes_seen_by_others(path), ==, 0x0b);
    /* As qcow2 uses its file: write and resize are not shared. */
    bdrv_child_try_set_perm(child, BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE,
                            BLK_PERM_ALL & ~(BLK_PERM_WRITE | BLK_PERM_RESIZE), &error_abort);
    g_assert_cmphex(bytes_seen_by_others(path), ==, 0xab);
    bdrv_child_try_set_perm(child, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL, &error_abort);
    g_assert_cmphex(bytes_seen_by_others(path), ==, 0x01);
    bdrv_detach_child(child);
    g_assert_cmphex(bytes_seen_by_others(path), ==, 0);
    child = open_json(BDRV_O_RDWR, &error_abort,
                      "{\"driver\": \"file\", \"filename\": \"%s\", \"locking\": \"off\"}", path);
    g_assert_cmphex(bytes_seen_by_others(path), ==, 0);
    bdrv_detach_child(child);
    unlink(path);
}

/* Lock @byte of the file for as long as the descriptor that is returned is open. */
static int lock_like_another(const char *path, off_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int fd = open(path, O_RDWR);

    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    return fd;
}

static void test_conflicts_are_found(void)
{
    g_autofree char *path = make_file("conflict", 4096, 0);
    g_autofree char *hint = g_strdup_printf("Is another process using the image [%s]?\n", path);
    g_autoptr(Error) in_use = NULL;
    g_autoptr(Error) not_shared = NULL;
    int other = lock_like_another(path, 201);
    BdrvChild *child;

    g_assert_null(open_json(BDRV_O_RDWR, &in_use, "{\"driver\": \"file\", \"filename\": \"%s\"}",
                            path));
    g_assert_cmpstr(error_get_pretty(in_use), ==, "Failed to get \"write\" lock");
    g_assert_cmpstr(error_get_hint(in_use), ==, hint);
    close(other);

    other = lock_like_another(path, 101);
    child = open_json(BDRV_O_RDWR, &error_abort, "{\"driver\": \"file\", \"filename\": \"%s\"}",
                      path);
    g_assert_cmpint(bdrv_child_try_set_perm(child, BLK_PERM_CONSISTENT_READ,
                                            BLK_PERM_ALL & ~BLK_PERM_WRITE, &not_shared), <, 0);
    g_assert_cmpstr(error_get_pretty(not_shared), ==, "Failed to get shared \"write\" lock");
    close(other);
    /* A refused change leaves what was held. */
    g_assert_cmphex(bytes_seen_by_others(path), ==, 0x0b);
    bdrv_detach_child(child);
    unlink(path);
}

/* ---- raw ---- */

static void test_raw_window(void)
{
    g_autofree char *path = make_file("window", 64 * KiB, 0x11);
    g_autoptr(Error) err = NULL;
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"raw\", \"offset\": 4096, \"size\": 8192, \"file\":"
                                 " {\"driver\": \"file\", \"filename\": \"%s\"}}", path);

    g_assert_cmpint(child->bs->total_bytes, ==, 8192);
    g_assert_cmpint(bdrv_pwrite(child, 8191, 1, "x", 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 8191, 2, "xx", 0), ==, -EIO);
    g_assert_cmpint(bdrv_truncate(child, 4096, true, PREALLOC_MODE_OFF, 0, &err), ==, -ENOTSUP);
    bdrv_detach_child(child);
    g_clear_pointer(&err, error_free);
    g_assert_null(open_json(0, &err, "{\"driver\": \"raw\", \"offset\": 4096, \"size\": 65536,"
                            " \"file\": {\"driver\": \"file\", \"filename\": \"%s\"}}", path));
    g_assert_nonnull(strstr(error_get_pretty(err), "65536"));
    unlink(path);
}

static void test_probed_raw_is_guarded(void)
{
    g_autofree char *path = make_file("probed", 64 * KiB, 0);
    static const uint8_t magic[8] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"raw\", \"file\": {\"driver\": \"file\","
                                 " \"filename\": \"%s\"}}", path);

    child->bs->probed = true;
    /* What is there already counts as much as what is written. */
    g_assert_cmpint(bdrv_pwrite(child, 4, 4, magic + 4, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 0, 4, magic, 0), ==, -EPERM);
    g_assert_cmpint(bdrv_pwrite(child, 0, 8, magic, 0), ==, -EPERM);
    g_assert_cmpint(bdrv_pwrite(child, 0, 8, "harmless", 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 4096, 8, magic, 0), ==, 0);
    child->bs->probed = false;
    g_assert_cmpint(bdrv_pwrite(child, 0, 8, magic, 0), ==, 0);
    bdrv_detach_child(child);
    unlink(path);
}

/* ---- creation and reopening ---- */

static int coroutine_fn create_entry(void *arg)
{
    Error *err = NULL;
    int ret = bdrv_co_create(arg, &err);

    g_clear_pointer(&err, error_free);
    return ret;
}

static void test_create_respects_users(void)
{
    g_autofree char *path = test_path("created");
    BlockdevCreateOptions options = {
        .driver = BLOCKDEV_DRIVER_FILE,
        .u.file = {.filename = path, .size = MiB},
    };
    AioContext *ctx = qemu_get_aio_context();
    BdrvChild *child;
    struct stat st;

    g_assert_cmpint(bdrv_run_co(ctx, create_entry, &options), ==, 0);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, MiB);
    child = open_json(BDRV_O_RDWR, &error_abort, "{\"driver\": \"file\", \"filename\": \"%s\"}",
                      path);
    bdrv_child_try_set_perm(child, BLK_PERM_CONSISTENT_READ, BLK_PERM_ALL & ~BLK_PERM_WRITE,
                            &error_abort);
    options.u.file.size = 512;
    g_assert_cmpint(bdrv_run_co(ctx, create_entry, &options), ==, -EAGAIN);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, MiB);
    bdrv_detach_child(child);
    unlink(path);
    options.u.file.has_preallocation = true;
    options.u.file.preallocation = PREALLOC_MODE_METADATA;
    g_assert_cmpint(bdrv_run_co(ctx, create_entry, &options), ==, -ENOTSUP);
    g_assert_cmpint(stat(path, &st), <, 0);
}

static void test_reopen_keeps_the_locks(void)
{
    g_autofree char *path = make_file("reopen", 4096, 0x11);
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"file\", \"filename\": \"%s\"}", path);

    g_assert_cmpuint(child->bs->bl.request_alignment, ==, 1);
    g_assert_cmpint(bdrv_reopen(child->bs, NULL, child->bs->open_flags | BDRV_O_NOCACHE,
                                &error_abort), ==, 0);
    g_assert_cmpuint(child->bs->bl.request_alignment, >=, 512);
    g_assert_cmphex(bytes_seen_by_others(path), ==, 0x0b);
    g_assert_cmpint(bdrv_pwrite(child, 100, 3, "abc", 0), ==, 0);
    check_content(child, 103, 3993, 0x11);
    bdrv_detach_child(child);
    unlink(path);
}

/* ---- null ---- */

static void test_null_reads_zeroes(const void *driver)
{
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"%s\", \"read-zeroes\": true, \"size\": 1048576}",
                                 (const char *)driver);

    g_assert_cmpint(child->bs->total_bytes, ==, MiB);
    g_assert_cmpint(bdrv_pwrite(child, 5, 3, "abc", 0), ==, 0);
    check_content(child, 0, 64 * KiB, 0);
    bdrv_detach_child(child);
}

static void test_null_zoned(void)
{
    BdrvChild *child = open_json(BDRV_O_RDWR, &error_abort,
                                 "{\"driver\": \"raw\", \"file\": {\"driver\": \"null-co\","
                                 " \"size\": 67108864, \"zone\": {\"mode\": \"host-managed\","
                                 " \"size\": 1048576, \"conventional-zones\": 2}}}");
    g_autofree uint8_t *buf = g_malloc0(64 * KiB);
    Range range = {.child = child, .op = BLK_ZO_RESET, .offset = 2 * MiB, .bytes = MiB};

    g_assert_cmpint(bdrv_pwrite(child, 512, 512, buf, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 2 * MiB, 64 * KiB, buf, 0), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 2 * MiB, 64 * KiB, buf, 0), ==, -ZONE_ERR_NOT_AT_WP);
    g_assert_cmpint(bdrv_pwrite(child, 2 * MiB + 64 * KiB, 4096, buf, 0), ==, 0);
    g_assert_cmpint(run_range(zeroes_entry, (Range){.child = child, .offset = 3 * MiB,
                              .bytes = 4096}), ==, -ENOTSUP);
    g_assert_cmpint(run_range(mgmt_entry, range), ==, 0);
    g_assert_cmpint(bdrv_pwrite(child, 2 * MiB, 4096, buf, 0), ==, 0);
    range.bytes = 512;
    g_assert_cmpint(run_range(mgmt_entry, range), ==, -EINVAL);
    range.bytes = 64 * MiB;
    g_assert_cmpint(run_range(mgmt_entry, range), ==, -EIO);
    range.bytes = 62 * MiB;
    g_assert_cmpint(run_range(mgmt_entry, range), ==, 0);
    range.offset = 2 * MiB + 4096;
    g_assert_cmpint(run_range(mgmt_entry, range), ==, -EINVAL);
    range.child->bs->read_only = true;
    g_assert_cmpint(run_range(mgmt_entry, range), ==, -EPERM);
    bdrv_detach_child(child);
}

int main(int argc, char **argv)
{
    static const FileMode modes[] = {
        {"threads", false}, {"io_uring", false}, {"threads", true}, {"io_uring", true},
        {"native", true},
    };
    /* Not in a memory file system, where there may be no O_DIRECT. */
    g_autofree char *here = g_get_current_dir();
    g_autofree char *template = g_build_filename(here, "test-block-file-XXXXXX", NULL);
    int ret;

    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    bdrv_init();
    test_dir = g_mkdtemp(template);
    g_assert_nonnull(test_dir);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *name = g_strdup_printf("/file/data/%s-%s", modes[i].aio,
                                                modes[i].is_direct ? "direct" : "buffered");

        g_test_add_data_func(name, &modes[i], test_data);
    }
    g_test_add_func("/file/holes-read-as-zeroes-and-take-no-space", test_holes);
    g_test_add_func("/file/truncate-preallocates", test_truncate);
    g_test_add_func("/file/shared-memory-is-the-file", test_shared_memory);
    g_test_add_func("/file/wrong-types-are-refused", test_wrong_file_types);
    g_test_add_func("/file/lock/others-see-what-is-used", test_locks_are_seen);
    g_test_add_func("/file/lock/conflicts-are-found", test_conflicts_are_found);
    g_test_add_func("/raw/window-is-kept", test_raw_window);
    g_test_add_func("/raw/a-guessed-one-keeps-its-first-bytes-harmless",
                    test_probed_raw_is_guarded);
    g_test_add_func("/file/create-spares-a-file-in-use", test_create_respects_users);
    g_test_add_func("/file/reopen-keeps-the-locks", test_reopen_keeps_the_locks);
    g_test_add_data_func("/null/null-co-reads-zeroes", "null-co", test_null_reads_zeroes);
    g_test_add_data_func("/null/null-aio-reads-zeroes", "null-aio", test_null_reads_zeroes);
    g_test_add_func("/null/zoned-through-raw", test_null_zoned);
    ret = g_test_run();
    rmdir(test_dir);
    return ret;
}
