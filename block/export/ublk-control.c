/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands to the ublk driver.
 *
 * They have their own ring, because they need requests of 128 bytes.  The ring's descriptor is
 * watched by the AioContext, so that requests of disks are served while a command waits for that to
 * happen (START_DEV reads the partition table).  The kernel carries commands out in threads of its
 * own.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <liburing.h>

#include "ublk-int.h"

#define NR_SQES 4

struct UblkControl {
    AioContext *ctx;
    struct io_uring ring;
    int fd; /* of the driver */
};

/*
 * A command under way.  The kernel may read and write the buffer until the command has ended, so
 * one whose caller has lost patience is freed by its completion, or never.
 */
typedef struct Command {
    uint8_t buffer[UBLK_CONTROL_BUFFER];
    Coroutine *co; /* NULL: nobody waits any more */
    bool has_ended;
    int result;
} Command;

/* ---- life ---- */

static void take_completions(void *opaque)
{
    UblkControl *control = opaque;
    struct io_uring_cqe *cqe;

    while (io_uring_peek_cqe(&control->ring, &cqe) == 0) {
        Command *command = io_uring_cqe_get_data(cqe);

        command->result = cqe->res;
        command->has_ended = true;
        io_uring_cqe_seen(&control->ring, cqe);
        if (command->co) {
            /* It may close the ring. What else has come makes the descriptor readable again. */
            aio_co_wake(command->co);
            return;
        }
        g_free(command);
    }
}

UblkControl *ublk_control_open(AioContext *ctx, Error **errp)
{
    g_autofree UblkControl *control = g_new0(UblkControl, 1);
    struct io_uring_params params = {.flags = IORING_SETUP_SQE128};
    int ret;

    control->ctx = ctx;
    control->fd = open(UBLK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
    if (control->fd < 0) {
        error_setg_errno(errp, errno, "Cannot open '%s'", UBLK_CONTROL_PATH);
        if (errno == ENOENT) {
            error_append_hint(errp, "Is the module ublk_drv of the kernel loaded?\n");
        }
        return NULL;
    }
    ret = io_uring_queue_init_params(NR_SQES, &control->ring, &params);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot make a ring for commands to the ublk driver");
        close(control->fd);
        return NULL;
    }
    aio_set_fd_handler(ctx, control->ring.ring_fd, take_completions, NULL, control);
    return g_steal_pointer(&control);
}

void ublk_control_close(UblkControl *control)
{
    if (!control) {
        return;
    }
    aio_set_fd_handler(control->ctx, control->ring.ring_fd, NULL, NULL, NULL);
    io_uring_queue_exit(&control->ring);
    close(control->fd);
    g_free(control);
}

/* ---- commands ---- */

static void time_is_up(void *opaque)
{
    Command *command = opaque;

    if (!command->has_ended) {
        aio_co_wake(command->co);
    }
}

/* Yield until @command has ended or @timeout_ns have passed. */
static void coroutine_fn wait_for(UblkControl *control, Command *command, int64_t timeout_ns)
{
    QEMUTimer *timer = NULL;

    command->co = qemu_coroutine_self();
    if (timeout_ns) {
        timer = aio_timer_new(control->ctx, time_is_up, command);
        timer_mod_ns(timer, qemu_clock_get_ns() + timeout_ns);
    }
    qemu_coroutine_yield();
    if (timer) {
        timer_free(timer);
    }
    command->co = NULL;
}

int coroutine_fn ublk_control_co(UblkControl *control, uint32_t cmd_op, uint32_t dev_id,
                                 void *buffer, size_t bytes, uint64_t data, int64_t timeout_ns)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&control->ring);
    Command *command = g_new0(Command, 1);
    struct ublksrv_ctrl_cmd payload = {
        .dev_id = dev_id,
        .queue_id = UBLK_NO_QUEUE,
        .len = bytes,
        .addr = (uintptr_t)(bytes ? command->buffer : NULL),
        .data = {data},
    };
    int ret;

    assert(sqe && bytes <= sizeof(command->buffer));
    if (bytes) {
        memcpy(command->buffer, buffer, bytes);
    }
    /* 128 bytes: liburing clears the first half only. */
    memset(sqe, 0, 2 * sizeof(*sqe));
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, control->fd, NULL, 0, 0);
    sqe->cmd_op = cmd_op;
    memcpy(sqe->cmd, &payload, sizeof(payload));
    io_uring_sqe_set_data(sqe, command);
    do {
        ret = io_uring_submit(&control->ring);
    } while (ret == -EINTR);
    if (ret < 0) {
        /* It stays in the ring, and its memory with it. */
        return ret;
    }
    wait_for(control, command, timeout_ns);
    if (!command->has_ended) {
        return -ETIMEDOUT;
    }
    ret = command->result;
    if (bytes) {
        memcpy(buffer, command->buffer, bytes);
    }
    g_free(command);
    return ret;
}
