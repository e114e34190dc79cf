# SPDX-License-Identifier: Apache-2.0
"""References for models/gan.sql: both networks with five units, on six draws that are held still."""
import oracle
from oracle import Param, Spec, scaled, wave

UNITS, DRAWS = 5, 6
G = ["g_in", "g_in_bias", "g_out", "g_out_bias"]
D = ["d_in", "d_in_bias", "d_mid", "d_mid_bias", "d_out"]


def params():
    j, k = ("j", 1, UNITS), ("k", 1, UNITS)
    return {
        "g_in": Param([j], "w", scaled(1, 0.1)),
        "g_in_bias": Param([j], "b", scaled(1, 0.2)),
        "g_out": Param([j], "w", scaled(0.5, 0.3)),
        "g_out_bias": Param([], "b", scaled(0.2, 0.4)),
        "d_in": Param([j], "w", scaled(0.9, 0.5)),
        "d_in_bias": Param([j], "b", scaled(0.8, 0.6)),
        "d_mid": Param([j, k], "w", scaled(0.5, 0.7)),
        "d_mid_bias": Param([k], "b", scaled(0.1, 0.8)),
        "d_out": Param([k], "w", scaled(0.6, 0.9)),
    }


def reals():
    return [(n, 4 + 1.25 * wave(n, 0.3)) for n in range(1, DRAWS + 1)]


def noise():
    return [(n, wave(n, 0.6)) for n in range(1, DRAWS + 1)]


def losses(torch, p):
    f = torch.nn.functional

    def score(x):
        h = f.leaky_relu(x[:, None] * p["d_in"] + p["d_in_bias"], 0.2)
        return f.leaky_relu(h @ p["d_mid"] + p["d_mid_bias"], 0.2) @ p["d_out"]

    real, z = (torch.tensor([x for _, x in rows], dtype=torch.float64) for rows in (reals(), noise()))
    made = torch.tanh(z[:, None] * p["g_in"] + p["g_in_bias"]) @ p["g_out"] + p["g_out_bias"]
    d_loss = torch.cat([f.softplus(-score(real)), f.softplus(score(made))]).mean()
    return {"d_loss": d_loss, "g_loss": f.softplus(-score(made)).mean()}


RUNS = [
    ("own", [{"--optimizer": "adam(beta1=0.5, weight_decay=1e-3)", "--lr": "2e-3 * (1 - step/steps)"},
             {"--optimizer": "adam(beta1=0.5)", "--lr": "1e-3 * (1 - step/steps)"}], 8),
    ("sgd", {"--optimizer": "sgd(momentum=0.9)", "--lr": "0.05", "--clip": "0.5"}, 8),
]


def spec():
    data = {"reals": ("n INTEGER, x REAL", reals()), "noises": ("n INTEGER, x REAL", noise())}
    return Spec("models/gan.sql", "d_loss", data, params(), losses, RUNS, {"n": DRAWS, "hidden": UNITS},
                goals=[("d_loss", 1, D), ("g_loss", 1, G)], bind={"real": "reals", "z": "noises"})


if __name__ == "__main__":
    oracle.main("gan", "models/gan.sql with five units and six draws, see gan.py")
