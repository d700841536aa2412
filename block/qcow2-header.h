/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two files on the header (qcow2-header.c: fixed fields, qcow2-extensions.c: what follows
 * them) offer each other.
 */
#ifndef BLOCK_QCOW2_HEADER_H
#define BLOCK_QCOW2_HEADER_H

#include "block/qcow2.h"

/*
 * Read the extensions in @cluster, all of cluster 0, into the state.  They end before
 * @backing_offset if that is not 0.  0, or -EINVAL or -ENOTSUP with @errp set.
 */
int qcow2_read_extensions(BlockDriverState *bs, const uint8_t *cluster, uint64_t backing_offset,
                          Error **errp);

/*
 * Write the extensions to @cluster (all of cluster 0) from byte @at on, with their end marker.
 * Returns the offset of the first byte behind them, or 0 where they do not fit.
 */
size_t qcow2_store_extensions(const BDRVQcow2State *s, const char *backing_format,
                              uint8_t *cluster, size_t at);

/* Set @errp to name the incompatible features in @unknown, from the image's own table of names
 * if it has one. */
void qcow2_report_unsupported_features(const BDRVQcow2State *s, const uint8_t *cluster,
                                       uint64_t backing_offset, uint64_t unknown, Error **errp);

#endif
