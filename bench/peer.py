#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The same work in PyTorch: peer.py TASK.json THREADS

TASK.json names a network of this file, the files of its data and first parameters, and the optimizer.  Commands come on
standard input, one a line, each answered by a line of JSON:

  trial SECONDS [NAMES]    time every configuration, or those of a JSON list, for about so long: {"name": seconds a step, …}
  use NAME                 start from the first parameters in this configuration
  go N                     N steps: {"seconds": […], "losses": […], "cpu": …, "rss_kib": …}
  accuracy                 share of test images that are right, with the parameters of now

A configuration is a mode (how the network is run) and an update (how the optimizer is run), `mode / update`.  Training
steps hold what they hold on the other side: gathering the batch, forward, backward, update, reading the loss.
"""
import contextlib
import json
import os
import resource
import sys
import time
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")


# ---- batches: the permutation that sqlgrad draws for an epoch ----

def philox(counter, key):
    """Philox4x32-10 on arrays: counter (4, n), key (k0, k1); the two 64-bit words of each."""
    c, mask = [x.astype(np.uint64) for x in counter], np.uint64(0xffffffff)
    k0, k1 = key
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), b & mask, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), a & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xffffffff, (k1 + 0xBB67AE85) & 0xffffffff
    return c[1] << np.uint64(32) | c[0]


def hash_u64(x):
    x ^= x >> 33
    x = x * 0xff51afd7ed558ccd & (1 << 64) - 1
    x ^= x >> 33
    x = x * 0xc4ceb9fe1a85ec53 & (1 << 64) - 1
    return x ^ x >> 33


def permutation(seed, epoch, n):
    """The order of n batch keys in an epoch, as src/train/random.c draws it."""
    stream = 0x65706f6368 ^ hash_u64(epoch + 1)
    i = np.arange(n, 1, -1, dtype=np.uint64)
    zero = np.zeros_like(i)
    words = philox([i, zero, zero + np.uint64(stream & 0xffffffff), zero + np.uint64(stream >> 32)], (seed, 0))
    perm = list(range(n))
    for at, j in zip(range(n - 1, 0, -1), (words % i).tolist()):    # a word past the last multiple of i: not in 2^40 draws
        perm[at], perm[j] = perm[j], perm[at]
    return torch.tensor(perm)


class Batches:
    def __init__(self, n, batch):
        self.n, self.batch, self.epoch = n, batch, -1

    def turn_to(self, step):
        """Draw the order of the epoch that `step` is in; outside the measured time."""
        per_epoch = -(-self.n // self.batch)
        if step // per_epoch != self.epoch:
            self.epoch = step // per_epoch
            self.order = permutation(0, self.epoch, self.n)
        self.first = step % per_epoch * self.batch

    def now(self):
        return self.order[self.first:self.first + self.batch]


# ---- networks of images ----

class LeNet(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        left = ((side - 4) // 2 - 4) // 2
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * left * left, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Mlp(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels * side * side, 512), nn.Linear(512, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


def image_modes(*jits):
    """Every way to run a network of convolutions: name -> (how it is compiled, channels_last or "", no mkldnn or "")."""
    return {", ".join(w for w in (jit, lay, dnn) if w): (jit, lay, dnn)
            for jit in jits for lay in ("", "channels_last") for dnn in ("", "no mkldnn")}


class Images:
    """Training steps on mini-batches of images in memory."""
    net, training, modes = LeNet, True, image_modes("eager", "traced", "scripted")

    def __init__(self, task):
        self.task = task
        self.images, self.labels = task.array("x"), task.array("y").long()
        self.batches = Batches(len(self.labels), task.batch)

    def build(self, mode):
        jit, self.lay, dnn = self.modes[mode]
        self.x = self.images
        self.eager = self.net(self.x.shape[1], self.x.shape[2]).train(self.training)
        self.params = list(self.eager.parameters())
        self.task.start(self.params)
        if self.lay:        # the images too stand in memory as the network wants them
            self.eager = self.eager.to(memory_format=torch.channels_last)
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.context = lambda: torch.backends.mkldnn.flags(enabled=not dnn)
        with self.context(), torch.set_grad_enabled(self.training):
            self.run = self.compiled(jit, self.eager)

    def compiled(self, jit, net):
        if jit in ("eager", "scripted"):
            return net if jit == "eager" else torch.jit.script(net)
        traced = torch.jit.trace(net, self.gather(torch.arange(min(self.task.batch, len(self.x)))))
        return {"traced": lambda: traced, "frozen": lambda: torch.jit.freeze(traced),
                "optimized": lambda: torch.jit.optimize_for_inference(traced)}[jit]()

    def gather(self, index):
        if self.lay:
            return self.x.permute(0, 2, 3, 1)[index].permute(0, 3, 1, 2)
        return self.x[index]

    def prepare(self, step):
        self.batches.turn_to(step)

    def loss(self):
        index = self.batches.now()
        return F.cross_entropy(self.run(self.gather(index)), self.labels[index])

    def accuracy(self):
        x, y = self.task.array("test_x"), self.task.array("test_y").long()
        with torch.inference_mode():
            return sum((self.eager(x[k:k + 500]).argmax(1) == y[k:k + 500]).sum().item()
                       for k in range(0, len(y), 500)) / len(y)


class MlpImages(Images):
    net, modes = Mlp, {jit: (jit, "", "") for jit in ("eager", "traced", "scripted")}


class Evaluation(Images):
    """Forward only, in inference mode: mean loss and accuracy of all images, a batch of neighbours at a time."""
    training, modes = False, image_modes("eager", "traced", "frozen", "optimized")

    def prepare(self, step):
        pass

    def evaluate(self):
        n, batch, loss, right = len(self.labels), self.task.batch, 0.0, 0
        with torch.inference_mode():
            for k in range(0, n, batch):
                out, y = self.run(self.x[k:k + batch]), self.labels[k:k + batch]
                loss += F.cross_entropy(out, y, reduction="sum").item()
                right += (out.argmax(1) == y).sum().item()
        self.right = right / n
        return loss / n


# ---- networks of graphs ----

def products(kind, rows, cols, values, shape):
    """x -> A x with a gradient, A given by its entries; `coo` leaves the gradient to PyTorch, the others hold A^T."""
    def matrix(r, c, s):
        m = torch.sparse_coo_tensor(torch.stack((r, c)), values, s).coalesce()
        return m if kind.startswith("coo") else m.to_sparse_csr()

    a = matrix(rows, cols, shape)
    if kind == "coo":
        return lambda x: torch.sparse.mm(a, x)
    at = matrix(cols, rows, shape[::-1])

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return a @ x

        @staticmethod
        def backward(ctx, g):
            return at @ g.contiguous()
    return Product.apply


class Graph:
    """Layers of A (X W) + b with relu between, full batch; the loss over some vertices."""
    modes = {m: m for m in ("coo", "coo, transpose kept", "csr, transpose kept")}
    context = contextlib.nullcontext

    def __init__(self, task):
        self.task = task
        self.edges, self.labels = task.array("edges").long(), task.array("labels").long()
        self.training = task.array("training").long()
        self.n = len(self.labels)
        self.targets = self.labels[self.training]

    def values(self):
        """Row-normalised, as the paper's: 1 / degree of the row."""
        src = self.edges[:, 0]
        return 1 / torch.bincount(src, minlength=self.n).float()[src]

    def first_product(self, kind):
        """x W of the first layer."""
        words = self.task.array("features").long()
        n_words = int(self.task.shape(0)[0])
        values = 1 / torch.bincount(words[:, 0], minlength=self.n).float()[words[:, 0]]
        if self.task.option == "dense":
            x = torch.zeros(self.n, n_words).index_put_((words[:, 0], words[:, 1]), values, accumulate=True)
            return lambda w: x @ w
        return products(kind, words[:, 0], words[:, 1], values, (self.n, n_words))

    def build(self, mode):
        kind = self.modes[mode]
        self.params = [torch.empty(tuple(self.task.shape(k)), requires_grad=True) for k in range(self.task.n_params)]
        self.task.start(self.params)
        self.adj = products(kind, self.edges[:, 0], self.edges[:, 1], self.values(), (self.n, self.n))
        self.first = self.first_product(kind)

    def prepare(self, step):
        pass

    def loss(self):
        p = self.params
        h = self.adj(self.first(p[0])) + p[1]
        for k in range(2, len(p), 2):
            h = self.adj(F.relu(h) @ p[k]) + p[k + 1]
        return F.cross_entropy(h[self.training], self.targets)


