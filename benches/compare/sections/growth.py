"""What becomes of the cost of a request when there is more of something."""

import random
import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from load import Load, counted, wrk
from measure import Job, Samples, median, ratio, rounds, saturated, summary
from processes import Failed
from proxies import Row
from proxies.nginx import UPLOAD, Nginx
from proxies.portero import Portero, folder, route
from sections import Section, Stage, Target
from tools import say

THREADS = 2

BOUND = 1.15

ROUTES = (10, 10_000)
REVOCATIONS = 10_000_000
HOT_TOKENS = 1_000_000
CONNECTIONS = (32, 2_000)

CONNECTIONS_SECONDS_MIN = 10

UPLOAD_BYTES = 1_024

TOKENS_IN_TURN = 1_024
"""Beside revocations: one token alone would ask for one place of their table, which stays in the processor's cache."""

CACHE_ENTRIES_EACH = 2
"""Room of the cache for each hot token: its shards do not fill evenly."""

CACHE_BYTES = "8GiB"
"""More than they take, so that the number of entries is what bounds."""

HITS_MIN = 0.99

WARM_PASSES_MAX = 3

STORE_CACHE_KIB = 2_000_000

STEPS_BETWEEN_SIGNALS = 1_000_000

REVOCATION_MS_MIN = 3_600_000
REVOCATION_MS_SPAN = 82_800_000
"""Revoked tokens end between an hour and a day from now."""


@dataclass(frozen=True)
class Pair:
    """The same load on few and on many."""

    what: str
    few: Job
    many: Job
    note: str = ""
    judged: bool = True
    """Whether the target is about it; the others are there to compare with."""
    seconds_min: int = 0


def measure(stage: Stage) -> Section:
    head = [
        "",
        "few",
        "many",
        "µs CPU a request: few",
        "many",
        "ratio",
        "requests a second: few",
        "many",
        "MiB: few",
        "many",
        "bad answers",
    ]
    section = Section(
        "growth",
        "Growth",
        head,
        [],
        [],
        [
            f"Portero with {THREADS} threads, HS256. Each pair has the same load but for what grows, "
            "in turn within one run."
        ],
    )
    for make in (routes, revocations, hot_tokens, connections, connections_of_nginx, uploads, uploads_of_nginx):
        pair = make(stage)
        taken = rounds([pair.few, pair.many], stage.setting.rounds, max(stage.setting.seconds, pair.seconds_min))
        grown = ratio(taken[pair.many.name], taken[pair.few.name])
        section.rows.append(line(pair, taken, grown))
        if pair.judged:
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
    return Portero(
        stage.fleet,
        stage.setting.portero,
        folder(stage.fleet, name, stage.origin, stage.keys, threads=THREADS, routes=routes, more=more),
    )


def routes(stage: Stage) -> Pair:
    """Every request is for the next route."""
    jobs, tokens = [], stage.keys.hot("HS256")
    for count in ROUTES:
        names = [f"service-{at}" for at in range(count)]
        portero = gateway(stage, f"routes-{count}", routes="".join(route(name, f"/{name}") for name in names))
        paths = stage.fleet.write(f"paths-{count}", "".join(f"/{name}/v1/items\n" for name in names))
        row = portero.row(f"{count:,}", tokens, THREADS)
        jobs.append(saturated(row, stage.setting.connections, script={"tokens": tokens, "paths": paths}))
    few, many = jobs
    return Pair("routes", few, many, note="requests go to all of them in turn.")


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
    rows = few.row("0", tokens, THREADS), many.row(f"{count:,}", tokens, THREADS)
    none, all_of_them = (saturated(row, stage.setting.connections) for row in rows)
    note = (
        "rows of revoked tokens in the store's table, which end within a day; the gateway had read them "
        f"{took:.1f} s after its start. {TOKENS_IN_TURN:,} good tokens in turn on both sides."
    )
    return Pair("revocations", none, all_of_them, note=note)


FILL = """
WITH RECURSIVE turn(at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM turn WHERE at < :count)
INSERT INTO revocations (kind, subject, expires_at, created_at)
SELECT 'token', randomblob(16), :now + :least + abs(random() % :span), :now FROM turn
"""
"""Ids are as uniformly distributed as those of real tokens, and come in no order."""


