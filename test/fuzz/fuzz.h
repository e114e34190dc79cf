/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz.h - a harness is one function from bytes to nothing: no input may crash it, hang it or trip a
 * sanitizer.  clang's libFuzzer drives it (`make fuzz`); replay.c drives it over the stored corpus with
 * any compiler (`make test`). */
#ifndef SG_FUZZ_H
#define SG_FUZZ_H

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
