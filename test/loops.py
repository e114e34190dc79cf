# SPDX-License-Identifier: Apache-2.0
"""Names, column order and the way a join is written do not matter to loops.

loops.py [--bin PATH] [--show SPELLING]   prints `ok SPELLING` for each

One model (convolution, pooling, a dense layer, softmax) is written in several spellings.  Names and the way a
condition is written must change nothing in `explain --stage loop` but names; the order of factors, nothing but the numbers
of buffers.  The order of FROM and of columns says in which order loops and rows are numbered: then the paths, how many
iterations there are and what is vectorised must be the same, nest by nest; which addresses they read may differ.
The same holds for models of the gallery with every list of columns and every GROUP BY the other way round, values first."""
import argparse
import math
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from runner.scratch import ENV  # noqa: E402

IMAGES, SIDE, CLASSES = 12, 12, 6
TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

MODEL = """
-- @data(batch = image)
CREATE TABLE samples (image INTEGER, channel INTEGER, r INTEGER, c INTEGER, val REAL);
-- @data(batch = image)
CREATE TABLE labels (image INTEGER, label INTEGER);
-- @param(init = torch_default)
CREATE TABLE conv (
  o INTEGER CHECK (o BETWEEN 0 AND 3), i INTEGER CHECK (i BETWEEN 0 AND 1),
  kr INTEGER CHECK (kr BETWEEN 0 AND 2), kc INTEGER CHECK (kc BETWEEN 0 AND 2), w REAL);
-- @param(init = zeros)
CREATE TABLE shift (o INTEGER CHECK (o BETWEEN 0 AND 3), b REAL);
-- @param(init = torch_default)
CREATE TABLE dense (
  class INTEGER CHECK (class BETWEEN 0 AND 5), k INTEGER CHECK (k BETWEEN 0 AND 99), u REAL);

CREATE TABLE folded AS
SELECT samples.image AS image, conv.o AS o, samples.r - conv.kr AS y, samples.c - conv.kc AS x, SUM(samples.val * conv.w) AS val
FROM samples, conv
WHERE samples.channel = conv.i AND samples.r - conv.kr BETWEEN 0 AND 9 AND samples.c - conv.kc BETWEEN 0 AND 9
GROUP BY samples.image, conv.o, samples.r - conv.kr, samples.c - conv.kc;

CREATE TABLE lit AS
SELECT folded.image AS image, folded.o AS o, folded.y AS y, folded.x AS x, MAX(0, folded.val + shift.b) AS val
FROM folded, shift
WHERE folded.o = shift.o;

CREATE TABLE pooled AS
SELECT lit.image AS image, lit.o AS o, lit.y / 2 AS py, lit.x / 2 AS px, MAX(lit.val) AS val
FROM lit
GROUP BY lit.image, lit.o, lit.y / 2, lit.x / 2;

CREATE TABLE flat AS
SELECT pooled.image AS image, (pooled.o * 5 + pooled.py) * 5 + pooled.px AS k, pooled.val AS val
FROM pooled;

CREATE TABLE scores AS
SELECT flat.image AS image, dense.class AS class, SUM(flat.val * dense.u) AS val
FROM flat, dense
WHERE flat.k = dense.k
GROUP BY flat.image, dense.class;

CREATE TABLE totals AS
SELECT scores.image AS image, LN(SUM(EXP(scores.val))) AS total
FROM scores
GROUP BY scores.image;

CREATE TABLE losses AS
SELECT totals.image AS image, totals.total - scores.val AS val
FROM totals, scores, labels
WHERE totals.image = scores.image AND scores.image = labels.image AND scores.class = labels.label;

-- @loss
CREATE TABLE loss AS
SELECT AVG(losses.val) AS val
FROM losses;
"""

NAMES = {"samples": "pixels", "conv": "kernel", "shift": "zz", "dense": "a1", "folded": "f_0", "lit": "on_now", "pooled": "b", "flat": "Wide",
         "scores": '"the scores"', "totals": "t", "labels": "truth", "image": "n", "channel": "plane", "val": "v", "kr": "dy", "kc": "dx",
         "class": "answer", "label": "is_it", "py": "up", "px": "left_", "total": "lse", "losses": "per_image", "y": "row_", "x": "col", "o": "map",
         "k": "at", "i": "source", "u": "weight", "w": "f", "r": "line", "c": "place", "b": "lift"}