class LargeGraph(Graph):
    """Dense features; normalised by the degrees of both ends."""

    def values(self):
        src, dst = self.edges[:, 0], self.edges[:, 1]
        degree = torch.bincount(src, minlength=self.n).float()
        return 1 / (degree[src] * degree[dst]).sqrt()

    def first_product(self, kind):
        x = self.task.array("features")
        return lambda w: x @ w


# ---- networks of text ----

class Text:
    """Sequences of letters; each says which comes next.  A mode is how the network is run and one more choice."""
    context, choices = contextlib.nullcontext, ("",)

    def __init__(self, task):
        self.task, self.codes = task, task.array("codes").long()
        self.batches = Batches(len(self.codes), task.batch)
        self.modes = {", ".join(w for w in (jit, choice) if w): (jit, choice) for choice in self.choices
                      for jit in ("eager", "traced")}

    def first(self):
        """First parameters as the model's tables."""
        tables = [torch.empty(tuple(self.task.shape(k))) for k in range(self.task.n_params)]
        self.task.start(tables)
        return tables

    def build(self, mode):
        jit, choice = self.modes[mode]
        self.net = self.make(choice)
        self.params = list(self.net.parameters())
        self.run = torch.jit.trace(self.net, self.net.take(torch.arange(self.task.batch))) if jit == "traced" else self.net

    def prepare(self, step):
        self.batches.turn_to(step)

    def loss(self):
        index = self.batches.now()
        out = self.run(self.net.take(index))
        return F.cross_entropy(out.flatten(0, 1), self.net.targets(index).flatten())


