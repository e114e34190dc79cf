# SPDX-License-Identifier: Apache-2.0
"""References for models/kmeans.sql: forty points, three centres."""
import oracle
from oracle import Param, Spec, scaled, wave

N, K = 40, 3
POINTS = [(n, i, 3 * wave(n + 50 * i, 0.3)) for n in range(N) for i in range(2)]
PARAMS = {"centres": Param([("c", 0, K - 1), ("i", 0, 1)], "x", scaled(2.5, 0.8))}


def loss(torch, p):
    x = torch.tensor([r[2] for r in POINTS], dtype=torch.float64).reshape(-1, 1, 2)
    return (x - p["centres"]).square().sum(2).min(1).values.mean()


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.2 * (1 - step/steps)"}, 5)]


def spec():
    return Spec("models/kmeans.sql", "loss", {"points": ("n INTEGER, i INTEGER, x REAL", POINTS)}, PARAMS, loss, RUNS,
                sets={"k": K})


if __name__ == "__main__":
    oracle.main("kmeans", "models/kmeans.sql on forty points, see kmeans.py")
