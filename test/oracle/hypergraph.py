# SPDX-License-Identifier: Apache-2.0
"""References for models/hypergraph.sql; the guests are read from the model itself."""
import os
import re

import oracle
from oracle import TOP, Param, Spec, scaled

WIDTH = 4


def guests():
    with open(os.path.join(TOP, "models/hypergraph.sql"), encoding="utf-8") as f:
        text = f.read().split("guests(woman, event)")[1].split("SELECT")[0]
    return [(woman, int(event)) for woman, event in re.findall(r"\('(\w+)', (\d+)\)", text)]


WOMEN = sorted({woman for woman, _ in guests()})
PARAMS = {"w1": Param([("woman", WOMEN), ("j", 1, WIDTH)], "w", scaled(0.8, 0.1)),
          "w2": Param([("j", 1, WIDTH), ("circle", 1, 2)], "w", scaled(0.7, 0.2))}


def loss(torch, p):
    came = torch.zeros(14, len(WOMEN), dtype=torch.float64)
    for woman, event in guests():
        came[event - 1, WOMEN.index(woman)] = 1
    to_event, to_woman = came / came.sum(1, keepdim=True), came.T / came.T.sum(1, keepdim=True)
    h = torch.tanh(to_woman @ (to_event @ p["w1"]))
    out = to_woman @ (to_event @ (h @ p["w2"]))
    return torch.nn.functional.cross_entropy(out[[WOMEN.index("Evelyn"), WOMEN.index("Nora")]], torch.tensor([0, 1]))


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.05"}, 5)]


def spec():
    data = {"places": ("j INTEGER", [(j,) for j in range(1, WIDTH + 1)]), "sides": ("circle INTEGER", [(1,), (2,)])}
    return Spec("models/hypergraph.sql", "loss", data, PARAMS, loss, RUNS, sets={"width": WIDTH})


if __name__ == "__main__":
    oracle.main("hypergraph", "models/hypergraph.sql, see hypergraph.py")
