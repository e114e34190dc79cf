# SPDX-License-Identifier: Apache-2.0
"""References for models/mf.sql: nine people, seven films."""
import oracle
from oracle import Param, Spec, scaled, wave

PEOPLE, FILMS = 9, 7
PAIRS = [(p, f) for p in range(PEOPLE) for f in range(FILMS) if (p * 5 + f * f * 3) % 4]
RATINGS = [(n, p, f, (p + f) % 3 // 2, 3 + 1.5 * wave(n, 0.4), "test" if n % 5 == 0 else "train")
           for n, (p, f) in enumerate(PAIRS)]
COLUMNS = "n INTEGER, person INTEGER, film INTEGER, weekend INTEGER, stars REAL, part TEXT"
PARAMS = {"person_mean": Param([("person", 0, PEOPLE - 1)], "w", scaled(0.5, 0.1)),
          "film_mean": Param([("film", 0, FILMS - 1)], "w", scaled(0.5, 0.2)),
          "taste": Param([("person", 0, PEOPLE - 1), ("k", 1, 2)], "w", scaled(0.8, 0.3)),
          "quality": Param([("film", 0, FILMS - 1), ("k", 1, 2)], "w", scaled(0.8, 0.4))}


def loss(torch, p):
    seen = [r for r in RATINGS if r[5] == "train"]
    person, film = (torch.tensor([r[c] for r in seen]) for c in (1, 2))
    stars = torch.tensor([r[4] for r in seen], dtype=torch.float64)
    taste, quality = p["taste"][person], p["quality"][film]
    miss = stars - stars.mean() - p["person_mean"][person] - p["film_mean"][film] - (taste * quality).sum(1)
    return miss.square().mean() + 0.02 * (taste.square() + quality.square()).mean()


RUNS = [("own", {"--optimizer": "adam", "--lr": "0.02"}, 4)]


def spec():
    data = {"ratings": (COLUMNS, RATINGS), "places": ("k INTEGER", [(1,), (2,)])}
    return Spec("models/mf.sql", "loss", data, PARAMS, loss, RUNS)


if __name__ == "__main__":
    oracle.main("mf", "models/mf.sql on nine people and seven films, see mf.py")