def renamed(model):
    """Other names everywhere; of a directive, only the batch key is one."""
    def line(text):
        if text.startswith("-- @"):
            return text.replace("batch = image", f"batch = {NAMES['image']}")
        return re.sub(rf"\b({'|'.join(NAMES)})\b", lambda m: NAMES[m[1]], text)
    return "\n".join(map(line, model.split("\n")))


def statements(model, change):
    """The model with each `FROM … WHERE …` passed through change(tables, conjuncts)."""
    def one(m):
        return change([t.strip() for t in m[1].split(",")], conjuncts(m[2]))
    return re.sub(r"FROM ([\w, ]+)\nWHERE ([^\n;]*)", one, model)


def conjuncts(text):
    """Split at AND, but not inside BETWEEN … AND …"""
    parts = re.split(r" AND ", text)
    out = []
    for p in parts:
        if out and re.search(r"BETWEEN \S+$", out[-1]):
            out[-1] += " AND " + p
        else:
            out.append(p)
    return out


def where(tables, conds):
    return f"FROM {', '.join(tables)}\nWHERE {' AND '.join(conds)}"


def join_on(tables, conds):
    text, left = f"FROM {tables[0]}", list(conds)
    for k, t in enumerate(tables[1:], 1):
        here = [c for c in left if set(re.findall(r"(\w+)\.", c)) <= set(tables[:k + 1])]
        left = [c for c in left if c not in here]
        text += f" JOIN {t} ON {' AND '.join(here)}"
    return text


def bounds(model):
    return re.sub(r"(\w+\.\w+ - \w+\.\w+) BETWEEN (\d+) AND (\d+)", r"\1 >= \2 AND \1 <= \3", model)


def aliases(model):
    """Every source under another name."""
    def one(statement):
        m = re.search(r"\nFROM ([\w, ]+)", statement)
        for k, t in enumerate(m[1].split(", ") if m else []):
            statement = re.sub(rf"\b{t}\.", f"q{k}.", statement)
            statement = re.sub(rf"(\nFROM (?:\w+ AS \w+, )*){t}\b", rf"\1{t} AS q{k}", statement)
        return statement
    return "\n\n".join(map(one, model.split("\n\n")))


def columns(model):
    """The columns of declared tables the other way round; not of labels, whose rows are known by its first key alone."""
    def declared(m):
        return m[0] if m[1] == "labels" else f"CREATE TABLE {m[1]} ({', '.join(reversed([c.strip() for c in re.split(r',(?![^(]*[)])', m[2])]))});"
    return re.sub(r"CREATE TABLE (\w+) \(([^;]*)\);", declared, model)


def keys(model):
    """What is selected the other way round, values still behind the keys."""
    def selected(m):
        *first, last = re.findall(r"(.+? AS \w+)(?:, |$)", m[1])
        return f"SELECT {', '.join(first[::-1] + [last])}\nFROM"
    return re.sub(r"SELECT ([^\n]*)\nFROM", selected, model)


def in_commas(text):
    """Split at commas outside parentheses."""
    parts, depth = [""], 0
    for ch in text:
        depth += (ch == "(") - (ch == ")")
        if ch == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    return [p.strip() for p in parts]


def turned(model):
    """Every list of columns backwards: of declared tables, of SELECT, of GROUP BY."""
    back = lambda text: ", ".join(in_commas(text)[::-1])
    model = "\n".join(line for line in model.split("\n") if not re.match(r"--(?! @)", line))
    model = re.sub(r"(CREATE TABLE \w+) \(([^;]*)\);", lambda m: f"{m[1]} ({back(m[2])});", model)
    model = re.sub(r"(?<!\()SELECT\s+((?:(?!FROM|SELECT).)*?)\s+FROM", lambda m: f"SELECT {back(m[1])}\nFROM", model, flags=re.S)
    return re.sub(r"GROUP BY ([^;)]*)(?=[;)])", lambda m: f"GROUP BY {back(m[1])}", model)


def images():
    return {"samples": [{"image": n, "channel": i, "r": r, "c": c, "val": (n * 7919 + i * 331 + r * 37 + c * 11) % 200 / 100.0 - 1}
                        for n in range(IMAGES) for i in range(3) for r in range(32) for c in range(32)],
            "labels": [{"image": n, "label": n % 10} for n in range(IMAGES)]}


