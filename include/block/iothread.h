/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IOThreads: threads with an event loop of their own, for nodes and their exports.
 *
 * All of it runs in the main thread, outside coroutines.  How nodes get there:
 * bdrv_try_change_aio_context(); what is allowed between threads: docs/devel/threads.rst.
 */
#ifndef BLOCK_IOTHREAD_H
#define BLOCK_IOTHREAD_H

#include "block/aio.h"
#include "qapi/error.h"

typedef struct IOThread IOThread;

/*
 * Start a thread named "IO @id" (as much of it as fits), which takes no signals but those of its own
 * faults, and wait until its loop runs.  NULL with @errp set where @id is malformed or in use, or the kernel refuses.
 */
IOThread *iothread_new(const char *id, Error **errp);

/* NULL where there is none. */
IOThread *iothread_find(const char *id);
/* From the oldest to the newest; NULL to start. */
IOThread *iothread_next(IOThread *iothread);

const char *iothread_get_id(const IOThread *iothread);
/* As gettid(2) says. */
pid_t iothread_get_thread_id(const IOThread *iothread);
/* Valid until the thread is deleted. */
AioContext *iothread_get_aio_context(const IOThread *iothread);
/* How a context is called in messages: `the main thread` or `iothread 'ID'`; to be freed. */
char *iothread_describe_context(const AioContext *ctx);

/* The first node that lives in it, NULL where there is none. */
const char *iothread_first_node(const IOThread *iothread);
/* Whether a node lives in it. */
bool iothread_is_in_use(const IOThread *iothread);

/* End the thread and forget it; false with @errp set where there is no such one or it is in use. */
bool iothread_delete(const char *id, Error **errp);
/* At the end of the program, when no node lives in any of them. */
void iothread_delete_all(void);

#endif
