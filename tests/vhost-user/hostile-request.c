/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile requests in good order: all are answered with a status, whatever they ask for, unless
 * there is no room for one.
 */
#include "qemu/osdep.h"

#include "../../block/export/virtio-blk-int.h"
#include "hostile.h"

#define MAX_REQUESTS 8
#define UNANSWERED 0xee

static uint32_t strange_type(Hostile *h)
{
    static const uint32_t types[] = {
        VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID,
        VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_T_ZONE_APPEND,
        VIRTIO_BLK_T_ZONE_REPORT, VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
        VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET,
    };

    /* RESET_ALL is left out: it may reset all. */
    return hostile_below(h, 8) ? types[hostile_below(h, ARRAY_SIZE(types))]
                               : 0x100 + hostile_number(h, 0) % 0x7fffff00;
}

/*
 * For what changes the disk: where no harm is done, where it is refused, or where it would be if
 * anything were cut off or wrapped.
 */
static uint64_t strange_sector(Hostile *h, uint32_t type)
{
    uint64_t scratch = hostile_below(h, 2) ? ZONE_SECTORS * hostile_below(h, NR_ZONES / 2)
                                           : hostile_below(h, PROTECTED_SECTOR - 4096);

    if (type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_ZONE_REPORT) {
        return hostile_number(h, DISK_SECTORS);
    }
    switch (hostile_below(h, 4)) {
    case 0 ... 1:
        return scratch;
    case 2: /* the low bits are a sector of ours */
        return scratch | BIT(ilog2(DISK_SECTORS) + hostile_below(h, 48));
    default:
        return DISK_SECTORS + hostile_number(h, 0) % (UINT64_MAX - DISK_SECTORS);
    }
}

/* Data of ranges: refused, or in the first half. */
static void write_ranges(Hostile *h, uint8_t *data, uint32_t bytes)
{
    for (uint32_t at = 0; at + 16 <= bytes; at += 16) {
        stq_le_p(data + at, strange_sector(h, VIRTIO_BLK_T_DISCARD));
        stl_le_p(data + at + 8, hostile_below(h, 2) ? hostile_below(h, ZONE_SECTORS)
                                                    : 0x80000000u | hostile_number(h, 0));
        stl_le_p(data + at + 12, hostile_below(h, 4) ? hostile_below(h, 2) : hostile_number(h, 0));
    }
}

/* Cut the chain's buffers into pieces behind each other; returns the number of descriptors. */
static unsigned int cut(Hostile *h, DriverMemory *memory, size_t table, unsigned int nr,
                        uint64_t at, uint32_t bytes, uint16_t flags)
{
    while (bytes) {
        uint32_t len = nr < 12 && hostile_below(h, 2) ? 1 + hostile_below(h, bytes) : bytes;

        driver_desc(memory, table, nr, at, len, DESC_NEXT | flags, nr + 1);
        nr++;
        at += len;
        bytes -= len;
    }
    return nr;
}

/* What was asked for, for the text of a failure. */
typedef struct Asked {
    uint32_t type, out_bytes, in_bytes;
    uint64_t sector;
    uint8_t *status; /* NULL: no room */
} Asked;

/*
 * A request in descriptors of its own: @slot has 16 of QUEUE_SIZE ring entries or a table, and the
 * data of request @slot.
 */
