# SPDX-License-Identifier: Apache-2.0
"""Random models: both engines, SQLite itself, shuffled rows and finite differences must agree on each.

random_models.py [--bin PATH] [--first SEED] [-n COUNT]   prints `ok N` or the first lines of each disagreement; the
model of a seed is always the same, and --keep DIR leaves model.sql and data.db of those that fail.

Data has what models in practice have: bags, NULL keys and values, keys that meet nothing, text keys.  Every name is
qualified and no alias repeats a column, so that SQLite reads the text as sqlgrad does."""
import argparse
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from runner.scratch import shuffle_tables  # noqa: E402

PARAMS = ["w", "v"]


def data(rng):
    """{table: (key columns with types, value columns, rows)}"""
    def real():
        return round(rng.uniform(-2, 2), 3)

    def key(n, null=0.15):
        return None if rng.random() < null else rng.randrange(n)

    text = ["a", "B", "it's", "", "zz"]
    return {
        "w": (["k INTEGER"], ["x REAL"], [(k, real()) for k in range(rng.randint(2, 5))]),
        "v": (["i INTEGER", "j INTEGER"], ["y REAL", "u REAL"],
              [(i, j, real(), real()) for i in range(3) for j in range(3) if rng.random() < 0.7] or [(0, 0, 0.5, 0.25)]),
        "d": (["k INTEGER", "g INTEGER"], ["b REAL"],
              [(key(5), key(3), None if rng.random() < 0.2 else rng.choice([0.5, real()])) for _ in range(rng.randint(0, 8))]),
        "e": (["i INTEGER", "j INTEGER", "s TEXT"], [],
              [(key(4), key(4), rng.choice(text + [None])) for _ in range(rng.randint(1, 7))]),
        "t": (["s TEXT"], ["z REAL"], [(s, real()) for s in rng.sample(text, 3)]),
    }


class Relation:
    def __init__(self, name, ints, texts, reals):
        self.name, self.ints, self.texts, self.reals = name, ints, texts, reals


