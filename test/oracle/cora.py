# SPDX-License-Identifier: Apache-2.0
"""References for models/gcn.sql on Cora: edges.csv, features.csv, labels.csv, split.csv in $SHARED/cora."""
import csv
import os

import gcn
import oracle
from oracle import Spec


def read(name):
    with open(os.path.join(os.environ["SHARED"], "cora", name + ".csv"), newline="") as f:
        rows = csv.reader(f)
        next(rows)
        return [tuple(int(v) if v.isdigit() else v for v in row) for row in rows]


def spec():
    if not os.path.exists(os.path.join(os.environ.get("SHARED", ""), "cora", "edges.csv")):
        return None
    edges, features, labels, split = (read(n) for n in ("edges", "features", "labels", "split"))

    def loss(torch, p):
        return gcn.network(torch, p, len(labels), edges, features, labels, split)

    return Spec("models/gcn.sql", "x_ent_loss", gcn.tables(edges, features, labels, split), gcn.params(16), loss,
                gcn.RUNS)


if __name__ == "__main__":
    oracle.main("cora", "models/gcn.sql on Cora, see cora.py")
