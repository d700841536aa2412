/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-img bench: send requests to an image as fast as it takes them, and tell how long that took.
 *
 * Plain: offsets advance by a step and wrap at the end of the image.  Zoned (--zoned): writes, or
 * appends, fill one sequential zone after the other from its write pointer; how the offsets are
 * chosen is all that differs (BenchPlan).
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "tools/qemu-img/qemu-img.h"

typedef struct Bench Bench;

/* Where requests go. */
typedef struct BenchPlan {
    /* The offset of the next request of bench->bufsize bytes. */
    int64_t (*next_offset)(Bench *bench);
} BenchPlan;

typedef struct BenchRequest {
    Bench *bench;
    QEMUIOVector qiov;
    int64_t offset;
    struct BenchRequest *next_free;
} BenchRequest;

struct Bench {
    BlockBackend *blk;
    const BenchPlan *plan;
    int64_t image_size;
    int bufsize;
    int64_t step;
    int depth;
    int64_t count;
    bool is_write;
    bool is_append;
    int flush_interval; /* requests; 0: no flushes */
    bool drains_on_flush;
    uint8_t pattern;

    int64_t offset;
    BlockZoneDescriptor *zones; /* zoned: the sequential zones from the first one used */
    unsigned int nr_zones;
    unsigned int zone;

    int64_t nr_left;
    int64_t nr_sent;
    int in_flight;
    bool is_flushing;
    int ret;
    BenchRequest *free_requests;
};

static void bench_submit(Bench *bench);

static void bench_request_done(void *opaque, int ret)
{
    BenchRequest *request = opaque;
    Bench *bench = request->bench;

    if (unlikely(ret < 0) && bench->ret == 0) {
        error_report("Failed request at offset %" PRId64 ": %s", request->offset,
                     bdrv_strerror(-ret));
        bench->ret = ret;
    }
    bench->in_flight--;
    request->next_free = bench->free_requests;
    bench->free_requests = request;
    bench_submit(bench);
}

static void bench_flush_done(void *opaque, int ret)
{
    Bench *bench = opaque;

    if (ret < 0 && bench->ret == 0) {
        error_report("Failed flush: %s", strerror(-ret));
        bench->ret = ret;
    }
    bench->is_flushing = false;
    bench->in_flight--;
    bench_submit(bench);
}

static void bench_send(Bench *bench)
{
    BenchRequest *request = bench->free_requests;

    bench->free_requests = request->next_free;
    bench->nr_left--;
    bench->nr_sent++;
    bench->in_flight++;
    request->offset = bench->plan->next_offset(bench);
    if (bench->is_append) {
        blk_aio_zone_append(bench->blk, &request->offset, &request->qiov, 0, bench_request_done,
                            request);
    } else if (bench->is_write) {
        blk_aio_pwritev(bench->blk, request->offset, &request->qiov, 0, bench_request_done,
                        request);
    } else {
        blk_aio_preadv(bench->blk, request->offset, &request->qiov, 0, bench_request_done,
                       request);
    }
}

/* Send what may be sent now.  Where flushes drain, nothing is in flight beside one. */
static void bench_submit(Bench *bench)
{
    while (bench->nr_left && bench->in_flight < bench->depth && bench->ret == 0) {
        bool wants_flush = bench->flush_interval && bench->nr_sent == bench->flush_interval;

        if (bench->is_flushing && bench->drains_on_flush) {
            return;
        }
        if (!wants_flush) {
            bench_send(bench);
            continue;
        }
        if (bench->in_flight && bench->drains_on_flush) {
            return;
        }
        bench->nr_sent = 0;
        bench->is_flushing = true;
        bench->in_flight++;
        blk_aio_flush(bench->blk, bench_flush_done, bench);
    }
}

/* ---- plans ---- */

static int64_t bench_next_plain(Bench *bench)
{
    int64_t offset = bench->offset;

    bench->offset = (bench->offset + bench->step) % bench->image_size;
    if (bench->offset > bench->image_size - bench->bufsize) {
        bench->offset = 0;
    }
    return offset;
}