class Writer:
    """Writes one model."""

    def __init__(self, rng, tables):
        self.rng, self.text, self.n = rng, [], 0
        self.rels = []
        for name, (keys, values, _) in tables.items():
            self.rels.append(Relation(name, [k.split()[0] for k in keys if "INTEGER" in k],
                                      [k.split()[0] for k in keys if "TEXT" in k], [v.split()[0] for v in values]))

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
        return r.choice([f"({e} + {r.randint(1, 2)})", f"({e} / 2)", f"({e} % 2)", f"({e} * 2 - {r.choice(s[0])})",
                         f"COALESCE({e}, {r.randint(0, 5)})", f"NULLIF({e}, 1)", f"(-{e})",
                         f"CASE WHEN {e} > 1 THEN {r.choice(s[0])} ELSE {r.randint(0, 2)} END", f"ABS({e} - 2)"])

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
            f"({a} * {b})", f"({a} + {b})", f"({a} - {b})", f"SIN({a})", f"TANH({a})", f"EXP(-({a} * {a}))", f"-{a}",
            f"({a} / (1.5 + {b} * {b}))", f"LN(1.2 + {a} * {a})", f"SQRT(0.3 + {a} * {a})", f"({k} * {a})", f"ATAN({a})",
            f"COALESCE({a}, {b})", f"COALESCE({a}, {self.literal()})", f"CASE WHEN {self.condition(s)} THEN {a} ELSE {b} END",
            f"CASE WHEN {self.condition(s)} THEN {a} END", f"MAX({a}, {self.literal()})", f"MIN({a}, {b})", f"COS({a})",
            f"ABS({a} - 0.777)", f"POW({a}, 2)", f"({a} / 2)", f"POW(1.5, {a})"])

    def condition(self, s, values=True):
        r = self.rng
        k = self.int_expr(s)
        some = [f"{k} = {self.int_expr(s)}", f"{k} <> {r.randint(0, 2)}", f"{k} BETWEEN 0 AND {r.randint(0, 2)}", f"{k} IN (0, {r.randint(1, 3)})",
                f"{k} IS NOT NULL", f"NOT ({k} > {self.int_expr(s)})", f"({k} < 2 OR {self.int_expr(s)} IS NULL)",
                f"{k} IS NOT DISTINCT FROM {self.int_expr(s)}"]
        if s[1]:
            t = r.choice(s[1])
            some += [f"{t} > 'B'", f"{t} IS NULL", f"{t} <> ''", f"{t} = {r.choice(s[1])}"]
        if values and s[2]:
            some += [f"{r.choice(s[2])} > {r.uniform(-1, 1):.4f}"] * 2
        return r.choice(some)

    # -- FROM

    def source(self, many=None):
        """(FROM text, WHERE conjuncts, scope)"""
        r = self.rng
        n = many or r.choice([1, 2, 2, 2, 3])
        text, where, scope = "", [], ([], [], [])
        for k in range(n):
            rel = r.choice(self.rels[-4:] if r.random() < 0.6 else self.rels)
            alias = self.fresh("q")
            mine = tuple([f"{alias}.{c}" for c in cols] for cols in (rel.ints, rel.texts, rel.reals))
            on = self.link(scope, mine) if k else None
            for all_, new in zip(scope, mine):
                all_.extend(new)
            if not k:
                text = f"{rel.name} AS {alias}"
            elif r.random() < 0.3:
                extra = f" AND {self.condition(scope)}" if r.random() < 0.3 else ""
                text += f" LEFT JOIN {rel.name} AS {alias} ON {on}{extra}"
            else:
                text += f" JOIN {rel.name} AS {alias} ON {on}"
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
            some += [f"{a} = {b}"] * 4 + [f"{a} + 1 = {b}", f"{a} < {b}", f"{a} = {b} / 2", f"{a} IS NOT DISTINCT FROM {b}",
                                          f"{a} - {b} BETWEEN 0 AND 1"]
            if len(old[0]) > 1 and len(new[0]) > 1:
                some += [f"{a} = {b} AND {r.choice(old[0])} = {r.choice(new[0])}"] * 2
        if old[1] and new[1]:
            some += [f"{r.choice(old[1])} = {r.choice(new[1])}"] * 4
        return r.choice(some or ["1 = 1"])

    def semi_join(self, s):
        r = self.rng
        e = self.fresh("q")
        if not s[0]:
            return f"EXISTS (SELECT 1 FROM e AS {e} WHERE {e}.i > 1)"
        k = r.choice(s[0])
        return r.choice([f"{k} IN (SELECT {e}.j FROM e AS {e})", f"{k} NOT IN (SELECT {e}.j FROM e AS {e} WHERE {e}.j > 0)",
                         f"EXISTS (SELECT 1 FROM e AS {e} WHERE {e}.i = {k})", f"NOT EXISTS (SELECT 1 FROM e AS {e} WHERE {e}.j = {k})"])

    # -- statements

    def select(self, text, where, columns, tail=""):
        w = f"\nWHERE {' AND '.join(where)}" if where else ""
        return f"SELECT {', '.join(columns)}\nFROM {text}{w}{tail}"

    def columns(self, scope, n_int, n_text, n_real, real=None):
        ints = [self.fresh("k") for _ in range(n_int)]
        texts = [self.fresh("s") for _ in range(n_text if scope[1] else 0)]
        reals = [self.fresh("x") for _ in range(n_real)]
        cols = [f"{self.int_expr(scope)} AS {c}" for c in ints] + [f"{self.rng.choice(scope[1])} AS {c}" for c in texts]
        cols += [f"{(real or self.real_expr)(scope)} AS {c}" for c in reals]
        return cols, ints, texts, reals

    def row(self):
        text, where, s = self.source()
        cols, i, t, x = self.columns(s, self.rng.randint(0, 2), self.rng.randint(0, 1), self.rng.randint(1, 2))
        return self.select(text, where, cols), i, t, x

    def window(self):
        text, where, s = self.source()
        part = self.rng.choice([f"PARTITION BY {self.int_expr(s, 0)}" if s[0] else "", ""])

        def real(scope):
            a = self.rng.choice(["SUM", "MAX", "MIN", "AVG"])
            return f"{self.real_expr(scope, 1)} - 0.3 * {a}({self.real_expr(scope, 1)}) OVER ({part})"
        cols, i, t, x = self.columns(s, self.rng.randint(1, 2), 0, 1, real)
        return self.select(text, where, cols), i, t, x

    def reduce(self):
        r = self.rng
        text, where, s = self.source()
        keys = [self.int_expr(s) for _ in range(r.choice([0, 1, 1, 2]))]
        keys += [r.choice(s[1])] if s[1] and r.random() < 0.3 else []
        names = [self.fresh("s" if k in s[1] else "k") for k in keys]
        x = [self.fresh("x") for _ in range(r.randint(1, 2))]
        cols = [f"{k} AS {n}" for k, n in zip(keys, names)]
        for n in x:
            a, b = self.aggregate(s), self.aggregate(s)
            cols.append(r.choice([f"{a} AS {n}", f"{a} AS {n}", f"{a} * {b} AS {n}", f"{a} - 0.5 * COUNT(*) AS {n}", f"SIN({a}) AS {n}"]))
        real_keys = [k for k in keys if not k.isdigit()]
        if keys and not real_keys:
            return self.reduce()
        tail = f"\nGROUP BY {', '.join(real_keys)}" if keys else ""
        if keys and r.random() < 0.2:
            tail += "\nHAVING COUNT(*) > 1" if r.random() < 0.5 else f"\nHAVING {self.aggregate(s)} > {r.uniform(-1, 1):.4f}"
        return self.select(text, where, cols, tail), [n for n in names if n[0] == "k"], [n for n in names if n[0] == "s"], x

    def aggregate(self, s):
        return f"{self.rng.choice(['SUM', 'SUM', 'MAX', 'MIN', 'AVG'])}({self.real_expr(s, 2)})"

    def union(self):
        parts, (i, x) = [], ([self.fresh("k")], [self.fresh("x")])
        for k in range(self.rng.randint(2, 3)):
            text, where, s = self.source(1)
            a, b = self.int_expr(s), self.real_expr(s, 1)
            parts.append(self.select(text, where, [f"{a} AS {i[0]}", f"{b} AS {x[0]}"] if not k else [a, b]))
        return "\nUNION ALL\n".join(parts), i, [], x

    def scalar(self):
        text, where, s = self.source(1)
        q, rel = self.fresh("q"), self.rng.choice([t for t in self.rels if t.reals])
        inner = f"(SELECT {self.rng.choice(['SUM', 'MAX', 'AVG'])}({q}.{self.rng.choice(rel.reals)}) FROM {rel.name} AS {q}"
        if s[0] and rel.ints and self.rng.random() < 0.5:
            inner += f" WHERE {q}.{self.rng.choice(rel.ints)} = {self.rng.choice(s[0])}"
        cols, i, t, x = self.columns(s, 1, 0, 1, lambda sc: f"{self.real_expr(sc, 1)} * COALESCE({inner}), 0.4)")
        return self.select(text, where, cols), i, t, x

    def model(self):
        for _ in range(self.rng.randint(2, 5)):
            name = self.fresh("r")
            kind = self.rng.choice([self.row, self.row, self.reduce, self.reduce, self.reduce, self.window, self.union, self.scalar])
            text, i, t, x = kind()
            self.text.append(f"CREATE TABLE {name} AS\n{text};\n")
            self.rels.append(Relation(name, i, t, x))
        shown = [r.name for r in self.rels[5:]]
        terms = []
        for r in self.rels[-2:]:
            weight = f"(COALESCE({r.ints[0]}, 4) + 1.5)" if r.ints else "1.0"
            terms.append(f"COALESCE((SELECT SUM(SIN({r.reals[0]} + 0.1) * {weight}) FROM {r.name}), 0.7)")
        self.text.append(f"CREATE TABLE loss AS\nSELECT {' + '.join(terms)} + 0.0 AS val;\n")
        return "\n".join(self.text), shown + ["loss"]


