# SPDX-License-Identifier: Apache-2.0
"""Writes random models over arrays, for random_loops.py: data in boxes, and statements as array frameworks have layers.

Tables are boxes of 1 to 9 a side with offsets, steps, negative and text keys, columns and rows in any order; some are
sparse, ragged, empty, of one row, or hold NULLs.  Statements are convolutions of one to three dimensions (strides,
dilations, rows that are missing at the edge), windows, products, triangles, unions, softmax, picks.

Where the text chooses by value (MAX, a filter, a pick), values that tie are made so that every engine computes them
exactly (`exact`); all others are without pattern."""
import math
import re

WORDS = ["red", "B", "it's", "", "zz", "k9", "Ä", "x y", "10"]
MOST_ROWS, MOST_TUPLES = 1500, 12000    # of a relation and of a join, so that SQL does not take long


class Dim:
    """A key column and the values that stand in it, in order; of a box every combination is there."""

    def __init__(self, name, values, lead=False):
        self.name, self.values, self.lead = name, list(values), lead

    def is_int(self):
        return not self.values or not isinstance(self.values[0], str)

    def is_range(self):
        v = self.values
        return self.is_int() and len(v) > 0 and v == list(range(v[0], v[0] + len(v)))

    def low(self):
        return self.values[0]

    def high(self):
        return self.values[-1]

    def size(self):
        return max(1, len(self.values))


class Rel:
    """What the generator knows of a table: enough to write what makes sense, not what is right."""

    def __init__(self, name, dims, vals, exact=False, nullable=False):
        self.name, self.dims, self.vals, self.exact, self.nullable = name, dims, vals, exact, nullable

    def size(self):
        return math.prod(d.size() for d in self.dims)

    def lead(self):
        return [d for d in self.dims if d.lead]

    def ranges(self):
        return [d for d in self.dims if d.is_range() and not d.lead]

    def free(self):
        return [d for d in self.dims if not d.lead]


class Query:
    """A SELECT in the making: sources, conditions, columns; how its joins are spelled is left to chance."""

    def __init__(self, writer):
        self.w, self.rng, self.sources, self.where, self.cols, self.group = writer, writer.rng, [], [], [], []

    def source(self, rel, text=None):
        alias = self.w.fresh("q")
        self.sources.append((alias, text or self.w.table_text(rel), []))
        return alias

    def left(self, rel, alias, on):
        self.sources.append((alias, rel.name, on))

    def key(self, e, name, group=True):
        self.cols.append(f"{e} AS {name}")
        if group:
            self.group.append(e)

    def text(self, grouped=False, tail=""):
        r = self.rng
        comma = r.random() < 0.4 and not any(on for _, _, on in self.sources)
        where = list(self.where)
        r.shuffle(where)
        if comma:
            text = ", ".join(f"{t} AS {a}" for a, t, _ in self.sources)
        else:
            text, seen = "", []
            for alias, table, on in self.sources:
                seen.append(alias)
                if not text:
                    text = f"{table} AS {alias}"
                elif on:
                    text += f" LEFT JOIN {table} AS {alias} ON {' AND '.join(on)}"
                else:
                    mine = [c for c in where if set(re.findall(r"\bq\d+\b", c)) <= set(seen) and alias in re.findall(r"\bq\d+\b", c)]
                    where = [c for c in where if c not in mine]
                    text += f" JOIN {table} AS {alias} ON {' AND '.join(mine)}" if mine else f" CROSS JOIN {table} AS {alias}"
        cols = list(self.cols)
        r.shuffle(cols)
        out = f"SELECT {', '.join(cols)}\nFROM {text}" + (f"\nWHERE {' AND '.join(where)}" if where else "")
        keys = [k for k in dict.fromkeys(self.group) if not re.fullmatch(r"-?\d+", k)]
        return out + (f"\nGROUP BY {', '.join(keys)}" if grouped and keys else "") + tail


