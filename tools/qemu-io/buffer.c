/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffers of requests: made, filled with a pattern or from a file, verified, dumped.
 */
#include "qemu/osdep.h"

#include "block/block_int.h"
#include "qemu/error-report.h"
#include "tools/qemu-io/qemu-io.h"

/* With -m; no multiple of any alignment that O_DIRECT could ask for. */
#define MISALIGNMENT 16
#define DUMP_WIDTH   16

static bool allocate(IoBuffer *buffer, IoSession *io, size_t size, uint8_t fill)
{
    size_t alignment = bdrv_limits(blk_bs(io->blk))->opt_mem_alignment;
    size_t skip = io->is_misaligned ? MISALIGNMENT : 0;

    buffer->memory = qemu_try_memalign(alignment, size + skip);
    if (!buffer->memory) {
        printf("no memory for a buffer of %zu bytes\n", size);
        return false;
    }
    buffer->data = (uint8_t *)buffer->memory + skip;
    buffer->size = size;
    memset(buffer->data, fill, size);
    return true;
}

bool io_buffer_init(IoBuffer *buffer, IoSession *io, size_t size, uint8_t fill)
{
    if (!allocate(buffer, io, size, fill)) {
        return false;
    }
    qemu_iovec_init(&buffer->qiov, 1);
    qemu_iovec_add(&buffer->qiov, buffer->data, size);
    return true;
}

bool io_buffer_init_pieces(IoBuffer *buffer, IoSession *io, char **lengths, int nr_lengths,
                           uint8_t fill)
{
    g_autofree int64_t *sizes = g_new(int64_t, nr_lengths);
    int64_t total = 0;
    uint8_t *piece;

    for (int i = 0; i < nr_lengths; i++) {
        if (!io_parse_length(lengths[i], &sizes[i])) {
            return false;
        }
        if (sizes[i] > BDRV_REQUEST_MAX_BYTES - total) {
            printf("the lengths together cannot exceed %" PRId64 "\n", BDRV_REQUEST_MAX_BYTES);
            return false;
        }
        total += sizes[i];
    }
    if (!allocate(buffer, io, total, fill)) {
        return false;
    }
    qemu_iovec_init(&buffer->qiov, nr_lengths);
    piece = buffer->data;
    for (int i = 0; i < nr_lengths; i++) {
        qemu_iovec_add(&buffer->qiov, piece, sizes[i]);
        piece += sizes[i];
    }
    return true;
}

bool io_buffer_fill_from_file(IoBuffer *buffer, const char *filename)
{
    FILE *file = fopen(filename, "rb");
    size_t period;
    int err;

    if (!file) {
        error_printf("%s: %s\n", filename, strerror(errno));
        return false;
    }
    errno = 0;
    period = fread(buffer->data, 1, buffer->size, file);
    err = ferror(file) ? errno : 0;
    fclose(file);
    if (err) {
        error_printf("%s: %s\n", filename, strerror(err));
        return false;
    }
    if (period == 0 && buffer->size > 0) {
        error_printf("%s: file is empty\n", filename);
        return false;
    }
    for (size_t done = period; done < buffer->size; done += period) {
        memcpy(buffer->data + done, buffer->data, MIN(period, buffer->size - done));
    }
    return true;
}

void io_buffer_clear(IoBuffer *buffer)
{
    if (buffer->memory) {
        qemu_iovec_destroy(&buffer->qiov);
        qemu_vfree(buffer->memory);
    }
    *buffer = (IoBuffer){0};
}

bool io_buffer_verify(const IoBuffer *buffer, size_t start, size_t length, uint8_t pattern,
                      int64_t offset)
{
    for (size_t i = 0; i < length; i++) {
        if (buffer->data[start + i] != pattern) {
            printf("Pattern verification failed at offset %" PRId64 ", %zu bytes\n",
                   offset + (int64_t)start, length);
            return false;
        }
    }
    return true;
}

void io_buffer_dump(const IoBuffer *buffer, int64_t offset)
{
    for (size_t line = 0; line < buffer->size; line += DUMP_WIDTH) {
        const uint8_t *bytes = buffer->data + line;
        size_t nr = MIN(buffer->size - line, DUMP_WIDTH);

        printf("%08" PRIx64 ":  ", offset + (int64_t)line);
        for (size_t i = 0; i < nr; i++) {
            printf("%02x ", bytes[i]);
        }
        printf(" ");
        for (size_t i = 0; i < nr; i++) {
            putchar(g_ascii_isalnum(bytes[i]) ? bytes[i] : '.');
        }
        printf("\n");
    }
}
