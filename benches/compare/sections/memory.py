"""Memory: when idle, for a connection that waits, and over a while under load."""

import socket

from load import wrk
from measure import resident_kib
from processes import Failed
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from tools import say

THREADS = 2

IDLE_MIB_MAX = 40.0

CONNECTIONS = 5_000

CONNECTIONS_FIRST = 20
"""They bring pools and caches along."""

CONNECTION_KIB_MAX = 64.0

SOAK_SECONDS = 60

GROWTH_MAX = 1.02
"""Of the last minute over the second: what an allocator keeps or gives back moves by so much."""

GROWTH_FROM_MINUTE = 2


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
    each = (resident_kib(gateway.pids) - before) / CONNECTIONS
    for connection in held:
        connection.close()
    rows = [
        ["resident when idle", f"{idle:.1f} MiB"],
        [f"each of {CONNECTIONS:,} idle connections, with a request behind it", f"{each:.1f} KiB"],
    ]
    targets = [
        Target("resident when idle", idle, "≤", IDLE_MIB_MAX, "MiB"),
        Target("an idle connection", each, "≤", CONNECTION_KIB_MAX, "KiB"),
    ]
    section = Section("memory", "Memory", ["what", "figure"], rows, targets)
    if stage.setting.soak_minutes:
        soak(stage, gateway, section)
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


def soak(stage: Stage, gateway: Portero, section: Section) -> None:
    """Full load, with new connections each minute."""
    setting, taken = stage.setting, []
    url, tokens = f"http://127.0.0.1:{gateway.port}/", stage.keys.hot("HS256")
    for minute in range(1, setting.soak_minutes + 1):
        done = wrk(url, {"tokens": tokens}, seconds=SOAK_SECONDS, connections=setting.connections)
        taken.append(resident_kib(gateway.pids) / 1024)
        say(
            f"minute {minute}: {taken[-1]:.1f} MiB, {done.requests:,} requests"
            + (f", {done.bad} BAD" if done.bad else "")
        )
    section.rows.append(["resident in each minute under load, MiB", ", ".join(f"{mib:.1f}" for mib in taken)])
    if len(taken) > GROWTH_FROM_MINUTE:
        grown = taken[-1] / taken[GROWTH_FROM_MINUTE - 1]
        section.targets.append(
            Target(
                f"minute {len(taken)} ÷ minute {GROWTH_FROM_MINUTE} (no growth, within {GROWTH_MAX - 1:.0%})",
                grown,
                "≤",
                GROWTH_MAX,
            )
        )
    section.raw["soak_mib"] = taken
