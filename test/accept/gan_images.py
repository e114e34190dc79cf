# SPDX-License-Identifier: Apache-2.0
"""models/gan_images.sql: of 1,000 images made, a hundred of each kind, the network of fashion.sql, trained on real ones, takes
at least 60 % for the kind that was wanted."""
import os
import sqlite3
import sys
import tempfile

import accept

FILES, MADE, KNOWN = "/usr/share/datasets/fashion-mnist", 1000, 0.60         # Debian's dataset-fashion-mnist


def main():
    args = accept.arguments(__doc__, epochs=15, keep="")
    if not os.path.exists(FILES):
        print(f"skipped: no {FILES} (package dataset-fashion-mnist)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        data, gan, net, made = (os.path.join(folder, n) for n in ("data.db", "gan.db", "net.db", "made.db"))
        accept.sqlgrad(args, "import", "idx", *(f"{FILES}/train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")),
                       "--db", data, "--table", "samples", "--labels", "labels", "--as", "val/255.0", "--quiet")
        accept.sqlgrad(args, "train", accept.model("gan_images.sql"), "--db", data, "--state", gan, "--epochs", str(args.epochs),
                       "--batch", "64", "--quiet")
        accept.sqlgrad(args, "train", accept.model("fashion.sql"), "--db", data, "--state", net, "--epochs", "3", "--batch", "100",
                       "--optimizer", "adam", "--lr", "2e-3", "--quiet")
        db = sqlite3.connect(made)
        db.execute("CREATE TABLE labels (image INTEGER, label INTEGER)")
        db.executemany("INSERT INTO labels VALUES (?, ?)", [(k, k % 10) for k in range(MADE)])
        db.commit()
        db.close()
        accept.sqlgrad(args, "run", accept.model("gan_images.sql"), "--db", made, "--state", gan, "--show", "made", "--out", made, "--quiet")
        if args.keep:
            accept.sqlgrad(args, "plot", "--db", made, "--table", "made", "--limit", "40", "--cols", "10", "--range", "0,1", "--scale", "2",
                           "--out", args.keep)
        lines = accept.sqlgrad(args, "eval", accept.model("fashion.sql"), "--db", made, "--params", net, "--bind", "samples=made",
                               "--quiet", "--json")
    accept.verdict(f"gan_images: of {MADE} images made, taken for what was wanted", accept.metric(lines), KNOWN)


if __name__ == "__main__":
    main()