def fill(store: Path, count: int) -> None:
    """Revoked tokens. SQLite makes them itself: from here it would take twice as long."""
    now = time.time_ns() // 1_000_000
    figures = {"count": count, "now": now, "least": REVOCATION_MS_MIN, "span": REVOCATION_MS_SPAN}
    database = sqlite3.connect(store)
    # Ctrl-C is seen in it, and ends the statement.
    database.set_progress_handler(lambda: 0, STEPS_BETWEEN_SIGNALS)
    try:
        # A crash loses what is thrown away anyway; an index that grows in random order must fit into memory.
        database.execute("PRAGMA synchronous = OFF")
        database.execute(f"PRAGMA cache_size = -{STORE_CACHE_KIB}")
        # This index can wait: made at the end, it is sorted once.
        (index,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'revocations_expiry'").fetchone()
        with database:
            database.execute("DROP INDEX revocations_expiry")
            database.execute(FILL, figures)
            database.execute(index)
    except sqlite3.OperationalError as error:
        raise Failed(f"{store}: {error}") from error
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
    gateways = {name: gateway(stage, f"hot-{name}", more=cache) for name in files}
    few, many = (gateways[name].row(f"{name:,}", file, THREADS) for name, file in files.items())
    warm(stage, gateways[count], files[count], count)

    def load(row: Row, seconds: int) -> Load:
        begin = chance.random() if row is many else 0
        return wrk(
            row.url(), {"stream": row.tokens, "from": begin}, seconds=seconds, connections=stage.setting.connections
        )

    note = (
        "in turn, from another place in each round. The cache must bear them: "
        f'`cache.entries = {entries}`, `cache.bytes = "{CACHE_BYTES}"`; before the rounds all were in it.'
    )
    return Pair("hot tokens", Job(few, partial(load, few)), Job(many, partial(load, many)), note=note)


def warm(stage: Stage, portero: Portero, tokens: Path, count: int) -> None:
    """Sends every token until the cache knows them all."""
    url = f"http://127.0.0.1:{portero.port}/"
    for _ in range(WARM_PASSES_MAX):
        before = portero.metric("portero_token_cache_misses_total")
        counted(url, {"stream": tokens}, requests=count, connections=stage.setting.connections)
        missed = portero.metric("portero_token_cache_misses_total") - before
        say(f"{missed:,.0f} of {count:,} tokens were not in the cache")
        if missed <= count * (1 - HITS_MIN):
            return
    raise Failed("the cache does not hold the hot tokens")


def connections(stage: Stage) -> Pair:
    note = (
        f"rounds of {CONNECTIONS_SECONDS_MIN} s at least, since each begins with opening them. "
        "What the kernel takes for more of them it takes from nginx too."
    )
    return on_connections("connections", portero_row(stage, "connections"), note=note)


def connections_of_nginx(stage: Stage) -> Pair:
    return on_connections("connections, nginx bare", nginx_row(stage), judged=False)


def uploads(stage: Stage) -> Pair:
    """The same with bodies, which need more of a connection."""
    row = portero_row(stage, "uploads")
    return on_connections("connections, POST 1 KiB", row, body_bytes=UPLOAD_BYTES, judged=False)


def uploads_of_nginx(stage: Stage) -> Pair:
    what = "connections, POST 1 KiB, nginx bare"
    return on_connections(what, nginx_row(stage), body_bytes=UPLOAD_BYTES, judged=False)


def on_connections(what: str, row: Row, *, body_bytes: int | None = None, note: str = "", judged: bool = True) -> Pair:
    """The same load from few and from many connections."""
    path, script = UPLOAD if body_bytes else "/", {"tokens": row.tokens, "body": body_bytes}
    few, many = (saturated(row, count, f"{count:,}", path, script) for count in CONNECTIONS)
    return Pair(what, few, many, note, judged, CONNECTIONS_SECONDS_MIN)


def portero_row(stage: Stage, name: str) -> Row:
    return gateway(stage, name).row("Portero", stage.keys.hot("HS256"), THREADS)


def nginx_row(stage: Stage) -> Row:
    proxy = Nginx(stage.fleet, stage.origin, THREADS)
    return Row("nginx", proxy.port, proxy.pids, stage.keys.hot("HS256"), THREADS)
