# SPDX-License-Identifier: Apache-2.0
"""References for models/appnp.sql on the graph of gcn.py: what it says spreads in ten steps."""
import gcn
import oracle
from noise import Noise, bernoulli
from oracle import Param, Spec, scaled

HIDDEN, KEEP, STEPS, RESTART = 4, 0.5, 10, 0.1

NOISE = {
    "kept_words": Noise("kept_words", {"node": "INTEGER", "word": "INTEGER"}, {"val": bernoulli(KEEP)}, gcn.FEATURES),
    "kept_units": Noise("kept_units", {"node": "INTEGER", "unit": "INTEGER"}, {"val": bernoulli(KEEP)},
                        [(node, unit) for node in range(gcn.N) for unit in range(HIDDEN)]),
}


def params():
    return {"w1": Param([("word", 0, 1432), ("unit", 0, HIDDEN - 1)], "weight", scaled(0.8, 0.1)),
            "w2": Param([("unit", 0, HIDDEN - 1), ("label", 0, 6)], "weight", scaled(0.7, 0.3))}


def loss(torch, p, step):
    n = gcn.N
    a, x = torch.eye(n, dtype=torch.float64), torch.zeros(n, 1433, dtype=torch.float64)
    a[tuple(torch.tensor(gcn.EDGES).T)] = 1
    x[tuple(torch.tensor(gcn.FEATURES).T)] = 1
    degree = a.sum(1)
    a = a / torch.sqrt(degree[:, None] * degree[None, :])
    mask = torch.zeros_like(x)
    mask[tuple(torch.tensor(gcn.FEATURES).T)] = NOISE["kept_words"].tensor(torch, step, -1)
    x = x / x.sum(1, keepdim=True).clamp(min=1) * mask / KEEP
    h = torch.relu(x @ p["w1"]) * NOISE["kept_units"].tensor(torch, step, n, HIDDEN) / KEEP
    said = h @ p["w2"]
    z = said
    for _ in range(STEPS):
        z = (1 - RESTART) * (a @ z) + RESTART * said
    rows = [i for i, part in gcn.SPLIT if part == "train"]
    return torch.nn.functional.cross_entropy(z[rows], torch.tensor([dict(gcn.LABELS)[i] for i in rows]))


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.01", "--weight-decay": "5e-3"}, 5)]


def spec():
    data = gcn.tables(gcn.EDGES, gcn.FEATURES, gcn.LABELS, gcn.SPLIT)
    return Spec("models/appnp.sql", "x_ent_loss", data, params(), loss, RUNS, sets={"hidden": HIDDEN, "steps": STEPS}, noise=NOISE,
                no_decay=["w2"])


if __name__ == "__main__":
    oracle.main("appnp", "models/appnp.sql on a graph of twelve vertices, see appnp.py")
