/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interface of the kernel's ublk driver, as far as the ublk export uses it: written down from
 * its facts, because headers of build machines lack user copy, zones and encoded commands.
 *
 * Integers are in the host's byte order.  Sectors have 512 bytes, whatever the logical block size.
 * The names of the kernel's own header are kept, so the two exclude each other.
 */
#ifndef STANDARD_HEADERS_LINUX_UBLK_CMD_H
#define STANDARD_HEADERS_LINUX_UBLK_CMD_H

#include <assert.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define UBLK_CONTROL_PATH "/dev/ublk-control"

/* ---- on /dev/ublk-control: a ring of 128 byte requests carries a struct ublksrv_ctrl_cmd ---- */

struct ublksrv_ctrl_cmd {
    uint32_t dev_id;
    uint16_t queue_id; /* UBLK_NO_QUEUE where it does not matter */
    uint16_t len;      /* of the buffer at @addr */
    uint64_t addr;
    uint64_t data[1];
    uint16_t dev_path_len;
    uint16_t pad;
    uint32_t reserved;
};
static_assert(sizeof(struct ublksrv_ctrl_cmd) == 32, "layout of ublksrv_ctrl_cmd");

#define UBLK_NO_QUEUE 0xffff
#define UBLK_ANY_DEVICE 0xffffffffu

#define UBLK_CTRL_READS(nr) _IOR('u', nr, struct ublksrv_ctrl_cmd)
#define UBLK_CTRL_CHANGES(nr) _IOWR('u', nr, struct ublksrv_ctrl_cmd)

#define UBLK_U_CMD_GET_DEV_INFO UBLK_CTRL_READS(0x02)
#define UBLK_U_CMD_ADD_DEV UBLK_CTRL_CHANGES(0x04)
#define UBLK_U_CMD_DEL_DEV UBLK_CTRL_CHANGES(0x05)
#define UBLK_U_CMD_START_DEV UBLK_CTRL_CHANGES(0x06)
#define UBLK_U_CMD_STOP_DEV UBLK_CTRL_CHANGES(0x07)
#define UBLK_U_CMD_SET_PARAMS UBLK_CTRL_CHANGES(0x08)
#define UBLK_U_CMD_GET_PARAMS UBLK_CTRL_READS(0x09)
#define UBLK_U_CMD_START_USER_RECOVERY UBLK_CTRL_CHANGES(0x10)
#define UBLK_U_CMD_END_USER_RECOVERY UBLK_CTRL_CHANGES(0x11)
#define UBLK_U_CMD_GET_FEATURES UBLK_CTRL_READS(0x13)

struct ublksrv_ctrl_dev_info {
    uint16_t nr_hw_queues;
    uint16_t queue_depth;
    uint16_t state;
    uint16_t pad0;
    uint32_t max_io_buf_bytes;
    uint32_t dev_id;
    int32_t ublksrv_pid;
    uint32_t pad1;
    uint64_t flags;
    uint64_t ublksrv_flags; /* the server's own; kept from one server to the next */
    uint32_t owner_uid;
    uint32_t owner_gid;
    uint64_t reserved[2];
};
static_assert(sizeof(struct ublksrv_ctrl_dev_info) == 64, "layout of ublksrv_ctrl_dev_info");

enum {
    UBLK_S_DEV_DEAD = 0,
    UBLK_S_DEV_LIVE = 1,
    UBLK_S_DEV_QUIESCED = 2,
    UBLK_S_DEV_FAIL_IO = 3,
};

#define UBLK_F_USER_RECOVERY (UINT64_C(1) << 3)
#define UBLK_F_USER_RECOVERY_REISSUE (UINT64_C(1) << 4)
#define UBLK_F_CMD_IOCTL_ENCODE (UINT64_C(1) << 6)
#define UBLK_F_USER_COPY (UINT64_C(1) << 7)
#define UBLK_F_ZONED (UINT64_C(1) << 8)

#define UBLK_MAX_NR_QUEUES 4096
#define UBLK_MAX_QUEUE_DEPTH 4096

/* ---- what a disk is like ---- */

enum {
    UBLK_ATTR_READ_ONLY = 1 << 0,
    UBLK_ATTR_ROTATIONAL = 1 << 1,
    UBLK_ATTR_VOLATILE_CACHE = 1 << 2,
    UBLK_ATTR_FUA = 1 << 3,
};

struct ublk_param_basic {
    uint32_t attrs;
    uint8_t logical_bs_shift;
    uint8_t physical_bs_shift;
    uint8_t io_opt_shift;
    uint8_t io_min_shift;
    uint32_t max_sectors;
    uint32_t chunk_sectors; /* the size of a zone */
    uint64_t dev_sectors;
    uint64_t virt_boundary_mask;
};

