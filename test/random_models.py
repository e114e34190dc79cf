# SPDX-License-Identifier: Apache-2.0
"""Random models: every engine, SQLite itself, shuffled rows, threads and finite differences must agree on each.

random_models.py [--bin PATH] [--seeds A..B] [--seconds N] [--keep DIR]   prints `ok …`, or the first lines of each
disagreement.  The model of a seed is always the same; --keep DIR leaves the folder of those that fail; --refused lists
what was refused, and why.

Data has what models in practice have: bags, NULL keys and values, negative keys, empty tables, ties, keys that meet
nothing, text keys.  Every name is qualified and no alias repeats a column, so that SQLite reads the text as sqlgrad
does; where a form means something else there, or nothing, only the canonical dump goes to SQLite.

Training by both engines must give the same losses; every third seed is a batched model, whose data has a batch key."""
import argparse
import collections
import json
import math
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from runner.scratch import ENV, shuffle_tables  # noqa: E402

TEXT = ["a", "B", "it's", "", "zz"]

Table = collections.namedtuple("Table", "ints texts reals rows")
Relation = collections.namedtuple("Relation", "name ints texts reals active", defaults=(True,))


# ---- data ----

def real(rng):
    return rng.choice([0.5, -1.0]) if rng.random() < 0.1 else round(rng.uniform(-2, 2), 3)


def key(rng, n, null=0.15):
    low = rng.choice([0, 0, 0, -2])
    return None if rng.random() < null else rng.randrange(low, n)


def plain_data(rng):
    box = rng.random() < 0.4
    ks = list(range(rng.randint(2, 5))) if box else sorted(rng.sample(range(-2, 6), rng.randint(1, 5)))
    ij = [(i, j) for i in range(3) for j in range(rng.choice([2, 3])) if box or rng.random() < 0.7] or [(0, 0)]
    null = rng.choice([0, 0.15])
    return {
        "w": Table(["k"], [], ["x"], [(k, real(rng)) for k in ks]),
        "v": Table(["i", "j"], [], ["y", "u"], [(i, j, real(rng), real(rng)) for i, j in ij]),
        "d": Table(["k", "g"], [], ["b"], [(key(rng, 5, null), key(rng, 3, null), None if rng.random() < null else real(rng))
                                           for _ in range(rng.choice([0, 1, 4, 6, 8]))]),
        "e": Table(["i", "j"], ["s"], [], [(key(rng, 4, null), key(rng, 4, null), rng.choice(TEXT + [None]))
                                           for _ in range(rng.randint(0 if rng.random() < 0.2 else 1, 7))]),
        "t": Table([], ["s"], ["z"], [(s, real(rng)) for s in rng.sample(TEXT, 3)]),
    }


def batched_data(rng):
    """m and h are drawn by n; m is a product table (lanes), or ragged."""
    ns = rng.choice([list(range(5)), [-3, 0, 1, 4, 9], list(range(10, 14))])
    fs = range(rng.randint(2, 4))
    full = rng.random() < 0.6
    m = [(n, f, real(rng)) for n in ns for f in fs if full or rng.random() < 0.7]
    if not full and m and rng.random() < 0.5:
        m += rng.choices(m, k=2)                    # a bag
    return {
        "w": Table(["f", "o"], [], ["x"], [(f, o, real(rng)) for f in fs for o in range(2)]),
        "v": Table(["o"], [], ["y"], [(o, real(rng)) for o in range(3)]),
        "e": Table(["f", "c"], [], ["b"], [(key(rng, 4), key(rng, 3, 0), real(rng)) for _ in range(rng.randint(1, 5))]),
        "m": Table(["n", "f"], [], ["a"], m),
        "h": Table(["n", "l"], [], ["p"], [(n, rng.randrange(3), real(rng)) for n in ns if full or rng.random() < 0.8]),
    }


# ---- writing a model ----

