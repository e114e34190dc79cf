# SPDX-License-Identifier: Apache-2.0
"""models/fgsm.sql: a trained Fashion-MNIST network loses accuracy as eps grows, no step up by more than 0.2 points, and
agrees with the same attack in PyTorch on the same weights within 0.5 points at each eps; one step, and ten."""
import gzip
import os
import sqlite3
import sys
import tempfile

import accept

EPS = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
FILES = "/usr/share/datasets/fashion-mnist"          # Debian's dataset-fashion-mnist
RISE, APART = 0.2, 0.5                               # points


def file(name):
    path = os.path.join(FILES, name + "-ubyte.gz")
    if not os.path.exists(path):
        print(f"skipped: no {path} (package dataset-fashion-mnist)")
        sys.exit(77)
    return path


def make(args, folder):
    """A database with the images to attack, and one with a trained network."""
    data, few, net = (os.path.join(folder, n) for n in ("data.db", "few.db", "net.db"))
    tables = ["--table", "samples", "--labels", "labels", "--as", "val/255.0", "--quiet"]
    accept.sqlgrad(args, "import", "idx", file("train-images-idx3"), file("train-labels-idx1"), "--db", data, *tables)
    accept.sqlgrad(args, "import", "idx", file("t10k-images-idx3"), file("t10k-labels-idx1"), "--db", few, *tables,
                   "--limit", str(args.images))
    accept.sqlgrad(args, "train", accept.model("fashion.sql"), "--db", data, "--state", net, "--epochs", "2", "--batch",
                   "100", "--optimizer", "adam", "--lr", "2e-3", "--quiet")
    return few, net


def attacked(args, few, net, eps, steps):
    """Accuracy in per cent of the images that the attack leaves in a state database."""
    common = [accept.model("fgsm.sql"), "--db", few, "--params", net, "--state", few + ".state", "--quiet", "--json"]
    accept.sqlgrad(args, "train", *common, "--set", f"eps={eps}", "--steps", str(steps), "--fresh")
    return 100 * accept.metric(accept.sqlgrad(args, "eval", *common))


class Torch:
    """The same network and attack in PyTorch."""

    def __init__(self, args, net):
        import torch
        self.torch = torch
        torch.set_num_threads(2)
        con = sqlite3.connect(net)
        self.p = {}
        for name, shape in (("conv1", (6, 1, 5, 5)), ("conv2", (16, 6, 5, 5)), ("fc1", (120, 256)), ("fc2", (84, 120)),
                            ("fc3", (10, 84))):
            for part, size in (("weight", shape), ("bias", shape[:1])):
                rows = sorted(con.execute(f"SELECT * FROM {name}_{part}"))
                self.p[f"{name}_{part}"] = torch.tensor([r[-1] for r in rows]).reshape(size)
        con.close()
        n = args.images
        with gzip.open(file("t10k-images-idx3")) as f:
            pixels = bytearray(f.read()[16:16 + n * 784])
        with gzip.open(file("t10k-labels-idx1")) as f:
            self.y = torch.tensor(list(f.read()[8:8 + n]))
        self.x = (torch.frombuffer(pixels, dtype=torch.uint8).reshape(n, 1, 28, 28).double() / 255).float()

    def scores(self, x):
        f, p = self.torch.nn.functional, self.p
        for conv in ("conv1", "conv2"):
            x = f.max_pool2d(f.relu(f.conv2d(x, p[conv + "_weight"], p[conv + "_bias"])), 2)
        x = x.flatten(1)
        for fc in ("fc1", "fc2"):
            x = f.relu(f.linear(x, p[fc + "_weight"], p[fc + "_bias"]))
        return f.linear(x, p["fc3_weight"], p["fc3_bias"])

    def attacked(self, eps, steps):
        x = self.x.clone()
        for _ in range(steps):
            x.requires_grad_()
            loss = self.torch.nn.functional.cross_entropy(self.scores(x), self.y)
            g, = self.torch.autograd.grad(loss, x)
            x = (x.detach() + eps / steps * g.sign()).clamp(0, 1)
        return 100 * (self.scores(x).argmax(1) == self.y).float().mean().item()


def main():
    args = accept.arguments(__doc__, images=1000)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        few, net = make(args, folder)
        try:
            torch = Torch(args, net)
        except ImportError:
            print("skipped: PyTorch (python3-torch) is not installed")
            sys.exit(77)
        for steps in (1, 10):
            before = 100.0
            for eps in EPS:
                found, want = attacked(args, few, net, eps, steps), torch.attacked(eps, steps)
                ok = found <= before + RISE and abs(found - want) <= APART
                bad += not ok
                before = found
                print(f"{steps} step{'s' if steps > 1 else ''}, eps {eps}: accuracy {found:.1f} %, PyTorch {want:.1f} %{'' if ok else ' NO'}")
    print(f"fgsm: accuracy falls with eps and is PyTorch's within {APART} points: {'NO' if bad else 'yes'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
