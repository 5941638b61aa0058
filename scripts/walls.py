#!/usr/bin/env python3
"""The walls of the house: what a room may use, and the rules of CONTRIBUTING.md that a reader of text can check.

    scripts/walls.py [FOLDER [DUMP]]     FOLDER is a checkout; without it, the one this script is in

Says every breach with file and line, and ends with 1 when there is one. The dependencies come from Package.swift itself
(`swift package dump-package`, or its output in the file DUMP); the rest is read from the sources.
"""

import json
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True

from swift_text import Uses, declarations, function_end, is_commented, published, without_comment, without_text

# The floors from the ground up, and the floors whose rooms a room may use. The model lies under everything: the system
# speaks of it, and the cores use nothing else.
FLOORS = {
    "Model": {"Model"},
    "System": {"Model", "System"},
    "Cores": {"Model", "Cores"},
    "Adapters": {"Model", "System", "Cores", "Adapters"},
    "Services": {"Model", "System", "Cores", "Adapters", "Services"},
    "Lab": {"Model", "System", "Cores", "Adapters", "Lab"},
    "Programs": {"Model", "System", "Cores", "Adapters", "Services", "Lab"},
}

# Rooms beside each other on one floor that may use each other; every other pair may not.
BESIDE = {
    "RoostWire": {"RoostModel"},
    "RoostRecords": {"RoostModel"},
    "RoostSettings": {"RoostModel"},
    "RoostLinux": {"CLinux"},
    "RoostCrypto": {"CLibCrypto"},
    "RoostReaders": {"RoostFailover"},
    "RoostSimulation": {"RoostFailover", "RoostMachineLife"},
    "RoostPostgresWire": {"RoostRouting"},
    "RoostEdgeWire": {"RoostPostgresWire", "RoostRouting"},
    "RoostPlans": {"RoostPlacement"},
    "RoostContainers": {"RoostRuntime"},
    "RoostImages": {"RoostRuntime"},
    "RoostEdgeProcess": {"RoostEdgeLink"},
    "RoostHost": {"RoostPlanet"},
    "RoostControl": {"RoostHost", "RoostPlanet"},
    "RoostRoutes": {"RoostAPI", "RoostControl", "RoostHost", "RoostPlanet"},
    "RoostPostgresControl": {"RoostAPI", "RoostControl", "RoostHost", "RoostPlanet"},
    "RoostLab": {"RoostWAN"},
    "RoostDemo": {"RoostLab"},
    "RoostBench": {"RoostDemo", "RoostLab"},
    "RoostCheck": {"RoostDemo", "RoostLab"},
}

# Who makes a Moment: the clock itself, and who reads back what another process of the host has written of it.
MOMENT_MAKERS = {"Sources/System/RoostLinux/Clock.swift", "Sources/Adapters/RoostPostgres/LeaseWatch.swift"}
MOMENT_MADE = re.compile(r"\(\s*sinceBoot:")

# What must never be, whatever the floors say: (room, room that it must not reach even through others, why).
NEVER = [
    (edge, other, f"an edge has {why}")
    for edge in ("RoostEdge", "roost-edge")
    for other, why in (
        ("RoostStore", "no access to the store"), ("RoostRecords", "no access to what the store keeps"),
        ("RoostPlanet", "no copy of the planet"), ("RoostHost", "no part in a host's work"),
        ("RoostControl", "no part in the control plane"), ("RoostPostgresControl", "no part in the control plane"),
        ("RoostClient", "no way to the API"), ("RoostAPI", "no part in the API"), ("RoostRoutes", "no part in the API"),
        ("RoostEdgeProcess", "nothing to do with how it is kept"))
] + [
    ("roostd", "RoostEdge", "the edge is a process of its own"),
    ("RoostHost", "RoostPostgres", "a host's work knows nothing of Postgres"),
    ("RoostHost", "RoostPostgresControl", "a host's work knows nothing of Postgres"),
    ("RoostPlanet", "RoostPostgres", "the planet's copy knows nothing of Postgres"),
]

# Words that a room must not know: what its owners are for is none of its business.
UNSPEAKABLE = {
    "RoostHost": re.compile(r"postgres|\b543[23]\b", re.IGNORECASE),
    "RoostRuntime": re.compile(r"postgres", re.IGNORECASE),
    "RoostContainers": re.compile(r"postgres", re.IGNORECASE),
    "RoostImages": re.compile(r"postgres", re.IGNORECASE),
    "RoostVolumes": re.compile(r"postgres", re.IGNORECASE),
    "RoostMesh": re.compile(r"postgres", re.IGNORECASE),
    "RoostMachineLife": re.compile(r"postgres", re.IGNORECASE),
}

