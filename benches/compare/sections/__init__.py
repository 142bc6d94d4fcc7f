"""What is measured: each module has one section of the report, in the order of `SECTIONS`."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from processes import Fleet
from proxies.nginx import Origin
from tokens import Keys

SECTIONS = ("hot", "forms", "misses", "refusals", "log", "latency", "growth", "memory", "bodies", "start")


@dataclass(frozen=True)
class Setting:
    """What a run was asked for, and what it runs on."""

    portero: Path
    bare: Path
    envoy: Path | None
    oha: Path | None
    rounds: int
    seconds: int
    connections: int
    soak_minutes: int
    rows: tuple[str, ...]
    """Parts of the names of the rows of `hot` and `forms` that are wanted; all when there are none."""
    scale: float
    """A part of the sizes of what takes minutes to make, for a try."""

    def wants(self, name: str) -> bool:
        """Whether a row of this name is measured."""
        return not self.rows or any(part in name for part in self.rows)


class Stage:
    """An origin, keys, and a place for proxies."""

    def __init__(self, fleet: Fleet, setting: Setting) -> None:
        self.fleet, self.setting = fleet, setting
        folder = fleet.folder / "tokens"
        folder.mkdir(mode=0o700)
        self.keys = Keys(folder)
        self.origin = Origin(fleet).port


@dataclass(frozen=True)
class Target:
    """A figure and its bound."""

    what: str
    measured: float
    relation: Literal["≤", "≥", "<"]
    bound: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return {"≤": self.measured <= self.bound, "≥": self.measured >= self.bound, "<": self.measured < self.bound}[
            self.relation
        ]


@dataclass
class Section:
    """One part of the report, as it is kept between runs."""

    name: str
    title: str
    head: list[str]
    """The table's columns."""
    rows: list[list[str]]
    targets: list[Target]
    notes: list[str] = field(default_factory=list)
    bars: list[dict[str, Any]] = field(default_factory=list)
    """What the chart shows: name, group, user and system time."""
    raw: dict[str, Any] = field(default_factory=dict)
    """The medians and rounds that the table was made of."""
    run: str = ""
    """When the run began that made it."""
    taken: str = field(default_factory=lambda: time.strftime("%Y-%m-%d %H:%M", time.gmtime()))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Section":
        return cls(**{**kept, "targets": [Target(**each) for each in kept["targets"]]})