class Writer:
    """Writes one model.  `lead` is the batch key, which goes through every statement but a few."""

    def __init__(self, rng, tables, params, lead=None):
        self.rng, self.text, self.n, self.lead = rng, [], 0, lead
        self.unrolled = []                          # the text as SQLite has it: loops written out
        self.rels = [Relation(n, t.ints, t.texts, t.reals, n in params) for n, t in tables.items()]
        self.tables = len(self.rels)
        self.host = True                            # SQLite means the same by the text itself

    def fresh(self, stem):
        self.n += 1
        return f"{stem}{self.n}"

    # -- expressions over a scope: (ints, texts, reals), all qualified

    def literal(self):
        return f"{self.rng.uniform(0.1, 1.9):.2f}"

    def int_expr(self, s, depth=1):
        r = self.rng
        if not s[0]:
            return str(r.randint(0, 3))
        e = r.choice(s[0])
        if depth == 0 or r.random() < 0.6:
            return e
        f = self.int_expr(s, depth - 1)
        return r.choice([f"({e} + {r.randint(1, 2)})", f"({e} / 2)", f"({e} % 2)", f"({e} * 2 - {f})", f"({e} + {f})",
                         f"COALESCE({e}, {r.randint(0, 5)})", f"NULLIF({e}, 1)", f"(-{e})", f"({e} * {f})", f"(3 - {e})",
                         f"CASE WHEN {e} > 1 THEN {f} ELSE {r.randint(0, 2)} END", f"ABS({e} - 2)", f"(({e} + 7) % 3)",
                         f"MAX({e}, {f})", f"MIN({e}, 1)", f"({e} / {f})", f"({e} % {f})", f"({e} - {f})",
                         f"CASE {e} WHEN 0 THEN {f} WHEN 1 THEN 3 END", f"COALESCE(NULLIF({e}, {f}), 0)"]
                        + ([self.int_scalar()] if r.random() < 0.2 else []))

    def int_scalar(self):
        r, q = self.rng, self.fresh("q")
        rel = r.choice([t for t in self.rels if t.ints])
        return f"(SELECT {r.choice(['MAX', 'MIN', 'SUM', 'COUNT'])}({q}.{r.choice(rel.ints)}) FROM {rel.name} AS {q})"

    def text_expr(self, s):
        r = self.rng
        t = r.choice(s[1])
        return r.choice([t, t, t, f"COALESCE({t}, 'B')", f"NULLIF({t}, 'a')", f"CASE WHEN {self.condition(s)} THEN {t} ELSE 'zz' END",
                         f"CASE WHEN {self.condition(s)} THEN 'a' END"])

    def real_expr(self, s, depth=2):
        r = self.rng
        if not s[2]:
            return f"{self.literal()} * {self.int_expr(s, 0)}"
        a = r.choice(s[2])
        if depth == 0 or r.random() < 0.2:
            return a
        a, b = self.real_expr(s, depth - 1), self.real_expr(s, depth - 1)
        k = self.int_expr(s, 0)
        return r.choice([
            f"({a} * {b})", f"({a} * {b})", f"({a} + {b})", f"({a} - {b})", f"SIN({a})", f"TANH({a})", f"EXP(-({a} * {a}))",
            f"(- {a})", f"({a} / (1.5 + {b} * {b}))", f"LN(1.2 + {a} * {a})", f"SQRT(0.3 + {a} * {a})", f"({k} * {a})",
            f"ATAN({a})", f"COALESCE({a}, {b})", f"COALESCE({a}, {self.literal()})", f"MAX({a}, {self.literal()})",
            f"CASE WHEN {self.condition(s)} THEN {a} ELSE {b} END", f"CASE WHEN {self.condition(s)} THEN {a} END",
            f"MIN({a}, {b})", f"COS({a})", f"ABS({a} - 0.777)", f"POW({a}, 2)", f"({a} / 2)", f"POW(1.5, TANH({a}))",
            f"MAX({a}, 0.0)", f"NULLIF({a}, 0.5)", f"(1.0 * SIGN({a} - 0.0371))", f"FLOOR({a} + 0.1234)", f"({a} + {k})",
            f"CAST({k} AS REAL) * {a}", f"({a} - {b}) * ({a} - {b})"])

    def condition(self, s, values=True):
        r = self.rng
        k, l = self.int_expr(s), self.int_expr(s)
        some = [f"{k} = {l}", f"{k} <> {r.randint(0, 2)}", f"{k} BETWEEN {r.randint(-1, 1)} AND {r.randint(0, 2)}",
                f"{k} IN (0, {r.randint(1, 3)})", f"{k} IS NOT NULL", f"NOT ({k} > {l})", f"({k} < 2 OR {l} IS NULL)",
                f"{k} IS NOT DISTINCT FROM {l}", f"{k} NOT IN (1, {l})", f"NOT ({k} < 1 AND {l} >= 0)", f"{k} IS DISTINCT FROM {l}",
                f"{k} * {l} <= 2"]
        if s[1]:
            t = r.choice(s[1])
            some += [f"{t} > 'B'", f"{t} IS NULL", f"{t} <> ''", f"{t} = {r.choice(s[1])}", f"{t} IN ('a', 'zz', 'nope')"]
        if values and s[2]:
            x = r.choice(s[2])
            some += [f"{x} > {r.uniform(-1, 1):.4f}"] * 2 + [f"{x} IS NOT NULL", f"({x} < 0.3177 OR {k} = 1)"]
        return r.choice(some)

    # -- FROM

    def relation(self, first):
        r = self.rng
        some = [t for t in self.rels if self.lead in t.ints] if self.lead and first else self.rels
        return r.choice(some[-4:] if r.random() < 0.6 else some)

    def table_text(self, rel):
        """A source: a name, or now and then a subquery that passes its columns on."""
        r = self.rng
        if r.random() > 0.1 or not rel.ints + rel.reals:
            return rel.name
        q = self.fresh("q")
        scope = tuple([f"{q}.{c}" for c in cols] for cols in (rel.ints, rel.texts, rel.reals))
        cols = ", ".join(f"{q}.{c} AS {c}" for c in rel.ints + rel.texts + rel.reals)
        w = f" WHERE {self.condition(scope)}" if r.random() < 0.7 else ""
        return f"(SELECT {cols} FROM {rel.name} AS {q}{w})"

    def source(self, many=None):
        """(FROM text, WHERE conjuncts, scope)"""
        r = self.rng
        n = many or r.choice([1, 1, 2, 2, 2, 3, 4])
        comma = r.random() < 0.25
        text, where, scope, rels = "", [], ([], [], []), []
        for k in range(n):
            rel, alias = self.relation(not k), self.fresh("q")
            mine = tuple([f"{alias}.{c}" for c in cols] for cols in (rel.ints, rel.texts, rel.reals))
            on = self.link(scope, mine) if k else None
            if k and self.lead in rel.ints and r.random() < 0.9:
                on = f"{scope[0][0]} = {alias}.{self.lead}" + (f" AND {on}" if r.random() < 0.4 else "")
            common = sorted(set(rel.ints + rel.texts).intersection(*[x.ints + x.texts for x in rels])) if rels else []
            for all_, new in zip(scope, mine):
                all_.extend(new)
            source = self.table_text(rel)
            if not k:
                text = f"{source} AS {alias}"
            elif comma:
                text += f", {source} AS {alias}"
                where.append(on)
            elif len(rels) == 1 and common and r.random() < 0.3:
                kind = "JOIN" if r.random() < 0.7 else "LEFT JOIN"
                text += f" {kind} {source} AS {alias} USING ({', '.join(common[:r.randint(1, 2)])})"
            elif r.random() < 0.3:
                extra = f" AND {self.condition(scope)}" if r.random() < 0.3 else ""
                text += f" LEFT JOIN {source} AS {alias} ON {on}{extra}"
            else:
                text += f" JOIN {source} AS {alias} ON {on}"
            rels.append(rel)
        if r.random() < 0.3:
            where.append(self.condition(scope))
        if r.random() < 0.15:
            where.append(self.semi_join(scope))
        return text, where, scope

    def link(self, old, new):
        r = self.rng
        some = []
        if old[0] and new[0]:
            a, b = r.choice(old[0]), r.choice(new[0])
            some += [f"{a} = {b}"] * 6 + [f"{a} + 1 = {b}", f"{a} < {b}", f"{a} = {b} / 2", f"{a} IS NOT DISTINCT FROM {b}",
                                          f"{a} - {b} BETWEEN 0 AND 1", f"{a} * {a} = {b}", f"{a} % 2 = {b} % 2", f"2 * {b} = {a}",
                                          f"ABS({a} - {b}) = 1", f"({a} = {b} OR {b} = 0)", f"{a} + {b} = 2"]
            if len(old[0]) > 1 and len(new[0]) > 1:
                some += [f"{a} = {b} AND {r.choice(old[0])} = {r.choice(new[0])}"] * 3
        if old[1] and new[1]:
            some += [f"{r.choice(old[1])} = {r.choice(new[1])}"] * 4
        return r.choice(some or ["1 = 1"])

    def semi_join(self, s):
        r = self.rng
        rel = r.choice([t for t in self.rels if t.ints] if r.random() < 0.5 else [t for t in self.rels if t.name == "e"])
        e, j = self.fresh("q"), r.choice(rel.ints)
        if not s[0]:
            return f"EXISTS (SELECT 1 FROM {rel.name} AS {e} WHERE {e}.{j} > 1)"
        k, i = r.choice(s[0]), r.choice(rel.ints)
        some = [f"{k} IN (SELECT {e}.{j} FROM {rel.name} AS {e})", f"{k} NOT IN (SELECT {e}.{j} FROM {rel.name} AS {e} WHERE {e}.{j} > 0)",
                f"EXISTS (SELECT 1 FROM {rel.name} AS {e} WHERE {e}.{i} = {k})", f"{k} NOT IN (SELECT {e}.{j} FROM {rel.name} AS {e})",
                f"NOT EXISTS (SELECT 1 FROM {rel.name} AS {e} WHERE {e}.{j} = {k})",
                f"EXISTS (SELECT 1 FROM {rel.name} AS {e} WHERE {e}.{i} = {k} AND {e}.{j} > 0)"]
        if s[2] and rel.reals:
            some.append(f"{r.choice(s[2])} > (SELECT AVG({e}.{r.choice(rel.reals)}) FROM {rel.name} AS {e})")
        return r.choice(some)

    # -- statements: (text, ints, texts, reals)

    def select(self, text, where, columns, tail="", distinct=""):
        w = f"\nWHERE {' AND '.join(where)}" if where else ""
        return f"SELECT {distinct}{', '.join(columns)}\nFROM {text}{w}{tail}"

    def columns(self, scope, n_int, n_text, n_real, make=None):
        lead = [self.lead] if self.lead and self.rng.random() < 0.95 else []
        ints = [self.fresh("k") for _ in range(n_int)]
        texts = [self.fresh("s") for _ in range(n_text if scope[1] else 0)]
        reals = [self.fresh("x") for _ in range(n_real)]
        cols = [f"{scope[0][0]} AS {c}" for c in lead]
        cols += [f"{self.int_expr(scope)} AS {c}" for c in ints] + [f"{self.text_expr(scope)} AS {c}" for c in texts]
        cols += [f"{(make or self.real_expr)(scope)} AS {c}" for c in reals]
        return cols, lead + ints, texts, reals

    def row(self):
        text, where, s = self.source()
        cols, i, t, x = self.columns(s, self.rng.randint(0, 2), self.rng.randint(0, 1), self.rng.randint(1, 2))
        return self.select(text, where, cols), i, t, x

    def distinct(self):
        text, where, s = self.source()
        cols, i, t, _ = self.columns(s, self.rng.randint(1, 2), self.rng.randint(0, 1), 0)
        return self.select(text, where, cols, "", "DISTINCT "), i, t, []

    def partition(self, s):
        r = self.rng
        keys = [s[0][0]] if self.lead and r.random() < 0.9 else []
        keys += [r.choice(s[0])] if s[0] and r.random() < 0.6 else []
        keys += [r.choice(s[1])] if s[1] and r.random() < 0.2 else []
        return f"PARTITION BY {', '.join(keys)}" if keys else ""

    def window(self):
        text, where, s = self.source()
        part = self.partition(s)

        def make(scope):
            a = self.rng.choice(["SUM", "MAX", "MIN", "AVG", "COUNT"])
            return f"{self.real_expr(scope, 1)} - 0.3 * {a}({self.real_expr(scope, 1)}) OVER ({part})"
        cols, i, t, x = self.columns(s, self.rng.randint(1, 2), 0, 1, make)
        return self.select(text, where, cols), i, t, x

    def pick(self):
        """The first rows of each group, or of all; ordered by every column, so that ties are equal rows."""
        r = self.rng
        text, where, s = self.source(r.choice([1, 1, 2]))
        cols, i, t, x = self.columns(s, r.randint(0, 2), r.randint(0, 1), r.randint(1, 2))
        body = {c.rsplit(" AS ", 1)[1]: c.rsplit(" AS ", 1)[0] for c in cols}
        order = ", ".join(f"{body[c]}{r.choice(['', ' DESC'])}" for c in r.sample(x, len(x)) + [c for c in i + t if not body[c].isdigit()])
        if r.random() < 0.3 and not self.lead:
            return self.select(text, where, cols, f"\nORDER BY {order} LIMIT {r.randint(1, 3)}"), i, t, x
        q, rn = self.fresh("q"), self.fresh("rn")
        inner = self.select(text, where, cols + [f"ROW_NUMBER() OVER ({self.partition(s)} ORDER BY {order}) AS {rn}"])
        out = ", ".join(f"{q}.{c} AS {c}" for c in i + t + x)
        if r.random() < 0.2:
            return f"SELECT {out}, {q}.{rn} AS {rn}\nFROM ({inner}) AS {q}", i + [rn], t, x
        return f"SELECT {out}\nFROM ({inner}) AS {q}\nWHERE {q}.{rn} <= {r.randint(1, 2)}", i, t, x

    def reduce(self):
        r = self.rng
        text, where, s = self.source()
        lead = [self.lead] if self.lead and r.random() < 0.9 else []
        keys = s[0][:len(lead)] + [self.int_expr(s) for _ in range(r.choice([0, 1, 1, 2]))]
        n_ints = len(keys)
        keys += [self.text_expr(s)] if s[1] and r.random() < 0.3 else []
        names = lead + [self.fresh("k" if k < n_ints else "s") for k in range(len(lead), len(keys))]
        x = [self.fresh("x") for _ in range(r.randint(1, 2))]
        cols = [f"{k} AS {n}" for k, n in zip(keys, names)]
        for n in x:
            a, b = self.aggregate(s), self.aggregate(s)
            cols.append(r.choice([f"{a} AS {n}", f"{a} AS {n}", f"{a} * {b} AS {n}", f"{a} - 0.5 * COUNT(*) AS {n}", f"SIN({a}) AS {n}",
                                  f"{a} / (1.0 + COUNT({b[b.index('(') + 1:-1]})) AS {n}", f"COALESCE({a}, 0.25) AS {n}",
                                  f"CASE WHEN COUNT(*) > 1 THEN {a} ELSE {b} END AS {n}"]))
        real_keys = [k for k in keys if not k.isdigit()]
        if keys and not real_keys:
            return self.reduce()
        if keys and r.random() < 0.2:       # the alias, which SQLite takes too where no column has its name
            real_keys = [k if k in s[0] + s[1] else n for k, n in zip(keys, names) if not k.isdigit()]
        tail = f"\nGROUP BY {', '.join(real_keys)}" if keys else ""
        if keys and r.random() < 0.2:
            tail += "\nHAVING COUNT(*) > 1" if r.random() < 0.5 else f"\nHAVING {self.aggregate(s)} > {r.uniform(-1, 1):.4f}"
        ints, texts = names[:n_ints], names[n_ints:]
        if r.random() < 0.4:
            ints = ints + [self.fresh("k")]
            cols.append(r.choice([f"COUNT(*) AS {ints[-1]}", f"{r.choice(['MAX', 'MIN', 'SUM'])}({self.int_expr(s)}) AS {ints[-1]}",
                                  f"COUNT(DISTINCT {self.int_expr(s, 0)}) AS {ints[-1]}", f"COUNT({self.int_expr(s)}) AS {ints[-1]}"]))
        if s[1] and r.random() < 0.1:
            texts = texts + [self.fresh("s")]
            cols.append(f"{r.choice(['MAX', 'MIN'])}({self.text_expr(s)}) AS {texts[-1]}")
        return self.select(text, where, cols, tail), ints, texts, x

    def aggregate(self, s):
        return f"{self.rng.choice(['SUM', 'SUM', 'MAX', 'MIN', 'AVG'])}({self.real_expr(s, 2)})"

    def alias(self):
        """A bare name in GROUP BY and WHERE that is a column and an alias: ours, not SQLite's."""
        r = self.rng
        rel = r.choice([t for t in self.rels if t.ints and t.reals and (not self.lead or self.lead in t.ints and len(t.ints) > 1)])
        k, x = rel.ints[-1], rel.reals[0]
        e = r.choice([f"{k} / 2", f"{k} % 2", f"{k} + 1", f"ABS({k})"])
        self.host = False
        lead = f"{self.lead}, " if self.lead else ""
        return (f"SELECT {lead}{e} AS {k}, {r.choice(['SUM', 'MAX'])}({x}) AS {x}\nFROM {rel.name}\nGROUP BY {lead}{k}",
                ([self.lead] if self.lead else []) + [k], [], [x])

    def bare(self):
        """A column beside aggregates that follows from the keys."""
        r = self.rng
        one, text = r.choice([("w", "k"), ("v", "i, j")]) if not self.lead else ("v", "o"), "b"
        one, keys = one[0], one[1].split(", ")
        rel = next(t for t in self.rels if t.name == one)
        other = r.choice([t for t in self.rels if t.ints and t.reals and (not self.lead or self.lead in t.ints)])
        p, q, name = self.fresh("q"), self.fresh("q"), self.fresh("x")
        lead = [f"{q}.{self.lead}"] if self.lead else []
        on = " AND ".join(f"{p}.{k} = {q}.{r.choice(other.ints)}" for k in keys)
        group = lead + [f"{p}.{k}" for k in keys]
        ints = [self.lead] * len(lead) + [self.fresh("k") for _ in keys]
        text = ", ".join(f"{g} AS {n}" for g, n in zip(group, ints))
        return (f"SELECT {text}, {r.choice(['SUM', 'AVG'])}({q}.{other.reals[0]}) * {p}.{rel.reals[0]} + {p}.{rel.reals[-1]} AS {name}\n"
                f"FROM {one} AS {p} JOIN {other.name} AS {q} ON {on}\nGROUP BY {', '.join(group)}", ints, [], [name])

    def union(self):
        parts, i, x = [], [self.fresh("k")], [self.fresh("x")]
        for k in range(self.rng.randint(2, 3)):
            text, where, s = self.source(1)
            a, b = f"(0 + {self.int_expr(s)})", self.real_expr(s, 1)
            lead = [s[0][0] + (f" AS {self.lead}" if not k else "")] if self.lead else []
            parts.append(self.select(text, where, lead + ([f"{a} AS {i[0]}", f"{b} AS {x[0]}"] if not k else [a, b])))
        return "\nUNION ALL\n".join(parts), ([self.lead] if self.lead else []) + i, [], x

    def scalar(self):
        r = self.rng
        text, where, s = self.source(1)
        q, rel = self.fresh("q"), r.choice([t for t in self.rels if t.reals])
        inner = f"(SELECT {r.choice(['SUM', 'MAX', 'AVG'])}({q}.{r.choice(rel.reals)}) FROM {rel.name} AS {q}"
        if self.lead and self.lead in rel.ints:
            inner += f" WHERE {q}.{self.lead} = {s[0][0]}"
        elif s[0] and rel.ints and r.random() < 0.5:
            inner += f" WHERE {q}.{r.choice(rel.ints)} = {r.choice(s[0])}"
        cols, i, t, x = self.columns(s, 1, 0, 1, lambda sc: f"{self.real_expr(sc, 1)} * COALESCE({inner}), 0.4)")
        return self.select(text, where, cols), i, t, x

    def dynamic(self):
        """A key made of values."""
        text, where, s = self.source(1)
        if not s[2]:
            return self.row()
        cols, i, t, x = self.columns(s, 0, 0, 2)
        k = self.fresh("k")
        e = self.rng.choice([f"CAST({s[2][0]} > 0.1117 AS INTEGER)", f"CASE WHEN {s[2][0]} > 0.0717 THEN 1 ELSE 2 END"])
        return self.select(text, where, cols + [f"{e} AS {k}"]), i + [k], t, x

    # -- loops

    def of_steps(self, h, t, k, x):
        """FROM text, WHERE conjuncts and scope: steps of h so far, now and then joined with something."""
        r, q = self.rng, self.fresh("q")
        which = r.choice([f"{q}.{t} = :{t} - 1"] * 4 + [f"{q}.{t} < :{t}", f"{q}.{t} >= :{t} - 2", f"{q}.{t} = 0", None])
        lead = [f"{q}.{self.lead}"] if self.lead else []
        text, where, scope = f"{h} AS {q}", [which] if which else [], (lead + [f"{q}.{k}", f":{t}"], [], [f"{q}.{c}" for c in x])
        if r.random() < 0.5:
            rel, p = r.choice([a for a in self.rels if a.ints]), self.fresh("q")
            mine = tuple([f"{p}.{c}" for c in cols] for cols in (rel.ints, rel.texts, rel.reals))
            on = self.link((scope[0][:-1], [], []), mine)
            if self.lead in rel.ints:
                on = f"{lead[0]} = {p}.{self.lead} AND {on}"
            text += f" {r.choice(['JOIN', 'JOIN', 'LEFT JOIN'])} {self.table_text(rel)} AS {p} ON {on}"
            for all_, new in zip(scope, mine):
                all_.extend(new)
        return text, where, scope

    def of_groups(self, source, t, k, x):
        """A row for each of a few groups, its numbers small: columns in the order of t, k, x …"""
        r = self.rng
        text, where, s = source
        lead = s[0][:1] if self.lead else []
        key = r.choice([s[0][len(lead)], f"({self.int_expr(s)} % 3)", f"({s[0][len(lead)]} + 1) % 3"])
        body = lead + [t, key] + [f"SIN({self.aggregate(s)})" for _ in x]
        return text, where, body, lead + [key]

    def keyed(self, many):
        """A source that has a key, besides the batch's."""
        while True:
            found = self.source(many)
            if len(found[2][0]) > bool(self.lead):
                return found

    def add_rows(self, h, cols, source, t, k, x):
        text, where, body, group = self.of_groups(source, t, k, x)
        order = self.rng.sample(range(len(cols)), len(cols)) if self.rng.random() < 0.6 else range(len(cols))
        named = f" ({', '.join(cols[c] for c in order)})" if list(order) != sorted(order) else ""
        return f"INSERT INTO {h}{named}\n" + self.select(text, where, [body[c] for c in order], f"\nGROUP BY {', '.join(group)}") + ";\n"

    def loop(self):
        """A table that every step adds to, perhaps through a table made anew; SQLite gets the steps written out."""
        r = self.rng
        h, t, k, x = self.fresh("h"), self.fresh("t"), self.fresh("k"), [self.fresh("x") for _ in range(r.randint(1, 2))]
        cols = ([self.lead] if self.lead else []) + [t, k] + x
        types = ", ".join(f"{c} {'REAL' if c in x else 'INTEGER'}" for c in cols)
        first = self.add_rows(h, cols, self.keyed(r.choice([1, 1, 2])), "0", k, x)
        head, last = f"CREATE TABLE {h} ({types});\n\n{first}\n", r.randint(1, 4)
        body, steps = [], Relation(h, cols[:-len(x)], [], x)
        if r.random() < 0.5:
            name, y = self.fresh("r"), [self.fresh("x")]
            text, where, columns, group = self.of_groups(self.of_steps(h, t, k, x), f":{t}", k, y)
            names = ([self.lead] if self.lead else []) + [self.fresh("k"), self.fresh("k")]
            columns = [f"{c} AS {n}" for c, n in zip(columns, names + y)]
            body.append(f"CREATE TABLE {name} AS\n" + self.select(text, where, columns, f"\nGROUP BY {', '.join(group)}") + ";\n")
            self.rels.append(Relation(name, names, [], y))
        for _ in range(r.choice([1, 1, 2])):
            source = self.of_steps(h, t, k, x) if not body or r.random() < 0.5 else self.keyed(1)
            body.append(self.add_rows(h, cols, source, f":{t}", k, x))
        after = first if r.random() < 0.2 else ""
        self.text.append(f"{head}-- @for {t} = 1 .. {last}\n{''.join(body)}-- @end\n\n{after}")
        self.unrolled.append(head + "".join(re.sub(r"^CREATE TABLE (\w+)", r"DROP TABLE IF EXISTS \1;\nCREATE TABLE \1", s.replace(f":{t}", str(i)))
                                            for i in range(1, last + 1) for s in body) + after)
        self.rels.append(steps)

    def model(self):
        r = self.rng
        some = [self.row, self.reduce, self.reduce] * 3 + [self.window, self.union, self.scalar, self.pick, self.pick, self.distinct,
                                                           self.alias, self.bare, self.dynamic]
        for _ in range(r.randint(2, 6)):
            if r.random() < 0.12:
                self.loop()
                continue
            name, kind = self.fresh("r"), r.choice(some)
            text, i, t, x = kind()
            if r.random() < 0.1:
                c = self.fresh("c")
                text = f"WITH {c} AS ({text})\nSELECT * FROM {c}"
            self.text.append(f"CREATE {'VIEW' if r.random() < 0.1 else 'TABLE'} {name} AS\n{text};\n")
            self.unrolled.append(self.text[-1])
            self.rels.append(Relation(name, i, t, x))
        shown = [t.name for t in self.rels[self.tables:]]
        terms = []
        for t in [t for t in self.rels[self.tables:] if t.reals][-3:]:
            weight = f"(COALESCE({t.ints[-1]}, 4) + 1.5)" if t.ints else "1.0"
            terms.append(f"COALESCE((SELECT SUM(LN(1.5 + ({' + '.join(t.reals)} - 0.3) * ({' + '.join(t.reals)} - 0.3)) * {weight}) FROM {t.name}), 0.7)")
        self.text.append(f"-- @loss\nCREATE TABLE loss AS\nSELECT {' + '.join(terms or ['1.0'])} + 0.0 AS val;\n")
        self.unrolled.append(self.text[-1])
        return "\n".join(self.text), shown + ["loss"]


