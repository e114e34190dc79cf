# SPDX-License-Identifier: Apache-2.0
"""micrograd's published run: 100 full-batch steps on its moons reproduce three of its losses to 1e-9."""
import os
import sys
import tempfile

import accept

PUBLISHED = {0: 0.8958441028683222, 1: 1.7235905336972022, 99: 0.010978370135492717}


def main():
    args = accept.arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        db = os.path.join(folder, "moons.db")
        for table in ("points", "sides", "w1", "b1", "w2", "b2", "w3", "b3"):
            accept.sqlgrad(args, "import", "csv", os.path.join(accept.TOP, "test/data/moons", table + ".csv"),
                           "--db", db, "--table", table)
        lines = accept.sqlgrad(args, "train", accept.model("moons.sql"), "--db", db, "--steps", "100",
                               "--engine", args.engine, "--precision", "f64", "--json")
    loss = {line["step"]: line["loss"] for line in lines if line.get("event") == "step"}
    wrong = [step for step, want in PUBLISHED.items() if not abs(loss[step] - want) <= 1e-9]
    for step in wrong:
        print(f"step {step}: {loss[step]:.17g}, published {PUBLISHED[step]:.17g}")
    print(f"moons {args.engine}: {len(PUBLISHED) - len(wrong)} of {len(PUBLISHED)} published losses agree to 1e-9")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
