/* SPDX-License-Identifier: Apache-2.0
 *
 * digest.c - BLAKE2b as RFC 7693 describes it.  Chosen because nobody can make two texts with one digest, because it
 * is short; it reads some 400 MB a second. */
#include "base/digest.h"

#include <string.h>

static const uint64_t blake_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* Which words of the block a round mixes in; rounds 10 and 11 are 0 and 1 again. */
static const uint8_t blake_order[10][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
    { 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
    { 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
    { 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
    { 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
    { 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
    { 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
    { 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
    { 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static uint64_t blake_turn(uint64_t x, int n)
{
    return x >> n | x << (64 - n);
}

static void blake_mix(uint64_t *v, const int at[4], uint64_t x, uint64_t y)
{
    uint64_t a = v[at[0]], b = v[at[1]], c = v[at[2]], d = v[at[3]];

    a += b + x;
    d = blake_turn(d ^ a, 32);
    c += d;
    b = blake_turn(b ^ c, 24);
    a += b + y;
    d = blake_turn(d ^ a, 16);
    c += d;
    b = blake_turn(b ^ c, 63);
    v[at[0]] = a, v[at[1]] = b, v[at[2]] = c, v[at[3]] = d;
}

static void blake_block(Digest *d, bool last)
{
    static const int at[8][4] = {       /* the columns of the 4 x 4 state, then its diagonals */
        { 0, 4, 8, 12 }, { 1, 5, 9, 13 }, { 2, 6, 10, 14 }, { 3, 7, 11, 15 },
        { 0, 5, 10, 15 }, { 1, 6, 11, 12 }, { 2, 7, 8, 13 }, { 3, 4, 9, 14 },
    };
    uint64_t v[16], m[16] = { 0 };

    memcpy(v, d->h, sizeof d->h);
    memcpy(v + 8, blake_iv, sizeof blake_iv);
    v[12] ^= d->n;                      /* the count's upper half stays 0: no text has 2^64 bytes */
    v[14] ^= last ? UINT64_MAX : 0;
    for (int k = 0; k < 128; k++)
        m[k / 8] |= (uint64_t)d->block[k] << 8 * (k % 8);
    for (int round = 0; round < 12; round++)
        for (int k = 0; k < 8; k++)
            blake_mix(v, at[k], m[blake_order[round % 10][2 * k]], m[blake_order[round % 10][2 * k + 1]]);
    for (int k = 0; k < 8; k++)
        d->h[k] ^= v[k] ^ v[k + 8];
}

void digest_start(Digest *d)
{
    *d = (Digest){ 0 };
    memcpy(d->h, blake_iv, sizeof d->h);
    d->h[0] ^= 0x01010000 ^ DIGEST_BYTES;
}

/* A full block waits until more comes: the last one is marked. */
void digest_add(Digest *d, const void *p, size_t n)
{
    const uint8_t *s = p;

    while (n) {
        if (d->used == sizeof d->block) {
            d->n += d->used;
            blake_block(d, false);
            d->used = 0;
        }
        const size_t room = sizeof d->block - d->used, take = n < room ? n : room;
        memcpy(d->block + d->used, s, take);
        d->used += take;
        s += take;
        n -= take;
    }
}

void digest_text(Digest *d, const char *s)
{
    const uint64_t n = strlen(s);

    digest_add(d, &n, sizeof n);
    digest_add(d, s, n);
}

void digest_end(Digest *d, uint8_t out[DIGEST_BYTES])
{
    d->n += d->used;
    memset(d->block + d->used, 0, sizeof d->block - d->used);
    blake_block(d, true);
    for (int k = 0; k < DIGEST_BYTES; k++)
        out[k] = (uint8_t)(d->h[k / 8] >> 8 * (k % 8));
}
