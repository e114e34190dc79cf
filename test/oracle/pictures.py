# SPDX-License-Identifier: Apache-2.0
"""Small pictures of 28 x 28 for the reference scripts of networks for them."""
from oracle import wave


def value(image, r, c):
    return round(max(0.0, wave(image * 11 + r * 3 + c, 0.2) * wave(r - image, 0.4 + c)), 3)


def samples(n):
    return [(image, r, c, value(image, r, c)) for image in range(n) for r in range(28) for c in range(28)]


def labels(n):
    return [(image, image * image * 3 % 10) for image in range(n)]


def tables(n, labelled=True):
    out = {"samples": ("image INTEGER, r INTEGER, c INTEGER, val REAL", samples(n))}
    if labelled:
        out["labels"] = ("image INTEGER, label INTEGER", labels(n))
    return out


def tensor(torch, n):
    return torch.tensor([row[3] for row in samples(n)], dtype=torch.float64).reshape(n, 1, 28, 28)


def classes(torch, n):
    return torch.tensor([label for _, label in labels(n)])
