"""Tests of how `make test` runs things at the same time: what fails is said, and every test is run once."""

from __future__ import annotations

import re
import string
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class TogetherTests(unittest.TestCase):
    def run_together(self, *commands: str) -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as logs:
            done = subprocess.run(
                [sys.executable, str(ROOT / "Tests/together.py"), "--logs", logs, *commands],
                capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_what_holds_is_said_in_a_line(self) -> None:
        status, said = self.run_together("one=echo a lot", "two=true")
        self.assertEqual(status, 0, said)
        self.assertIn("one: ok in 0 s", said)
        self.assertNotIn("a lot", said)

    def test_what_fails_is_said_last_whatever_holds_beside_it(self) -> None:
        status, said = self.run_together("one=echo fine; echo '✘ Test \"it\" failed'; exit 3", "two=sleep 0.2; echo unheard")
        self.assertEqual(status, 1, said)
        self.assertIn("one: failed with 3", said)
        self.assertTrue(said.rstrip().endswith('✘ Test "it" failed'), said)
        self.assertNotIn("unheard", said)

    def test_a_failure_without_a_name_shows_the_end(self) -> None:
        _, said = self.run_together("one=seq 1 500; exit 1")
        self.assertTrue(said.rstrip().endswith("\n500"), said)
        self.assertNotIn("\n100\n", said)

    def test_each_suite_of_each_module_is_in_one_part(self) -> None:
        parts = [re.compile(each) for each in re.findall(r'BUNDLE\) --filter "([^"]+)"', (ROOT / "Makefile").read_text())]
        self.assertGreater(len(parts), 1)
        modules = [folder.name for folder in (ROOT / "Tests").glob("*Tests")]
        self.assertGreater(len(modules), 20)
        for module in modules:
            for letter in string.ascii_uppercase:
                name = f"{module}.{letter}Suite"
                self.assertEqual(sum(part.search(name) is not None for part in parts), 1, name)


if __name__ == "__main__":
    unittest.main()