class RnnCell(nn.Module):
    """A product with W a step, written out; letters before sequences, as its steps read them."""

    def __init__(self, codes, wx, wh, wo, bo):
        super().__init__()
        self.codes = codes.t().contiguous()
        self.wx, self.wh, self.wo, self.bo = (nn.Parameter(p) for p in (wx, wh, wo, bo))

    def take(self, index):
        return self.codes[:-1, index]

    def targets(self, index):
        return self.codes[1:, index]

    def forward(self, letters):
        xw = F.embedding(letters, self.wx)
        h, states = torch.tanh(xw[0]), []
        for x in xw.unbind()[1:]:
            states.append(h)
            h = torch.tanh(torch.addmm(x, h, self.wh))
        return torch.stack([*states, h]) @ self.wo + self.bo


class RnnLayer(RnnCell):
    """torch.nn.RNN, which wants its input as numbers: a letter is a row of zeros and a one, made before the steps."""

    def __init__(self, codes, wx, wh, wo, bo):
        super().__init__(codes, wx, wh, wo, bo)
        self.letters = F.one_hot(self.codes, len(wx)).float()
        self.rnn = nn.RNN(len(wx), len(wh), bias=False)
        self.rnn.weight_ih_l0, self.rnn.weight_hh_l0 = (nn.Parameter(w.t().contiguous()) for w in (wx, wh))
        del self.wx, self.wh

    def take(self, index):
        return self.letters[:-1, index]

    def forward(self, letters):
        return self.rnn(letters)[0] @ self.wo + self.bo


class CharRnn(Text):
    choices = ("written out", "nn.RNN")

    def make(self, choice):
        return (RnnCell if choice == "written out" else RnnLayer)(self.codes, *self.first())


