/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel with one VDUSE device: see fake-vduse.h.
 */
#include "qemu/osdep.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "fake-vduse.h"

#define CONTROL_PATH "/dev/vduse/control"

FakeVduse fake_vduse;

static VduseKernel fake_kernel;
static const VduseKernel *real_kernel;

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- what the daemon calls ---- */

static int fake_open(const char *path)
{
    FakeVduse *f = &fake_vduse;
    int fd;

    if (!strcmp(path, CONTROL_PATH)) {
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    g_assert_true(f->exists);
    fd = fcntl(f->daemon_end, F_DUPFD_CLOEXEC, 0);
    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    return fd;
}

static int create(FakeVduse *f, const struct vduse_dev_config *config)
{
    int pair[2];

    if (f->exists) {
        return fail(EEXIST);
    }
    if (!(config->features & UINT64_C(1) << 33) || config->features & UINT64_C(1) << 11 ||
        config->device_id != 2 || config->vq_num > FAKE_QUEUES || config->config_size != 96) {
        return fail(EINVAL);
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
    f->kernel_end = pair[0];
    f->daemon_end = pair[1];
    f->exists = true;
    f->is_broken = false;
    f->offered = config->features;
    f->acked = 0;
    f->status = 0;
    f->nr_queues = config->vq_num;
    f->nr_set_up = 0;
    f->nr_created++;
    memcpy(f->config, config->config, sizeof(f->config));
    return 0;
}

static int destroy(FakeVduse *f)
{
    if (f->is_attached) {
        return fail(EBUSY);
    }
    if (!f->exists) {
        return fail(EINVAL);
    }
    close(f->kernel_end);
    close(f->daemon_end);
    f->exists = false;
    f->nr_destroyed++;
    return 0;
}

static int get_region(FakeVduse *f, struct vduse_iotlb_entry *entry)
{
    for (unsigned int i = 0; i < f->nr_regions; i++) {
        const FakeRegion *region = &f->regions[i];

        if (region->start <= entry->last && region->last >= entry->start) {
            *entry = (struct vduse_iotlb_entry){.start = region->start, .last = region->last,
                                                .offset = region->offset, .perm = region->perm};
            f->nr_mapped++;
            return dup(region->fd);
        }
    }
    return fail(EINVAL);
}

static int interrupt(FakeVduse *f)
{
    const uint64_t one = 1;

    if (!(f->status & 4)) {
        f->nr_refused_interrupts++;
        return fail(EINVAL);
    }
    return write(f->call, &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

static int set_config(FakeVduse *f, const struct vduse_config_data *data)
{
    g_assert_cmpuint(data->offset + data->length, <=, sizeof(f->config));
    memcpy(f->config + data->offset, data->buffer, data->length);
    return 0;
}

static int set_kick(FakeVduse *f, const struct vduse_vq_eventfd *event)
{
    if (f->queues[event->index].kick >= 0) {
        close(f->queues[event->index].kick);
    }
    f->queues[event->index].kick = dup(event->fd);
    return 0;
}

static int call_device(FakeVduse *f, unsigned long request, void *argument)
{
    switch (request) {
    case VDUSE_IOTLB_GET_FD:
        return get_region(f, argument);
    case VDUSE_DEV_GET_FEATURES:
        *(uint64_t *)argument = f->acked;
        return 0;
    case VDUSE_DEV_SET_CONFIG:
        return set_config(f, argument);
    case VDUSE_DEV_INJECT_CONFIG_IRQ:
        f->nr_config_changes++;
        return 0;
    case VDUSE_VQ_SETUP:
        f->max_size = ((struct vduse_vq_config *)argument)->max_size;
        f->nr_set_up++;
        return 0;
    case VDUSE_VQ_GET_INFO:
        *(struct vduse_vq_info *)argument =
            f->queues[((struct vduse_vq_info *)argument)->index].info;
        return 0;
    case VDUSE_VQ_SETUP_KICKFD:
        return set_kick(f, argument);
    case VDUSE_VQ_INJECT_IRQ:
        return interrupt(f);
    default:
        g_assert_not_reached();
    }
}

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
    FakeVduse *f = &fake_vduse;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

    switch (request) {
    case VDUSE_SET_API_VERSION:
        g_assert_cmpuint(*(uint64_t *)argument, ==, 0);
        return 0;
    case VDUSE_CREATE_DEV:
        return create(f, argument);
    case VDUSE_DESTROY_DEV:
        return destroy(f);
    default:
        return f->is_broken ? fail(EPERM) : call_device(f, request, argument);
    }
}

/* ---- life ---- */

void fake_vduse_begin(const char *folder)
{
    FakeVduse *f = &fake_vduse;

    memset(f, 0, sizeof(*f));
    g_mutex_init(&f->lock);
    f->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned int i = 0; i < FAKE_QUEUES; i++) {
        f->queues[i].kick = -1;
        f->queues[i].info.index = i;
    }
    driver_memory_init(&f->memory);
    driver_ring_init(&f->ring, &f->memory, 0, 64);
    real_kernel = vduse_kernel;
    fake_kernel = (VduseKernel){.open = fake_open, .ioctl = fake_ioctl, .log_folder = folder};
    vduse_kernel = &fake_kernel;
}

static void drop_kicks(FakeVduse *f)
{
    for (unsigned int i = 0; i < FAKE_QUEUES; i++) {
        if (f->queues[i].kick >= 0) {
            close(f->queues[i].kick);
        }
        f->queues[i].kick = -1;
        f->queues[i].info = (struct vduse_vq_info){.index = i};
    }
}

void fake_vduse_end(void)
{
    FakeVduse *f = &fake_vduse;

    drop_kicks(f);
    f->is_attached = false;
    if (f->exists) {
        destroy(f);
    }
    driver_memory_done(&f->memory);
    close(f->call);
    g_mutex_clear(&f->lock);
    vduse_kernel = real_kernel;
}

/* ---- the driver ---- */

bool fake_vduse_ask(struct vduse_dev_request *request, struct vduse_dev_response *response)
{
    FakeVduse *f = &fake_vduse;
    struct pollfd poll_fd = {.fd = f->kernel_end, .events = POLLIN};

    request->request_id = ++f->next_id;
    g_assert_cmpint(send(f->kernel_end, request, sizeof(*request), MSG_NOSIGNAL), ==,
                    sizeof(*request));
    g_assert_cmpint(poll(&poll_fd, 1, 20000), ==, 1);
    if (recv(f->kernel_end, response, sizeof(*response), 0) != sizeof(*response)) {
        return false;
    }
    g_assert_cmpuint(response->request_id, ==, request->request_id);
    for (unsigned int i = 0; i < ARRAY_SIZE(response->reserved); i++) {
        g_assert_cmpuint(response->reserved[i], ==, 0);
    }
    return true;
}

bool fake_vduse_set_status(uint8_t status, unsigned int delay_us)
{
    FakeVduse *f = &fake_vduse;
    struct vduse_dev_request request = {.type = VDUSE_SET_STATUS, .s.status = status};
    struct vduse_dev_response response;

    g_assert_true(fake_vduse_ask(&request, &response));
    g_usleep(delay_us);
    if (response.result != VDUSE_REQ_RESULT_OK) {
        return false;
    }
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

    f->status = status;
    if (status == 0) {
        f->acked = 0;
        drop_kicks(f);
    }
    return true;
}

void fake_vduse_add_region(uint64_t start, uint64_t bytes, int fd, uint64_t offset)
{
    FakeVduse *f = &fake_vduse;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

    g_assert_cmpuint(f->nr_regions, <, FAKE_MAX_REGIONS);
    f->regions[f->nr_regions++] = (FakeRegion){.start = start, .last = start + bytes - 1,
                                               .offset = offset, .fd = fd,
                                               .perm = VDUSE_ACCESS_RW};
}

void fake_vduse_remove_regions(void)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&fake_vduse.lock);

    fake_vduse.nr_regions = 0;
}

