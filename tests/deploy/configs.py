"""gateway.toml, as what deploys it has it."""

import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from tools import portero


def read(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def problems(text: str) -> str:
    """What `portero check` finds in it; nothing where it is good."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "gateway.toml")
        file.write_text(without_store(text))
        ran = portero("check", "--file-only", "--config", str(file))
        return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def without_store(text: str) -> str:
    """Without where the store is: what is said of it names files that are mounted, and is for the store's own tests."""
    return re.sub(r"^\[store\]\n(?:[^\[\n].*\n|\n)*", "", text, flags=re.MULTILINE)
