# SPDX-License-Identifier: Apache-2.0
"""References for models/resnet.sql: two pictures, torch's own batch_norm."""
import oracle
import pictures
from oracle import Param, Spec, scaled

N = 2
NORMS = [(norm, ch) for norm in range(1, 5) for ch in range(8 if norm < 3 else 16)]


def kernel(o, i, phase):
    return Param([("o", 0, o - 1), ("i", 0, i - 1), ("r", 0, 2), ("c", 0, 2)], "w", scaled(0.3, phase))


PARAMS = {"stem_w": Param([("o", 0, 7), ("r", 0, 4), ("c", 0, 4)], "w", scaled(0.5, 0.1)),
          "a1_w": kernel(8, 8, 0.2), "a2_w": kernel(8, 8, 0.3), "down_w": kernel(16, 8, 0.4),
          "b1_w": kernel(16, 16, 0.5), "b2_w": kernel(16, 16, 0.6),
          "head_w": Param([("label", 0, 9), ("ch", 0, 15)], "w", scaled(0.5, 0.7)),
          "head_b": Param([("label", 0, 9)], "b", scaled(0.2, 0.8)),
          "scale": Param([(("norm", "ch"), NORMS)], ("g", "b"), lambda k: (1 - k % 2) + 0.3 * oracle.wave(k, 0.9))}


def block(torch, p, x, name, norm):
    f, y = torch.nn.functional, x
    for k in (0, 1):
        rows = [n for n, (which, _) in enumerate(NORMS) if which == norm + k]
        y = f.conv2d(y, p[f"{name}{k + 1}_w"], padding=1)
        y = f.batch_norm(y, None, None, p["scale"][rows, 0], p["scale"][rows, 1], training=True)
        y = torch.relu(y) if k == 0 else y
    return torch.relu(x + y)


def loss(torch, p):
    f = torch.nn.functional
    h = torch.relu(f.conv2d(pictures.tensor(torch, N), p["stem_w"][:, None], stride=2, padding=2))
    h = block(torch, p, h, "a", 1)
    h = torch.relu(f.conv2d(h, p["down_w"], stride=2, padding=1))
    h = block(torch, p, h, "b", 3)
    return f.cross_entropy(f.linear(h.mean((2, 3)), p["head_w"], p["head_b"]), pictures.classes(torch, N))


RUNS = [("own", {"--optimizer": "adam", "--lr": "5e-3 * (1 - step/steps)"}, 3)]


def spec():
    data = {**pictures.tables(N), "running": ("norm INTEGER, ch INTEGER, mean REAL, var REAL", [(*k, 0.0, 1.0) for k in NORMS]),
            "norms": ("norm INTEGER, ch INTEGER", NORMS)}
    return Spec("models/resnet.sql", "loss", data, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("resnet", "models/resnet.sql on two pictures, see resnet.py")
