"""What becomes of the cost of a request when there is more of something."""

import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from load import Load, counted, wrk
from measure import Job, Samples, median, ratio, rounds, summary
from processes import Failed
from proxies import Row
from proxies.portero import Portero, folder, route
from sections import Section, Stage, Target
from tools import say

THREADS = 2

BOUND = 1.15

ROUTES = (10, 10_000)
REVOCATIONS = 10_000_000
HOT_TOKENS = 1_000_000
CONNECTIONS = (32, 2_000)

TOKENS_IN_TURN = 1_024
"""Beside revocations: one token alone would ask for one place of their table, which stays in the processor's cache."""

CACHE_ENTRIES_EACH = 2
"""Room of the cache for each hot token: its shards do not fill evenly."""

CACHE_BYTES = "8GiB"
"""More than they take, so that the number of entries is what bounds."""

HITS_MIN = 0.99

WARM_PASSES_MAX = 3

REVOCATION_LIFETIME_MS = 86_400_000

REVOCATION_CHUNK = 100_000


@dataclass(frozen=True)
class Pair:
    """The same load on few and on many."""

    what: str
    few: Job
    many: Job
    note: str = ""


def measure(stage: Stage) -> Section:
    head = ["", "few", "many", "µs CPU a request: few", "many", "ratio", "requests a second: few", "many", "MiB: few", "many", "bad answers"]
    section = Section("growth", "Growth", head, [], [], [f"Portero with {THREADS} threads, HS256. Each pair has the same load but for what grows, in turn within one run."])
    for make in (routes, revocations, hot_tokens, connections):
        pair = make(stage)
        taken = rounds([pair.few, pair.many], stage.setting.rounds, stage.setting.seconds)
        grown = ratio(taken[pair.many.name], taken[pair.few.name])
        section.rows.append(line(pair, taken, grown))
        section.targets.append(Target(f"{pair.what}: {pair.few.name} → {pair.many.name}", grown, "≤", BOUND))
        section.notes += [f"{pair.what}: {pair.note}"] if pair.note else []
        section.raw[pair.what] = {name: summary(got) for name, got in taken.items()}
    return section


def line(pair: Pair, taken: Samples, grown: float) -> list[str]:
    both = [taken[pair.few.name], taken[pair.many.name]]
    bad = sum(each.bad for got in both for each in got)
    figures = [f"{median(got):.1f}" for got in both]
    rates = [f"{median(got, 'rate'):,.0f}" for got in both]
    memory = [f"{median(got, 'resident_mib'):,.0f}" for got in both]
    return [pair.what, pair.few.name, pair.many.name, *figures, f"{grown:.2f}", *rates, *memory, str(bad or "")]


def gateway(stage: Stage, name: str, *, routes: str = "", more: str = "") -> Portero:
    return Portero(stage.fleet, stage.setting.portero, folder(stage.fleet, name, stage.origin, stage.keys, threads=THREADS, routes=routes, more=more))


def job(stage: Stage, portero: Portero, name: str, connections: int | None = None, **script: object) -> Job:
    row = portero.row(name, stage.keys.hot("HS256"), THREADS)
    at_once = connections or stage.setting.connections
    return Job(row, lambda seconds: wrk(row.url(), seconds=seconds, connections=at_once, **script))  # type: ignore[arg-type]


def routes(stage: Stage) -> Pair:
    """Every request is for the next route."""
    jobs = []
    for count in ROUTES:
        names = [f"service-{at}" for at in range(count)]
        portero = gateway(stage, f"routes-{count}", routes="".join(route(name, f"/{name}") for name in names))
        paths = stage.fleet.write(f"paths-{count}", "".join(f"/{name}/v1/items\n" for name in names))
        jobs.append(job(stage, portero, f"{count:,}", tokens=stage.keys.hot("HS256"), paths=paths))
    return Pair("routes", *jobs, note="requests go to all of them in turn.")


