/* SPDX-License-Identifier: Apache-2.0
 *
 * npy.c - any bytes as an .npy file.  What is accepted must lie inside the input, and every element can be read. */
#include "fuzz.h"

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Npy a;
    Err e = { 0 };
    double sum = 0;

    if (npy_parse(data, size, &a, &e) != OK)
        return 0;
    if (a.data < data || a.n > size || (size_t)(a.data - data) + a.n * (size_t)a.size != size)
        BUG("npy: %llu elements of %d bytes outside the file", (unsigned long long)a.n, a.size);
    for (uint64_t at = 0; at < a.n; at++)
        sum += npy_real(&a, at) + (a.kind == 'f' ? 0 : (double)npy_int(&a, at));
    volatile double read = sum;         /* so that no read is left out */
    (void)read;
    return 0;
}
