"""CPU time and memory of a proxy, from /proc, and what follows from several rounds."""

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from load import Load, Script, wrk
from proxies import Row
from tools import say

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

WARM_SECONDS = 1


@dataclass(frozen=True)
class Cpu:
    """Time that processes ran, in seconds."""

    user: float
    system: float

    def __sub__(self, before: "Cpu") -> "Cpu":
        return Cpu(self.user - before.user, self.system - before.system)


def cpu(pids: Sequence[int]) -> Cpu:
    """Of all threads, those that ended too."""
    user = system = 0
    for pid in pids:
        # The name in parentheses may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return Cpu(user / TICKS_A_SECOND, system / TICKS_A_SECOND)


def resident_kib(pids: Sequence[int]) -> int:
    """Memory that is resident."""
    lines = (line for pid in pids for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@dataclass(frozen=True)
class Sample:
    """One proxy in one round."""

    cpu_us: float
    """User and system time a request."""
    user_us: float
    system_us: float
    rate: float
    p50_us: float
    p99_us: float
    bad: int
    requests: int
    bytes: int
    resident_mib: float


def sample(pids: Sequence[int], load: Callable[[], Load]) -> Sample:
    """Puts load on a proxy and looks at what it took."""
    before = cpu(pids)
    done = load()
    used = cpu(pids) - before
    user, system = (part / max(done.requests, 1) * 1e6 for part in (used.user, used.system))
    return Sample(
        user + system,
        user,
        system,
        done.rate,
        done.p50_us,
        done.p99_us,
        done.bad,
        done.requests,
        done.bytes,
        resident_kib(pids) / 1024,
    )


@dataclass(frozen=True)
class Job:
    """A row of a table, and the load that measures it."""

    row: Row
    load: Callable[[int], Load]
    """For so many seconds."""
    key: str = ""
    """Its name in the table, where that is not the proxy's."""

    @property
    def name(self) -> str:
        return self.key or self.row.name


def saturated(row: Row, connections: int, key: str = "", path: str = "/", script: Script | None = None) -> Job:
    """As many requests as the connections bear; with the row's token, where `script` does not say otherwise."""
    given = script or {"tokens": row.tokens}
    return Job(row, lambda seconds: wrk(row.url(path), given, seconds=seconds, connections=connections), key)


Samples = dict[str, list[Sample]]


def rounds(jobs: Sequence[Job], count: int, seconds: int) -> Samples:
    """Every job in every round, in turn from the first and from the last."""
    for job in jobs:
        job.load(WARM_SECONDS)
    taken: Samples = {job.name: [] for job in jobs}
    for at in range(count):
        for job in jobs if at % 2 == 0 else reversed(jobs):
            if job.row.log:
                os.truncate(job.row.log, 0)
            got = sample(job.row.pids, partial(job.load, seconds))
            taken[job.name].append(got)
            say(
                f"round {at + 1}/{count} {job.name}: {got.cpu_us:.1f} µs, {got.rate:,.0f} a second"
                + (f", {got.bad} BAD" if got.bad else "")
            )
    return taken


def median(samples: Sequence[Sample], field: str = "cpu_us") -> float:
    return statistics.median(figures(samples, field))


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], field: str = "cpu_us") -> float:
    """The median of the ratios within each round."""
    return statistics.median(a / b for a, b in zip(figures(ours, field), figures(theirs, field), strict=True))


def figures(samples: Sequence[Sample], field: str) -> list[float]:
    return [float(getattr(each, field)) for each in samples]


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Medians; what went wrong is added up."""
    fields = {name: median(samples, name) for name in asdict(samples[0]) if name != "bad"}
    return {**fields, "bad": sum(each.bad for each in samples), "rounds": [round(each.cpu_us, 2) for each in samples]}
