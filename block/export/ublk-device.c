/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a ublk device: made or taken over, served, removed.
 *
 * A recoverable device outlives a daemon that dies.  Its requests wait in the driver, those in
 * flight included, until a daemon takes it over; that knows the device by the number in its flags,
 * which its log has too.  The size and the limits of the disk must be what they were.
 */
#include "qemu/osdep.h"

#include <fcntl.h>

#include "qemu/error-report.h"
#include "ublk-int.h"

#define MILLISECONDS INT64_C(1000000)
#define SECONDS (1000 * MILLISECONDS)

/* What the driver does by itself. */
#define COMMAND_TIMEOUT (10 * SECONDS)
/* Until the disk is there: reads of zones and partitions, served by us. */
#define START_TIMEOUT (120 * SECONDS)
/* The file of the device appears; the daemon before us dies. */
#define PATIENCE (10 * SECONDS)
#define POLL_INTERVAL (10 * MILLISECONDS)
/* Until nobody uses the device any more; afterwards it goes by itself. */
#define DELETE_TIMEOUT (2 * SECONDS)

/* In the upper half of the number that the driver keeps for us: "ZSub". */
#define COOKIE_MAGIC (UINT64_C(0x5a537562) << 32)
#define COOKIE_MAGIC_MASK (UINT64_C(0xffffffff) << 32)

#define NEEDED_FLAGS (UBLK_F_USER_COPY | UBLK_F_CMD_IOCTL_ENCODE)
#define RECOVERY_FLAGS (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE)

static int coroutine_fn command(UblkDevice *device, uint32_t cmd_op, uint64_t data,
                                int64_t timeout_ns)
{
    return ublk_control_co(device->control, cmd_op, device->info.dev_id, NULL, 0, data, timeout_ns);
}

static int coroutine_fn get_info(UblkDevice *device, uint32_t dev_id,
                                 struct ublksrv_ctrl_dev_info *info)
{
    *info = (struct ublksrv_ctrl_dev_info){.dev_id = dev_id};
    return ublk_control_co(device->control, UBLK_U_CMD_GET_DEV_INFO, dev_id, info, sizeof(*info), 0,
                           COMMAND_TIMEOUT);
}

static uint64_t wanted_flags(const UblkDevice *device, const UblkOptions *options)
{
    return NEEDED_FLAGS | (device->disk.is_zoned ? UBLK_F_ZONED : 0) |
           (options->is_recoverable ? RECOVERY_FLAGS : 0);
}

static const char *name_of_flag(uint64_t flag)
{
    switch (flag) {
    case UBLK_F_ZONED:
        return "zoned disks";
    case UBLK_F_USER_COPY:
        return "user copy";
    case UBLK_F_CMD_IOCTL_ENCODE:
        return "encoded commands";
    default:
        return "user recovery";
    }
}

/* @missing: flags, not 0; the lowest is named. */
static void report_missing(uint64_t missing, Error **errp)
{
    error_setg(errp, "The ublk driver of this kernel does not support %s",
               name_of_flag(missing & -missing));
}

static bool coroutine_fn check_features(UblkDevice *device, uint64_t wanted, Error **errp)
{
    uint64_t features = 0;
    int ret = ublk_control_co(device->control, UBLK_U_CMD_GET_FEATURES, UBLK_ANY_DEVICE, &features,
                              sizeof(features), 0, COMMAND_TIMEOUT);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot ask the ublk driver for its features");
        return false;
    }
    if (wanted & ~features) {
        report_missing(wanted & ~features, errp);
        return false;
    }
    return true;
}

/* ---- serving ---- */

void ublk_device_tag_returned(UblkDevice *device, int reason)
{
    assert(device->nr_fetched > 0);
    device->nr_fetched--;
    if (reason != -ENODEV && !device->fetch_error) {
        device->fetch_error = reason;
        error_report("Export '%s': the ublk driver refuses to give requests: %s", device->name,
                     strerror(-reason));
    }
    if (device->nr_fetched == 0) {
        qemu_co_queue_restart_all(&device->all_returned);
    }
}

