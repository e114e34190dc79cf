# SPDX-License-Identifier: Apache-2.0
"""minGPT's sorting task: 1,000 steps of models/gpt.sql, then 5,000 unseen sequences are sorted digit by digit, each
digit read from what the model wrote before; all must be right, and the loss at step 1,000 below 0.05."""
import os
import sqlite3
import sys
import tempfile

import accept

LOSS, DIGITS = 0.05, 6


def make_data(path):
    db = sqlite3.connect(path)
    with open(os.path.join(accept.TOP, "models/data/sorting.sql"), encoding="utf-8") as f:
        db.executescript(f.read())
    both = db.execute("""SELECT COUNT(*) FROM (SELECT group_concat(token, '') AS w FROM sequences GROUP BY seq INTERSECT
                         SELECT group_concat(token, '') FROM unseen GROUP BY seq)""").fetchone()[0]
    if both:
        sys.exit(f"{both} of the unseen sequences are trained on")
    db.execute(f"CREATE TABLE prompt AS SELECT * FROM unseen WHERE t < {DIGITS}")
    db.commit()
    db.close()


def write_digit(args, path):
    """One more token behind every sequence of prompt."""
    accept.sqlgrad(args, "run", accept.model("gpt.sql"), "--db", path, "--bind", "sequences=prompt",
                   "--show", "continuation", "--out", path, "--quiet")
    db = sqlite3.connect(path)
    db.execute("INSERT INTO prompt SELECT seq, t, token FROM continuation")
    db.commit()
    db.close()


def main():
    args = accept.arguments(__doc__, steps=1000)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sort.db")
        make_data(path)
        lines = accept.sqlgrad(args, "train", accept.model("gpt.sql"), "--db", path, "--steps", str(args.steps),
                               "--batch", "64", "--clip", "1.0", "--engine", args.engine, "--json")
        loss = lines[-1]["loss"]
        for _ in range(DIGITS):
            write_digit(args, path)
        db = sqlite3.connect(path)
        wrong, total = db.execute("""SELECT COUNT(DISTINCT CASE WHEN u.token IS NOT p.token THEN u.seq END), COUNT(DISTINCT u.seq)
                                     FROM unseen AS u LEFT JOIN prompt AS p USING (seq, t)""").fetchone()
    print(f"gpt: loss {loss:.2g} at the last step, below {LOSS}: {'yes' if loss < LOSS else 'NO'}")
    accept.verdict(f"gpt: {total - wrong} of {total} unseen sequences sorted", (total - wrong) / total, 1.0)


if __name__ == "__main__":
    main()