# ---- running one ----

class Wrong(Exception):
    """What disagrees."""


class Refused(Exception):
    """The model is outside the language, and that was said."""


def make_db(path, tables):
    con = sqlite3.connect(path)
    for name, t in tables.items():
        cols = [f"{c} INTEGER" for c in t.ints] + [f"{c} TEXT" for c in t.texts] + [f"{c} REAL" for c in t.reals]
        con.execute(f"CREATE TABLE {name} ({', '.join(cols)})")
        con.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(cols))})", t.rows)
    con.commit()
    con.close()


def rows_of(text):
    out = {}
    for line in text.splitlines():
        obj = json.loads(line)
        out.setdefault(obj.pop("table"), []).append(tuple(obj.values()))
    return out


def canonical(rows):
    """Sorted, numbers by six digits, so that a last digit moves nothing, then by all of them; NULL first."""
    def order(v):
        return (0, "") if v is None else (2, v) if isinstance(v, str) else (1, f"{v + 0.0 if v else 0.0:.6g}")
    return sorted(rows, key=lambda r: ([order(v) for v in r], [v if isinstance(v, (int, float)) else 0 for v in r]))


def close(p, q, scale):
    if not (isinstance(p, (int, float)) and isinstance(q, (int, float))):
        return p == q
    return p == q or p != p and q != q or abs(p - q) <= 1e-9 * max(scale, 1e-9)


