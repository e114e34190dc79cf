/* SPDX-License-Identifier: Apache-2.0
 *
 * picture.c - pictures in memory, and PNM (netpbm's PBM, PGM and PPM), read and written.
 *
 * A header's numbers are compared with the bytes that are there before anything is made of them. */
#include "data/picture.h"

#include <string.h>

Code picture_new(Picture *p, int64_t rows, int64_t cols, int channels, Err *e)
{
    *p = (Picture){ 0 };
    if (rows < 1 || cols < 1)
        return err_set(e, E_INPUT, ERR_data_size, "a picture of %lld x %lld samples", (long long)rows, (long long)cols);
    if ((uint64_t)rows > PICTURE_MOST || (uint64_t)cols > PICTURE_MOST / (uint64_t)rows / (uint64_t)channels)
        return err_set(e, E_INPUT, ERR_data_size, "a picture of %lld x %lld samples is too large", (long long)rows,
                       (long long)cols);
    *p = (Picture){ (int)rows, (int)cols, channels, mem_try((size_t)channels * (size_t)rows * (size_t)cols) };
    return p->px ? OK : err_set(e, E_ENV, ERR_data_file, "a picture of %lld x %lld samples does not fit in memory",
                                (long long)rows, (long long)cols);
}

void picture_free(Picture *p)
{
    mem_free(p->px);
    *p = (Picture){ 0 };
}

static uint8_t grey_of(const Picture *p, size_t i)
{
    const size_t n = (size_t)p->rows * (size_t)p->cols;

    return (uint8_t)((299 * p->px[i] + 587 * p->px[n + i] + 114 * p->px[2 * n + i] + 500) / 1000);
}

Code picture_convert(Picture *p, int channels, Err *e)
{
    const size_t n = (size_t)p->rows * (size_t)p->cols;
    Picture to;

    if (channels == p->channels)
        return OK;
    if (picture_new(&to, p->rows, p->cols, channels, e))
        return e->code;
    for (size_t i = 0; channels == 1 && i < n; i++)
        to.px[i] = grey_of(p, i);
    for (int k = 0; channels == 3 && k < 3; k++)
        memcpy(to.px + (size_t)k * n, p->px, n);
    picture_free(p);
    *p = to;
    return OK;
}

/* ---- PNM ---- */

typedef struct PnmText { const uint8_t *p; size_t n, at; } PnmText;

static bool pnm_blank(uint8_t ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}

/* Blanks, and comments from # to the end of the line. */
static void pnm_skip(PnmText *t)
{
    while (t->at < t->n && (pnm_blank(t->p[t->at]) || t->p[t->at] == '#')) {
        if (t->p[t->at] == '#')
            while (t->at < t->n && t->p[t->at] != '\n' && t->p[t->at] != '\r')
                t->at++;
        else
            t->at++;
    }
}

static Code pnm_number(PnmText *t, const char *what, int64_t *out, Err *e)
{
    pnm_skip(t);
    const size_t from = t->at;
    for (*out = 0; t->at < t->n && t->p[t->at] >= '0' && t->p[t->at] <= '9'; t->at++)
        if ((*out = *out * 10 + (t->p[t->at] - '0')) > INT32_MAX)
            return err_set(e, E_INPUT, ERR_data_size, "byte %zu: %s is too large", from, what);
    if (t->at > from)
        return OK;
    if (t->at == t->n)
        return err_set(e, E_INPUT, ERR_data_size, "the file ends where %s should stand", what);
    return err_set(e, E_INPUT, ERR_data_format, "byte %zu: %s should stand here", t->at, what);
}

typedef struct PnmHead { int kind; int64_t cols, rows, most; } PnmHead;      /* kind: the digit after P */

static Code pnm_head(PnmText *t, PnmHead *h, Err *e)
{
    if (t->n < 2 || t->p[0] != 'P' || t->p[1] < '1' || t->p[1] > '7' ||
        (t->n > 2 && !pnm_blank(t->p[2]) && t->p[2] != '#'))
        return err_set(e, E_INPUT, ERR_data_format, "neither PNG nor PBM, PGM or PPM: the first bytes are those of another "
                       "format");
    *h = (PnmHead){ .kind = t->p[1] - '0', .most = 1 };
    if (h->kind == 7)
        return err_set(e, E_INPUT, ERR_data_format, "PAM (P7) is not read; PBM, PGM and PPM (P1 to P6) are");
    t->at = 2;
    if (pnm_number(t, "the width", &h->cols, e) || pnm_number(t, "the height", &h->rows, e))
        return e->code;
    if (h->kind != 1 && h->kind != 4 && pnm_number(t, "the largest value", &h->most, e))
        return e->code;
    if (h->most < 1 || h->most > 65535)
        return err_set(e, E_INPUT, ERR_data_format, "the largest value is %lld; it is 1 to 65535", (long long)h->most);
    if (h->kind >= 4 && (t->at == t->n || !pnm_blank(t->p[t->at])))
        return err_set(e, E_INPUT, ERR_data_format, "byte %zu: no blank ends the header", t->at);
    t->at += h->kind >= 4;
    return OK;
}

