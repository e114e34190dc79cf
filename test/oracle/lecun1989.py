# SPDX-License-Identifier: Apache-2.0
"""References for models/lecun1989.sql: four pictures; the plan of connections as a mask over a dense kernel."""
import oracle
import pictures
from oracle import Param, Spec, scaled

N = 4
GROUPS = [range(0, 8), range(4, 12), [0, 1, 2, 3, 8, 9, 10, 11]]
LINKS = [(4 * g + m, seen) for g in range(3) for m in range(4) for seen in GROUPS[g]]
KERNEL = [("r", 0, 4), ("c", 0, 4)]
PARAMS = {"w1": Param([("map", 0, 11), *KERNEL], "w", scaled(0.5, 0.1)),
          "b1": Param([("map", 0, 11), ("r", 0, 7), ("c", 0, 7)], "b", scaled(0.2, 0.2)),
          "w2": Param([(("map", "seen"), LINKS), *KERNEL], "w", scaled(0.3, 0.3)),
          "b2": Param([("map", 0, 11), ("r", 0, 3), ("c", 0, 3)], "b", scaled(0.2, 0.4)),
          "w3": Param([("i", 0, 29), ("map", 0, 11), ("r", 0, 3), ("c", 0, 3)], "w", scaled(0.2, 0.5)),
          "b3": Param([("i", 0, 29)], "b", scaled(0.2, 0.6)),
          "w4": Param([("label", 0, 9), ("i", 0, 29)], "w", scaled(0.4, 0.7)),
          "b4": Param([("label", 0, 9)], "b", scaled(0.2, 0.8))}


def loss(torch, p):
    f = torch.nn.functional
    x = f.pad(f.avg_pool2d(pictures.tensor(torch, N), 2), (1, 1, 1, 1))
    h1 = torch.tanh(f.conv2d(x, p["w1"][:, None], stride=2, padding=2) + p["b1"])
    kernel = torch.zeros(12, 12, 5, 5, dtype=torch.float64).index_put(tuple(torch.tensor(LINKS).T), p["w2"])
    h2 = torch.tanh(f.conv2d(h1, kernel, stride=2, padding=2) + p["b2"])
    h3 = torch.tanh(f.linear(h2.reshape(N, -1), p["w3"].reshape(30, -1), p["b3"]))
    out = torch.tanh(f.linear(h3, p["w4"], p["b4"]))
    return (out - (2.0 * f.one_hot(pictures.classes(torch, N), 10) - 1)).square().mean()


RUNS = [("own", {"--optimizer": "adam", "--lr": "1e-3 * (1 - step/steps)"}, 3)]


def spec():
    data = {**pictures.tables(N), "kernel": ("r INTEGER, c INTEGER", [(r, c) for r in range(5) for c in range(5)])}
    return Spec("models/lecun1989.sql", "loss", data, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("lecun1989", "models/lecun1989.sql on four pictures, see lecun1989.py")