class GptBlock(nn.Module):
    """norm -> attention -> +, norm -> perceptron -> +, with the layer's part of each table."""

    def __init__(self, choice, gain, bias, qkv_w, qkv_b, proj_w, proj_b, up_w, up_b, down_w, down_b):
        super().__init__()
        self.choice, (_, self.heads, self.d, width) = choice, qkv_w.shape
        shapes = {"gain0": gain[0], "bias0": bias[0], "gain1": gain[1], "bias1": bias[1], "qkv_w": qkv_w.reshape(-1, width),
                  "qkv_b": qkv_b.flatten(), "proj_w": proj_w.reshape(width, width), "proj_b": proj_b, "up_w": up_w,
                  "up_b": up_b, "down_w": down_w, "down_b": down_b}
        for name, value in shapes.items():
            setattr(self, name, nn.Parameter(value.clone()))

    def attend(self, q, k, v, later, minus):
        scale = self.d ** -0.5
        if self.choice == "masked":
            return torch.softmax((q @ k.transpose(-2, -1) * scale).masked_fill(later, float("-inf")), -1) @ v
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))          # the mask is what the product is added to
        return torch.bmm(torch.softmax(torch.baddbmm(minus, q, k.transpose(-2, -1), alpha=scale), -1), v)

    def forward(self, x, later, minus):
        n, t, width = x.shape
        h = F.layer_norm(x, (width,), self.gain0, self.bias0)
        q, k, v = F.linear(h, self.qkv_w, self.qkv_b).view(n, t, 3, self.heads, self.d).permute(2, 0, 3, 1, 4).unbind()
        mix = self.attend(q, k, v, later, minus).view(n, self.heads, t, self.d).transpose(1, 2).reshape(n, t, width)
        x = x + F.linear(mix, self.proj_w, self.proj_b)
        h = F.layer_norm(x, (width,), self.gain1, self.bias1)
        return x + F.linear(F.gelu(F.linear(h, self.up_w, self.up_b), approximate="tanh"), self.down_w, self.down_b)


class GptNet(nn.Module):
    def __init__(self, choice, codes, tables):
        super().__init__()
        token, place, *layers, gain, bias, head = tables
        self.codes, t = codes, codes.shape[1] - 1
        self.token, self.place, self.gain, self.bias, self.head = (nn.Parameter(p) for p in (token, place, gain, bias, head))
        self.blocks = nn.ModuleList(GptBlock(choice, *parts) for parts in zip(*layers))
        self.register_buffer("later", torch.triu(torch.ones(t, t, dtype=torch.bool), 1))
        self.register_buffer("minus", torch.zeros(t, t).masked_fill(self.later, float("-inf")))

    def take(self, index):
        return self.codes[index, :-1]

    def targets(self, index):
        return self.codes[index, 1:]

    def forward(self, letters):
        x = F.embedding(letters, self.token) + self.place
        for block in self.blocks:
            x = block(x, self.later, self.minus)
        return F.linear(F.layer_norm(x, x.shape[-1:], self.gain, self.bias), self.head)


class Gpt(Text):
    choices = ("masked", "mask added")

    def make(self, choice):
        return GptNet(choice, self.codes, self.first())


# ---- SUM(tanh(a w)^2) ----

class Tanh:
    modes = {"eager": None, "traced": torch.jit.trace, "scripted": torch.jit.script}
    context = contextlib.nullcontext

    def __init__(self, task):
        self.task, self.a = task, task.array("a")

    def build(self, mode):
        def value(a: torch.Tensor, w: torch.Tensor):
            h = torch.tanh(torch.mm(a, w))
            return (h * h).sum()

        self.params = [torch.empty(tuple(self.task.shape(0)), requires_grad=True)]
        self.task.start(self.params)
        self.run = (value if mode == "eager" else torch.jit.script(value) if mode == "scripted"
                    else torch.jit.trace(value, (self.a, self.params[0])))

    def prepare(self, step):
        pass

    def loss(self):
        return self.run(self.a, self.params[0])


# ---- running ----

NETWORKS = {"images": Images, "mlp": MlpImages, "evaluation": Evaluation, "graph": Graph, "large_graph": LargeGraph,
            "char_rnn": CharRnn, "gpt": Gpt, "tanh": Tanh}


class Task:
    """TASK.json and the files it names."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            self.spec = json.load(f)
        self.folder, self.start_folder = self.spec["data"], os.path.dirname(path)
        self.batch, self.option, self.n_params = self.spec["batch"], self.spec["option"], len(self.spec["params"])

    def array(self, name):
        a = self.spec["arrays"][name]
        x = np.fromfile(os.path.join(self.folder, a["file"]), a["dtype"]).reshape(a["shape"])
        if "divide" in a:
            x = (np.arange(256) / a["divide"] + a["add"]).astype(np.float32)[x]     # no copy of x in 64 bits
        return torch.from_numpy(x)

    def shape(self, k):
        return self.spec["params"][k]["shape"]

    def start(self, params):
        """First parameters, in the order of the model's text, which is that of the networks here."""
        with torch.no_grad():
            for p, s in zip(params, self.spec["params"], strict=True):
                first = np.fromfile(os.path.join(self.start_folder, s["file"]), np.float32)
                p.copy_(torch.from_numpy(first).reshape(p.shape))