def same(a, b):
    a, b = canonical(a), canonical(b)
    if len(a) != len(b):
        return f"{len(b)} rows, expected {len(a)}:\n{b}\nexpected\n{a}"
    scale = max((abs(v) for r in a for v in r if isinstance(v, float) and math.isfinite(v)), default=1.0)
    for x, y in zip(a, b):
        if len(x) != len(y) or not all(close(p, q, scale) for p, q in zip(x, y)):
            return f"{y}, expected {x}"
    return None


def compare(what, want, got, names):
    for t in names:
        wrong = same(want.get(t, []), got.get(t, []))
        if wrong:
            raise Wrong(f"{what}: table {t}: {wrong}")


def sqlite_rows(folder, script, shown, base):
    """What SQLite makes of a text; tables that stand in the database are left as they are."""
    script = re.sub(r"^CREATE TABLE (\w+) \([^;]*;", lambda m: "" if m[1] in base else m[0], script, flags=re.M)
    con = sqlite3.connect(os.path.join(folder, "data.db"))
    try:
        for name, t in base.items():
            cols = ", ".join(t.ints + t.texts + t.reals)
            con.execute(f"CREATE TEMP TABLE {name} AS SELECT {cols}, ROW_NUMBER() OVER (ORDER BY {cols}) AS _sg_row FROM main.{name}")
        con.executescript(script.replace("CREATE TABLE ", "CREATE TEMP TABLE ").replace("CREATE VIEW ", "CREATE TEMP VIEW "))
        return {t: con.execute(f"SELECT * FROM {t}").fetchall() for t in shown}
    except sqlite3.Error as e:
        raise Wrong(f"sqlite itself: {e}") from None
    finally:
        con.close()