static int64_t bench_zone_room(const Bench *bench, const BlockZoneDescriptor *zone)
{
    bool is_writable = zone->type == BLK_ZT_SWR && zone->state != BLK_ZS_FULL &&
                       zone->state != BLK_ZS_RDONLY && zone->state != BLK_ZS_OFFLINE;
    int64_t room = is_writable ? zone->start + zone->cap - zone->wp : 0;

    return room / bench->bufsize;
}

static int64_t bench_next_zoned(Bench *bench)
{
    BlockZoneDescriptor *zone = &bench->zones[bench->zone];
    int64_t offset;

    while (bench_zone_room(bench, zone) == 0) {
        zone = &bench->zones[++bench->zone];
    }
    offset = zone->wp;
    zone->wp += bench->bufsize;
    return bench->is_append ? zone->start : offset;
}

static const BenchPlan bench_plain = {.next_offset = bench_next_plain};
static const BenchPlan bench_zoned = {.next_offset = bench_next_zoned};

/* Look up the zones, and that what is to be written fits. */
static bool bench_prepare_zones(Bench *bench)
{
    const BlockLimits *limits = bdrv_limits(blk_bs(bench->blk));
    int64_t room = 0;
    int ret;

    if (limits->zoned == BLK_Z_NONE) {
        error_report("--zoned needs an image with zones");
        return false;
    }
    bench->nr_zones = limits->nr_zones - MIN(bench->offset / limits->zone_size, limits->nr_zones);
    bench->zones = g_new0(BlockZoneDescriptor, bench->nr_zones + 1);
    ret = blk_zone_report(bench->blk, bench->offset, &bench->nr_zones, bench->zones);
    if (ret < 0) {
        error_report("Could not report zones: %s", bdrv_strerror(-ret));
        return false;
    }
    for (unsigned int i = 0; i < bench->nr_zones; i++) {
        room += bench_zone_room(bench, &bench->zones[i]);
    }
    if (room < bench->count) {
        error_report("The zones have room for %" PRId64 " requests, not for %" PRId64, room,
                     bench->count);
        return false;
    }
    bench->plan = &bench_zoned;
    return true;
}

/* ---- running ---- */

static void bench_announce(const Bench *bench)
{
    printf("Sending %" PRId64 " %s requests, %d bytes each, %d in parallel "
           "(starting at offset %" PRId64 ", step size %" PRId64 ")\n",
           bench->count, bench->is_append ? "append" : bench->is_write ? "write" : "read",
           bench->bufsize, bench->depth, bench->offset, bench->step);
    if (bench->flush_interval) {
        printf("Sending flush every %d %srequests\n", bench->flush_interval,
               bench->drains_on_flush ? "" : "undrained ");
    }
}

static bool bench_run_requests(Bench *bench, bool is_quiet)
{
    size_t buf_bytes = (size_t)bench->depth * bench->bufsize;
    QEMU_AUTO_VFREE uint8_t *buf = blk_blockalign(bench->blk, buf_bytes);
    g_autofree BenchRequest *requests = g_new0(BenchRequest, bench->depth);
    int64_t start;

    memset(buf, bench->pattern, buf_bytes);
    for (int i = 0; i < bench->depth; i++) {
        BenchRequest *request = &requests[i];

        request->bench = bench;
        qemu_iovec_init_buf(&request->qiov, buf + (size_t)i * bench->bufsize, bench->bufsize);
        request->next_free = bench->free_requests;
        bench->free_requests = request;
    }

    bench->nr_left = bench->count;
    start = qemu_clock_get_ns();
    bench_submit(bench);
    while (bench->in_flight) {
        aio_poll(blk_get_aio_context(bench->blk), true);
    }
    if (bench->ret == 0 && !is_quiet) {
        printf("Run completed in %.3f seconds.\n", (qemu_clock_get_ns() - start) / 1e9);
    }
    return bench->ret == 0;
}