/* Open the device's file, which the system is about to make. */
static bool coroutine_fn open_char(UblkDevice *device, Error **errp)
{
    g_autofree char *path = g_strdup_printf("/dev/ublkc%u", device->info.dev_id);
    int64_t deadline = qemu_clock_get_ns() + PATIENCE;
    int fd;

    while ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0 &&
           (errno == ENOENT || errno == EACCES || errno == EBUSY) &&
           qemu_clock_get_ns() < deadline) {
        qemu_co_sleep_ns(POLL_INTERVAL);
    }
    if (fd < 0) {
        error_setg_errno(errp, errno, "Cannot open '%s'", path);
        return false;
    }
    device->disk.char_fd = fd;
    return true;
}

/* Fetch all tags of all queues. */
static bool start_queues(UblkDevice *device, Error **errp)
{
    device->queues = g_new0(UblkQueue *, device->info.nr_hw_queues);
    for (unsigned int i = 0; i < device->info.nr_hw_queues; i++) {
        device->queues[i] = ublk_queue_new(device, i, errp);
        if (!device->queues[i]) {
            return false;
        }
        device->nr_queues++;
    }
    return true;
}

/* All tags have been returned: give up what we have of the device. */
static void close_queues(UblkDevice *device)
{
    assert(device->nr_fetched == 0);
    for (unsigned int i = 0; i < device->nr_queues; i++) {
        ublk_queue_free(device->queues[i]);
    }
    device->nr_queues = 0;
    g_clear_pointer(&device->queues, g_free);
    if (device->disk.char_fd >= 0) {
        close(device->disk.char_fd);
        device->disk.char_fd = -1;
    }
}

/* ---- the end ---- */

static void coroutine_fn remove_device(UblkDevice *device)
{
    int ret;

    command(device, UBLK_U_CMD_STOP_DEV, 0, 0);
    while (device->nr_fetched) {
        qemu_co_queue_wait(&device->all_returned, NULL);
    }
    close_queues(device);
    ret = command(device, UBLK_U_CMD_DEL_DEV, 0, DELETE_TIMEOUT);
    if (ret == -ETIMEDOUT) {
        warn_report("Export '%s': /dev/ublkb%u goes when the last who has it open closes it",
                    device->name, device->info.dev_id);
    } else if (ret < 0) {
        warn_report("Export '%s': cannot remove /dev/ublkb%u: %s", device->name,
                    device->info.dev_id, strerror(-ret));
    }
    ublk_log_free(g_steal_pointer(&device->log), true);
}

void coroutine_fn ublk_device_stop(UblkDevice *device)
{
    int ret;

    remove_device(device);
    ublk_control_close(g_steal_pointer(&device->control));
    /* Nobody can ask for it any more. */
    ret = device->disk.is_writable ? blk_co_flush(device->disk.blk) : 0;
    if (ret < 0) {
        error_report("Export '%s': the last flush failed: %s", device->name, strerror(-ret));
    }
}

/* ---- a new device ---- */

/* The device exists, and nobody has its file open: what a daemon of ours left that died. */
static bool coroutine_fn remove_remains(UblkDevice *device,
                                        const struct ublksrv_ctrl_dev_info *info, Error **errp)
{
    int ret;

    if (info->state != UBLK_S_DEV_DEAD ||
        (info->ublksrv_flags & COOKIE_MAGIC_MASK) != COOKIE_MAGIC) {
        error_setg(errp, "/dev/ublkb%u exists already%s", info->dev_id,
                   info->state == UBLK_S_DEV_QUIESCED ? " and waits for recovery" : "");
        return false;
    }
    ret = ublk_control_co(device->control, UBLK_U_CMD_DEL_DEV, info->dev_id, NULL, 0, 0,
                          COMMAND_TIMEOUT);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot remove what is left of /dev/ublkb%u", info->dev_id);
        return false;
    }
    return true;
}

/* The driver leaves out what it does not know, and has limits of its own. */
static bool check_added(const UblkDevice *device, uint64_t wanted, Error **errp)
{
    uint64_t missing = wanted & ~device->info.flags;

    if (missing) {
        report_missing(missing, errp);
        return false;
    }
    if (device->info.max_io_buf_bytes < device->disk.max_io_bytes) {
        error_setg(errp, "The ublk driver allows requests of %u bytes, %u are needed",
                   device->info.max_io_buf_bytes, device->disk.max_io_bytes);
        return false;
    }
    return true;
}

