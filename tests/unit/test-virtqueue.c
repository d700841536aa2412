/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the device's side of a split ring, with a driver that is honest, then one that is not.
 */
#include "qemu/osdep.h"

#include "../../block/export/virtqueue-inflight.h"
#include "../../block/export/virtqueue.h"
#include "virtio-driver.h"

#define FEATURES                                                                  \
    (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | \
     UINT64_C(1) << VIRTIO_F_VERSION_1)
#define DATA (1 * MiB)

typedef struct Fixture {
    DriverMemory memory;
    DriverRing ring;
    VirtQueue *vq;
    VirtQueueStart start;
} Fixture;

static void start_queue(Fixture *f)
{
    uint8_t *bytes = f->memory.bytes;

    f->start.size = f->ring.size;
    f->start.rings = (VirtQueueRings){bytes + f->ring.desc, bytes + f->ring.avail,
                                      bytes + f->ring.used};
    f->vq = virtqueue_new((VirtQueueMemory){driver_translate, &f->memory},
                          sizeof(VirtQueueElement));
    g_assert_true(virtqueue_start(f->vq, &f->start, &error_abort));
}

static void set_up(Fixture *f, unsigned int size, uint64_t features)
{
    memset(f, 0, sizeof(*f));
    driver_memory_init(&f->memory);
    driver_ring_init(&f->ring, &f->memory, 0, size);
    f->start.features = features;
    start_queue(f);
}

static void tear_down(Fixture *f)
{
    virtqueue_free(f->vq);
    driver_memory_done(&f->memory);
}

static void test_chain(void)
{
    Fixture f;
    VirtQueueElement *elem;
    uint32_t head, len;

    set_up(&f, 8, FEATURES);
    g_assert_null(virtqueue_pop(f.vq));
    driver_desc(&f.memory, f.ring.desc, 3, DATA, 1, DESC_NEXT, 7);
    driver_desc(&f.memory, f.ring.desc, 7, DATA + 100, 15, DESC_NEXT, 0);
    driver_desc(&f.memory, f.ring.desc, 0, DATA + 4096, 513, DESC_WRITE, 99);
    driver_offer(&f.ring, 3);
    elem = virtqueue_pop(f.vq);
    g_assert_nonnull(elem);
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_cmpuint(elem->nr_out, ==, 2);
    g_assert_cmpuint(elem->nr_in, ==, 1);
    g_assert_cmpuint(elem->out_bytes, ==, 16);
    g_assert_cmpuint(elem->in_bytes, ==, 513);
    g_assert_true(elem->iov[1].iov_base == f.memory.bytes + DATA + 100);
    g_assert_true(elem->iov[2].iov_base == f.memory.bytes + DATA + 4096);
    virtqueue_push(f.vq, elem, 513);
    g_assert_false(driver_take(&f.ring, &head, &len));
    g_assert_true(virtqueue_flush(f.vq));
    g_assert_true(driver_take(&f.ring, &head, &len));
    g_assert_cmpuint(head, ==, 3);
    g_assert_cmpuint(len, ==, 513);
    tear_down(&f);
}

static void test_indirect(void)
{
    Fixture f;
    VirtQueueElement *elem;

    set_up(&f, 4, FEATURES);
    driver_desc(&f.memory, f.ring.desc, 1, DATA, 16, DESC_NEXT, 2);
    driver_desc(&f.memory, f.ring.desc, 2, DATA + 512, 3 * 16, DESC_INDIRECT, 0);
    driver_desc(&f.memory, DATA + 512, 0, DATA + 4096, 4096, DESC_NEXT, 2);
    driver_desc(&f.memory, DATA + 512, 2, DATA + 8192, 1, DESC_WRITE, 1);
    driver_offer(&f.ring, 1);
    elem = virtqueue_pop(f.vq);
    g_assert_nonnull(elem);
    g_assert_cmpuint(elem->nr_out, ==, 2);
    g_assert_cmpuint(elem->out_bytes, ==, 16 + 4096);
    g_assert_cmpuint(elem->nr_in, ==, 1);
    g_assert_cmpuint(elem->head, ==, 1);
    virtqueue_push(f.vq, elem, 1);
    virtqueue_flush(f.vq);
    tear_down(&f);
}

