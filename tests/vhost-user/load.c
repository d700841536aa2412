/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream of requests to a vhost-user disk, for measuring daemons, any that speak the protocol.
 *
 * As many requests as asked for are kept in flight in one queue; the client sleeps until it is
 * called, and looks for all answers then.  Prints the time that the stream took.
 */
#include "qemu/osdep.h"

#include "../../block/export/virtio-blk-int.h"
#include "front-end.h"

#define QUEUE_SIZE 128
#define WAIT_MS 20000

static char *opt_socket;
static gboolean opt_write, opt_random;
static int opt_bytes = 4096, opt_depth = 1, opt_count = 10000;
static gint64 opt_size;

static const GOptionEntry entries[] = {
    {"socket", 0, 0, G_OPTION_ARG_FILENAME, &opt_socket, "of the daemon", "PATH"},
    {"write", 0, 0, G_OPTION_ARG_NONE, &opt_write, "write rather than read", NULL},
    {"random", 0, 0, G_OPTION_ARG_NONE, &opt_random, "anywhere rather than from the start on",
     NULL},
    {"bytes", 0, 0, G_OPTION_ARG_INT, &opt_bytes, "of a request (default: 4096)", "N"},
    {"depth", 0, 0, G_OPTION_ARG_INT, &opt_depth, "requests in flight (default: 1)", "N"},
    {"count", 0, 0, G_OPTION_ARG_INT, &opt_count, "requests in all (default: 10000)", "N"},
    {"size", 0, 0, G_OPTION_ARG_INT64, &opt_size, "of the part of the disk to use (default: all)",
     "N"},
    {NULL},
};

typedef struct Load {
    FrontEndQueue *queue;
    GRand *rand;
    uint64_t nr_blocks, next_block;
    int nr_submitted, nr_answered;
} Load;

static void submit_all(Load *load)
{
    FrontEndRequest *req;

    while (load->nr_submitted < opt_count && (req = front_end_get(load->queue))) {
        uint64_t block = opt_random ? g_rand_int_range(load->rand, 0, load->nr_blocks)
                                    : load->next_block++ % load->nr_blocks;

        req->type = opt_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
        req->is_read = !opt_write;
        req->bytes = opt_bytes;
        req->sector = block * opt_bytes / 512;
        front_end_submit(load->queue, req);
        load->nr_submitted++;
    }
    front_end_kick(load->queue);
}

/* False where a request fails, or is not answered. */
static bool run(Load *load)
{
    FrontEndRequest *req;

    while (load->nr_answered < opt_count) {
        submit_all(load);
        if (!front_end_wait(load->queue, WAIT_MS)) {
            g_printerr("load: no answer\n");
            return false;
        }
        while ((req = front_end_reap(load->queue))) {
            if (req->status != VIRTIO_BLK_S_OK) {
                g_printerr("load: sector %" PRIu64 " has status %u\n", req->sector, req->status);
                return false;
            }
            load->nr_answered++;
            front_end_put(load->queue, req);
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;
    FrontEndOptions options = {.nr_queues = 1, .queue_size = QUEUE_SIZE};
    Load load = {.rand = g_rand_new_with_seed(1)};
    FrontEnd *fe;
    gint64 begin;
    bool is_ok;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !opt_socket || opt_bytes < 512 ||
        opt_depth < 1 || opt_depth > QUEUE_SIZE || opt_count < 1) {
        g_printerr("load: %s\n", error ? error->message : "impossible options");
        return 2;
    }
    options.path = opt_socket;
    options.depth = opt_depth;
    options.data_bytes = opt_bytes;
    fe = front_end_new(&options);
    if (!front_end_connect(fe)) {
        g_printerr("load: cannot connect to %s\n", opt_socket);
        return 1;
    }
    for (int i = 0; i < opt_depth; i++) {
        memset(fe->queues[0].requests[i].data, 0x5a, opt_bytes);
    }
    load.queue = &fe->queues[0];
    load.nr_blocks = (opt_size ? (uint64_t)opt_size : ldq_le_p(fe->config) * 512) / opt_bytes;
    begin = g_get_monotonic_time();
    is_ok = load.nr_blocks && run(&load);
    printf("Run completed in %.6f seconds, %" PRIu64 " kicks, %" PRIu64 " calls\n",
           (g_get_monotonic_time() - begin) / 1e6, load.queue->nr_kicks, load.queue->nr_calls);
    front_end_free(fe);
    g_rand_free(load.rand);
    g_free(opt_socket);
    return is_ok ? 0 : 1;
}