static bool coroutine_fn add_device(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    uint64_t wanted = wanted_flags(device, options);
    struct ublksrv_ctrl_dev_info info = {
        .nr_hw_queues = options->num_queues,
        .queue_depth = options->queue_depth,
        .max_io_buf_bytes = device->disk.max_io_bytes,
        .dev_id = options->dev_id < 0 ? UBLK_ANY_DEVICE : (uint32_t)options->dev_id,
        .flags = wanted,
        .ublksrv_flags = COOKIE_MAGIC | g_random_int(),
    };
    int ret = ublk_control_co(device->control, UBLK_U_CMD_ADD_DEV, info.dev_id, &info, sizeof(info),
                              0, COMMAND_TIMEOUT);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot make a %sublk device",
                         device->disk.is_zoned ? "zoned " : "");
        return false;
    }
    device->info = info;
    if (!check_added(device, wanted, errp)) {
        command(device, UBLK_U_CMD_DEL_DEV, 0, COMMAND_TIMEOUT);
        return false;
    }
    return true;
}

static bool coroutine_fn set_params(UblkDevice *device, Error **errp)
{
    struct ublk_params params;
    int ret;

    ublk_disk_params(&device->disk, &params);
    ret = ublk_control_co(device->control, UBLK_U_CMD_SET_PARAMS, device->info.dev_id, &params,
                          sizeof(params), 0, COMMAND_TIMEOUT);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "The ublk driver refuses a disk like this");
        return false;
    }
    return true;
}

static char *log_path(const UblkDevice *device, const UblkOptions *options)
{
    return options->log_path ? g_strdup(options->log_path)
                             : g_strdup_printf("/run/ublkb%u.recovery-log", device->info.dev_id);
}

/* Only zoned disks have requests that must not be carried out twice. */
static bool needs_log(const UblkDevice *device, const UblkOptions *options)
{
    return options->is_recoverable && device->disk.is_zoned && device->disk.is_writable;
}

static bool make_log(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    g_autofree char *path = NULL;

    if (!needs_log(device, options)) {
        return true;
    }
    path = log_path(device, options);
    device->log = ublk_log_new(path, device->info.ublksrv_flags, device->info.nr_hw_queues,
                               device->info.queue_depth, errp);
    return device->log != NULL;
}

/* Let the disk appear, or go on; the driver waits for our fetches first. */
static bool coroutine_fn go_live(UblkDevice *device, uint32_t cmd_op, Error **errp)
{
    int ret = command(device, cmd_op, getpid(), START_TIMEOUT);

    if (ret < 0) {
        error_setg_errno(errp, -ret, "The ublk driver cannot start /dev/ublkb%u",
                         device->info.dev_id);
        return false;
    }
    return true;
}

static bool coroutine_fn make_device(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    if (!add_device(device, options, errp)) {
        return false;
    }
    if (!set_params(device, errp) || !make_log(device, options, errp) ||
        !open_char(device, errp) || !start_queues(device, errp) ||
        !go_live(device, UBLK_U_CMD_START_DEV, errp)) {
        remove_device(device);
        return false;
    }
    return true;
}

/* ---- the device of a daemon that died ---- */

/* Wait until the driver knows that the other daemon has gone. */
static bool coroutine_fn wait_quiesced(UblkDevice *device, Error **errp)
{
    int64_t deadline = qemu_clock_get_ns() + PATIENCE;
    struct ublksrv_ctrl_dev_info *info = &device->info;

    while (info->state == UBLK_S_DEV_LIVE && info->ublksrv_pid != getpid() &&
           qemu_clock_get_ns() < deadline) {
        int ret;

        qemu_co_sleep_ns(POLL_INTERVAL);
        ret = get_info(device, info->dev_id, info);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot ask for /dev/ublkb%u", info->dev_id);
            return false;
        }
    }
    if (info->state != UBLK_S_DEV_QUIESCED) {
        error_setg(errp, "/dev/ublkb%u is in use by process %d", info->dev_id, info->ublksrv_pid);
        return false;
    }
    return true;
}

