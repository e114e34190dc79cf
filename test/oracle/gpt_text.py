# SPDX-License-Identifier: Apache-2.0
"""References for models/gpt_text.sql: five passages, one of them shorter, through the layers of gpt.py."""
import gpt
import oracle
from gpt import WIDTH
from oracle import Spec

LETTERS, LENGTH, LAYERS = 6, 9, 2


def letter(seq, t):
    return (seq * seq * 3 + seq * t * 2 + t * t * 7 + seq) % LETTERS


PASSAGES = [(seq, t, letter(seq, t)) for seq in range(5) for t in range(LENGTH + 1 - 3 * (seq == 3))]
DATA = {"passages": ("seq INTEGER, t INTEGER, code INTEGER", PASSAGES),
        "alphabet": ("code INTEGER, ch TEXT", [(c, chr(97 + c)) for c in range(LETTERS)]),
        "unit": ("j INTEGER", [(j,) for j in range(WIDTH)])}
PARAMS = gpt.params(LAYERS, LENGTH, LETTERS)
del PARAMS["head_w"]               # the exit reads wte
NO_DECAY = [name for name in PARAMS if not name.endswith("_w")]


def loss(torch, p):
    f, losses = torch.nn.functional, []
    for seq in range(5):
        code = torch.tensor([c for n, _, c in PASSAGES if n == seq])
        read = code[:LENGTH]
        x = (p["wte"][read] + p["wpe"][:len(read)])[None]
        for k in range(LAYERS):
            x = gpt.layer(torch, p, x, k)
        x = f.layer_norm(x, (WIDTH,), p["end_gain"], p["end_bias"])[0]
        losses.append(f.cross_entropy((x @ p["wte"].T)[:len(code) - 1], code[1:], reduction="none"))
    return torch.cat(losses).mean()


RUNS = [("own", {"--optimizer": "adamw(beta2=0.95, weight_decay=0.1)",
                 "--lr": "2e-3 * min(1, (step + 1) / 50) * (1 - 0.9 * step/steps)"}, 4),
        ("clip", {"--optimizer": "adamw(beta2=0.95, weight_decay=0.1)", "--lr": "0.01", "--clip": "0.5"}, 4)]


def spec():
    return Spec("models/gpt_text.sql", "loss", DATA, PARAMS, loss, RUNS,
                sets={"width": WIDTH, "heads": gpt.HEADS, "layers": LAYERS, "length": LENGTH}, no_decay=NO_DECAY, again=1e-10)


if __name__ == "__main__":
    oracle.main("gpt_text", "models/gpt_text.sql on five passages, see gpt_text.py")
