/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O vectors: see qemu/iov.h.
 *
 * Everything that looks at a range of a vector goes through next_piece(), so that the arithmetic of
 * offsets within elements exists once.
 */
#include "qemu/osdep.h"
#include "qemu/iov.h"

void qemu_iovec_init(QEMUIOVector *qiov, int nr_expected)
{
    assert(nr_expected >= 0);
    qiov->iov = g_new(struct iovec, nr_expected);
    qiov->niov = 0;
    qiov->nalloc = nr_expected;
    qiov->size = 0;
}

void qemu_iovec_add(QEMUIOVector *qiov, void *base, size_t len)
{
    assert(qiov->nalloc != QEMU_IOVEC_BORROWED);
    if (qiov->niov == qiov->nalloc) {
        qiov->nalloc = MAX(4, 2 * qiov->nalloc);
        qiov->iov = g_renew(struct iovec, qiov->iov, qiov->nalloc);
    }
    qiov->iov[qiov->niov++] = (struct iovec){.iov_base = base, .iov_len = len};
    qiov->size += len;
}

void qemu_iovec_reset(QEMUIOVector *qiov)
{
    assert(qiov->nalloc != QEMU_IOVEC_BORROWED);
    qiov->niov = 0;
    qiov->size = 0;
}

/* A walk over a range of a vector: @left bytes remain, the next at @skip in element @index. */
typedef struct Walk {
    const struct iovec *iov;
    int index;
    size_t skip;
    size_t left;
} Walk;

/* Go to the element that holds the byte at @skip, stepping over empty ones. */
static void settle(Walk *walk)
{
    while (walk->left > 0 && walk->skip >= walk->iov[walk->index].iov_len) {
        walk->skip -= walk->iov[walk->index].iov_len;
        walk->index++;
    }
}

static Walk walk_start(const QEMUIOVector *qiov, size_t offset, size_t len)
{
    Walk walk = {.iov = qiov->iov, .skip = offset, .left = len};

    assert(offset <= qiov->size && len <= qiov->size - offset);
    settle(&walk);
    return walk;
}

/* The piece of memory at the walk's position, of at most @max bytes; false at the end. */
static bool next_piece(Walk *walk, size_t max, struct iovec *piece)
{
    const struct iovec *element;

    if (walk->left == 0) {
        return false;
    }
    element = &walk->iov[walk->index];
    piece->iov_base = (char *)element->iov_base + walk->skip;
    piece->iov_len = MIN(MIN(element->iov_len - walk->skip, walk->left), max);
    walk->skip += piece->iov_len;
    walk->left -= piece->iov_len;
    settle(walk);
    return true;
}

void qemu_iovec_concat(QEMUIOVector *qiov, const QEMUIOVector *source, size_t offset, size_t len)
{
    Walk walk = walk_start(source, offset, len);
    struct iovec piece;

    while (next_piece(&walk, SIZE_MAX, &piece)) {
        qemu_iovec_add(qiov, piece.iov_base, piece.iov_len);
    }
}

void qemu_iovec_init_slice(QEMUIOVector *qiov, const QEMUIOVector *source, size_t offset,
                           size_t len)
{
    Walk walk = walk_start(source, offset, len);
    int first = walk.index;
    bool is_cut = walk.skip != 0;
    struct iovec piece = {.iov_base = NULL};

    assert(qiov != source);
    next_piece(&walk, SIZE_MAX, &piece);
    if (walk.left == 0) {
        qemu_iovec_init_buf(qiov, piece.iov_base, piece.iov_len);
        return;
    }
    while (next_piece(&walk, SIZE_MAX, &piece)) {
        continue;
    }
    /* At its end the walk stands in the last element, behind the last piece. */
    if (!is_cut && walk.skip == source->iov[walk.index].iov_len) {
        qiov->iov = source->iov + first;
        qiov->niov = walk.index - first + 1;
        qiov->nalloc = QEMU_IOVEC_BORROWED;
        qiov->size = len;
        return;
    }
    qemu_iovec_init(qiov, walk.index - first + 1);
    qemu_iovec_concat(qiov, source, offset, len);
}

void qemu_iovec_to_buf(const QEMUIOVector *qiov, size_t offset, void *buffer, size_t len)
{
    Walk walk = walk_start(qiov, offset, len);
    char *to = buffer;
    struct iovec piece;

    while (next_piece(&walk, SIZE_MAX, &piece)) {
        memcpy(to, piece.iov_base, piece.iov_len);
        to += piece.iov_len;
    }
}

void qemu_iovec_from_buf(const QEMUIOVector *qiov, size_t offset, const void *buffer, size_t len)
{
    Walk walk = walk_start(qiov, offset, len);
    const char *from = buffer;
    struct iovec piece;

    while (next_piece(&walk, SIZE_MAX, &piece)) {
        memcpy(piece.iov_base, from, piece.iov_len);
        from += piece.iov_len;
    }
}

void qemu_iovec_memset(const QEMUIOVector *qiov, size_t offset, uint8_t byte, size_t len)
{
    Walk walk = walk_start(qiov, offset, len);
    struct iovec piece;

    while (next_piece(&walk, SIZE_MAX, &piece)) {
        memset(piece.iov_base, byte, piece.iov_len);
    }
}

bool qemu_iovec_is_zero(const QEMUIOVector *qiov, size_t offset, size_t len)
{
    Walk walk = walk_start(qiov, offset, len);
    struct iovec piece;

    while (next_piece(&walk, SIZE_MAX, &piece)) {
        if (!buffer_is_zero(piece.iov_base, piece.iov_len)) {
            return false;
        }
    }
    return true;
}

bool qemu_iovec_has_alignment(const QEMUIOVector *qiov, size_t alignment)
{
    uintptr_t any = 0;

    assert(is_power_of_2(alignment));
    for (int i = 0; i < qiov->niov; i++) {
        any |= (uintptr_t)qiov->iov[i].iov_base | qiov->iov[i].iov_len;
    }
    return (any & (alignment - 1)) == 0;
}

ssize_t qemu_iovec_compare(const QEMUIOVector *a, const QEMUIOVector *b)
{
    Walk walk_a = walk_start(a, 0, a->size);
    Walk walk_b = walk_start(b, 0, b->size);
    ssize_t offset = 0;
    struct iovec piece_a, piece_b;

    assert(a->size == b->size);
    while (walk_a.left > 0) {
        size_t to_element_end = walk_b.iov[walk_b.index].iov_len - walk_b.skip;

        next_piece(&walk_a, to_element_end, &piece_a);
        next_piece(&walk_b, piece_a.iov_len, &piece_b);
        if (memcmp(piece_a.iov_base, piece_b.iov_base, piece_a.iov_len) != 0) {
            const char *bytes_a = piece_a.iov_base;
            const char *bytes_b = piece_b.iov_base;
            size_t i = 0;

            while (bytes_a[i] == bytes_b[i]) {
                i++;
            }
            return offset + i;
        }
        offset += piece_a.iov_len;
    }
    return -1;
}
