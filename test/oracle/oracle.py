# SPDX-License-Identifier: Apache-2.0
"""What the reference scripts share: tables from closed formulas, the reference files, SQLite as witness.

A reference script describes one model: its data and first parameters (without PyTorch, so that compare.py can
build the same database anywhere) and its loss in PyTorch.  `NAME.py --write` computes losses, gradients and a
few training steps in double precision and writes NAME.txt; `NAME.py` (or `--check`) computes them again and
exits 1 if a number differs by more than 1e-12 of its table's largest entry, 77 if PyTorch is missing.

A reference file has lines `what|table|entry|value`, values as %.17g:

  loss|x_ent_loss||2.30        the loss before training
  grad|w1|0,1|0.5              one entry of a gradient, by key
  grad|w1|norm|0.7             its Euclidean norm; likewise sum, and largest (of absolute values)
  step|adam|2|1.9              the loss of run `adam` at step 2, before its update
  w1@adam|w1|0,1|0.4           an entry of w1 after run `adam`
"""
import importlib
import itertools
import math
import os
import random
import re
import sqlite3
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SKIP = 77
MODELS = ["cnn", "fashion", "mlp", "gcn", "karate", "logreg", "moons", "cora", "gpt", "regression", "kmeans",
          "kg", "mf", "fm", "gan", "kipf", "vae", "denoise", "sage", "word2vec",
          "fgsm", "batchnorm", "gat", "edges", "hypergraph", "lecun1989", "autoencoder", "resnet", "unet", "moe", "style",
          "char_rnn", "char_lstm", "char_gru", "appnp", "gpt_text", "gan_images", "pgd"]


def wave(k, phase):
    """A number in [-1, 1] for each k, without pattern; SQLite's sin() gives the same bits."""
    return math.sin(0.7 * k * k + 1.3 * k + phase)


class Param:
    """A parameter table: its keys, and number k (in key order).

    keys     [(column, least, greatest)] or [(column or columns, [values in order])], of which all combinations are rows
    value    the value column, or a tuple of several
    """

    def __init__(self, keys, value, first):
        self.columns, self.lists, self.first = [], [], first
        for name, *values in keys:
            values = range(values[0], values[1] + 1) if len(values) == 2 else values[0]
            self.columns += [name] if isinstance(name, str) else name
            self.lists.append([(v,) if isinstance(name, str) else tuple(v) for v in values])
        self.values = (value,) if isinstance(value, str) else value

    def shape(self):
        return [len(v) for v in self.lists] + [len(self.values)][:len(self.values) - 1]

    def keys(self):
        return [sum(parts, ()) for parts in itertools.product(*self.lists)]

    def rows(self):
        """(key, …, value, …) in key order."""
        n = len(self.values)
        for k, key in enumerate(self.keys()):
            yield (*key, *(self.first(k * n + c) for c in range(n)))

    def cells(self, rows):
        """(key, …, value) of each number; where there are several columns, the column stands behind the key."""
        n = len(self.columns)
        for row in rows:
            for c, name in enumerate(self.values):
                yield (*row[:n], *([name] if len(self.values) > 1 else []), row[n + c])

    def declaration(self):
        kinds = ["TEXT" if isinstance(v, str) else "INTEGER" for v in sum((part[0] for part in self.lists), ())]
        return ", ".join([f"{c} {k}" for c, k in zip(self.columns, kinds)] + [f"{v} REAL" for v in self.values])


def scaled(scale, phase):
    return lambda k: scale * wave(k, phase)


