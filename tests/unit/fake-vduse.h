/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's side of VDUSE, for tests: one device, a driver for it, and the calls that
 * vduse-dev.h makes, without /dev/vduse.
 *
 * The daemon calls from its thread; what a test does as the driver, it does in another one.
 */
#ifndef TESTS_UNIT_FAKE_VDUSE_H
#define TESTS_UNIT_FAKE_VDUSE_H

#include "../../block/export/vduse-dev.h"
#include "virtio-driver.h"

#define FAKE_MAX_REGIONS 4
#define FAKE_QUEUES 2

typedef struct FakeRegion {
    uint64_t start, last, offset;
    int fd;
    uint8_t perm;
} FakeRegion;

typedef struct FakeVduse {
    GMutex lock;
    bool exists, is_attached, is_broken;
    unsigned int nr_created, nr_destroyed, nr_mapped, nr_refused_interrupts, nr_config_changes;
    uint64_t offered, acked;
    uint8_t config[96];
    uint32_t nr_queues, nr_set_up;
    uint16_t max_size;
    uint8_t status;
    int kernel_end, daemon_end; /* of the character device */
    int call;                   /* signalled by interrupts of any queue */
    struct {
        struct vduse_vq_info info;
        int kick; /* our own; -1: none */
    } queues[FAKE_QUEUES];
    FakeRegion regions[FAKE_MAX_REGIONS];
    unsigned int nr_regions;
    uint32_t next_id;

    DriverMemory memory;
    DriverRing ring; /* of queue 0 */
} FakeVduse;

extern FakeVduse fake_vduse;

/* Use it in the place of the kernel; logs go to @folder. */
void fake_vduse_begin(const char *folder);
void fake_vduse_end(void);

/* ---- the driver ---- */

/* Send a message, and wait for the answer to it; false where there is none (closed). */
bool fake_vduse_ask(struct vduse_dev_request *request, struct vduse_dev_response *response);
/* Set the status; whether the device agreed.  It is recorded @delay_us after the answer. */
bool fake_vduse_set_status(uint8_t status, unsigned int delay_us);
/* Memory from @start on is what @fd has from @offset on. */
void fake_vduse_add_region(uint64_t start, uint64_t bytes, int fd, uint64_t offset);
void fake_vduse_remove_regions(void);
/* From a reset up to all features negotiated and a ring of 64 set up in queue 0. */
void fake_vduse_negotiate(void);
/* The same, and DRIVER_OK. */
void fake_vduse_bring_up(void);

/* Kick queue 0, if there is anybody to hear it. */
void fake_vduse_kick(void);
/* Wait for an answer in queue 0, by interrupt. */
void fake_vduse_wait_answer(void);

#endif
