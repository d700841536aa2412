/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IOThreads: see block/iothread.h.
 *
 * The thread makes its AioContext itself, because a context belongs to the thread that made it, and
 * gives it back at the end.  What it shares with the main thread is under @lock, and only during
 * the start and the end.
 */
#include "qemu/osdep.h"

#include <pthread.h>
#include <signal.h>
#include <sys/queue.h>
#include <unistd.h>

#include "block/block-graph.h"
#include "block/iothread.h"
#include "qapi/qapi-commands.h"

/* A thread's name in the kernel, with the terminator. */
#define THREAD_NAME_SIZE 16

struct IOThread {
    char *id;
    pthread_t thread;
    bool is_stopping; /* the thread's own */

    pthread_mutex_t lock;
    pthread_cond_t has_started;
    bool is_started; /* well or not; then these are set: */
    AioContext *ctx; /* NULL: it could not be made */
    Error *start_error;
    pid_t thread_id;

    TAILQ_ENTRY(IOThread) link;
};

static TAILQ_HEAD(, IOThread) iothreads = TAILQ_HEAD_INITIALIZER(iothreads);

/* ---- the thread ---- */

/* Returns the context, which is the thread's own. */
static AioContext *announce_start(IOThread *iothread)
{
    Error *err = NULL;
    AioContext *ctx = aio_context_new(&err);

    pthread_mutex_lock(&iothread->lock);
    iothread->ctx = ctx;
    iothread->start_error = err;
    iothread->thread_id = gettid();
    iothread->is_started = true;
    pthread_cond_signal(&iothread->has_started);
    pthread_mutex_unlock(&iothread->lock);
    return ctx;
}

static void *run(void *opaque)
{
    IOThread *iothread = opaque;
    AioContext *ctx = announce_start(iothread);

    while (ctx && !iothread->is_stopping) {
        aio_poll(ctx, true);
    }
    /* Whoever asked for the end may still be at work on the context: see stop(). */
    pthread_mutex_lock(&iothread->lock);
    pthread_mutex_unlock(&iothread->lock);
    aio_context_unref(ctx);
    return NULL;
}

