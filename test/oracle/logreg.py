# SPDX-License-Identifier: Apache-2.0
"""References for models/logreg.sql; the flights are read from the model itself."""
import os
import re

import oracle
from oracle import TOP, Param, Spec

PARAMS = {"slope": Param([], "w", lambda k: 0.25), "level": Param([], "b", lambda k: -0.5)}


def flights():
    with open(os.path.join(TOP, "models/logreg.sql"), encoding="utf-8") as f:
        values = f.read().split("damage) AS")[1].split("SELECT")[0]
    return [(float(t), int(d)) for t, d in re.findall(r"\(\d+, ([\d.]+), ([01])\)", values)]


def loss(torch, p):
    t, d = (torch.tensor(v, dtype=torch.float64) for v in zip(*flights()))
    z = p["level"] + p["slope"] * (t - t.mean()) / t.std()
    return torch.nn.functional.binary_cross_entropy_with_logits(z, d)


RUNS = [("own", {"--optimizer": "sgd(momentum=0.9)", "--lr": "1.0"}, 5)]


def spec():
    return Spec("models/logreg.sql", "loss", {}, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("logreg", "models/logreg.sql, see logreg.py")