def graph(n=100):
    return {"edges": [{"src": i, "dst": j} for i in range(n) for j in sorted({i, *((i * 17 + k * k) % n for k in range(1, 5))})],
            "features": [{"node": i, "word": w} for i in range(n) for w in sorted({(i * 311 + k * 77) % 1433 for k in range(18)})],
            "labels": [{"node": i, "label": i % 7} for i in range(n)],
            "split": [{"node": i, "part": "train" if i < 60 else "test"} for i in range(n)]}


GALLERY = {"lenet": images, "gcn": graph}
SPELLINGS = {
    # name: (text, what must be the same: all, or all but the numbers of buffers and loops, or the shapes)
    "renamed": (renamed(MODEL), "all"),
    "join on": (statements(MODEL, join_on), "all"),
    "bounds": (bounds(MODEL), "all"),
    "aliases": (aliases(MODEL), "all"),
    "conjuncts reversed": (statements(MODEL, lambda t, c: where(t, c[::-1])), "all"),
    "equalities turned": (re.sub(r"(\w+\.\w+) = (\w+\.\w+)", r"\2 = \1", MODEL), "all"),
    "products turned": (re.sub(r"(\w+\.\w+) \* (\w+\.\w+)\)", r"\2 * \1)", MODEL), "numbers"),
    "all of these": (bounds(renamed(statements(MODEL, lambda t, c: join_on(t, c[::-1])))), "all"),
    "sources reversed": (statements(MODEL, lambda t, c: where(t[::-1], c)), "shapes"),
    "columns reversed": (columns(MODEL), "shapes"),
    "keys reversed": (keys(MODEL), "shapes"),
    "columns and keys reversed": (keys(columns(MODEL)), "shapes"),
}


def make_db(path, model):
    """Data for the tables the model declares, whatever their names and the order of their columns are."""
    con = sqlite3.connect(path)
    for name, cols in re.findall(r"-- @data[^\n]*\nCREATE TABLE (\S+) \(([^;]*)\);", model):
        cols = [c.split()[0] for c in cols.split(",")]
        back = {v: k for k, v in NAMES.items()}
        known = [c if c in NAMES else back[c] for c in cols]
        con.execute(f"CREATE TABLE {name} ({', '.join(f'{c} ' + ('REAL' if k == 'val' else 'INTEGER') for c, k in zip(cols, known))})")
        rows = []
        for n in range(IMAGES):
            if "label" in known:
                rows.append({"image": n, "label": n % CLASSES})
                continue
            rows += [{"image": n, "channel": i, "r": r, "c": c, "val": (n * 7919 + i * 331 + r * 37 + c * 11) % 200 / 100.0 - 1}
                     for i in range(2) for r in range(SIDE) for c in range(SIDE)]
        con.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(cols))})", [[row[k] for k in known] for row in rows])
    con.commit()
    con.close()


def fill_db(path, model, tables):
    """The tables with their columns as the model declares them."""
    con = sqlite3.connect(path)
    for name, rows in tables.items():
        cols = in_commas(re.search(rf"CREATE TABLE {name} \(([^;]*)\);", model)[1])
        con.execute(f"CREATE TABLE {name} ({', '.join(cols)})")
        con.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(cols))})", [[row[c.split()[0]] for c in cols] for row in rows])
    con.commit()
    con.close()


def listing(args, model, tables=None):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "model.sql"), "w", encoding="utf-8") as f:
            f.write(model)
        db = os.path.join(folder, "data.db")
        fill_db(db, model, tables) if tables else make_db(db, model)
        r = subprocess.run([args.bin, "explain", "model.sql", "--db", "data.db", "--stage", "loop", "--quiet"], cwd=folder,
                           env={**ENV, "HOME": folder}, capture_output=True, text=True)
    if r.returncode:
        sys.exit(f"not ok: status {r.returncode}\n{r.stderr}\n{model}")
    return r.stdout


def without_names(text):
    return re.sub(r'^-- (\d+) (?:"(?:[^"]|"")*"|\S+): ', r"-- \1: ", text, flags=re.M)


def blocks_of(text):
    return re.split(r"^(?=-- )", without_names(text), flags=re.M)[1:]


