/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Types that every part of the block layer and its users share: request flags, open flags, zone
 * descriptions, and the errors by which a zoned device refuses a request.
 *
 * Offsets and lengths are int64_t bytes everywhere; 512-byte sectors appear only where a
 * protocol or a command line prints them.
 */
#ifndef BLOCK_COMMON_H
#define BLOCK_COMMON_H

#define BDRV_SECTOR_BITS 9
#define BDRV_SECTOR_SIZE (INT64_C(1) << BDRV_SECTOR_BITS)

/* The longest image, so that rounding up to any alignment in use cannot overflow int64_t. */
#define BDRV_MAX_LENGTH (INT64_MAX - (INT64_C(1) << 30) + 1)

/* The longest single request, in bytes: an int with room for alignment. */
#define BDRV_REQUEST_MAX_BYTES (INT64_C(0x7fffffff) & ~(BDRV_SECTOR_SIZE - 1))

typedef struct BlockBackend BlockBackend;
typedef struct BlockDriver BlockDriver;
typedef struct BlockDriverState BlockDriverState;
typedef struct BdrvChild BdrvChild;

typedef enum BdrvRequestFlags {
    /* The write is on stable storage when it completes. */
    BDRV_REQ_FUA = 1 << 0,
    /* A zero write may give the space back. */
    BDRV_REQ_MAY_UNMAP = 1 << 1,
    /* A zero write fails with -ENOTSUP where it could only be done by writing buffers of zeroes. */
    BDRV_REQ_NO_FALLBACK = 1 << 2,
    /* The request waits for, and keeps out, every overlapping request. */
    BDRV_REQ_SERIALISING = 1 << 3,
    /* Set by the block layer for a write of zeroes that is carried as a buffer-less request. */
    BDRV_REQ_ZERO_WRITE = 1 << 4,
} BdrvRequestFlags;

typedef enum BdrvOpenFlags {
    BDRV_O_RDWR = 1 << 0,
    /* Bypass the host's page cache. */
    BDRV_O_NOCACHE = 1 << 1,
    /* Flushes are ignored: nothing survives a power cut. */
    BDRV_O_NO_FLUSH = 1 << 2,
    /* Discards reach the file. */
    BDRV_O_UNMAP = 1 << 3,
    /* The opener wants to check or repair: damage that forbids use does not forbid opening. */
    BDRV_O_CHECK = 1 << 4,
    /* The opener reads metadata only (info): no data file or key is needed. */
    BDRV_O_NO_IO = 1 << 5,
    /* Fall back to read-only where the file cannot be opened for writing. */
    BDRV_O_AUTO_RDONLY = 1 << 6,
    /* Take no locks against other users; needs a read-only open. */
    BDRV_O_FORCE_SHARE = 1 << 7,
    /* The protocol layer is wanted: no format probing. */
    BDRV_O_PROTOCOL = 1 << 8,
    /* The backing file that the image names is not opened; its part of the disk reads as zeroes. */
    BDRV_O_NO_BACKING = 1 << 9,
} BdrvOpenFlags;

/* ---- block status (bdrv_co_block_status) ---- */

enum {
    /* Reads come from the layer's file at the returned offset. */
    BDRV_BLOCK_DATA = 1 << 0,
    /* Reads return zeroes. */
    BDRV_BLOCK_ZERO = 1 << 1,
    /* The returned offset in the returned file is valid. */
    BDRV_BLOCK_OFFSET_VALID = 1 << 2,
    /* The layer itself determines the content; a backing layer is not looked at. */
    BDRV_BLOCK_ALLOCATED = 1 << 3,
    /* The extent ends at the end of the image. */
    BDRV_BLOCK_EOF = 1 << 4,
    /* The content is stored compressed. */
    BDRV_BLOCK_COMPRESSED = 1 << 5,
};

/* ---- zones; the numbers are those of the Linux and virtio interfaces ---- */

typedef enum BlockZoneModel {
    BLK_Z_NONE = 0,
    BLK_Z_HM = 1,
    BLK_Z_HA = 2,
} BlockZoneModel;

typedef enum BlockZoneOp {
    BLK_ZO_OPEN,
    BLK_ZO_CLOSE,
    BLK_ZO_FINISH,
    BLK_ZO_RESET,
} BlockZoneOp;

typedef enum BlockZoneType {
    BLK_ZT_CONV = 1, /* conventional: random writes */
    BLK_ZT_SWR = 2,  /* sequential write required */
    BLK_ZT_SWP = 3,  /* sequential write preferred */
} BlockZoneType;

typedef enum BlockZoneState {
    BLK_ZS_NOT_WP = 0,
    BLK_ZS_EMPTY = 1,
    BLK_ZS_IOPEN = 2,
    BLK_ZS_EOPEN = 3,
    BLK_ZS_CLOSED = 4,
    BLK_ZS_RDONLY = 13,
    BLK_ZS_FULL = 14,
    BLK_ZS_OFFLINE = 15,
} BlockZoneState;

/* One zone as a report shows it; all positions and lengths in bytes. */
typedef struct BlockZoneDescriptor {
    int64_t start;
    int64_t length;
    int64_t cap;
    int64_t wp; /* full, read-only and offline: start + length; conventional: start */
    BlockZoneType type;
    BlockZoneState state;
} BlockZoneDescriptor;

/*
 * Why a zoned device refused a request.  Each cause has an errno of its own, chosen among those
 * that a host file system does not return for data I/O, so that an export can map it to the status
 * of its protocol and bdrv_zone_strerror() to a sentence.  -EINVAL stands for a malformed request
 * (range, alignment) and is not specific to zones.
 */
enum {
    ZONE_ERR_NOT_AT_WP = ESPIPE,         /* a write does not start at the write pointer */
    ZONE_ERR_PAST_CAPACITY = ERANGE,     /* the range passes the zone's capacity or its end */
    ZONE_ERR_FULL = EXFULL,              /* write, append or open on a full zone */
    ZONE_ERR_RDONLY = EROFS,             /* the zone is read-only */
    ZONE_ERR_OFFLINE = ENODEV,           /* the zone is offline */
    ZONE_ERR_OPEN_RESOURCE = ETOOMANYREFS,  /* max_open_zones reached, nothing to evict */
    ZONE_ERR_ACTIVE_RESOURCE = EOVERFLOW,   /* max_active_zones reached */
    ZONE_ERR_CONVENTIONAL = EBADRQC,     /* management of, or append to, a conventional zone */
    ZONE_ERR_CONDITION = EBADSLT,        /* not allowed in the zone's condition */
    ZONE_ERR_APPEND = EBADR,             /* append not to a zone start, or longer than the limit */
};

#endif
