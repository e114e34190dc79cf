/* SPDX-License-Identifier: Apache-2.0
 *
 * pnm.c - any bytes as a PBM, PGM or PPM file.  What is read can be written, and reads back the same. */
#include "fuzz.h"

#include "data/picture.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Picture p, again;
    size_t used = 0;
    Buf b = { 0 };
    Err e = { 0 };

    if (pnm_parse(data, size, &p, &used, &e) == OK) {
        const size_t n = (size_t)p.rows * (size_t)p.cols * (size_t)p.channels;
        if (!used || used > size)
            BUG("pnm: %zu bytes of %zu used", used, size);
        pnm_print(&p, &b);
        if (pnm_parse((const uint8_t *)b.s, b.n, &again, &used, &e) != OK || used != b.n || again.rows != p.rows ||
            again.cols != p.cols || again.channels != p.channels || memcmp(again.px, p.px, n))
            BUG("pnm: %d x %d written and read is another picture: %s", p.rows, p.cols, e.msg);
        picture_free(&again);
        picture_free(&p);
    }
    buf_free(&b);
    return 0;
}
