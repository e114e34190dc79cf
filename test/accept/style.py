# SPDX-License-Identifier: Apache-2.0
"""models/style.sql: started from the content, the style term falls at least 20 times while the content term stays below
0.5, a bound fixed beforehand (1 would be an image that conv2 sees nothing of)."""
import math
import os
import sys
import tempfile

import accept

FALL, BOUND, SIDE = 20, 0.5, 64
FILES = "/usr/share/datasets/fashion-mnist"          # Debian's dataset-fashion-mnist


def content(r, c):
    """A yellow ring and a red bar on a dark blue ground."""
    d = math.hypot(r - 32, c - 32)
    return (0.9, 0.8, 0.2) if 14 < d < 22 else (0.8, 0.2, 0.2) if 28 < r < 36 else (0.1, 0.1, 0.2 + 0.2 * c / SIDE)


def style(r, c):
    """Fine oblique stripes, waving, from green to violet."""
    x = 0.5 + 0.5 * math.sin(0.9 * (r + c) + 2 * math.sin(c / 9))
    return 0.1 + 0.5 * x, 0.8 - 0.7 * x, 0.4 + 0.5 * x


def picture(path, f):
    with open(path, "wb") as out:
        out.write(b"P6 %d %d 255\n" % (SIDE, SIDE))
        out.write(bytes(round(255 * x) for r in range(SIDE) for c in range(SIDE) for x in f(r, c)))


def network(args, folder):
    if not os.path.exists(FILES):
        print(f"skipped: no {FILES} (package dataset-fashion-mnist)")
        sys.exit(77)
    db, net = os.path.join(folder, "fashion.db"), os.path.join(folder, "net.db")
    accept.sqlgrad(args, "import", "idx", *(f"{FILES}/train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")),
                   "--db", db, "--table", "samples", "--labels", "labels", "--as", "val/255.0", "--quiet")
    accept.sqlgrad(args, "train", accept.model("fashion.sql"), "--db", db, "--state", net, "--epochs", "1", "--batch", "100",
                   "--optimizer", "adam", "--lr", "2e-3", "--quiet")
    return net


def main():
    args = accept.arguments(__doc__, steps=300, keep="")
    with tempfile.TemporaryDirectory() as folder:
        net, db, state = network(args, folder), os.path.join(folder, "pictures.db"), os.path.join(folder, "styled.db")
        for name, f in (("content", content), ("style", style)):
            picture(os.path.join(folder, name + ".ppm"), f)
            accept.sqlgrad(args, "import", "image", os.path.join(folder, name + ".ppm"), "--db", db, "--table", name + "_all",
                           "--as", "val/255.0", "--channels", "3", "--quiet")
        common = [accept.model("style.sql"), "--db", db, "--params", net, "--state", state, "--quiet", "--json",
                  "--bind", "content=content_all,image=content_all,style=style_all"]
        lines = accept.sqlgrad(args, "train", *common, "--steps", str(args.steps), "--eval-every", "1")
        terms = [line["metrics"] for line in lines if line.get("event") == "eval"]
        first, last = terms[0], terms[-1]
        if args.keep:
            accept.sqlgrad(args, "plot", "--db", state, "--table", "image", "--range", "0,1", "--scale", "4", "--out", args.keep)
    fall = first["terms.style"] / last["terms.style"]
    good = fall >= FALL and last["terms.content"] <= BOUND
    print(f"style: the style term fell {fall:.0f} times, at least {FALL}; the content term is {last['terms.content']:.3f}, "
          f"at most {BOUND}: {'yes' if good else 'NO'}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
