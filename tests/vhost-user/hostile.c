/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile vhost-user front-end against a real storage daemon.
 *
 * Starts a daemon with a zoned disk, and a plain one in a thread of its own, does thousands of
 * cases (hostile.h), and looks after each batch whether the daemon lives, serves an honest front-end, and
 * has kept the protected half of both disks.  Prints TAP, a point for each tenth of the cases.
 */
#include "qemu/osdep.h"

#include <signal.h>
#include <sys/mman.h>

#include "../../block/export/virtio-blk-int.h"
#include "daemon.h"
#include "hostile.h"

#define NR_DISKS 2
#define BATCH 250
/* Zones of the second half: full but for the last two, a half and none. */
#define HALF_ZONE (NR_ZONES - 2)

static char *opt_daemon, *opt_qemu_img, *opt_dir;
static gint64 opt_seed = -1, opt_first;
static int opt_cases = 100000;

static const GOptionEntry entries[] = {
    {"daemon", 0, 0, G_OPTION_ARG_FILENAME, &opt_daemon, "qemu-storage-daemon to test", "PROGRAM"},
    {"qemu-img", 0, 0, G_OPTION_ARG_FILENAME, &opt_qemu_img, "to make images", "PROGRAM"},
    {"dir", 0, 0, G_OPTION_ARG_FILENAME, &opt_dir, "an empty folder, kept (default: a new one, "
     "removed where all is well)", "DIR"},
    {"cases", 0, 0, G_OPTION_ARG_INT, &opt_cases, "how many (default: 100000)", "N"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "to repeat a run (default: random)", "N"},
    {"first", 0, 0, G_OPTION_ARG_INT64, &opt_first, "number of the first case (default: 0)", "N"},
    {NULL},
};

/* ---- what cases use ---- */

void hostile_fail(Hostile *h, const char *format, ...)
{
    va_list args;

    if (h->failure->len == 0) {
        va_start(args, format);
        g_string_append_vprintf(h->failure, format, args);
        va_end(args);
    }
}

unsigned int hostile_below(Hostile *h, unsigned int max)
{
    return g_rand_int_range(h->rand, 0, max);
}

uint64_t hostile_number(Hostile *h, uint64_t honest)
{
    uint64_t random = (uint64_t)g_rand_int(h->rand) << 32 | g_rand_int(h->rand);

    switch (hostile_below(h, 8)) {
    case 0:
        return hostile_below(h, 5);
    case 1:
        return honest + hostile_below(h, 5) - 2;
    case 2:
        return BIT(hostile_below(h, 64));
    case 3:
        return BIT(hostile_below(h, 64)) + hostile_below(h, 5) - 2;
    case 4:
        return UINT64_MAX >> hostile_below(h, 64);
    case 5:
        return UINT64_MAX - hostile_below(h, 8192);
    case 6:
        return honest ^ BIT(hostile_below(h, 64));
    default:
        return random >> hostile_below(h, 64);
    }
}

void hostile_honest_request(Hostile *h, FrontEndRequest *req)
{
    req->is_read = hostile_below(h, 2);
    req->bytes = 512 * 8 * hostile_below(h, DATA_BYTES / 4096 + 1);
    if (req->is_read) {
        req->type = VIRTIO_BLK_T_IN;
        req->sector = 8 * hostile_below(h, (DISK_SECTORS - DATA_BYTES / 512) / 8);
    } else if (hostile_below(h, 2)) {
        req->type = VIRTIO_BLK_T_OUT;
        req->sector = 8 * hostile_below(h, (ZONE_SECTORS - DATA_BYTES / 512) / 8);
    } else {
        req->type = VIRTIO_BLK_T_ZONE_APPEND;
        req->sector = ZONE_SECTORS * (1 + hostile_below(h, NR_ZONES / 2 - 1));
    }
}

static void clear_log(FrontEnd *fe)
{
    void *log;

    if (fe->inflight_fd < 0) {
        return;
    }
    log = mmap(NULL, fe->inflight.mmap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fe->inflight_fd,
               0);
    g_assert(log != MAP_FAILED);
    memset(log, 0, fe->inflight.mmap_bytes);
    munmap(log, fe->inflight.mmap_bytes);
}

void hostile_fill_rings(Hostile *h)
{
    FrontEnd *fe = h->fe;
    uint8_t *data = fe->queues[0].requests[0].data;

    clear_log(fe);
    memset(data, 0x66, fe->memory.bytes + fe->memory.size - data);
    for (unsigned int i = 0; i < QUEUES; i++) {
        front_end_reset_queue(&fe->queues[i]);
        for (unsigned int j = 0; j < 3; j++) {
            FrontEndRequest *req = front_end_get(&fe->queues[i]);

            hostile_honest_request(h, req);
            front_end_submit(&fe->queues[i], req);
        }
    }
}

