"""What the access log costs."""

from measure import median, ratio, rounds, saturated, summary
from proxies import Row
from proxies.portero import Portero, folder
from sections import Section, Stage, Target
from sections.hot import THREADS, many

BOUND = 1.08


def measure(stage: Stage) -> Section:
    setting, rows = stage.setting, []
    for threads in THREADS:
        for logs in (False, True):
            home = folder(
                stage.fleet, f"log-{threads}-{logs}", stage.origin, stage.keys, threads=threads, access_log=logs
            )
            gateway = Portero(stage.fleet, setting.portero, home)
            name = f"{many(threads)}, access log {'on' if logs else 'off'}"
            rows.append(
                Row(
                    name,
                    gateway.port,
                    gateway.pids,
                    stage.keys.hot("HS256"),
                    threads,
                    log=gateway.log if logs else None,
                )
            )
    taken = rounds([saturated(row, setting.connections) for row in rows], setting.rounds, setting.seconds)
    table = [
        [
            name,
            *(f"{median(got, field):.1f}" for field in ("cpu_us", "user_us", "system_us")),
            f"{median(got, 'rate'):,.0f}",
        ]
        for name, got in taken.items()
    ]
    targets = [
        Target(
            f"{many(threads)}, access log on ÷ off",
            ratio(taken[f"{many(threads)}, access log on"], taken[f"{many(threads)}, access log off"]),
            "≤",
            BOUND,
        )
        for threads in THREADS
    ]
    notes = ["HS256, hot. One JSON line a request, to a file. Metrics are always on."]
    head = ["Portero", "µs CPU a request", "user", "system", "requests a second"]
    return Section(
        "log", "Access log", head, table, targets, notes, raw={name: summary(got) for name, got in taken.items()}
    )
