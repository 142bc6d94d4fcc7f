"""How soon a gateway serves whose store has its keys."""

import statistics
import time
from pathlib import Path

from processes import START_SECONDS_MAX, Failed, free_ports, get
from proxies.portero import Portero, folder
from sections import Section, Stage, Target

STARTS = 10

BOUND_MS = 150.0

POLL_SECONDS = 0.001

THREADS = 2

REALMS = {"HS256": "sws", "RS256": "maxpoint", "ES256": "become", "EdDSA": "oauth"}


def measure(stage: Stage) -> Section:
    (port,) = free_ports(1)
    realms = "".join(
        f'[realms.{dialect}]\ndialect = "{dialect}"\nalgorithm = "{algorithm}"\n'
        + ('timezone = "UTC"\n\n' if dialect == "sws" else "\n")
        for algorithm, dialect in REALMS.items()
    )
    more = f'[tokens]\nissuer = "https://portero.example"\n\n{realms}'
    home = folder(stage.fleet, "start", stage.origin, stage.keys, threads=THREADS, more=more, listen=port)
    # The first start makes the store and the keys.
    Portero(stage.fleet, stage.setting.portero, home).stop()
    token = stage.keys["HS256"].token("start")
    taken = [started(stage, home, port, token) for _ in range(STARTS)]
    middle = statistics.median(taken)
    rows = [[f"{STARTS} starts", f"{middle:.0f}", f"{min(taken):.0f}", f"{max(taken):.0f}"]]
    notes = [
        "From `exec` to the whole of the first answer with status 200, asked for each millisecond with a good token. "
        f"The store has the keys of {len(REALMS)} realms ({', '.join(REALMS)}); those of one issuer lie in files.",
    ]
    return Section(
        "start",
        "Start",
        ["", "median ms", "least", "most"],
        rows,
        [Target("median", middle, "≤", BOUND_MS, "ms")],
        notes,
        raw={"ms": taken},
    )


def started(stage: Stage, home: Path, port: int, token: str) -> float:
    """Milliseconds of one start."""
    began = time.perf_counter()
    process = stage.fleet.start(stage.setting.portero, "run", "--config", home / "gateway.toml")
    while get(port, "/", token)[0] != 200:
        if time.perf_counter() - began > START_SECONDS_MAX:
            raise Failed("the gateway does not serve")
        time.sleep(POLL_SECONDS)
    took = (time.perf_counter() - began) * 1000
    stage.fleet.stop(process)
    return took
