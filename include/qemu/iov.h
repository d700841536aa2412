/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O vectors: a request's memory as a list of pieces.
 *
 * A QEMUIOVector lists memory, it does not own it.  Only its array of pieces may be its own, and
 * then qemu_iovec_destroy() frees it; vectors over one buffer or over somebody else's array cost
 * nothing to make and need not be destroyed, though they may be.  Offsets and lengths are in bytes,
 * and a range that leaves the vector is a programming error, caught by an assertion.  Nothing here
 * yields.
 */
#ifndef QEMU_IOV_H
#define QEMU_IOV_H

#include "qemu/osdep.h"
#include "qemu/buffer.h"

#include <sys/uio.h>

/*
 * Invariants: @size is the sum of the lengths in iov[0] to iov[niov - 1]; either @nalloc is the
 * number of elements that the own array @iov has room for, or it is QEMU_IOVEC_BORROWED and @iov is
 * somebody else's array or &local_iov.  So a vector over one buffer must not be copied by
 * assignment.
 */
typedef struct QEMUIOVector {
    struct iovec *iov;
    int niov;
    int nalloc;
    struct iovec local_iov;
    size_t size;
} QEMUIOVector;

#define QEMU_IOVEC_BORROWED (-1)

/* The sum of the lengths of @niov elements. */
static inline size_t iov_size(const struct iovec *iov, unsigned int niov)
{
    size_t size = 0;

    for (unsigned int i = 0; i < niov; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

/* An empty vector to add to, with room for @nr_expected elements (>= 0) before it must grow. */
void qemu_iovec_init(QEMUIOVector *qiov, int nr_expected);

/* A vector over the array @iov, which must stay as it is meanwhile. */
static inline void qemu_iovec_init_external(QEMUIOVector *qiov, struct iovec *iov, int niov)
{
    qiov->iov = iov;
    qiov->niov = niov;
    qiov->nalloc = QEMU_IOVEC_BORROWED;
    qiov->size = iov_size(iov, niov);
}

/* A vector over one buffer of @len bytes. */
static inline void qemu_iovec_init_buf(QEMUIOVector *qiov, void *buffer, size_t len)
{
    qiov->local_iov.iov_base = buffer;
    qiov->local_iov.iov_len = len;
    qiov->iov = &qiov->local_iov;
    qiov->niov = 1;
    qiov->nalloc = QEMU_IOVEC_BORROWED;
    qiov->size = len;
}

/*
 * A vector over @len bytes of @source from @offset on.  It may point into the array of @source, so
 * @source must outlive it unchanged.  Allocates only where it spans several elements and cuts
 * through one; destroy it after use.
 */
void qemu_iovec_init_slice(QEMUIOVector *qiov, const QEMUIOVector *source, size_t offset,
                           size_t len);

/* Append @len bytes at @base; only to a vector made by qemu_iovec_init(). */
void qemu_iovec_add(QEMUIOVector *qiov, void *base, size_t len);

/* Append @len bytes of @source from @offset on; @source may be gone afterwards, its memory not. */
void qemu_iovec_concat(QEMUIOVector *qiov, const QEMUIOVector *source, size_t offset, size_t len);

/* Make a vector from qemu_iovec_init() empty again; its array stays. */
void qemu_iovec_reset(QEMUIOVector *qiov);

/* Free the own array, if there is one; the vector is then empty and cannot be added to. */
static inline void qemu_iovec_destroy(QEMUIOVector *qiov)
{
    if (qiov->nalloc > 0) {
        g_free(qiov->iov);
    }
    qiov->iov = NULL;
    qiov->niov = 0;
    qiov->nalloc = QEMU_IOVEC_BORROWED;
    qiov->size = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QEMUIOVector, qemu_iovec_destroy)

/* Copy @len bytes between @buffer and the vector, there from @offset on. */
void qemu_iovec_to_buf(const QEMUIOVector *qiov, size_t offset, void *buffer, size_t len);
void qemu_iovec_from_buf(const QEMUIOVector *qiov, size_t offset, const void *buffer, size_t len);

/* Set @len bytes from @offset on to @byte. */
void qemu_iovec_memset(const QEMUIOVector *qiov, size_t offset, uint8_t byte, size_t len);

/* Whether @len bytes from @offset on are all 0. */
bool qemu_iovec_is_zero(const QEMUIOVector *qiov, size_t offset, size_t len);

/* Whether every element's address and length is a multiple of @alignment, a power of two. */
bool qemu_iovec_has_alignment(const QEMUIOVector *qiov, size_t alignment);

/*
 * Compare the bytes of two vectors of the same size, however they are cut into elements.
 *
 * Returns the offset of the first byte that differs, or -1 where none does.
 */
ssize_t qemu_iovec_compare(const QEMUIOVector *a, const QEMUIOVector *b);

#endif
