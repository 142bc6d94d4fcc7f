"""Portero, as `portero run` starts it: the tokens' issuer is a foreign one whose keys lie in files."""

import json
from pathlib import Path

from certificate import Certificate
from processes import Fleet, Process, get
from proxies import Row
from tokens import ALGORITHMS, AUDIENCE, ISSUER, Keys

ISSUER_NAME = "bench"

CONNECTIONS_MAX = 100_000


class Portero:
    """A gateway in a folder of its own, which a second one may start in again."""

    def __init__(self, fleet: Fleet, binary: Path, folder: Path) -> None:
        self.folder = folder
        # Where the events and the access log go.
        self._fleet = fleet
        self.process: Process = fleet.start(binary, "run", "--config", folder / "gateway.toml")
        self.log = self.process.output
        event = self.process.wait_for(self._listening, "the event of a gateway that listens")
        self.port, *tls_ports = (int(address.rsplit(":", 1)[1]) for address in str(event["listen"]).split(","))
        self.tls_port = tls_ports[0] if tls_ports else None
        self.admin = int(str(event["admin"]).rsplit(":", 1)[1])
        self.pids = (self.process.pid,)

    def stop(self) -> None:
        self._fleet.stop(self.process)

    def row(self, name: str, tokens: Path, threads: int) -> Row:
        return Row(name, self.port, self.pids, tokens, threads)

    def metric(self, name: str) -> float:
        """A counter without labels, or the sum over all of them."""
        _, text = get(self.admin, "/metrics")
        lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def _listening(self) -> dict[str, object] | None:
        for line in self.log.read_text(errors="replace").splitlines():
            if '"listening"' in line:
                return dict(json.loads(line))
        return None


def folder(
    fleet: Fleet,
    name: str,
    origin: int,
    keys: Keys,
    *,
    threads: int,
    access_log: bool = False,
    routes: str = "",
    more: str = "",
    listen: int = 0,
    certificate: Certificate | None = None,
) -> Path:
    """A folder with a config. Without `routes` there is one for every path; `more` are further tables.

    With a certificate there is a second listener, for TLS.
    """
    path = fleet.folder / name
    path.mkdir(mode=0o700)
    listed = ", ".join(f'{{ file = "{keys[a].file}", algorithm = "{a}", id = "{keys[a].kid}" }}' for a in ALGORITHMS)
    front = [f'"127.0.0.1:{listen}"']
    if certificate:
        files = f'{{ certificate = "{certificate.chain}", key = "{certificate.key}" }}'
        front.append(f'{{ address = "127.0.0.1:0", tls = [{files}] }}')
    config = path / "gateway.toml"
    config.write_text(
        f"""[server]
listen = [{", ".join(front)}]
threads = {threads}
keepalive_timeout = "1h"
connections_max = {CONNECTIONS_MAX}
connections_per_address = {CONNECTIONS_MAX}
requests_per_address = {CONNECTIONS_MAX}

[admin]
listen = "127.0.0.1:0"

[log]
access = {str(access_log).lower()}

{more}
[issuers.{ISSUER_NAME}]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
keys = [{listed}]

{routes or route("all", "/")}
[upstreams.origin]
servers = ["127.0.0.1:{origin}"]
"""
    )
    return path


def route(name: str, path: str) -> str:
    return f'[[routes]]\nname = "{name}"\npath = "{path}"\nupstream = "origin"\naccept = ["{ISSUER_NAME}"]\n\n'
