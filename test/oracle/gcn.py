# SPDX-License-Identifier: Apache-2.0
"""References for models/gcn.sql on a graph of twelve vertices.

The graph has what Cora has not: a vertex without edges that carries a training label (it has no row in adj and so
none in the loss), a vertex without words, a one-way edge, and words no vertex has."""
import oracle
from oracle import Param, Spec, scaled

EDGES = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (0, 3), (3, 0), (4, 5), (5, 4), (5, 6), (6, 5), (4, 6),
         (6, 4), (3, 4), (4, 3), (7, 8), (8, 7), (8, 9), (9, 8), (9, 10), (10, 9), (0, 10), (7, 2)]
N = 12          # vertex 11 has no edge
FEATURES = sorted({(node, word) for node in range(N) if node != 8
                   for word in (node * 37 % 1433, node * 101 % 50, (node * node * 17 + 5) % 1433, 7 + node % 3)})
LABELS = [(node, node * node % 7) for node in range(N)]
SPLIT = [(node, "train" if node % 3 != 1 else "test") for node in range(N)]
HIDDEN = 4


def params(hidden):
    return {"gc1_w": Param([("i", 0, 1432), ("j", 0, hidden - 1)], "weight", scaled(0.8, 0.1)),
            "gc1_b": Param([("i", 0, hidden - 1)], "bias", scaled(0.1, 0.2)),
            "gc2_w": Param([("i", 0, hidden - 1), ("j", 0, 6)], "weight", scaled(0.7, 0.3)),
            "gc2_b": Param([("i", 0, 6)], "bias", scaled(0.1, 0.4))}


def network(torch, p, n, edges, features, labels, split):
    """Dense matrices; the vertices that have a row in adj are the ones the loss sees."""
    a, x = torch.zeros(n, n, dtype=torch.float64), torch.zeros(n, 1433, dtype=torch.float64)
    a[tuple(torch.tensor(edges).T)] = 1
    x[tuple(torch.tensor(features).T)] = 1
    degree = a.sum(1, keepdim=True)
    a, x = a / degree.clamp(min=1), x / x.sum(1, keepdim=True).clamp(min=1)
    h = torch.relu(a @ (x @ p["gc1_w"]) + p["gc1_b"])
    out = a @ (h @ p["gc2_w"]) + p["gc2_b"]
    part, label = dict(split), dict(labels)
    rows = [i for i in range(n) if part.get(i) == "train" and degree[i] > 0]
    return torch.nn.functional.cross_entropy(out[rows], torch.tensor([label[i] for i in rows]))


def loss(torch, p):
    return network(torch, p, N, EDGES, FEATURES, LABELS, SPLIT)


def tables(edges, features, labels, split):
    return {"edges": ("src INTEGER, dst INTEGER", edges), "features": ("node INTEGER, word INTEGER", features),
            "labels": ("node INTEGER, label INTEGER", labels), "split": ("node INTEGER, part TEXT", split)}


RUNS = [("adam", {"--optimizer": "adam", "--lr": "0.01", "--weight-decay": "5e-4"}, 4)]


def spec():
    return Spec("models/gcn.sql", "x_ent_loss", tables(EDGES, FEATURES, LABELS, SPLIT), params(HIDDEN), loss, RUNS,
                sets={"hidden": HIDDEN})


if __name__ == "__main__":
    oracle.main("gcn", "models/gcn.sql on a graph of twelve vertices, see gcn.py")
