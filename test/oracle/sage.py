# SPDX-License-Identifier: Apache-2.0
"""References for models/sage.sql on the graph of gcn.py, with two neighbours a vertex: which, the lots say.

Vertex 8 has no words and so no row in either layer: neighbours that are drawn and have none do not count."""
import gcn
import oracle
from noise import Noise, uniform
from oracle import Param, Spec, scaled

HIDDEN, MOST = 4, 2
LOT = Noise("lot", {"src": "INTEGER", "dst": "INTEGER"}, {"layer1": uniform(0, 1), "layer2": uniform(0, 1)},
            sorted(gcn.EDGES))


def params():
    first, second = [("word", 0, 1432), ("unit", 0, HIDDEN - 1)], [("unit", 0, HIDDEN - 1), ("label", 0, 6)]
    return {"own1": Param(first, "weight", scaled(0.8, 0.1)), "near1": Param(first, "weight", scaled(0.9, 0.2)),
            "own2": Param(second, "weight", scaled(0.7, 0.3)), "near2": Param(second, "weight", scaled(0.6, 0.4))}


def means(torch, step, layer, there):
    """The matrix that takes the mean over each vertex's drawn neighbours, of those that are there."""
    rows = LOT.rows(step)
    a = torch.zeros(gcn.N, gcn.N, dtype=torch.float64)
    for i in range(gcn.N):
        drawn = sorted((row[1 + layer], row[1]) for row in rows if row[0] == i)[:MOST]
        drawn = [j for _, j in drawn if j in there]
        for j in drawn:
            a[i, j] = 1 / len(drawn)
    return a


def loss(torch, p, step):
    there = {node for node, _ in gcn.FEATURES}
    x = torch.zeros(gcn.N, 1433, dtype=torch.float64)
    x[tuple(torch.tensor(gcn.FEATURES).T)] = 1
    x = x / x.sum(1, keepdim=True).clamp(min=1)
    h = torch.relu(x @ p["own1"] + means(torch, step, 1, there) @ (x @ p["near1"]))
    out = h @ p["own2"] + means(torch, step, 2, there) @ (h @ p["near2"])
    rows = [i for i, part in gcn.SPLIT if part == "train" and i in there]
    return torch.nn.functional.cross_entropy(out[rows], torch.tensor([dict(gcn.LABELS)[i] for i in rows]))


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.01", "--weight-decay": "5e-3"}, 5)]


def spec():
    data = gcn.tables(gcn.EDGES, gcn.FEATURES, gcn.LABELS, gcn.SPLIT)
    return Spec("models/sage.sql", "x_ent_loss", data, params(), loss, RUNS,
                sets={"hidden": HIDDEN, "neighbours": MOST}, noise={"lot": LOT})


if __name__ == "__main__":
    oracle.main("sage", "models/sage.sql on a graph of twelve vertices, see sage.py")