class Trial:
    def __init__(self, args, seed, folder):
        self.args, self.folder, self.rng = args, folder, random.Random(seed)
        self.batched = seed % 3 == 2
        self.tables = batched_data(self.rng) if self.batched else plain_data(self.rng)
        self.params = ["w", "v"] if self.batched or self.rng.random() < 0.8 else ["w", "v", "t"]
        writer = Writer(self.rng, self.tables, self.params, "n" if self.batched else None)
        self.model, self.shown = writer.model()
        self.host, self.unrolled = writer.host, "\n".join(writer.unrolled)
        if self.batched:
            self.model = ("-- @data(batch = n)\nCREATE TABLE m (n INTEGER, f INTEGER, a REAL);\n\n"
                          "-- @data(batch = n)\nCREATE TABLE h (n INTEGER, l INTEGER, p REAL);\n\n" + self.model)
        with open(self.path("model.sql"), "w", encoding="utf-8") as f:
            f.write(self.model)
        make_db(self.path("data.db"), self.tables)
        shutil.copy(self.path("data.db"), self.path("shuffled.db"))
        shuffle_tables(self.path("shuffled.db"), seed + 1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, *words, db="data.db", engine="native"):
        words = [*words[:1], "model.sql", *words[1:], "--db", db, "--quiet"]
        flags = {"native": ["native", "--no-loops"], "loops": ["native", "--all-loops"], "sql": ["sql"]}[engine]
        words += ["--engine", *flags, "--json"] if words[0] not in ("check", "explain") else []
        words += ["--precision", "f64"] if words[0] not in ("check", "explain") else []
        r = subprocess.run([self.args.bin, *words], cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           timeout=120, env={**ENV, "HOME": self.folder})
        if r.returncode == 1 and words[0] != "check" and re.search(r"error: .*\[(grad|group|window|subquery)\.", r.stderr):
            raise Refused(f"{words[0]}: {r.stderr}")
        if r.returncode:
            raise Wrong(f"{' '.join(words)}: status {r.returncode}\n{r.stderr[-4000:]}{r.stdout[-1000:]}")
        return r.stdout

    def values(self):
        show = ",".join(self.shown)
        first = self.command("run", "--show", show, "--threads", "1")
        again = self.command("run", "--show", show, "--threads", "2", *(["--chunk", "100"] if self.batched else []), db="shuffled.db")
        if sorted(first.splitlines()) != sorted(again.splitlines()):
            compare("shuffled run", rows_of(first), rows_of(again), self.shown)
            raise Wrong("shuffled run: other bits:\n" + "\n".join(sorted(set(first.splitlines()) ^ set(again.splitlines()))))
        want = rows_of(first)
        compare("sql run", want, rows_of(self.command("run", "--show", show, engine="sql")), self.shown)
        compare("loops run", want, rows_of(self.command("run", "--show", show, engine="loops", db="shuffled.db")), self.shown)
        if self.batched:
            compare("run in chunks", want, rows_of(self.command("run", "--show", show, "--chunk", "2")), self.shown)
        if self.host:
            compare("sqlite itself", sqlite_rows(self.folder, self.unrolled, self.shown, self.tables), want, self.shown)

    def dump(self):
        want = rows_of(self.command("run", "--show", "loss"))
        text = self.command("explain", "--stage", "bind")
        compare("dump in sqlite", sqlite_rows(self.folder, text, ["loss"], self.tables), want, ["loss"])

    def gradients(self):
        names, words = ["grad_" + p for p in self.params], ["grad", "--loss", "loss", "--wrt", ",".join(self.params)]
        first = self.command(*words, "--threads", "1")
        again = self.command(*words, "--threads", "2", db="shuffled.db")
        want = rows_of(first)
        if sorted(first.splitlines()) != sorted(again.splitlines()):
            compare("shuffled grad", want, rows_of(again), names)
            raise Wrong("shuffled grad: other bits:\n" + "\n".join(sorted(set(first.splitlines()) ^ set(again.splitlines()))))
        compare("sql grad", want, rows_of(self.command(*words, engine="sql")), names)
        loops = self.command(*words, "--threads", "1", engine="loops")
        compare("loops grad", want, rows_of(loops), names)
        again = self.command(*words, "--threads", "2", engine="loops", db="shuffled.db")
        if sorted(loops.splitlines()) != sorted(again.splitlines()):
            raise Wrong("loops, shuffled and with threads: other bits:\n" +
                        "\n".join(sorted(set(loops.splitlines()) ^ set(again.splitlines()))))
        self.command("check", *words[1:])

    def training(self):
        used = [p for p in self.params if re.search(rf"\b{p} AS", self.model)]
        if not used:
            return
        flags = ["--wrt", ",".join(used), "--loss", "loss", *(["--batch", "2"] if self.batched else []), "--steps", "5", "--lr", "0.05",
                 "--seed", "3"]
        losses, states = {}, {}
        for what, engine, threads in (("native", "loops", "1"), ("threads", "loops", "2"), ("lists", "native", "1"),
                                      ("sql", "sql", "1")):
            state = self.path(f"{what}.db")
            out = self.command("train", *flags, "--state", state, "--threads", threads, "--optimizer", "adam",
                               db="shuffled.db" if what == "threads" else "data.db", engine=engine)
            losses[what] = [x["loss"] for x in map(json.loads, out.splitlines()) if x["event"] == "step"]
            con = sqlite3.connect(state)
            states[what] = {p: con.execute(f"SELECT * FROM {p} ORDER BY 1, 2").fetchall() for p in used}
            con.close()
        if losses["native"] != losses["threads"] or states["native"] != states["threads"]:
            raise Wrong(f"train, shuffled and with threads: {losses['threads']}, expected {losses['native']}")
        if not all(close(p, q, max(1.0, abs(p))) for p, q in zip(losses["native"], losses["sql"])):
            raise Wrong(f"train: native {losses['native']}, sql {losses['sql']}")
        compare("train on sql", states["native"], states["sql"], used)
        compare("train with lists", states["native"], states["lists"], used)