static void set_up_ring(FakeVduse *f)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

    driver_ring_init(&f->ring, &f->memory, 0, 64);
    f->queues[0].info = (struct vduse_vq_info){
        .num = f->ring.size,
        .desc_addr = DRIVER_BASE + f->ring.desc,
        .driver_addr = DRIVER_BASE + f->ring.avail,
        .device_addr = DRIVER_BASE + f->ring.used,
        .ready = 1,
    };
}

void fake_vduse_negotiate(void)
{
    FakeVduse *f = &fake_vduse;

    g_assert_cmpuint(f->nr_set_up, ==, f->nr_queues);
    f->is_attached = true;
    g_assert_true(fake_vduse_set_status(0, 0));
    g_assert_true(fake_vduse_set_status(1, 0));
    g_assert_true(fake_vduse_set_status(3, 0));
    g_mutex_lock(&f->lock);
    f->acked = f->offered;
    g_mutex_unlock(&f->lock);
    g_assert_true(fake_vduse_set_status(0xb, 0));
    set_up_ring(f);
}

void fake_vduse_bring_up(void)
{
    fake_vduse_negotiate();
    g_assert_true(fake_vduse_set_status(0xf, 0));
}

void fake_vduse_kick(void)
{
    FakeVduse *f = &fake_vduse;
    const uint64_t one = 1;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&f->lock);

    if (f->queues[0].kick >= 0) {
        g_assert_cmpint(write(f->queues[0].kick, &one, sizeof(one)), ==, sizeof(one));
    }
}

void fake_vduse_wait_answer(void)
{
    FakeVduse *f = &fake_vduse;
    struct pollfd poll_fd = {.fd = f->call, .events = POLLIN};
    uint16_t *used_event = (uint16_t *)(f->memory.bytes + f->ring.avail + 4 + 2 * f->ring.size);
    uint32_t head, len;
    uint64_t count;

    /* Ask for an interrupt, then look whether it is too late for one. */
    __atomic_store_n(used_event, cpu_to_le16(f->ring.used_seen), __ATOMIC_SEQ_CST);
    while (!driver_take(&f->ring, &head, &len)) {
        g_assert_cmpint(poll(&poll_fd, 1, 10000), ==, 1);
        g_assert_cmpint(read(f->call, &count, sizeof(count)), ==, sizeof(count));
    }
}
