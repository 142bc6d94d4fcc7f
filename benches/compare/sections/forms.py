"""Forms of request: bodies, new connections, TLS and HTTP/2, beside nginx, HAProxy and a bare hyper proxy."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from certificate import Certificate
from handshakes import CLIENTS, handshakes
from load import Load, Script, h2load, wrk
from measure import Job, Samples, median, ratio, rounds, summary
from proxies import Row
from proxies.haproxy import BARE_TLS, HAProxy
from proxies.hyper import Hyper
from proxies.nginx import UPLOAD, Nginx
from proxies.portero import Portero, folder
from sections import Section, Stage, Target

THREADS = 2

NGINX, HAPROXY, HYPER, PORTERO = "nginx", "HAProxy", "bare hyper", "Portero"

HYPER_MAX = 1.25
"""× the bare hyper proxy, in every form that has a gate, and for a hot token."""

KIB = 1 << 10

MANY = 2_000
"""Connections of the form that has many."""

MANY_SECONDS_MIN = 10
"""A round of many connections begins with opening them."""


@dataclass(frozen=True)
class Form:
    """A form of request, and how it is measured."""

    name: str
    load: Callable[[Stage, Row, int], Load]
    tls: bool = False
    gate: float | None = None
    """× nginx: what may not be passed."""
    goal: float | None = None
    """× nginx: what is wanted."""
    soaks: bool = True
    """Whether the soak drives it beside all others."""


def http1(script: Script, stage: Stage, row: Row, seconds: int, *, many: bool = False) -> Load:
    connections = MANY if many else stage.setting.connections
    seconds = max(seconds, MANY_SECONDS_MIN) if many else seconds
    path = UPLOAD if "body" in script else "/"
    return wrk(row.url(path), {"tokens": row.tokens, **script}, seconds=seconds, connections=connections)


def http2(streams: int, body_bytes: int, stage: Stage, row: Row, seconds: int) -> Load:
    body = stage.fleet.write(f"body-{body_bytes}", "x" * body_bytes) if body_bytes else None
    return h2load(
        row.url(UPLOAD if body else "/"),
        seconds=seconds,
        connections=stage.setting.connections,
        streams=streams,
        tokens=row.tokens,
        body=body,
    )


def handshake_each(_: Stage, row: Row, seconds: int) -> Load:
    return handshakes(row.port, seconds=seconds, tokens=row.tokens)


FORMS = (
    Form("GET, kept connection", partial(http1, {}), gate=1.15, goal=1.05),
    Form("POST 1 KiB", partial(http1, {"body": KIB}), gate=1.15, goal=1.05),
    Form("POST 100 KiB", partial(http1, {"body": 100 * KIB}), gate=0.95, goal=0.85),
    Form("GET, a connection each", partial(http1, {"close": "yes"}), gate=1.30, goal=1.12),
    Form("GET, TLS, kept", partial(http1, {}), tls=True, gate=1.10, goal=1.00),
    Form("GET, TLS, a handshake each", handshake_each, tls=True, gate=0.80, goal=0.75),
    Form("GET, TLS h2, 1 stream", partial(http2, 1, 0), tls=True, gate=1.12, goal=1.00),
    Form("GET, TLS h2, 16 streams", partial(http2, 16, 0), tls=True, gate=1.12, goal=1.00),
    Form("POST 1 KiB, TLS h2, 16 streams", partial(http2, 16, KIB), tls=True, gate=0.85, goal=0.75),
    # Not in the soak: beside all others so many wait longer to be accepted than wrk has patience.
    Form(f"GET, {MANY:,} connections", partial(http1, {}, many=True), soaks=False),
)


def measure(stage: Stage) -> Section:
    rows = all_rows(stage)
    for row in rows:
        row.check()
    taken = {}
    for form in (form for form in FORMS if stage.setting.wants(form.name)):
        jobs = [Job(row, partial(form.load, stage, row)) for row in rows if row.tls == form.tls]
        taken[form.name] = rounds(jobs, stage.setting.rounds, stage.setting.seconds)
    return section(taken)


def all_rows(stage: Stage) -> list[Row]:
    """Each proxy in the clear and through TLS, as the columns of the table are named."""
    fleet, setting, tokens = stage.fleet, stage.setting, stage.keys.hot("HS256")
    certificate = Certificate(fleet.folder)
    nginx = Nginx(fleet, stage.origin, THREADS, certificate)
    haproxy = HAProxy(fleet, stage.origin, THREADS, [], certificate)
    hyper = Hyper(fleet, setting.bare, stage.origin, THREADS, certificate)
    home = folder(fleet, "forms", stage.origin, stage.keys, threads=THREADS, certificate=certificate)
    portero = Portero(fleet, setting.portero, home)
    clear = [
        Row(NGINX, nginx.port, nginx.pids, tokens, THREADS),
        Row(HAPROXY, haproxy.ports["bare"], haproxy.pids, tokens, THREADS),
        Row(HYPER, hyper.port, hyper.pids, tokens, THREADS),
        portero.row(PORTERO, tokens, THREADS),
    ]
    secured = (nginx.tls_port, haproxy.ports[BARE_TLS], hyper.tls_port, portero.tls_port)
    return [*clear, *(row.through_tls(port) for row, port in zip(clear, secured, strict=True))]


def section(taken: dict[str, Samples]) -> Section:
    """The table and the targets of the forms that were measured."""
    proxies = (NGINX, HAPROXY, HYPER, PORTERO)
    peers = (NGINX, HAPROXY, HYPER)
    head = ["form", *(f"{name}, µs CPU" for name in proxies), *(f"× {name}" for name in peers)]
    head += ["nginx, requests a second", "Portero, requests a second", "bad answers"]
    table = [
        [
            form,
            *(f"{median(got[name]):.1f}" for name in proxies),
            *(f"{ratio(got[PORTERO], got[name]):.2f}" for name in peers),
            *(f"{median(got[name], 'rate'):,.0f}" for name in (NGINX, PORTERO)),
            bad_answers(got),
        ]
        for form, got in taken.items()
    ]
    notes = [
        f"{THREADS} threads or workers each. Portero checks an HS256 token; the others check none. "
        "“× nginx” and its neighbours are Portero's CPU time a request to that proxy's.",
        "The bare hyper proxy (`compare/bare/hyper.rs`) has no limits and no deadlines.",
        "Requests with a body go to a path of the origin that reads the body before it answers. "
        "nginx streams it (`proxy_request_buffering off`), as the others do.",
        f"TLS 1.3, a certificate on P-256, tickets as each server has them by default. “A handshake each”: {CLIENTS} "
        "clients, each connection with a full handshake, because wrk would resume its sessions.",
        "HTTP/2 is loaded by h2load. Upstream connections are HTTP/1.1 in the clear.",
    ]
    raw = {form: {name: summary(each) for name, each in got.items()} for form, got in taken.items()}
    return Section("forms", "Forms of request", head, table, targets(taken), notes, raw=raw)


def bad_answers(got: Samples) -> str:
    """Of each proxy that has some."""
    sums = {name: sum(each.bad for each in samples) for name, samples in got.items()}
    return ", ".join(f"{name} {count}" for name, count in sums.items() if count)


def targets(taken: dict[str, Samples]) -> list[Target]:
    found = []
    for form in (form for form in FORMS if form.name in taken and form.gate and form.goal):
        got = taken[form.name]
        to_nginx, to_hyper = (ratio(got[PORTERO], got[peer]) for peer in (NGINX, HYPER))
        found += [
            Target(f"{form.name}: Portero ÷ nginx", to_nginx, "≤", form.gate),
            Target(f"{form.name}: Portero ÷ nginx (the goal)", to_nginx, "≤", form.goal),
            Target(f"{form.name}: Portero ÷ bare hyper", to_hyper, "≤", HYPER_MAX),
        ]
    return found
