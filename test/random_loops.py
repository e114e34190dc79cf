# SPDX-License-Identifier: Apache-2.0
"""Random models of the kind that loops are for (array_models.py): tuple lists, compiled loops and SQL must agree on each.

random_loops.py [--bin PATH] [--seeds A..B] [--seconds N] [--keep DIR] [--nests SHARE]   prints `ok …`, or the first lines
of each disagreement, and how many blocks became nests.  The model of a seed is always the same; --keep DIR leaves the
folder of those that fail; --nests is the least share of blocks that must become nests (of 100 models or more).  Every other seed has batches.

For each model: all tables and the gradients of a loss by lists, loops and SQL in f64; loops in f32 against f64; the same
bits with shuffled rows, with two threads and with an emptied compile cache; other vector widths; some steps of training
whose last batch is short."""
import argparse
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

from array_models import Writer  # noqa: E402
from random_models import Refused, Wrong, rows_of  # noqa: E402
from runner.scratch import ENV, shuffle_tables  # noqa: E402


def make_db(path, tables):
    con = sqlite3.connect(path)
    for name, (cols, rows) in tables.items():
        con.execute(f"CREATE TABLE {name} ({', '.join(f'{c} {t}' for c, t in cols)})")
        con.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(cols))})", rows)
    con.commit()
    con.close()


ENGINES = {"lists": ["--engine", "native", "--no-loops"], "loops": ["--engine", "native", "--all-loops"], "sql": ["--engine", "sql"]}


def by_key(rows):
    """Sorted by keys, then by what numbers say in six digits, so that a last digit moves nothing."""
    def order(v):
        return (0, "") if v is None else (2, v) if isinstance(v, str) else (1, v)

    def rough(v):
        return (1, float(f"{v:.6g}")) if isinstance(v, float) else (0, 0)
    return sorted(rows, key=lambda r: ([order(v) for v in r if not isinstance(v, float)], [rough(v) for v in r]))


def largest(rows):
    return max((abs(v) for row in rows for v in row if isinstance(v, float) and math.isfinite(v)), default=0.0)


def close(p, q, scale):
    if isinstance(p, float) and isinstance(q, float):
        return p == q or p != p and q != q or abs(p - q) <= 1e-9 * scale
    return p == q


def compare(what, want, got, names):
    """The same rows, numbers to 1e-9 of the table's largest; what should be 0 is a sum of numbers near 1."""
    for t in names:
        a, b = by_key(want.get(t, [])), by_key(got.get(t, []))
        if len(a) != len(b):
            raise Wrong(f"{what}: table {t}: {len(b)} rows, expected {len(a)}")
        scale = max(largest(a), 1e-4)
        for x, y in zip(a, b):
            if not all(close(p, q, scale) for p, q in zip(x, y)):
                raise Wrong(f"{what}: table {t}: {y}, expected {x}")


def worst(want, got, names):
    """The greatest difference, of each table's largest number; infinite where other rows are there."""
    most = 0.0
    for t in names:
        a, b = by_key(want.get(t, [])), by_key(got.get(t, []))
        if len(a) != len(b):
            return math.inf
        scale = largest(a)
        if scale > 1e30:
            return 0.0                  # beyond f32
        for x, y in zip(a, b):
            for p, q in zip(x, y):
                if isinstance(p, float) and isinstance(q, float):
                    if p != q and not (p != p and q != q):
                        most = max(most, abs(p - q) / max(scale, 1e-2)) if math.isfinite(p - q) else math.inf
                elif p != q:
                    return math.inf
    return most