def updates(spec):
    """How the optimizer may be run; the first is what a script would write."""
    name, kw = spec["name"], {k: v for k, v in spec.items() if k != "name"}
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[name]
    found = {"loop": lambda p: make(p, foreach=False, **kw), "foreach": lambda p: make(p, foreach=True, **kw)}
    if name == "sgd" and set(kw) == {"lr"}:
        found["one call"] = lambda p: OneCall(p, kw["lr"])
    return found


class OneCall:
    """Plain SGD as one call for all parameters."""

    def __init__(self, params, lr):
        self.params, self.lr = params, lr

    def zero_grad(self, set_to_none=True):
        for p in self.params:
            p.grad = None

    def step(self):
        with torch.no_grad():
            torch._foreach_add_(self.params, [p.grad for p in self.params], alpha=-self.lr)


class Peer:
    def __init__(self, task):
        self.task, self.net = task, NETWORKS[task.spec["network"]](task)
        self.updates = {"": None} if hasattr(self.net, "evaluate") else updates(task.spec["optimizer"])

    def use(self, name):
        mode, _, update = name.partition(" / ")
        self.net.build(mode)
        self.step_number = 0
        self.optimizer = self.updates[update](self.net.params) if update else None

    def step(self):
        """Seconds and loss of one."""
        self.net.prepare(self.step_number)
        began = time.perf_counter()
        if self.optimizer:
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.net.loss()
            loss.backward()
            self.optimizer.step()
            value = loss.item()
        else:
            value = self.net.evaluate()
        self.step_number += 1
        return time.perf_counter() - began, value

    def go(self, n):
        with self.net.context():
            steps = [self.step() for _ in range(n)]
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {"seconds": [s for s, _ in steps], "losses": [x for _, x in steps], "cpu": used.ru_utime + used.ru_stime,
                "rss_kib": used.ru_maxrss}

    def time_one(self, name, seconds, found):
        """Enter seconds a step, the least; nothing if this configuration does not run or is far behind the best."""
        try:
            self.use(name)
            spent = self.go(1)["seconds"]
            while len(spent) < 6 and (len(spent) < 2 or sum(spent) < 3 * seconds):
                spent += self.go(1)["seconds"]                  # traced code is compiled in its first calls
            first = spent[-1]
            if first <= 3 * min(found.values(), default=first):
                found[name] = min([first, *self.go(int(seconds / first))["seconds"]])
        except RuntimeError as e:
            print(f"peer: {name}: {str(e).splitlines()[0][:120]}", file=sys.stderr)

    def trial(self, seconds, names):
        """The named configurations; or every mode with the first update, then every update with the best mode."""
        found = {}
        for name in names or [self.full(m) for m in self.net.modes]:
            self.time_one(name, seconds, found)
        best = min(found, key=found.get).partition(" / ")[0]
        for update in [] if names else list(self.updates)[1:]:
            self.time_one(self.full(best, update), seconds, found)
        return found

    def full(self, mode, update=None):
        update = update or next(iter(self.updates))
        return f"{mode} / {update}" if update else mode

    def first(self):
        """The configuration a plain script would have."""
        return self.full(next(iter(self.net.modes)))

    def answer(self, line):
        word, _, rest = line.strip().partition(" ")
        if word == "trial":
            seconds, _, names = rest.partition(" ")
            return self.trial(float(seconds), json.loads(names or "[]"))
        if word == "use":
            self.use(rest or self.first())
            return {"used": rest or self.first(), "version": torch.__version__}
        if word == "go":
            return self.go(int(rest))
        if word == "accuracy":
            with self.net.context():
                return {"accuracy": self.net.accuracy()}
        raise SystemExit(f"peer: unknown command {word}")


def main():
    torch.set_num_threads(int(sys.argv[2]))
    peer = Peer(Task(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(peer.answer(line)), flush=True)


if __name__ == "__main__":
    main()