/* Many times round a ring whose indexes wrap, several in flight, answered in reverse. */
static void test_wrap(void)
{
    Fixture f;
    uint32_t head, len;

    set_up(&f, 4, FEATURES);
    driver_ring_set_idx(&f.ring, 65530);
    f.start.base = 65530;
    g_assert_true(virtqueue_start(f.vq, &f.start, &error_abort));
    for (unsigned int i = 0; i < 70000; i++) {
        VirtQueueElement *a, *b;

        driver_desc(&f.memory, f.ring.desc, 1, DATA, 16, DESC_WRITE, 0);
        driver_desc(&f.memory, f.ring.desc, 2, DATA, 16, DESC_WRITE, 0);
        driver_offer(&f.ring, 1);
        driver_offer(&f.ring, 2);
        a = virtqueue_pop(f.vq);
        b = virtqueue_pop(f.vq);
        g_assert_true(a && b && !virtqueue_pop(f.vq));
        virtqueue_push(f.vq, b, i);
        virtqueue_push(f.vq, a, i);
        virtqueue_flush(f.vq);
        g_assert_true(driver_take(&f.ring, &head, &len) && head == 2 && len == i);
        g_assert_true(driver_take(&f.ring, &head, &len) && head == 1 && len == i);
    }
    g_assert_cmpuint(virtqueue_nr_inflight(f.vq), ==, 0);
    tear_down(&f);
}

static bool answer_one(Fixture *f)
{
    VirtQueueElement *elem;

    driver_desc(&f->memory, f->ring.desc, 0, DATA, 16, DESC_WRITE, 0);
    driver_offer(&f->ring, 0);
    elem = virtqueue_pop(f->vq);
    g_assert_nonnull(elem);
    virtqueue_push(f->vq, elem, 0);
    return virtqueue_flush(f->vq);
}

static void test_event_index(void)
{
    Fixture f;
    uint8_t *used_event, *avail_event;

    set_up(&f, 4, FEATURES);
    used_event = f.memory.bytes + f.ring.avail + 4 + 2 * 4;
    avail_event = f.memory.bytes + f.ring.used + 4 + 8 * 4;
    g_assert_true(answer_one(&f)); /* the first: always */
    g_assert_false(answer_one(&f));
    stw_le_p(used_event, 2);
    g_assert_true(answer_one(&f));
    g_assert_false(answer_one(&f));
    g_assert_false(virtqueue_enable_notification(f.vq));
    g_assert_cmpuint(lduw_le_p(avail_event), ==, 4);
    driver_offer(&f.ring, 0);
    g_assert_true(virtqueue_enable_notification(f.vq));
    tear_down(&f);
}

static void test_flags(void)
{
    Fixture f;

    set_up(&f, 4, UINT64_C(1) << VIRTIO_F_VERSION_1);
    g_assert_true(answer_one(&f));
    g_assert_true(answer_one(&f));
    stw_le_p(f.memory.bytes + f.ring.avail, 1);
    g_assert_false(answer_one(&f));
    virtqueue_disable_notification(f.vq);
    g_assert_cmpuint(lduw_le_p(f.memory.bytes + f.ring.used), ==, 1);
    virtqueue_enable_notification(f.vq);
    g_assert_cmpuint(lduw_le_p(f.memory.bytes + f.ring.used), ==, 0);
    tear_down(&f);
}

/* ---- what no honest driver writes ---- */

typedef struct Hostile {
    const char *name;
    void (*write)(Fixture *f);
} Hostile;

static void announce_too_many(Fixture *f)
{
    stw_le_p(f->memory.bytes + f->ring.avail + 2, 9);
}

static void head_outside(Fixture *f)
{
    driver_offer(&f->ring, 8);
}

static void next_outside(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, DATA, 16, DESC_NEXT, 8);
    driver_offer(&f->ring, 0);
}

static void loop(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, DATA, 16, DESC_NEXT, 0);
    driver_offer(&f->ring, 0);
}

static void empty_descriptor(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, DATA, 0, 0, 0);
    driver_offer(&f->ring, 0);
}

