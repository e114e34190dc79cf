/* SPDX-License-Identifier: Apache-2.0
 *
 * utf8.c - any bytes as text: every step takes 1 to 4 bytes of the input, and only what Unicode has. */
#include "fuzz.h"

#include "data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t at = 0, before; at < size;) {
        before = at;
        const int32_t ch = utf8_next(data, size, &at);
        if (ch < 0)
            return 0;
        if (at <= before || at > before + 4 || at > size || ch == 0 || ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
            BUG("utf8: %d from the bytes %zu to %zu", (int)ch, before, at);
    }
    return 0;
}
