/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the qcow2 driver share: images in a temporary folder, asynchronous requests,
 * and the stock tool as a judge.
 */
#ifndef TESTS_UNIT_QCOW2_FIXTURE_H
#define TESTS_UNIT_QCOW2_FIXTURE_H

#include "block/block-backend.h"
#include "qapi/error.h"

/* Make the temporary folder and the main loop; once, before the tests. */
void qcow2_fixture_init(void);
void qcow2_fixture_done(void);

/* The path of @name in the temporary folder; the caller frees it. */
char *qcow2_fixture_path(const char *name);

/* Create the qcow2 image @path of @size bytes with -o words (`a=b,c=d`, may be empty).  False
 * with @errp set. */
bool qcow2_fixture_create(const char *path, const char *words, int64_t size, Error **errp);

/* Open with driver qcow2 and further options (`cache-size=65536,...`, may be NULL) for reading
 * and writing. */
BlockBackend *qcow2_fixture_open(const char *path, const char *options, Error **errp);

/* Run the stock qemu-img with @arguments (split at blanks); true if it says 0, or if there is
 * none. */
bool qcow2_fixture_stock_agrees(const char *arguments);

#endif
