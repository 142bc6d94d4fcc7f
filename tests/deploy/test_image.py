"""The Dockerfile's context: enough to build from, and no more."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from tools import DEPLOY, ROOT


class Context(unittest.TestCase):
    def test_it_has_what_cargo_asks_for_and_no_secret(self) -> None:
        lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
        # Everything is left out, and a list of names is taken back in: no other pattern is understood here.
        self.assertEqual(patterns[0], "*")
        self.assertTrue(all(pattern.startswith("!") and "*" not in pattern for pattern in patterns[1:]), patterns)
        with tempfile.TemporaryDirectory() as folder:
            for name in (pattern[1:] for pattern in patterns[1:]):
                source, place = ROOT / name, Path(folder, name)
                place.parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    # What fuzzing leaves is large, and ignored by git.
                    shutil.copytree(source, place, ignore=shutil.ignore_patterns("corpus", "artifacts", "target"))
                else:
                    shutil.copy(source, place)
            # It fits the lock file, and every source that a manifest names is there: cargo looks at that first, and then
            # finds that there is no such program.
            command = ["cargo", "build", "--locked", "--offline", "--bin", "no-such-program"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            self.assertIn("no bin target named `no-such-program`", ran.stderr)
            self.assertFalse(list(Path(folder).rglob("secrets")))
