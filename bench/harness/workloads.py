# SPDX-License-Identifier: Apache-2.0
"""What is measured.  To add a workload, add an entry; to add a peer, add a network to bench/peer.py and name it here.

`flags` are those of `sqlgrad train`; batch and optimizer are given to the peers from them.  `flop` counts the
multiplications and additions that the formulas ask for, done densely where the data is dense; recomputing and sparing
some do not change it.  `bytes` counts what must at least move between memory and processor where it fits no cache.
"""
from dataclasses import dataclass, field


@dataclass
class Peer:
    network: str                # in bench/peer.py
    must: float = 0             # how many times its speed is the least we want, one thread against one
    label: str = "PyTorch"
    option: str = ""            # for the network


@dataclass
class Workload:
    name: str
    title: str
    model: str                  # from the top of the tree
    data: str                   # a maker of harness/data.py
    size: dict
    quick: dict                 # the data's size for a smoke run
    flags: dict
    peers: list
    per: tuple = (1, "step")    # how many of what one step does, or the key of size that says it: rates are of these
    flop: float = 0             # a step
    bytes: float = 0            # a step
    counts: str = "step"        # or "eval": evaluations of a set, not training steps
    steps: int = 0              # in all; 0: rounds of turns of about turn seconds
    accuracy: dict = field(default_factory=dict)        # --bind of the test tables, for accuracy at the end
    rtol: float = 2e-6          # how far the losses of the first 20 steps may be apart, of their size
    seconds: float = 0          # the most one step may take; 0: no bar
    sets: dict = field(default_factory=dict)            # --set


CONV_FORWARD = 2 * (28 * 28 * 6 * 75 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10)        # an image
CONV_TRAIN = 3 * CONV_FORWARD - 2 * 28 * 28 * 6 * 75                                   # no gradient of the images
MLP_TRAIN = 3 * 2 * (784 * 512 + 512 * 10) - 2 * 784 * 512                            # an image


def gcn_flop(n, edges, words, widths):
    """Forward and backward of A (X W) + b; `words` entries in X, whose gradient nobody wants."""
    total = 2 * 2 * words * widths[1] + 2 * 2 * edges * widths[1]
    for i, j in zip(widths[1:], widths[2:]):
        total += 3 * 2 * n * i * j + 2 * 2 * edges * j
    return total


def gcn_bytes(n, edges, widths):
    """A product with A reads a row for each edge and writes one for each vertex; the rest is small beside it."""
    return sum(2 * 4 * (edges * j + n * j) for j in widths[1:])


def rnn_flop(letters, kinds, hidden):
    """Forward and backward of h = tanh(W h + wx[letter]) and of the scores of the next letter, for so many letters."""
    return 3 * 2 * letters * hidden * (hidden + kinds)


def gpt_flop(batch, length, layers, width, kinds):
    """Forward and backward of the products: 12 matrices of width x width a layer, scores and sums of attention over the
    letters before each, the scores of the next letter."""
    tokens, pairs = batch * length, batch * length * (length + 1) // 2
    return 3 * 2 * (layers * (12 * tokens * width * width + 2 * pairs * width) + tokens * width * kinds)


LARGE = (169343, 2501829)
ADAM = 1e-4                     # divides small gradients by their size, and so what rounding did to them

WORKLOADS = [
    Workload("lenet", "the paper's CNN, training step, batch 128", "models/lenet.sql", "cifar", {"images": 4992},
             {"images": 256}, {"batch": 128, "optimizer": "sgd", "lr": 0.05}, [Peer("images", 2.5)],
             (128, "images"), 128 * CONV_TRAIN),
    Workload("lenet4", "the paper's CNN, training step, batch 4", "models/lenet.sql", "cifar", {"images": 4992}, {"images": 256},
             {"batch": 4, "optimizer": "sgd", "lr": 0.01}, [Peer("images", 3)], (4, "images"), 4 * CONV_TRAIN),
    Workload("lenet_forward", "the paper's CNN, forward only, batch 128", "models/lenet.sql", "cifar", {"images": 4992},
             {"images": 256}, {"batch": 128, "chunk": 128, "optimizer": "sgd", "lr": 0}, [Peer("evaluation", 2)],
             ("images", "images"), 4992 * CONV_FORWARD, counts="eval"),
    Workload("gcn", "GCN on Cora, full-batch Adam step", "models/gcn.sql", "cora", {}, {},
             {"optimizer": "adam", "lr": 0.01, "weight-decay": 5e-4},
             [Peer("graph", 10, "PyTorch, sparse features"), Peer("graph", 30, "PyTorch, dense features", "dense")],
             flop=gcn_flop(2708, 13264, 49216, (1433, 16, 7)), rtol=ADAM),
    Workload("gcn_large", "GCN of ogbn-arxiv's size, full-batch Adam step", "bench/models/gcn_large.sql", "graph",
             {"vertices": LARGE[0], "pairs": 1166243, "inputs": 128}, {"vertices": 500, "pairs": 3000, "inputs": 128},
             {"optimizer": "adam", "lr": 0.01, "weight-decay": 5e-4}, [Peer("large_graph", 1.5)],
             flop=gcn_flop(*LARGE, LARGE[0] * 128, (128, 256, 256, 40)), bytes=gcn_bytes(*LARGE, (128, 256, 256, 40)),
             rtol=ADAM),
    Workload("mlp", "MLP 784-512-10, batch 128, SGD step", "models/mlp.sql", "fashion", {"images": 12800, "test": 1000},
             {"images": 256, "test": 10}, {"batch": 128, "optimizer": "sgd", "lr": 0.05}, [Peer("mlp", 1.2)],
             (128, "images"), 128 * MLP_TRAIN),
    Workload("char_rnn", "char-RNN, hidden 128, 50 steps, batch 32, Adam step", "models/char_rnn.sql", "text",
             {"sequences": 640, "length": 50}, {"sequences": 64, "length": 50}, {"batch": 32, "optimizer": "adam", "lr": 2e-3},
             [Peer("char_rnn", 1.5)], (32 * 50, "letters"), rnn_flop(32 * 50, 76, 128), rtol=ADAM),
    Workload("gpt", "GPT, 4 layers, 4 heads, width 128, 64 letters, batch 16, Adam step", "models/gpt.sql", "text",
             {"sequences": 512, "length": 64}, {"sequences": 64, "length": 64}, {"batch": 16, "optimizer": "adam", "lr": 5e-4},
             [Peer("gpt", 1.3)], (16 * 64, "letters"), gpt_flop(16, 64, 4, 128, 76), rtol=ADAM,
             sets={"layers": 4, "heads": 4, "width": 128, "length": 64, "vocabulary": 76, "answer": 1}),
    Workload("tanh", "SUM(tanh(a w)^2), a 50,000 x 16, w 16 x 8: value and gradient", "bench/models/tanh.sql", "matrix",
             {"rows": 50000, "cols": 16}, {"rows": 500, "cols": 16}, {"optimizer": "sgd", "lr": 1e-6}, [Peer("tanh")],
             ("rows", "rows"), 2 * 2 * 50000 * 16 * 8, 2 * 4 * 50000 * 16, seconds=0.01),
    Workload("fashion", "Fashion-MNIST, 60,000 images, 3 epochs", "models/fashion.sql", "fashion",
             {"images": 60000, "test": 10000}, {"images": 1000, "test": 100},
             {"batch": 100, "optimizer": "adam", "lr": 2e-3}, [Peer("images", 2)], (100, "images"), steps=1800, rtol=ADAM,
             accuracy={"samples": "test_samples", "labels": "test_labels"}),
]
