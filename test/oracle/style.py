# SPDX-License-Identifier: Apache-2.0
"""References for models/style.sql: steps over the pixels of a small picture, clamped to [0, 1]."""
import cnn
import oracle
from oracle import Param, Spec, wave

COLORS, ROWS, COLS, STEPS = 2, 18, 20, 4
SIZE = [("channel", 0, COLORS - 1), ("r", 0, ROWS - 1), ("c", 0, COLS - 1)]


def pixels(name):
    return [(color, r, c, 0.5 + 0.5 * wave((color * ROWS + r) * COLS + c, len(name)))
            for color in range(COLORS) for r in range(ROWS) for c in range(COLS)]


def params():
    net = cnn.params(None, 256)
    first = [0.1 + 0.8 * row[-1] for row in pixels("content")]
    return {"image": Param(SIZE, "val", lambda k: first[k]), **{name: net[name] for name in net if name.startswith("conv")}}


def loss(torch, p):
    f = torch.nn.functional

    def seen(x):
        one = f.relu(f.conv2d(x[:, None], p["conv1_weight"].reshape(6, 1, 5, 5), p["conv1_bias"]))
        two = f.relu(f.conv2d(f.max_pool2d(one, 2), p["conv2_weight"], p["conv2_bias"]))
        return [layer.flatten(2).flatten(0, 1) for layer in (one, two)]

    def apart(x, y):
        return ((x - y) ** 2).sum() / (y ** 2).sum()

    still = {name: torch.tensor([row[-1] for row in pixels(name)], dtype=torch.float64).reshape(COLORS, ROWS, COLS)
             for name in ("content", "style")}
    image, content, style = seen(p["image"]), seen(still["content"]), seen(still["style"])
    gram = [[x @ x.T / x.shape[1] for x in layers] for layers in (image, style)]
    return apart(gram[0][0], gram[1][0]) + apart(gram[0][1], gram[1][1]) + 0.1 * apart(image[1], content[1])


def clamp(torch, p, was):
    p["image"].clamp_(0, 1)


def spec():
    data = {name: ("channel INTEGER, r INTEGER, c INTEGER, val REAL", pixels(name)) for name in ("content", "style")}
    runs = [("own", [{"--optimizer": "adam", "--lr": "0.02 * (1 - 0.9 * step/steps)"}], STEPS)]
    return Spec("models/style.sql", "total", data, params(), loss, runs, {"rows": ROWS, "cols": COLS},
                goals=[("total", 1, ["image"])], after=clamp)


if __name__ == "__main__":
    oracle.main("style", "models/style.sql on small pictures, see style.py")
