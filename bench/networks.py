# SPDX-License-Identifier: Apache-2.0
"""PyTorch networks for bench/gallery where those of test/oracle are written to be read, not to be fast: dense matrices for graphs,
a sequence at a time for texts.  A function takes the oracle's module and returns its loss, of the same numbers.

Graphs have sparse matrices whose transposes are kept, which is PyTorch's fastest way here (bench/peer.py tries them); texts go
letter by letter, all sequences at once."""
import torch
import torch.nn.functional as F

import gcn
import peer


# ---- graphs ----

class Papers:
    """The citation network of gcn.py."""

    def __init__(self, linked):
        """linked: pairs (vertex, neighbour)."""
        self.n = gcn.N
        self.rows, self.cols = torch.tensor(linked).T
        node, word = torch.tensor(gcn.FEATURES).T
        self.node, self.word = node, word
        self.share = 1 / torch.bincount(node, minlength=self.n).float()[node]
        self.there = torch.zeros(self.n, dtype=torch.bool).index_fill_(0, node, True)
        label = dict(gcn.LABELS)
        self.training = torch.tensor([i for i, part in gcn.SPLIT if part == "train" and self.there[i]])
        self.targets = torch.tensor([label[i] for i in self.training.tolist()])

    def words(self, values):
        return peer.products("csr", self.node, self.word, values, (self.n, 1433))

    def near(self, values):
        return peer.products("csr", self.rows, self.cols, values, (self.n, self.n))

    def loss(self, out):
        return F.cross_entropy(out[self.training], self.targets)


def with_own():
    return sorted({*gcn.EDGES, *((i, i) for i in range(gcn.N))})


def symmetric(g):
    degree = torch.bincount(g.rows, minlength=g.n).float()
    return 1 / (degree[g.rows] * degree[g.cols]).sqrt()


def dropped(g, m, step):
    """The product with the words that are kept, and the mask of the units."""
    words = m.NOISE["kept_words"].tensor(torch, step, -1).float()
    return g.words(g.share * words / m.KEEP), m.NOISE["kept_units"].tensor(torch, step, g.n, m.HIDDEN).float() / m.KEEP


def kipf(m):
    g = Papers(with_own())
    a, (x, units) = g.near(symmetric(g)), dropped(g, m, 0)
    return lambda p, step: g.loss(a(torch.relu(a(x(p["gc1_w"]))) * units @ p["gc2_w"]))


def appnp(m):
    g = Papers(with_own())
    a, (x, units) = g.near(symmetric(g)), dropped(g, m, 0)

    def loss(p, step):
        said = torch.relu(x(p["w1"])) * units @ p["w2"]
        z = said
        for _ in range(m.STEPS):
            z = (1 - m.RESTART) * a(z) + m.RESTART * said
        return g.loss(z)
    return loss


def sage(m):
    g = Papers(sorted(gcn.EDGES))
    x = g.words(g.share)

    def drawn(layer):
        found, lots = [], {}
        for row in m.LOT.rows(0):
            lots.setdefault(row[0], []).append((row[1 + layer], row[1]))
        for i, lot in lots.items():
            near = [j for _, j in sorted(lot)[:m.MOST] if g.there[j]]
            found += [(i, j, 1 / len(near)) for j in near]
        rows, cols, values = zip(*found)
        return peer.products("csr", torch.tensor(rows), torch.tensor(cols), torch.tensor(values), (g.n, g.n))

    mean1, mean2 = drawn(1), drawn(2)

    def loss(p, step):
        h = torch.relu(x(p["own1"]) + mean1(x(p["near1"])))
        return g.loss(h @ p["own2"] + mean2(h @ p["near2"]))
    return loss


def softmax_by_row(g, e):
    """Of numbers by edge, over the edges of a row; columns are heads."""
    index = g.rows[:, None].expand_as(e)
    top = torch.full((g.n, e.shape[1]), float("-inf")).scatter_reduce(0, index, e.detach(), "amax")
    e = torch.exp(e - top[g.rows])
    return e / torch.zeros(g.n, e.shape[1]).index_add(0, g.rows, e)[g.rows]


