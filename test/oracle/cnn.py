# SPDX-License-Identifier: Apache-2.0
"""References for models/lenet.sql: the paper's CNN on three images made by a formula."""
import oracle
from oracle import Param, Spec, scaled, wave

LABELS = [3, 8, 3]
SIDE, CHANNELS = 32, 3


def pixel(image, channel, r, c):
    return wave(((image * CHANNELS + channel) * SIDE + r) * SIDE + c, 0.5)


def images():
    for image in range(len(LABELS)):
        for channel in range(CHANNELS):
            for r in range(SIDE):
                for c in range(SIDE):
                    yield image, channel, r, c, pixel(image, channel, r, c)


def params(in_channel, flat):
    """Of the two CNNs: in_channel is None where the first kernel has no such key."""
    inner = [] if in_channel is None else [("in_channel", 0, in_channel - 1)]
    cell = [("r", 0, 4), ("c", 0, 4)]

    def out(n):
        return [("out_channel", 0, n - 1)]

    def dense(n_out, n_in):
        return [("out_dim", 0, n_out - 1), ("in_dim", 0, n_in - 1)]

    return {
        "conv1_weight": Param(out(6) + inner + cell, "weight", scaled(0.12, 0.1)),
        "conv1_bias": Param(out(6), "bias", scaled(0.12, 0.2)),
        "conv2_weight": Param(out(16) + [("in_channel", 0, 5)] + cell, "weight", scaled(0.12, 0.3)),
        "conv2_bias": Param(out(16), "bias", scaled(0.08, 0.4)),
        "fc1_weight": Param(dense(120, flat), "weight", scaled(0.1, 0.5)),
        "fc1_bias": Param(dense(120, 1)[:1], "bias", scaled(0.05, 0.6)),
        "fc2_weight": Param(dense(84, 120), "weight", scaled(0.15, 0.7)),
        "fc2_bias": Param(dense(84, 1)[:1], "bias", scaled(0.09, 0.8)),
        "fc3_weight": Param(dense(10, 84), "weight", scaled(0.2, 0.9)),
        "fc3_bias": Param(dense(10, 1)[:1], "bias", scaled(0.1, 1.0)),
    }


def network(torch, p, x, labels):
    """x is (image, channel, r, c)."""
    f = torch.nn.functional
    w1 = p["conv1_weight"]
    w1 = w1.unsqueeze(1) if w1.dim() == 3 else w1
    x = f.max_pool2d(f.relu(f.conv2d(x, w1, p["conv1_bias"])), 2)
    x = f.max_pool2d(f.relu(f.conv2d(x, p["conv2_weight"], p["conv2_bias"])), 2)
    x = x.flatten(1)
    x = f.relu(f.linear(x, p["fc1_weight"], p["fc1_bias"]))
    x = f.relu(f.linear(x, p["fc2_weight"], p["fc2_bias"]))
    x = f.linear(x, p["fc3_weight"], p["fc3_bias"])
    return f.cross_entropy(x, torch.tensor(labels))


def loss(torch, p):
    x = torch.tensor([row[-1] for row in images()], dtype=torch.float64)
    return network(torch, p, x.reshape(-1, CHANNELS, SIDE, SIDE), LABELS)


MEND = [("GROUP BY image, channel, r1, c1", "GROUP BY image, out_channel, r1, c1"),
        ("GROUP BY image, channel, r, c", "GROUP BY image, channel, r/2, c/2")]

RUNS = [("momentum", {"--optimizer": "sgd(momentum=0.9)", "--lr": "0.05"}, 3),
        ("adam", {"--optimizer": "adam", "--lr": "0.001"}, 3)]


def spec():
    data = {"samples": ("image INTEGER, channel INTEGER, r INTEGER, c INTEGER, val REAL", list(images())),
            "labels": ("image INTEGER, label INTEGER", list(enumerate(LABELS)))}
    return Spec("models/lenet.sql", "x_ent_loss", data, params(3, 400), loss, RUNS, mend=MEND)


if __name__ == "__main__":
    oracle.main("cnn", "models/lenet.sql on three images, see cnn.py")
