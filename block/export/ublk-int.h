/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the ublk export share.
 *
 *     ublk-blk.c      the export type: options, and the ends of its life
 *     ublk-device.c   a device from its first command to its last
 *     ublk-control.c  commands to the driver
 *     ublk-params.c   what the driver is told of the disk
 *     ublk-queue.c    requests in, answers out
 *     ublk-request.c  what a request does
 *     ublk-log.c      writes that are carried out exactly once, though a daemon dies
 *
 * All of it runs in the AioContext of the exported node, which is an io_uring: the driver wants the
 * commands of a request from one task only.
 */
#ifndef BLOCK_EXPORT_UBLK_INT_H
#define BLOCK_EXPORT_UBLK_INT_H

#include "block/block-backend.h"
#include "block/block_int.h"
#include "standard-headers/linux/ublk_cmd.h"

#define UBLK_DEFAULT_QUEUE_DEPTH 128
#define UBLK_MAX_QUEUES 64

/* ---- the disk: ublk-params.c ---- */

#define UBLK_ZONE_LOCKS 64

/* What requests need to know.  Sizes are in bytes. */
typedef struct UblkDisk {
    BlockBackend *blk;
    const BlockLimits *limits;
    int64_t total_bytes; /* whole blocks; of a zoned disk whole zones */
    uint32_t block_size; /* the granularity of all requests */
    uint32_t max_io_bytes;
    uint32_t max_append_bytes;
    bool is_writable, is_zoned;
    int char_fd; /* where the data of requests is read and written */
    CoMutex zone_locks[UBLK_ZONE_LOCKS]; /* see ublk-log.c */
} UblkDisk;

/*
 * Fill @disk from the node of @blk, to be shown with logical blocks of @block_size (0: what fits).
 * False with @errp set where the node cannot be a ublk disk, or not with such blocks.  Outside
 * coroutines.
 */
bool ublk_disk_init(UblkDisk *disk, BlockBackend *blk, bool is_writable, uint64_t block_size,
                    Error **errp);

/* What the driver is told. */
void ublk_disk_params(const UblkDisk *disk, struct ublk_params *params);

/* Whether a device with the parameters @theirs shows @disk; otherwise @errp names what differs. */
bool ublk_disk_check_params(const UblkDisk *disk, const struct ublk_params *theirs, Error **errp);

/* ---- the log of requests in flight: ublk-log.c ---- */

/*
 * A request that must not be carried out twice.
 *
 * Zeroed: there is none.  An entry is started before its request has any effect, and zeroed by the
 * kernel together with the answer (aio_uring_cmd_submit_then_zero()).  So those that a daemon
 * leaves behind are exactly those that the driver gives to its successor.
 */
typedef struct UblkLogEntry {
    uint32_t state;      /* UblkLogState; stored last */
    uint32_t op;
    uint64_t start;      /* sectors, as in the request */
    uint64_t position;   /* sectors: where its data goes */
    uint32_t nr_sectors; /* as in the request */
    uint32_t padding;
} UblkLogEntry;

typedef struct UblkLog UblkLog;

/*
 * A new log for a device with that many queues and tags, in a file that only we may use.  @cookie
 * is the device's own number.  NULL with @errp set where the file cannot be made.
 */
UblkLog *ublk_log_new(const char *path, uint64_t cookie, unsigned int nr_queues, unsigned int depth,
                      Error **errp);
/* The log that an earlier daemon kept for the device. */
UblkLog *ublk_log_open(const char *path, uint64_t cookie, unsigned int nr_queues,
                       unsigned int depth, Error **errp);
/*
 * Find out which of the requests in the log were carried out, by the zones' write pointers as they
 * are before anything else is written.  False with @errp set where they cannot be read.
 */
bool coroutine_fn ublk_log_settle(UblkLog *log, BlockBackend *blk, Error **errp);
UblkLogEntry *ublk_log_entry(UblkLog *log, unsigned int queue, unsigned int tag);
/* NULL is fine. */
void ublk_log_free(UblkLog *log, bool remove_file);

/* ---- a request: ublk-request.c ---- */

