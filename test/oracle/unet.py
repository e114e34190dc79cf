# SPDX-License-Identifier: Apache-2.0
"""References for models/unet.sql: two pictures."""
import oracle
import pictures
from oracle import Param, Spec, scaled

N = 2
KERNEL = [("r", 0, 2), ("c", 0, 2)]
PARAMS = {"down_w": Param([("o", 0, 7), *KERNEL], "w", scaled(0.6, 0.1)), "down_b": Param([("o", 0, 7)], "b", scaled(0.1, 0.2)),
          "bottom_w": Param([("o", 0, 15), ("i", 0, 7), *KERNEL], "w", scaled(0.4, 0.3)),
          "bottom_b": Param([("o", 0, 15)], "b", scaled(0.1, 0.4)),
          "up_w": Param([("o", 0, 15), ("i", 0, 23), *KERNEL], "w", scaled(0.3, 0.5)),
          "up_b": Param([("o", 0, 15)], "b", scaled(0.1, 0.6)),
          "out_w": Param([("i", 0, 15), ("dr", 0, 1), ("dc", 0, 1)], "w", scaled(0.3, 0.7))}


def loss(torch, p):
    f, x = torch.nn.functional, pictures.tensor(torch, N)
    low = f.avg_pool2d(x, 2)
    down = torch.relu(f.conv2d(low, p["down_w"][:, None], p["down_b"], padding=1))
    bottom = torch.relu(f.conv2d(f.max_pool2d(down, 2), p["bottom_w"], p["bottom_b"], padding=1))
    joined = torch.cat([down, f.interpolate(bottom, scale_factor=2)], 1)
    up = torch.relu(f.conv2d(joined, p["up_w"], p["up_b"], padding=1))
    detail = f.conv_transpose2d(up, p["out_w"][:, None], stride=2)
    return f.mse_loss(f.interpolate(low, scale_factor=2) + detail, x)


RUNS = [("own", {"--optimizer": "adam", "--lr": "3e-3 * (1 - step/steps)"}, 3)]


def spec():
    data = {**pictures.tables(N, labelled=False),
            "cells": ("r INTEGER, c INTEGER", [(r, c) for r in range(14) for c in range(14)])}
    return Spec("models/unet.sql", "loss", data, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("unet", "models/unet.sql on two pictures, see unet.py")
