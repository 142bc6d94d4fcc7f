"""Memory: when idle, for a connection that waits, and over a while under load of every form."""

import socket
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from certificate import Certificate
from load import Load
from measure import resident_kib
from processes import Failed
from proxies import Row
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from sections.forms import FORMS
from tools import say

THREADS = 2

IDLE_MIB_MAX = 40.0

CONNECTIONS = 5_000

CONNECTIONS_FIRST = 20
"""They bring pools and caches along."""

RESTING_KIB_MAX = 22.0
"""Of a connection that rests: it has given back what only requests need."""

STEADY_SECONDS = 6.0
"""Memory that has not fallen for so long falls no more. A connection rests 5 s after its response."""

REST_SECONDS_MAX = 30.0
"""For memory that never stops falling."""

LOOK_SECONDS = 0.5

SOAK_SECONDS = 60

GROWTH_MAX = 1.02
"""Of the later half of the minutes over the earlier one, by their medians. Single minutes go up and down by a tenth
with what the allocator keeps and gives back, and say nothing of a leak; in ten minutes one of a byte a request would be
seen."""

FIRST_MINUTES = 1
"""In which caches fill: they are left out."""

GROWTH_MINUTES_MIN = 6
"""A shorter soak says nothing of growth."""


def measure(stage: Stage) -> Section:
    gateway = Portero(
        stage.fleet, stage.setting.portero, folder(stage.fleet, "memory", stage.origin, stage.keys, threads=THREADS)
    )
    idle = resident_kib(gateway.pids) / 1024
    token = stage.keys.hot("HS256").read_text().strip()
    request = f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    held = [opened(gateway.port, request) for _ in range(CONNECTIONS_FIRST)]
    before = resident_kib(gateway.pids)
    held += [opened(gateway.port, request) for _ in range(CONNECTIONS)]
    answered = resident_kib(gateway.pids)
    rested = at_rest(lambda: resident_kib(gateway.pids))
    at_first, resting = ((kib - before) / CONNECTIONS for kib in (answered, rested))
    for connection in held:
        connection.close()
    gateway.stop()
    rows = [
        ["resident when idle", f"{idle:.1f} MiB"],
        [f"each of {CONNECTIONS:,} idle connections, right after its response", f"{at_first:.1f} KiB"],
        ["the same at rest", f"{resting:.1f} KiB"],
    ]
    targets = [
        Target("resident when idle", idle, "≤", IDLE_MIB_MAX, "MiB"),
        Target("an idle connection at rest", resting, "≤", RESTING_KIB_MAX, "KiB"),
    ]
    section = Section("memory", "Memory", ["what", "figure"], rows, targets)
    if stage.setting.soak_minutes:
        report_soak(section, soak(stage))
    else:
        section.notes.append("The soak was not a part of this run: `--soak` or `--full`.")
    return section


def opened(port: int, request: bytes) -> socket.socket:
    """A connection that had its answer."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(request)
    answer = b""
    while not answer.endswith(b"\n") or b"\r\n\r\n" not in answer:
        part = connection.recv(4096)
        if not part:
            raise Failed("the gateway closed a connection")
        answer += part
    if not answer.startswith(b"HTTP/1.1 200"):
        raise Failed(f"the gateway answered {answer[:100]!r}")
    return connection


def at_rest(
    resident: Callable[[], int],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Resident memory once it no longer falls."""
    least, fell = resident(), now()
    end = fell + REST_SECONDS_MAX
    while now() < min(end, fell + STEADY_SECONDS):
        sleep(LOOK_SECONDS)
        if (looked := resident()) < least:
            least, fell = looked, now()
    return least


@dataclass(frozen=True)
class Minute:
    """What one minute of the soak has shown."""

    resident_mib: float
    """The median of all looks while every form was driven."""
    loads: Mapping[str, Load]
    """By the form's name."""


def soak(stage: Stage) -> list[Minute]:
    """Every form at once, each with new connections in each minute."""
    certificate = Certificate(stage.fleet.folder)
    home = folder(stage.fleet, "soak", stage.origin, stage.keys, threads=THREADS, certificate=certificate)
    gateway = Portero(stage.fleet, stage.setting.portero, home)
    clear = gateway.row("Portero", stage.keys.hot("HS256"), THREADS)
    if gateway.tls_port is None:
        raise Failed("the gateway has no listener for TLS")
    secured = clear.through_tls(gateway.tls_port)
    minutes = []
    for number in range(1, stage.setting.soak_minutes + 1):
        minutes.append(minute := every_form(stage, clear, secured))
        requests, bad = (total(minute.loads.values(), field) for field in ("requests", "bad"))
        say(f"minute {number}: {minute.resident_mib:.1f} MiB, {requests:,} requests" + (f", {bad} BAD" if bad else ""))
    gateway.stop()
    return minutes


def every_form(stage: Stage, clear: Row, secured: Row) -> Minute:
    """A minute of it."""
    looks = []
    forms = [form for form in FORMS if form.soaks]
    with ThreadPoolExecutor(len(forms)) as clients:
        running = {
            form.name: clients.submit(form.load, stage, secured if form.tls else clear, SOAK_SECONDS) for form in forms
        }
        while not any(load.done() for load in running.values()):
            time.sleep(LOOK_SECONDS)
            looks.append(resident_kib(clear.pids) / 1024)
        loads = {name: load.result() for name, load in running.items()}
    return Minute(statistics.median(looks), loads)


def report_soak(section: Section, minutes: Sequence[Minute]) -> None:
    """Adds what the soak has shown."""
    resident = [minute.resident_mib for minute in minutes]
    section.rows.append(["resident in each minute of the soak, MiB", ", ".join(f"{mib:.1f}" for mib in resident)])
    for name in minutes[0].loads:
        requests, bad = (total((minute.loads[name] for minute in minutes), field) for field in ("requests", "bad"))
        section.rows.append([f"soak: {name}", f"{requests:,} requests, {bad:,} wrong answers"])
    wrong = sum(total(minute.loads.values(), "bad") for minute in minutes)
    section.targets.append(Target(f"wrong answers in {len(minutes)} minutes of every form", wrong, "≤", 0))
    if len(minutes) >= GROWTH_MINUTES_MIN:
        half = (FIRST_MINUTES + len(minutes)) // 2
        earlier, later = resident[FIRST_MINUTES:half], resident[half:]
        section.targets.append(
            Target(
                f"minutes {half + 1} to {len(minutes)} ÷ minutes {FIRST_MINUTES + 1} to {half}, by their medians "
                f"(no growth, within {GROWTH_MAX - 1:.0%})",
                statistics.median(later) / statistics.median(earlier),
                "≤",
                GROWTH_MAX,
            )
        )
    section.notes.append(
        "The soak drives all these forms of request at once, and each opens its connections anew in each minute. "
        "Its memory is the median of two looks a second in each minute. "
        "A wrong answer has an unexpected status, or its connection broke."
    )
    section.raw["soak_mib"] = resident


def total(loads: Iterable[Load], field: str) -> int:
    return sum(getattr(load, field) for load in loads)
