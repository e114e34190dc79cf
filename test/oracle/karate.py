# SPDX-License-Identifier: Apache-2.0
"""References for models/karate.sql; the graph is read from the model itself."""
import os
import re

import oracle
from oracle import TOP, Param, Spec, scaled

WIDTH = 8
PARAMS = {"w1": Param([("member", 1, 34), ("j", 1, WIDTH)], "w", scaled(0.4, 0.1)),
          "w2": Param([("j", 1, WIDTH), ("side", 0, 1)], "w", scaled(0.6, 0.2))}


def pairs():
    with open(os.path.join(TOP, "models/karate.sql"), encoding="utf-8") as f:
        text = f.read()
    values = text.split("pairs(a, b)")[1].split("SELECT")[0]
    return [(int(a), int(b)) for a, b in re.findall(r"\((\d+), (\d+)\)", values)]


def loss(torch, p):
    a = torch.eye(34, dtype=torch.float64)
    for i, j in pairs():
        a[i - 1, j - 1] = a[j - 1, i - 1] = 1
    a = a / a.sum(1, keepdim=True)
    out = a @ (torch.tanh(a @ p["w1"]) @ p["w2"])
    return torch.nn.functional.cross_entropy(out[[0, 33]], torch.tensor([0, 1]))


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.05"}, 5)]


def spec():
    return Spec("models/karate.sql", "loss", {}, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("karate", "models/karate.sql, see karate.py")