struct ublk_param_discard {
    uint32_t discard_alignment;
    uint32_t discard_granularity; /* bytes */
    uint32_t max_discard_sectors;
    uint32_t max_write_zeroes_sectors;
    uint16_t max_discard_segments;
    uint16_t reserved0;
};

struct ublk_param_devt {
    uint32_t char_major, char_minor;
    uint32_t disk_major, disk_minor;
};

struct ublk_param_zoned {
    uint32_t max_open_zones;
    uint32_t max_active_zones;
    uint32_t max_zone_append_sectors;
    uint8_t reserved[20];
};

enum {
    UBLK_PARAM_TYPE_BASIC = 1 << 0,
    UBLK_PARAM_TYPE_DISCARD = 1 << 1,
    UBLK_PARAM_TYPE_DEVT = 1 << 2, /* output only */
    UBLK_PARAM_TYPE_ZONED = 1 << 3,
};

struct ublk_params {
    uint32_t len; /* of the caller's structure */
    uint32_t types;
    struct ublk_param_basic basic;
    struct ublk_param_discard discard;
    struct ublk_param_devt devt;
    struct ublk_param_zoned zoned;
};
static_assert(sizeof(struct ublk_params) == 112, "layout of ublk_params");

/* ---- on /dev/ublkcN: requests of 64 bytes carry a struct ublksrv_io_cmd ---- */

struct ublksrv_io_cmd {
    uint16_t q_id;
    uint16_t tag;
    int32_t result;                   /* of a commit: bytes, or a negative errno */
    uint64_t addr_or_zone_append_lba; /* the latter of the commit of an append, otherwise 0 */
};
static_assert(sizeof(struct ublksrv_io_cmd) == 16, "layout of ublksrv_io_cmd");

#define UBLK_U_IO_FETCH_REQ _IOWR('u', 0x20, struct ublksrv_io_cmd)
#define UBLK_U_IO_COMMIT_AND_FETCH_REQ _IOWR('u', 0x21, struct ublksrv_io_cmd)

/* A request has arrived; anything else: the tag is not fetched any more. */
#define UBLK_IO_RES_OK 0

/* Request @tag of queue q is described by element @tag of the array at UBLK_DESCS_OFFSET(q). */
struct ublksrv_io_desc {
    uint32_t op_flags; /* UBLK_IO_OP_xxx in the lowest 8 bits, and UBLK_IO_F_xxx */
    uint32_t nr_sectors_or_zones;
    uint64_t start_sector;
    uint64_t addr; /* nothing in user copy mode */
};
static_assert(sizeof(struct ublksrv_io_desc) == 24, "layout of ublksrv_io_desc");

/* In the file; the array of any queue is a whole number of pages. */
#define UBLK_DESCS_OFFSET(queue, page_size) \
    ((uint64_t)(queue) * \
     (((UBLK_MAX_QUEUE_DEPTH * sizeof(struct ublksrv_io_desc)) + (page_size)-1) & \
      ~((uint64_t)(page_size)-1)))

#define UBLK_IO_OP_MASK 0xffu

enum {
    UBLK_IO_OP_READ = 0,
    UBLK_IO_OP_WRITE = 1,
    UBLK_IO_OP_FLUSH = 2,
    UBLK_IO_OP_DISCARD = 3,
    UBLK_IO_OP_WRITE_ZEROES = 5,
    UBLK_IO_OP_ZONE_OPEN = 10,
    UBLK_IO_OP_ZONE_CLOSE = 11,
    UBLK_IO_OP_ZONE_FINISH = 12,
    UBLK_IO_OP_ZONE_APPEND = 13,
    UBLK_IO_OP_ZONE_RESET_ALL = 14,
    UBLK_IO_OP_ZONE_RESET = 15,
    UBLK_IO_OP_REPORT_ZONES = 18,
};

/* Bits of the unshifted word. */
#define UBLK_IO_F_FUA (1u << 13)
#define UBLK_IO_F_NOUNMAP (1u << 15)

/* Where in the file the data of a request is read and written (user copy). */
#define UBLK_IO_BUF_OFFSET UINT64_C(0x80000000)
#define UBLK_IO_BUF_BITS 25 /* of the offset in the request */
#define UBLK_TAG_BITS 16
#define UBLK_USER_COPY_OFFSET(queue, tag, offset) \
    (UBLK_IO_BUF_OFFSET + (((uint64_t)(queue) << (UBLK_IO_BUF_BITS + UBLK_TAG_BITS)) | \
                           ((uint64_t)(tag) << UBLK_IO_BUF_BITS) | (offset)))

#endif
