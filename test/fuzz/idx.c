/* SPDX-License-Identifier: Apache-2.0
 *
 * idx.c - any bytes as an IDX file (after gzip).  What is accepted must lie inside the input. */
#include "fuzz.h"

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t dim[4] = { 0 };
    const uint8_t *bytes = NULL;
    int n_dims = 0;
    Err e = { 0 };

    if (idx_parse(data, size, &n_dims, dim, &bytes, &e) != OK)
        return 0;
    uint64_t n = 1;
    for (int i = 0; i < n_dims; i++)
        n *= dim[i];
    if (n_dims < 1 || n_dims > 4 || bytes < data || n > size || (size_t)(bytes - data) + n > size)
        BUG("idx: %d dimensions, data outside the file", n_dims);
    return 0;
}
