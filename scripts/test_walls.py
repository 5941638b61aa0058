#!/usr/bin/env python3
"""Breaks every wall of a small house once, and sees that scripts/walls.py says so."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

WALLS = pathlib.Path(__file__).resolve().parent / "walls.py"

# A small house that stands: rooms by floor, what each uses, and its one file.
HOUSE = {
    "RoostModel": ("Model", [], "/// A word.\npublic struct Word {}\n"),
    "RoostLinux": ("System", ["RoostModel"], "import RoostModel\nlet word = Word()\n"),
    "RoostPaths": ("Cores", ["RoostModel"], "import RoostModel\nstruct Path { var word: Word }\n"),
    "RoostStore": ("Adapters", ["RoostLinux"], "struct Row {}\n"),
    "RoostPlanet": ("Services", ["RoostStore"], "struct Copy {}\n"),
    "RoostHost": ("Services", ["RoostPlanet"], "struct Host {}\n"),
    "RoostEdge": ("Services", ["RoostPaths"], "struct Edge {}\n"),
    "RoostRoutes": ("Services", ["RoostHost"], "struct Door {}\n"),
    "RoostPostgres": ("Adapters", ["RoostLinux"], "struct Instance {}\n"),
    "RoostPostgresControl": ("Services", ["RoostHost", "RoostStore"], "struct Clusters {}\n"),
    "RoostClient": ("Adapters", ["RoostLinux"], "struct Caller {}\n"),
    "roostd": ("Programs", ["RoostRoutes"], "struct Daemon {}\n"),
    "roost-edge": ("Programs", ["RoostEdge"], "struct EdgeProgram {}\n"),
}


class WallsTests(unittest.TestCase):
    def run_walls(self, change=lambda house: None, write=lambda root: None, alter=lambda targets: None):
        house = {room: [floor, list(uses), source] for room, (floor, uses, source) in HOUSE.items()}
        change(house)
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            targets = []
            for room, (floor, uses, source) in house.items():
                path = root / "Sources" / floor / room
                path.mkdir(parents=True)
                (path / "File.swift").write_text(source)
                (path / "README.md").write_text(f"# {room}\n")
                targets.append({
                    "name": room, "type": "regular", "path": f"Sources/{floor}/{room}",
                    "dependencies": [{"byName": [used, None]} for used in uses]})
            (root / "docs/decisions").mkdir(parents=True)
            (root / "docs/architecture.md").write_text(
                "## The rooms\n\n| floor | room | what lives there |\n|---|---|---|\n"
                + "".join(f"| {floor} | `{room}` | something |\n" for room, (floor, _, _) in house.items())
                + "\n## Words\n")
            (root / "docs/decisions/0001-a-choice.md").write_text("# 0001 A choice\n")
            (root / "docs/decisions/README.md").write_text("- [0001 A choice](0001-a-choice.md)\n")
            tests = root / "Tests/Services/RoostHostTests"
            tests.mkdir(parents=True)
            (tests / "File.swift").write_text("@Test func stands() {}\n")
            targets.append({
                "name": "RoostHostTests", "type": "test", "path": "Tests/Services/RoostHostTests",
                "dependencies": [{"byName": ["RoostHost", None]}]})
            alter({target["name"]: target for target in targets})
            write(root)
            dump = root / "dump.json"
            dump.write_text(json.dumps({"targets": targets}))
            return subprocess.run(
                [sys.executable, str(WALLS), str(root), str(dump)], capture_output=True, text=True)

    def expect(self, text, change=lambda house: None, write=lambda root: None, alter=lambda targets: None):
        result = self.run_walls(change, write, alter)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn(text, result.stderr)

    def uses(self, room, other):
        return lambda house: house[room][1].append(other)

    def says(self, room, source):
        return lambda house: house[room].__setitem__(2, source)

    def test_a_house_in_order_stands(self):
        result = self.run_walls()
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_room_uses_a_floor_above(self):
        self.expect("RoostLinux (System) uses RoostStore (Adapters)", self.uses("RoostLinux", "RoostStore"))

    def test_a_core_uses_the_system(self):
        self.expect("RoostPaths (Cores) uses RoostLinux (System)", self.uses("RoostPaths", "RoostLinux"))

    def test_a_room_uses_one_beside_it(self):
        self.expect("RoostEdge uses RoostHost beside it", self.uses("RoostEdge", "RoostHost"))

    def test_an_edge_reaches_the_store_through_another(self):
        self.expect("RoostEdge reaches RoostStore", self.uses("RoostEdge", "RoostPlanet"))

    def test_the_edge_program_reaches_the_store(self):
        self.expect("roost-edge reaches RoostStore", self.uses("roost-edge", "RoostStore"))

    def test_the_edge_program_reaches_a_hosts_work(self):
        self.expect("roost-edge reaches RoostHost", self.uses("roost-edge", "RoostHost"))

    def test_the_edge_program_reaches_the_api(self):
        self.expect("roost-edge reaches RoostRoutes", self.uses("roost-edge", "RoostRoutes"))

    def test_the_edge_reaches_the_client(self):
        self.expect("RoostEdge reaches RoostClient", self.uses("RoostEdge", "RoostClient"))

    def test_roostd_serves_clients_itself(self):
        self.expect("roostd reaches RoostEdge", self.uses("roostd", "RoostEdge"))

    def test_the_api_uses_an_adapter(self):
        self.expect("RoostRoutes uses the adapter RoostStore", self.uses("RoostRoutes", "RoostStore"))

    def test_routes_of_a_feature_use_an_adapter(self):
        source = "import RoostStore\nstruct MemberRoutes: RouteGroup {}\n"
        self.expect("routes use the adapter RoostStore", self.says("RoostPostgresControl", source))
        self.expect(
            "routes use the adapter RoostStore",
            self.says("RoostPostgresControl", "package import struct RoostStore.Row\nextension Clusters: RouteGroup {}\n"))

    def test_a_feature_uses_another(self):
        self.expect(
            "RoostRoutes uses RoostPostgresControl beside it", self.uses("RoostRoutes", "RoostPostgresControl"))
        self.expect(
            "RoostPostgresControl uses RoostRoutes beside it", self.uses("RoostPostgresControl", "RoostRoutes"))

    def test_a_hosts_work_or_the_planets_copy_reaches_postgres(self):
        self.expect("RoostHost reaches RoostPostgres:", self.uses("RoostHost", "RoostPostgres"))
        self.expect("RoostHost reaches RoostPostgresControl", self.uses("RoostHost", "RoostPostgresControl"))
        self.expect("RoostPlanet reaches RoostPostgres", self.uses("RoostPlanet", "RoostPostgres"))

    def test_a_room_is_in_no_folder_of_its_floor(self):
        def alter(path):
            return lambda targets: targets["RoostEdge"].update(path=path)

        text = "room RoostEdge is not in Sources/<Floor>/RoostEdge"
        for path in ("Sources/RoostEdge", "Sources/Cellar/RoostEdge", "Sources/Services/RoostEdge/Inner", ""):
            self.expect(text, alter=alter(path))
        self.expect(text, alter=alter("Sources/Services/Edges"))

    def test_tests_are_elsewhere_than_their_room(self):
        self.expect(
            "the tests of RoostHost are in Tests/RoostHostTests",
            alter=lambda targets: targets["RoostHostTests"].update(path="Tests/RoostHostTests"))

    def test_a_host_knows_postgres(self):
        self.expect("Postgres", self.says("RoostHost", "let postgresPort = 5432\n"))

    def test_a_core_imports_foundation(self):
        self.expect("a core imports Foundation", self.says("RoostPaths", "import Foundation\n"))

    def test_a_core_imports_something_in_other_words(self):
        for words in (
            "package import Foundation", "@preconcurrency import Foundation", "@testable import Foundation",
            "public import struct Foundation.Date", "  @_exported import Foundation", "internal import FoundationEssentials",
        ):
            self.expect("a core imports Foundation", self.says("RoostPaths", words + "\n"))
        self.expect("a core imports Observation", self.says("RoostPaths", "import Observation\n"))
        self.assertEqual(self.run_walls(self.says("RoostPaths", "package import RoostModel\nimport HeapModule\n")).returncode, 0)

    def test_a_core_rolls_dice(self):
        for words in (
            "let random = SystemRandomNumberGenerator()", "var random: SystemRandomNumberGenerator",
            "let a = Int.random(in: 0..<3)", "let a = [1].randomElement()", "let a = [1, 2].shuffled()",
        ):
            self.expect("a core uses ", self.says("RoostPaths", words + "\n"))
        seeded = "func a(_ seed: inout Seed) { b = Int.random(in: 0..<3, using: &seed) }\n"
        self.assertEqual(self.run_walls(self.says("RoostPaths", seeded)).returncode, 0)

    def test_a_core_waits(self):
        self.expect("a core uses await", self.says("RoostPaths", "func a() async { await b() }\n"))

    def test_a_core_reads_a_clock(self):
        self.expect("a core uses ContinuousClock", self.says("RoostPaths", "let now = ContinuousClock.now\n"))

    def test_a_moment_is_of_another_clock(self):
        self.expect("makes a Moment", self.says("RoostStore", "let now = Moment(sinceBoot: .nanoseconds(uptime()))\n"))

    def test_a_function_is_too_long(self):
        body = "".join(f"    step({number})\n" for number in range(80))
        self.expect("at most 70", self.says("RoostStore", "func long() {\n" + body + "}\n"))

    def test_code_without_a_name_is_too_long(self):
        body = "".join(f"        step({number})\n" for number in range(80))
        for head in ("init(a: Int) {", "var a: Int {", "static let a: Int = {", "deinit {", "subscript(a: Int) -> Int {"):
            self.expect(
                "has 82 lines; at most 70", self.says("RoostStore", "struct Row {\n    " + head + "\n" + body + "    }\n}\n"))

    def test_a_test_is_too_long(self):
        source = "@Test(\"It stands\")\nfunc stands() {\n" + "    step()\n" * 80 + "}\n"
        self.expect(
            "func stands has 82 lines",
            write=lambda root: (root / "Tests/Services/RoostHostTests/File.swift").write_text(source))

    def test_a_type_name_is_taken_twice(self):
        self.expect("the type name Row is taken again", self.says("RoostPlanet", "struct Row {}\n"))

    def test_a_public_symbol_is_used_by_nobody(self):
        self.expect("used by nothing but tests", self.says("RoostStore", "public struct Unused {}\n"))

    def test_what_is_declared_twice_is_not_used_by_that(self):
        def house(source, use=""):
            def change(house):
                house["RoostStore"][2] = source
                house["RoostPlanet"][2] = use
            return change

        nobody = "used by nothing but tests"
        witness = "protocol Shelf {\n    func tidy()\n}\nstruct Row: Shelf {\n    public func tidy() {}\n}\n"
        self.expect("func tidy is " + nobody, house(witness))
        self.assertEqual(self.run_walls(house(witness, "let a: Void = shelf.tidy()\n")).returncode, 0)

        overloads = "public func seek(at: Int) {}\npublic func seek(\n    near place: Int, far: Int\n) {}\n"
        self.expect("func seek(near:) is " + nobody, house(overloads, "let a: Void = seek(at: 1)\n"))
        used = "let a: Void = seek(at: 1)\nlet b: Void = seek(\n    near: 1, far: 2)\n"
        self.assertEqual(self.run_walls(house(overloads, used)).returncode, 0)
        self.expect("func make is " + nobody, house("public func make<Kind>(_ kind: Kind) {}\n"))

        makers = "public struct Row {\n    public init(at: Int) {}\n    public init(near: Int) {}\n}\n"
        self.expect("init(near:) of Row is " + nobody, house(makers, "let a = Row(at: 1)\n"))
        for use in ("let a = [Row(at: 1), Row(near: 1)]\n", "let a = Row(at: 1), b: Row = .init(near: 1)\n"):
            self.assertEqual(self.run_walls(house(makers, use)).returncode, 0)
        # What a call may leave out proves nothing.
        default = "public struct Row {\n    public init(near: Int = 1) {}\n}\n"
        self.assertEqual(self.run_walls(house(default, "let a = Row()\n")).returncode, 0)

    def test_a_public_symbol_of_the_lowest_floors_has_no_comment(self):
        text = "no comment says what is to be known of this: "
        uses = "let a = Word(), b = Word.size, c = Word.Kind.far, d = Word.grow, e = Sum.self\n"

        def house(source):
            def change(house):
                house["RoostModel"][2] = source
                house["RoostLinux"][2] = "import RoostModel\n" + uses
            return change

        self.expect(text + "struct Word", house("public struct Word {}\n"))
        self.expect(text + "var size", house("/// A word.\npublic struct Word {\n    public var size = 0\n}\n"))
        self.expect(
            text + "case near, far",
            house("/// A word.\npublic enum Word {\n    /// How far.\n    public enum Kind {\n        case near, far\n    }\n}\n"))
        self.expect(
            text + "func grow",
            house("/// A word.\npublic protocol Sum {\n    static func grow() -> Int\n}\n"))
        self.expect(
            text + "public init(size: Int) {}", house("/// A word.\npublic struct Word {\n    public init(size: Int) {}\n}\n"))
        self.expect(text + "func grow", house("// Not for readers.\npublic func grow() {}\n"))

    def test_what_a_protocol_explains_needs_no_comment(self):
        source = (
            "/// What grows.\npublic protocol Sum {\n    /// In bytes.\n    static var size: Int { get }\n}\n"
            "/// A word.\npublic enum Word: Sum, CustomStringConvertible {\n    /// Near or far.\n    case near, far\n"
            "    public static var size: Int {\n        switch self {\n        case .near: 1\n        case .far: 2\n"
            "        }\n    }\n    public var description: String { \"\" }\n}\n")

        def change(house):
            house["RoostModel"][2] = source
            house["RoostLinux"][2] = "import RoostModel\nlet a = Word.near, b = Word.size, c: any Sum\n"

        result = self.run_walls(change)
        self.assertEqual(result.returncode, 0, result.stderr)

    def rewrites(self, file, old, new):
        def write(root):
            text = (root / file).read_text()
            self.assertIn(old, text)
            (root / file).write_text(text.replace(old, new))
        return write

    def test_a_room_without_a_row(self):
        row = "| Services | `RoostEdge` | something |\n"
        self.expect("no row says what lives in RoostEdge", write=self.rewrites("docs/architecture.md", row, ""))

    def test_a_row_on_another_floor(self):
        self.expect(
            "RoostEdge is on the floor Services",
            write=self.rewrites("docs/architecture.md", "| Services | `RoostEdge`", "| Lab | `RoostEdge`"))

    def test_a_row_without_a_room(self):
        self.expect(
            "there is no room RoostSky", write=self.rewrites("docs/architecture.md", "`roostd`", "`roostd`, `RoostSky`"))

    def test_a_decision_that_is_not_listed(self):
        self.expect(
            "0002-another.md is not listed",
            write=lambda root: (root / "docs/decisions/0002-another.md").write_text("# 0002 Another\n"))

    def test_a_decision_that_is_listed_and_not_there(self):
        self.expect(
            "there is no page 0001-a-choice.md", write=lambda root: (root / "docs/decisions/0001-a-choice.md").unlink())

    def test_a_decision_that_has_another_title(self):
        self.expect(
            "calls itself '0001 A choice'", write=self.rewrites("docs/decisions/README.md", "A choice", "Another choice"))

    def test_a_decision_without_its_number(self):
        for title in ("A choice", "1. A choice", "0002 A choice"):
            self.expect(
                f"calls itself '{title}'",
                write=lambda root: (root / "docs/decisions/0001-a-choice.md").write_text(f"# {title}\n"))

    def test_a_room_without_a_text(self):
        self.expect("no README.md", write=lambda root: (root / "Sources/Services/RoostEdge/README.md").unlink())


if __name__ == "__main__":
    unittest.main()
