#!/usr/bin/env python3
"""Takes a fixture, a word and a test away from the sources as they are read, and sees that scripts/records.py says so."""

import contextlib
import io
import pathlib
import unittest
import unittest.mock

import records

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = "Tests/Model/RoostRecordsTests/Fixtures.swift"
LEDGER = "Tests/Services/RoostHostTests/LedgerFixtureTests.swift"
RECORDS = "Sources/Model/RoostModel/StoreRecords.swift"


class RecordsTests(unittest.TestCase):
    def complaints(self, path, old, new):
        text = (ROOT / path).read_text()
        self.assertIn(old, text)
        return records.complaints(ROOT, {path: text.replace(old, new)})

    def test_whole(self):
        self.assertEqual(records.complaints(ROOT), [])

    def test_ends_with_what_it_found(self):
        for found, status in (([], 0), (["a record"], 1)):
            with unittest.mock.patch.object(records, "complaints", return_value=found), \
                    contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(records.main(ROOT), status)
            self.assertEqual(said.getvalue().splitlines(), found)

    def test_record_without_fixture(self):
        found = self.complaints(FIXTURES, "kept(MachineNameRecord.self)", "kept(AppRecord.self)")
        self.assertEqual(len(found), 1)
        self.assertIn("MachineNameRecord is stored or sent", found[0])

    def test_message_without_fixture(self):
        found = self.complaints(FIXTURES, "read(EdgeReportBody.self)", "read(GateRequest.self)")
        self.assertEqual(len(found), 1)
        self.assertIn("EdgeReportBody", found[0])

    def test_new_record(self):
        found = self.complaints(
            RECORDS, "public struct AppRecord",
            "public struct SnapshotRecord: Sendable, Codable { var id: String }\npublic struct AppRecord")
        self.assertEqual(len(found), 1)
        self.assertIn("SnapshotRecord", found[0])

    def test_new_record_anywhere(self):
        found = self.complaints(
            "Sources/Services/RoostRoutes/AppRoutes.swift", "public struct AppRoutes",
            "struct AppSnapshot: Codable { var id: String }\npublic struct AppRoutes")
        self.assertEqual(len(found), 1)
        self.assertIn("AppSnapshot", found[0])

    def test_last_word_of_a_name(self):
        # Machines and members have a State each, and neither is this one.
        found = self.complaints(
            RECORDS, "public struct AppRecord",
            "enum Snapshot { struct State: Codable { var id: String } }\npublic struct AppRecord")
        self.assertEqual(len(found), 1)
        self.assertIn("Snapshot.State", found[0])

    def test_named_and_not_stored(self):
        new = "struct SnapshotRecord: Codable { var id: String }\n"
        method = "func snapshot() -> SnapshotRecord { SnapshotRecord(id: name.text) }"
        for use in (
            "extension AppRecord { %s }\n" % method,
            "extension AppRecord { var snapshot: SnapshotRecord { SnapshotRecord(id: name.text) } }\n",
            "extension AppRecord { static let first = SnapshotRecord(id: \"\") }\n",
        ):
            found = self.complaints(RECORDS, "public struct AppRecord", new + use + "public struct AppRecord")
            self.assertEqual(len(found), 1, use)
            self.assertIn("SnapshotRecord", found[0])

    def test_stored_in_a_record_is_tried_with_it(self):
        for new in (
            "struct AppOwnership: Codable { var id: String }\nextension AppRecord { typealias Owned = AppOwnership }\n",
            "extension AppRecord { struct Owned: Codable { var id: String } }\n",
        ):
            for use in ("public var owned: Owned?", "var owned: [String: Owned] = [:]",
                        "var owned = Owned(id: \"\") { didSet { } }"):
                begin = "public struct AppRecord: Hashable, Sendable, Codable {"
                self.assertEqual(self.complaints(RECORDS, begin, f"{new}{begin}\n    {use}"), [], new + use)

    def test_word_that_is_not_tried(self):
        found = self.complaints(FIXTURES, "Word(MachineRestart.Policy.self", "Word(MachineState.self")
        self.assertEqual(len(found), 1)
        self.assertIn("a word of MachineRestart.Policy", found[0])

    def test_ledger_that_is_not_tried(self):
        found = self.complaints(LEDGER, "VolumeOrder", "MachineOrder")
        self.assertTrue(any("does not try VolumeOrder" in line for line in found))


if __name__ == "__main__":
    unittest.main()
