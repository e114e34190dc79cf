# SPDX-License-Identifier: Apache-2.0
"""References for models/autoencoder.sql: five pictures."""
import oracle
import pictures
from oracle import Param, Spec, scaled

N, WIDTH, CODE = 5, 6, 3
PIXEL = [("r", 0, 27), ("c", 0, 27)]
WIDE, SMALL = ("i", 0, WIDTH - 1), ("k", 0, CODE - 1)
PARAMS = {"w1": Param([WIDE, *PIXEL], "w", scaled(0.2, 0.1)), "b1": Param([WIDE], "b", scaled(0.3, 0.2)),
          "w2": Param([SMALL, WIDE], "w", scaled(0.6, 0.3)), "b2": Param([SMALL], "b", scaled(0.3, 0.4)),
          "w3": Param([WIDE, SMALL], "w", scaled(0.6, 0.5)), "b3": Param([WIDE], "b", scaled(0.3, 0.6)),
          "w4": Param([*PIXEL, WIDE], "w", scaled(0.5, 0.7)), "b4": Param(PIXEL, "b", scaled(0.3, 0.8))}


def loss(torch, p):
    f, x = torch.nn.functional, pictures.tensor(torch, N).reshape(N, -1)
    h = torch.relu(f.linear(x, p["w1"].reshape(WIDTH, -1), p["b1"]))
    h = torch.relu(f.linear(f.linear(h, p["w2"], p["b2"]), p["w3"], p["b3"]))
    return f.mse_loss(torch.sigmoid(f.linear(h, p["w4"].reshape(784, WIDTH), p["b4"].reshape(-1))), x)


RUNS = [("own", {"--optimizer": "adam", "--lr": "2e-3 * (1 - step/steps)"}, 3)]


def spec():
    return Spec("models/autoencoder.sql", "loss", pictures.tables(N, labelled=False), PARAMS, loss, RUNS,
                sets={"width": WIDTH, "code": CODE})


if __name__ == "__main__":
    oracle.main("autoencoder", "models/autoencoder.sql on five pictures, see autoencoder.py")