static uint8_t pnm_scaled(const PnmHead *h, int64_t v)
{
    return (uint8_t)((v * 255 + h->most / 2) / h->most);
}

static Code pnm_too_large(int64_t v, const PnmHead *h, Err *e)
{
    return err_set(e, E_INPUT, ERR_data_format, "a value of %lld; the header says that %lld is the largest", (long long)v,
                   (long long)h->most);
}

/* A bit of P1 may stand without blanks round it; 1 is black. */
static Code plain_sample(PnmText *t, const PnmHead *h, int64_t *v, Err *e)
{
    if (h->kind != 1)
        return pnm_number(t, "a value", v, e);
    pnm_skip(t);
    if (t->at == t->n || t->p[t->at] < '0' || t->p[t->at] > '1')
        return err_set(e, E_INPUT, t->at == t->n ? ERR_data_size : ERR_data_format, "byte %zu: a 0 or 1 should stand here",
                       t->at);
    *v = 1 - (t->p[t->at++] - '0');
    return OK;
}

static Code plain_samples(PnmText *t, const PnmHead *h, Picture *out, Err *e)
{
    for (int r = 0; r < out->rows; r++)
        for (int c = 0; c < out->cols; c++)
            for (int k = 0; k < out->channels; k++) {
                int64_t v;
                if (plain_sample(t, h, &v, e))
                    return e->code;
                if (v > h->most)
                    return pnm_too_large(v, h, e);
                *picture_at(out, k, (size_t)r, (size_t)c) = pnm_scaled(h, v);
            }
    pnm_skip(t);
    return t->at == t->n ? OK : err_set(e, E_INPUT, ERR_data_size, "byte %zu: more than %d x %d values", t->at, out->rows,
                                        out->cols);
}

static void bit_samples(const uint8_t *p, size_t line, Picture *out)
{
    for (size_t r = 0; r < (size_t)out->rows; r++)
        for (size_t c = 0; c < (size_t)out->cols; c++)
            *picture_at(out, 0, r, c) = p[r * line + c / 8] >> (7 - c % 8) & 1 ? 0 : 255;
}

static Code byte_samples(const uint8_t *p, const PnmHead *h, Picture *out, Err *e)
{
    const bool wide = h->most > 255;

    for (size_t r = 0; r < (size_t)out->rows; r++)
        for (size_t c = 0; c < (size_t)out->cols; c++)
            for (int k = 0; k < out->channels; k++) {
                const int64_t v = wide ? p[0] << 8 | p[1] : *p;
                if (v > h->most)
                    return pnm_too_large(v, h, e);
                *picture_at(out, k, r, c) = pnm_scaled(h, v);
                p += wide ? 2 : 1;
            }
    return OK;
}

static Code packed_samples(PnmText *t, const PnmHead *h, size_t line, Picture *out, Err *e)
{
    const uint8_t *p = t->p + t->at;

    t->at += line * (size_t)out->rows;
    if (h->kind != 4)
        return byte_samples(p, h, out, e);
    bit_samples(p, line, out);
    return OK;
}

Code pnm_parse(const uint8_t *p, size_t n, Picture *out, size_t *used, Err *e)
{
    PnmText t = { p, n, 0 };
    PnmHead h;

    *out = (Picture){ 0 };
    if (pnm_head(&t, &h, e))
        return e->code;
    const int channels = h.kind % 3 ? 1 : 3;
    const size_t line = h.kind == 4 ? (size_t)(h.cols + 7) / 8 : (size_t)h.cols * (size_t)channels * (h.most > 255 ? 2 : 1);
    const size_t least = h.kind >= 4 ? line : (size_t)h.cols * (size_t)channels;      /* bytes of a line */
    if (h.rows && (n - t.at) / (size_t)h.rows < least)
        return err_set(e, E_INPUT, ERR_data_size, "the header asks for %lld x %lld values, the file has %zu bytes more",
                       (long long)h.rows, (long long)h.cols, n - t.at);
    Code rc = picture_new(out, h.rows, h.cols, channels, e);
    if (!rc)
        rc = h.kind >= 4 ? packed_samples(&t, &h, line, out, e) : plain_samples(&t, &h, out, e);
    if (rc)
        picture_free(out);
    *used = t.at;
    return rc;
}

void pnm_print(const Picture *in, Buf *out)
{
    buf_printf(out, "P%d\n%d %d\n255\n", in->channels == 3 ? 6 : 5, in->cols, in->rows);
    for (size_t r = 0; r < (size_t)in->rows; r++)
        for (size_t c = 0; c < (size_t)in->cols; c++)
            for (int k = 0; k < in->channels; k++)
                buf_putc(out, (char)*picture_at(in, k, r, c));
}
