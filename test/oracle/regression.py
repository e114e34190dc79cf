# SPDX-License-Identifier: Apache-2.0
"""References for models/regression.sql; the data is read from the model itself."""
import os
import re

import oracle
from oracle import TOP, Param, Spec, scaled

SETS = ["I", "II", "III", "IV"]
EFFECTS = [("level", 1), ("outcome", 2), ("outcome", 3), ("treatment", 2), ("treatment", 3)]
PARAMS = {"fit": Param([("data", SETS)], ("slope", "middle"), scaled(2.0, 0.1)),
          "quantile_fit": Param([("data", SETS), ("percent", [10, 50, 90])], ("slope", "middle"), scaled(2.0, 0.2)),
          "effects": Param([(("effect", "grade"), EFFECTS)], "w", scaled(0.9, 0.3)),
          "hazard": Param([], "log_ratio", lambda k: -0.4)}


def values(torch, name):
    """The rows of `name(…) AS (VALUES …)` in the model."""
    with open(os.path.join(TOP, "models/regression.sql"), encoding="utf-8") as f:
        text = f.read().split(name + "(")[1].split("(VALUES")[1].split("SELECT")[0]
    rows = [[float(x) for x in row.split(",")] for row in re.findall(r"\(([\d., ]+)\)", text.split("),\nplacebo")[0])]
    return torch.tensor(rows, dtype=torch.float64)


def points(torch):
    q = values(torch, "quartet")
    return torch.stack([q[:, 1], q[:, 1], q[:, 1], q[:, 5]]), torch.stack([q[:, 2], q[:, 3], q[:, 4], q[:, 6]])


def cox(torch, ratio):
    mp, placebo = values(torch, "mp"), values(torch, "placebo")
    weeks, relapse = torch.cat([mp[:, 0], placebo[:, 0]]), torch.cat([mp[:, 1], torch.ones(len(placebo))]) > 0
    treated = torch.cat([torch.ones(len(mp)), torch.zeros(len(placebo))]).double()
    risk = torch.stack([torch.logsumexp(ratio * treated[weeks >= w], 0) for w in weeks])
    return (risk - ratio * treated)[relapse].mean()


def loss(torch, p):
    x, y = points(torch)
    x = x - x.mean(1, keepdim=True)
    linear = (y - p["fit"][:, 1:] - p["fit"][:, :1] * x).square().mean()
    miss = y[:, None] - p["quantile_fit"][:, :, 1:] - p["quantile_fit"][:, :, :1] * x[:, None]
    percent = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)[None, :, None]
    quantile = torch.maximum(percent * miss, (percent - 1) * miss).mean()
    counts, w = values(torch, "counts"), p["effects"]
    acts = torch.stack([torch.ones(9).double()] + [(counts[:, c] == g).double() for c, g in [(0, 2), (0, 3), (1, 2), (1, 3)]], 1)
    poisson = torch.nn.functional.poisson_nll_loss(acts @ w, counts[:, 2])
    return linear + quantile + poisson + cox(torch, p["hazard"].reshape(()))


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.05 * (1 - step/steps)"}, 5)]


def spec():
    return Spec("models/regression.sql", "loss", {}, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("regression", "models/regression.sql, see regression.py")
