/* SPDX-License-Identifier: Apache-2.0
 *
 * file.c - a whole data file in memory, and the only file that includes zlib.
 *
 * A gzip file is told by its first bytes, not by its name.  It is unpacked into memory that grows as bytes
 * arrive, never by a size that the file claims; a file that unpacks to far more than images or tables do
 * is taken for a bomb. */
#include "data/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK ((size_t)1 << 20)
#define BOMB_BYTES ((size_t)256 << 20)  /* unpacked size from which the ratio matters */
#define BOMB_RATIO 100                  /* Fashion-MNIST has 2, a table of digits 10 */

typedef struct Inflow {
    const char *path;
    FILE *f;
    size_t n_file, n_read;      /* bytes of the file: in all, and read so far */
    FileBytes *out; size_t cap;
    size_t limit;               /* of memory */
} Inflow;

void file_free(FileBytes *f)
{
    mem_free(f->p);
    *f = (FileBytes){ 0 };
}

Code file_error(const char *path, const Err *inner, Err *e)
{
    return err_set(e, inner->code, inner->id, "%s: %s", path, inner->msg);
}

static Code inflow_no_memory(const Inflow *in, Err *e)
{
    return err_set(e, E_ENV, ERR_data_file, "%s: more than %zu MB do not fit in memory", in->path,
                   in->out->n >> 20);
}

static Code make_room(Inflow *in, size_t n, Err *e)
{
    const size_t need = in->out->n + n, cap = need > 2 * in->cap ? need : 2 * in->cap;

    if (need <= in->cap)
        return OK;
    uint8_t *p = need > in->limit ? NULL : mem_try(cap);
    if (!p)
        return inflow_no_memory(in, e);
    if (in->out->n)
        memcpy(p, in->out->p, in->out->n);
    mem_free(in->out->p);
    in->out->p = p;
    in->cap = cap;
    return OK;
}

static Code read_error(const Inflow *in, Err *e)
{
    return err_set(e, E_ENV, ERR_data_file, "%s: %s", in->path, strerror(errno ? errno : EIO));
}

static Code read_stored(Inflow *in, Err *e)
{
    Code rc = make_room(in, in->n_file ? in->n_file : 1, e);

    if (rc)
        return rc;
    in->out->n = fread(in->out->p, 1, in->n_file, in->f);
    if (ferror(in->f))
        return read_error(in, e);
    return OK;
}

/* Refill the input; z->avail_in stays 0 at the end of the file. */
static Code refill(Inflow *in, z_stream *z, uint8_t *chunk, Err *e)
{
    if (z->avail_in)
        return OK;
    const size_t n = fread(chunk, 1, CHUNK, in->f);
    if (ferror(in->f))
        return read_error(in, e);
    in->n_read += n;
    z->next_in = chunk;
    z->avail_in = (uInt)n;
    return OK;
}

static Code unpack_error(const Inflow *in, const z_stream *z, int rc, Err *e)
{
    if (rc == Z_MEM_ERROR)
        return inflow_no_memory(in, e);
    if (rc == Z_BUF_ERROR || rc == Z_OK)
        return err_set(e, E_INPUT, ERR_data_size, "%s: the gzip file ends too early, after %zu unpacked bytes",
                       in->path, in->out->n);
    return err_set(e, E_INPUT, ERR_data_format, "%s: the gzip file is damaged after %zu unpacked bytes (%s)",
                   in->path, in->out->n, z->msg ? z->msg : "not gzip");
}

/* One member after another, as gzip allows; `chunk` holds what was read ahead. */
static Code unpack_all(Inflow *in, z_stream *z, uint8_t *chunk, Err *e)
{
    for (;;) {
        Code rc = refill(in, z, chunk, e);
        if (!rc)
            rc = make_room(in, CHUNK, e);
        if (rc)
            return rc;
        const bool at_end = !z->avail_in;
        z->next_out = in->out->p + in->out->n;
        z->avail_out = (uInt)CHUNK;
        const int got = inflate(z, Z_NO_FLUSH);
        in->out->n += CHUNK - z->avail_out;
        if (in->out->n > BOMB_BYTES && in->out->n / BOMB_RATIO > in->n_file)
            return err_set(e, E_INPUT, ERR_data_size, "%s: %zu bytes unpack to more than %zu MB; unpack the file "
                           "by hand if that is right", in->path, in->n_file, in->out->n >> 20);
        if (got == Z_STREAM_END) {
            rc = refill(in, z, chunk, e);
            if (rc || !z->avail_in)
                return rc;
            if (inflateReset(z) != Z_OK)
                return unpack_error(in, z, Z_STREAM_ERROR, e);
        } else if (got != Z_OK || (at_end && z->avail_out))
            return unpack_error(in, z, got, e);
    }
}

static Code read_packed(Inflow *in, Err *e)
{
    z_stream z = { 0 };
    uint8_t *chunk = mem_try(CHUNK);
    Code rc = !chunk || inflateInit2(&z, 15 + 16) != Z_OK ? inflow_no_memory(in, e) : OK;

    if (!rc)
        rc = unpack_all(in, &z, chunk, e);
    inflateEnd(&z);
    mem_free(chunk);
    return rc;
}

static Code open_data(Inflow *in, Err *e)
{
    struct stat st;

    if (stat(in->path, &st) || (S_ISREG(st.st_mode) && !(in->f = fopen(in->path, "rb"))))
        return err_set(e, errno == ENOENT || errno == ENOTDIR ? E_INPUT : E_ENV, ERR_data_file, "%s: %s",
                       in->path, errno == ENOENT ? "there is no such file" : strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, E_INPUT, ERR_data_file, "%s: not an ordinary file", in->path);
    in->n_file = (size_t)st.st_size;
    return OK;
}

Code file_read(FileBytes *out, const char *path, Err *e)
{
    Inflow in = { .path = path, .out = out };
    uint8_t magic[2] = { 0 };

    *out = (FileBytes){ 0 };
    in.limit = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * 3 * (size_t)sysconf(_SC_PAGESIZE);
    Code rc = open_data(&in, e);
    if (rc)
        return rc;
    const bool gz = fread(magic, 1, 2, in.f) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    rewind(in.f);
    rc = gz ? read_packed(&in, e) : read_stored(&in, e);
    fclose(in.f);
    if (rc)
        file_free(out);
    return rc;
}
