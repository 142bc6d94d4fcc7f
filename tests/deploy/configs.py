"""gateway.toml, as what deploys it has it."""

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
        file.write_text(text)
        ran = portero("check", "--file-only", "--config", str(file))
        return "" if ran.returncode == 0 else ran.stdout + ran.stderr
