#!/usr/bin/env python3
"""Changes docs/failures.md as it is read, and sees that scripts/failures.py says so."""

import contextlib
import io
import pathlib
import unittest
import unittest.mock

import failures

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEST = "`ClusterTests.nothingConfirmedIsLostWithTheLeadersMachine`"


def row(number, shown, lost="nothing"):
    return f"| {number} | it breaks | it is mended | {lost} | {shown} |"


class FailuresTests(unittest.TestCase):
    def found(self, *rows):
        return failures.complaints(ROOT, "\n".join(rows))

    def one(self, words, *rows):
        found = self.found(*rows)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_whole(self):
        self.assertEqual(failures.complaints(ROOT), [])

    def test_ends_with_what_it_found(self):
        for found, status in (([], 0), (["a line"], 1)):
            with unittest.mock.patch.object(failures, "complaints", return_value=found), \
                    contextlib.redirect_stderr(io.StringIO()) as said:
                self.assertEqual(failures.main(ROOT), status)
            self.assertEqual(said.getvalue().splitlines(), found)

    def test_what_is_right(self):
        rows = (TEST, f"{TEST}, and by chance (`powerLoss`)", "No test: it takes a day", "Not handled: by hand")
        self.assertEqual(self.found(*(row(number, shown) for number, shown in enumerate(rows, 1))), [])

    def test_test_that_is_not_there(self):
        for name in ("ClusterTests.nothingIsLost", "NoTests.anything", "aWord", "TestCluster.start"):
            found = self.found(row(1, f"{TEST}, `{name}`"))
            self.assertEqual(found, [f"docs/failures.md:1: there is no test {name}"])

    def test_fault_alone_shows_nothing(self):
        self.one("says not why", row(1, "by chance (`powerLoss`)"))

    def test_nothing_said(self):
        self.one("says not why", row(1, "it is so"))
        self.one("cells", row(1, TEST, lost=" "))
        self.one("cells", "| 1 | it breaks | it is mended |")

    def test_numbers(self):
        self.one("should be 2", row(1, TEST), row(3, TEST), row(4, TEST))
        self.one("should be 2", row(1, TEST), row(1, TEST), row(2, TEST))

    def test_no_lines(self):
        self.one("no lines", "# What can fail")


if __name__ == "__main__":
    unittest.main()