/* Signals are for the main thread, except what a thread has brought upon itself. */
static int start_thread(IOThread *iothread)
{
    static const int own[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    sigset_t blocked, before;
    int ret;

    sigfillset(&blocked);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        sigdelset(&blocked, own[i]);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    ret = pthread_create(&iothread->thread, NULL, run, iothread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ret;
}

static void wait_for_start(IOThread *iothread)
{
    pthread_mutex_lock(&iothread->lock);
    while (!iothread->is_started) {
        pthread_cond_wait(&iothread->has_started, &iothread->lock);
    }
    pthread_mutex_unlock(&iothread->lock);
}

static void stop_bh(void *opaque)
{
    IOThread *iothread = opaque;

    iothread->is_stopping = true;
}

/* The lock keeps the context alive until the bottom half has been handed over. */
static void stop(IOThread *iothread)
{
    pthread_mutex_lock(&iothread->lock);
    aio_bh_schedule_oneshot(iothread->ctx, stop_bh, iothread);
    pthread_mutex_unlock(&iothread->lock);
    pthread_join(iothread->thread, NULL);
}

/* ---- life ---- */

static void iothread_free(IOThread *iothread)
{
    pthread_mutex_destroy(&iothread->lock);
    pthread_cond_destroy(&iothread->has_started);
    g_free(iothread->id);
    g_free(iothread);
}

static bool check_id(const char *id, Error **errp)
{
    bool is_wellformed = g_ascii_isalpha(*id);

    for (const char *c = id; *c && is_wellformed; c++) {
        is_wellformed = g_ascii_isalnum(*c) || strchr("-._", *c);
    }
    if (!is_wellformed) {
        error_setg(errp, "Invalid iothread id '%s': it must consist of letters, digits, '-', '.' "
                         "and '_', starting with a letter", id);
        return false;
    }
    if (iothread_find(id)) {
        error_setg(errp, "iothread '%s' exists already", id);
        return false;
    }
    return true;
}

IOThread *iothread_new(const char *id, Error **errp)
{
    char name[THREAD_NAME_SIZE];
    IOThread *iothread;
    int ret;

    if (!check_id(id, errp)) {
        return NULL;
    }
    iothread = g_new0(IOThread, 1);
    iothread->id = g_strdup(id);
    pthread_mutex_init(&iothread->lock, NULL);
    pthread_cond_init(&iothread->has_started, NULL);
    ret = start_thread(iothread);
    if (ret != 0) {
        error_setg_errno(errp, ret, "Cannot start a thread for iothread '%s'", id);
        iothread_free(iothread);
        return NULL;
    }
    wait_for_start(iothread);
    if (!iothread->ctx) {
        error_propagate(errp, iothread->start_error);
        pthread_join(iothread->thread, NULL);
        iothread_free(iothread);
        return NULL;
    }
    snprintf(name, sizeof(name), "IO %s", id);
    pthread_setname_np(iothread->thread, name);
    TAILQ_INSERT_TAIL(&iothreads, iothread, link);
    return iothread;
}

static void end(IOThread *iothread)
{
    assert(!iothread_is_in_use(iothread));
    TAILQ_REMOVE(&iothreads, iothread, link);
    stop(iothread);
    iothread_free(iothread);
}

bool iothread_delete(const char *id, Error **errp)
{
    IOThread *iothread = iothread_find(id);

    if (!iothread) {
        error_setg(errp, "There is no iothread '%s'", id);
        return false;
    }
    if (iothread_is_in_use(iothread)) {
        error_setg(errp, "iothread '%s' is in use: node '%s' lives in it", id,
                   iothread_first_node(iothread));
        return false;
    }
    end(iothread);
    return true;
}

void iothread_delete_all(void)
{
    while (!TAILQ_EMPTY(&iothreads)) {
        end(TAILQ_FIRST(&iothreads));
    }
}

/* ---- what is known of them ---- */

IOThread *iothread_find(const char *id)
{
    IOThread *iothread;

    TAILQ_FOREACH(iothread, &iothreads, link) {
        if (!strcmp(iothread->id, id)) {
            return iothread;
        }
    }
    return NULL;
}

IOThread *iothread_next(IOThread *iothread)
{
    return iothread ? TAILQ_NEXT(iothread, link) : TAILQ_FIRST(&iothreads);
}

const char *iothread_get_id(const IOThread *iothread)
{
    return iothread->id;
}

pid_t iothread_get_thread_id(const IOThread *iothread)
{
    return iothread->thread_id;
}

AioContext *iothread_get_aio_context(const IOThread *iothread)
{
    return iothread->ctx;
}

char *iothread_describe_context(const AioContext *ctx)
{
    const IOThread *iothread;

    TAILQ_FOREACH(iothread, &iothreads, link) {
        if (iothread->ctx == ctx) {
            return g_strdup_printf("iothread '%s'", iothread->id);
        }
    }
    return g_strdup("the main thread");
}

const char *iothread_first_node(const IOThread *iothread)
{
    BlockDriverState *bs = NULL;

    while ((bs = bdrv_next_node(bs))) {
        if (bdrv_get_aio_context(bs) == iothread->ctx) {
            return bdrv_get_node_name(bs);
        }
    }
    return NULL;
}

bool iothread_is_in_use(const IOThread *iothread)
{
    return iothread_first_node(iothread);
}

IOThreadInfoList *qmp_query_iothreads(Error **errp)
{
    IOThreadInfoList *list = NULL, **tail = &list;
    const IOThread *iothread;

    TAILQ_FOREACH(iothread, &iothreads, link) {
        IOThreadInfo *info = g_new0(IOThreadInfo, 1);

        info->id = g_strdup(iothread->id);
        info->thread_id = iothread->thread_id;
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}