static void outside_of_memory(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, DRIVER_MEMORY_BYTES - 8, 16, 0, 0);
    driver_offer(&f->ring, 0);
}

static void below_memory(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, -DRIVER_BASE, 16, 0, 0);
    driver_offer(&f->ring, 0);
}

static void end_of_address_space(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, -DRIVER_BASE - 8, 16, 0, 0);
    driver_offer(&f->ring, 0);
}

static void readable_after_writable(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, DATA, 16, DESC_NEXT | DESC_WRITE, 1);
    driver_desc(&f->memory, f->ring.desc, 1, DATA, 16, 0, 0);
    driver_offer(&f->ring, 0);
}

static void indirect_with(Fixture *f, uint32_t len, uint16_t outer, uint16_t inner, uint16_t next)
{
    driver_desc(&f->memory, f->ring.desc, 0, DATA, len, DESC_INDIRECT | outer, 1);
    driver_desc(&f->memory, DATA, 0, DATA + 4096, 16, inner, next);
    driver_offer(&f->ring, 0);
}

static void indirect_empty(Fixture *f)
{
    indirect_with(f, 0, 0, 0, 0);
}

static void indirect_odd(Fixture *f)
{
    indirect_with(f, 17, 0, 0, 0);
}

static void indirect_long(Fixture *f)
{
    indirect_with(f, 16 * (VIRTQUEUE_MAX_INDIRECT + 1), 0, 0, 0);
}

static void indirect_nested(Fixture *f)
{
    indirect_with(f, 16, 0, DESC_INDIRECT, 0);
}

static void indirect_and_next(Fixture *f)
{
    indirect_with(f, 16, DESC_NEXT, 0, 0);
}

static void indirect_next_outside(Fixture *f)
{
    indirect_with(f, 32, 0, DESC_NEXT, 2);
}

static void indirect_loop(Fixture *f)
{
    indirect_with(f, 32, 0, DESC_NEXT, 0);
}

static void indirect_outside(Fixture *f)
{
    driver_desc(&f->memory, f->ring.desc, 0, DRIVER_MEMORY_BYTES - 16, 32, DESC_INDIRECT, 0);
    driver_offer(&f->ring, 0);
}

static const Hostile hostile[] = {
    {"more-announced-than-fit", announce_too_many},
    {"head-outside-of-the-ring", head_outside},
    {"next-outside-of-the-ring", next_outside},
    {"loop", loop},
    {"empty-descriptor", empty_descriptor},
    {"buffer-past-memory", outside_of_memory},
    {"buffer-below-memory", below_memory},
    {"buffer-wraps-around", end_of_address_space},
    {"readable-after-writable", readable_after_writable},
    {"indirect-empty", indirect_empty},
    {"indirect-of-odd-length", indirect_odd},
    {"indirect-too-long", indirect_long},
    {"indirect-in-indirect", indirect_nested},
    {"indirect-with-successor", indirect_and_next},
    {"indirect-next-outside", indirect_next_outside},
    {"indirect-loop", indirect_loop},
    {"indirect-past-memory", indirect_outside},
};

static void test_hostile(const void *opaque)
{
    const Hostile *nonsense = opaque;
    Fixture f;

    set_up(&f, 8, FEATURES);
    nonsense->write(&f);
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_nonnull(virtqueue_broken(f.vq));
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_cmpuint(virtqueue_nr_inflight(f.vq), ==, 0);
    /* The state goes when the queue is set up again. */
    driver_ring_init(&f.ring, &f.memory, 0, 8);
    g_assert_true(virtqueue_start(f.vq, &f.start, &error_abort));
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_null(virtqueue_broken(f.vq));
    tear_down(&f);
}

static void test_head_twice(void)
{
    Fixture f;
    VirtQueueElement *elem;

    set_up(&f, 8, FEATURES);
    driver_desc(&f.memory, f.ring.desc, 0, DATA, 16, DESC_WRITE, 0);
    driver_offer(&f.ring, 0);
    driver_offer(&f.ring, 0);
    elem = virtqueue_pop(f.vq);
    g_assert_nonnull(elem);
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_nonnull(virtqueue_broken(f.vq));
    virtqueue_push(f.vq, elem, 16);
    virtqueue_flush(f.vq);
    tear_down(&f);
}

