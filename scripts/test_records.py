#!/usr/bin/env python3
"""Takes a fixture, a word and a test away from a copy of the sources, and sees that scripts/records.py says so."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIXTURES = "Tests/Model/RoostRecordsTests/Fixtures.swift"
LEDGER = "Tests/Services/RoostHostTests/LedgerFixtureTests.swift"
RECORDS = "Sources/Model/RoostModel/StoreRecords.swift"


class RecordsTests(unittest.TestCase):
    def complaints(self, path, old, new):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for part in ("Sources/Model", "Sources/Cores", "Sources/Services/RoostHost"):
                shutil.copytree(ROOT / part, root / part)
            for test in (FIXTURES, LEDGER, "Tests/Model/RoostRecordsTests/EvolutionTests.swift",
                         "Tests/Adapters/RoostPostgresTests/MemberFileTests.swift"):
                (root / test).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / test, root / test)
            text = (root / path).read_text()
            self.assertIn(old, text)
            (root / path).write_text(text.replace(old, new))
            run = subprocess.run([sys.executable, ROOT / "scripts/records.py", root], capture_output=True, text=True)
            self.assertEqual(run.returncode, 1 if run.stderr else 0)
            return run.stderr.splitlines()

    def test_whole(self):
        self.assertEqual(self.complaints(FIXTURES, "import Testing", "import Testing"), [])

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

    def test_word_that_is_not_tried(self):
        found = self.complaints(FIXTURES, "Word(MachineRestart.Policy.self", "Word(MachineState.self")
        self.assertEqual(len(found), 1)
        self.assertIn("a word of MachineRestart.Policy", found[0])

    def test_ledger_that_is_not_tried(self):
        found = self.complaints(LEDGER, "VolumeOrder", "MachineOrder")
        self.assertTrue(any("does not try VolumeOrder" in line for line in found))


if __name__ == "__main__":
    unittest.main()
