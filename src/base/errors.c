/* SPDX-License-Identifier: Apache-2.0
 * errors.c - the texts of the ids in errors.h. */
#include "base/base.h"

#define E(name, text, doc) const char ERR_##name[] = text;
ERRORS(E)
#undef E
