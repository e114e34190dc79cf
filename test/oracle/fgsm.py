# SPDX-License-Identifier: Apache-2.0
"""References for models/fgsm.sql: three steps of sign ascent over the images of fashion.py, clamped to [0, 1]."""
import cnn
import fashion
import oracle
from oracle import Param, Spec

SIDE, EPS = fashion.SIDE, 0.3


def params():
    keys = [("image", 0, len(fashion.LABELS) - 1), ("r", 0, SIDE - 1), ("c", 0, SIDE - 1)]
    pixels = [row[-1] for row in fashion.images()]
    return {"samples": Param(keys, "val", lambda k: pixels[k]), **cnn.params(None, 256)}


def loss(torch, p):
    return cnn.network(torch, p, p["samples"][:, None], fashion.LABELS)


def clamp(torch, p, was):
    p["samples"].clamp_(0, 1)


def spec():
    data = {"labels": ("image INTEGER, label INTEGER", list(enumerate(fashion.LABELS)))}
    runs = [("own", [{"--optimizer": "signsgd", "--lr": f"{EPS} / steps"}], 3)]
    return Spec("models/fgsm.sql", "x_ent_loss", data, params(), loss, runs, {"eps": EPS}, mend=cnn.MEND,
                goals=[("x_ent_loss", -1, ["samples"])], after=clamp)


if __name__ == "__main__":
    oracle.main("fgsm", "models/fgsm.sql on three images, see fgsm.py")