static void test_indirect_not_negotiated(void)
{
    Fixture f;

    set_up(&f, 8, UINT64_C(1) << VIRTIO_F_VERSION_1);
    indirect_with(&f, 16, 0, 0, 0);
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_nonnull(virtqueue_broken(f.vq));
    tear_down(&f);
}

/* Random bytes in all of the ring and the tables: nothing but the driver's memory is touched. */
static void test_random(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    Fixture f;

    set_up(&f, 8, FEATURES);
    for (unsigned int round = 0; round < 100000; round++) {
        VirtQueueElement *elems[8], *elem;
        unsigned int nr = 0;

        for (unsigned int i = 0; i < 8; i++) {
            driver_desc(&f.memory, f.ring.desc, i, g_rand_int_range(rand, 0, 5 * MiB),
                        g_rand_int_range(rand, 0, 200), g_rand_int_range(rand, 0, 8),
                        g_rand_int_range(rand, 0, 9));
            driver_desc(&f.memory, g_rand_int_range(rand, 4096, 8192), 0,
                        g_rand_int_range(rand, 0, 5 * MiB), g_rand_int_range(rand, 0, 200),
                        g_rand_int_range(rand, 0, 8), g_rand_int_range(rand, 0, 9));
        }
        for (int i = g_rand_int_range(rand, 0, 8); i >= 0; i--) {
            driver_offer(&f.ring, g_rand_int_range(rand, 0, 9));
        }
        while ((elem = virtqueue_pop(f.vq))) {
            for (unsigned int i = 0; i < elem->nr_out + elem->nr_in; i++) {
                const uint8_t *base = elem->iov[i].iov_base;

                g_assert_true(base >= f.memory.bytes && base + elem->iov[i].iov_len <=
                                                            f.memory.bytes + DRIVER_MEMORY_BYTES);
            }
            elems[nr++] = elem;
        }
        while (nr) {
            virtqueue_push(f.vq, elems[--nr], 0);
        }
        virtqueue_flush(f.vq);
        driver_ring_set_idx(&f.ring, round);
        f.start.base = round;
        g_assert_true(virtqueue_start(f.vq, &f.start, &error_abort));
    }
    tear_down(&f);
}

/* ---- the log ---- */

static InflightLog *set_up_logged(Fixture *f)
{
    InflightLog *log = g_aligned_alloc0(1, virtqueue_inflight_bytes(8), 64);

    set_up(f, 8, FEATURES);
    f->start.inflight = log;
    g_assert_true(virtqueue_start(f->vq, &f->start, &error_abort));
    for (unsigned int i = 0; i < 4; i++) {
        driver_desc(&f->memory, f->ring.desc, i, DATA, 16, DESC_WRITE, 0);
    }
    return log;
}

/* The device dies with what it has in memory; the next one finds the ring and the log. */
static void die(Fixture *f)
{
    f->start.base = 12345; /* to be ignored */
    start_queue(f);
}

static void test_log_resubmits(void)
{
    Fixture f;
    InflightLog *log = set_up_logged(&f);
    VirtQueueElement *elems[4];
    VirtQueue *dead = f.vq;
    VirtQueueNote note = {1, {2, 3, 4}};

    driver_offer(&f.ring, 2);
    driver_offer(&f.ring, 0);
    driver_offer(&f.ring, 3);
    for (unsigned int i = 0; i < 3; i++) {
        elems[i] = virtqueue_pop(f.vq);
    }
    virtqueue_set_note(f.vq, elems[2], &note);
    memset(&note, 0, sizeof(note));
    virtqueue_push(f.vq, elems[1], 0);
    virtqueue_flush(f.vq);
    driver_offer(&f.ring, 1);
    die(&f);

    VirtQueueElement *first = virtqueue_pop(f.vq);
    VirtQueueElement *second = virtqueue_pop(f.vq);
    VirtQueueElement *third = virtqueue_pop(f.vq);

    g_assert_true(first && first->head == 2 && first->is_resubmitted);
    g_assert_false(virtqueue_get_note(f.vq, first, &note));
    g_assert_true(second && second->head == 3 && second->is_resubmitted);
    g_assert_true(virtqueue_get_note(f.vq, second, &note));
    g_assert_cmpmem(&note, sizeof(note), (&(VirtQueueNote){1, {2, 3, 4}}), sizeof(note));
    g_assert_true(third && third->head == 1 && !third->is_resubmitted);
    g_assert_null(virtqueue_pop(f.vq));
    virtqueue_push(f.vq, first, 0);
    virtqueue_push(f.vq, second, 0);
    virtqueue_push(f.vq, third, 0);
    virtqueue_flush(f.vq);
    for (unsigned int i = 0; i < 8; i++) {
        g_assert_cmpuint(log->desc[i].is_inflight, ==, 0);
    }
    /* For the leak checker only: what the dead one held. */
    virtqueue_push(dead, elems[0], 0);
    virtqueue_push(dead, elems[2], 0);
    virtqueue_flush(dead);
    virtqueue_free(dead);
    tear_down(&f);
    g_aligned_free(log);
}

