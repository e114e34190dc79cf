# SPDX-License-Identifier: Apache-2.0
"""The numbers of -- @noise, computed again: Philox4x32-10 of seed, step, column and keys (src/base/philox.h).

A model's noise for an oracle.Spec is {table: Noise}; rows(step) gives (key, …, value, …) in the order of `keys`."""
import math

WORD, BITS = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


def mix(x):
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD & BITS
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 & BITS
    return x ^ x >> 33


def hash_text(text):
    h = 1469598103934665603
    for byte in text.encode():
        h = (h ^ byte) * 1099511628211 & BITS
    return mix(h)


def philox(ctr, key):
    c, k = list(ctr), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & WORD, (a >> 32) ^ c[3] ^ k[1], a & WORD]
        k = [(k[0] + 0x9E3779B9) & WORD, (k[1] + 0xBB67AE85) & WORD]
    return c


def place(keys):
    h = 0
    for key in keys:
        h = (h * 0x9E3779B97F4A7C15 + (hash_text(key) if isinstance(key, str) else key)) & BITS >> 1
    return h


def uniforms(column, step, keys, seed=0):
    """The two numbers in [0, 1) of a column ("table.column") for a row."""
    h = place(keys)
    key = (seed & WORD, seed >> 32 ^ hash_text(column.lower()) >> 33 & WORD)
    o = philox((h & WORD, h >> 32, step & WORD, step >> 32), key)
    return [((hi << 32 | lo) >> 11) * 2.0 ** -53 for hi, lo in ((o[1], o[0]), (o[3], o[2]))]


def uniform(a, b):
    return lambda u: a + (b - a) * u[0]


def normal(mean, deviation):
    return lambda u: mean + deviation * math.sqrt(-2 * math.log(1 - u[0])) * math.cos(2 * math.pi * u[1])


def bernoulli(p):
    return lambda u: float(u[0] < p)


class Noise:
    """One table.  keys: {name: type}; values: {name: distribution}; rows: every key, a tuple each."""

    def __init__(self, table, keys, values, rows):
        self.table, self.keys, self.values, self.row_keys = table, keys, values, list(rows)

    def columns(self):
        return ", ".join([f"{k} {t}" for k, t in self.keys.items()] + [f"{v} REAL" for v in self.values])

    def rows(self, step):
        return [(*key, *(draw(uniforms(f"{self.table}.{col}", step, key)) for col, draw in self.values.items()))
                for key in self.row_keys]

    def tensor(self, torch, step, *shape):
        """The one value column, in the order of the rows."""
        return torch.tensor([row[-1] for row in self.rows(step)], dtype=torch.float64).reshape(shape)
