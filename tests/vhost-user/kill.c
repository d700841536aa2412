/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A storage daemon is killed under load, and a front-end that keeps the log of requests in flight
 * goes on with the next one.
 *
 * Writes and appends to many zones are in flight on several queues, and resets of zones that are
 * full.  After each kill every request that was in flight is answered, once and well; then each
 * zone holds what was acknowledged, in the right place, once, and nothing else.  Nothing is ever
 * flushed.  Prints TAP; a round is a point.
 */
#include "qemu/osdep.h"

#include <signal.h>

#include "../../block/export/virtio-blk-int.h"
#include "daemon.h"
#include "front-end.h"

#define QUEUES 4
#define QUEUE_SIZE 64
#define DEPTH 16
#define MAX_DATA (16 * KiB)
#define ZONE_BYTES (1 * MiB)
#define ZONE_SECTORS (ZONE_BYTES / 512)
#define NR_ZONES 48
/* These take appends of all queues, the others writes of one queue each. */
#define NR_APPEND_ZONES 16
#define ANSWER_MS 20000
#define MAX_ATTEMPTS 10

static char *opt_daemon, *opt_qemu_img, *opt_dir;
static gint64 opt_seed = -1;
static int opt_rounds = 20;

static const GOptionEntry entries[] = {
    {"daemon", 0, 0, G_OPTION_ARG_FILENAME, &opt_daemon, "qemu-storage-daemon to test", "PROGRAM"},
    {"qemu-img", 0, 0, G_OPTION_ARG_FILENAME, &opt_qemu_img, "to make images", "PROGRAM"},
    {"dir", 0, 0, G_OPTION_ARG_FILENAME, &opt_dir, "an empty folder, kept (default: a new one, "
     "removed where all is well)", "DIR"},
    {"rounds", 0, 0, G_OPTION_ARG_INT, &opt_rounds, "how often to kill (default: 20)", "N"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &opt_seed, "of the requests (default: random)", "N"},
    {NULL},
};

/*
 * @ids: the request that each sector was acknowledged for, 0: none.  @sent bytes were asked to be
 * written since the zone was empty, @done of them are acknowledged.
 */
typedef struct Zone {
    uint64_t ids[ZONE_SECTORS];
    uint64_t sent, done;
    unsigned int nr_in_flight;
} Zone;

/* What each sector of a request says. */
typedef struct Stamp {
    uint64_t id;
    uint32_t zone, index;
    uint8_t filling[512 - 16];
} Stamp;

typedef struct Test {
    char *dir, *log, *image, *socket;
    GRand *rand;
    Daemon daemon;
    FrontEnd *fe;
    Zone zones[NR_ZONES];
    uint64_t last_id, nr_answered, nr_resubmitted;
    char *failure;
} Test;

static void G_GNUC_PRINTF(2, 3) fail(Test *t, const char *format, ...)
{
    va_list args;

    if (!t->failure) {
        va_start(args, format);
        t->failure = g_strdup_vprintf(format, args);
        va_end(args);
    }
}

/* ---- requests ---- */

static void fill(FrontEndRequest *req, uint64_t id, unsigned int zone)
{
    for (uint32_t i = 0; i < req->bytes / 512; i++) {
        Stamp *stamp = (Stamp *)(req->data + 512 * i);

        *stamp = (Stamp){.id = id, .zone = zone, .index = i};
        memset(stamp->filling, id + i, sizeof(stamp->filling));
    }
}

/* Make @req the next write, append or reset of a zone; false where it has to wait. */
static bool choose(Test *t, unsigned int queue, FrontEndRequest *req)
{
    unsigned int number = g_rand_int_range(t->rand, 0, NR_ZONES);
    bool is_append = number < NR_APPEND_ZONES;
    Zone *zone = &t->zones[number];

    if (!is_append && number % QUEUES != queue) {
        return false;
    }
    req->is_read = false;
    req->tag = ++t->last_id;
    req->sector = number * ZONE_SECTORS;
    if (zone->sent == ZONE_BYTES) {
        if (zone->nr_in_flight) {
            return false;
        }
        zone->nr_in_flight = 1;
        req->type = VIRTIO_BLK_T_ZONE_RESET;
        req->bytes = 0;
        return true;
    }
    req->type = is_append ? VIRTIO_BLK_T_ZONE_APPEND : VIRTIO_BLK_T_OUT;
    req->sector += is_append ? 0 : zone->sent / 512;
    req->bytes = 4096 << g_rand_int_range(t->rand, 0, 3);
    req->bytes = MIN(req->bytes, ZONE_BYTES - zone->sent);
    fill(req, req->tag, number);
    zone->sent += req->bytes;
    zone->nr_in_flight++;
    return true;
}

