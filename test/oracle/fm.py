# SPDX-License-Identifier: Apache-2.0
"""References for models/fm.sql: the ratings of mf.py with words for features, every pair of them in PyTorch."""
import itertools

import oracle
from mf import COLUMNS, RATINGS
from oracle import Param, Spec, scaled

FEATURES = [(r[0], word) for r in RATINGS for word in (f"person {r[1]}", f"film {r[2]}", "weekend" if r[3] else "working day")]
WORDS = sorted({word for _, word in FEATURES})
PARAMS = {"level": Param([], "w", lambda k: 2.5),
          "weight": Param([("feature", WORDS)], "w", scaled(0.5, 0.1)),
          "factor": Param([("feature", WORDS), ("k", 1, 3)], "v", scaled(0.7, 0.2))}


def loss(torch, p):
    misses = []
    for r in (r for r in RATINGS if r[5] == "train"):
        words = [WORDS.index(w) for n, w in FEATURES if n == r[0]]
        pairs = sum(p["factor"][a] @ p["factor"][b] for a, b in itertools.combinations(words, 2))
        misses.append(r[4] - p["level"].reshape(()) - p["weight"][words].sum() - pairs)
    return torch.stack(misses).square().mean() + 0.0003 * p["factor"].square().sum()


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.02"}, 4)]


def spec():
    data = {"ratings": (COLUMNS, RATINGS), "features": ("n INTEGER, feature TEXT", FEATURES),
            "places": ("k INTEGER", [(1,), (2,), (3,)])}
    return Spec("models/fm.sql", "loss", data, PARAMS, loss, RUNS, sets={"size": 3})


if __name__ == "__main__":
    oracle.main("fm", "models/fm.sql on nine people and seven films, see fm.py")
