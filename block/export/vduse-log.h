/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must outlive the process for the next one to go on with an attached VDUSE device: the
 * requests in flight of its queues, the status that the driver has reached, and what the device is.
 *
 * It is a mapped file in a folder in memory (/dev/shm), named after the device and tied to it: a
 * device of the same name that was made later does not fit.  Like the device it is gone after a
 * reboot.  Only the daemon's user can open it.
 */
#ifndef BLOCK_EXPORT_VDUSE_LOG_H
#define BLOCK_EXPORT_VDUSE_LOG_H

#include "vduse-dev.h"

typedef struct VduseLog VduseLog;

/* Begin the log of a new device, which is open; NULL with @errp set. */
VduseLog *vduse_log_create(const VduseDev *dev, const VduseDevOptions *options, Error **errp);
/*
 * Open the log of an existing device, which is open.  NULL with @errp set where there is none, or
 * it is of another device, or of one with other numbers of queues or descriptors.
 */
VduseLog *vduse_log_open(const VduseDev *dev, const VduseDevOptions *options, Error **errp);
/* Unmap it; the file stays. */
void vduse_log_free(VduseLog *log);
/* The device does not exist any more: remove the file and free the log. */
void vduse_log_remove(VduseLog *log);

/* The configuration space that the driver knows. */
const uint8_t *vduse_log_config(const VduseLog *log);
void vduse_log_set_config(VduseLog *log, const uint8_t *config);

/* The device's status, as far as it was accepted. */
uint8_t vduse_log_status(const VduseLog *log);
void vduse_log_set_status(VduseLog *log, uint8_t status);

/* The log of queue @index, for virtqueue_start(). */
void *vduse_log_queue(const VduseLog *log, unsigned int index);
/* Nothing is in flight in any queue. */
void vduse_log_clear(VduseLog *log);

#endif
