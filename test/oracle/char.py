# SPDX-License-Identifier: Apache-2.0
"""What the references of models/char_*.sql share: seven sequences of five letters, two of them shorter than the others,
and the loss of a network that is given as one step, (letters, state) -> (output, state)."""
from oracle import Param, wave

LETTERS, HIDDEN, STEPS = 5, 4, 6


def letter(n, t):
    return (n * n * 3 + n * t * 2 + t * t * 7 + n) % LETTERS


SEQ = [(n, t, letter(n, t)) for n in range(7) for t in range(STEPS + 1 - (n in (2, 5)) * n // 2)]
DATA = {"seq": ("n INTEGER, t INTEGER, code INTEGER", SEQ),
        "alphabet": ("code INTEGER, ch TEXT", [(c, chr(97 + c)) for c in range(LETTERS)]),
        "unit": ("j INTEGER", [(j,) for j in range(HIDDEN)])}


def param(scale, phase, value, **keys):
    return Param([(k, 0, n - 1) for k, n in keys.items()], value, lambda i: scale * wave(i, phase))


OUT = {"wo": param(0.9, 0.3, "w", j=HIDDEN, code=LETTERS), "bo": param(0.2, 0.4, "b", code=LETTERS)}


def loss(torch, p, step, state, cut=None):
    """The mean cross-entropy of the next letter; `cut`: where the state is cut off from its past."""
    losses = []
    for n in range(7):
        codes = [c for m, _, c in SEQ if m == n]
        h = [torch.zeros(HIDDEN, dtype=torch.float64) for _ in range(state)]
        for t, (now, then) in enumerate(zip(codes, codes[1:])):
            if cut and t % cut == 0:
                h = [x.detach() for x in h]
            h = step(torch, p, now, h)
            losses.append(torch.logsumexp(h[0] @ p["wo"] + p["bo"], 0) - (h[0] @ p["wo"] + p["bo"])[then])
    return torch.stack(losses).mean()


RUNS = [("own", {"--optimizer": "adam", "--lr": "2e-3"}, 4), ("sgd", {"--optimizer": "sgd(momentum=0.9)", "--lr": "0.5"}, 4)]
