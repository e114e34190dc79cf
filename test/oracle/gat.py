# SPDX-License-Identifier: Apache-2.0
"""References for models/gat.sql on the graph of gcn.py: vertex 8 has no words, so no vector, and nobody attends to it."""
import gcn
import oracle
from gcn import EDGES, FEATURES, LABELS, N, SPLIT
from oracle import Param, Spec, scaled

HEADS, SIZE = 2, 3
PLACE = [("head", 0, HEADS - 1), ("d", 0, SIZE - 1)]
PARAMS = {"w1": Param([("word", 0, 1432), *PLACE], "w", scaled(0.9, 0.1)),
          "a1": Param(PLACE, ("ask", "offer"), scaled(1.5, 0.2)),
          "b1": Param(PLACE, "b", scaled(0.3, 0.3)),
          "w2": Param([*PLACE, ("label", 0, 6)], "w", scaled(0.8, 0.4)),
          "a2": Param([("label", 0, 6)], ("ask", "offer"), scaled(1.2, 0.5)),
          "b2": Param([("label", 0, 6)], "b", scaled(0.3, 0.6))}
NEAR = [e for e in EDGES + [(i, i) for i in range(N)] if 8 not in e]


def attend(torch, z, a):
    """z (vertex, head, d), a (head, d, 2): dense matrices with minus infinity where there is no edge."""
    ask, offer = (z * a[..., 0]).sum(2), (z * a[..., 1]).sum(2)
    e = torch.nn.functional.leaky_relu(ask[:, None] + offer[None], 0.2)
    mask = torch.full((N, N, 1), float("-inf"), dtype=torch.float64)
    mask[tuple(torch.tensor(NEAR + [(8, 8)]).T)] = 0
    return torch.einsum("ijh,jhd->ihd", torch.softmax(e + mask, 1), z)


def loss(torch, p):
    x = torch.zeros(N, 1433, dtype=torch.float64)
    x[tuple(torch.tensor(FEATURES).T)] = 1
    x = x / x.sum(1, keepdim=True).clamp(min=1)
    z = (x @ p["w1"].reshape(1433, -1)).reshape(N, HEADS, SIZE)
    h = torch.nn.functional.elu(attend(torch, z, p["a1"]) + p["b1"])
    z = h.reshape(N, -1) @ p["w2"].reshape(-1, 7)
    out = attend(torch, z[:, None], p["a2"][None])[:, 0] + p["b2"]
    rows = [i for i, part in SPLIT if part == "train" and i != 8]
    return torch.nn.functional.cross_entropy(out[rows], torch.tensor([dict(LABELS)[i] for i in rows]))


RUNS = [("own", {"--optimizer": "adam(weight_decay=5e-4)", "--lr": "0.005"}, 4)]


def spec():
    return Spec("models/gat.sql", "loss", gcn.tables(EDGES, FEATURES, LABELS, SPLIT), PARAMS, loss, RUNS,
                sets={"heads": HEADS, "size": SIZE})


if __name__ == "__main__":
    oracle.main("gat", "models/gat.sql on a graph of twelve vertices, see gat.py")