bool hostile_connect(Hostile *h)
{
    FrontEnd *fe = h->fe;

    if (fe->socket < 0) {
        fe->options.has_inflight = hostile_below(h, 2);
        fe->options.has_mem_table = hostile_below(h, 2);
        fe->options.without = (hostile_below(h, 4) ? 0 : BIT(VIRTIO_RING_F_INDIRECT_DESC)) |
                              (hostile_below(h, 4) ? 0 : BIT(VIRTIO_RING_F_EVENT_IDX));
        front_end_reset(fe);
        if (!front_end_negotiate(fe) || !front_end_send_memory(fe)) {
            hostile_fail(h, "the daemon does not accept an honest front-end");
            front_end_disconnect(fe);
            return false;
        }
    }
    hostile_fill_rings(h);
    return true;
}

/* ---- disks ---- */

/* What the protected part must be at @offset. */
static uint8_t expected_byte(const Hostile *h, uint64_t offset)
{
    uint64_t half = HALF_ZONE * ZONE_BYTES + ZONE_BYTES / 2;

    return h->is_zoned && offset >= half ? 0 : hostile_pattern(offset);
}

static FrontEnd *connect_honest(Hostile *h)
{
    FrontEnd *fe = front_end_new(&(FrontEndOptions){.path = h->path, .nr_queues = QUEUES,
                                                    .queue_size = QUEUE_SIZE, .depth = 4,
                                                    .data_bytes = 256 * KiB});

    front_end_disconnect(h->fe);
    if (!front_end_connect(fe)) {
        hostile_fail(h, "the daemon does not accept an honest front-end");
        g_clear_pointer(&fe, front_end_free);
    }
    return fe;
}

static void do_honest(Hostile *h, FrontEndQueue *queue, uint32_t type, uint64_t sector, void *data,
                      uint32_t bytes, bool is_read)
{
    int status = front_end_do(queue, type, sector, data, bytes, is_read);

    if (status != VIRTIO_BLK_S_OK) {
        hostile_fail(h, "an honest request (type %u sector %" PRIu64 ") has status %d", type,
                     sector, status);
    }
}

static void fill_disk(Hostile *h)
{
    g_autofree uint8_t *data = g_malloc(256 * KiB);
    FrontEnd *fe = connect_honest(h);

    for (uint64_t at = DISK_BYTES / 2; at < DISK_BYTES && !h->failure->len; at += 256 * KiB) {
        for (uint32_t i = 0; i < 256 * KiB; i++) {
            data[i] = expected_byte(h, at + i);
        }
        if (data[0]) {
            do_honest(h, &fe->queues[0], VIRTIO_BLK_T_OUT, at / 512, data, 256 * KiB, false);
        }
    }
    g_clear_pointer(&fe, front_end_free);
}

static void check_data(Hostile *h, FrontEndQueue *queue)
{
    g_autofree uint8_t *data = g_malloc(256 * KiB);

    for (uint64_t at = DISK_BYTES / 2; at < DISK_BYTES && !h->failure->len; at += 256 * KiB) {
        do_honest(h, queue, VIRTIO_BLK_T_IN, at / 512, data, 256 * KiB, true);
        for (uint32_t i = 0; i < 256 * KiB; i++) {
            if (data[i] != expected_byte(h, at + i)) {
                hostile_fail(h, "protected data at %" PRIu64 " is 0x%x, it was 0x%x", at + i,
                             data[i], expected_byte(h, at + i));
                return;
            }
        }
    }
}

static void check_zones(Hostile *h, FrontEndQueue *queue)
{
    uint8_t report[64 + 64 * NR_ZONES / 2];

    do_honest(h, queue, VIRTIO_BLK_T_ZONE_REPORT, PROTECTED_SECTOR, report, sizeof(report), true);
    for (unsigned int i = 0; i < NR_ZONES / 2 && !h->failure->len; i++) {
        const uint8_t *zone = report + 64 + 64 * i;
        unsigned int number = NR_ZONES / 2 + i;
        uint64_t wp = ldq_le_p(zone + 16) - number * ZONE_SECTORS;
        uint64_t expected_wp = number == HALF_ZONE ? ZONE_SECTORS / 2 : 0;
        bool is_full = number < HALF_ZONE;

        if ((zone[25] == 14) != is_full || (!is_full && wp != expected_wp)) {
            hostile_fail(h, "protected zone %u has state %u and write pointer %" PRIu64, number,
                         zone[25], wp);
        }
    }
}

