# SPDX-License-Identifier: Apache-2.0
"""References for models/moons.sql: micrograd's points and first weights (test/data/moons), every optimizer."""
import csv
import os

import oracle
from oracle import TOP, Param, Spec


def read(name):
    with open(os.path.join(TOP, "test/data/moons", name + ".csv"), newline="") as f:
        rows = csv.reader(f)
        next(rows)
        return [(*map(int, row[:-1]), float(row[-1])) for row in rows]


def stored(name):
    values = [row[-1] for row in read(name)]
    return lambda k: values[k]


PARAMS = {"w1": Param([("o", 0, 15), ("i", 0, 1)], "w", stored("w1")),
          "b1": Param([("o", 0, 15)], "b", stored("b1")),
          "w2": Param([("o", 0, 15), ("i", 0, 15)], "w", stored("w2")),
          "b2": Param([("o", 0, 15)], "b", stored("b2")),
          "w3": Param([("o", 0, 0), ("i", 0, 15)], "w", stored("w3")),
          "b3": Param([("o", 0, 0)], "b", stored("b3"))}


def loss(torch, p):
    x = torch.tensor([r[-1] for r in read("points")], dtype=torch.float64).reshape(-1, 2)
    y = torch.tensor([r[-1] for r in read("sides")], dtype=torch.float64)
    h = torch.relu(x @ p["w1"].T + p["b1"])
    h = torch.relu(h @ p["w2"].T + p["b2"])
    score = (h @ p["w3"].T + p["b3"]).reshape(-1)
    return torch.relu(1 - y * score).mean() + 1e-4 * sum((t * t).sum() for t in p.values())


def run(name, spec, lr="0.05", **flags):
    return (name, {"--optimizer": spec, "--lr": lr, **{"--" + k.replace("_", "-"): v for k, v in flags.items()}}, 4)


# Every optimizer and option; names, defaults and formulas are PyTorch's.
RUNS = [
    ("own", {"--optimizer": "sgd", "--lr": "1.0 - 0.9*step/100"}, 100),
    run("sgd", "sgd"),
    run("sgd-momentum", "sgd(momentum=0.9)"),
    run("sgd-dampening", "sgd(momentum=0.9, dampening=0.5)"),
    run("sgd-nesterov", "sgd(momentum=0.9, nesterov=1)"),
    run("sgd-decay", "sgd", weight_decay="0.01"),
    run("sgd-nesterov-decay", "sgd(momentum=0.8, nesterov=1)", weight_decay="0.01"),
    run("sgd-lr", "sgd", lr="1.0 - 0.9*step/100"),
    run("sgd-lr-steps", "sgd", lr="0.1*(1 - step/steps)"),
    run("sgd-clip", "sgd", lr="0.5", clip="0.1"),
    run("sgd-clip-off", "sgd", clip="1000"),
    run("sgd-clip-decay", "sgd(momentum=0.9)", clip="0.2", weight_decay="0.1"),
    run("adam", "adam", lr="0.01"),
    run("adam-betas", "adam(beta1=0.8, beta2=0.95, eps=1e-6)", lr="0.01"),
    run("adam-decay", "adam", lr="0.01", weight_decay="0.05"),
    run("adamw", "adamw", lr="0.01"),
    run("adamw-decay", "adamw", lr="0.01", weight_decay="0.1"),
    run("rmsprop", "rmsprop", lr="0.01"),
    run("rmsprop-momentum", "rmsprop(alpha=0.9, momentum=0.9)", lr="0.005"),
    run("rmsprop-centered", "rmsprop(centered=1)", lr="0.01", weight_decay="0.01"),
    run("rmsprop-all", "rmsprop(alpha=0.9, eps=1e-6, momentum=0.5, centered=1)", lr="0.005"),
    run("adagrad", "adagrad", lr="0.1"),
    run("adagrad-all", "adagrad(lr_decay=0.1, initial_accumulator_value=0.1, eps=1e-8)", lr="0.1",
        weight_decay="0.01"),
]


def spec():
    data = {"points": ("n INTEGER, i INTEGER, x REAL", read("points")), "sides": ("n INTEGER, y REAL", read("sides"))}
    return Spec("models/moons.sql", "loss", data, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("moons", "models/moons.sql from micrograd's first weights, see moons.py")
