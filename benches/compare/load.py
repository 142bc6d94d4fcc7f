"""Load: `wrk` as fast as it goes, `oha` at a fixed rate."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Failed
from tools import program

SCRIPT = Path(__file__).with_name("load.lua")

SECONDS_SPARE = 30
"""How much longer than asked for a tool may take."""

COUNTED_SECONDS_MAX = 300
"""For a load of a number of requests."""


Script = Mapping[str, object]
"""Arguments of `load.lua`; those that are None are not given."""


@dataclass(frozen=True)
class Load:
    """What a load has seen."""

    requests: int
    seconds: float
    bytes: int
    p50_us: float
    p99_us: float
    bad: int
    """Answers of an unexpected status, and connections that broke."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def wrk(url: str, script: Script, *, seconds: int, connections: int, refused: bool = False) -> Load:
    """As many requests as connections bear, from one thread. `refused` turns round which answers are good."""
    argv = [program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", SCRIPT, url, "--"]
    argv += [f"{name}={value}" for name, value in script.items() if value is not None]
    ran = subprocess.run(
        [str(part) for part in argv], capture_output=True, text=True, timeout=seconds + SECONDS_SPARE, check=False
    )
    said = next((line for line in ran.stdout.splitlines() if line.startswith("{")), None)
    if said is None:
        raise Failed(f"wrk {url}: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    return from_wrk(json.loads(said), refused)


def counted(url: str, script: Script, *, requests: int, connections: int) -> Load:
    """So many requests."""
    return wrk(url, {**script, "stop": requests}, seconds=COUNTED_SECONDS_MAX, connections=connections)


def from_wrk(said: dict[str, Any], refused: bool) -> Load:
    """What `load.lua` says at the end."""
    unexpected = said["requests"] - said["not_2xx"] if refused else said["not_2xx"]
    return Load(
        said["requests"], said["seconds"], said["bytes"], said["p50_us"], said["p99_us"], unexpected + said["broken"]
    )


def oha(binary: Path, url: str, *, rate: int | None, seconds: int, connections: int, tokens: Path) -> Load:
    """Requests at a fixed rate, or as fast as it goes; latency from when each was due.

    oha takes header fields from its arguments alone. The token is one of this run, whose keys end with it.
    """
    token = tokens.open().readline().strip()
    argv = [binary, "-z", f"{seconds}s", "-c", connections, "--no-tui", "--output-format", "json"]
    argv += ["-q", rate, "--latency-correction"] if rate else []
    argv += ["--wait-ongoing-requests-after-deadline", "-H", f"Authorization: Bearer {token}", url]
    ran = subprocess.run(
        [str(part) for part in argv], capture_output=True, text=True, timeout=seconds + SECONDS_SPARE, check=False
    )
    if ran.returncode != 0:
        raise Failed(f"oha {url}: {ran.stderr[-500:]}")
    return from_oha(json.loads(ran.stdout))


def from_oha(said: dict[str, Any]) -> Load:
    """oha's JSON."""
    statuses, percentiles = said["statusCodeDistribution"], said["latencyPercentiles"]
    requests = sum(statuses.values())
    bad = sum(count for status, count in statuses.items() if not status.startswith("2")) + sum(
        said["errorDistribution"].values()
    )
    return Load(
        requests,
        said["summary"]["total"],
        said["summary"]["totalData"],
        percentiles["p50"] * 1e6,
        percentiles["p99"] * 1e6,
        bad,
    )