static void submit_some(Test *t)
{
    for (unsigned int i = 0; i < QUEUES; i++) {
        FrontEndQueue *queue = &t->fe->queues[i];
        FrontEndRequest *req;

        while ((req = front_end_get(queue))) {
            if (!choose(t, i, req)) {
                front_end_put(queue, req);
                break;
            }
            front_end_submit(queue, req);
        }
        front_end_kick(queue);
    }
}

static void note_answer(Test *t, FrontEndRequest *req)
{
    bool is_append = req->type == VIRTIO_BLK_T_ZONE_APPEND;
    uint64_t sector = is_append ? req->append_sector : req->sector;
    unsigned int number = req->sector / ZONE_SECTORS;
    Zone *zone = &t->zones[number];

    t->nr_answered++;
    zone->nr_in_flight--;
    if (req->status != VIRTIO_BLK_S_OK) {
        fail(t, "request %" PRIu64 " (type %u, sector %" PRIu64 ") has status %u", req->tag,
             req->type, req->sector, req->status);
        return;
    }
    if (req->type == VIRTIO_BLK_T_ZONE_RESET) {
        memset(zone, 0, sizeof(*zone));
        return;
    }
    zone->done += req->bytes;
    for (uint32_t i = 0; i < req->bytes / 512; i++) {
        if (sector / ZONE_SECTORS != number || sector % ZONE_SECTORS + i >= ZONE_SECTORS ||
            zone->ids[sector % ZONE_SECTORS + i]) {
            fail(t, "append %" PRIu64 " to zone %u is said to be at sector %" PRIu64, req->tag,
                 number, sector);
            return;
        }
        zone->ids[sector % ZONE_SECTORS + i] = req->tag;
    }
}

/* Take all answers there are; their number. */
static unsigned int reap_all(Test *t)
{
    unsigned int nr = 0;

    for (unsigned int i = 0; i < QUEUES; i++) {
        FrontEndQueue *queue = &t->fe->queues[i];
        FrontEndRequest *req;

        while ((req = front_end_reap(queue))) {
            note_answer(t, req);
            front_end_put(queue, req);
            nr++;
        }
    }
    return nr;
}

static unsigned int nr_in_flight(const Test *t)
{
    unsigned int nr = 0;

    for (unsigned int i = 0; i < QUEUES; i++) {
        nr += t->fe->queues[i].nr_in_flight;
    }
    return nr;
}

/* Keep the daemon busy for a while. */
static void load(Test *t, unsigned int ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;

    while (g_get_monotonic_time() < end && !t->failure) {
        submit_some(t);
        if (reap_all(t) == 0) {
            front_end_wait_any(t->fe, 1);
        }
    }
}

static void drain(Test *t)
{
    while (nr_in_flight(t) && !t->failure) {
        if (!front_end_wait_any(t->fe, ANSWER_MS)) {
            fail(t, "%u requests are not answered", nr_in_flight(t));
        }
        reap_all(t);
    }
}

/* ---- looking ---- */

