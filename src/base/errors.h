/* SPDX-License-Identifier: Apache-2.0
 *
 * errors.h - every error and note id, once.  The runner fails if an id has no case in test/cases.
 * An id is dotted lower case, `stage.what`; the macro is ERR_stage_what.  Add a line to your
 * layer's section.  E(macro suffix, dotted text, what it means (for doc/errors.md)) */
#ifndef SG_ERRORS_H
#define SG_ERRORS_H

#define ERRORS_BASE(E)                                                                             \
    E(mem_exhausted, "mem.exhausted", "memory ran out")

#define ERRORS_FRONT(E)

#define ERRORS_PASS(E)

#define ERRORS_EXEC(E)

#define ERRORS_DB(E)

#define ERRORS_DATA(E)

#define ERRORS_TRAIN(E)

#define ERRORS_API(E)

#define ERRORS(E)                                                                                  \
    ERRORS_BASE(E) ERRORS_FRONT(E) ERRORS_PASS(E) ERRORS_EXEC(E) ERRORS_DB(E) ERRORS_DATA(E)       \
    ERRORS_TRAIN(E) ERRORS_API(E)

#define E(name, text, doc) extern const char ERR_##name[];
ERRORS(E)
#undef E

#endif
