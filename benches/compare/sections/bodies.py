"""Answers with bodies, beside nginx."""

from measure import Samples, median, ratio, rounds, saturated, summary
from proxies import Row
from proxies.nginx import BODIES
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from sections.hot import THREADS, hyper_rows, many, nginx_rows

BOUND = 0.9

NAMES = {"/10k": "10 KiB", "/1m": "1 MiB"}


def measure(stage: Stage) -> Section:
    setting, rows = stage.setting, [*nginx_rows(stage), *hyper_rows(stage)]
    for threads in THREADS:
        home = folder(stage.fleet, f"bodies-{threads}", stage.origin, stage.keys, threads=threads)
        gateway = Portero(stage.fleet, setting.portero, home)
        rows.append(gateway.row(f"Portero HS256, {many(threads)}", stage.keys.hot("HS256"), threads))
    table, targets, raw = [], [], {}
    for path in BODIES:
        taken = rounds(
            [saturated(row, setting.connections, path=path) for row in rows], setting.rounds, setting.seconds
        )
        table += [line(path, row, taken) for row in rows]
        ours, theirs = fastest(taken, "Portero"), fastest(taken, "nginx")
        targets.append(
            Target(
                f"{NAMES[path]}: requests a second, {ours} ÷ {theirs}",
                ratio(taken[ours], taken[theirs], "rate"),
                "≥",
                BOUND,
            )
        )
        raw[path] = {name: summary(got) for name, got in taken.items()}
    notes = [
        "Targets take each proxy at the thread count with which it is faster. "
        "All that runs shares the cores: what a proxy leaves is what the origin and wrk have.",
    ]
    head = ["body", "proxy", "µs CPU a request", "user", "system", "requests a second", "MB a second", "bad answers"]
    return Section("bodies", "Bodies", head, table, targets, notes, raw=raw)


def line(path: str, row: Row, taken: Samples) -> list[str]:
    got = taken[row.name]
    megabytes = median(got, "rate") * BODIES[path] / 1e6
    figures = [f"{median(got, field):.1f}" for field in ("cpu_us", "user_us", "system_us")]
    return [
        NAMES[path],
        row.name,
        *figures,
        f"{median(got, 'rate'):,.0f}",
        f"{megabytes:,.0f}",
        str(sum(each.bad for each in got) or ""),
    ]


def fastest(taken: Samples, prefix: str) -> str:
    return max((name for name in taken if name.startswith(prefix)), key=lambda name: median(taken[name], "rate"))
