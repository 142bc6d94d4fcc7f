"""The proxies: each sends the origin the same forwarding and identity headers, as cheaply as it can."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from processes import Failed, get
from tokens import ISSUER, ROLE, SCOPE, SUBJECT

FORWARDING = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Request-Id", "traceparent")
"""What every proxy adds beside the identity."""

IDENTITY = {"X-Auth-Issuer": ISSUER, "X-Auth-Subject": SUBJECT, "X-Auth-Role": ROLE, "X-Auth-Scopes": SCOPE}
"""What the checked token says; a proxy that checks none sends these as constants."""

SEEN = "/seen"
"""The origin's path that answers with these headers, as it received them, one a line."""


@dataclass(frozen=True)
class Row:
    """One proxy in one setting, under load."""

    name: str
    port: int
    pids: tuple[int, ...]
    tokens: Path
    threads: int
    log: Path | None = None
    """An access log to be emptied between measurements."""
    tls: bool = False

    @property
    def scheme(self) -> str:
        return "https" if self.tls else "http"

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def through_tls(self, port: int) -> Self:
        """The same proxy at its listener for TLS."""
        return replace(self, port=port, tls=True)

    def check(self) -> None:
        """Fails unless the origin gets every header through it."""
        token = self.tokens.open().readline().strip()
        status, body = get(self.port, SEEN, token, tls=self.tls)
        if status != 200:
            raise Failed(f"{self.name}: status {status} {body[:200]}")
        seen = dict(line.split("=", 1) for line in body.splitlines())
        missing = [name for name in FORWARDING if not seen.get(name)]
        wrong = [name for name, value in IDENTITY.items() if seen.get(name) != value]
        if missing or wrong:
            raise Failed(f"{self.name}: the origin misses {missing} and has other values for {wrong}: {seen}")
