/* SPDX-License-Identifier: Apache-2.0
 *
 * unit.h - a unit test is a program that prints `ok name` or `not ok name: why` for each of its
 * tests and ends with status 1 if one failed.  TEST_MAIN lists its test functions; inside one, CHECK*
 * record the first thing that is wrong and go on. */
#ifndef SG_UNIT_H
#define SG_UNIT_H

#include "base/base.h"

#include <math.h>
#include <string.h>

static char unit_why[600];

#define CHECK(cond) \
    ((cond) ? (void)0 : unit_wrong(__LINE__, #cond, ""))
#define CHECK_STR(got, want) \
    unit_str(__LINE__, #got, (got), (want))
#define CHECK_INT(got, want) \
    unit_int(__LINE__, #got, (int64_t)(got), (int64_t)(want))

static inline void unit_wrong(int line, const char *what, const char *found)
{
    if (!*unit_why)
        snprintf(unit_why, sizeof unit_why, "line %d: %.200s%.350s", line, what, found);
}

static inline void unit_str(int line, const char *what, const char *got, const char *want)
{
    char found[300];

    if (got && want && !strcmp(got, want))
        return;
    snprintf(found, sizeof found, " is \"%.130s\", expected \"%.130s\"", got ? got : "(null)",
             want ? want : "(null)");
    unit_wrong(line, what, found);
}

static inline void unit_int(int line, const char *what, int64_t got, int64_t want)
{
    char found[80];

    if (got == want)
        return;
    snprintf(found, sizeof found, " is %lld, expected %lld", (long long)got, (long long)want);
    unit_wrong(line, what, found);
}

typedef struct UnitTest { const char *name; void (*run)(void); } UnitTest;

static inline int unit_main(const UnitTest *t, size_t n)
{
    int failed = 0;

    for (size_t i = 0; i < n; i++) {
        *unit_why = 0;
        t[i].run();
        for (char *p = unit_why; *p; p++)
            if (*p == '\n') *p = '/';
        if (*unit_why)
            printf("not ok %s: %s\n", t[i].name, unit_why);
        else
            printf("ok %s\n", t[i].name);
        fflush(stdout);
        failed |= *unit_why != 0;
    }
    return failed;
}

#define TEST_MAIN(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        static const UnitTest tests[] = { __VA_ARGS__ };                                           \
        return unit_main(tests, COUNT_OF(tests));                                                  \
    }

#endif