def renumbered(block):
    """Loops numbered from outside in, buffers as they are met; sums and products in alphabetical order."""
    head = re.search(r"^  p0 .*\n", block, re.M)
    if not head:
        return block
    kinds = dict(re.findall(r"\b(p\d+) (\d+[^,\n]*)", head[0]))
    block = block.replace(head[0], "")
    for letter, found in (("x", re.findall(r"for (x\d+) in", block)), ("p", re.findall(r"(p\d+)\[", ordered(block)))):
        new = {v: f"{letter.upper()}{k}" for k, v in enumerate(dict.fromkeys(found))}
        block = re.sub(rf"\b{letter}\d+\b", lambda m: new.get(m[0], m[0]), block)
        kinds = {new.get(k, k): v for k, v in kinds.items()}
    return ordered(block) + "".join(sorted(f"{k} {v}\n" for k, v in kinds.items()))


def ordered(block):
    """Terms of addresses, then factors and sums, sorted; a buffer goes by its address, not by its number."""
    def terms(m):
        return "[" + "+".join(sorted(m[1].split(" + "))) + "]"

    def line(text):
        *left, right = text.split("= ")
        parts = [" * ".join(sorted(p.split(" * "), key=lambda f: re.sub(r"p\d+", "", f))) for p in right.split(" + ")]
        return "= ".join([*left, " + ".join(sorted(parts, key=lambda f: re.sub(r"p\d+", "", f)))]) if left else text
    return "\n".join(line(re.sub(r"\[([^]]*)\]", terms, text)) for text in block.split("\n"))


def shape(block):
    """The path, how many iterations, whether lanes or a loop make the vectors, the buffers; neighbours may be one loop."""
    loops = [(int(a), int(b), "vectors" in c) for a, b, c in re.findall(r"for x\d+ in (-?\d+) \.\. (-?\d+)(.*)", block)]
    lanes = re.findall(r"for lanes: .*?(vectors|turned)", block)
    kinds = sorted(k for _, k in re.findall(r"\b(p\d+) (\d+[^,\n]*)", block))
    turns = math.prod(b - a + 1 for a, b, _ in loops)
    path = re.sub(r"one row \(.*", "one row", block.split("\n")[0])      # with two reasons, either is the first
    return "\n".join([path, f"{turns} iterations", *lanes, *["vectors along a loop"] * any(v for _, _, v in loops), *kinds])


def difference(want, got, same):
    """None, or which blocks of the two are not in the other.  Unless all must be the same, blocks may come in another order."""
    if same is plainly:
        want, got = [plainly(b) for b in want], [plainly(b) for b in got]
        lost, new = [a for a, b in zip(want, got) if a != b], [b for a, b in zip(want, got) if a != b]
    else:
        left = [same(re.sub(r"^(-- |nest )\d+", r"\1", b, flags=re.M)) for b in got]
        lost = []
        for b in want:
            b = same(re.sub(r"^(-- |nest )\d+", r"\1", b, flags=re.M))
            if b in left:
                left.remove(b)
            else:
                lost.append(b)
        new = left
    return "\n".join(["found", *new, "expected", *lost]) if lost or new or len(want) != len(got) else None


def plainly(block):
    return block


SAME = {"all": plainly, "numbers": renumbered, "shapes": shape}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="./sqlgrad")
    p.add_argument("--show", metavar="SPELLING", help="print the model in a spelling, and its loops")
    args = p.parse_args()
    args.bin = os.path.abspath(args.bin)
    if args.show:
        print(SPELLINGS[args.show][0], listing(args, SPELLINGS[args.show][0]), sep="\n")
        return
    plain, failed = blocks_of(listing(args, MODEL)), False
    for name, (model, same) in SPELLINGS.items():
        wrong = difference(plain, blocks_of(listing(args, model)), SAME[same]) if model != MODEL else "this is the same spelling"
        failed = failed or wrong is not None
        print(f"not ok {name}: {wrong}" if wrong else f"ok {name}")
    for name, tables in GALLERY.items():
        with open(os.path.join(TOP, "models", name + ".sql"), encoding="utf-8") as f:
            model = f.read()
        found = [blocks_of(listing(args, text, tables())) for text in (model, turned(model))]
        wrong = difference(*found, shape)
        failed = failed or wrong is not None
        print(f"not ok {name} turned: {wrong}" if wrong else f"ok {name} turned")
    lists = [b.split("\n")[0] for b in plain if "tuple list" in b]
    print(f"not ok no lists: {lists}" if lists else "ok no lists")
    sys.exit(1 if failed or lists else 0)


if __name__ == "__main__":
    main()
