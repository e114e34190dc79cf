/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.c - arrays of NumPy's .npy format: the header, a literal of a Python dictionary, and elements.
 *
 * Only the three keys that NumPy writes are read, in any order, and what they say is compared with the bytes that
 * are there. */
#include "data/data.h"

#include <math.h>
#include <string.h>

typedef struct NpyText { const char *s, *end; } NpyText;

static void npy_blanks(NpyText *t)
{
    while (t->s < t->end && (*t->s == ' ' || *t->s == '\n' || *t->s == '\t'))
        t->s++;
}

static bool npy_takes(NpyText *t, const char *what)
{
    const size_t n = strlen(what);

    npy_blanks(t);
    if ((size_t)(t->end - t->s) < n || memcmp(t->s, what, n))
        return false;
    t->s += n;
    return true;
}

/* 'text' or "text" without escapes. */
static bool npy_string(NpyText *t, char *out, size_t size)
{
    npy_blanks(t);
    if (t->s == t->end || (*t->s != '\'' && *t->s != '"'))
        return false;
    const char *end = memchr(t->s + 1, *t->s, (size_t)(t->end - t->s - 1));
    const size_t n = end ? (size_t)(end - t->s - 1) : size;
    if (n >= size)
        return false;
    memcpy(out, t->s + 1, n);
    out[n] = 0;
    t->s = end + 1;
    return true;
}

static Code npy_type(Npy *a, const char *descr, Err *e)
{
    static const char *const known[] = { "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8" };
    const char *type = descr + (*descr && strchr("<>|=", *descr) ? 1 : 0);

    for (size_t k = 0; k < COUNT_OF(known); k++)
        if (!strcmp(known[k], type)) {
            a->kind = type[0];
            a->size = type[1] - '0';
            a->big_endian = *descr == '>';
            return OK;
        }
    return err_set(e, E_INPUT, ERR_data_format, "elements of type '%.40s'; numbers of 1 to 8 bytes are read", descr);
}

static Code npy_shape(NpyText *t, Npy *a, Err *e)
{
    if (!npy_takes(t, "("))
        return err_set(e, E_INPUT, ERR_data_format, "the header's shape is no tuple");
    while (!npy_takes(t, ")")) {
        uint64_t v = 0;
        npy_blanks(t);
        const char *from = t->s;
        for (; t->s < t->end && *t->s >= '0' && *t->s <= '9'; t->s++)
            if ((v = 10 * v + (uint64_t)(*t->s - '0')) > INT64_MAX / 16)
                return err_set(e, E_INPUT, ERR_data_size, "dimension %d is too large", a->n_dims + 1);
        if (t->s == from)
            return err_set(e, E_INPUT, ERR_data_format, "the header's shape is no tuple of numbers");
        if (a->n_dims == NPY_DIMS)
            return err_set(e, E_INPUT, ERR_data_format, "more than %d dimensions", NPY_DIMS);
        a->dim[a->n_dims++] = v;
        npy_takes(t, "L");
        npy_takes(t, ",");
    }
    return OK;
}

/* The value of one key of the dictionary; *seen has a bit a key. */
static Code npy_entry(NpyText *t, Npy *a, const char *key, unsigned *seen, Err *e)
{
    char descr[64];

    *seen |= !strcmp(key, "descr") ? 1 : !strcmp(key, "fortran_order") ? 2 : !strcmp(key, "shape") ? 4 : 8;
    if (!strcmp(key, "descr"))
        return npy_string(t, descr, sizeof descr) ? npy_type(a, descr, e)
               : err_set(e, E_INPUT, ERR_data_format, "the elements have several fields, or their type cannot be read");
    if (!strcmp(key, "shape"))
        return npy_shape(t, a, e);
    a->fortran = npy_takes(t, "True");
    if (*seen & 8 || (!a->fortran && !npy_takes(t, "False")))
        return err_set(e, E_INPUT, ERR_data_format, "the header's \"%s\" cannot be read", key);
    return OK;
}

