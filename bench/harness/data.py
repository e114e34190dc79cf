# SPDX-License-Identifier: Apache-2.0
"""The data sets: a database for sqlgrad and the same numbers as raw arrays for its peers, made once and kept.

A maker fills a folder: data.db by `sqlgrad import` or by plain SQL, and arrays named in arrays.json with their file,
type and shape; `divide` and `add` say how bytes become values, as --as does on import.  What is not on the machine
(CIFAR-10, Cora, Fashion-MNIST, the licence) is replaced by made-up data of the same shape, from fixed seeds; `kind` says so.
"""
import array
import csv
import gzip
import itertools
import json
import os
import random
import shutil
import sqlite3
import struct
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
SHARED = os.environ.get("SHARED") or os.path.join(os.path.dirname(TOP), "shared", "data")
FASHION = "/usr/share/datasets/fashion-mnist"
TEXT = "/usr/share/common-licenses/GPL-3"


class Folder:
    """A data set being made."""

    def __init__(self, path, sqlgrad):
        self.path, self.sqlgrad, self.arrays, self.kind = path, sqlgrad, {}, ""
        self.db = os.path.join(path, "data.db")

    def file(self, name):
        return os.path.join(self.path, name)

    def put(self, name, values, dtype, shape, **more):
        """An array for the peers; bytes, or numbers of the type."""
        if not isinstance(values, (bytes, bytearray)):
            values = array.array({"int32": "i", "float32": "f"}[dtype], values).tobytes()
        with open(self.file(name), "wb") as f:
            f.write(values)
        self.arrays[name] = {"file": name, "dtype": dtype, "shape": list(shape), **more}

    def import_files(self, form, files, *flags):
        subprocess.run([self.sqlgrad, "import", form, *files, "--db", self.db, "--quiet", *flags], check=True,
                       stdout=subprocess.DEVNULL)

    def table(self, name, columns, rows):
        con = sqlite3.connect(self.db)
        con.execute(f"CREATE TABLE {name} ({columns})")
        con.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * (columns.count(',') + 1))})", rows)
        con.commit()
        con.close()

    def idx(self, name, images, count, rows, cols):
        """An IDX file of images of bytes (rows > 0) or of labels."""
        head = struct.pack(">4i", 0x803, count, rows, cols) if rows else struct.pack(">2i", 0x801, count)
        with open(self.file(name), "wb") as f:
            f.write(head + images)
        return self.file(name)


SOURCES = {"cifar": os.path.join(SHARED, "cifar10"), "cora": os.path.join(SHARED, "cora"), "fashion": FASHION, "text": TEXT}


def is_made(name, done):
    """Whether the data set is there, and not made up while its source is there by now."""
    if not os.path.exists(done):
        return False
    with open(done, encoding="utf-8") as f:
        return not json.load(f)["kind"].startswith("made-up") or not os.path.exists(SOURCES.get(name, done + "?"))


def make(name, sqlgrad, root, **size):
    """The folder of a data set, made if it is not there."""
    path = os.path.join(root, "-".join([name, *(str(v) for v in size.values())]))
    done = os.path.join(path, "arrays.json")
    if not is_made(name, done):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        d = Folder(path, sqlgrad)
        MAKERS[name](d, **size)
        with open(done, "w", encoding="utf-8") as f:
            json.dump({"kind": d.kind, "arrays": d.arrays}, f, indent=1)
    return path


# ---- images ----

def made_up_images(count, size, seed):
    """Bytes and labels: each class is a pattern under noise, so that there is something to learn."""
    rng = random.Random(seed)
    patterns = [rng.randbytes(size) for _ in range(10)]
    labels = [rng.randrange(10) for _ in range(count)]
    images = bytearray()
    for label in labels:
        noise = int.from_bytes(rng.randbytes(size), "little") >> 1 & int.from_bytes(b"\x7f" * size, "little")
        half = int.from_bytes(patterns[label], "little") >> 1 & int.from_bytes(b"\x7f" * size, "little")
        images += (noise + half).to_bytes(size, "little")
    return bytes(images), bytes(labels)


