# SPDX-License-Identifier: Apache-2.0
"""models/char_rnn.sql on a licence that every Debian has: the loss on sequences it has not seen is at most 2 % above that
of the same network trained by PyTorch on the same sequences, from first weights of the same distribution; and of the
words it writes at least 60 % stand in the text."""
import os
import re
import sqlite3
import sys
import tempfile

import accept

TEXT, HIDDEN, BATCH, STEPS = "/usr/share/common-licenses/GPL-3", 128, 32, 50
WORDS, WORSE = 0.60, 1.02


def make_data(args, path):
    accept.sqlgrad(args, "import", "text", TEXT, "--db", path, "--table", "text", "--labels", "alphabet", "--quiet")
    db = sqlite3.connect(path)
    with open(os.path.join(accept.TOP, "models/data/sequences.sql"), encoding="utf-8") as f:
        db.executescript(f.read())
    db.close()


def codes(torch, path, table):
    db = sqlite3.connect(path)
    rows = [c for c, in db.execute(f"SELECT code FROM {table} ORDER BY n, t")]
    db.close()
    return torch.tensor(rows).reshape(-1, STEPS + 1)


def torch_loss(path, epochs):
    """The same network in PyTorch; its loss on val_seq."""
    import torch
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seq, val = codes(torch, path, "seq"), codes(torch, path, "val_seq")
    letters = int(max(seq.max(), val.max())) + 1
    p = [torch.empty(*shape).uniform_(-0.09, 0.09) for shape in ((letters, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, letters))]
    p = [x.requires_grad_() for x in (*p, torch.zeros(letters))]

    def loss(batch):
        wx, wh, wo, bo = p
        h, states = torch.zeros(len(batch), HIDDEN), []
        for t in range(STEPS):
            h = torch.tanh(wx[batch[:, t]] + h @ wh)
            states.append(h)
        logits = torch.stack(states, 1) @ wo + bo
        return torch.nn.functional.cross_entropy(logits.reshape(-1, letters), batch[:, 1:].reshape(-1))

    adam = torch.optim.Adam(p, lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(seq)).split(BATCH):
            adam.zero_grad()
            loss(seq[rows]).backward()
            adam.step()
    with torch.no_grad():
        return float(loss(val))


def words_known(args, path):
    """Of the words written, those that stand in the text; the last may be cut off."""
    lines = accept.sqlgrad(args, "run", accept.model("char_sample.sql"), "--db", path, "--show", "sample", "--json", "--quiet",
                           "--set", "length=1000")
    written = re.findall("[a-z]+", "".join(line["ch"] for line in lines).lower())[:-1]
    with open(TEXT, encoding="utf-8") as f:
        known = set(re.findall("[a-z]+", f.read().lower()))
    return sum(w in known for w in written) / len(written), len(written)


def main():
    args = accept.arguments(__doc__, epochs=60)
    if not os.path.exists(TEXT):
        print(f"skipped: no {TEXT}")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "text.db")
        make_data(args, path)
        accept.sqlgrad(args, "train", accept.model("char_rnn.sql"), "--db", path, "--epochs", str(args.epochs), "--batch",
                       str(BATCH), "--json", "--quiet")
        found = accept.sqlgrad(args, "eval", accept.model("char_rnn.sql"), "--db", path, "--bind", "seq=val_seq", "--json", "--quiet")
        ours, theirs = accept.metric(found, "loss"), torch_loss(path, args.epochs)
        share, n = words_known(args, path)
    print(f"char_rnn: loss {ours:.4f} on sequences not seen, PyTorch {theirs:.4f}: {'yes' if ours <= WORSE * theirs else 'NO'}")
    if ours > WORSE * theirs:
        sys.exit(1)
    accept.verdict(f"char_rnn: of {n} words written, in the text", share, WORDS)


if __name__ == "__main__":
    main()
