/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A zoned image in the plainest words: the zones of zone-model.h, and an array with every byte of
 * the disk.
 *
 * It knows what the block layer answers to any request, for one user whose requests begin in the
 * order in which they are submitted.  Also here, because both tests of zoned images need it:
 * self-describing data, random geometries, and making and opening images.
 */
#ifndef TESTS_ZONED_IMAGE_MODEL_H
#define TESTS_ZONED_IMAGE_MODEL_H

#include "block/block-backend.h"
#include "zone-model.h"

typedef struct ImageModel {
    ModelZones *zones;
    uint8_t *data; /* as a read returns it: zero above the write pointers */
    int64_t size;
} ImageModel;

ImageModel *image_model_new(const ZonesGeometry *geometry);
void image_model_free(ImageModel *model);

/* The image has been closed and opened again: open zones are closed, or empty. */
void image_model_restart(ImageModel *model);

/*
 * What a write, a zero write or discard, an append (@offset: the zone's start) and a management
 * command are answered. A write or append that is admitted to a sequential zone has begun:
 * @write->bytes is not 0, and image_model_settle() ends it.  -EAGAIN: it has to wait for a
 * management command.
 */
int image_model_write_begin(ImageModel *model, ModelWrite *write, int64_t offset, int64_t bytes);
int image_model_append_begin(ImageModel *model, ModelWrite *write, int64_t offset, int64_t bytes);
int image_model_random_access(ImageModel *model, int64_t offset, int64_t bytes);
int image_model_mgmt_range(const ImageModel *model, int64_t offset, int64_t len);

/* @write is done; the bytes of its range have been put into model->data. */
void image_model_settle(ImageModel *model, ModelWrite *write);
/* Apply a command that model_mgmt_check() allows. */
void image_model_apply(ImageModel *model, BlockZoneOp op, int64_t offset, int64_t len);

/* Fail unless the report of @blk is, zone by zone, what the model says. */
void image_model_check_report(const ImageModel *model, BlockBackend *blk);
/* Fail unless every byte of the disk is what the model says. */
void image_model_check_data(const ImageModel *model, BlockBackend *blk);

/* ---- data that says where it belongs ---- */

/* of a word: the byte offset it is written to; above it the number of the write */
#define STAMP_BITS 40
#define STAMP_FLOATING (1u << 23) /* of a number: the writer did not know where its data would go */

void stamp_fill(void *buf, int64_t offset, int64_t bytes, uint32_t number);
/*
 * The number of the write that the sector at @offset comes from, 0 where it is all zeroes.  Fails
 * the test where it is neither: data of another place, or of two writes.
 */
uint32_t stamp_read(const void *sector, int64_t offset);

/* ---- images ---- */

/*
 * A random geometry for an image with clusters of @cluster_size bytes, and at most about @most
 * bytes.
 */
void random_geometry(GRand *rand, int64_t cluster_size, int64_t most, ZonesGeometry *geometry);

/* A new folder for the files of a test: in memory where the system has such a file system. */
char *make_test_dir(const char *name);
void remove_test_dir(char *dir);

void make_zoned_image(const char *path, int64_t cluster_size, const ZonesGeometry *geometry);
/* A qcow2 image in the file @path; @flags: BDRV_O_*. */
BlockBackend *open_image(const char *path, int flags);
/* Check the image on @blk: no corruptions, and no leaks unless they are allowed. */
void check_image(BlockBackend *blk, bool may_leak);
void zone_report(BlockBackend *blk, unsigned int nr_zones, BlockZoneDescriptor *zones);

#endif
