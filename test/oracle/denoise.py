# SPDX-License-Identifier: Apache-2.0
"""References for models/denoise.sql on the images of vae.py, other noise on them in every step."""
import oracle
import vae
from noise import Noise, normal
from oracle import Param, Spec, scaled
from vae import N, SIDE, key

HIDDEN, CODE, DEVIATION = 6, 3, 0.3
BLUR = Noise("blur", {"image": "INTEGER", "r": "INTEGER", "c": "INTEGER"}, {"val": normal(0, DEVIATION)},
             [row[:3] for row in vae.images()])


def params():
    return {
        "enc_w": Param(key(r=SIDE, c=SIDE, h=HIDDEN), "weight", scaled(0.4, 0.1)),
        "enc_b": Param(key(h=HIDDEN), "bias", scaled(0.1, 0.2)),
        "code_w": Param(key(h=HIDDEN, k=CODE), "weight", scaled(0.6, 0.3)),
        "code_b": Param(key(k=CODE), "bias", scaled(0.3, 0.4)),
        "dec_w": Param(key(k=CODE, h=HIDDEN), "weight", scaled(0.7, 0.7)),
        "dec_b": Param(key(h=HIDDEN), "bias", scaled(0.1, 0.8)),
        "out_w": Param(key(h=HIDDEN, r=SIDE, c=SIDE), "weight", scaled(0.5, 0.9)),
        "out_b": Param(key(r=SIDE, c=SIDE), "bias", scaled(0.1, 1.0)),
    }


def loss(torch, p, step):
    x = vae.pixels(torch)
    h = torch.relu((x + BLUR.tensor(torch, step, N, -1)) @ p["enc_w"].reshape(-1, HIDDEN) + p["enc_b"])
    code = torch.relu(h @ p["code_w"] + p["code_b"])
    h = torch.relu(code @ p["dec_w"] + p["dec_b"])
    return ((h @ p["out_w"].reshape(HIDDEN, -1) + p["out_b"].reshape(-1) - x) ** 2).mean()


def spec():
    return Spec("models/denoise.sql", "loss", vae.spec().data, params(), loss, vae.RUNS,
                sets={"side": SIDE, "hidden": HIDDEN, "code": CODE}, noise={"blur": BLUR})


if __name__ == "__main__":
    oracle.main("denoise", "models/denoise.sql on four images, see denoise.py")
