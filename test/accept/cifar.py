# SPDX-License-Identifier: Apache-2.0
"""The paper's CNN on 5 x 1,017 images of CIFAR-10: mean accuracy on 1,017 test images over three seeds, at least 44 %.

Pixels scaled to [-1, 1], torch_default start, Adam 1e-3, batches of 128, 20 epochs.  PyTorch on the same work:
46 to 49 %."""
import os
import statistics
import tempfile

import accept

SCALED = ("--as", "val/127.5 - 1")


def main():
    args = accept.arguments(__doc__, seeds=3, epochs=20)
    figures = []
    train = [accept.data(args, "cifar10", f"data_batch_{k}.bin") for k in range(1, 6)]
    test = accept.data(args, "cifar10", "test_batch.bin")
    with tempfile.TemporaryDirectory() as folder:
        db = os.path.join(folder, "cifar.db")
        accept.sqlgrad(args, "import", "cifar10", *train, "--db", db, "--table", "samples", "--labels", "labels",
                       *SCALED)
        accept.sqlgrad(args, "import", "cifar10", test, "--db", db, "--table", "test_samples", "--labels",
                       "test_labels", *SCALED)
        for seed in range(args.seeds):
            state = os.path.join(folder, f"{seed}.db")
            lines = accept.sqlgrad(args, "train", accept.model("lenet.sql"), "--db", db, "--state", state, "--epochs",
                                   str(args.epochs), "--batch", "128", "--optimizer", "adam", "--lr", "1e-3",
                                   "--seed", str(seed), "--engine", args.engine, "--json")
            done = next(line for line in lines if line.get("event") == "done")
            lines = accept.sqlgrad(args, "eval", accept.model("lenet.sql"), "--db", db, "--state", state, "--bind",
                                   "samples=test_samples,labels=test_labels", "--json")
            figures.append(accept.metric(lines))
            print(f"seed {seed}: {figures[-1]:.4f}, {done['seconds_per_step']:.3f} s a step", flush=True)
    accept.verdict(f"cifar, mean accuracy of {len(figures)} seeds", statistics.mean(figures), 0.44)


if __name__ == "__main__":
    main()
