#!/usr/bin/env python3
"""Every line of docs/failures.md is shown by tests that there are, or says why by none.

    scripts/failures.py [FOLDER]     FOLDER is a checkout; without it, the one this script is in

The last cell of a line names tests as `File.function`, by the name of the file without `.swift`, and kinds of faults of the
simulation by their own names; or it says "No test: …" or "Not handled: …". Lines count from 1, without a gap.
Says every line that does not, and ends with 1 when there is one.
"""

import pathlib
import re
import sys

DOCUMENT = "docs/failures.md"
# Who has the kinds of faults that the simulation knows.
SCENARIO = "Sources/Cores/RoostSimulation/ClusterScenario.swift"
CELLS = 5

ROW = re.compile(r"^\|\s*(\d+)\s*\|(.*)\|\s*$")
TEST = re.compile(r"@Test\b.*?\bfunc (\w+)", re.DOTALL)
FAULTS = re.compile(r"enum Fault\b[^{]*\{(.*?)\n    \}", re.DOTALL)
QUOTED = re.compile(r"`([^`]*)`")
NAME = re.compile(r"([A-Z]\w*(?:\+\w+)?)\.(\w+)")
REASON = re.compile(r"\b(?:No test|Not handled): \w")


def tests(root):
    """The functions that are tests, by the name of their file; two files of one name are taken together."""
    found = {}
    for path in sorted((root / "Tests").rglob("*.swift")):
        found.setdefault(path.stem, set()).update(TEST.findall(path.read_text()))
    return found


def complaints(root, text=None):
    """What is wrong with the document, or with this text in its place."""
    text = (root / DOCUMENT).read_text() if text is None else text
    known = tests(root)
    faults = set(re.findall(r"\bcase (\w+)", FAULTS.search((root / SCENARIO).read_text())[1]))
    problems, number = [], 0
    for place, line in enumerate(text.splitlines(), 1):
        row = ROW.match(line)
        if not row:
            continue

        def complain(what):
            problems.append(f"{DOCUMENT}:{place}: {what}")

        number += 1
        if int(row[1]) != number:
            complain(f"is line {row[1]}, and should be {number}")
            number = int(row[1])
        cells = [cell.strip() for cell in row[2].split("|")]
        if len(cells) != CELLS - 1 or not all(cells):
            complain(f"has not {CELLS} cells with words in them")
            continue
        shown = False
        for quoted in QUOTED.findall(cells[-1]):
            name = NAME.fullmatch(quoted)
            if name and name[2] in known.get(name[1], ()):
                shown = True
            elif quoted not in faults:
                complain(f"there is no test {quoted}")
        if not shown and not REASON.search(cells[-1]):
            complain("names no test, and says not why")
    if number == 0:
        problems.append(f"{DOCUMENT} has no lines")
    return problems


def main(root):
    problems = complaints(root)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)))
