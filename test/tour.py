# SPDX-License-Identifier: Apache-2.0
"""Holds doc/tour.md to what the commands print: tour.py [--rewrite] [--bin PATH]

The page's first ```sqlite block makes data.db, its first ```sql block is model.sql.  A block after a comment
`<!-- STAGE: name, name -->` holds those statements of `explain --stage STAGE`; an indented block that starts with
`$ ` holds that command and its output (times of --json shown as …).  --rewrite writes what is found into the page."""
import argparse
import difflib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "doc", "tour.md")
SECONDS = re.compile(r'("\w+_seconds|"seconds_per_step)": ?[-+.\deE]+')


def fenced(text, kind):
    return re.search(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)[1]


class Tour:
    def __init__(self, text, folder, sqlgrad):
        self.folder, self.sqlgrad, self.stages = folder, sqlgrad, {}
        con = sqlite3.connect(os.path.join(folder, "data.db"))
        con.executescript(fenced(text, "sqlite"))
        con.close()
        with open(os.path.join(folder, "model.sql"), "w", encoding="utf-8") as f:
            f.write(fenced(text, "sql"))

    def shell(self, command):
        words = re.sub(r"^sqlgrad\b", self.sqlgrad, command)
        r = subprocess.run(words, shell=True, cwd=self.folder, capture_output=True, text=True)
        if r.returncode:
            sys.exit(f"$ {command}\nstatus {r.returncode}\n{r.stderr}")
        return SECONDS.sub(r"\1:…", r.stdout)

    def statements(self, stage):
        """What a stage prints, by the name of the table each paragraph makes."""
        if stage not in self.stages:
            text = self.shell(f"sqlgrad explain model.sql --db data.db --stage {stage} --quiet")
            named = [(re.search(r'CREATE (?:TEMP )?TABLE "?(\w+)', p), p.strip()) for p in text.split("\n\n")]
            self.stages[stage] = {m[1]: p for m, p in named if m}
        return self.stages[stage]

    def dump(self, m):
        found = self.statements(m[2])
        return m[1] + "\n\n".join(found[name.strip()] for name in m[3].split(",")) + "\n```"

    def command(self, m):
        lines = self.shell(m[1]).rstrip().split("\n")
        return f"    $ {m[1]}\n" + "".join(f"    {line}\n" for line in lines)

    def filled(self, text):
        text = re.sub(r"(<!-- (\w+): (.*?) -->\n```sql fragment\n).*?^```$", self.dump, text, flags=re.M | re.S)
        return re.sub(r"^    \$ (.*)\n(?:    .*\n)*", self.command, text, flags=re.M)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--rewrite", action="store_true")
    p.add_argument("--bin", default="sqlgrad")
    args = p.parse_args()
    with open(PAGE, encoding="utf-8") as f:
        text = f.read()
    with tempfile.TemporaryDirectory() as folder:
        found = Tour(text, folder, os.path.abspath(args.bin) if os.sep in args.bin else args.bin).filled(text)
    if args.rewrite:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(found)
    elif found != text:
        sys.stdout.writelines(difflib.unified_diff(text.splitlines(True), found.splitlines(True), "doc/tour.md", "found", n=1))
        sys.exit(1)
    print("doc/tour.md is what the commands print")


if __name__ == "__main__":
    main()