/* Whether the device is one of ours, made with these options, on a disk like this. */
static bool coroutine_fn check_left_device(UblkDevice *device, const UblkOptions *options,
                                           Error **errp)
{
    ERRP_GUARD();
    struct ublk_params params = {.len = sizeof(params)};
    uint64_t wanted = wanted_flags(device, options);
    uint32_t dev_id = device->info.dev_id;
    int ret;

    if ((device->info.ublksrv_flags & COOKIE_MAGIC_MASK) != COOKIE_MAGIC ||
        (wanted & ~device->info.flags)) {
        error_setg(errp, "/dev/ublkb%u was not made by an export like this", dev_id);
        return false;
    }
    ret = ublk_control_co(device->control, UBLK_U_CMD_GET_PARAMS, dev_id, &params, sizeof(params),
                          0, COMMAND_TIMEOUT);
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot ask for the parameters of /dev/ublkb%u", dev_id);
        return false;
    }
    if (!ublk_disk_check_params(&device->disk, &params, errp)) {
        error_prepend(errp, "Cannot take over /dev/ublkb%u: ", dev_id);
        return false;
    }
    return true;
}

static bool coroutine_fn settle_log(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    g_autofree char *path = NULL;

    if (!needs_log(device, options)) {
        return true;
    }
    path = log_path(device, options);
    device->log = ublk_log_open(path, device->info.ublksrv_flags, device->info.nr_hw_queues,
                                device->info.queue_depth, errp);
    return device->log && ublk_log_settle(device->log, device->disk.blk, errp);
}

/* The driver may still be giving up the other daemon's file. */
static bool coroutine_fn start_recovery(UblkDevice *device, Error **errp)
{
    int64_t deadline = qemu_clock_get_ns() + PATIENCE;
    int ret;

    while ((ret = command(device, UBLK_U_CMD_START_USER_RECOVERY, 0, COMMAND_TIMEOUT)) == -EBUSY &&
           qemu_clock_get_ns() < deadline) {
        qemu_co_sleep_ns(POLL_INTERVAL);
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Cannot take over /dev/ublkb%u", device->info.dev_id);
        return false;
    }
    return true;
}

/* Where it fails early the device is left as it was, for another try. */
static bool coroutine_fn take_over(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    bool is_fetching = false;

    if (wait_quiesced(device, errp) && check_left_device(device, options, errp) &&
        settle_log(device, options, errp) && start_recovery(device, errp) &&
        open_char(device, errp)) {
        is_fetching = true;
        if (start_queues(device, errp) && go_live(device, UBLK_U_CMD_END_USER_RECOVERY, errp)) {
            return true;
        }
    }
    if (is_fetching) {
        /* Only so are fetches given back. */
        remove_device(device);
    } else {
        ublk_log_free(g_steal_pointer(&device->log), false);
    }
    return false;
}

/* ---- starting ---- */

static bool coroutine_fn start(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    int ret = -ENODEV;

    if (!check_features(device, wanted_flags(device, options), errp)) {
        return false;
    }
    if (options->dev_id >= 0) {
        ret = get_info(device, options->dev_id, &device->info);
    }
    if (ret < 0) {
        return make_device(device, options, errp);
    }
    if (options->is_recoverable && device->info.state != UBLK_S_DEV_DEAD) {
        return take_over(device, options, errp);
    }
    return remove_remains(device, &device->info, errp) && make_device(device, options, errp);
}

bool coroutine_fn ublk_device_start(UblkDevice *device, const UblkOptions *options, Error **errp)
{
    qemu_co_queue_init(&device->all_returned);
    device->control = ublk_control_open(device->ctx, errp);
    if (!device->control) {
        return false;
    }
    if (needs_log(device, options)) {
        int ret = aio_uring_prepare_zeroing(device->ctx);

        if (ret < 0) {
            error_setg_errno(errp, -ret, "Cannot open '/dev/zero'");
            ublk_control_close(g_steal_pointer(&device->control));
            return false;
        }
    }
    if (!start(device, options, errp)) {
        ublk_control_close(g_steal_pointer(&device->control));
        return false;
    }
    return true;
}
