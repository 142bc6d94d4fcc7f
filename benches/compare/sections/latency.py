"""Latency at a fixed rate, from when each request was due."""

import statistics

from load import oha
from measure import Job, median, ratio, rounds, summary
from proxies import Row
from proxies.haproxy import HAProxy
from proxies.nginx import Nginx
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from tools import say

THREADS = 2

PART_OF_SATURATION = 0.6

SATURATION_ROUNDS = 3
"""At most."""

RATE_MIN = 0.98
"""Of the rate that was asked for; with less, it was not that rate that was measured."""

LATENCY_SECONDS_MIN = 10
"""A p99 of fewer requests would be that of a handful."""


def measure(stage: Stage) -> Section:
    setting, keys = stage.setting, stage.keys
    title, head = "Latency", ["proxy", "requests a second", "p50 µs", "p99 µs", "µs CPU a request", "bad answers"]
    binary = setting.oha
    if binary is None:
        return Section("latency", title, [], [], [], ["Left out: oha could not be installed."])
    tokens = keys.hot("HS256")
    nginx = Nginx(stage.fleet, stage.origin, THREADS)
    haproxy = HAProxy(stage.fleet, stage.origin, THREADS, [keys["HS256"]])
    gateway = Portero(stage.fleet, setting.portero, folder(stage.fleet, "latency", stage.origin, keys, threads=THREADS))
    rows = [
        Row("nginx bare", nginx.port, nginx.pids, tokens, THREADS),
        Row("HAProxy HS256", haproxy.ports["HS256"], haproxy.pids, tokens, THREADS),
        Row("Portero HS256", gateway.port, gateway.pids, tokens, THREADS),
    ]

    def load(row: Row, rate: int | None) -> Job:
        return Job(
            row,
            lambda seconds: oha(
                binary, row.url(), rate=rate, seconds=seconds, connections=setting.connections, tokens=tokens
            ),
        )

    full = rounds([load(row, None) for row in rows[1:]], min(setting.rounds, SATURATION_ROUNDS), setting.seconds)
    saturation = min(median(got, "rate") for got in full.values())
    rate = int(saturation * PART_OF_SATURATION)
    say(f"{rate:,} requests a second")
    taken = rounds([load(row, rate) for row in rows], setting.rounds, max(setting.seconds, LATENCY_SECONDS_MIN))
    table = [
        [
            name,
            f"{median(got, 'rate'):,.0f}",
            f"{median(got, 'p50_us'):.0f}",
            f"{median(got, 'p99_us'):.0f}",
            f"{median(got):.1f}",
            str(sum(each.bad for each in got) or ""),
        ]
        for name, got in taken.items()
    ]
    ours, theirs = taken["Portero HS256"], taken["HAProxy HS256"]
    targets = [
        Target(f"{field[:3]}, Portero ÷ HAProxy", ratio(ours, theirs, field), "≤", 1.0)
        for field in ("p50_us", "p99_us")
    ]
    notes = [
        f"oha at {rate:,} requests a second: {PART_OF_SATURATION:.0%} of {saturation:,.0f}, "
        "which the slower of Portero and HAProxy bore from the same generator in the same run. "
        "Corrected for coordinated omission: a request that could not be sent in time counts from when it was due. "
        f"{THREADS} threads each; the generator shares the cores.",
    ]
    reached = min(median(got, "rate") for got in taken.values())
    if reached < rate * RATE_MIN:
        targets = []
        notes.append(
            f"Only {reached:,.0f} a second came about: the machine did not bear the rate, **so nothing is judged**."
        )
    spread = {name: statistics.pstdev(each.p99_us for each in got) for name, got in taken.items()}
    notes.append(
        "Spread of p99 between rounds (standard deviation): "
        + ", ".join(f"{name} {value:.0f} µs" for name, value in spread.items())
        + "."
    )
    return Section(
        "latency", title, head, table, targets, notes, raw={name: summary(got) for name, got in taken.items()}
    )
