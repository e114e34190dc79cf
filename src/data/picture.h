/* SPDX-License-Identifier: Apache-2.0
 *
 * picture.h - pictures of 8 bits a sample in memory, and the files they come from and go to: PNG and PNM.
 *
 * Samples run from 0 to 255 whatever a file's depth: those of another depth are scaled and rounded.  Samples are taken
 * as they stand; no gamma or colour profile is applied. */
#ifndef SG_PICTURE_H
#define SG_PICTURE_H

#include "base/base.h"

#define PICTURE_MOST ((size_t)1 << 26)      /* samples */

typedef struct Picture {
    int rows, cols, channels;       /* 1: grey, 3: red, green, blue */
    uint8_t *px;                    /* (channel, r, c), from mem_try; freed by picture_free */
} Picture;

/* Room for the samples, all 0; an error if there are too many, or too many for the memory. */
Code picture_new(Picture *p, int64_t rows, int64_t cols, int channels, Err *e);
void picture_free(Picture *p);
/* As grey (0.299 red + 0.587 green + 0.114 blue, rounded) or as three equal channels. */
Code picture_convert(Picture *p, int channels, Err *e);
static inline uint8_t *picture_at(const Picture *p, int channel, size_t r, size_t c)
{
    return &p->px[((size_t)channel * (size_t)p->rows + r) * (size_t)p->cols + c];
}

/* Whether bytes start as a PNG file does. */
bool png_is(const uint8_t *p, size_t n);
/* Transparent samples are laid over white. */
Code png_parse(const uint8_t *p, size_t n, Picture *out, Err *e);
Code png_print(const Picture *in, Buf *out, Err *e);
/* The first picture of a PBM, PGM or PPM file, plain or not; *used: its bytes.  Only those that are not plain may be
 * followed by others. */
Code pnm_parse(const uint8_t *p, size_t n, Picture *out, size_t *used, Err *e);
void pnm_print(const Picture *in, Buf *out);         /* P5 or P6 */
#endif