/* An honest front-end finds all as it was. */
static void check_disk(Hostile *h, bool is_thorough)
{
    g_autofree uint8_t *data = g_malloc0(4096);
    FrontEnd *fe = connect_honest(h);

    if (!fe) {
        return;
    }
    memset(data, 0x55, 4096);
    do_honest(h, &fe->queues[1], VIRTIO_BLK_T_OUT, 8, data, 4096, false);
    memset(data, 0, 4096);
    do_honest(h, &fe->queues[0], VIRTIO_BLK_T_IN, 8, data, 4096, true);
    if (data[0] != 0x55 || data[4095] != 0x55) {
        hostile_fail(h, "what was written cannot be read");
    }
    if (h->is_zoned) {
        check_zones(h, &fe->queues[0]);
    }
    if (is_thorough) {
        check_data(h, &fe->queues[1]);
    }
    front_end_free(fe);
}

/* ---- the run ---- */

typedef struct Run {
    char *dir, *log;
    Daemon daemon;
    Hostile disks[NR_DISKS];
    const char *failed; /* the failure of a disk */
} Run;

static const char *const disk_names[NR_DISKS] = {"zoned", "plain"};

static char *path_in(const Run *run, const char *name)
{
    return g_build_filename(run->dir, name, NULL);
}

static bool make_image(const Run *run, const char *name, const char *words)
{
    g_autofree char *path = path_in(run, name);
    const char *arguments[] = {opt_qemu_img, "create", "-f", "qcow2", "-o", words, path, "16M",
                               NULL};

    return run_program(arguments, run->log) == 0;
}

static bool start_daemon(Run *run)
{
    g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(arguments, g_strdup(opt_daemon));
    g_ptr_array_add(arguments, g_strdup("--object"));
    g_ptr_array_add(arguments, g_strdup("iothread,id=thread"));
    for (unsigned int i = 0; i < NR_DISKS; i++) {
        g_ptr_array_add(arguments, g_strdup("--blockdev"));
        g_ptr_array_add(arguments,
                        g_strdup_printf("driver=qcow2,node-name=%s,file.driver=file,"
                                        "file.filename=%s/%s.qcow2", disk_names[i], run->dir,
                                        disk_names[i]));
        g_ptr_array_add(arguments, g_strdup("--export"));
        g_ptr_array_add(arguments,
                        g_strdup_printf("type=vhost-user-blk,id=%s,node-name=%s,writable=on,"
                                        "num-queues=%d,addr.type=unix,addr.path=%s%s",
                                        disk_names[i], disk_names[i], QUEUES, run->disks[i].path,
                                        run->disks[i].is_zoned ? "" : ",iothread=thread"));
    }
    g_ptr_array_add(arguments, NULL);
    return daemon_start(&run->daemon, (const char *const *)arguments->pdata, run->log,
                        run->disks[NR_DISKS - 1].path);
}

static void set_up(Run *run)
{
    run->dir = opt_dir ? g_strdup(opt_dir) : g_dir_make_tmp("hostile-XXXXXX", NULL);
    g_assert(run->dir);
    run->log = path_in(run, "log");
    for (unsigned int i = 0; i < NR_DISKS; i++) {
        Hostile *h = &run->disks[i];
        g_autofree char *name = g_strdup_printf("%s.socket", disk_names[i]);

        h->path = path_in(run, name);
        h->is_zoned = i == 0;
        h->rand = g_rand_new();
        h->failure = g_string_new(NULL);
        h->fe = front_end_new(&(FrontEndOptions){.path = h->path, .nr_queues = QUEUES,
                                                 .queue_size = QUEUE_SIZE, .depth = DEPTH,
                                                 .data_bytes = DATA_BYTES});
    }
    if (!make_image(run, "zoned.qcow2", "zone.mode=host-managed,zone.size=1M,"
                    "zone.conventional_zones=1,zone.max_open_zones=3,zone.max_active_zones=4") ||
        !make_image(run, "plain.qcow2", "preallocation=off") || !start_daemon(run)) {
        run->failed = "cannot start";
        return;
    }
    for (unsigned int i = 0; i < NR_DISKS && !run->failed; i++) {
        fill_disk(&run->disks[i]);
        check_disk(&run->disks[i], true);
        run->failed = run->disks[i].failure->len ? run->disks[i].failure->str : NULL;
    }
}

