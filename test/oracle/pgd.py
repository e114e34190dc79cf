# SPDX-License-Identifier: Apache-2.0
"""References for models/pgd.sql: three steps of sign ascent over what the images of fashion.py are moved by."""
import cnn
import fashion
import oracle
from oracle import Param, Spec, wave

SIDE, EPS, STRIDE, N = fashion.SIDE, 0.3, 2.5, len(fashion.LABELS)


def params():
    keys = [("image", 0, N - 1), ("r", 0, SIDE - 1), ("c", 0, SIDE - 1)]
    return {"delta": Param(keys, "d", lambda k: 0.1 * wave(k, 0.3)), **cnn.params(None, 256)}


def loss(torch, p):
    still = torch.tensor([row[-1] for row in fashion.images()], dtype=torch.float64).reshape(N, SIDE, SIDE)
    x = still + p["delta"]
    return cnn.network(torch, p, (x - (x - x.clamp(0, 1)).detach())[:, None], fashion.LABELS)


def clamp(torch, p, was):
    p["delta"].clamp_(-EPS, EPS)


def spec():
    data = {"pictures": ("image INTEGER, r INTEGER, c INTEGER, val REAL", list(fashion.images())),
            "labels": ("image INTEGER, label INTEGER", list(enumerate(fashion.LABELS)))}
    runs = [("own", [{"--optimizer": "signsgd", "--lr": f"{STRIDE} * {EPS} / steps"}], 3)]
    return Spec("models/pgd.sql", "x_ent_loss", data, params(), loss, runs, {"eps": EPS, "stride": STRIDE}, mend=cnn.MEND,
                goals=[("x_ent_loss", -1, ["delta"])], after=clamp)


if __name__ == "__main__":
    oracle.main("pgd", "models/pgd.sql on three images, see pgd.py")
