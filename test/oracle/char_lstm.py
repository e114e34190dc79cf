# SPDX-License-Identifier: Apache-2.0
"""References for models/char_lstm.sql: torch's LSTMCell, the gradient cut off after three letters, see char.py."""
import char
import oracle
from char import HIDDEN, LETTERS, param
from oracle import Spec

PARAMS = {"wx": param(0.8, 0.1, "w", code=LETTERS, g=4, j=HIDDEN),
          "wh": param(0.7, 0.2, "w", i=HIDDEN, g=4, j=HIDDEN), **char.OUT}


def step(torch, p, code, state):
    cell = torch.nn.LSTMCell(LETTERS, HIDDEN).double()
    weight = {"weight_ih": p["wx"].reshape(LETTERS, -1).T, "weight_hh": p["wh"].reshape(HIDDEN, -1).T,
              "bias_ih": torch.zeros(4 * HIDDEN).double(), "bias_hh": torch.zeros(4 * HIDDEN).double()}
    x = torch.nn.functional.one_hot(torch.tensor([code]), LETTERS).double()
    h, c = torch.nn.utils.stateless.functional_call(cell, weight, (x, (state[0][None], state[1][None])))
    return [h[0], c[0]]


RUNS = [("own", {"--optimizer": "adam", "--lr": "3e-3"}, 4), char.RUNS[1]]


def spec():
    return Spec("models/char_lstm.sql", "loss", {**char.DATA, "gates": ("g INTEGER", [(g,) for g in range(4)])}, PARAMS,
                lambda torch, p: char.loss(torch, p, step, 2, char.STEPS // 2), RUNS,
                sets={"hidden": HIDDEN, "parts": 2, "steps": char.STEPS // 2})


if __name__ == "__main__":
    oracle.main("char_lstm", "models/char_lstm.sql on seven sequences, see char_lstm.py")
