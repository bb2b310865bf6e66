"""
The share of the words of real configurations that are taken, by kind, weighted by the number of configurations.

``python -m test.corpus VOCABULARY [--missing N]``.  VOCABULARY: a file of lines "kind, name, configurations, …",
separated by tabs, with a line of headings.  *N*: so many of the words that are not taken are listed, the most used ones
first.
"""

import argparse
import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

from .probe import Answer, probe


def main() -> None:
    """
    Read the file, ask for each word, and print a table.
    """
    parser = argparse.ArgumentParser(prog="python -m test.corpus", description=main.__doc__)
    parser.add_argument("vocabulary", type=Path)
    parser.add_argument("--missing", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    counts: dict[str, Counter[Answer]] = defaultdict(Counter)
    missing: list[tuple[int, str, str]] = []
    with arguments.vocabulary.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            kind, name, used = row["kind"], row["name"], int(row["configurations"])
            answer = probe(kind, name)
            if answer is None:
                continue
            counts[kind][answer] += used
            if answer is Answer.REFUSED:
                missing.append((used, kind, name))
    lines = [f"{'kind':12} {'uses':>6} {'taken':>7} {'remark':>7} {'refused':>8}"]
    for kind, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        shares = [100 * found[answer] / found.total() for answer in Answer]
        lines.append(f"{kind:12} {found.total():6} {shares[0]:6.1f}% {shares[1]:6.1f}% {shares[2]:7.1f}%")
    for used, kind, name in sorted(missing, key=lambda each: -each[0])[: arguments.missing]:
        lines.append(f"{used:4} {kind:12} {name}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
