/* SPDX-License-Identifier: Apache-2.0
 *
 * The generator against the known answers published with Random123 (kat_vectors, philox4x32-10), and
 * what the draws promise: ranges, moments, permutations that are permutations, no state. */
#include "unit.h"

#include "train/train.h"

#include <stdlib.h>

static const struct { uint32_t ctr[4], key[2], out[4]; } known[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
      { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

static void known_answers(void)
{
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        uint32_t out[4];
        philox4x32(known[i].ctr, known[i].key, out);
        CHECK(!memcmp(out, known[i].out, sizeof out));
    }
}

static void moments(void)
{
    enum { N = 200000 };
    double u1 = 0, u2 = 0, n1 = 0, n2 = 0, lo = 1, hi = 0;

    for (uint64_t i = 0; i < N; i++) {
        const double u = draw_uniform(7, 1, i), z = draw_normal(7, 2, i);
        u1 += u, u2 += u * u, n1 += z, n2 += z * z;
        lo = fmin(lo, u), hi = fmax(hi, u);
    }
    CHECK(lo >= 0 && hi < 1);
    CHECK(fabs(u1 / N - 0.5) < 0.003 && fabs(u2 / N - 1.0 / 3) < 0.003);     /* > 4 deviations */
    CHECK(fabs(n1 / N) < 0.01 && fabs(n2 / N - 1) < 0.015);
    CHECK(draw_uniform(7, 1, 5) == draw_uniform(7, 1, 5));
    CHECK(draw_uniform(7, 1, 5) != draw_uniform(8, 1, 5) && draw_uniform(7, 1, 5) != draw_uniform(7, 2, 5));
}

static void permutations(void)
{
    uint32_t p[100], q[100], one[1];
    int seen[100] = { 0 }, first[5] = { 0 };

    draw_permutation(0, 0, p, 100);
    draw_permutation(0, 1, q, 100);
    CHECK(memcmp(p, q, sizeof p) != 0);
    for (int i = 0; i < 100; i++)
        seen[p[i]]++;
    for (int i = 0; i < 100; i++)
        CHECK(seen[i] == 1);
    draw_permutation(0, 0, q, 100);
    CHECK(!memcmp(p, q, sizeof p));
    draw_permutation(3, 3, one, 1);
    CHECK(one[0] == 0);
    draw_permutation(3, 3, one, 0);
    for (uint64_t e = 0; e < 10000; e++) {
        draw_permutation(1, e, p, 5);
        first[p[0]]++;
    }
    for (int i = 0; i < 5; i++)
        CHECK(abs(first[i] - 2000) < 200);         /* 5 deviations */
}

TEST_MAIN({ "philox known answers", known_answers }, { "moments of draws", moments },
          { "permutations", permutations })