static bool bench_check_sizes(Bench *bench)
{
    if (bench->image_size < 0) {
        error_report("Could not get the length of the image: %s", strerror(-bench->image_size));
        return false;
    }
    if (bench->bufsize > bench->image_size ||
        (bench->plan == &bench_plain && bench->offset > bench->image_size - bench->bufsize)) {
        error_report("A request of %d bytes at offset %" PRId64
                     " does not fit into the image of %" PRId64 " bytes",
                     bench->bufsize, bench->offset, bench->image_size);
        return false;
    }
    return true;
}

/* ---- command line ---- */

typedef struct BenchArgs {
    ImgLine line;
    Bench bench;
    int64_t step;
    bool is_zoned;
} BenchArgs;

enum {
    OPTION_PATTERN = IMG_OPTION_OWN,
    OPTION_FLUSH_INTERVAL,
    OPTION_NO_DRAIN,
    OPTION_ZONED,
    OPTION_APPEND,
};

static bool bench_parse_int(const char *what, int min, int *value)
{
    int64_t number;

    if (!img_parse_size(what, min, INT_MAX, &number)) {
        return false;
    }
    *value = number;
    return true;
}

static bool bench_parse_aio(const char *name, BenchArgs *args)
{
    if (strcmp(name, "threads") != 0 && strcmp(name, "native") != 0 &&
        strcmp(name, "io_uring") != 0) {
        error_report("Invalid aio option: %s", name);
        return false;
    }
    args->line.image.aio = name;
    return true;
}

static bool bench_parse_option(int c, void *opaque)
{
    BenchArgs *args = opaque;
    Bench *bench = &args->bench;
    int64_t pattern;

    switch (c) {
    case 'c':
        return img_parse_size("request count", 0, INT_MAX, &bench->count);
    case 'd':
        return bench_parse_int("queue depth", 1, &bench->depth);
    case 'i':
        return bench_parse_aio(optarg, args);
    case 'n':
        args->line.image.flags |= BDRV_O_NOCACHE;
        return true;
    case 'o':
        return img_parse_size("offset", 0, INT64_MAX, &bench->offset);
    case 's':
        return bench_parse_int("buffer size", 1, &bench->bufsize);
    case 'S':
        return img_parse_size("step size", 0, INT_MAX, &args->step);
    case 't':
        return img_parse_cache("Invalid cache mode", &args->line.image);
    case 'w':
        bench->is_write = true;
        args->line.image.flags |= BDRV_O_RDWR;
        return true;
    case OPTION_PATTERN:
        if (!img_parse_size("pattern byte", 0, 255, &pattern)) {
            return false;
        }
        bench->pattern = pattern;
        return true;
    case OPTION_FLUSH_INTERVAL:
        return bench_parse_int("flush interval", 0, &bench->flush_interval);
    case OPTION_NO_DRAIN:
        bench->drains_on_flush = false;
        return true;
    case OPTION_APPEND:
        bench->is_append = true;
        /* fall through */
    case OPTION_ZONED:
        args->is_zoned = true;
        return true;
    default:
        return false;
    }
}

