/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that keep others out.
 *
 * A write that is rounded out to whole blocks (io-align.c) reads a block and writes it back; a
 * write of its neighbour in between would be lost.  So it claims the whole range before it starts,
 * and from then on no overlapping request, aligned or not, runs beside it.
 *
 * Whoever comes first goes first: a request looks only at those behind it in the node's list, which
 * are older.  The waits therefore never form a circle, and nobody starves.
 */
#include "qemu/osdep.h"
#include "block/io-int.h"

static bool overlaps(const BdrvTrackedRequest *a, const BdrvTrackedRequest *b)
{
    return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static BdrvTrackedRequest *find_older_conflict(BdrvTrackedRequest *req)
{
    BdrvTrackedRequest *older = req;

    while ((older = LIST_NEXT(older, link))) {
        if ((req->is_serialising || older->is_serialising) && overlaps(req, older)) {
            return older;
        }
    }
    return NULL;
}

void coroutine_fn io_tracked_wait(BdrvTrackedRequest *req)
{
    BdrvTrackedRequest *older;

    /* Waiting for one may take so long that others, too, have ended by then: look anew. */
    while ((older = find_older_conflict(req))) {
        qemu_co_queue_wait(&older->wait_queue, NULL);
    }
}

void coroutine_fn io_tracked_begin_serialising(BdrvTrackedRequest *req, BlockDriverState *bs,
                                               int64_t offset, int64_t bytes)
{
    uint32_t align = bs->bl.request_alignment;

    req->bs = bs;
    req->offset = ROUND_DOWN(offset, align);
    req->bytes = ROUND_UP(offset + bytes, align) - req->offset;
    req->is_serialising = true;
    qemu_co_queue_init(&req->wait_queue);
    LIST_INSERT_HEAD(&bs->tracked_requests, req, link);
    bs->in_flight++;
    bs->serialising_in_flight++;
    io_tracked_wait(req);
}
