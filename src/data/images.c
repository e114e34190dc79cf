/* SPDX-License-Identifier: Apache-2.0
 *
 * images.c - the two formats of image files: IDX (MNIST and its kin) and CIFAR-10 binary.
 *
 * What a header says is compared with the bytes that are there before anything is made of it. */
#include "data/data.h"

#define CIFAR_RECORD 3073       /* a label and 3 x 32 x 32 bytes */

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static Code check_magic(const uint8_t *p, size_t n, Err *e)
{
    if (n < 4)
        return err_set(e, E_INPUT, ERR_data_size, "%zu bytes; an IDX file starts with 4 bytes that say what it is",
                       n);
    if (p[0] || p[1])
        return err_set(e, E_INPUT, ERR_data_format, "starts with %02x %02x %02x %02x; an IDX file starts with 00 00",
                       p[0], p[1], p[2], p[3]);
    if (p[2] != 8)
        return err_set(e, E_INPUT, ERR_data_format, "elements of type 0x%02x; only bytes (0x08) are read", p[2]);
    if (p[3] < 1 || p[3] > 4)
        return err_set(e, E_INPUT, ERR_data_format, "%d dimensions; images have 3, labels 1", p[3]);
    return OK;
}

Code idx_parse(const uint8_t *p, size_t n, int *n_dims, uint32_t dim[4], const uint8_t **data, Err *e)
{
    uint64_t want = 1;

    if (check_magic(p, n, e))
        return e->code;
    *n_dims = p[3];
    const size_t head = 4 + 4 * (size_t)*n_dims;
    if (n < head)
        return err_set(e, E_INPUT, ERR_data_size, "%zu bytes; the header alone has %zu", n, head);
    for (int d = 0; d < *n_dims; d++) {
        dim[d] = big_endian(p + 4 + 4 * d);
        if (!dim[d])
            return err_set(e, E_INPUT, ERR_data_size, "dimension %d is 0", d + 1);
        if (want > UINT64_MAX / dim[d])
            return err_set(e, E_INPUT, ERR_data_size, "the dimensions multiply to more than a file can hold");
        want *= dim[d];
    }
    if (want != n - head)
        return err_set(e, E_INPUT, ERR_data_size, "the header asks for %llu bytes of data, the file has %zu",
                       (unsigned long long)want, n - head);
    *data = p + head;
    return OK;
}

Code cifar10_parse(const uint8_t *p, size_t n, size_t *n_images, Err *e)
{
    *n_images = n / CIFAR_RECORD;
    if (!n)
        return err_set(e, E_INPUT, ERR_data_size, "the file is empty");
    if (n % CIFAR_RECORD)
        return err_set(e, E_INPUT, ERR_data_size,
                       "%zu bytes; images of %d bytes would make %zu or %zu", n, CIFAR_RECORD,
                       *n_images * CIFAR_RECORD, (*n_images + 1) * CIFAR_RECORD);
    for (size_t k = 0; k < *n_images; k++)
        if (p[k * CIFAR_RECORD] > 9)
            return err_set(e, E_INPUT, ERR_data_format, "image %zu has label %d; CIFAR-10 has labels 0 to 9", k,
                           p[k * CIFAR_RECORD]);
    return OK;
}
