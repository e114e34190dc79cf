# SPDX-License-Identifier: Apache-2.0
"""References for models/mlp.sql: the perceptron, with a hidden layer of 20, on the images of fashion.py."""
import cnn
import fashion
import oracle
from oracle import Param, Spec, scaled

HIDDEN = 20


def params():
    def dense(n_out, n_in):
        return [("out_dim", 0, n_out - 1), ("in_dim", 0, n_in - 1)]

    return {
        "fc1_weight": Param(dense(HIDDEN, fashion.SIDE ** 2), "weight", scaled(0.1, 0.5)),
        "fc1_bias": Param(dense(HIDDEN, 1)[:1], "bias", scaled(0.05, 0.6)),
        "fc2_weight": Param(dense(10, HIDDEN), "weight", scaled(0.3, 0.7)),
        "fc2_bias": Param(dense(10, 1)[:1], "bias", scaled(0.1, 0.8)),
    }


def loss(torch, p):
    f = torch.nn.functional
    x = torch.tensor([row[-1] for row in fashion.images()], dtype=torch.float64).reshape(len(fashion.LABELS), -1)
    x = f.relu(f.linear(x, p["fc1_weight"], p["fc1_bias"]))
    return f.cross_entropy(f.linear(x, p["fc2_weight"], p["fc2_bias"]), torch.tensor(fashion.LABELS))


def spec():
    return Spec("models/mlp.sql", "x_ent_loss", fashion.spec().data, params(), loss, cnn.RUNS, {"hidden": HIDDEN})


if __name__ == "__main__":
    oracle.main("mlp", "models/mlp.sql with 20 hidden units on three images, see mlp.py")
