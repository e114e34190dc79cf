# SPDX-License-Identifier: Apache-2.0
"""models/gan.sql: 10,000 samples have mean 4 +- 0.2 and deviation 1.25 +- 0.25 for at least four of five seeds."""
import os
import sys
import tempfile

import accept

SEEDS, SAMPLES = 5, 10000


def main():
    args = accept.arguments(__doc__, steps=4000)
    good = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(SEEDS):
            common = ["--state", os.path.join(folder, f"{seed}.db"), "--seed", str(seed), "--quiet", "--json"]
            accept.sqlgrad(args, "train", accept.model("gan.sql"), *common, "--steps", str(args.steps))
            found = accept.sqlgrad(args, "run", accept.model("gan.sql"), *common, "--set", f"n={SAMPLES}", "--show", "moments")
            mean, deviation = found[0]["mean"], found[0]["deviation"]
            good += abs(mean - 4) <= 0.2 and abs(deviation - 1.25) <= 0.25
            print(f"seed {seed}: mean {mean:.3f}, deviation {deviation:.3f}")
    print(f"gan: {good} of {SEEDS} seeds within 4 +- 0.2 and 1.25 +- 0.25, at least 4: {'yes' if good >= 4 else 'NO'}")
    sys.exit(0 if good >= 4 else 1)


if __name__ == "__main__":
    main()
