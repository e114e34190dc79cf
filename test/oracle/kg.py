# SPDX-License-Identifier: Apache-2.0
"""References for models/kg.sql; the births are read from the model itself, what follows from them is found here anew."""
import os
import re

import oracle
from oracle import TOP, Param, Spec, scaled

SIZE = 4


def births():
    with open(os.path.join(TOP, "models/kg.sql"), encoding="utf-8") as f:
        text = f.read().split("b(child, mother, father)")[1].split("SELECT")[0]
    return re.findall(r"\('(\w+)', '(\w+)', '(\w+)'\)", text)


def facts():
    parents = {c: (m, f) for c, m, f in births()}
    said = set()
    for c, (m, f) in parents.items():
        said |= {(c, "mother", m), (c, "father", f), (m, "spouse", f), (f, "spouse", m)}
        said |= {(c, "sibling", d) for d, other in parents.items() if other == (m, f) and d != c}
        said |= {(c, "grandparent", g) for p in (m, f) for g in parents.get(p, ())}
    return sorted(said)


def told():
    """All but every fifth sibling and grandparent."""
    out = []
    for relation in ("father", "grandparent", "mother", "sibling", "spouse"):
        of_it = sorted(f for f in facts() if f[1] == relation)
        out += [f for n, f in enumerate(of_it, 1) if n % 5 or relation not in ("sibling", "grandparent")]
    return out


NAMES = sorted({n for b in births() for n in b})
RELATIONS = ["father", "grandparent", "mother", "sibling", "spouse"]
PARAMS = {t + "_" + what: Param([(what, names), ("k", 1, SIZE)], "w", scaled(0.7, phase))
          for t, phase in (("trans", 0.1), ("mult", 0.5)) for what, names in (("name", NAMES), ("relation", RELATIONS))}


def loss(torch, p):
    ask = told()
    head, tail = (torch.tensor([NAMES.index(f[c]) for f in ask]) for c in (0, 2))
    relation = torch.tensor([RELATIONS.index(f[1]) for f in ask])
    step = (p["trans_name"][head] + p["trans_relation"][relation])[:, None] - p["trans_name"]
    product = (p["mult_name"][head] * p["mult_relation"][relation]) @ p["mult_name"].T
    cross = torch.nn.functional.cross_entropy
    return (cross(-step.square().sum(2), tail) + cross(product, tail) +
            0.001 * (p["mult_name"].square().sum() + p["mult_relation"].square().sum()))


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.03"}, 4)]


def spec():
    return Spec("models/kg.sql", "loss", {"places": ("k INTEGER", [(k,) for k in range(1, SIZE + 1)])}, PARAMS, loss, RUNS,
                sets={"size": SIZE})


if __name__ == "__main__":
    oracle.main("kg", "models/kg.sql, see kg.py")