def cifar(d, images):
    size, files = 3 * 32 * 32, []
    there = [os.path.join(SHARED, "cifar10", f"data_batch_{k}.bin") for k in range(1, 6)]
    records = b"".join(open(f, "rb").read() for f in there) if all(map(os.path.exists, there)) else b""
    if len(records) >= images * (size + 1):
        d.kind, files = "CIFAR-10", there
    else:
        d.kind, files = "made-up images", [d.file("images.bin")]
        x, y = made_up_images(images, size, 1)
        records = b"".join(y[k:k + 1] + x[k * size:(k + 1) * size] for k in range(images))
        with open(files[0], "wb") as f:
            f.write(records)
    rows = [records[k * (size + 1):(k + 1) * (size + 1)] for k in range(images)]
    d.import_files("cifar10", files, "--table", "samples", "--labels", "labels", "--as", "val/127.5 - 1", "--limit",
                   str(images))
    d.put("x", b"".join(r[1:] for r in rows), "uint8", (images, 3, 32, 32), divide=127.5, add=-1)
    d.put("y", b"".join(r[:1] for r in rows), "uint8", (images,))


def idx_part(d, prefix, tables, count, seed):
    """Images and labels of one IDX pair of Fashion-MNIST, or made up."""
    files = [os.path.join(FASHION, f"{prefix}-{what}.gz") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    if all(map(os.path.exists, files)):
        d.kind = "Fashion-MNIST"
        x, y = (gzip.open(f).read() for f in files)
        x, y = x[16:16 + count * 784], y[8:8 + count]
    else:
        d.kind = "made-up images"
        x, y = made_up_images(count, 784, seed)
        files = [d.idx(f"{prefix}.images", x, count, 28, 28), d.idx(f"{prefix}.labels", y, count, 0, 0)]
    d.import_files("idx", files, "--table", tables[0], "--labels", tables[1], "--as", "val/255.0", "--limit", str(count))
    return x, y


def fashion(d, images, test):
    x, y = idx_part(d, "train", ("samples", "labels"), images, 2)
    d.put("x", x, "uint8", (images, 1, 28, 28), divide=255.0, add=0)
    d.put("y", y, "uint8", (images,))
    x, y = idx_part(d, "t10k", ("test_samples", "test_labels"), test, 2)
    d.put("test_x", x, "uint8", (test, 1, 28, 28), divide=255.0, add=0)
    d.put("test_y", y, "uint8", (test,))


def squares(d, images, side):
    d.kind = "made-up images"
    x, y = made_up_images(images, side * side, 3)
    files = [d.idx("images", x, images, side, side), d.idx("labels", y, images, 0, 0)]
    d.import_files("idx", files, "--table", "samples", "--labels", "labels", "--as", "val/255.0")


# ---- graphs ----

def read_csv(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.reader(f))[1:]


def made_up_citations():
    """Tables of Cora's shape."""
    rng, n = random.Random(4), 2708
    pairs = {tuple(sorted(rng.sample(range(n), 2))) for _ in range(5278)}
    edges = sorted(list(pairs) + [(b, a) for a, b in pairs] + [(i, i) for i in range(n)])
    features = [(i, w) for i in range(n) for w in sorted(rng.sample(range(1433), 18))]
    labels = [(i, rng.randrange(7)) for i in range(n)]
    split = [(i, "train" if i < 140 else "test" if i >= n - 1000 else "val") for i in range(n)]
    return {"edges": edges, "features": features, "labels": labels, "split": split}


def cora(d):
    columns = {"edges": "src INTEGER, dst INTEGER", "features": "node INTEGER, word INTEGER",
               "labels": "node INTEGER, label INTEGER", "split": "node INTEGER, part TEXT"}
    files = {t: os.path.join(SHARED, "cora", t + ".csv") for t in columns}
    if all(map(os.path.exists, files.values())):
        d.kind = "Cora"
        number = lambda s: int(s) if s.isdigit() else s
        tables = {t: [tuple(map(number, r)) for r in read_csv(f)] for t, f in files.items()}
    else:
        d.kind, tables = "made-up citations", made_up_citations()
    for t, rows in tables.items():
        d.table(t, columns[t], rows)
    for t in ("edges", "features"):
        d.put(t, itertools.chain(*tables[t]), "int32", (len(tables[t]), 2))
    d.put("labels", [label for _, label in sorted(tables["labels"])], "int32", (len(tables["labels"]),))
    training = sorted(i for i, part in tables["split"] if part == "train")
    d.put("training", training, "int32", (len(training),))


def some_pairs(rng, n, m):
    """m pairs of different vertices; how often one is cited falls with a power of its rank."""
    weights = list(itertools.accumulate((k + 10.0) ** -0.75 for k in range(n)))
    name = list(range(n))
    rng.shuffle(name)
    pairs = set()
    while len(pairs) < m:
        for i in rng.choices(range(n), cum_weights=weights, k=m - len(pairs)):
            a, b = rng.randrange(n), name[i]
            if a != b:
                pairs.add(a * n + b if a < b else b * n + a)
    return [divmod(p, n) for p in sorted(pairs)]


def graph(d, vertices, pairs, inputs):
    """`pairs` edges in both directions and a loop at every vertex; `inputs` features of a byte each."""
    rng = random.Random(5)
    d.kind = "a made-up graph"
    some = some_pairs(rng, vertices, pairs)
    edges = some + [(b, a) for a, b in some] + [(i, i) for i in range(vertices)]
    features = rng.randbytes(vertices * inputs)
    labels = [rng.randrange(40) for _ in range(vertices)]
    training = sorted(rng.sample(range(vertices), vertices * 54 // 100))
    d.table("edges", "src INTEGER, dst INTEGER", edges)
    d.table("labels", "vertex INTEGER, label INTEGER", enumerate(labels))
    d.table("training", "vertex INTEGER", ((i,) for i in training))
    d.import_files("idx", [d.idx("features.idx", features, vertices, 1, inputs)], "--table", "features", "--as",
                   "val/127.5 - 1")
    d.put("features", features, "uint8", (vertices, inputs), divide=127.5, add=-1)
    d.put("edges", itertools.chain(*edges), "int32", (len(edges), 2))
    d.put("labels", labels, "int32", (vertices,))
    d.put("training", training, "int32", (len(training),))


# ---- text ----

def letters(count):
    """So many letters, as numbers from 0, and how many kinds there are."""
    if os.path.exists(TEXT):
        with open(TEXT, "rb") as f:
            text = f.read()
        if len(text) >= count:
            kinds = {c: k for k, c in enumerate(sorted(set(text)))}
            return "a licence", [kinds[c] for c in text[:count]], len(kinds)
    rng = random.Random(7)
    return "made-up text", rng.choices(range(76), weights=[1 / (k + 1) for k in range(76)], k=count), 76


def text(d, sequences, length):
    """Sequences of length + 1 letters; the last of one is the first of the next."""
    d.kind, codes, kinds = letters(sequences * length + 1)
    rows = [(n, t, codes[n * length + t]) for n in range(sequences) for t in range(length + 1)]
    d.table("seq", "n INTEGER, t INTEGER, code INTEGER", rows)
    d.table("alphabet", "code INTEGER, ch TEXT", ((k, f"#{k}") for k in range(kinds)))
    d.table("sequences", "seq INTEGER, t INTEGER, token INTEGER", rows)
    d.put("codes", [code for _, _, code in rows], "int32", (sequences, length + 1))


# ---- a matrix ----

def matrix(d, rows, cols):
    rng = random.Random(6)
    d.kind = "a made-up table"
    values = array.array("f", (rng.gauss(0, 1) for _ in range(rows * cols)))
    d.table("a", "i INTEGER, k INTEGER, val REAL",
            ((i, k, values[i * cols + k]) for i in range(rows) for k in range(cols)))
    d.put("a", values.tobytes(), "float32", (rows, cols))


MAKERS = {f.__name__: f for f in (cifar, fashion, squares, cora, graph, text, matrix)}
