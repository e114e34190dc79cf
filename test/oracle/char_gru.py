# SPDX-License-Identifier: Apache-2.0
"""References for models/char_gru.sql: torch's GRUCell, see char.py."""
import char
import oracle
from char import HIDDEN, LETTERS, param
from oracle import Spec

PARAMS = {"wx": param(0.8, 0.1, "w", code=LETTERS, g=3, j=HIDDEN),
          "wh": param(0.7, 0.2, "w", i=HIDDEN, g=3, j=HIDDEN), "bh": param(0.3, 0.5, "b", j=HIDDEN), **char.OUT}


def step(torch, p, code, state):
    cell = torch.nn.GRUCell(LETTERS, HIDDEN).double()
    none = torch.zeros(2 * HIDDEN).double()
    weight = {"weight_ih": p["wx"].reshape(LETTERS, -1).T, "weight_hh": p["wh"].reshape(HIDDEN, -1).T,
              "bias_ih": torch.cat([none, torch.zeros(HIDDEN)]), "bias_hh": torch.cat([none, p["bh"]])}
    x = torch.nn.functional.one_hot(torch.tensor([code]), LETTERS).double()
    return [torch.nn.utils.stateless.functional_call(cell, weight, (x, state[0][None]))[0]]


RUNS = [("own", {"--optimizer": "adam", "--lr": "3e-3"}, 4), char.RUNS[1]]


def spec():
    return Spec("models/char_gru.sql", "loss", {**char.DATA, "gates": ("g INTEGER", [(g,) for g in range(3)])}, PARAMS,
                lambda torch, p: char.loss(torch, p, step, 1), RUNS,
                sets={"hidden": HIDDEN, "steps": char.STEPS})


if __name__ == "__main__":
    oracle.main("char_gru", "models/char_gru.sql on seven sequences, see char_gru.py")