def gat(m):
    g = Papers([(i, j) for i, j in gcn.EDGES + [(i, i) for i in range(gcn.N)]])
    x = g.words(g.share)

    def attend(z, a):
        ask, offer = (z * a[..., 0]).sum(2), (z * a[..., 1]).sum(2)
        p = softmax_by_row(g, F.leaky_relu(ask[g.rows] + offer[g.cols], 0.2))
        return torch.zeros_like(z).index_add(0, g.rows, p[:, :, None] * z[g.cols])

    def loss(p):
        h = F.elu(attend(x(p["w1"].reshape(1433, -1)).reshape(g.n, m.HEADS, m.SIZE), p["a1"]) + p["b1"])
        z = h.reshape(g.n, -1) @ p["w2"].reshape(-1, 7)
        return g.loss(attend(z[:, None], p["a2"][None])[:, 0] + p["b2"])
    return loss


def edges(m):
    g = Papers(sorted(gcn.EDGES))
    x = g.words(g.share)

    def loss(p):
        edge = softmax_by_row(g, p["score"][:, None])

        def near(h):
            return torch.zeros_like(h).index_add(0, g.rows, edge * h[g.cols])
        return g.loss(near(torch.relu(near(x(p["w1"])) + p["b1"]) @ p["w2"]) + p["b2"])
    return loss


# ---- texts: sequences of one length ----

def letters(step, states, cut=None):
    """The mean loss of a network given as one step, (p, numbers of the letters, states) -> states."""
    import char
    count = len(char.SEQ) // (char.STEPS + 1)
    codes = torch.tensor([c for _, _, c in char.SEQ]).reshape(count, -1).T.contiguous()

    def loss(p):
        s, out = [torch.zeros(count, char.HIDDEN) for _ in range(states)], []
        for t, x in enumerate(F.embedding(codes[:-1], p["wx"].flatten(1)).unbind()):
            if cut and t and t % cut == 0:
                s = [v.detach() for v in s]
            s = step(p, x, s)
            out.append(s[0])
        return F.cross_entropy((torch.stack(out) @ p["wo"] + p["bo"]).flatten(0, 1), codes[1:].flatten())
    return loss


def char_rnn(m):
    return letters(lambda p, x, s: [torch.tanh(torch.addmm(x, s[0], p["wh"]))], 1)


def char_lstm(m):
    def step(p, x, s):
        i, f, g, o = torch.addmm(x, s[0], p["wh"].flatten(1)).chunk(4, 1)
        c = torch.sigmoid(f) * s[1] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(c), c]

    import char
    return letters(step, 2, char.STEPS // 2)


def char_gru(m):
    def step(p, x, s):
        hr, hz, hn = (s[0] @ p["wh"].flatten(1)).chunk(3, 1)
        xr, xz, xn = x.chunk(3, 1)
        z = torch.sigmoid(xz + hz)
        return [z * s[0] + (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * (hn + p["bh"]))]
    return letters(step, 1)


def gpt_text(m):
    import gpt
    code = torch.tensor([c for _, _, c in m.PASSAGES]).reshape(-1, m.LENGTH + 1)

    def loss(p):
        x = p["wte"][code[:, :-1]] + p["wpe"]
        for k in range(m.LAYERS):
            x = gpt.layer(torch, p, x, k)
        x = F.layer_norm(x, (m.WIDTH,), p["end_gain"], p["end_bias"])
        return F.cross_entropy((x @ p["wte"].T).flatten(0, 1), code[:, 1:].flatten())
    return loss


# ---- ratings ----

def fm(m):
    """A sum over pairs as the square of the sum."""
    of_rating = {}
    for n, word in m.FEATURES:
        of_rating.setdefault(n, []).append(m.WORDS.index(word))
    seen = [r for r in m.RATINGS if r[5] == "train"]
    words, stars = torch.tensor([of_rating[r[0]] for r in seen]), torch.tensor([r[4] for r in seen])

    def loss(p):
        v = p["factor"][words]
        pairs = (v.sum(1).square() - v.square().sum(1)).sum(1) / 2
        miss = stars - p["level"].reshape(()) - p["weight"][words].sum(1) - pairs
        return miss.square().mean() + 0.0003 * p["factor"].square().sum()
    return loss


# name: (the network, is it traced?)
NETWORKS = {"kipf": (kipf, False), "appnp": (appnp, False), "sage": (sage, False), "gat": (gat, False), "edges": (edges, False),
            "char_rnn": (char_rnn, True), "char_lstm": (char_lstm, True), "char_gru": (char_gru, True),
            "gpt_text": (gpt_text, True), "fm": (fm, True)}
