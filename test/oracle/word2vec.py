# SPDX-License-Identifier: Apache-2.0
"""References for models/word2vec.sql on a text of forty words: text keys, lots drawn from an urn of 64."""
import oracle
from noise import Noise, uniform
from oracle import Param, Spec, scaled

TEXT = ("the cat sat on the mat and the dog sat by the door while a cat and a dog may sit on a mat or by a door "
        "the dog is not the cat but a cat is a cat").split()
DIMS, REACH, NEGATIVES, SLOTS = 3, 2, 2, 64
WORDS = sorted(set(TEXT))
PAIRS = [(pos, o) for pos in range(len(TEXT)) for o in range(-REACH, REACH + 1) if o and 0 <= pos + o < len(TEXT)]
LOT = Noise("lot", {"pos": "INTEGER", "o": "INTEGER", "k": "INTEGER"}, {"val": uniform(0, SLOTS)},
            [(*pair, k) for pair in PAIRS for k in range(1, NEGATIVES + 1)])


def params():
    keys = [("word", WORDS), ("d", 0, DIMS - 1)]
    return {"centre": Param(keys, "x", scaled(0.5, 0.1)), "near": Param(keys, "x", scaled(0.4, 0.2))}


def urn():
    """The word of each slot."""
    share = [TEXT.count(word) ** 0.75 for word in WORDS]
    ends = [int(sum(share[:k + 1]) / sum(share) * SLOTS + 0.5) for k in range(len(WORDS))]
    return [next(k for k, end in enumerate(ends) if slot < end) for slot in range(SLOTS)]


def loss(torch, p, step):
    f, words, slots = torch.nn.functional, [WORDS.index(w) for w in TEXT], urn()
    centre = p["centre"][[words[pos] for pos, _ in PAIRS]]
    near = (centre * p["near"][[words[pos + o] for pos, o in PAIRS]]).sum(1)
    drawn = p["near"][[slots[int(row[-1])] for row in LOT.rows(step)]].reshape(len(PAIRS), NEGATIVES, DIMS)
    return (f.softplus(-near).sum() + f.softplus((centre[:, None] * drawn).sum(2)).sum()) / len(PAIRS)


RUNS = [("own", {"--optimizer": "adam", "--lr": "5e-3"}, 5)]


def spec():
    def column(name, numbers):          # what @range makes, for SQLite
        return f"{name} INTEGER", [(k,) for k in numbers]

    data = {"words": ("pos INTEGER, word TEXT", list(enumerate(TEXT))), "dim": column("d", range(DIMS)),
            "slot": column("s", range(SLOTS)), "draw": column("k", range(1, NEGATIVES + 1)),
            "way": column("o", [o for o in range(-REACH, REACH + 1) if o])}
    return Spec("models/word2vec.sql", "loss", data, params(), loss, RUNS, noise={"lot": LOT},
                sets={"dims": DIMS, "reach": REACH, "negatives": NEGATIVES, "slots": SLOTS})


if __name__ == "__main__":
    oracle.main("word2vec", "models/word2vec.sql on a text of forty words, see word2vec.py")
