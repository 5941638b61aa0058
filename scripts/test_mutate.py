#!/usr/bin/env python3
"""Changes a copy of the sources, and sees that scripts/mutate.py --check would say so."""

import pathlib
import shutil
import tempfile
import unittest

import mutate

ONE = mutate.MUTATIONS[0]


class MutateTests(unittest.TestCase):
    def complaints(self, change):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for part in (mutate.CORE, mutate.SHELL, "Tests/Cores/RoostSimulationTests",
                         "Tests/Adapters/RoostPostgresTests"):
                shutil.copytree(mutate.ROOT / part, root / part)
            change(root)
            return [text for text in mutate.complaints(root) if ONE.wrong in text]

    def replaced(self, path, old, new):
        def change(root):
            text = (root / path).read_text()
            self.assertIn(old, text)
            (root / path).write_text(text.replace(old, new))
        return self.complaints(change)

    def test_whole(self):
        self.assertEqual(self.complaints(lambda root: None), [])

    def test_text_that_is_gone(self):
        found = self.replaced(ONE.path, ONE.text, ONE.instead)
        self.assertEqual(len(found), 1)
        self.assertIn("is 0 times in", found[0])

    def test_text_that_is_there_twice(self):
        found = self.replaced(ONE.path, ONE.text, ONE.text + ONE.text)
        self.assertIn("is 2 times in", found[0])

    def test_file_that_is_gone(self):
        self.assertIn("is 0 times in", self.complaints(lambda root: (root / ONE.path).unlink())[0])

    def test_test_that_is_gone(self):
        suite, function = ONE.test.split("/")
        path = next(p.relative_to(mutate.ROOT) for p in (mutate.ROOT / "Tests").rglob(f"{suite}.swift"))
        found = self.replaced(path, f"func {function}(", "func another(")
        self.assertIn("there is no test", found[0])


if __name__ == "__main__":
    unittest.main()
