/* SPDX-License-Identifier: Apache-2.0
 *
 * cifar10.c - any bytes as a CIFAR-10 binary file. */
#include "fuzz.h"

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = 0;
    Err e = { 0 };

    if (cifar10_parse(data, size, &n, &e) == OK && n * 3073 != size)
        BUG("cifar10: %zu images in %zu bytes", n, size);
    return 0;
}