static void check_sectors(Test *t, unsigned int number, const uint8_t *data, unsigned int first,
                          unsigned int nr)
{
    static const uint8_t zeroes[512];
    const Zone *zone = &t->zones[number];

    for (unsigned int i = 0; i < nr && !t->failure; i++) {
        const Stamp *stamp = (const Stamp *)(data + 512 * i);
        uint64_t id = zone->ids[first + i];
        uint8_t filling = id + stamp->index;

        if (id == 0) {
            if (memcmp(stamp, zeroes, 512)) {
                fail(t, "sector %u of zone %u holds request %" PRIu64 ", nothing was acknowledged",
                     first + i, number, stamp->id);
            }
        } else if (stamp->id != id || stamp->zone != number || stamp->filling[0] != filling ||
                   memcmp(stamp->filling, stamp->filling + 1, sizeof(stamp->filling) - 1)) {
            fail(t, "sector %u of zone %u holds request %" PRIu64 ", %" PRIu64 " was acknowledged",
                 first + i, number, stamp->id, id);
        }
    }
}

static void check_zone(Test *t, unsigned int number, uint64_t wp)
{
    const Zone *zone = &t->zones[number];
    uint8_t data[MAX_DATA];

    if (zone->done != ZONE_BYTES && wp != number * ZONE_SECTORS + zone->done / 512) {
        fail(t, "the write pointer of zone %u is %" PRIu64 " sectors in, %" PRIu64
             " were acknowledged", number, wp - number * ZONE_SECTORS, zone->done / 512);
    }
    for (unsigned int first = 0; first < ZONE_SECTORS && !t->failure; first += MAX_DATA / 512) {
        int status = front_end_do(&t->fe->queues[0], VIRTIO_BLK_T_IN,
                                  number * ZONE_SECTORS + first, data, MAX_DATA, true);

        if (status != VIRTIO_BLK_S_OK) {
            fail(t, "zone %u cannot be read: status %d", number, status);
        }
        check_sectors(t, number, data, first, MAX_DATA / 512);
    }
}

/* Nothing is in flight: what was acknowledged is there, once. */
static void check_disk(Test *t)
{
    uint8_t report[64 + 64 * NR_ZONES];
    int status;

    if (t->failure) {
        return;
    }
    status = front_end_do(&t->fe->queues[0], VIRTIO_BLK_T_ZONE_REPORT, 0, report, sizeof(report),
                          true);
    if (status != VIRTIO_BLK_S_OK || ldq_le_p(report) != NR_ZONES) {
        fail(t, "a zone report has status %d and %" PRIu64 " zones", status, ldq_le_p(report));
    }
    for (unsigned int i = 0; i < NR_ZONES && !t->failure; i++) {
        check_zone(t, i, ldq_le_p(report + 64 + 64 * i + 16));
    }
}

/* ---- the run ---- */

static bool start_daemon(Test *t)
{
    g_autofree char *node = g_strdup_printf(
        "driver=qcow2,node-name=disk,file.driver=file,file.filename=%s", t->image);
    g_autofree char *export = g_strdup_printf(
        "type=vhost-user-blk,id=disk,node-name=disk,writable=on,num-queues=%d,"
        "logical-block-size=4096,addr.type=unix,addr.path=%s%s", QUEUES, t->socket,
        g_rand_boolean(t->rand) ? ",iothread=thread" : "");
    const char *arguments[] = {opt_daemon, "--object", "iothread,id=thread", "--blockdev", node,
                               "--export", export, NULL};

    return daemon_start(&t->daemon, arguments, t->log, t->socket);
}

static void set_up(Test *t)
{
    const char *words = "zone.mode=host-managed,zone.size=1M";
    g_autofree char *size = g_strdup_printf("%dM", NR_ZONES);

    t->dir = opt_dir ? g_strdup(opt_dir) : g_dir_make_tmp("vhost-kill-XXXXXX", NULL);
    g_assert(t->dir);
    t->log = g_build_filename(t->dir, "log", NULL);
    t->image = g_build_filename(t->dir, "disk.qcow2", NULL);
    t->socket = g_build_filename(t->dir, "socket", NULL);
    t->rand = g_rand_new_with_seed(opt_seed);
    t->fe = front_end_new(&(FrontEndOptions){.path = t->socket, .nr_queues = QUEUES,
                                             .queue_size = QUEUE_SIZE, .depth = DEPTH,
                                             .data_bytes = MAX_DATA, .has_inflight = true});
    const char *arguments[] = {opt_qemu_img, "create", "-f", "qcow2", "-o", words, t->image, size,
                               NULL};
    if (run_program(arguments, t->log) != 0 || !start_daemon(t) || !front_end_connect(t->fe)) {
        fail(t, "cannot start");
    }
}