/* Returns an exit status, or -1 to go on. */
static int bench_parse(const ImgCommand *command, int argc, char **argv, BenchArgs *args)
{
    static const struct option options[] = {
        IMG_IMAGE_OPTIONS,
        IMG_SHARE_OPTION,
        {"count", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'},
        {"buffer-size", required_argument, NULL, 's'},
        {"step-size", required_argument, NULL, 'S'},
        {"offset", required_argument, NULL, 'o'},
        {"write", no_argument, NULL, 'w'},
        {"pattern", required_argument, NULL, OPTION_PATTERN},
        {"flush-interval", required_argument, NULL, OPTION_FLUSH_INTERVAL},
        {"no-drain", no_argument, NULL, OPTION_NO_DRAIN},
        {"aio", required_argument, NULL, 'i'},
        {"native", no_argument, NULL, 'n'},
        {"cache", required_argument, NULL, 't'},
        {"zoned", no_argument, NULL, OPTION_ZONED},
        {"append", no_argument, NULL, OPTION_APPEND},
        {0},
    };
    Bench *bench = &args->bench;
    int status = img_parse_line(command, argc, argv, "c:d:i:no:s:S:t:w", options, &args->line,
                                bench_parse_option, args);

    if (status >= 0) {
        return status;
    }
    if (!bench->is_write && (bench->flush_interval || args->is_zoned)) {
        return img_usage_error(command, "%s can only be used with write requests (-w)",
                               bench->flush_interval ? "--flush-interval" : "--zoned");
    }
    if (!bench->drains_on_flush && !bench->flush_interval) {
        return img_usage_error(command, "--no-drain needs --flush-interval");
    }
    if (bench->flush_interval && bench->flush_interval < bench->depth && bench->drains_on_flush) {
        return img_usage_error(command, "Flush interval can't be smaller than depth");
    }
    bench->step = args->step ? args->step : bench->bufsize;
    return -1;
}

static int bench_run(const ImgCommand *command, int argc, char **argv)
{
    BenchArgs args = {
        .bench = {.plan = &bench_plain,
                  .count = 75000,
                  .depth = 64,
                  .bufsize = 4096,
                  .drains_on_flush = true},
    };
    Bench *bench = &args.bench;
    g_autoptr(BlockBackend) blk = NULL;
    int status = bench_parse(command, argc, argv, &args);
    bool is_done;

    if (status >= 0) {
        return status;
    }
    blk = img_open_operand(command, argc, argv, &args.line);
    if (!blk) {
        return 1;
    }
    bench->blk = blk;
    bench->image_size = blk_getlength(blk);
    if ((args.is_zoned && !bench_prepare_zones(bench)) || !bench_check_sizes(bench)) {
        g_free(bench->zones);
        return 1;
    }
    if (!args.line.is_quiet) {
        bench_announce(bench);
    }
    is_done = bench_run_requests(bench, args.line.is_quiet);
    g_free(bench->zones);
    return is_done ? 0 : 1;
}

const ImgCommand img_bench_command = {
    .name = "bench",
    .run = bench_run,
    .summary = "Measure how fast an image takes requests",
    .synopsis = "[-f FMT | --image-opts] [-c COUNT] [-d DEPTH] [-s SIZE] [-S STEP] [-o OFFSET]\n"
                "             [-w [--pattern BYTE] [--flush-interval N [--no-drain]] [--zoned [--append]]]\n"
                "             [-i AIO] [-n] [-t CACHE] [-U] [-q] FILE",
    .help = "  -f, --format FMT         format of the image (default: probe)\n"
            "  --image-opts             FILE is an option string\n"
            "  -c, --count COUNT        number of requests (default: 75000)\n"
            "  -d, --depth DEPTH        requests in flight (default: 64)\n"
            "  -s, --buffer-size SIZE   bytes of a request (default: 4k)\n"
            "  -S, --step-size STEP     from one offset to the next (default: the request size)\n"
            "  -o, --offset OFFSET      where the first request goes (default: 0)\n"
            "  -w, --write              write (default: read)\n"
            "  --pattern BYTE           what is written (default: 0)\n"
            "  --flush-interval N       flush after each N requests\n"
            "  --no-drain               do not wait for requests in flight before a flush\n"
            "  --zoned                  fill sequential zones from their write pointers, one after the other\n"
            "  --append                 the same with zone append\n"
            "  -i, --aio AIO            threads, native or io_uring\n"
            "  -n, --native             bypass the page cache (as -t none)\n"
            "  -t, --cache CACHE        cache mode (default: writeback)\n"
            "  -U, --force-share        open even where others write (reads only)\n"
            "  -q, --quiet              print errors only\n",
};
