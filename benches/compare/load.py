"""Load: `wrk` and `h2load` as fast as they go, `oha` at a fixed rate."""

import json
import math
import re
import subprocess
from collections.abc import Mapping, Sequence
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

UNKNOWN = math.nan
"""A figure that a tool does not tell."""


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
    text = said_by(argv, seconds)
    said = next((line for line in text.splitlines() if line.startswith("{")), None)
    if said is None:
        raise Failed(f"wrk {url}: {text[-500:]}")
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
    """Requests at a fixed rate, or as fast as it goes; latency from when each was due."""
    argv = [binary, "-z", f"{seconds}s", "-c", connections, "--no-tui", "--output-format", "json"]
    argv += ["-q", rate, "--latency-correction"] if rate else []
    argv += ["--wait-ongoing-requests-after-deadline", "-H", bearer(tokens), url]
    return from_oha(json.loads(said_by(argv, seconds)))


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


def h2load(url: str, *, seconds: int, connections: int, streams: int, tokens: Path, body: Path | None = None) -> Load:
    """HTTP/2 from one thread, with so many streams in flight on each connection; a POST where there is a body."""
    argv = [program("h2load"), "-t1", "-c", connections, "-m", streams, "-D", seconds, "-H", bearer(tokens)]
    argv += ["-d", body] if body else []
    return from_h2load(said_by([*argv, url], seconds))


def from_h2load(said: str) -> Load:
    """h2load's text. It tells no percentiles."""
    found = re.search(
        r"finished in ([\d.]+)(m?s),.*?(\d+) done, .*?(\d+) failed,.*?"
        r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx.*?traffic: \S+ \((\d+)\) total",
        said,
        re.DOTALL,
    )
    if found is None:
        raise Failed(f"h2load: {said[-500:]}")
    unit = {"s": 1.0, "ms": 1e-3}[found[2]]
    failed, good, *others, size = (int(part) for part in found.groups()[3:])
    return Load(int(found[3]), float(found[1]) * unit, size, UNKNOWN, UNKNOWN, failed + sum(others))


def bearer(tokens: Path) -> str:
    """For tools that take header fields from their arguments alone. The token is one of this run, whose keys end with it."""
    return f"Authorization: Bearer {tokens.open().readline().strip()}"


def said_by(argv: Sequence[object], seconds: int) -> str:
    """What a tool writes that loads for so many seconds."""
    ran = subprocess.run(
        [str(part) for part in argv], capture_output=True, text=True, timeout=seconds + SECONDS_SPARE, check=False
    )
    if ran.returncode != 0:
        raise Failed(f"{argv[0]}: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    return ran.stdout