class Spec:
    """One model.

    model    path of the .sql file from the top of the tree
    loss     name of the loss table
    data     {table: (column declarations, rows)}
    params   {table: Param}
    torch    function(torch, {table: tensor}) -> loss, a scalar tensor
    runs     [(name, {flag: value}, steps)]; the flags are sqlgrad's.  Run `own` says in flags what the
             file's own @minimize says; sqlgrad gets none
    sets     {name: number} for --set
    mend     [(pattern, replacement)]: what SQLite reads differently (aliases in GROUP BY)
    no_decay tables with @param(decay = 0)
    goals    [(loss, sign, [tables])] of a file with several objectives, or with one that moves some tables only; sign
             is -1 for @maximize.  Then `torch` returns {loss: tensor}, and the flags of run `own` are a list
    noise    {table: noise.Noise}: tables with -- @noise.  Then `torch` takes the step as well
    bind     {table: table of data}: noise that is held still
    after    function(torch, {table: tensor}, {table: its values before the step}): what @update and clamp do; tables
             that only it changes stand in no goal, but in `kept`
    again    how far a second computation may be off: adam divides a gradient that is 0 but for rounding by 1e-8
    """

    def __init__(self, model, loss, data, params, torch, runs, sets=None, mend=(), no_decay=(), goals=None, bind=None,
                 after=None, noise=None, kept=(), again=1e-12):
        self.model, self.loss, self.data, self.params = model, loss, data, params
        self.torch, self.runs, self.sets, self.mend, self.no_decay = torch, runs, sets or {}, mend, no_decay
        self.goals, self.bind, self.after = goals or [(loss, 1, list(params))], bind or {}, after
        self.noise, self.again = noise or {}, again
        self.moved = [t for goal in self.goals for t in goal[2]] + list(kept)

    def losses(self, torch, p, step=0):
        """{loss: tensor}, the first objective's first."""
        got = self.torch(torch, p, step) if self.noise else self.torch(torch, p)
        return got if isinstance(got, dict) else {self.loss: got}

    def write_db(self, path, shuffled=0):
        """Make the SQLite database with data and first parameters; `shuffled` is the seed of another row order."""
        order = random.Random(shuffled).shuffle if shuffled else lambda rows: None
        db = sqlite3.connect(path)
        for name, (cols, rows) in self.data.items():
            order(rows := list(rows))
            fill(db, name, cols, rows)
        for name, p in self.params.items():
            order(rows := list(p.rows()))
            fill(db, name, p.declaration(), rows)
        db.commit()
        db.close()


def fill(db, name, cols, rows):
    n = cols.count(",") + 1
    db.execute(f"CREATE TABLE {name} ({cols})")
    db.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * n)})", rows)


# ---- references: {(what, table, entry): value} ----

