# SPDX-License-Identifier: Apache-2.0
"""models/pgd.sql: ten steps of a quarter of eps each, put back to at most eps from each image; a trained Fashion-MNIST network loses
accuracy as eps grows, no step up by more than 0.2 points, and agrees within 0.5 points at each eps with the attack as PyTorch users
write it, which puts back the image itself and not what it is moved by."""
import os
import sqlite3
import sys
import tempfile

import accept
from fgsm import APART, EPS, RISE, Torch, make

STEPS, STRIDE = 10, 2.5


def make_delta(few):
    db = sqlite3.connect(few)
    db.execute("CREATE TABLE delta AS SELECT image, r, c, 0.0 AS d FROM samples")
    db.commit()
    db.close()


def attacked(args, few, net, eps):
    """Accuracy in per cent of the images that the attack leaves in a state database."""
    common = [accept.model("pgd.sql"), "--db", few, "--params", net, "--state", few + ".state", "--bind", "pictures=samples", "--quiet",
              "--json"]
    accept.sqlgrad(args, "train", *common, "--set", f"eps={eps}", "--steps", str(STEPS), "--fresh")
    return 100 * accept.metric(accept.sqlgrad(args, "eval", *common, "--set", f"eps={eps}"))


def torch_attacked(net, eps):
    x = net.x.clone()
    for _ in range(STEPS):
        x.requires_grad_()
        g, = net.torch.autograd.grad(net.torch.nn.functional.cross_entropy(net.scores(x), net.y), x)
        x = x.detach() + STRIDE * eps / STEPS * g.sign()
        x = net.x + (x - net.x).clamp(-eps, eps)
        x = x.clamp(0, 1)
    return 100 * (net.scores(x).argmax(1) == net.y).float().mean().item()


def main():
    args = accept.arguments(__doc__, images=1000)
    bad, before = 0, 100.0
    with tempfile.TemporaryDirectory() as folder:
        few, net = make(args, folder)
        make_delta(few)
        try:
            torch = Torch(args, net)
        except ImportError:
            print("skipped: PyTorch (python3-torch) is not installed")
            sys.exit(77)
        for eps in EPS:
            found, want = attacked(args, few, net, eps), torch_attacked(torch, eps)
            ok = found <= before + RISE and abs(found - want) <= APART
            bad += not ok
            before = found
            print(f"eps {eps}: accuracy {found:.1f} %, PyTorch {want:.1f} %{'' if ok else ' NO'}", flush=True)
    print(f"pgd: accuracy falls with eps and is PyTorch's within {APART} points: {'NO' if bad else 'yes'}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