static void kill_and_restart(Test *t)
{
    int attempt = 1;

    daemon_end(&t->daemon, SIGKILL);
    front_end_disconnect(t->fe);
    reap_all(t);
    t->nr_resubmitted += nr_in_flight(t);
    /*
     * On a busy machine the kernel may need longer to let go of a dead program's locks than the
     * next one waits for them.  A service manager would start it again, too.
     */
    while (!start_daemon(t) && attempt < MAX_ATTEMPTS) {
        attempt++;
    }
    if (!daemon_is_alive(&t->daemon)) {
        fail(t, "the next daemon does not start (status 0x%x)", t->daemon.status);
    } else if (!front_end_connect(t->fe)) {
        fail(t, "the next daemon does not agree");
    }
}

static void do_round(Test *t)
{
    load(t, g_rand_int_range(t->rand, 20, 200));
    kill_and_restart(t);
    if (g_rand_int_range(t->rand, 0, 3) == 0) {
        /* Again, while it is busy with what was left. */
        load(t, g_rand_int_range(t->rand, 0, 10));
        kill_and_restart(t);
    }
    drain(t);
    check_disk(t);
}

static void finish(Test *t)
{
    /* A daemon that is killed may leave clusters that nobody uses; nothing else may be wrong. */
    const char *repair[] = {opt_qemu_img, "check", "-r", "leaks", t->image, NULL};
    const char *check[] = {opt_qemu_img, "check", t->image, NULL};

    front_end_disconnect(t->fe);
    if (!daemon_end(&t->daemon, SIGTERM) || t->daemon.status != 0) {
        fail(t, "the daemon does not end well (status 0x%x)", t->daemon.status);
    } else if (run_program(repair, t->log) != 0 || run_program(check, t->log) != 0) {
        fail(t, "the image is damaged");
    } else if (!start_daemon(t) || !front_end_connect(t->fe)) {
        fail(t, "the daemon does not come back");
    }
    check_disk(t);
    daemon_end(&t->daemon, SIGTERM);
}

static void tear_down(Test *t)
{
    daemon_end(&t->daemon, SIGKILL);
    if (t->failure) {
        printf("# what the daemon said is in %s\n", t->log);
    } else if (!opt_dir) {
        const char *arguments[] = {"/bin/rm", "-rf", t->dir, NULL};

        run_program(arguments, "/dev/null");
    }
    front_end_free(t->fe);
    g_rand_free(t->rand);
    g_free(t->dir);
    g_free(t->log);
    g_free(t->image);
    g_free(t->socket);
    g_free(t->failure);
    g_free(t);
    g_free(opt_daemon);
    g_free(opt_qemu_img);
    g_free(opt_dir);
}

static void report(Test *t, int point, const char *name)
{
    printf("%sok %d %s%s%s\n", t->failure ? "not " : "", point, name, t->failure ? ": " : "",
           t->failure ? t->failure : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    Test *t;
    bool is_ok;
    int round;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !opt_daemon || !opt_qemu_img) {
        g_printerr("kill: %s\n", error ? error->message : "--daemon and --qemu-img are needed");
        return 2;
    }
    t = g_new0(Test, 1);
    opt_seed = opt_seed < 0 ? g_random_int() : opt_seed;
    printf("# seed %" PRId64 "\n1..%d\n", opt_seed, opt_rounds + 1);
    set_up(t);
    for (round = 1; round <= opt_rounds && !t->failure; round++) {
        do_round(t);
        report(t, round, "killed under load");
    }
    if (!t->failure) {
        finish(t);
        report(t, round, "the daemon ends well, the image is intact");
    }
    printf("# %" PRIu64 " requests, %" PRIu64 " in flight when the daemon was killed\n",
           t->nr_answered, t->nr_resubmitted);
    is_ok = !t->failure;
    tear_down(t);
    return is_ok ? 0 : 1;
}
