# SPDX-License-Identifier: Apache-2.0
"""References for models/fashion.sql: the CNN for 28 x 28 images, on three images made by a formula."""
import cnn
import oracle
from oracle import Spec, wave

LABELS = [9, 0, 4]
SIDE = 28


def images():
    for image in range(len(LABELS)):
        for r in range(SIDE):
            for c in range(SIDE):
                yield image, r, c, 0.5 + 0.5 * wave((image * SIDE + r) * SIDE + c, 0.5)


def loss(torch, p):
    x = torch.tensor([row[-1] for row in images()], dtype=torch.float64)
    return cnn.network(torch, p, x.reshape(-1, 1, SIDE, SIDE), LABELS)


def spec():
    data = {"samples": ("image INTEGER, r INTEGER, c INTEGER, val REAL", list(images())),
            "labels": ("image INTEGER, label INTEGER", list(enumerate(LABELS)))}
    return Spec("models/fashion.sql", "x_ent_loss", data, cnn.params(None, 256), loss, cnn.RUNS,
                mend=cnn.MEND)


if __name__ == "__main__":
    oracle.main("fashion", "models/fashion.sql on three images, see fashion.py")