# The floors that everybody stands on: each public symbol there says in a comment what its declaration cannot.
DOCUMENTED = {"Model", "System"}

FUNCTION_LINES_MAX = 70
# What a core may import besides rooms: collections, which do nothing by themselves.
CORE_IMPORTS = {"DequeModule", "HeapModule"}
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"
    r"import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var)\s+)?(\w+)")
CORE_FORBIDDEN = [
    re.compile(r"\b(await)\b"),
    re.compile(r"\b(ContinuousClock|SuspendingClock|SystemRandomNumberGenerator)\b"),
    re.compile(r"\b(Date|Task|Thread|FileHandle|UUID)\b[.(]"),
    # A seed replays only what it was asked for.
    re.compile(r"\.(random|randomElement|shuffled?)\((?![^()]*\busing:)"),
]
TYPE = re.compile(
    r"^(?:@\w+(?:\([^)]*\))? )*(?:(?:public|package|internal|private|fileprivate|final|indirect|nonisolated|open) )*"
    r"(struct|class|actor|enum|protocol|typealias) (\w+)")
FUNCTION = re.compile(r"^(\s*)(?:@\w+(?:\([^)]*\))? )*(?:[\w()]+ )*(func \S+?|init|subscript)[?!]?[<(]")
# Code without a name of its own: a computed property, what sets a stored one, `deinit`, and what a library is handed.
BODY = re.compile(
    r"^(\s*)(?:@\w+(?:\([^)]*\))? )*(?:[\w()]+ )*(?:(?:var|let) (\w+)\b[^=]*(?:= )?|(deinit) )\{(?: \(?[\w, ]+\)? in)?$")
ROUTES = re.compile(r"^\s*(?:\w+ )*(?:struct|class|actor|enum|extension) [^:]*:.*\bRouteGroup\b")


