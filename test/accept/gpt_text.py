# SPDX-License-Identifier: Apache-2.0
"""models/gpt_text.sql on a licence that every Debian has: the loss on passages it has not seen is at most 2 % above that of
the same network trained by PyTorch on the same passages, from first weights of the same distribution; and of the words that
gpt_write.sql writes at least 60 % stand in the text."""
import os
import re
import sqlite3
import sys
import tempfile

import accept

TEXT, LAYERS, WIDTH, HEADS, LENGTH, BATCH = "/usr/share/common-licenses/GPL-3", 3, 64, 4, 64, 16
WORDS, WORSE = 0.60, 1.02


def make_data(args, path):
    accept.sqlgrad(args, "import", "text", TEXT, "--db", path, "--table", "text", "--labels", "alphabet", "--quiet")
    db = sqlite3.connect(path)
    with open(os.path.join(accept.TOP, "models/data/passages.sql"), encoding="utf-8") as f:
        db.executescript(f.read())
    db.close()


def codes(torch, path, table):
    db = sqlite3.connect(path)
    rows = [c for c, in db.execute(f"SELECT code FROM {table} ORDER BY seq, t")]
    db.close()
    return torch.tensor(rows).reshape(-1, LENGTH + 1)


class Gpt:
    """The same network in PyTorch."""

    def __init__(self, torch, letters):
        self.f, self.letters, draw = torch.nn.functional, letters, torch.nn.init.normal_
        self.mask = torch.triu(torch.ones(LENGTH, LENGTH, dtype=torch.bool), 1)
        self.p = {"wte": draw(torch.empty(letters, WIDTH), 0, 0.02), "wpe": draw(torch.empty(LENGTH, WIDTH), 0, 0.02),
                  "end_gain": torch.ones(WIDTH), "end_bias": torch.zeros(WIDTH)}
        for k in range(LAYERS):
            for name, out, into, sd in (("qkv", 3 * WIDTH, WIDTH, 0.02), ("proj", WIDTH, WIDTH, 0.0082),
                                        ("up", 4 * WIDTH, WIDTH, 0.02), ("down", WIDTH, 4 * WIDTH, 0.0082)):
                self.p[f"{name}_w{k}"] = draw(torch.empty(out, into), 0, sd)
                self.p[f"{name}_b{k}"] = torch.zeros(out)
            for part in (0, 1):
                self.p[f"gain{k}{part}"], self.p[f"bias{k}{part}"] = torch.ones(WIDTH), torch.zeros(WIDTH)
        for w in self.p.values():
            w.requires_grad_()

    def layer(self, x, k):
        f, p, (n, t, _) = self.f, self.p, x.shape

        def linear(name, y):
            return f.linear(y, p[f"{name}_w{k}"], p[f"{name}_b{k}"])

        h = f.layer_norm(x, (WIDTH,), p[f"gain{k}0"], p[f"bias{k}0"])
        q, key, v = linear("qkv", h).reshape(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        score = (q @ key.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5).masked_fill(self.mask, float("-inf"))
        x = x + linear("proj", (score.softmax(-1) @ v).transpose(1, 2).reshape(n, t, WIDTH))
        h = f.layer_norm(x, (WIDTH,), p[f"gain{k}1"], p[f"bias{k}1"])
        return x + linear("down", f.gelu(linear("up", h), approximate="tanh"))

    def loss(self, batch):
        x = self.p["wte"][batch[:, :-1]] + self.p["wpe"]
        for k in range(LAYERS):
            x = self.layer(x, k)
        logits = self.f.layer_norm(x, (WIDTH,), self.p["end_gain"], self.p["end_bias"]) @ self.p["wte"].T
        return self.f.cross_entropy(logits.reshape(-1, self.letters), batch[:, 1:].reshape(-1))


def torch_loss(path, epochs):
    """PyTorch's loss on val_passages."""
    import torch
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seq, val = codes(torch, path, "passages"), codes(torch, path, "val_passages")
    net = Gpt(torch, int(max(seq.max(), val.max())) + 1)
    decay = [w for name, w in net.p.items() if "_w" in name]
    still = [w for name, w in net.p.items() if "_w" not in name]
    adam = torch.optim.AdamW([{"params": decay}, {"params": still, "weight_decay": 0}], betas=(0.9, 0.95), weight_decay=0.1)
    batches = [rows for _ in range(epochs) for rows in torch.randperm(len(seq)).split(BATCH)]
    for step, rows in enumerate(batches):
        for group in adam.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (1 - 0.9 * step / len(batches))
        adam.zero_grad()
        net.loss(seq[rows]).backward()
        torch.nn.utils.clip_grad_norm_(decay + still, 1.0)
        adam.step()
    with torch.no_grad():
        return float(net.loss(val))


def words_known(args, path):
    """Of the words written, those that stand in the text; the last of each may be cut off."""
    lines = accept.sqlgrad(args, "run", accept.model("gpt_write.sql"), "--db", path, "--show", "sample", "--json", "--quiet")
    with open(TEXT, encoding="utf-8") as f:
        known = set(re.findall("[a-z]+", f.read().lower()))
    texts = {}
    for line in sorted(lines, key=lambda line: line["t"]):
        texts[line["seq"]] = texts.get(line["seq"], "") + line["ch"]
    written = [w for text in texts.values() for w in re.findall("[a-z]+", text.lower())[:-1]]
    return sum(w in known for w in written) / len(written), len(written)


def main():
    args = accept.arguments(__doc__, epochs=10)
    if not os.path.exists(TEXT):
        print(f"skipped: no {TEXT}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text.db")
        make_data(args, path)
        accept.sqlgrad(args, "train", accept.model("gpt_text.sql"), "--db", path, "--epochs", str(args.epochs), "--batch",
                       str(BATCH), "--clip", "1.0", "--json", "--quiet")
        found = accept.sqlgrad(args, "eval", accept.model("gpt_text.sql"), "--db", path, "--bind", "passages=val_passages", "--json",
                               "--quiet")
        share, n = words_known(args, path)
        ours, theirs = accept.metric(found, "loss"), torch_loss(path, args.epochs)
    print(f"gpt_text: loss {ours:.4f} on passages not seen, PyTorch {theirs:.4f}: {'yes' if ours <= WORSE * theirs else 'NO'}")
    if ours > WORSE * theirs:
        sys.exit(1)
    accept.verdict(f"gpt_text: of {n} words written, in the text", share, WORDS)


if __name__ == "__main__":
    main()
