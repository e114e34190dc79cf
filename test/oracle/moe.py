# SPDX-License-Identifier: Apache-2.0
"""References for models/moe.sql: seven pictures, four experts of three numbers."""
import oracle
import pictures
from oracle import Param, Spec, scaled

N, EXPERTS, WIDTH = 7, 4, 3
EXPERT, J, LABEL, I = ("expert", 0, EXPERTS - 1), ("j", 0, WIDTH - 1), ("label", 0, 9), ("i", 0, 48)
PARAMS = {"gate_w": Param([EXPERT, I], "w", scaled(0.8, 0.1)),
          "w1": Param([EXPERT, J, I], "w", scaled(0.5, 0.2)), "b1": Param([EXPERT, J], "b", scaled(0.2, 0.3)),
          "w2": Param([EXPERT, LABEL, J], "w", scaled(0.6, 0.4)), "b2": Param([EXPERT, LABEL], "b", scaled(0.2, 0.5))}


def loss(torch, p):
    x = torch.nn.functional.avg_pool2d(pictures.tensor(torch, N), 4).reshape(N, -1)
    belief = torch.softmax(x @ p["gate_w"].T, 1)
    chosen = torch.zeros(N, EXPERTS, dtype=torch.float64).scatter(1, belief.topk(2, 1).indices, 1.0)
    trust = belief * chosen / (belief * chosen).sum(1, keepdim=True)
    hidden = torch.relu(torch.einsum("ni,eji->nej", x, p["w1"]) + p["b1"])
    said = torch.einsum("nej,elj->nel", hidden, p["w2"]) + p["b2"]
    logits = (trust[:, :, None] * said).sum(1)
    asked = chosen.sum(0)
    met = asked > 0
    balance = EXPERTS * (asked * belief.mean(0))[met].sum() / asked.sum()
    return torch.nn.functional.cross_entropy(logits, pictures.classes(torch, N)) + 0.01 * balance


RUNS = [("own", {"--optimizer": "adam", "--lr": "3e-3 * (1 - step/steps)"}, 3)]


def spec():
    return Spec("models/moe.sql", "loss", pictures.tables(N), PARAMS, loss, RUNS,
                sets={"experts": EXPERTS, "width": WIDTH})


if __name__ == "__main__":
    oracle.main("moe", "models/moe.sql on seven pictures, see moe.py")