class House:
    def __init__(self, root, dump):
        self.root = root
        self.breaches = []
        self.targets = self.read_targets(dump)
        self.sources = self.read("Sources")
        self.tests = self.read("Tests")

    def read(self, folder):
        return {path: path.read_text().splitlines() for path in sorted((self.root / folder).rglob("*.swift"))}

    def say(self, text):
        self.breaches.append(text)

    def read_targets(self, dump):
        targets = {}
        for target in json.loads(dump)["targets"]:
            uses = []
            for dependency in target["dependencies"]:
                if "byName" in dependency:
                    uses.append(dependency["byName"][0])
                elif "target" in dependency:
                    uses.append(dependency["target"][0])
            targets[target["name"]] = {"path": target.get("path") or "", "uses": uses, "type": target["type"]}
        return targets

    def floor(self, room):
        parts = self.targets[room]["path"].split("/")
        return parts[1] if len(parts) == 3 and parts[0] == "Sources" else None

    def rooms(self):
        return [name for name, target in self.targets.items() if target["type"] != "test"]

    def room_of(self, path):
        parts = path.relative_to(self.root).parts
        return parts[1], parts[2]

    # What a room uses.

    def check_floors(self):
        for room in self.rooms():
            floor = self.floor(room)
            if floor not in FLOORS or not self.targets[room]["path"].endswith(f"/{room}"):
                self.say(f"Package.swift: room {room} is not in Sources/<Floor>/{room}")
                continue
            for used in self.targets[room]["uses"]:
                if used not in self.targets:
                    continue
                below = self.floor(used)
                if below not in FLOORS[floor]:
                    self.say(f"Package.swift: {room} ({floor}) uses {used} ({below}), which is not below it")
                elif below == floor and used not in BESIDE.get(room, set()):
                    self.say(f"Package.swift: {room} uses {used} beside it, which is not among the named exceptions")

    def reached(self, room):
        seen, waiting = set(), list(self.targets[room]["uses"])
        while waiting:
            used = waiting.pop()
            if used in seen or used not in self.targets:
                continue
            seen.add(used)
            waiting.extend(self.targets[used]["uses"])
        return seen

    def check_never(self):
        for room, other, why in NEVER:
            if room in self.targets and other in self.reached(room):
                self.say(f"Package.swift: {room} reaches {other}: {why}")
        for room in ("RoostAPI", "RoostRoutes"):
            for used in self.targets.get(room, {"uses": []})["uses"]:
                if used in self.targets and self.floor(used) == "Adapters":
                    self.say(f"Package.swift: {room} uses the adapter {used}: it asks the services")

    def check_mirror(self):
        for name, target in self.targets.items():
            if target["type"] != "test":
                continue
            room = name.removesuffix("Tests")
            if room in self.targets and self.targets[room]["path"]:
                wanted = self.targets[room]["path"].replace("Sources/", "Tests/", 1) + "Tests"
                if target["path"] != wanted:
                    self.say(f"Package.swift: the tests of {room} are in {target['path']}, not in {wanted}")

    def check_texts(self):
        for room in self.rooms():
            if self.targets[room]["type"] == "system":
                continue
            text = self.root / self.targets[room]["path"] / "README.md"
            if not text.is_file():
                self.say(f"{self.targets[room]['path']}: no README.md that says what the room is for")

    # What the documents say of the house.

    def check_map(self):
        """Each room has a row in the table of rooms, under its floor, and no row is of a room that is not there."""
        text = self.root / "docs/architecture.md"
        rows, floor = {}, None
        for number, line in section(text.read_text().splitlines(), "## The rooms"):
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) != 5:
                continue
            floor = cells[1] or floor
            for room in re.findall(r"`([\w-]+)`", cells[2]):
                rows[room] = (number, floor)
        for room in self.rooms():
            if room not in rows:
                self.say(f"docs/architecture.md: no row says what lives in {room}")
            elif self.floor(room) != rows[room][1]:
                self.say(f"docs/architecture.md:{rows[room][0]}: {room} is on the floor {self.floor(room)}")
        for room, (number, _) in rows.items():
            if room not in self.targets:
                self.say(f"docs/architecture.md:{number}: there is no room {room}")

    def check_decisions(self):
        """Each page of a decision is listed, by the number and title it has, and each that is listed is there."""
        folder = self.root / "docs/decisions"
        listed = {}
        for number, line in enumerate((folder / "README.md").read_text().splitlines(), 1):
            found = re.match(r"- \[(\d{4}) (.+)\]\(([^)]+)\)$", line)
            if found:
                listed[found.group(3)] = (number, found.group(1), found.group(2))
        for page in sorted(folder.glob("[0-9]*.md")):
            if page.name not in listed:
                self.say(f"docs/decisions/README.md: {page.name} is not listed")
                continue
            number, digits, title = listed.pop(page.name)
            said = page.read_text().splitlines()[0].removeprefix("# ")
            if not page.name.startswith(digits + "-") or said != f"{digits} {title}":
                self.say(f"docs/decisions/README.md:{number}: {page.name} calls itself '{said}'")
        for name, (number, _, _) in listed.items():
            self.say(f"docs/decisions/README.md:{number}: there is no page {name}")

    # What a file says.

    def check_files(self):
        types = {}
        self.asked = self.requirements()
        for path, lines in self.sources.items():
            floor, room = self.room_of(path)
            where = path.relative_to(self.root)
            if floor == "Cores":
                self.check_core(where, lines)
            if floor in DOCUMENTED:
                self.check_comments(where, lines)
            if where.as_posix() not in MOMENT_MAKERS and floor != "Cores" and room != "RoostModel":
                self.check_moments(where, lines)
            if room in UNSPEAKABLE:
                self.check_words(where, lines, UNSPEAKABLE[room])
            self.check_functions(where, lines)
            self.check_routes(where, lines)
            for number, line in enumerate(lines, 1):
                found = TYPE.match(line)
                if found:
                    types.setdefault(found.group(2), []).append(f"{where}:{number}")
        for path, lines in self.tests.items():
            self.check_functions(path.relative_to(self.root), lines)
        for name, places in sorted(types.items()):
            if len(places) > 1:
                self.say(f"{places[0]}: the type name {name} is taken again at {', '.join(places[1:])}")

    def check_core(self, where, lines):
        for number, line in enumerate(lines, 1):
            code = without_text(line)
            found = IMPORT.match(code)
            if found and found.group(1) not in self.targets and found.group(1) not in CORE_IMPORTS:
                self.say(f"{where}:{number}: a core imports {found.group(1)}")
            for pattern in CORE_FORBIDDEN:
                found = pattern.search(code)
                if found:
                    self.say(f"{where}:{number}: a core uses {found.group(1)}")

    def check_routes(self, where, lines):
        """Whoever has routes asks a service or a type of its own room, and reaches into no adapter."""
        if not any(ROUTES.match(without_text(line)) for line in lines):
            return
        for number, line in enumerate(lines, 1):
            found = IMPORT.match(without_text(line))
            used = found.group(1) if found else None
            if used in self.targets and self.floor(used) == "Adapters":
                self.say(f"{where}:{number}: routes use the adapter {used}: they ask the services")

    # Public symbols without a comment.

    def requirements(self):
        """What each public protocol of the two lowest floors asks for, by the protocol's name."""
        names = {}
        for path, lines in self.sources.items():
            if self.room_of(path)[0] not in DOCUMENTED:
                continue
            for _, kind, name, of, _ in declarations(lines):
                if of and of[0] == "protocol":
                    names.setdefault(of[1], set()).add(name)
        return names

    def check_comments(self, where, lines):
        for number, kind, name, of, conforms in declarations(lines):
            if is_commented(lines, number) or name in SPEAK_FOR_THEMSELVES:
                continue
            if kind == "init" and re.search(r"\binit\??\(from decoder\b", lines[number]):
                continue
            # What a protocol of these floors asks for is explained there.
            if any(name in self.asked.get(protocol, ()) for protocol in conforms):
                continue
            text = lines[number].strip() if kind in ("init", "subscript", "case") else f"{kind} {name}"
            self.say(f"{where}:{number + 1}: no comment says what is to be known of this: {text}")

    def check_words(self, where, lines, pattern):
        for number, line in enumerate(lines, 1):
            found = pattern.search(line)
            if found:
                self.say(f"{where}:{number}: says '{found.group(0)}', which this room must not know (Postgres is an owner)")

    def check_moments(self, where, lines):
        """A Moment made of two clocks compiles, and is wrong by the time that the host slept."""
        for number, line in enumerate(lines, 1):
            if MOMENT_MADE.search(without_text(line)):
                self.say(f"{where}:{number}: makes a Moment; only BootClock may, all of them are of one clock")

    def check_functions(self, where, lines):
        number = 0
        while number < len(lines):
            code = without_comment(lines[number]).rstrip()
            found = FUNCTION.match(lines[number]) or BODY.match(code)
            if found and not lines[number].lstrip().startswith("//"):
                end = function_end(lines, number, found.group(1))
                length = end - number + 1
                if length > FUNCTION_LINES_MAX:
                    name = found.group(2) or found.group(found.lastindex)
                    self.say(f"{where}:{number + 1}: {name} has {length} lines; at most {FUNCTION_LINES_MAX}")
            number += 1

    # Public symbols that nothing but tests uses.

    def check_used(self):
        by_sources = Uses(self.sources.values())
        by_all = Uses(list(self.sources.values()) + list(self.tests.values()))
        for path, lines in self.sources.items():
            floor, room = self.room_of(path)
            if floor == "Programs":
                continue
            uses = by_all if room in FOR_TESTS else by_sources
            for number, kind, name, owner, label in published(lines):
                if name in WITNESSES or lines[number - 1].strip().lstrip("/ ") == "For a protocol of the library.":
                    continue
                if kind == "init":
                    is_used = label in MAKERS or uses.makes(owner, label)
                    text = f"init({label}:) of {owner}"
                else:
                    is_used = uses.of(name) and (kind != "func" or uses.calls(name, label))
                    text = f"{kind} {name}" if label is None or not uses.of(name) else f"func {name}({label}:)"
                if not is_used:
                    self.say(
                        f"{path.relative_to(self.root)}:{number + 1}: public {text} is used by nothing but tests")