class Trial:
    def __init__(self, args, seed, folder):
        self.args, self.folder, self.seed = args, folder, seed
        self.w = Writer(random.Random(seed), seed % 2 == 1)
        self.model = self.w.model()
        self.params = self.w.params
        with open(self.path("model.sql"), "w", encoding="utf-8") as f:
            f.write(self.model)
        make_db(self.path("data.db"), self.w.tables)
        shutil.copy(self.path("data.db"), self.path("shuffled.db"))
        shuffle_tables(self.path("shuffled.db"), seed + 1)

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, *words, db="data.db", engine="loops", precision="f64", env=None):
        explain = words[0] == "explain"
        words = [words[0], "model.sql", *words[1:], "--db", db, "--quiet"]
        if not explain:
            words += ENGINES[engine] + ["--json", "--precision", precision]
        r = subprocess.run([self.args.bin, *words], cwd=self.folder, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           timeout=240, env={**ENV, "HOME": self.folder, "SQLGRAD_CACHE": self.args.cache, **(env or {})})
        if r.returncode == 1 and re.search(r"error: .*\[(grad|group|window|subquery)\.", r.stderr):
            raise Refused(f"{words[0]}: {r.stderr}")
        if r.returncode:
            raise Wrong(f"{' '.join(words)}: status {r.returncode}\n{r.stderr[-4000:]}{r.stdout[-1000:]}")
        return r.stdout

    def same_bits(self, what, want, got):
        if sorted(want.splitlines()) != sorted(got.splitlines()):
            raise Wrong(f"{what}: other bits:\n" + "\n".join(sorted(set(want.splitlines()) ^ set(got.splitlines()))))

    def in_f32(self, words, want, names):
        """As near as f32 can be: 1e-4, or what lists reach."""
        got = rows_of(self.command(*words, precision="f32"))
        far = worst(want, got, names)
        if far <= 1e-4:
            return
        lists = rows_of(self.command(*words, precision="f32", engine="lists"))
        if far > 4 * worst(want, lists, names) and worst(lists, got, names) > 1e-4:
            raise Wrong(f"loops in f32 are off by {far:.3g}, lists by {worst(want, lists, names):.3g}: {words[0]}")

    def engines(self, words, names):
        """Everything that one command must agree on."""
        lists = rows_of(self.command(*words, engine="lists"))
        loops = self.command(*words, "--threads", "1")
        compare(f"loops {words[0]}", lists, rows_of(loops), names)
        compare(f"sql {words[0]}", lists, rows_of(self.command(*words, engine="sql")), names)
        empty = tempfile.mkdtemp(dir=self.folder)
        again = self.command(*words, "--threads", "2", db="shuffled.db", env={"SQLGRAD_CACHE": empty})
        self.same_bits(f"{words[0]}, shuffled, with threads and an empty cache", loops, again)
        for cpu in self.args.cpus:
            other = self.command(*words, env={"SQLGRAD_CPU": cpu})
            compare(f"SQLGRAD_CPU={cpu} {words[0]}", lists, rows_of(other), names)
        self.in_f32(words, lists, names)

    def values(self):
        self.engines(["run", "--show", ",".join(self.w.shown + ["loss"])], self.w.shown + ["loss"])

    def gradients(self):
        self.engines(["grad", "--loss", "loss", "--wrt", ",".join(self.params)], ["grad_" + p for p in self.params])

    def training(self):
        used = [p for p in self.params if re.search(rf"\b{p} AS", self.model)]
        if not used:
            return
        n = len(self.w.lead)
        batch = random.Random(self.seed).choice([2, 3, 4, n - 1])
        flags = ["train", "--wrt", ",".join(used), "--loss", "loss", "--batch", str(batch), "--epochs", "2", "--lr", "0.005", "--clip", "2", "--seed", "3",
                 "--optimizer", "sgd(momentum=0.9)"]       # adam divides noise by noise where a gradient should be 0
        losses, states = {}, {}
        for what, engine, threads in (("loops", "loops", "1"), ("again", "loops", "2"), ("lists", "lists", "1")):
            state = self.path(f"{what}.db")
            out = self.command(*flags, "--state", state, "--threads", threads, db="shuffled.db" if what == "again" else "data.db", engine=engine)
            losses[what] = [x["loss"] for x in map(json.loads, out.splitlines()) if x["event"] == "step"]
            con = sqlite3.connect(state)
            states[what] = {p: con.execute(f"SELECT * FROM {p} ORDER BY 1, 2").fetchall() for p in used}
            con.close()
        if losses["loops"] != losses["again"] or canonical_states(states["loops"]) != canonical_states(states["again"]):
            raise Wrong(f"train, shuffled and with threads: {losses['again']}, expected {losses['loops']}")
        for p, q in zip(losses["lists"], losses["loops"]):
            if not close(p, q, max(1.0, abs(p))):
                raise Wrong(f"train: lists {losses['lists']}, loops {losses['loops']}")
        compare("train with loops", states["lists"], states["loops"], used)

    def nests(self):
        """(blocks that became nests, blocks that might have)"""
        text = self.command("explain", "--stage", "loop", "--loss", "loss", "--wrt", ",".join(self.params))
        paths = re.findall(r'^-- \d+ (?:"(?:[^"]|"")*"|\S+): (nest|tuple list|one row \()', text, re.M)
        return sum(p == "nest" for p in paths), len(paths)


def canonical_states(tables):
    return {p: sorted(rows) for p, rows in tables.items()}


def trial(args, seed, folder):
    t = Trial(args, seed, folder)
    t.values()
    t.gradients()
    if t.w.batched:
        t.training()
    return t.nests()


def other_cpus():
    """Narrower vectors than this machine's."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            flags = f.read()
    except OSError:
        return ["base"]
    return ["base"] + (["avx2"] if "avx512dq" in flags else [])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", default="./sqlgrad")
    p.add_argument("--seeds", default="0..119", metavar="A..B")
    p.add_argument("--seconds", type=float, default=math.inf, help="start no seed after so long")
    p.add_argument("--keep", metavar="DIR")
    p.add_argument("--nests", type=float, default=0.6, metavar="SHARE", help="of the blocks that must become nests")
    p.add_argument("--chars", type=int, default=1500, help="of a report")
    p.add_argument("--refused", action="store_true", help="print what was refused")
    args = p.parse_args()
    args.bin, args.cpus = os.path.abspath(args.bin), other_cpus()
    low, _, high = args.seeds.partition("..")
    failed = refused = done = nests = blocks = 0
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as top:
        args.cache = os.path.join(top, "cache")
        for seed in range(int(low), int(high or low) + 1):
            if time.monotonic() - start > args.seconds:
                break
            done += 1
            folder = tempfile.mkdtemp(dir=top)
            try:
                n, m = trial(args, seed, folder)
                nests, blocks = nests + n, blocks + m
            except Refused as e:
                refused += 1
                if args.refused:
                    print(f"# seed {seed} refused: {str(e).strip()}", flush=True)
            except (Wrong, subprocess.TimeoutExpired, ValueError) as e:
                failed += 1
                why = str(e) if isinstance(e, Wrong) else f"{type(e).__name__}: {e}"
                print(f"not ok seed {seed}: {why[:args.chars]}", flush=True)
                if args.keep:
                    shutil.copytree(folder, os.path.join(args.keep, str(seed)), dirs_exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(args.cache, ignore_errors=True)
    share = nests / max(1, blocks)
    print(f"# {nests} of {blocks} blocks are nests")
    if share < args.nests and done >= 100:
        failed += 1
        print(f"not ok nests: {100 * share:.0f} % of the blocks, expected {100 * args.nests:.0f} %")
    print(f"ok {done - refused} random models of arrays agree, {refused} refused" if not failed else f"# {failed} of {done} disagree, {refused} refused")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
