/* SPDX-License-Identifier: Apache-2.0
 *
 * png.c - PNG, and the only file that includes libpng.
 *
 * libpng leaves by longjmp when a file is damaged: everything that must be freed lies in a PngIn or PngOut of the
 * caller, and the functions between setjmp and libpng hold nothing of their own. */
#include "data/picture.h"

#include <png.h>
#include <setjmp.h>
#include <string.h>

#define PNG_MOST_CHUNK ((size_t)8 << 20)      /* bytes that a colour profile or a text may unpack to; they are not used */

typedef struct PngIn {
    png_structp png; png_infop info;
    const uint8_t *p; size_t n, at;
    int rows, cols, samples;            /* a pixel: 1 grey, 2 grey and alpha, 3 colours, 4 colours and alpha */
    uint8_t *px; png_bytep *line;
    Picture *out;
    Code rc; Err *e;
    char why[200];
} PngIn;

bool png_is(const uint8_t *p, size_t n)
{
    return n >= 4 && !memcmp(p, "\x89PNG", 4);
}

NORETURN static void on_png_error(png_structp png, png_const_charp why)
{
    char *text = png_get_error_ptr(png);

    snprintf(text, sizeof ((PngIn *)0)->why, "%s", why);
    png_longjmp(png, 1);
}

static void on_png_warning(png_structp png, png_const_charp why)
{
    (void)png, (void)why;
}

static void png_take(png_structp png, png_bytep to, size_t n)
{
    PngIn *in = png_get_io_ptr(png);

    if (n > in->n - in->at)
        png_error(png, "it ends too early");
    memcpy(to, in->p + in->at, n);
    in->at += n;
}

/* Whatever the file holds becomes 8 bits a sample of one of the four kinds. */
static void ask_bytes(PngIn *in)
{
    png_set_palette_to_rgb(in->png);
    if (png_get_bit_depth(in->png, in->info) < 8 && png_get_color_type(in->png, in->info) == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(in->png);
    if (png_get_valid(in->png, in->info, PNG_INFO_tRNS))
        png_set_tRNS_to_alpha(in->png);
    png_set_scale_16(in->png);
    png_set_interlace_handling(in->png);
    png_read_update_info(in->png, in->info);
}

static Code png_room(PngIn *in)
{
    const size_t line = png_get_rowbytes(in->png, in->info);

    in->rows = (int)png_get_image_height(in->png, in->info);
    in->cols = (int)png_get_image_width(in->png, in->info);
    in->samples = png_get_channels(in->png, in->info);
    if (picture_new(in->out, in->rows, in->cols, in->samples > 2 ? 3 : 1, in->e))
        return in->e->code;
    in->px = mem_try(line * (size_t)in->rows);
    in->line = mem_try((size_t)in->rows * sizeof *in->line);
    if (!in->px || !in->line)
        return err_set(in->e, E_ENV, ERR_data_file, "a picture of %d x %d samples does not fit in memory", in->rows, in->cols);
    for (int r = 0; r < in->rows; r++)
        in->line[r] = in->px + (size_t)r * line;
    return OK;
}

static void png_header(PngIn *in)
{
    png_set_user_limits(in->png, (png_uint_32)PICTURE_MOST, (png_uint_32)PICTURE_MOST);
    png_set_chunk_malloc_max(in->png, PNG_MOST_CHUNK);
    png_set_read_fn(in->png, in, png_take);
    png_read_info(in->png, in->info);
    ask_bytes(in);
}

static void png_body(PngIn *in)
{
    png_read_image(in->png, in->line);
    png_read_end(in->png, NULL);
}

/* False: libpng left, and in->why says why. */
static bool png_guarded(PngIn *in, void (*fn)(PngIn *))
{
    if (setjmp(png_jmpbuf(in->png)))
        return false;
    fn(in);
    return true;
}

static uint8_t over_white(int v, int alpha)
{
    return (uint8_t)((v * alpha + 255 * (255 - alpha) + 127) / 255);
}

static void png_planes(PngIn *in)
{
    const bool alpha = in->samples % 2 == 0;

    for (size_t r = 0; r < (size_t)in->rows; r++)
        for (size_t c = 0; c < (size_t)in->cols; c++) {
            const uint8_t *p = in->line[r] + c * (size_t)in->samples;
            for (int k = 0; k < in->out->channels; k++)
                *picture_at(in->out, k, r, c) = alpha ? over_white(p[k], p[in->samples - 1]) : p[k];
        }
}

static Code png_damaged(PngIn *in)
{
    return err_set(in->e, E_INPUT, ERR_data_format, "the PNG file is damaged: %s", in->why);
}

Code png_parse(const uint8_t *p, size_t n, Picture *out, Err *e)
{
    PngIn in = { .p = p, .n = n, .out = out, .e = e };
    Code rc = OK;

    *out = (Picture){ 0 };
    in.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, in.why, on_png_error, on_png_warning);
    in.info = in.png ? png_create_info_struct(in.png) : NULL;
    if (!in.info)
        rc = err_set(e, E_ENV, ERR_data_file, "libpng cannot be used: %s", *in.why ? in.why : "no memory");
    if (!rc && !png_guarded(&in, png_header)) rc = png_damaged(&in);
    if (!rc) rc = png_room(&in);
    if (!rc && !png_guarded(&in, png_body)) rc = png_damaged(&in);
    if (!rc)
        png_planes(&in);
    else
        picture_free(out);
    png_destroy_read_struct(&in.png, &in.info, NULL);
    mem_free(in.px);
    mem_free(in.line);
    return rc;
}

/* ---- writing ---- */

typedef struct PngOut { png_structp png; png_infop info; const Picture *in; Buf *out; uint8_t *line; char why[200]; } PngOut;

static void png_give(png_structp png, png_bytep p, size_t n)
{
    buf_add(png_get_io_ptr(png), (const char *)p, n);
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

static void write_lines(PngOut *w)
{
    const Picture *in = w->in;

    for (size_t r = 0; r < (size_t)in->rows; r++) {
        for (size_t c = 0; c < (size_t)in->cols; c++)
            for (int k = 0; k < in->channels; k++)
                w->line[c * (size_t)in->channels + (size_t)k] = *picture_at(in, k, r, c);
        png_write_row(w->png, w->line);
    }
}

static bool write_guarded(PngOut *w)
{
    if (setjmp(png_jmpbuf(w->png)))
        return false;
    png_set_write_fn(w->png, w->out, png_give, png_flush_nothing);
    png_set_user_limits(w->png, (png_uint_32)PICTURE_MOST, (png_uint_32)PICTURE_MOST);
    png_set_IHDR(w->png, w->info, (png_uint_32)w->in->cols, (png_uint_32)w->in->rows, 8,
                 w->in->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(w->png, w->info);
    write_lines(w);
    png_write_end(w->png, w->info);
    return true;
}

Code png_print(const Picture *in, Buf *out, Err *e)
{
    PngOut w = { .in = in, .out = out };
    Code rc = OK;

    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w.why, on_png_error, on_png_warning);
    w.info = w.png ? png_create_info_struct(w.png) : NULL;
    w.line = mem_try((size_t)in->cols * (size_t)in->channels);
    if (!w.info || !w.line || !write_guarded(&w))
        rc = err_set(e, E_ENV, ERR_data_file, "the picture cannot be written: %s", *w.why ? w.why : "no memory");
    png_destroy_write_struct(&w.png, &w.info);
    mem_free(w.line);
    return rc;
}