def revocations(stage: Stage) -> Pair:
    count = int(REVOCATIONS * stage.setting.scale)
    tokens = stage.keys.file("some", stage.keys["HS256"].tokens(TOKENS_IN_TURN))
    few = gateway(stage, "revocations-0")
    home = folder(stage.fleet, "revocations", stage.origin, stage.keys, threads=THREADS)
    # The first start makes the store; afterwards nobody else has it open.
    Portero(stage.fleet, stage.setting.portero, home).stop()
    say(f"writing {count:,} revocations into the store")
    fill(home / "portero.db", count)
    began = time.monotonic()
    many = Portero(stage.fleet, stage.setting.portero, home)
    took = time.monotonic() - began
    if (held := many.metric("portero_revocations")) != count:
        raise Failed(f"the gateway holds {held:,.0f} of {count:,} revocations")
    jobs = [job(stage, each, name, tokens=tokens) for each, name in ((few, "0"), (many, f"{count:,}"))]
    note = f"rows of revoked tokens in the store's table, spread over a day; the gateway had read them {took:.1f} s after its start. {TOKENS_IN_TURN:,} good tokens in turn on both sides."
    return Pair("revocations", *jobs, note=note)


def fill(store: Path, count: int) -> None:
    """Revoked tokens: uniformly distributed ids, in order, so that the table's index grows at its end."""
    now, step, chance = time.time_ns() // 1_000_000, (1 << 128) // count, random.Random(count)

    def row(at: int) -> tuple[bytes, int, int]:
        return (at * step + chance.randrange(step)).to_bytes(16), now + chance.randrange(REVOCATION_LIFETIME_MS // 24, REVOCATION_LIFETIME_MS), now

    database = sqlite3.connect(store)
    try:
        with database:
            for begin in range(0, count, REVOCATION_CHUNK):
                rows = (row(at) for at in range(begin, min(begin + REVOCATION_CHUNK, count)))
                database.executemany("INSERT INTO revocations (kind, subject, expires_at, created_at) VALUES ('token', ?, ?, ?)", rows)
    finally:
        database.close()


def hot_tokens(stage: Stage) -> Pair:
    count = int(HOT_TOKENS * stage.setting.scale)
    entries = count * CACHE_ENTRIES_EACH
    cache = f'[cache]\nentries = {entries}\nbytes = "{CACHE_BYTES}"\n'
    say(f"making {count:,} tokens")
    files = {name: stage.keys.file(f"stream-{name}", stage.keys["HS256"].tokens(name)) for name in (1, count)}
    # One round after the other begins elsewhere, so that all of them stay hot and none is hotter.
    chance = random.Random(count)
    few, many = (gateway(stage, f"hot-{name}", more=cache) for name in files)
    warm(stage, many, files[count], count)
    jobs = []
    for portero, (name, file) in zip((few, many), files.items()):
        row = portero.row(f"{name:,}", file, THREADS)

        def load(seconds: int, row: Row = row, several: bool = name > 1) -> Load:
            return wrk(row.url(), seconds=seconds, connections=stage.setting.connections, stream=row.tokens, **{"from": chance.random() if several else 0})  # type: ignore[arg-type]

        jobs.append(Job(row, load))
    note = f"in turn, from another place in each round. The cache must bear them: `cache.entries = {entries}`, `cache.bytes = \"{CACHE_BYTES}\"`; before the rounds all were in it."
    return Pair("hot tokens", *jobs, note=note)


def warm(stage: Stage, portero: Portero, tokens: Path, count: int) -> None:
    """Sends every token until the cache knows them all."""
    url = f"http://127.0.0.1:{portero.port}/"
    for _ in range(WARM_PASSES_MAX):
        before = portero.metric("portero_token_cache_misses_total")
        counted(url, requests=count, connections=stage.setting.connections, stream=tokens)
        missed = portero.metric("portero_token_cache_misses_total") - before
        say(f"{missed:,.0f} of {count:,} tokens were not in the cache")
        if missed <= count * (1 - HITS_MIN):
            return
    raise Failed("the cache does not hold the hot tokens")


def connections(stage: Stage) -> Pair:
    portero = gateway(stage, "connections")
    few, many = (job(stage, portero, f"{count:,}", count, tokens=stage.keys.hot("HS256")) for count in CONNECTIONS)
    return Pair("connections", few, many)
