"""What it costs to refuse, beside a request that is allowed."""

import subprocess
import time
from functools import partial
from pathlib import Path

from load import Load, wrk
from measure import Job, median, ratio, rounds, saturated, summary
from processes import get
from proxies.portero import ISSUER_NAME, Portero, folder
from sections import Section, Stage, Target
from tokens import LIFETIME_SECONDS

THREADS = 2

EXPIRED_SECONDS_AGO = 3600

GARBAGE_BYTES = 360

UNAUTHORIZED = 401

REVOKED_JTI = "revoked"


def measure(stage: Stage) -> Section:
    keys, setting = stage.keys, stage.setting
    home = folder(stage.fleet, "refusals", stage.origin, keys, threads=THREADS)
    gateway = Portero(stage.fleet, setting.portero, home)
    row = gateway.row("allowed, HS256", keys.hot("HS256"), THREADS)
    expired = {
        algorithm: keys.file(f"expired-{algorithm}", [keys[algorithm].token("expired", -EXPIRED_SECONDS_AGO)])
        for algorithm in ("HS256", "RS256")
    }
    forged = keys["HS256"].token("forged")[:-4] + "AAAA"
    refused: dict[str, Path | None] = {
        "no token": None,
        "garbage": keys.file("garbage", ["x" * GARBAGE_BYTES]),
        "wrong signature, HS256": keys.file("forged", [forged]),
        "expired, HS256": expired["HS256"],
        "expired, RS256": expired["RS256"],
        "revoked, HS256": revoked(stage, gateway, home),
    }
    allowed = saturated(row, setting.connections)
    allowed_rs = saturated(row, setting.connections, key="allowed, RS256", script={"tokens": keys.hot("RS256")})
    jobs = [allowed, allowed_rs]
    for name, tokens in refused.items():
        jobs.append(Job(row, partial(refusal, row.url(), tokens, setting.connections), name))
    taken = rounds(jobs, setting.rounds, setting.seconds)
    beside = {name: allowed_rs.name if name.endswith("RS256") else allowed.name for name in refused}
    table = [
        [
            name,
            *(f"{median(got, field):.1f}" for field in ("cpu_us", "user_us", "system_us")),
            f"{median(got, 'rate'):,.0f}",
            str(sum(each.bad for each in got) or ""),
        ]
        for name, got in taken.items()
    ]
    targets = [
        Target(f"{name} ÷ {other}", ratio(taken[name], taken[other]), "<", 1.0) for name, other in beside.items()
    ]
    notes = [
        f"Portero with {THREADS} threads; all rows are of one process. "
        "“Bad answers” of a refusal are those that were let through.",
        "Of wrong signatures the first 1,000 of ten seconds are checked, "
        "and the others answered 429 unchecked (`throttle.bad_tokens`).",
    ]
    head = ["request", "µs CPU a request", "user", "system", "requests a second", "bad answers"]
    return Section(
        "refusals", "Refusals", head, table, targets, notes, raw={name: summary(got) for name, got in taken.items()}
    )


def refusal(url: str, tokens: Path | None, connections: int, seconds: int) -> Load:
    return wrk(url, {"tokens": tokens}, seconds=seconds, connections=connections, refused=True)


def revoked(stage: Stage, gateway: Portero, home: Path) -> Path:
    """A token that was good until it was revoked, as an operator does it."""
    token = stage.keys["HS256"].token(REVOKED_JTI)
    # Seen once before: what is refused is a token that the cache holds.
    gateway.process.wait_for(lambda: get(gateway.port, "/", token)[0] == 200, "a good token's answer")
    ends = str(int(time.time()) + LIFETIME_SECONDS)
    named = ["--jti", REVOKED_JTI, "--realm", ISSUER_NAME, "--expires", ends]
    subprocess.run(
        [str(stage.setting.portero), "revoke", "token", "--config", str(home / "gateway.toml"), *named],
        check=True,
        capture_output=True,
    )
    gateway.process.wait_for(lambda: get(gateway.port, "/", token)[0] == UNAUTHORIZED, "the revocation")
    return stage.keys.file("revoked", [token])