def selected(n, most):
    """Which of n entries a reference file names: all of a small table, else `most` spread over it."""
    return range(n) if n <= most else sorted({i * (n - 1) // (most - 1) for i in range(most)})


def describe(ref, what, name, rows, most):
    """Enter the rows (key, …, value) of a table."""
    values = [r[-1] for r in rows]
    largest = max(range(len(rows)), key=lambda i: abs(values[i]))
    for i in sorted({*selected(len(rows), most), largest}):
        ref[what, name, ",".join(map(str, rows[i][:-1]))] = values[i]
    ref[what, name, "norm"] = math.sqrt(math.fsum(v * v for v in values))
    ref[what, name, "sum"] = math.fsum(values)
    ref[what, name, "largest"] = abs(values[largest])


def read_reference(path):
    ref = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                what, table, entry, value = line.rstrip("\n").split("|")
                ref[what, table, entry] = float(value)
    return ref


def write_reference(path, ref, title):
    with open(path, "w", encoding="ascii") as f:
        f.write(f"# {title}\n")
        for (what, table, entry), value in ref.items():
            f.write(f"{what}|{table}|{entry}|{value:.17g}\n")


def differences(ref, got, rtol):
    """Lines about entries that differ by more than rtol of their table's largest entry."""
    out = []
    for (what, table, entry), want in ref.items():
        have = got.get((what, table, entry))
        if have is None:
            out.append(f"{what} {table} {entry or '-'}: missing")
            continue
        scale = ref.get((what, table, "largest"), abs(want))
        if entry == "sum":      # rounding of a sum goes with the norm, not with what is left of it
            scale = ref[what, table, "norm"]
        if not abs(have - want) <= rtol * max(scale, 1e-300):
            out.append(f"{what} {table} {entry or '-'}: {have:.17g}, reference {want:.17g}")
    return out


# ---- PyTorch's side ----

def make_optimizer(torch, spec, params, flags):
    """PyTorch's optimizer for sgd(momentum=0.9) and the like, with --lr and --weight-decay."""
    name, args = flags["--optimizer"], {}
    m = re.fullmatch(r"(\w+)\((.*)\)", name)
    if m:
        name = m[1]
        args = {k.strip(): float(v) for k, v in (a.split("=") for a in m[2].split(","))}
    for flag in ("nesterov", "centered"):
        if flag in args:
            args[flag] = bool(args[flag])
    if "beta1" in args or "beta2" in args:
        args["betas"] = (args.pop("beta1", 0.9), args.pop("beta2", 0.999))
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
            "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad, "signsgd": None}[name]
    if kind is None:
        return sign_descent(torch, list(params.values()))
    if "--weight-decay" in flags:       # adamw has a default of its own
        args["weight_decay"] = float(flags["--weight-decay"])
    groups = [{"params": [t for name, t in params.items() if name not in spec.no_decay]}]
    if spec.no_decay:
        groups.append({"params": [params[name] for name in spec.no_decay if name in params], "weight_decay": 0})
    return kind(groups, lr=1.0, **args)


def sign_descent(torch, params):
    """w -= lr * sign(g), which PyTorch has not."""
    class SignDescent(torch.optim.Optimizer):
        def step(self):
            with torch.no_grad():
                for group in self.param_groups:
                    for w in group["params"]:
                        w -= group["lr"] * w.grad.sign()

    return SignDescent(params, {"lr": 1.0})


def learning_rate(text, step, steps):
    return eval(str(text), {"__builtins__": {}}, {"min": min, "step": float(step), "steps": float(steps)})


def train(torch, spec, ref, name, flags, steps):
    p = tensors(torch, spec)
    each = flags if isinstance(flags, list) else [flags] * len(spec.goals)
    opts = [make_optimizer(torch, spec, {t: p[t] for t in goal[2]}, f) for goal, f in zip(spec.goals, each)]
    for step in range(steps):
        losses = spec.losses(torch, p, step)
        for k, value in enumerate(losses.values()):
            ref["step", name, f"{step}{'abcdefg'[k - 1] if k else ''}"] = value.item()
        set_gradients(torch, spec, losses, p)
        for opt, (_, _, tables), f in zip(opts, spec.goals, each):
            if "--clip" in f:
                torch.nn.utils.clip_grad_norm_([p[t] for t in tables], float(f["--clip"]))
            for group in opt.param_groups:
                group["lr"] = learning_rate(f["--lr"], step, steps)
        was = {t: w.detach().clone() for t, w in p.items()}
        for opt in opts:
            opt.step()
        if spec.after:
            with torch.no_grad():
                spec.after(torch, p, was)
    for table in spec.moved:
        describe(ref, f"{table}@{name}", table, keyed(spec.params[table], p[table]), 5)


def tensors(torch, spec):
    return {name: torch.tensor([r[-1] for r in p.cells(p.rows())], dtype=torch.float64)
            .reshape(p.shape()).requires_grad_() for name, p in spec.params.items()}


def set_gradients(torch, spec, losses, p):
    """Each table's gradient of its own objective, all at the same values."""
    for loss, sign, tables in spec.goals:
        found = torch.autograd.grad(losses[loss], [p[t] for t in tables], retain_graph=True)
        for t, g in zip(tables, found):
            p[t].grad = sign * g


def keyed(param, tensor):
    return [(*r[:-1], v) for r, v in zip(param.cells(param.rows()), tensor.detach().reshape(-1).tolist())]


def compute(torch, spec):
    """Losses, gradients and runs of one model, in double precision on one thread."""
    torch.set_num_threads(1)
    ref, p = {}, tensors(torch, spec)
    losses = spec.losses(torch, p)
    set_gradients(torch, spec, losses, p)
    for name, value in losses.items():
        ref["loss", name, ""] = value.item()
    for _, sign, tables in spec.goals:
        for name in tables:
            describe(ref, "grad", name, keyed(spec.params[name], sign * p[name].grad), 24)
    for name, flags, steps in spec.runs:
        train(torch, spec, ref, name, flags, steps)
    return ref


# ---- SQLite as witness: the model's own SQL, run by another engine ----

def sqlite_value(spec, table):
    """The one number in a table of the model, by running its statements in SQLite."""
    db = sqlite3.connect(":memory:")
    db.create_function("LOG", 1, math.log)          # the language's LOG is the natural logarithm
    db.create_aggregate("STDDEV", 1, Deviation)
    db.create_aggregate("VAR_SAMP", 1, Variance)
    db.create_aggregate("VAR_POP", 1, PopulationVariance)
    for name, (cols, rows) in spec.data.items():
        fill(db, next((t for t, at in spec.bind.items() if at == name), name), cols, rows)
    for name, p in spec.params.items():
        fill(db, name, p.declaration(), p.rows())
    for name, z in spec.noise.items():
        fill(db, name, z.columns(), z.rows(0))
    for statement in statements(spec):
        db.execute(statement)
    return db.execute(f'SELECT * FROM "{table}"').fetchone()[0]


class Variance:
    """VAR_SAMP: SQLite has none."""

    def __init__(self):
        self.x = []

    def step(self, x):
        self.x.append(x)

    def sum(self):
        mean = math.fsum(self.x) / len(self.x)
        return math.fsum((v - mean) ** 2 for v in self.x)

    def finalize(self):
        return self.sum() / (len(self.x) - 1)


class PopulationVariance(Variance):
    def finalize(self):
        return self.sum() / len(self.x)


class Deviation(Variance):
    def finalize(self):
        return math.sqrt(super().finalize())


def source(path):
    """A model's text with what it includes."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    return re.sub(r"-- @include '([^']*)'", lambda m: source(os.path.join(os.path.dirname(path), m[1])), text)


def statements(spec):
    """The model's queries as SQLite means them; declarations and parameters are in the database."""
    text = source(os.path.join(TOP, spec.model))
    text = re.sub(r"-- @eval\s*CREATE TABLE [^;]*;", "", text)
    sets = {**dict(re.findall(r"-- @set (\w+) = (\S+)", text)), **spec.sets}
    text = re.sub(r"-- @for (\w+) = (.*?) \.\. (.*)", r"@for|\1|\2|\3;", text)
    text = text.replace("-- @end\n", "@end;\n")
    text = re.sub(r"--[^\n]*", "", text)
    for pattern, replacement in spec.mend:
        text = text.replace(pattern, replacement)
    filled, made = set(re.findall(r"INSERT INTO (\w+)", text)), set()
    for s in unrolled([s.strip() for s in text.split(";")], sets):
        m = re.match(r"(CREATE (?:TABLE|VIEW)|INSERT INTO) (\w+)( AS\b)?", s)
        if not m or any(m[2] in known for known in (spec.params, spec.bind, spec.noise, spec.data)):
            continue
        if m[3] and m[2] in made:                       # a loop makes it anew
            yield s.replace(m[2], "made_anew", 1)
            yield f"DROP TABLE {m[2]}"
            yield f"ALTER TABLE made_anew RENAME TO {m[2]}"
        elif m[3] or m[2] in filled:
            made.add(m[2])
            yield s


def unrolled(body, names):
    """The statements with loops written out and :names replaced."""
    at = 0
    while at < len(body):
        if not body[at].startswith("@for"):
            yield re.sub(r"(?<!:):(\w+)", lambda m: str(names[m[1]]), body[at])
            at += 1
            continue
        depth, end = 1, at + 1
        while depth:
            depth += body[end].startswith("@for") - (body[end] == "@end")
            end += 1
        _, var, *bounds = body[at].split("|")
        low, high = (eval(re.sub(r":(\w+)", lambda m: str(names[m[1]]), b)) for b in bounds)
        for value in range(low, high + 1):
            yield from unrolled(body[at + 1:end - 1], {**names, var: value})
        at = end


# ---- the command ----

def load(name):
    return importlib.import_module(name).spec()


def main(name, title):
    """Entry of a reference script."""
    try:
        import torch
    except ImportError:
        print("skipped: PyTorch (python3-torch) is not installed")
        sys.exit(SKIP)
    spec = load(name)
    if spec is None:
        print("skipped: SHARED names no folder with the data")
        sys.exit(SKIP)
    path = os.path.join(HERE, name + ".txt")
    got = compute(torch, spec)
    witness = sqlite_value(spec, spec.loss)
    if abs(witness - got["loss", spec.loss, ""]) > 1e-12 * abs(witness):
        print(f"{name}: SQLite's loss {witness:.17g}, PyTorch's {got['loss', spec.loss, '']:.17g}")
        sys.exit(1)
    if "--write" in sys.argv[1:]:
        write_reference(path, got, title)
        print(f"{name}: {len(got)} numbers written")
        return
    wrong = differences(read_reference(path), got, spec.again)
    for line in wrong[:20]:
        print(f"{name}: {line}")
    print(f"{name}: {len(got)} numbers, {len(wrong)} differ; SQLite agrees on the loss")
    sys.exit(1 if wrong else 0)
