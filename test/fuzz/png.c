/* SPDX-License-Identifier: Apache-2.0
 *
 * png.c - any bytes as a PNG file, its checksums put right first, so that what lies behind them is reached.  What is
 * read can be written, and reads back the same. */
#include "fuzz.h"

#include "data/picture.h"

#include <string.h>
#include <zlib.h>

static uint32_t word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void fix_checksums(uint8_t *p, size_t n)
{
    for (size_t at = 8; n - at >= 12 && word_at(p + at) <= n - at - 12; at += 12 + (size_t)word_at(p + at)) {
        const size_t len = word_at(p + at);
        const uint32_t crc = (uint32_t)crc32(0, p + at + 4, (uInt)(len + 4));
        for (int k = 0; k < 4; k++)
            p[at + 8 + len + (size_t)k] = (uint8_t)(crc >> (24 - 8 * k));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mem_alloc(size);
    Picture p, again;
    Buf b = { 0 };
    Err e = { 0 };

    if (size)
        memcpy(copy, data, size);
    if (size >= 8)
        fix_checksums(copy, size);
    if (png_parse(copy, size, &p, &e) == OK) {
        const size_t n = (size_t)p.rows * (size_t)p.cols * (size_t)p.channels;
        if (png_print(&p, &b, &e) != OK || png_parse((const uint8_t *)b.s, b.n, &again, &e) != OK ||
            again.rows != p.rows || again.cols != p.cols || again.channels != p.channels || memcmp(again.px, p.px, n))
            BUG("png: %d x %d written and read is another picture: %s", p.rows, p.cols, e.msg);
        picture_free(&again);
        picture_free(&p);
    }
    buf_free(&b);
    mem_free(copy);
    return 0;
}