static Code npy_header(NpyText t, Npy *a, Err *e)
{
    char key[64];
    unsigned seen = 0;

    if (!npy_takes(&t, "{"))
        return err_set(e, E_INPUT, ERR_data_format, "the header is no dictionary");
    while (!npy_takes(&t, "}")) {
        if (!npy_string(&t, key, sizeof key) || !npy_takes(&t, ":"))
            return err_set(e, E_INPUT, ERR_data_format, "the header is no dictionary");
        const unsigned before = seen;
        if (npy_entry(&t, a, key, &seen, e))
            return e->code;
        if (before == seen)
            return err_set(e, E_INPUT, ERR_data_format, "the header says \"%s\" twice", key);
        npy_takes(&t, ",");
    }
    return seen == 7 ? OK : err_set(e, E_INPUT, ERR_data_format, "the header lacks descr, fortran_order or shape");
}

static Code npy_count(Npy *a, size_t bytes, Err *e)
{
    a->n = 1;
    for (int d = 0; d < a->n_dims; d++) {
        if (a->dim[d] && a->n > INT64_MAX / 16 / a->dim[d])
            return err_set(e, E_INPUT, ERR_data_size, "the dimensions multiply to more than a file can hold");
        a->n *= a->dim[d];
    }
    return a->n * (uint64_t)a->size == bytes ? OK
           : err_set(e, E_INPUT, ERR_data_size, "the header asks for %llu bytes of data, the file has %zu",
                     (unsigned long long)(a->n * (uint64_t)a->size), bytes);
}

Code npy_parse(const uint8_t *p, size_t n, Npy *out, Err *e)
{
    *out = (Npy){ 0 };
    if (n < 10 || memcmp(p, "\x93NUMPY", 6))
        return err_set(e, E_INPUT, ERR_data_format, "an .npy file starts with \\x93NUMPY");
    if (p[6] < 1 || p[6] > 3)
        return err_set(e, E_INPUT, ERR_data_format, "version %d of the format; 1, 2 and 3 are read", p[6]);
    const size_t wide = p[6] == 1 ? 2 : 4, head = 8 + wide;
    uint64_t len = (uint64_t)p[8] | (uint64_t)p[9] << 8;
    if (wide == 4 && n >= head)
        len |= (uint64_t)p[10] << 16 | (uint64_t)p[11] << 24;
    if (n < head || len > n - head)
        return err_set(e, E_INPUT, ERR_data_size, "%zu bytes; the header alone has %llu", n, (unsigned long long)(head + len));
    const char *text = (const char *)p + head;
    if (npy_header((NpyText){ text, text + len }, out, e))
        return e->code;
    out->data = p + head + len;
    return npy_count(out, n - head - (size_t)len, e);
}

/* ---- elements ---- */

static uint64_t npy_bits(const Npy *a, uint64_t at)
{
    const uint8_t *p = a->data + at * (uint64_t)a->size;
    uint64_t v = 0;

    for (int k = 0; k < a->size; k++)
        v = v << 8 | p[a->big_endian ? k : a->size - 1 - k];
    return v;
}

/* IEEE's 16 bits: sign, 5 bits of exponent, 10 of fraction. */
static double half_real(uint64_t v)
{
    const int exponent = (int)(v >> 10 & 31), fraction = (int)(v & 1023);
    const double size = exponent == 31 ? fraction ? (double)NAN : (double)INFINITY
                        : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);

    return v >> 15 ? -size : size;
}

int64_t npy_int(const Npy *a, uint64_t at)
{
    const uint64_t v = npy_bits(a, at);

    switch (a->kind == 'i' ? a->size : 8) {
    case 1: return (int8_t)v;
    case 2: return (int16_t)v;
    case 4: return (int32_t)v;
    }
    return (int64_t)v;
}

double npy_real(const Npy *a, uint64_t at)
{
    const uint64_t v = npy_bits(a, at);
    const uint32_t low = (uint32_t)v;
    float f;
    double d;

    if (a->kind != 'f')
        return a->kind == 'i' ? (double)npy_int(a, at) : (double)v;
    if (a->size == 2)
        return half_real(v);
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &v, sizeof d);
    return a->size == 4 ? (double)f : d;
}