typedef struct UblkRequest {
    UblkDisk *disk;
    UblkLogEntry *log_entry; /* NULL: requests may be carried out twice */
    uint16_t queue, tag;
    struct ublksrv_io_desc desc; /* a copy */
    void *small_buffer;          /* for data of most requests; made when first needed, or NULL */

    /* the answer */
    int32_t result;
    uint64_t append_lba; /* 0 unless an append succeeded */
} UblkRequest;

/* Do what @req->desc says and fill in the answer.  The driver is believed nothing. */
void coroutine_fn ublk_request_run(UblkRequest *req);

/*
 * A write to (@is_append: an append to the zone at) *@offset in a sequential zone, carried out
 * exactly once; as blk_co_pwritev() and blk_co_zone_append().
 */
int coroutine_fn ublk_log_write(UblkRequest *req, QEMUIOVector *qiov, int64_t *offset,
                                bool is_append, BdrvRequestFlags flags);
/*
 * blk_co_zone_mgmt() of one zone, or of the whole disk, while no write is on its way there that the
 * log has; a zone is closed once.
 */
int coroutine_fn ublk_log_manage(UblkRequest *req, BlockZoneOp op, int64_t offset, int64_t bytes);

/* ---- commands to the driver: ublk-control.c ---- */

typedef struct UblkControl UblkControl;

/* NULL with @errp set where there is no driver, or it does not let us in. */
UblkControl *ublk_control_open(AioContext *ctx, Error **errp);
/* Commands whose time was up are cancelled now; no other is under way.  NULL is fine. */
void ublk_control_close(UblkControl *control);

/*
 * Send @cmd_op about @dev_id, with @bytes at @buffer (in or out; at most UBLK_CONTROL_BUFFER; NULL
 * and 0 for none) and the argument @data, and wait for at most @timeout_ns (0: as long as it
 * takes).
 *
 * Returns what the driver said, 0 or a negative errno, or -ETIMEDOUT: then the command goes on, and
 * ends when @control is closed at the latest.
 */
int coroutine_fn ublk_control_co(UblkControl *control, uint32_t cmd_op, uint32_t dev_id,
                                 void *buffer, size_t bytes, uint64_t data, int64_t timeout_ns);

#define UBLK_CONTROL_BUFFER 128

/* ---- a queue: ublk-queue.c ---- */

typedef struct UblkDevice UblkDevice;
typedef struct UblkQueue UblkQueue;

/* Map queue @index of the device and fetch all its tags.  NULL with @errp set otherwise. */
UblkQueue *ublk_queue_new(UblkDevice *device, unsigned int index, Error **errp);
/* The driver has given back all tags. */
void ublk_queue_free(UblkQueue *queue);

/* ---- a device: ublk-device.c ---- */

typedef struct UblkOptions {
    int64_t dev_id; /* -1: any */
    unsigned int num_queues, queue_depth;
    bool is_recoverable;
    const char *log_path; /* NULL: the usual one */
} UblkOptions;

struct UblkDevice {
    UblkDisk disk;
    const char *name; /* of the export, for messages */
    AioContext *ctx;
    UblkControl *control;
    struct ublksrv_ctrl_dev_info info;
    UblkLog *log; /* NULL: none */
    UblkQueue **queues;
    unsigned int nr_queues;

    unsigned int nr_fetched; /* tags that the driver has, or that we work on */
    int fetch_error;         /* why the driver did not take one, 0: it did */
    CoQueue all_returned;
};

/*
 * Make a block device of @device->disk, or take over the one that a daemon left; all else in
 * @device is zeroed but its name.  The device is in use when this returns: START_DEV reads it.
 * False with @errp set, and nothing left behind of what is ours.
 */
bool coroutine_fn ublk_device_start(UblkDevice *device, const UblkOptions *options, Error **errp);

/* Remove the device, after what is in flight was answered; then its users get errors.  What
 * they wrote is flushed. */
void coroutine_fn ublk_device_stop(UblkDevice *device);

/* A tag came back for @reason, a negative errno; it is not fetched again. */
void ublk_device_tag_returned(UblkDevice *device, int reason);

#endif
