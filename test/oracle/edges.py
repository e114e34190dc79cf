# SPDX-License-Identifier: Apache-2.0
"""References for models/edges.sql on the graph of gcn.py."""
import gcn
import oracle
from gcn import EDGES, FEATURES, LABELS, N, SPLIT
from oracle import Param, Spec, scaled

HIDDEN = 4
PARAMS = {"score": Param([(("src", "dst"), sorted(EDGES))], "s", scaled(0.7, 0.9)),
          "w1": Param([("word", 0, 1432), ("j", 0, HIDDEN - 1)], "w", scaled(0.8, 0.1)),
          "b1": Param([("j", 0, HIDDEN - 1)], "b", scaled(0.1, 0.2)),
          "w2": Param([("j", 0, HIDDEN - 1), ("label", 0, 6)], "w", scaled(0.7, 0.3)),
          "b2": Param([("label", 0, 6)], "b", scaled(0.1, 0.4))}


def loss(torch, p):
    x, score = torch.zeros(N, 1433, dtype=torch.float64), torch.full((N, N), float("-inf"), dtype=torch.float64)
    x[tuple(torch.tensor(FEATURES).T)] = 1
    x = x / x.sum(1, keepdim=True).clamp(min=1)
    score = score.index_put(tuple(torch.tensor(sorted(EDGES)).T), p["score"])
    linked = sorted({i for i, _ in EDGES})
    edge = torch.softmax(score[linked], 1)          # vertex 11 has no edge: no row
    h = torch.zeros(N, HIDDEN, dtype=torch.float64).index_put((torch.tensor(linked),), torch.relu(edge @ (x @ p["w1"]) + p["b1"]))
    out = edge @ (h @ p["w2"]) + p["b2"]
    rows = [k for k, i in enumerate(linked) if dict(SPLIT)[i] == "train"]
    return torch.nn.functional.cross_entropy(out[rows], torch.tensor([dict(LABELS)[linked[k]] for k in rows]))


RUNS = [("own", {"--optimizer": "adam(weight_decay=5e-4)", "--lr": "0.01"}, 4)]


def spec():
    return Spec("models/edges.sql", "loss", gcn.tables(EDGES, FEATURES, LABELS, SPLIT), PARAMS, loss, RUNS,
                sets={"hidden": HIDDEN})


if __name__ == "__main__":
    oracle.main("edges", "models/edges.sql on a graph of twelve vertices, see edges.py")
