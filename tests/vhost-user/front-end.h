/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A well-behaved vhost-user front-end with a virtio-blk driver, for tests of daemons.
 *
 * It holds the memory, the rings and the requests; a connection is only a visitor.  When the
 * back-end dies the front-end connects again and hands over what it has: rings as they are, and the
 * log of requests in flight.  It submits nothing twice.
 *
 * All parts are open, for tests that want to break them.  One thread uses a front-end, or each of
 * its queues another one.
 */
#ifndef TESTS_VHOST_USER_FRONT_END_H
#define TESTS_VHOST_USER_FRONT_END_H

#include "../unit/virtio-driver.h"
#include "wire.h"

/* What the front-end calls its memory, which is at DRIVER_BASE for the guest. */
#define FRONT_END_USER_BASE UINT64_C(0x7f0000000000)

typedef struct FrontEndOptions {
    const char *path;         /* of the socket */
    unsigned int nr_queues;
    unsigned int queue_size;  /* descriptors; with no indirect ones a request takes three */
    unsigned int depth;       /* requests of a queue */
    uint32_t data_bytes;      /* room for data in each request */
    bool has_inflight;        /* use a log of requests in flight where the back-end has it */
    bool has_mem_table;       /* SET_MEM_TABLE rather than ADD_MEM_REG */
    uint64_t without;         /* features to leave out though they are offered */
} FrontEndOptions;

typedef struct FrontEnd FrontEnd;

/* Set @type, @sector, @bytes, @is_read before it is submitted, the rest is answered. */
typedef struct FrontEndRequest {
    uint32_t type;
    uint64_t sector;
    uint32_t bytes;
    bool is_read;          /* data goes to the guest */
    uint8_t *data;         /* in the guest's memory, a page's multiple */
    uint8_t status;
    uint64_t append_sector;
    uint64_t tag;          /* the user's own */

    unsigned int slot;
    size_t header_at, table_at; /* offsets in the memory */
    bool is_submitted;
    SLIST_ENTRY(FrontEndRequest) link;
} FrontEndRequest;

typedef struct FrontEndQueue {
    FrontEnd *fe;
    unsigned int index;
    DriverRing ring;
    int kick, call;        /* -1: not connected */
    uint16_t kicked;       /* the available index when a kick was last considered */
    FrontEndRequest *requests;
    SLIST_HEAD(, FrontEndRequest) spare;
    unsigned int nr_in_flight;
    uint64_t nr_kicks, nr_calls;
} FrontEndQueue;

struct FrontEnd {
    FrontEndOptions options;
    int socket;            /* -1: not connected */
    uint64_t features, protocol_features;
    uint8_t config[96];
    DriverMemory memory;
    FrontEndQueue *queues;
    int inflight_fd;       /* -1: none yet */
    VhostUserInflight inflight;
};

/* Memory and rings; not connected. */
FrontEnd *front_end_new(const FrontEndOptions *options);
void front_end_free(FrontEnd *fe);

/* As a guest's reset: rings are new, requests and the log are forgotten; not connected. */
void front_end_reset(FrontEnd *fe);
/* A ring alone, which is stopped and has no log. */
void front_end_reset_queue(FrontEndQueue *queue);

/*
 * Connect, negotiate, hand over memory, log and rings, and enable them; again after
 * front_end_disconnect().  False where the back-end is not there or does not agree.
 */
bool front_end_connect(FrontEnd *fe);
/* The first part of it: a socket and what was negotiated. */
bool front_end_negotiate(FrontEnd *fe);
/* The next: memory and log. */
bool front_end_send_memory(FrontEnd *fe);
/* And a ring. */
bool front_end_start_queue(FrontEndQueue *queue);
/* End the connection without a word; requests stay in flight. */
void front_end_disconnect(FrontEnd *fe);
/* Stop a ring, as a guest's reset does; *@base is where the back-end stopped. */
bool front_end_stop_queue(FrontEndQueue *queue, uint32_t *base);

/* As wire_tell(), 0 expected; without REPLY_ACK another message makes sure that it was handled. */
bool front_end_tell(FrontEnd *fe, uint32_t request, const void *payload, uint32_t bytes, int fd);

/* A request to fill in; NULL where all are in flight. */
FrontEndRequest *front_end_get(FrontEndQueue *queue);
/* Put it into the ring.  The back-end may not look before front_end_kick(). */
void front_end_submit(FrontEndQueue *queue, FrontEndRequest *req);
void front_end_kick(FrontEndQueue *queue);
/*
 * The next request that was answered; front_end_put() it.  NULL: none now.  Aborts where the
 * back-end answers what is not in flight.
 */
FrontEndRequest *front_end_reap(FrontEndQueue *queue);
void front_end_put(FrontEndQueue *queue, FrontEndRequest *req);

/* Wait until a request was answered; false after @timeout_ms, or when the connection is gone. */
bool front_end_wait(FrontEndQueue *queue, int timeout_ms);
/* The same, whatever the queue. */
bool front_end_wait_any(FrontEnd *fe, int timeout_ms);

/*
 * Submit one request without data of its own (@data: what is written, or read into; may be NULL)
 * and wait for it, with nothing else in flight.  The status, or -1 where there was none in 20 s.
 */
int front_end_do(FrontEndQueue *queue, uint32_t type, uint64_t sector, void *data, uint32_t bytes,
                 bool is_read);

#endif