class Writer:
    """Writes the data and the statements of one model."""

    def __init__(self, rng, batched):
        self.rng, self.batched, self.n = rng, batched, 0
        self.tables, self.params, self.text, self.rels, self.shown, self.heads = {}, [], [], [], [], []
        self.tame = rng.random() < 0.85  # only boxes, and mostly what keeps them boxes
        if batched:
            n = rng.choice([5, 7, 9, 11])
            self.lead = rng.choice([list(range(n)), sorted(rng.sample(range(-20, 60), n)), list(range(-2, n - 2))])

    def fresh(self, stem):
        self.n += 1
        return f"{stem}{self.n}"

    # ---- data ----

    def value(self, exact):
        r = self.rng
        return r.randint(-4, 4) * 0.25 if exact else round(r.uniform(-1.5, 1.5), 4)

    def values(self, most=9):
        """Of an integer key."""
        r = self.rng
        n = r.choice([1, 2, 2, 3, 3, 4, 5, 5, 7, 8, 9])
        n = min(n, most)
        low = r.choice([0, 0, 0, 0, 1, 3, -2, -5])
        if r.random() < 0.8:
            return list(range(low, low + n))
        if r.random() < (0.9 if self.tame else 0.5):
            return list(range(low, low + 3 * n, r.choice([2, 3])))[:n]
        return sorted(r.sample(range(-9, 30), n))

    def dim(self, stem="k", most=9, text=0.1):
        r = self.rng
        if r.random() < text:
            return Dim(self.fresh("s"), sorted(r.sample(WORDS, min(most, r.choice([2, 3, 3, 4, 5] if self.tame else [1, 2, 4]))), key=lambda w: w.encode()))
        return Dim(self.fresh(stem), self.values(most))

    def table(self, dims, stem, vals=1, exact=False, sparse=None, param=False):
        """A table in the database: rows and columns in any order."""
        r = self.rng
        rows = [[]]
        for d in dims:
            rows = [row + [v] for row in rows for v in d.values]
        if sparse is not None:
            rows = [row for row in rows if r.random() < sparse]
        names = [self.fresh("v") for _ in range(vals)]
        null = 0.1 if not self.tame and not param and stem == "t" and r.random() < 0.3 else 0
        full = [(*row, *(None if r.random() < null else self.value(exact) for _ in names)) for row in rows]
        cols = [(d.name, "INTEGER" if d.is_int() else "TEXT") for d in dims] + [(v, "REAL") for v in names]
        order = list(range(len(cols)))
        if r.random() < 0.7:
            r.shuffle(order)
        r.shuffle(full)
        rel = Rel(self.fresh(stem), dims, names, exact, null > 0)
        self.tables[rel.name] = ([cols[i] for i in order], [[row[i] for i in order] for row in full])
        if param or self.may_be_param(rel, sparse):
            self.params.append(rel.name)
        self.declare(rel, [cols[i] for i in order], sparse is None)
        return rel

    def may_be_param(self, rel, sparse):
        return not rel.lead() and not rel.nullable and sparse is None and rel.name[0] == "t" and self.rng.random() < 0.3

    def declare(self, rel, cols, full):
        """What a model says of a table; CHECKs where they give its rows."""
        checks = {d.name: f" CHECK ({d.name} BETWEEN {d.low()} AND {d.high()})" if d.is_range() else
                  f" CHECK ({d.name} IN ({', '.join(map(str, d.values))}))" for d in rel.dims if d.is_int() and d.values}
        full = full and len(checks) == len(rel.dims)
        is_param = rel.name in self.params
        text = f"CREATE TABLE {rel.name} ({', '.join(f'{c} {t}' + (checks.get(c, '') if is_param else '') for c, t in cols)});\n"
        if rel.lead():
            self.heads.append(f"-- @data(batch = {rel.lead()[0].name})\n{text}")
        elif is_param and full and self.rng.random() < 0.6:
            self.heads.append(f"-- @param\n{text}")
        elif is_param:
            start = rel.name.replace("w", "u").replace("t", "u")
            self.tables[start] = self.tables.pop(rel.name)
            self.heads.append(f"-- @param\nCREATE TABLE {rel.name} AS SELECT {', '.join(c for c, _ in cols)} FROM {start};\n")
        elif self.rng.random() < 0.2:
            self.heads.append(text)

    def param(self, dims, **kw):
        return self.table([Dim(self.fresh(d.name[0]), d.values) for d in dims], "w", param=True, **kw)

    def lead_dim(self):
        return [Dim(self.fresh("n"), self.lead, lead=True)] if self.batched else []

    def make_data(self):
        r = self.rng
        for k in range(r.choice([1, 2, 2, 3])):
            dims = [self.dim(most=9) for _ in range(r.choice([1, 2, 2, 3, 3, 4]))]
            while math.prod(d.size() for d in dims) > (150 if self.batched else MOST_ROWS):
                dims.pop()
            dims = (self.lead_dim() if not k or r.random() < 0.6 else []) + dims
            r.shuffle(dims)
            sparse = None if self.tame else r.choice([None, None, None, 0.6, 0.9, 0.0 if k else None, 0.2])
            self.rels.append(self.table(dims, "t", r.choice([1, 1, 2]), r.random() < 0.25, sparse))

    # ---- pieces of statements ----

    def table_text(self, rel):
        """A name, or now and then a subquery that passes its columns on."""
        r = self.rng
        if r.random() > 0.12:
            return rel.name
        q = self.fresh("z")
        cols = [f"{q}.{d.name} AS {d.name}" for d in rel.dims] + [f"{q}.{v} AS {v}" for v in rel.vals]
        r.shuffle(cols)
        return f"(SELECT {', '.join(cols)} FROM {rel.name} AS {q})"

    def pick_rel(self, test=None):
        """A relation that passes the test, or None; any, without a test."""
        need = test is not None
        some = [t for t in self.rels if (not need or test(t)) and t.size() <= MOST_ROWS and (t.lead() or not self.batched or self.rng.random() < 0.1)]
        some = [t for t in some if t.vals] or ([] if need else self.rels[:1])
        return self.rng.choice(some[-4:] if self.rng.random() < 0.7 else some) if some else None

    def number(self):
        return f"{self.rng.uniform(0.2, 1.4):.2f}"

    def threshold(self):
        return f"{self.rng.uniform(-0.6, 0.6):.2f}37"

    def key_condition(self, a, rel):
        r = self.rng
        some = [d for d in rel.free() if d.is_int() and d.values]
        if not some:
            return "1 = 1"
        d = r.choice(some)
        k, lo, hi = f"{a}.{d.name}", d.low(), d.high()
        mid = r.randint(lo, hi)
        e = r.choice(some)
        if self.tame and r.random() < 0.8:
            return r.choice([f"{k} BETWEEN {lo} AND {mid}", f"{k} >= {mid}", f"{k} < {mid + 1}", f"{k} % 2 = {lo % 2}", f"{k} = {mid}",
                             f"{k} / 2 = {mid // 2}", f"{k} > {lo - 1} AND {k} <= {hi}"])
        return r.choice([f"{k} BETWEEN {lo} AND {mid}", f"{k} >= {mid}", f"{k} < {mid + 1}", f"{k} % 2 = 0", f"{k} <> {mid}",
                         f"{k} / 2 = {mid // 2}", f"{k} <= {a}.{e.name}", f"{k} IN ({lo}, {mid})", f"({k} = {lo} OR {k} > {mid})",
                         f"NOT ({k} > {mid})", f"{k} > {lo} AND {k} <= {hi}", f"{k} + {a}.{e.name} <= {mid + e.low()}",
                         f"{k} = {mid}", f"2 * {k} = {a}.{e.name}", f"{k} % 3 = 1"])

    def values_of(self, a, rel):
        return [f"{a}.{v}" for v in rel.vals]

    def unary(self, x, a, rel):
        """A number made of x, and now and then of keys."""
        r = self.rng
        some = [f"TANH({x})", f"SIN({x})", f"{x} * {self.number()}", f"({x} + {self.number()})", f"EXP(-({x} * {x}))", f"MAX(0, {x})",
                f"({x} / (1.5 + {x} * {x}))", f"SQRT(0.3 + {x} * {x})", f"ABS({x})", f"(- {x})", f"LN(1.2 + {x} * {x})", f"POW({x}, 2)",
                f"MAX({x}, {self.number()})", f"CASE WHEN {x} > {self.threshold()} THEN {x} ELSE {x} * 0.1 END", f"COALESCE({x}, 0.0)",
                f"CASE WHEN {x} IS NULL THEN 1.5 ELSE {x} END", f"CASE WHEN {x} IS NOT NULL THEN 0.5 ELSE 0.3 END", f"MIN({x}, {r.choice(self.values_of(a, rel))} * 0.7)",
                f"CASE WHEN {x} > {self.threshold()} OR {x} < -0.8137 THEN {x} END", f"NULLIF({x}, 0.5)", f"ROUND({x}, 1) * {x}"]
        ints = [f"{a}.{d.name}" for d in rel.free() if d.is_int() and d.values]
        if ints:
            k, l = r.choice(ints), r.choice(ints)
            some += [f"{x} * ({k} + 1.5)", f"CASE WHEN {k} > {l} THEN {x} ELSE 0.5 * {x} END", f"{x} + {k} * 0.1", f"{x} / (ABS({k}) + 1)",
                     f"CASE WHEN {k} % 2 = 0 THEN {x} ELSE {x} * {x} END", f"CASE WHEN {k} IN (0, 2) THEN {x} ELSE 0.25 END",
                     f"CASE WHEN {k} = 1 THEN {x} WHEN {l} = 2 THEN - {x} ELSE 0.0 END", f"CASE WHEN {self.key_condition(a, rel)} THEN {x} END"]
        e = r.choice(some)
        return e if not self.tame or not self.nulls(e) else f"{x} * 0.9"

    def nulls(self, e):
        return " END" in e and " ELSE " not in e or "NULLIF" in e

    def shared(self, p, q):
        """Pairs of dimensions that may be joined: of the same values, or nearly."""
        return [(d, e) for d in p.free() for e in q.free() if d.is_int() == e.is_int() and set(d.values) & set(e.values)]

    def lead_join(self, query, p, a, q, b):
        if p.lead() and q.lead():
            query.where.append(f"{a}.{p.lead()[0].name} = {b}.{q.lead()[0].name}")

    def carry(self, query, rel, a, dims):
        """Keys that go through unchanged."""
        out = []
        for d in dims:
            out.append(Dim(self.fresh(d.name[0]), d.values, d.lead))
            query.key(f"{a}.{d.name}", out[-1].name)
        return out

    def emit(self, rel, text):
        r = self.rng
        kind = "VIEW" if r.random() < 0.1 else "TABLE"
        if r.random() < 0.08:
            c = self.fresh("c")
            text = f"WITH {c} AS ({text})\nSELECT * FROM {c}"
        self.text.append(f"CREATE {kind} {rel.name} AS\n{text};\n")
        self.rels.append(rel)
        self.shown.append(rel.name)
        return rel

    def new(self, dims, vals=1, exact=False, nullable=False):
        return Rel(self.fresh("r"), dims, [self.fresh("x") for _ in range(vals)], exact, nullable)

    # ---- statements ----

    def moved(self, a, d):
        """A key as it is, or shifted, mirrored, stretched."""
        k, v = f"{a}.{d.name}", d.values
        if not d.is_int() or not v or d.lead or self.rng.random() < 0.6:
            return k, v
        c = self.rng.randint(1, 3)
        return self.rng.choice([(f"({k} + {c})", [x + c for x in v]), (f"({k} - {c})", [x - c for x in v]), (f"({k} * 2)", [2 * x for x in v]),
                                (f"({d.high()} - {k})", sorted(d.high() - x for x in v)), (f"(2 * {k} + 1)", [2 * x + 1 for x in v]),
                                (f"(-{k})", sorted(-x for x in v))])

    def row(self):
        """Row by row: keys shifted or flattened into one, a filter."""
        r, rel = self.rng, self.pick_rel()
        q = Query(self)
        a = q.source(rel)
        dims, rest = [], list(rel.dims)
        flat = rel.ranges()
        if len(flat) > 1 and r.random() < 0.4:
            flat = r.sample(flat, r.choice([2, min(3, len(flat))]))
            e, values = f"({a}.{flat[0].name} - {flat[0].low()})", [v - flat[0].low() for v in flat[0].values]
            for d in flat[1:]:
                e = f"({e} * {d.size()} + {a}.{d.name})"
                values = [x * d.size() + y for x in values for y in d.values]
            dims.append(Dim(self.fresh("i"), values))
            q.key(e, dims[0].name)
            rest = [d for d in rest if d not in flat]
        for d in rest:
            e, values = self.moved(a, d)
            dims.append(Dim(self.fresh(d.name[0]), values, d.lead))
            q.key(e, dims[-1].name)
        if r.random() < 0.3:
            q.where.append(self.key_condition(a, rel))
        if r.random() < (0.02 if self.tame else 0.2):
            q.where.append(f"{a}.{r.choice(rel.vals)} > {self.threshold()}")
        out = self.new(dims, r.choice([1, 1, 2]))
        for x in out.vals:
            e = self.unary(r.choice(self.values_of(a, rel)), a, rel)
            out.nullable |= self.nulls(e) or rel.nullable
            q.cols.append(f"{e} AS {x}")
        return self.emit(out, q.text())

    def plain(self):
        """The same numbers under other keys: what is exact stays so."""
        rel = self.pick_rel(lambda t: t.exact)
        if not rel:
            return self.row()
        q = Query(self)
        a = q.source(rel)
        dims = []
        for d in rel.dims:
            e, values = self.moved(a, d)
            dims.append(Dim(self.fresh(d.name[0]), values, d.lead))
            q.key(e, dims[-1].name)
        out = self.new(dims, len(rel.vals), True)
        q.cols += [f"{e} AS {x}" for e, x in zip(self.values_of(a, rel), out.vals)]
        return self.emit(out, q.text())

    def bias(self):
        """A box over some of the keys, joined to every row."""
        r, rel = self.rng, self.pick_rel(lambda t: t.free())
        if not rel:
            return self.row()
        on = r.sample(rel.free(), r.randint(1, min(2, len(rel.free()))))
        w = self.param(on)
        q = Query(self)
        a = q.source(rel)
        b = q.source(w)
        q.where += [f"{a}.{d.name} = {b}.{e.name}" if r.random() < 0.8 else f"{b}.{e.name} = {a}.{d.name}" for d, e in zip(on, w.dims)]
        out = self.new(self.carry(q, rel, a, rel.dims))
        x, y = r.choice(self.values_of(a, rel)), self.values_of(b, w)[0]
        q.cols.append(r.choice([f"{x} + {y}", f"{x} * {y}", f"MAX(0, {x} + {y})", f"TANH({x} - {y})", f"({x} - {y}) * {y}"]) + f" AS {out.vals[0]}")
        return self.emit(out, q.text())

    def slide(self, q, a, d, b, k, size):
        """One dimension of a convolution: (key, values)."""
        r, s, w = self.rng, f"{a}.{d.name}", f"{b}.{k}"
        lo, hi = d.low(), d.high()
        dil = r.choice([1, 1, 1, 2])
        if hi - dil * (size - 1) < lo:
            dil = 1
        dw = w if dil == 1 else f"{dil} * {w}"
        last = max(lo, hi - dil * (size - 1))
        form = r.choice(["valid", "valid", "valid", "full", "same", "stride", "stride", "range", "range"])
        if form == "valid":
            e = f"({s} - {dw})"
            q.where.append(r.choice([f"{e} BETWEEN {lo} AND {last}", f"{e} >= {lo} AND {e} <= {last}", f"{lo} <= {e} AND {e} < {last + 1}"]))
            return e, range(lo, last + 1)
        if form == "full":
            return f"({s} + {dw})", range(lo, hi + dil * (size - 1) + 1)
        if form == "same":
            p = (size - 1) // 2 * dil
            e = f"({s} - {dw} + {p})"
            q.where.append(f"{e} BETWEEN {lo} AND {hi}")
            return e, range(lo, hi + 1)
        by = r.choice([2, 2, 3])
        if form == "stride":
            e, left = f"(({s} - {dw}) / {by})", r.choice([0, 0, 0, 1])
            q.where.append(f"({s} - {dw}) % {by} = {left}")
            if r.random() < 0.8:
                q.where.append(f"{s} - {dw} BETWEEN {lo} AND {last}")
            elif lo >= 0:
                q.where.append(f"{s} - {dw} >= 0")
            every = {x - dil * y for x in d.values for y in range(size)}
            return e, sorted({int(x / by) for x in every})
        n = max(1, (last - lo) // by + r.choice([0, 1, 1]))
        pad = r.choice([0, 0, 1])
        first = r.choice([0, lo // by])
        name, key = self.fresh("o"), self.fresh("k")
        self.text.append(f"-- @range\nCREATE TABLE {name} ({key} INTEGER CHECK ({key} BETWEEN {first} AND {first + n - 1}));\n")
        o = q.source(None, name)
        q.where.append(r.choice([f"{s} = {by} * {o}.{key} + {dw} - {pad}", f"{s} - {dw} = {by} * {o}.{key} - {pad}",
                                 f"{by} * {o}.{key} = {s} - {dw} + {pad}"]))
        return f"{o}.{key}", range(first, first + n)

    def conv(self):
        r, rel = self.rng, self.pick_rel(lambda t: t.ranges())
        if not rel:
            return self.row()
        space = r.sample(rel.ranges(), min(len(rel.ranges()), r.choice([1, 1, 2, 2, 3])))
        rest = [d for d in rel.free() if d not in space]
        inner = [d for d in rest if r.random() < 0.6]
        sizes = [r.randint(1, min(4, d.size())) for d in space]
        outs = [Dim(self.fresh("o"), range(r.choice([1, 2, 3, 5])))] if r.random() < 0.7 else []
        while rel.size() * math.prod(sizes) * math.prod(d.size() for d in outs) > MOST_TUPLES:
            if outs:
                outs.pop()
            elif max(sizes) > 1:
                sizes[sizes.index(max(sizes))] -= 1
            else:
                return self.row()
        kernel = [Dim(self.fresh("k"), range(n)) for n in sizes]
        wdims = outs + inner + kernel
        r.shuffle(wdims)
        w = self.param(wdims, exact=False)
        of = dict(zip((d.name for d in wdims), w.dims))
        q = Query(self)
        if r.random() < 0.5:
            a, b = q.source(rel), q.source(w)
        else:
            b, a = q.source(w), q.source(rel)
        q.where += [f"{a}.{d.name} = {b}.{of[d.name].name}" for d in inner]
        dims = []
        for d, k, n in zip(space, kernel, sizes):
            e, values = self.slide(q, a, d, b, of[k.name].name, n)
            dims.append(Dim(self.fresh("r"), values))
            q.key(e, dims[-1].name)
        dims += self.carry(q, rel, a, rel.lead() + [d for d in rest if d not in inner])
        for d in outs:
            dims.append(Dim(self.fresh("o"), d.values))
            q.key(f"{b}.{of[d.name].name}", dims[-1].name)
        out = self.new(dims)
        q.cols.append(f"SUM({r.choice(self.values_of(a, rel))} * {b}.{w.vals[0]}) AS {out.vals[0]}")
        return self.emit(out, q.text(True))

    def aggregate(self, x, exact):
        r = self.rng
        if self.tame and not exact and r.random() < 0.5:      # no COUNT: windows at the edge are smaller
            return r.choice([f"SUM({x})", f"MAX({x})", f"MIN({x})", f"SUM({x} * {x})", f"LN(0.5 + SUM({x} * {x}))"])
        if exact:
            return r.choice([f"MAX({x})", f"MIN({x})", f"SUM({x})", f"AVG({x})"])
        return r.choice([f"SUM({x})", f"AVG({x})", f"MAX({x})", f"MIN({x})", f"SUM({x} * {x})", f"SUM({x}) / COUNT(*)", f"SUM({x}) + 0.1 * COUNT({x})",
                         f"LN(0.5 + SUM({x} * {x}))", f"MAX({x}) - AVG({x})", f"SUM(TANH({x})) * 0.5"])

    def pool(self):
        r, rel = self.rng, self.pick_rel(lambda t: t.ranges())
        if not rel:
            return self.row()
        space = r.sample(rel.ranges(), min(len(rel.ranges()), r.choice([1, 2, 2])))
        q = Query(self)
        a, dims = q.source(rel), []
        for d in space:
            k, n = f"{a}.{d.name}", r.choice([2, 2, 3])
            form = r.choice(["floor", "floor", "floor", "mod", "window"])
            if form == "floor":
                off = r.choice([0, 0, 0, 1])
                e = f"({k} / {n})" if not off else f"(({k} + {off}) / {n})"
                values = sorted({int((v + off) / n) for v in d.values})
            elif form == "mod":
                e, values = f"({k} % {n})", sorted({int(math.fmod(v, n)) for v in d.values})
            else:
                name, o = self.fresh("o"), self.fresh("k")
                self.text.append(f"-- @range\nCREATE TABLE {name} ({o} INTEGER CHECK ({o} BETWEEN 0 AND {max(0, (d.size() - n) // 2)}));\n")
                b = q.source(None, name)
                first = f"{d.low()} + 2 * {b}.{o}"
                q.where.append(f"{k} BETWEEN {first} AND {first} + {n - 1}")
                e, values = f"{b}.{o}", range(max(0, (d.size() - n) // 2) + 1)
            dims.append(Dim(self.fresh("r"), values))
            q.key(e, dims[-1].name)
        dims += self.carry(q, rel, a, [d for d in rel.dims if d not in space])
        out = self.new(dims, r.choice([1, 1, 2]), rel.exact)
        q.cols += [f"{self.aggregate(r.choice(self.values_of(a, rel)), rel.exact)} AS {x}" for x in out.vals]
        return self.emit(out, q.text(True))

    def reduce(self):
        r, rel = self.rng, self.pick_rel()
        q = Query(self)
        a = q.source(rel)
        keep = rel.lead() + [d for d in rel.free() if r.random() < 0.5]
        if keep and keep == rel.dims and r.random() < 0.7:
            keep = keep[:-1] if not keep[-1].lead else keep[1:]
        if r.random() < 0.25:
            q.where.append(self.key_condition(a, rel))
        out = self.new(self.carry(q, rel, a, keep), r.choice([1, 1, 2]), rel.exact, not keep)
        q.cols += [f"{self.aggregate(r.choice(self.values_of(a, rel)), rel.exact)} AS {x}" for x in out.vals]
        text = q.text(True)
        return self.emit(out, text + ("\nHAVING COUNT(*) > 1" if keep and r.random() < 0.08 else ""))

    def product(self):
        """A matrix product, with one weight or several."""
        r, rel = self.rng, self.pick_rel(lambda t: t.free())
        if not rel:
            return self.row()
        over = r.sample(rel.free(), r.randint(1, min(2, len(rel.free()))))
        both = [d for d in rel.free() if d not in over and r.random() < 0.25]
        outs = [Dim(self.fresh("o"), self.values(6)) for _ in range(r.choice([0, 1, 1, 1, 2]))]
        while outs and rel.size() * math.prod(d.size() for d in outs) > MOST_TUPLES:
            outs.pop()
        wdims = over + both + outs
        r.shuffle(wdims)
        w = self.param(wdims)
        of = dict(zip((d.name for d in wdims), w.dims))
        q = Query(self)
        a, b = q.source(rel), q.source(w)
        q.where += [f"{a}.{d.name} = {b}.{of[d.name].name}" for d in over + both]
        e = f"{r.choice(self.values_of(a, rel))} * {b}.{w.vals[0]}"
        for _ in range(r.choice([0, 0, 0, 1, 2])):
            d = r.choice(over + both + outs)
            u = self.param([d])
            c = q.source(u)
            q.where.append(f"{b}.{of[d.name].name} = {c}.{u.dims[0].name}")
            e += f" * {c}.{u.vals[0]}"
        if r.random() < 0.15:
            q.where.append(self.key_condition(a, rel))
        dims = self.carry(q, rel, a, [d for d in rel.dims if d not in over])
        for d in outs:
            dims.append(Dim(self.fresh("o"), d.values))
            q.key(f"{b}.{of[d.name].name}", dims[-1].name)
        out = self.new(dims)
        q.cols.append(f"SUM({e}) AS {out.vals[0]}")
        return self.emit(out, q.text(True))

    def meet(self):
        """Two relations on the keys they have in common."""
        r, rel = self.rng, self.pick_rel()
        other = self.pick_rel()
        some = self.shared(rel, other)
        r.shuffle(some)
        pairs = []
        for d, e in some:
            if d not in [x for x, _ in pairs] and e not in [y for _, y in pairs] and len(pairs) < 2:
                pairs.append((d, e))
        n = rel.size() * other.size() / math.prod(max(d.size(), e.size()) for d, e in pairs) if pairs else MOST_TUPLES
        if not pairs or n > MOST_TUPLES or (rel is other and rel.exact):
            return self.row()
        q = Query(self)
        a, b = q.source(rel), q.source(other)
        self.lead_join(q, rel, a, other, b)
        q.where += [f"{a}.{d.name} {r.choice(['=', '=', '=', '=', '<=', '+ 1 ='] if d.is_int() else ['='])} {b}.{e.name}" for d, e in pairs]
        keep = rel.lead() + [d for d in rel.free() if r.random() < 0.5]
        dims = self.carry(q, rel, a, keep)
        if not rel.lead() and other.lead():
            dims += self.carry(q, other, b, other.lead())
        dims += self.carry(q, other, b, [e for e in other.free() if e not in [y for _, y in pairs] and r.random() < 0.4])
        out = self.new(dims, nullable=not dims)
        x, y = r.choice(self.values_of(a, rel)), r.choice(self.values_of(b, other))
        q.cols.append(f"SUM({r.choice([f'{x} * {y}', f'TANH({x}) * {y}', f'{x} * ({y} - 0.3)'])}) AS {out.vals[0]}")
        return self.emit(out, q.text(True))

    def pairs(self):
        """Attention: every row with every other, or with those before it."""
        r, rel = self.rng, self.pick_rel(lambda t: any(d.is_int() and len(d.values) > 1 for d in t.free()))
        if not rel:
            return self.row()
        d = r.choice([d for d in rel.free() if d.is_int() and len(d.values) > 1])
        over = [x for x in rel.free() if x is not d and r.random() < 0.6]
        if rel.size() * d.size() > MOST_TUPLES:
            return self.row()
        q = Query(self)
        a, b = q.source(rel), q.source(rel)
        q.where += [f"{a}.{x.name} = {b}.{x.name}" for x in rel.dims if x is not d]
        if r.random() < 0.6:
            q.where.append(f"{b}.{d.name} {r.choice(['<=', '<=', '<', '>='])} {a}.{d.name}")
        dims = self.carry(q, rel, a, [x for x in rel.dims if x not in over])
        e = Dim(self.fresh("k"), d.values)
        q.key(f"{b}.{d.name}", e.name)
        if r.random() < 0.3:            # the other sum: over the partner
            q.cols.pop()
            q.group.pop()
        else:
            dims.append(e)
        out = self.new(dims)
        q.cols.append(f"SUM(TANH({a}.{rel.vals[0]} * 0.9) * {b}.{rel.vals[-1]}) AS {out.vals[0]}")
        return self.emit(out, q.text(True))

    def left(self):
        r, rel = self.rng, self.pick_rel(lambda t: t.free())
        if not rel:
            return self.row()
        on = r.sample(rel.free(), r.randint(1, min(2, len(rel.free()))))
        whole = self.tame or r.random() < 0.3
        wdims = [Dim(d.name, d.values if whole or r.random() < 0.7 else d.values[:max(1, d.size() - 1)]) for d in on]
        w = self.param(wdims, sparse=None if whole else r.choice([None, 0.7]))
        q = Query(self)
        a, b = q.source(rel), self.fresh("q")
        q.left(w, b, [f"{a}.{d.name} = {b}.{e.name}" for d, e in zip(on, w.dims)])
        out = self.new(self.carry(q, rel, a, rel.dims))
        x, y = r.choice(self.values_of(a, rel)), f"{b}.{w.vals[0]}"
        e = r.choice([f"{x} * COALESCE({y}, 0.25)", f"{x} + COALESCE({y}, 0.0)", f"CASE WHEN {y} IS NULL THEN 0.5 ELSE {x} * {y} END",
                      f"{x} * {y}", f"COALESCE({x} * {y}, {x})", f"CASE WHEN {y} IS NOT NULL THEN {x} ELSE 0.75 END"])
        out.nullable = e == f"{x} * {y}"
        q.cols.append(f"{e} AS {out.vals[0]}")
        return self.emit(out, q.text())

    def union(self):
        """Branches of one shape or of several; with a number of the branch, or without."""
        r, rel = self.rng, self.pick_rel()
        kinds = [(d.lead, d.is_int()) for d in rel.dims]
        alike = [t for t in self.rels if t.vals and not self.tame or [d.values for d in t.dims] == [d.values for d in rel.dims]]
        others = [t for t in alike if t.vals and sorted(kinds) == sorted((d.lead, d.is_int()) for d in t.dims)]
        parts = [rel] + [r.choice(others[-3:] + [rel]) for _ in range(r.choice([1, 1, 2]))]
        if sum(p.size() for p in parts) > MOST_ROWS:
            return self.row()
        number = r.random() < 0.4
        names = [self.fresh(d.name[0]) for d in rel.dims] + [self.fresh("b")] * number + [self.fresh("x")]
        texts = []
        for i, p in enumerate(parts):
            a, left = self.fresh("q"), list(p.dims)
            cols = []
            for kind in kinds:
                d = next(d for d in left if (d.lead, d.is_int()) == kind)
                left.remove(d)
                cols.append(f"{a}.{d.name}")
            x = r.choice(self.values_of(a, p))
            cols += [str(i)] * number + [r.choice([x, f"{x} * {self.number()}", f"TANH({x})"])]
            texts.append(f"SELECT {', '.join(f'{c} AS {n}' for c, n in zip(cols, names))}\nFROM {p.name} AS {a}")
        dims = [Dim(n, d.values, d.lead) for n, d in zip(names, rel.dims)] + ([Dim(names[-2], range(len(parts)))] if number else [])
        out = Rel(self.fresh("r"), dims, names[-1:], nullable=True)
        return self.emit(out, "\nUNION ALL\n".join(texts))

    def joined(self):
        """Slices of one relation, of several sizes, that continue each other along a key, overlap, or leave gaps."""
        r, rel = self.rng, self.pick_rel(lambda t: t.ranges() and not t.nullable)
        if not rel or rel.size() * 3 > MOST_ROWS:
            return self.row()
        along = r.choice(rel.ranges())
        how = r.choice(["continue", "continue", "continue", "overlap", "gaps"])
        number = how == "overlap" or r.random() < 0.4
        names = [self.fresh(d.name[0]) for d in rel.dims] + [self.fresh("b")] * number + [self.fresh("x")]
        texts, begin = [], r.choice([0, 0, 1, -3])
        low, high = begin, begin
        for i in range(r.choice([2, 2, 3])):
            a = self.fresh("q")
            first = r.choice(along.values)
            last = r.choice([v for v in along.values if v >= first]) if r.random() < 0.7 else first
            if r.random() < 0.4:
                first, last = along.low(), along.high()
            key = f"{a}.{along.name} + {begin - first}" if begin != first else f"{a}.{along.name}"
            if first == last and r.random() < 0.4:
                key = str(begin)
            x = r.choice(self.values_of(a, rel))
            cols = [key if d is along else f"{a}.{d.name}" for d in rel.dims] + [str(i)] * number
            cols.append(r.choice([x, x, f"{x} * {self.number()}", f"TANH({x})"]))
            where = f"\nWHERE {a}.{along.name} BETWEEN {first} AND {last}" if (first, last) != (along.low(), along.high()) else ""
            texts.append(f"SELECT {', '.join(f'{c} AS {n}' for c, n in zip(cols, names))}\nFROM {rel.name} AS {a}{where}")
            low, high = min(low, begin), max(high, begin + last - first)
            begin += last - first + 1 if how == "continue" else last - first + 1 + r.choice([0, 2]) if how == "gaps" else r.choice([0, 1])
        r.shuffle(texts)
        dims = [Dim(n, range(low, high + 1) if d is along else d.values, d.lead) for n, d in zip(names, rel.dims)]
        if number:
            dims.append(Dim(names[-2], range(len(texts))))
        out = self.emit(Rel(self.fresh("r"), dims, names[-1:], nullable=how == "gaps"), "\nUNION ALL\n".join(texts))
        if number and r.random() < 0.5:
            return self.part_of(out)
        return out

    def part_of(self, rel):
        """The rows of one branch, or all but those."""
        r, q = self.rng, Query(self)
        a, tag = q.source(rel), rel.dims[-1]
        q.where.append(f"{a}.{tag.name} {r.choice(['=', '=', '=', '<', '>=', '<>'])} {r.choice(tag.values)}")
        out = self.new(self.carry(q, rel, a, rel.dims[:-1] if r.random() < 0.6 else rel.dims), nullable=True)
        q.cols.append(f"{r.choice(self.values_of(a, rel))} AS {out.vals[0]}")
        return self.emit(out, q.text())

    def softmax(self):
        r, rel = self.rng, self.pick_rel(lambda t: t.free() and not t.nullable)
        if not rel:
            return self.row()
        over = r.choice(rel.free())
        keep = [d for d in rel.dims if d is not over]
        q = Query(self)
        a = q.source(rel)
        total = self.new(self.carry(q, rel, a, keep))
        e = r.choice([f"LN(SUM(EXP({a}.{rel.vals[0]})))", f"LOG(SUM(EXP({a}.{rel.vals[0]})))", f"SUM(EXP({a}.{rel.vals[0]}))"])
        q.cols.append(f"{e} AS {total.vals[0]}")
        self.emit(total, q.text(True))
        q = Query(self)
        a, b = q.source(rel), q.source(total)
        q.where += [f"{a}.{d.name} = {b}.{t.name}" for d, t in zip(keep, total.dims)]
        out = self.new(self.carry(q, rel, a, rel.dims))
        x, y = f"{a}.{rel.vals[0]}", f"{b}.{total.vals[0]}"
        q.cols.append((f"EXP({x}) / {y}" if e.startswith("SUM") else r.choice([f"{x} - {y}", f"EXP({x} - {y})"])) + f" AS {out.vals[0]}")
        return self.emit(out, q.text())

    def pick(self):
        """The greatest of each group, and now and then its number."""
        r, rel = self.rng, self.pick_rel(lambda t: t.free() and not t.nullable)
        if not rel:
            return self.row()
        over = r.sample(rel.free(), r.randint(1, min(2, len(rel.free()))))
        keep = [d for d in rel.dims if d not in over]
        a, b, rn = self.fresh("q"), self.fresh("q"), self.fresh("rn")
        x = r.choice(rel.vals)
        part = f"PARTITION BY {', '.join(f'{a}.{d.name}' for d in keep)} " if keep else ""
        order = ", ".join([f"{a}.{x} {r.choice(['DESC', 'ASC', ''])}"] + [f"{a}.{d.name}{r.choice([' DESC', '', '', ''])}" for d in over])
        names = {d.name: self.fresh(d.name[0]) for d in rel.dims}
        inner = ", ".join(f"{a}.{d.name} AS {names[d.name]}" for d in rel.dims)
        kept = self.new([Dim(names[d.name], d.values, d.lead) for d in rel.dims])
        kept.vals = []
        text = (f"SELECT {', '.join(f'{b}.{n} AS {n}' for n in names.values())}\nFROM (SELECT {inner}, ROW_NUMBER() OVER ({part}ORDER BY {order})"
                f" AS {rn} FROM {rel.name} AS {a}) AS {b}\nWHERE {b}.{rn} {r.choice(['= 1', '= 1', '<= 2', '<= 2', '<= 3'])}")
        self.emit(kept, text)
        q = Query(self)
        a, b = q.source(rel), q.source(kept)
        upto = len(over) == 1 and over[0].is_int() and r.random() < 0.25
        q.where += [f"{a}.{d.name} {'<=' if upto and d is over[0] else '='} {b}.{names[d.name]}" for d in rel.dims]
        dims = self.carry(q, rel, a, keep)
        if upto:
            out = self.new(dims)
            q.cols.append(f"SUM({a}.{x} * 0.8) + 0.1 * COUNT(*) AS {out.vals[0]}")
            return self.emit(out, q.text(True))
        if r.random() < 0.3:
            out = self.new(dims)
            q.cols.append(f"{r.choice(['SUM', 'AVG', 'MAX'])}({a}.{x} * 0.8) + 0.1 * COUNT(*) AS {out.vals[0]}")
            return self.emit(out, q.text(True))
        out = self.new(dims + (self.carry(q, rel, a, over) if r.random() < 0.7 else []))
        q.cols.append(f"{r.choice([f'{a}.{v}' for v in rel.vals])} * 1.1 AS {out.vals[0]}")
        self.emit(out, q.text())
        if len(out.dims) < len(rel.dims) or r.random() < 0.4:
            return out
        return self.of_chosen(out, kept, names, keep, over)

    def of_chosen(self, rel, kept, names, keep, over):
        """Sums over what was chosen, or over something else of it."""
        r, q = self.rng, Query(self)
        a, b = q.source(rel), q.source(kept)
        q.where += [f"{a}.{d.name} = {b}.{k.name}" for d, k in zip(rel.dims, kept.dims)] if len(rel.dims) == len(kept.dims) and \
            [d.values for d in rel.dims] == [d.values for d in kept.dims] else [f"{a}.{d.name} = {b}.{k.name}" for d in rel.dims for k in kept.dims if k.values is d.values]
        some = [d for d in rel.dims if d.lead or r.random() < 0.6]
        out = self.new(self.carry(q, rel, a, some), nullable=not some)
        w = self.number()
        q.cols.append(f"{r.choice([f'SUM(1 / (2 + {a}.{rel.vals[0]} * {a}.{rel.vals[0]}))', f'SUM({a}.{rel.vals[0]} * {w})', f'COUNT(*) + SUM({a}.{rel.vals[0]})', f'MAX({a}.{rel.vals[0]})'])} AS {out.vals[0]}")
        return self.emit(out, q.text(True))

    def label(self):
        """One row a key, whose other column is a key: the number at a label."""
        r, rel = self.rng, self.pick_rel(lambda t: t.lead() and any(d.is_int() and d.values for d in t.free()))
        if not rel:
            return self.row()
        d = r.choice([d for d in rel.free() if d.is_int() and d.values])
        lead = self.lead_dim()[0]
        name, label = self.fresh("l"), self.fresh("k")
        ragged = not self.tame and r.random() < 0.4
        rows = [[n, r.choice(d.values)] for n in lead.values if not ragged or r.random() < 0.8]
        if r.random() < 0.4:
            rows = [[n, d.values[i % d.size()]] for i, (n, _) in enumerate(rows)]
        r.shuffle(rows)
        self.tables[name] = ([(lead.name, "INTEGER"), (label, "INTEGER")], rows)
        self.heads.append(f"-- @data(batch = {lead.name})\nCREATE TABLE {name} ({lead.name} INTEGER, {label} INTEGER);\n")
        q = Query(self)
        a, b = q.source(rel), q.source(Rel(name, [lead, Dim(label, d.values)], []))
        k, at = f"{a}.{d.name}", f"{b}.{label}"
        form = r.choice(["at", "at", "at", "sum", "upto", "case", "by", "by", "add"])
        q.where.append(f"{a}.{rel.lead()[0].name} = {b}.{lead.name}")
        if form in ("at", "sum", "upto"):
            q.where.append(f"{k} <= {at}" if form == "upto" else r.choice([f"{k} = {at}", f"{at} = {k}", f"{k} / 2 = {at} / 2"]))
        x = r.choice(self.values_of(a, rel))
        if form in ("sum", "upto"):
            out = self.new(self.carry(q, rel, a, rel.lead() + [e for e in rel.free() if e is not d and r.random() < 0.5]))
            q.cols.append(f"SUM({x} * {x} - {x}) + 0.1 * COUNT(*) AS {out.vals[0]}")
            return self.emit(out, q.text(True))
        if form == "by":                # over the batch: for each label
            dims = [Dim(self.fresh("k"), d.values)] + self.carry(q, rel, a, [e for e in rel.free() if r.random() < 0.4])
            q.key(at, dims[0].name)
            out = self.new(dims)
            q.cols.append(f"{r.choice(['SUM', 'AVG'])}({x} * 0.7) AS {out.vals[0]}")
            return self.emit(out, q.text(True))
        out = self.new(self.carry(q, rel, a, rel.dims))
        e = {"at": f"-{x}", "case": f"CASE WHEN {k} = {at} THEN {x} ELSE 0.1 * {x} END", "add": f"{x} + 0.2 * {at}"}[form]
        q.cols.append(f"{e} AS {out.vals[0]}")
        return self.emit(out, q.text())

    def gather(self):
        """Through a table of what meets what: an embedding, a graph."""
        r, rel = self.rng, self.pick_rel(lambda t: t.free())
        if not rel:
            return self.row()
        d = r.choice(rel.free())
        new = self.dim(most=6)
        e = self.table([Dim(self.fresh("i"), d.values), new], "e", sparse=r.choice([0.3, 0.5, 0.5, 0.0, 1.0]))
        if rel.size() * new.size() > MOST_TUPLES:
            return self.row()
        q = Query(self)
        a, b = q.source(rel), q.source(e)
        q.where.append(f"{a}.{d.name} = {b}.{e.dims[0].name}")
        dims = self.carry(q, rel, a, [x for x in rel.dims if x is not d]) + self.carry(q, e, b, [e.dims[1]])
        out = self.new(dims)
        q.cols.append(f"SUM({r.choice(self.values_of(a, rel))} * {b}.{e.vals[0]}) AS {out.vals[0]}")
        return self.emit(out, q.text(True))

    def window(self):
        r, rel = self.rng, self.pick_rel()
        q = Query(self)
        a = q.source(rel)
        part = rel.lead() + [d for d in rel.free() if r.random() < 0.5]
        out = self.new(self.carry(q, rel, a, rel.dims), nullable=rel.nullable)
        x = r.choice(self.values_of(a, rel))
        f = r.choice(["SUM", "AVG", "MAX", "COUNT"] if not rel.exact else ["SUM", "AVG", "COUNT"])
        over = f"PARTITION BY {', '.join(f'{a}.{d.name}' for d in part)}" if part else ""
        q.cols.append(f"{x} - 0.4 * {f}({x}) OVER ({over}) AS {out.vals[0]}")
        return self.emit(out, q.text())

    def model(self):
        r = self.rng
        self.make_data()
        some = [self.row, self.conv, self.conv, self.pool, self.pool, self.product, self.product, self.bias, self.reduce, self.meet, self.pairs,
                self.left, self.union, self.joined, self.joined, self.softmax, self.pick, self.plain] + [self.gather, self.window] * (not self.tame)
        some += [self.label] * 2 * self.batched
        for _ in range(r.randint(2, 6)):
            r.choice(some)()
        self.loss()
        r.shuffle(self.heads)
        return "\n".join(self.heads + self.text)

    def loss(self):
        r = self.rng
        last = [t for t in self.rels if t.name in self.shown and t.vals][-r.choice([1, 2, 3]):]
        if not self.params:
            last.append(self.param([self.dim(text=0)]))
        terms = []
        for t in last:
            a = self.fresh("q")
            ints = [f"{a}.{d.name}" for d in t.free() if d.is_int()]
            x = " + ".join(f"{a}.{v}" for v in t.vals)
            weight = f" * ({ints[-1]} + 10.5)" if ints else ""
            terms.append(f"COALESCE((SELECT {r.choice(['SUM', 'AVG'])}(LN(1.5 + ({x} - 0.3) * ({x} - 0.3)){weight}) FROM {t.name} AS {a}), 0.7)")
        self.text.append(f"-- @loss\nCREATE TABLE loss AS\nSELECT {' + '.join(terms)} + 0.0 AS val;\n")
