"""A token that comes again and again: CPU time of every proxy a request."""

from certificate import Certificate
from measure import Samples, median, ratio, rounds, saturated, summary
from proxies import Row
from proxies.envoy import Envoy
from proxies.haproxy import HAProxy
from proxies.hyper import Hyper
from proxies.nginx import Nginx
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from sections.forms import HYPER, HYPER_MAX
from tokens import ALGORITHMS

THREADS = (1, 2)

ENVOY_THREADS = 2

GOAL = 1.25
"""× nginx bare: what is wanted in the end."""

HAPROXY_CHECKS = ("bare", "HS256", "RS256")


def measure(stage: Stage) -> Section:
    setting = stage.setting
    rows = [row for row in all_rows(stage) if setting.wants(row.name)]
    for row in rows:
        row.check()
    taken = rounds([saturated(row, setting.connections) for row in rows], setting.rounds, setting.seconds)
    return section(rows, taken)


def all_rows(stage: Stage) -> list[Row]:
    """Every proxy in every setting."""
    return [*nginx_rows(stage), *haproxy_rows(stage), *envoy_rows(stage), *hyper_rows(stage), *portero_rows(stage)]


def nginx_rows(stage: Stage) -> list[Row]:
    tokens = stage.keys.hot("HS256")
    proxies = {workers: Nginx(stage.fleet, stage.origin, workers) for workers in THREADS}
    return [Row(f"nginx bare, {many(n, 'worker')}", proxy.port, proxy.pids, tokens, n) for n, proxy in proxies.items()]


def haproxy_rows(stage: Stage) -> list[Row]:
    keys, rows = [stage.keys[name] for name in HAPROXY_CHECKS if name != "bare"], []
    for threads in THREADS:
        proxy = HAProxy(stage.fleet, stage.origin, threads, keys)
        for check in HAPROXY_CHECKS:
            tokens = stage.keys.hot("HS256" if check == "bare" else check)
            rows.append(Row(f"HAProxy {check}, {many(threads)}", proxy.ports[check], proxy.pids, tokens, threads))
    return rows


def envoy_rows(stage: Stage) -> list[Row]:
    if stage.setting.envoy is None:
        return []
    proxy = Envoy(stage.fleet, stage.setting.envoy, stage.origin, ENVOY_THREADS, stage.keys)
    tokens = {way: stage.keys.hot("RS256" if way.startswith("RS256") else "HS256") for way in proxy.ports}
    return [
        Row(f"Envoy {way}, {many(ENVOY_THREADS)}", port, proxy.pids, tokens[way], ENVOY_THREADS)
        for way, port in proxy.ports.items()
    ]


def hyper_rows(stage: Stage) -> list[Row]:
    tokens, certificate = stage.keys.hot("HS256"), Certificate(stage.fleet.folder)
    proxies = {n: Hyper(stage.fleet, stage.setting.bare, stage.origin, n, certificate) for n in THREADS}
    return [Row(f"{HYPER}, {many(n)}", proxy.port, proxy.pids, tokens, n) for n, proxy in proxies.items()]


def portero_rows(stage: Stage) -> list[Row]:
    rows = []
    for threads in THREADS:
        for logs in (False, True):
            home = folder(
                stage.fleet, f"portero-{threads}-{logs}", stage.origin, stage.keys, threads=threads, access_log=logs
            )
            gateway = Portero(stage.fleet, stage.setting.portero, home)
            # A remembered token costs the same whatever signed it: all four show that once.
            algorithms = ALGORITHMS if threads == 1 and not logs else ("HS256", "RS256")
            for algorithm in algorithms:
                name = f"Portero {algorithm}, {many(threads)}" + (", access log" if logs else "")
                rows.append(
                    Row(
                        name,
                        gateway.port,
                        gateway.pids,
                        stage.keys.hot(algorithm),
                        threads,
                        log=gateway.log if logs else None,
                    )
                )
    return rows


def many(count: int, what: str = "thread") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def section(rows: list[Row], taken: Samples) -> Section:
    """The table and the targets of what was measured."""
    nginx = cheapest(taken, "nginx bare")
    table = []
    for row in rows:
        mine = taken[row.name]
        figures = [f"{median(mine, field):.1f}" for field in ("cpu_us", "user_us", "system_us")]
        to_nginx = f"{ratio(mine, taken[nginx]):.2f}" if nginx else "–"
        tail = [
            f"{median(mine, 'rate'):,.0f}",
            f"{median(mine, 'p50_us'):.0f}",
            f"{median(mine, 'p99_us'):.0f}",
            f"{median(mine, 'resident_mib'):.0f}",
        ]
        table.append([row.name, *figures, to_nginx, *tail, str(sum(each.bad for each in mine) or "")])
    bars = [
        {
            "name": row.name,
            "group": row.name.split(" ")[0].rstrip(","),
            "user": median(taken[row.name], "user_us"),
            "system": median(taken[row.name], "system_us"),
        }
        for row in rows
    ]
    head = [
        "proxy",
        "µs CPU a request",
        "user",
        "system",
        "× nginx bare",
        "requests a second",
        "p50 µs",
        "p99 µs",
        "MiB",
        "bad answers",
    ]
    notes = [
        "`× nginx bare` is to the cheaper of its two settings. Targets take each proxy at its cheapest thread count, "
        "but those beside the bare hyper proxy at every one.",
        "p50 and p99 are of full load, where they say how long the queue is; "
        "[latency](#latency) has them at a fixed rate.",
    ]
    raw = {name: summary(samples) for name, samples in taken.items()}
    return Section("hot", "Hot token", head, table, targets(taken), notes, bars, raw)


def cheapest(taken: Samples, prefix: str) -> str | None:
    """The setting of a proxy that takes the least; one with an access log is no candidate."""
    names = [name for name in taken if name.startswith(f"{prefix},") and not name.endswith("access log")]
    return min(names, key=lambda name: median(taken[name]), default=None)


def targets(taken: Samples) -> list[Target]:
    found = []
    for threads in THREADS:
        bare = f"{HYPER}, {many(threads)}"
        for algorithm in ALGORITHMS:
            ours = f"Portero {algorithm}, {many(threads)}"
            if bare in taken and ours in taken:
                found.append(Target(f"{ours} ÷ {bare}", ratio(taken[ours], taken[bare]), "≤", HYPER_MAX))
    bounds = (
        ("HAProxy HS256", "HS256", 1.05),
        ("HAProxy RS256", "RS256", 0.55),
        ("Envoy RS256, cached", "RS256", 0.5),
        ("nginx bare", "HS256", 1.45),
        ("nginx bare", "HS256", GOAL),
    )
    for prefix, algorithm, bound in bounds:
        best, peer = cheapest(taken, f"Portero {algorithm}"), cheapest(taken, prefix)
        if best and peer:
            goal = " (the goal)" if bound == GOAL else ""
            found.append(Target(f"{best} ÷ {peer}{goal}", ratio(taken[best], taken[peer]), "≤", bound))
    return found