/* Dying between publishing and noting it must not run a request twice. */
static void test_log_last_batch(void)
{
    Fixture f;
    InflightLog *log = set_up_logged(&f);
    VirtQueueElement *elem;

    driver_offer(&f.ring, 0);
    driver_offer(&f.ring, 1);
    for (unsigned int i = 0; i < 2; i++) {
        elem = virtqueue_pop(f.vq);
        virtqueue_push(f.vq, elem, 0);
    }
    virtqueue_flush(f.vq);
    log->desc[0].is_inflight = 1;
    log->desc[1].is_inflight = 1;
    log->used_idx = 0;
    g_assert_true(virtqueue_start(f.vq, &f.start, &error_abort));
    g_assert_null(virtqueue_pop(f.vq));
    g_assert_null(virtqueue_broken(f.vq));
    tear_down(&f);
    g_aligned_free(log);
}

static void test_log_hostile(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);
    Fixture f;
    InflightLog *log = set_up_logged(&f);
    uint8_t *bytes = (uint8_t *)log;

    for (unsigned int round = 0; round < 20000; round++) {
        VirtQueueElement *elem;

        for (unsigned int i = 0; i < virtqueue_inflight_bytes(8); i++) {
            bytes[i] = g_rand_int_range(rand, 0, 3) ? g_rand_int_range(rand, 0, 10)
                                                    : g_rand_int_range(rand, 0, 256);
        }
        log->features = g_rand_int_range(rand, 0, 20) == 0;
        log->version = g_rand_int_range(rand, 0, 20) ? 1 : 2;
        log->desc_num = g_rand_int_range(rand, 0, 20) ? 8 : 16;
        if (!virtqueue_start(f.vq, &f.start, NULL)) {
            continue;
        }
        while ((elem = virtqueue_pop(f.vq))) {
            virtqueue_push(f.vq, elem, 0);
        }
        virtqueue_flush(f.vq);
    }
    tear_down(&f);
    g_aligned_free(log);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtqueue/chain-becomes-memory", test_chain);
    g_test_add_func("/virtqueue/indirect-after-direct", test_indirect);
    g_test_add_func("/virtqueue/indexes-wrap-around", test_wrap);
    g_test_add_func("/virtqueue/event-index-suppresses-notifications", test_event_index);
    g_test_add_func("/virtqueue/flags-suppress-notifications", test_flags);
    for (unsigned int i = 0; i < ARRAY_SIZE(hostile); i++) {
        g_autofree char *path = g_strdup_printf("/virtqueue/hostile/%s", hostile[i].name);

        g_test_add_data_func(path, &hostile[i], test_hostile);
    }
    g_test_add_func("/virtqueue/hostile/head-in-flight", test_head_twice);
    g_test_add_func("/virtqueue/hostile/indirect-not-negotiated", test_indirect_not_negotiated);
    g_test_add_func("/virtqueue/hostile/random-rings", test_random);
    g_test_add_func("/virtqueue/log/unanswered-requests-come-again", test_log_resubmits);
    g_test_add_func("/virtqueue/log/published-answers-do-not", test_log_last_batch);
    g_test_add_func("/virtqueue/log/hostile", test_log_hostile);
    return g_test_run();
}
