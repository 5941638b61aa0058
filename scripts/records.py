#!/usr/bin/env python3
"""Every type that is stored, or sent from one program to another, is tried against what other versions write.

    scripts/records.py [FOLDER]     FOLDER is a checkout; without it, the one this script is in

Looks for types that can be encoded in the rooms below, and for the types whose fixtures are read in
Tests/Model/RoostRecordsTests/Fixtures.swift. A type is covered when it is one of those or is named in one that is covered.
Says every one that is not, and ends with 1 when there is one: give it a fixture, or say here why it needs none.
"""

import pathlib
import re
import sys

# Where records and messages are declared.
ROOMS = [
    "Sources/Model/RoostModel",
    "Sources/Model/RoostWire",
    "Sources/Cores/RoostMachineLife",
    "Sources/Cores/RoostFailover",
    "Sources/Services/RoostHost",
]
FIXTURES = "Tests/Model/RoostRecordsTests/Fixtures.swift"

# Read from fixtures by the tests of the room that has them: the type, and where the test is.
ELSEWHERE = {
    "MachineRow": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "MachineOrder": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "VolumeOrder": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "DurableState": "Tests/Adapters/RoostPostgresTests/MemberFileTests.swift",
}

# Words of later versions that are tried by other tests.
WORDS_ELSEWHERE = {
    "Capability": "Tests/Model/RoostRecordsTests/EvolutionTests.swift",
    "MachineEvent.Kind": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "MachineEvent.Source": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
}

# What needs no fixture, and why.
NONE = {
    "JSONTree": "any JSON",
    "ID": "a name or an id, by its aliases in every record",
    "ClosedEnum": "what closed enums have in common",
    "LogFormat": "a word of a configuration file, which people write",
    "FormerMachineRow": "the first version's words inside of MachineRow",
    "FormerMachineRow.Goal": "the first version's words inside of MachineRow",
    "EdgeHealth": "sent as one byte",
    "FailoverStatus.Phase": "shown to people",
}
# The public API: shapes of people's requests and of answers to them, of which nothing is written back.
PUBLIC = [
    f"Sources/Model/RoostWire/{name}.swift"
    for name in ("MachinesAPI", "VolumesAPI", "PlatformAPI", "OperationsAPI", "Errors")
]

DECLARED = re.compile(r"\b(struct|enum|extension|class|actor|protocol) ([A-Z][\w.]*)(?:<[^>]*>)?([^{\n]*)\{")
CODED = re.compile(r"\b(Codable|Encodable|OpenEnum)\b")
NAMED = re.compile(r"\b[A-Z]\w*\b")


def code(text):
    """The source without comments and strings, which may have braces in them."""
    text = re.sub(r'"""[\s\S]*?"""|#?"(?:\\.|[^"\\\n])*"#?', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def bodies(text):
    """Every declaration in the source: its name with those of the types it is in, what it inherits, and its body."""
    found, ends = [], []
    for match in DECLARED.finditer(text):
        while ends and ends[-1][1] <= match.start():
            ends.pop()
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        name = ".".join([outer for outer, _ in ends] + [match[2]])
        ends.append((name if not ends else match[2], end))
        found.append((name, match[3], text[match.end() : end]))
    return found


def main(root):
    types, opened, named, where = set(), set(), {}, {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.swift")):
            for name, inherited, body in bodies(code(path.read_text())):
                if name.split(".")[-1] in ("CodingKeys", "OpenEnum"):
                    continue
                if CODED.search(inherited):
                    types.add(name)
                    where.setdefault(name, path.relative_to(root))
                if re.search(r"\bOpenEnum\b", inherited):
                    opened.add(name)
                named.setdefault(name, set()).update(NAMED.findall(body))
    fixtures = code((root / FIXTURES).read_text())
    covered = set(re.findall(r"\b(?:kept|read)\((\w+)\.self\)", fixtures))
    problems = []
    for name, test in ELSEWHERE.items():
        if re.search(rf"\b{name}\b", (root / test).read_text()):
            covered.add(name)
        else:
            problems.append(f"{test} does not try {name}")
    todo = list(covered)
    while todo:
        words = named.get(todo.pop(), set())
        for other in types - covered:
            if other.split(".")[-1] in words:
                covered.add(other)
                todo.append(other)
    for name in sorted(types - covered - NONE.keys()):
        if str(where[name]) not in PUBLIC:
            problems.append(f"{where[name]}: {name} is stored or sent, and no fixture has it")
    for name in sorted(NONE.keys() - types):
        problems.append(f"scripts/records.py: there is no {name} that could be stored or sent")
    # Words of later versions: each of these enums is in the list of places where one is tried.
    tried = set(re.findall(r"\bWord\(([\w.]+)\.self", fixtures))
    for name in sorted(opened - tried - WORDS_ELSEWHERE.keys()):
        if str(where[name]) not in PUBLIC:
            problems.append(f"{where[name]}: no test reads a word of {name} that is not known")
    for name, test in WORDS_ELSEWHERE.items():
        if not re.search(rf"\b{name.split('.')[-1]}\b", (root / test).read_text()):
            problems.append(f"{test} does not try a word of {name}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)))
