# SPDX-License-Identifier: Apache-2.0
"""References for models/gpt.sql: seven sequences, two heads of four numbers, against torch's own layer_norm, gelu and
softmax.  The bias of the keys has no gradient, since a softmax does not see it."""
import oracle
from oracle import Param, Spec, wave

LAYERS, WIDTH, HEADS, LENGTH, TOKENS, ANSWER = 3, 8, 2, 11, 3, 6
D = WIDTH // HEADS


def digits(seq):
    first = [(seq * seq * 5 + seq * t * 7 + t * t * 3) % TOKENS for t in range(6)]
    return first + sorted(first)


SEQUENCES = [(seq, t, token) for seq in range(7) for t, token in enumerate(digits(seq))]


def param(scale, phase, base, **keys):
    value = keys.pop("value", "w")
    return Param([(k, 0, n - 1) for k, n in keys.items()], value, lambda i: base + scale * wave(i, phase))


def params(layers, length, tokens):
    return {
        "wte": param(0.9, 0.1, 0, token=tokens, j=WIDTH),
        "wpe": param(0.8, 0.2, 0, t=length, j=WIDTH),
        "norm_gain": param(0.3, 0.3, 1, layer=layers, part=2, j=WIDTH, value="gain"),
        "norm_bias": param(0.3, 0.4, 0, layer=layers, part=2, j=WIDTH, value="bias"),
        "qkv_w": param(0.6, 0.5, 0, layer=layers, part=3, head=HEADS, d=D, j=WIDTH),
        "qkv_b": param(0.2, 0.6, 0, layer=layers, part=3, head=HEADS, d=D, value="b"),
        "proj_w": param(0.5, 0.7, 0, layer=layers, j=WIDTH, head=HEADS, d=D),
        "proj_b": param(0.2, 0.8, 0, layer=layers, j=WIDTH, value="b"),
        "up_w": param(0.5, 0.9, 0, layer=layers, i=4 * WIDTH, j=WIDTH),
        "up_b": param(0.2, 1.0, 0, layer=layers, i=4 * WIDTH, value="b"),
        "down_w": param(0.4, 1.1, 0, layer=layers, j=WIDTH, i=4 * WIDTH),
        "down_b": param(0.2, 1.2, 0, layer=layers, j=WIDTH, value="b"),
        "end_gain": param(0.3, 1.3, 1, j=WIDTH, value="gain"),
        "end_bias": param(0.3, 1.4, 0, j=WIDTH, value="bias"),
        "head_w": param(0.7, 1.5, 0, token=tokens, j=WIDTH)}


PARAMS = params(LAYERS, LENGTH, TOKENS)
NO_DECAY = [name for name in PARAMS if not name.endswith("_w")]


def layer(torch, p, x, k):
    f = torch.nn.functional
    n, t, _ = x.shape
    h = f.layer_norm(x, (WIDTH,), p["norm_gain"][k, 0], p["norm_bias"][k, 0])
    qkv = f.linear(h, p["qkv_w"][k].reshape(3 * WIDTH, WIDTH), p["qkv_b"][k].reshape(-1))
    q, key, v = qkv.reshape(n, t, 3, HEADS, D).permute(2, 0, 3, 1, 4)
    score = q @ key.transpose(-2, -1) / D ** 0.5
    score = score.masked_fill(torch.triu(torch.ones(t, t, dtype=torch.bool), 1), float("-inf"))
    mix = (torch.softmax(score, -1) @ v).transpose(1, 2).reshape(n, t, WIDTH)
    x = x + f.linear(mix, p["proj_w"][k].reshape(WIDTH, WIDTH), p["proj_b"][k])
    h = f.layer_norm(x, (WIDTH,), p["norm_gain"][k, 1], p["norm_bias"][k, 1])
    h = f.gelu(f.linear(h, p["up_w"][k], p["up_b"][k]), approximate="tanh")
    return x + f.linear(h, p["down_w"][k], p["down_b"][k])


def loss(torch, p):
    token = torch.tensor([s[2] for s in SEQUENCES]).reshape(-1, LENGTH + 1)
    x = p["wte"][token[:, :LENGTH]] + p["wpe"]
    for k in range(LAYERS):
        x = layer(torch, p, x, k)
    x = torch.nn.functional.layer_norm(x, (WIDTH,), p["end_gain"], p["end_bias"])
    logits = (x @ p["head_w"].T)[:, ANSWER - 1:]
    return torch.nn.functional.cross_entropy(logits.reshape(-1, TOKENS), token[:, ANSWER:].reshape(-1))


ADAMW = {"--optimizer": "adamw(beta1=0.9, beta2=0.95, weight_decay=0.1)", "--lr": "5e-4"}
RUNS = [("own", {**ADAMW, "--lr": "5e-4 * (1 - step/steps)"}, 3), ("clip", {**ADAMW, "--clip": "0.5", "--lr": "0.01"}, 3)]


def spec():
    return Spec("models/gpt.sql", "loss", {"sequences": ("seq INTEGER, t INTEGER, token INTEGER", SEQUENCES)}, PARAMS,
                loss, RUNS, sets={"width": WIDTH, "heads": HEADS}, no_decay=NO_DECAY, again=1e-10)


if __name__ == "__main__":
    oracle.main("gpt", "models/gpt.sql on seven sequences, see gpt.py")
