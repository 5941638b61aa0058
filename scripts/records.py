#!/usr/bin/env python3
"""Every type that is stored, or sent from one program to another, is tried against what other versions write.

    scripts/records.py [FOLDER]     FOLDER is a checkout; without it, the one this script is in

Looks for types that can be encoded, and for the types whose fixtures are read in
Tests/Model/RoostRecordsTests/Fixtures.swift. A type is covered when it is one of those, or when one that is covered stores
it: as a property, as a value of a case, or in what it writes by hand (`encode(to:)`, `init(from:)`). Names are looked up as
the compiler does, from the inside out.
Says every one that is not, and ends with 1 when there is one: give it a fixture, or say here why it needs none.
"""

import functools
import pathlib
import re
import sys

# Of the sources, what is neither kept for a later version nor sent to another one, and why.
APART = {
    "Sources/Lab": "labs, benches and what they write about themselves are of one version",
    "Sources/Programs": "lines that people and their scripts read",
    "Sources/Cores/RoostHistory": "a history is judged by the version that wrote it",
    "Sources/Cores/RoostRelayWire/RelayOrders.swift": "a supervisor and its relay are one program, in one machine",
    "Sources/Model/RoostSettings": "a configuration file, which people write; its own tests read it",
    "Sources/Adapters/RoostStore/Etcd": "etcd's own messages",
    "Sources/Adapters/RoostContainers/RuntimeSpec.swift": "the form of the Open Container Initiative, for the runtime",
    "Sources/Adapters/RoostContainers/SeccompProfile.swift": "as above",
    "Sources/Adapters/RoostImages/OCILayout.swift": "the form of the Open Container Initiative, for images",
}
FIXTURES = "Tests/Model/RoostRecordsTests/Fixtures.swift"

# Read from fixtures by the tests of the room that has them: the type, and where the test is.
ELSEWHERE = {
    "MachineRow": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "MachineOrder": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "VolumeOrder": "Tests/Services/RoostHostTests/LedgerFixtureTests.swift",
    "DurableState": "Tests/Adapters/RoostPostgresTests/MemberFileTests.swift",
    "LaunchRecord": "Tests/Adapters/RoostContainersTests/LaunchRecordTests.swift",
    "ProcessIdentity": "Tests/Adapters/RoostContainersTests/LaunchRecordTests.swift",
    "ImageRecord": "Tests/Adapters/RoostImagesTests/ImageRecordTests.swift",
    "OCIImageStore.Resolution": "Tests/Adapters/RoostImagesTests/ImageRecordTests.swift",
    "AppHoldings.Count": "Tests/Services/RoostRoutesTests/AppDeletionTests.swift",
    "EdgeOrders.Standing": "Tests/Services/RoostRoutesTests/LastEdgeTests.swift",
}

# Words of later versions that are tried by other tests.
WORDS_ELSEWHERE = {
    "Capability": "Tests/Model/RoostRecordsTests/EvolutionTests.swift",
    "MemberSkill": "Tests/Model/RoostRecordsTests/EvolutionTests.swift",
    "MemberChange.Step.Kind": "Tests/Model/RoostRecordsTests/EvolutionTests.swift",
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
    "EdgeStats": "the names of what is counted in EdgeReportBody",
}
# The public API: shapes of people's requests and of answers to them, of which nothing is written back.
PUBLIC = [
    f"Sources/Model/RoostWire/{name}.swift"
    for name in (
        "MachinesAPI", "VolumesAPI", "PlatformAPI", "ClusterCredential", "MaintenanceAPI", "MembersAPI", "RecoveryAPI",
        "OperationsAPI", "ClusterCreationAPI", "FailoverAPI", "Errors"
    )
]

DECLARED = re.compile(r"\b(struct|enum|extension|class|actor|protocol) ([A-Z][\w.]*)(?:<[^>]*>)?([^{\n]*)\{")
CODED = re.compile(r"\b(Codable|Encodable|OpenEnum)\b")
NAMED = re.compile(r"\b[A-Z]\w*(?:\.[A-Z]\w*)*")
BRACE = re.compile("[{}]")
ALIAS = re.compile(r"\btypealias ([A-Z]\w*)(?:<[^>]*>)? *=")