# Rooms that are there for tests: what those use of them is used.
FOR_TESTS = {"RoostSimulation", "RoostLab"}

# Names that a protocol of the language or of a library asks for: whoever uses them does not name them.
WITNESSES = {
    "hashValue", "description", "debugDescription", "hash", "encode", "unownedExecutor", "codingPath", "allCases",
    "errorDescription", "isEnabled", "advanced", "distance", "index", "makeIterator", "next", "endIndex", "startIndex",
}

# The same for initialisers, by their label.
MAKERS = {"codingKey", "from"}

# What protocols of the language ask for: the protocol explains it.
SPEAK_FOR_THEMSELVES = {
    "description", "debugDescription", "==", "<", "hash", "encode", "rawValue", "CodingKeys", "codingKey",
}


def section(lines, heading):
    """The numbered lines below a heading, up to the next of its rank."""
    inside = False
    for number, line in enumerate(lines, 1):
        if line.startswith("## "):
            inside = line == heading
        elif inside:
            yield number, line


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent).resolve()
    if len(sys.argv) > 2:
        dump = pathlib.Path(sys.argv[2]).read_text()
    else:
        command = ["swift", "package", "--package-path", str(root), "dump-package"]
        dump = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    house = House(root, dump)
    house.check_floors()
    house.check_never()
    house.check_mirror()
    house.check_texts()
    house.check_map()
    house.check_decisions()
    house.check_files()
    house.check_used()
    for breach in house.breaches:
        print(f"walls: {breach}", file=sys.stderr)
    if house.breaches:
        return 1
    print(f"walls: {len(house.rooms())} rooms, {len(house.sources)} files stand")
    return 0


if __name__ == "__main__":
    sys.exit(main())
