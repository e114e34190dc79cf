# SPDX-License-Identifier: Apache-2.0
"""References for models/batchnorm.sql with three channels, on the images of fashion.py; the running means and
variances are those of torch's batch_norm."""
import fashion
import oracle
from oracle import Param, Spec, scaled

CHANNELS, NORMS = 3, 3


def params():
    k, r, c = ("channel", 1, CHANNELS), ("r", 0, 2), ("c", 0, 2)
    p = {"conv0_weight": Param([k, r, c], "weight", scaled(0.4, 0.1))}
    for i in (1, 2):
        p[f"conv{i}_weight"] = Param([k, ("in_channel", 1, CHANNELS), r, c], "weight", scaled(0.4, 0.1 + i))
    for i in range(NORMS):
        p[f"scale{i}"] = Param([k], "val", lambda j, i=i: 1 + scaled(0.2, 0.4 + i)(j))
        p[f"shift{i}"] = Param([k], "val", scaled(0.2, 0.5 + i))
        p[f"running_mean{i}"] = Param([k], "val", scaled(0.1, 0.6 + i))
        p[f"running_var{i}"] = Param([k], "val", lambda j, i=i: 1 + scaled(0.3, 0.7 + i)(j))
    p["fc_weight"] = Param([("label", 0, 9), k], "weight", scaled(0.5, 0.8))
    p["fc_bias"] = Param([("label", 0, 9)], "bias", scaled(0.1, 0.9))
    return p


KEPT = [name for name in params() if name.startswith("running")]
TRAINED = [name for name in params() if name not in KEPT]


class Network:
    """`seen` holds the running statistics after the last evaluation."""
    seen = {}

    def __call__(self, torch, p):
        f = torch.nn.functional

        def norm(i, x):
            mean, var = (p[f"running_{what}{i}"].detach().clone() for what in ("mean", "var"))
            y = f.batch_norm(x, mean, var, p[f"scale{i}"], p[f"shift{i}"], training=True, momentum=0.1, eps=1e-5)
            self.seen.update({f"running_mean{i}": mean, f"running_var{i}": var})
            return y

        pixels = torch.tensor([row[-1] for row in fashion.images()], dtype=torch.float64)
        x = pixels.reshape(-1, 1, fashion.SIDE, fashion.SIDE)
        x = f.relu(norm(0, f.conv2d(x, p["conv0_weight"][:, None], stride=2)))
        y = f.relu(norm(1, f.conv2d(x, p["conv1_weight"], padding=1)))
        x = f.relu(x + norm(2, f.conv2d(y, p["conv2_weight"], padding=1)))
        score = f.linear(x.mean((2, 3)), p["fc_weight"], p["fc_bias"])
        return f.cross_entropy(score, torch.tensor(fashion.LABELS))


def spec():
    network = Network()

    def keep(torch, p, was):
        for name in KEPT:
            p[name].copy_(network.seen[name])

    runs = [("adam", {"--optimizer": "adam", "--lr": "0.01"}, 4), ("sgd", {"--optimizer": "sgd(momentum=0.9)", "--lr": "0.05"}, 4)]
    return Spec("models/batchnorm.sql", "loss", fashion.spec().data, params(), network, runs, {"channels": CHANNELS},
                goals=[("loss", 1, TRAINED)], after=keep, kept=KEPT)


if __name__ == "__main__":
    oracle.main("batchnorm", "models/batchnorm.sql with three channels on three images, see batchnorm.py")
