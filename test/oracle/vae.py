# SPDX-License-Identifier: Apache-2.0
"""References for models/vae.sql on four images of 5 x 5, with noise in the codes."""
import oracle
from noise import Noise, normal
from oracle import Param, Spec, scaled, wave

N, SIDE, HIDDEN, LATENT = 4, 5, 6, 3
EPS = Noise("eps", {"image": "INTEGER", "z": "INTEGER"}, {"val": normal(0, 1)},
            [(image, z) for image in range(N) for z in range(LATENT)])


def images():
    return [(image, r, c, 0.5 + 0.5 * wave((image * SIDE + r) * SIDE + c, 0.5))
            for image in range(N) for r in range(SIDE) for c in range(SIDE)]


def pixels(torch):
    return torch.tensor([row[-1] for row in images()], dtype=torch.float64).reshape(N, SIDE * SIDE)


def key(**sizes):
    return [(name, 0, n - 1) for name, n in sizes.items()]


def params():
    return {
        "enc_w": Param(key(r=SIDE, c=SIDE, h=HIDDEN), "weight", scaled(0.4, 0.1)),
        "enc_b": Param(key(h=HIDDEN), "bias", scaled(0.1, 0.2)),
        "mean_w": Param(key(h=HIDDEN, z=LATENT), "weight", scaled(0.6, 0.3)),
        "mean_b": Param(key(z=LATENT), "bias", scaled(0.1, 0.4)),
        "var_w": Param(key(h=HIDDEN, z=LATENT), "weight", scaled(0.5, 0.5)),
        "var_b": Param(key(z=LATENT), "bias", scaled(0.1, 0.6)),
        "dec_w": Param(key(z=LATENT, h=HIDDEN), "weight", scaled(0.7, 0.7)),
        "dec_b": Param(key(h=HIDDEN), "bias", scaled(0.1, 0.8)),
        "out_w": Param(key(h=HIDDEN, r=SIDE, c=SIDE), "weight", scaled(0.5, 0.9)),
        "out_b": Param(key(r=SIDE, c=SIDE), "bias", scaled(0.1, 1.0)),
    }


def loss(torch, p, step):
    f, x = torch.nn.functional, pixels(torch)
    h = torch.relu(x @ p["enc_w"].reshape(-1, HIDDEN) + p["enc_b"])
    mean, log_var = h @ p["mean_w"] + p["mean_b"], h @ p["var_w"] + p["var_b"]
    code = mean + torch.exp(0.5 * log_var) * EPS.tensor(torch, step, N, LATENT)
    h = torch.relu(code @ p["dec_w"] + p["dec_b"])
    logit = h @ p["out_w"].reshape(HIDDEN, -1) + p["out_b"].reshape(-1)
    pixel = f.binary_cross_entropy_with_logits(logit, x, reduction="none").sum(1)
    return (pixel + 0.5 * (log_var.exp() + mean ** 2 - 1 - log_var).sum(1)).mean()


RUNS = [("own", {"--optimizer": "adam", "--lr": "1e-3"}, 5)]


def spec():
    return Spec("models/vae.sql", "loss", {"samples": ("image INTEGER, r INTEGER, c INTEGER, val REAL", images())},
                params(), loss, RUNS, sets={"side": SIDE, "hidden": HIDDEN, "latent": LATENT}, noise={"eps": EPS})


if __name__ == "__main__":
    oracle.main("vae", "models/vae.sql on four images, see vae.py")
