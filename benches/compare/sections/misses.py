"""Every request with a token that the proxy has not seen."""

from load import counted, wrk
from measure import WARM_SECONDS, Samples, median, ratio, sample, summary
from processes import Failed
from proxies.haproxy import HAProxy
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from tools import say

TOKENS = 20_000

ROUNDS_MIN = 7
"""They are short: /proc counts in ticks, of which one has about a hundred."""

THREADS = 2

HITS_MAX = 0.01
"""Tokens that the cache may hold all the same: wrk sends the first few again before it stops."""

BOUNDS = {"RS256": 1.05, "HS256": 1.15}


def measure(stage: Stage) -> Section:
    keys, setting = stage.keys, stage.setting
    say(f"making {TOKENS:,} tokens of each algorithm")
    tokens = {algorithm: keys.file(f"new-{algorithm}", keys[algorithm].tokens(TOKENS)) for algorithm in BOUNDS}
    haproxy = HAProxy(stage.fleet, stage.origin, THREADS, [keys[algorithm] for algorithm in BOUNDS])
    home = folder(stage.fleet, "misses", stage.origin, keys, threads=THREADS)
    taken: Samples = {f"{proxy} {algorithm}": [] for algorithm in BOUNDS for proxy in ("HAProxy", "Portero")}

    def one(proxy: str, port: int, pids: tuple[int, ...], algorithm: str) -> None:
        url = f"http://127.0.0.1:{port}/"
        wrk(url, {"tokens": keys.hot(algorithm)}, seconds=WARM_SECONDS, connections=setting.connections)
        name = f"{proxy} {algorithm}"
        got = sample(
            pids, lambda: counted(url, {"tokens": tokens[algorithm]}, requests=TOKENS, connections=setting.connections)
        )
        taken[name].append(got)
        say(f"{name}: {got.cpu_us:.1f} µs, {got.rate:,.0f} a second" + (f", {got.bad} BAD" if got.bad else ""))

    def one_of_haproxy(algorithm: str) -> None:
        one("HAProxy", haproxy.ports[algorithm], haproxy.pids, algorithm)

    def one_of_portero(algorithm: str) -> None:
        gateway = Portero(stage.fleet, setting.portero, home)
        one("Portero", gateway.port, gateway.pids, algorithm)
        if (missed := gateway.metric("portero_token_cache_misses_total")) < TOKENS * (1 - HITS_MAX):
            raise Failed(f"only {missed} of {TOKENS} tokens were new to the gateway")
        gateway.stop()

    for at in range(max(setting.rounds, ROUNDS_MIN)):
        for algorithm in BOUNDS:
            for step in (one_of_haproxy, one_of_portero) if at % 2 == 0 else (one_of_portero, one_of_haproxy):
                step(algorithm)
    return section(taken)


def section(taken: Samples) -> Section:
    head = ["proxy", "µs CPU a request", "user", "system", "requests a second", "bad answers"]
    rows = [
        [
            name,
            *(f"{median(got, field):.1f}" for field in ("cpu_us", "user_us", "system_us")),
            f"{median(got, 'rate'):,.0f}",
            str(sum(each.bad for each in got) or ""),
        ]
        for name, got in taken.items()
    ]
    targets = [
        Target(
            f"Portero {algorithm} ÷ HAProxy {algorithm}",
            ratio(taken[f"Portero {algorithm}"], taken[f"HAProxy {algorithm}"]),
            "≤",
            bound,
        )
        for algorithm, bound in BOUNDS.items()
    ]
    notes = [
        f"{TOKENS:,} tokens in turn, each once, {THREADS} threads each, {len(next(iter(taken.values())))} rounds. "
        "In each round Portero is a new process, warmed with one other token, so that its cache holds none of them; "
        "its counter of misses is asked afterwards. HAProxy keeps none.",
    ]
    return Section(
        "misses",
        "Tokens never seen",
        head,
        rows,
        targets,
        notes,
        raw={name: summary(got) for name, got in taken.items()},
    )
