/* SPDX-License-Identifier: Apache-2.0
 *
 * philox.h - the generator behind every random number: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel
 * random numbers: as easy as 1, 2, 3" (SC 2011).  A pure function of key and counter, so that a value does not
 * depend on what else was drawn before.  Inline: loops over rows keep it in registers. */
#ifndef SG_PHILOX_H
#define SG_PHILOX_H

#include <stdint.h>

static inline void philox4x32(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];

    for (int r = 0; r < 10; r++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)b;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The operator `draw`.  One more key of a row, from place 0, key by key (a text through hash_bytes); never
 * negative, so that it is a key itself.  Philox mixes places; here they only have to differ.  Multiples of the golden
 * ratio keep the distance 2^64 / (sqrt 5 n) up to the n-th, so that two integer keys never meet while the product of
 * their ranges is below 2^61. */
static inline int64_t draw_place(int64_t place, uint64_t key)
{
    return (int64_t)(((uint64_t)place * 0x9E3779B97F4A7C15ull + key) & INT64_MAX);
}

/* 64 random bits for a row; streams 2 k and 2 k + 1 are the halves of one block. */
static inline uint64_t draw_bits(int64_t stream, int64_t seed, int64_t step, int64_t place)
{
    const uint64_t s = (uint64_t)seed, t = (uint64_t)step, h = (uint64_t)place;
    const uint32_t ctr[4] = { (uint32_t)h, (uint32_t)(h >> 32), (uint32_t)t, (uint32_t)(t >> 32) };
    const uint32_t key[2] = { (uint32_t)s, (uint32_t)(s >> 32) ^ (uint32_t)(stream >> 1) };
    uint32_t o[4];

    philox4x32(ctr, key, o);
    return stream & 1 ? (uint64_t)o[3] << 32 | o[2] : (uint64_t)o[1] << 32 | o[0];
}

/* The same for DRAW_MANY rows, in two words: loops of one operation that compilers turn into vectors. */
enum { DRAW_MANY = 16 };
static inline void draw_many(int64_t stream, int64_t seed, int64_t step, const int64_t *place, uint32_t *high, uint32_t *low)
{
    uint32_t c0[DRAW_MANY], c1[DRAW_MANY], c2[DRAW_MANY], c3[DRAW_MANY];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)((uint64_t)seed >> 32) ^ (uint32_t)(stream >> 1);

    for (int i = 0; i < DRAW_MANY; i++) {
        c0[i] = (uint32_t)place[i];
        c1[i] = (uint32_t)((uint64_t)place[i] >> 32);
        c2[i] = (uint32_t)step;
        c3[i] = (uint32_t)((uint64_t)step >> 32);
    }
    for (int r = 0; r < 10; r++) {
        for (int i = 0; i < DRAW_MANY; i++) {
            const uint64_t a = (uint64_t)0xD2511F53u * c0[i], b = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c1[i] = (uint32_t)b;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c3[i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < DRAW_MANY; i++) {
        high[i] = stream & 1 ? c3[i] : c1[i];
        low[i] = stream & 1 ? c2[i] : c0[i];
    }
}

/* The bits as a number in [0, 1).  In single precision the first 24 count, so that it stays below 1. */
static inline double draw_unit(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

#endif