def code(text):
    """The source without comments and strings, which may have braces in them."""
    text = re.sub(r'"""[\s\S]*?"""|#?"(?:\\.|[^"\\\n])*"#?', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def bodies(text):
    """Every declaration in the source: its kind, its name with those of the types it is in, what it inherits, its body."""
    found, ends = [], []
    for match in DECLARED.finditer(text):
        while ends and ends[-1][1] <= match.start():
            ends.pop()
        end = closing(text, match.end())
        name = ".".join([outer for outer, _ in ends] + [match[2]])
        ends.append((match[2], end))
        found.append((match[1], name, match[3], text[match.end() : end - 1]))
    return found


def closing(text, begin):
    """Behind the brace that ends the block whose inside begins there."""
    depth = 1
    for match in BRACE.finditer(text, begin):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return len(text)


def statements(body):
    """What is declared at the top of a body: the text of each, and the block behind it, if there is one."""
    text, depth, place = "", 0, 0
    while place < len(body):
        letter = body[place]
        if letter == "{":
            end = closing(body, place + 1)
            yield text, body[place + 1 : end - 1]
            text, depth, place = "", 0, end
            continue
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter in "\n;" and depth == 0 and text.strip():
            yield text, None
            text = ""
        else:
            text += letter
        place += 1
    if text.strip():
        yield text, None


def stored(kind, body):
    """The text of what a type stores."""
    for text, block in statements(body):
        if re.search(r"\bstatic\b", text):
            continue
        if re.search(r"\b(?:let|var) ", text):
            is_computed = block is not None and "=" not in text and not re.match(r"\s*(?:did|will)Set\b", block)
            if not is_computed:
                yield text + (block or "")
        elif kind == "enum" and re.search(r"\bcase ", text):
            yield text
        elif re.search(r"\binit\(from |\bfunc encode\(to ", text):
            yield text + (block or "")


def resolved(name, scope, declared):
    """The type that a name means in the body of another, by its whole name; none where it is not of these sources."""
    first, _, rest = name.partition(".")
    inside = scope.split(".") if scope else []
    while True:
        whole = ".".join(inside + [first])
        if whole in declared:
            return f"{whole}.{rest}" if rest and f"{whole}.{rest}" in declared else whole
        if not inside:
            return None
        inside.pop()


@functools.lru_cache(maxsize=None)
def declarations(text):
    """Of one source: each type's name, what it inherits, and the names in what it stores, with the type they stand in."""
    text, found = code(text), []
    for kind, name, inherited, body in [("file", "", "", text)] + bodies(text):
        for line, _ in statements(body):
            for alias in ALIAS.finditer(line):
                named = {(word, name) for word in NAMED.findall(line[alias.end() :])}
                found.append((f"{name}.{alias[1]}" if name else alias[1], "", named))
        if name and name.split(".")[-1] not in ("CodingKeys", "OpenEnum"):
            named = {(word, name) for part in stored(kind, body) for word in NAMED.findall(part)}
            found.append((name, inherited, named))
    return found


def complaints(root, changed={}):
    """What is wrong with the checkout.

    changed: files that are to be read as another text, by their paths in the checkout."""

    def read(place):
        return changed.get(str(place)) or (root / place).read_text()

    types, opened, where, declared, stores = set(), set(), {}, set(), {}
    for path in sorted((root / "Sources").rglob("*.swift")):
        place = path.relative_to(root)
        is_apart = any(place.is_relative_to(apart) for apart in APART)
        for name, inherited, named in declarations(read(place)):
            declared.add(name)
            stores.setdefault(name, set()).update(named)
            if not is_apart and CODED.search(inherited):
                types.add(name)
                where.setdefault(name, place)
                if re.search(r"\bOpenEnum\b", inherited):
                    opened.add(name)
    fixtures = code(read(FIXTURES))
    covered = set(re.findall(r"\b(?:kept|read)\(([\w.]+)\.self\)", fixtures))
    problems = []
    for name, test in ELSEWHERE.items():
        if re.search(rf"\b{re.escape(name)}\b", read(test)):
            covered.add(name)
        else:
            problems.append(f"{test} does not try {name}")
    todo = list(covered)
    while todo:
        for word, scope in stores.get(todo.pop(), ()):
            other = resolved(word, scope, declared)
            if other and other not in covered:
                covered.add(other)
                todo.append(other)
    for name in sorted(types - covered - NONE.keys()):
        if str(where[name]) not in PUBLIC:
            problems.append(f"{where[name]}: {name} is stored or sent, and no fixture has it")
    for name in sorted(NONE.keys() - types):
        problems.append(f"scripts/records.py: there is no {name} that could be stored or sent")
    for place in APART:
        if not (root / place).exists():
            problems.append(f"scripts/records.py: there is no {place}")
    # Words of later versions: each of these enums is in the list of places where one is tried.
    tried = set(re.findall(r"\bWord\(([\w.]+)\.self", fixtures))
    for name in sorted(opened - tried - WORDS_ELSEWHERE.keys()):
        if str(where[name]) not in PUBLIC:
            problems.append(f"{where[name]}: no test reads a word of {name} that is not known")
    for name, test in WORDS_ELSEWHERE.items():
        if not re.search(rf"\b{name.split('.')[-1]}\b", read(test)):
            problems.append(f"{test} does not try a word of {name}")
    return problems


def main(root):
    problems = complaints(root)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)))