# ---- running one ----

def make_db(path, tables):
    con = sqlite3.connect(path)
    for name, (keys, values, rows) in tables.items():
        cols = keys + values
        con.execute(f"CREATE TABLE {name} ({', '.join(cols)})")
        con.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(cols))})", rows)
    con.commit()
    con.close()


def command(args, folder, *words):
    r = subprocess.run([args.bin, *words], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    return r.returncode, r.stdout, r.stderr


def rows_of(text):
    out = {}
    for line in text.splitlines():
        obj = json.loads(line)
        out.setdefault(obj.pop("table"), []).append(tuple(obj.values()))
    return out


def canonical(rows):
    """Sorted, numbers by six digits, so that a last digit moves nothing; NULL first."""
    def key(v):
        return (0, "") if v is None else (2, v) if isinstance(v, str) else (1, f"{v + 0.0 if v else 0.0:.6g}")
    return sorted(rows, key=lambda r: [key(v) for v in r])


def same(a, b):
    a, b = canonical(a), canonical(b)
    if len(a) != len(b):
        return f"{len(b)} rows, expected {len(a)}"
    scale = max((abs(v) for r in a for v in r if isinstance(v, float) and math.isfinite(v)), default=1.0)
    for x, y in zip(a, b):
        for p, q in zip(x, y):
            if isinstance(p, (int, float)) and isinstance(q, (int, float)):
                if not abs(p - q) <= 1e-9 * max(scale, 1e-9):
                    return f"{y}, expected {x}"
            elif p != q:
                return f"{y}, expected {x}"
    return None


def sqlite_rows(folder, model, shown):
    con = sqlite3.connect(os.path.join(folder, "data.db"))
    con.executescript(model)
    out = {t: con.execute(f"SELECT * FROM {t}").fetchall() for t in shown}
    con.rollback()
    con.close()
    return out


def compare(what, want, got, names):
    for t in names:
        wrong = same(want.get(t, []), got.get(t, []))
        if wrong:
            return f"{what}: table {t}: {wrong}"
    return None


def trial(args, seed, folder):
    """None, or what is wrong."""
    rng = random.Random(seed)
    tables = data(rng)
    model, shown = Writer(rng, tables).model()
    with open(os.path.join(folder, "model.sql"), "w", encoding="utf-8") as f:
        f.write(model)
    for name in ("data.db", "shuffled.db"):
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    make_db(os.path.join(folder, "data.db"), tables)
    shutil.copy(os.path.join(folder, "data.db"), os.path.join(folder, "shuffled.db"))
    shuffle_tables(os.path.join(folder, "shuffled.db"), seed + 1)
    show, wrt = ",".join(shown), ",".join(PARAMS)
    found, grads = {}, {}
    for what, db, engine in (("native", "data.db", "native"), ("sql", "data.db", "sql"), ("shuffled", "shuffled.db", "native")):
        flags = ["--db", db, "--engine", engine, "--precision", "f64", "--json", "--quiet"]
        for into, words in ((found, ["run", "model.sql", "--show", show]), (grads, ["grad", "model.sql", "--loss", "loss", "--wrt", wrt])):
            status, out, err = command(args, folder, *words, *flags)
            if status == 1 and ("grad.key" in err or "differentiated" in err and "equality" in err):
                return "left"           # grouping or joining on an active value is refused, rightly
            if status:
                return f"{what} {words[0]}: status {status}\n{err}"
            into[what] = rows_of(out)
    names = ["grad_" + p for p in PARAMS]
    wrong = (compare("sql run", found["native"], found["sql"], shown) or compare("shuffled run", found["native"], found["shuffled"], shown)
             or compare("sql grad", grads["native"], grads["sql"], names) or compare("shuffled grad", grads["native"], grads["shuffled"], names))
    if wrong:
        return wrong
    status, out, err = command(args, folder, "check", "model.sql", "--db", "data.db", "--loss", "loss", "--wrt", wrt, "--quiet")
    if status:
        return f"check: status {status}\n{out}{err}"
    try:
        return compare("sqlite itself", sqlite_rows(folder, model, shown), found["native"], shown)
    except sqlite3.Error as e:
        return f"sqlite itself: {e}"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="./sqlgrad")
    p.add_argument("--first", type=int, default=0)
    p.add_argument("-n", type=int, default=100)
    p.add_argument("--keep")
    args = p.parse_args()
    args.bin = os.path.abspath(args.bin)
    failed = left = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.first, args.first + args.n):
            try:
                wrong = trial(args, seed, folder)
            except (subprocess.TimeoutExpired, json.JSONDecodeError) as e:
                wrong = f"{type(e).__name__}: {e}"
            if wrong == "left":
                left += 1
            elif wrong:
                failed += 1
                print(f"not ok seed {seed}: {wrong}", flush=True)
                if args.keep:
                    shutil.copytree(folder, os.path.join(args.keep, str(seed)), dirs_exist_ok=True)
    print(f"ok random models: {args.n - failed - left} of {args.n} agree, {left} refused" if not failed else
          f"{failed} of {args.n} disagree, {left} refused")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
