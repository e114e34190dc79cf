# SPDX-License-Identifier: Apache-2.0
"""References for models/char_rnn.sql: seven sequences, see char.py."""
import char
import oracle
from char import HIDDEN, LETTERS, param
from oracle import Spec

PARAMS = {"wx": param(0.8, 0.1, "w", code=LETTERS, j=HIDDEN), "wh": param(0.7, 0.2, "w", i=HIDDEN, j=HIDDEN), **char.OUT}


def step(torch, p, code, state):
    return [torch.tanh(p["wx"][code] + state[0] @ p["wh"])]


def spec():
    return Spec("models/char_rnn.sql", "loss", char.DATA, PARAMS, lambda torch, p: char.loss(torch, p, step, 1), char.RUNS,
                sets={"hidden": HIDDEN, "steps": char.STEPS})


if __name__ == "__main__":
    oracle.main("char_rnn", "models/char_rnn.sql on seven sequences, see char.py")