static void do_case(Run *run, gint64 number)
{
    static void (*const kinds[])(Hostile *) = {
        hostile_message_case, hostile_ring_case, hostile_request_case, hostile_memory_case,
    };
    guint32 seed[2] = {opt_seed, number};
    gint64 begin = g_get_monotonic_time();
    unsigned int disk = number % NR_DISKS;
    Hostile *h = &run->disks[disk];
    unsigned int kind;

    g_rand_set_seed_array(h->rand, seed, ARRAY_SIZE(seed));
    kind = hostile_below(h, 100);
    kinds[kind < 40 ? 0 : kind < 75 ? 1 : kind < 99 ? 2 : 3](h);
    if (g_get_monotonic_time() - begin > SLOW_MS * 1000) {
        hostile_fail(h, "the daemon takes long");
    }
    if (!daemon_is_alive(&run->daemon)) {
        g_string_printf(h->failure, "the daemon has ended with status 0x%x", run->daemon.status);
    }
    run->failed = h->failure->len ? h->failure->str : NULL;
}

static void check_all(Run *run, bool is_thorough)
{
    for (unsigned int i = 0; i < NR_DISKS && !run->failed; i++) {
        check_disk(&run->disks[i], is_thorough);
        run->failed = run->disks[i].failure->len ? run->disks[i].failure->str : NULL;
    }
}

/* The daemon ends well, and its images are consistent. */
static void finish(Run *run)
{
    for (unsigned int i = 0; i < NR_DISKS; i++) {
        front_end_disconnect(run->disks[i].fe);
    }
    if (!daemon_end(&run->daemon, SIGTERM) || run->daemon.status != 0) {
        run->failed = "the daemon does not end well";
    }
    for (unsigned int i = 0; i < NR_DISKS && !run->failed; i++) {
        g_autofree char *name = g_strdup_printf("%s.qcow2", disk_names[i]);
        g_autofree char *path = path_in(run, name);
        const char *arguments[] = {opt_qemu_img, "check", path, NULL};

        if (run_program(arguments, run->log) != 0) {
            run->failed = "an image is damaged";
        }
    }
}

static void free_disk(Hostile *h)
{
    front_end_free(h->fe);
    g_rand_free(h->rand);
    g_string_free(h->failure, true);
    g_free(h->path);
}

static void tear_down(Run *run)
{
    daemon_end(&run->daemon, SIGKILL);
    if (run->failed) {
        printf("# what the daemon said is in %s\n", run->log);
    } else if (!opt_dir) {
        const char *arguments[] = {"/bin/rm", "-rf", run->dir, NULL};

        run_program(arguments, "/dev/null");
    }
    for (unsigned int i = 0; i < NR_DISKS; i++) {
        free_disk(&run->disks[i]);
    }
    g_free(run->log);
    g_free(run->dir);
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    Run run = {0};
    bool is_ok;
    gint64 number;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !opt_daemon || !opt_qemu_img ||
        opt_cases < 10) {
        g_printerr("hostile: %s\n", error ? error->message : "--daemon and --qemu-img are needed");
        return 2;
    }
    opt_seed = opt_seed < 0 ? g_random_int() : opt_seed;
    printf("# seed %" PRId64 ", cases from %" PRId64 " on\n1..11\n", opt_seed, opt_first);
    set_up(&run);
    for (number = 0; number < opt_cases && !run.failed; number++) {
        do_case(&run, opt_first + number);
        if (number % BATCH == BATCH - 1) {
            check_all(&run, number % (20 * BATCH) == 20 * BATCH - 1);
        }
        if (!run.failed && (number + 1) % (opt_cases / 10) == 0) {
            printf("ok %d cases to %" PRId64 "\n", (int)((number + 1) / (opt_cases / 10)),
                   opt_first + number);
            fflush(stdout);
        }
    }
    if (run.failed) {
        printf("not ok %d case %" PRId64 " of seed %" PRId64 ": %s\n",
               (int)(number / (opt_cases / 10)) + 1, opt_first + number - 1, opt_seed, run.failed);
    } else {
        check_all(&run, true);
        finish(&run);
        printf("%sok 11 the daemon ends well, images are intact%s%s\n", run.failed ? "not " : "",
               run.failed ? " # " : "", run.failed ? run.failed : "");
    }
    is_ok = !run.failed;
    tear_down(&run);
    g_free(opt_daemon);
    g_free(opt_qemu_img);
    g_free(opt_dir);
    return is_ok ? 0 : 1;
}