static void ask(Hostile *h, FrontEndQueue *queue, unsigned int slot, Asked *asked)
{
    DriverMemory *memory = &queue->fe->memory;
    FrontEndRequest *req = &queue->requests[slot];
    size_t at = req->data - memory->bytes;
    size_t table = at + DATA_BYTES - 512;
    uint32_t room = DATA_BYTES - 1024;
    bool is_odd = hostile_below(h, 4) == 0;
    unsigned int nr;

    asked->type = strange_type(h);
    asked->sector = strange_sector(h, asked->type);
    asked->out_bytes = 16;
    asked->in_bytes = 1;
    *(asked->type & 1 ? &asked->out_bytes : &asked->in_bytes) +=
        is_odd ? hostile_below(h, room) : 512 * hostile_below(h, room / 512);
    asked->in_bytes += asked->type == VIRTIO_BLK_T_ZONE_APPEND ? hostile_below(h, 16) : 0;
    if (hostile_below(h, 32) == 0) {
        asked->out_bytes = hostile_below(h, 17);
    }
    if (hostile_below(h, 32) == 0) {
        asked->in_bytes = 0;
    }
    memset(req->data, 0x66, DATA_BYTES);
    if (asked->type == VIRTIO_BLK_T_DISCARD || asked->type == VIRTIO_BLK_T_WRITE_ZEROES) {
        write_ranges(h, req->data + 16, room - 16);
    }
    stl_le_p(req->data, asked->type | (hostile_below(h, 8) ? 0 : 0x80000000u));
    stq_le_p(req->data + 8, asked->sector);
    nr = cut(h, memory, table, 0, at, asked->out_bytes, 0);
    /* Readable and writable memory may be the same: nobody says that it must not. */
    nr = cut(h, memory, table, nr, at + (hostile_below(h, 8) ? asked->out_bytes % 512 : 0),
             MIN(asked->in_bytes, room - 512), DESC_WRITE);
    asked->in_bytes = MIN(asked->in_bytes, room - 512);
    asked->status = NULL;
    if (nr) {
        uint8_t *last = memory->bytes + table + 16 * (nr - 1);

        stw_le_p(last + 12, lduw_le_p(last + 12) & ~DESC_NEXT);
        if (asked->in_bytes) {
            asked->status = memory->bytes + (ldq_le_p(last) - DRIVER_BASE) + ldl_le_p(last + 8) - 1;
        }
    }
    driver_desc(memory, queue->ring.desc, slot, table, 16 * nr, DESC_INDIRECT, 0);
    driver_offer(&queue->ring, slot);
}

static bool can_be_answered(const Asked *asked)
{
    return asked->status && asked->out_bytes >= 16;
}

/* Wait for the answers to @nr requests. */
static void check_answers(Hostile *h, FrontEndQueue *queue, const Asked *asked, unsigned int nr)
{
    uint32_t head, len;

    for (unsigned int answered = 0; answered < nr; answered++) {
        if (!front_end_wait(queue, SLOW_MS)) {
            hostile_fail(h, "of %u requests %u are not answered (the first: type %u sector %" PRIu64
                         " out %u in %u)", nr, nr - answered, asked[0].type, asked[0].sector,
                         asked[0].out_bytes, asked[0].in_bytes);
            return;
        }
        driver_take(&queue->ring, &head, &len);
        if (head >= nr || len > asked[head].in_bytes) {
            hostile_fail(h, "the daemon answers %u with %u bytes", head, len);
            return;
        }
        if (*asked[head].status > VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE) {
            hostile_fail(h, "type %u sector %" PRIu64 " out %u in %u: status %u", asked[head].type,
                         asked[head].sector, asked[head].out_bytes, asked[head].in_bytes,
                         *asked[head].status);
            return;
        }
    }
}

void hostile_request_case(Hostile *h)
{
    Asked asked[MAX_REQUESTS];
    unsigned int nr = 1 + hostile_below(h, MAX_REQUESTS);
    bool are_answered = true;
    FrontEndQueue *queue;
    uint32_t base;

    if (!hostile_connect(h)) {
        return;
    }
    queue = &h->fe->queues[hostile_below(h, QUEUES)];
    front_end_reset_queue(queue); /* nothing honest */
    for (unsigned int i = 0; i < nr; i++) {
        ask(h, queue, i, &asked[i]);
        if (asked[i].status) {
            *asked[i].status = UNANSWERED;
        }
        are_answered &= can_be_answered(&asked[i]);
    }
    if (!front_end_start_queue(queue)) {
        hostile_fail(h, "the daemon refuses a ring");
        return;
    }
    front_end_kick(queue);
    if (are_answered && (h->fe->features & BIT(VIRTIO_RING_F_INDIRECT_DESC))) {
        check_answers(h, queue, asked, nr);
    }
    if (!front_end_stop_queue(queue, &base)) {
        hostile_fail(h, "the daemon does not stop a ring");
        front_end_disconnect(h->fe);
    }
}