def trial(args, seed, folder):
    t = Trial(args, seed, folder)
    t.values()
    t.dump()
    t.gradients()
    t.training()


def report(args, seed, word, why, folder):
    print(f"not ok seed {seed}: {why[:args.chars]}" if word == "wrong" else f"# seed {seed} refused: {why.strip()}", flush=True)
    if args.keep:
        shutil.copytree(folder, os.path.join(args.keep, str(seed)), dirs_exist_ok=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="./sqlgrad")
    p.add_argument("--seeds", default="0..149", metavar="A..B")
    p.add_argument("--seconds", type=float, default=math.inf, help="start no seed after so long")
    p.add_argument("--keep", metavar="DIR")
    p.add_argument("--chars", type=int, default=1500, help="of a report")
    p.add_argument("--refused", action="store_true", help="print what was refused")
    args = p.parse_args()
    args.bin = os.path.abspath(args.bin)
    low, _, high = args.seeds.partition("..")
    failed = refused = done = 0
    start = time.monotonic()
    for seed in range(int(low), int(high or low) + 1):
        if time.monotonic() - start > args.seconds:
            break
        done += 1
        with tempfile.TemporaryDirectory() as folder:
            try:
                trial(args, seed, folder)
            except Refused as e:
                refused += 1
                if args.refused:
                    report(args, seed, "refused", str(e), folder)
            except (Wrong, subprocess.TimeoutExpired, ValueError) as e:
                failed += 1
                report(args, seed, "wrong", str(e) if isinstance(e, Wrong) else f"{type(e).__name__}: {e}", folder)
    print(f"ok {done - refused} random models agree, {refused} refused" if not failed else
          f"# {failed} of {done} disagree, {refused} refused")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
