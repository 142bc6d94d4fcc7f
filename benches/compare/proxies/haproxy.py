"""HAProxy: bare, and with tokens checked by `jwt_verify` and claims compared by hand."""

from functools import partial

from certificate import Certificate
from processes import Fleet, free_ports, listens
from proxies import IDENTITY
from tokens import AUDIENCE, ISSUER, Key
from tools import program

CHECK = """  http-request set-var(txn.token) http_auth_bearer
  http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify({how}) 1 }}
  http-request set-var(txn.claims) var(txn.token),field(2,.),ub64dec
  http-request set-var(txn.exp) var(txn.claims),json_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request deny deny_status 401 unless {{ var(txn.claims),json_query('$.iss') -m str {issuer} }}
  http-request deny deny_status 401 unless {{ var(txn.claims),json_query('$.aud') -m str {audience} }}
  http-request set-header X-Auth-Issuer {issuer}
  http-request set-header X-Auth-Subject %[var(txn.claims),json_query('$.sub')]
  http-request set-header X-Auth-Role %[var(txn.claims),json_query('$.role')]
  http-request set-header X-Auth-Scopes %[var(txn.claims),json_query('$.scope')]
"""

FORWARD = """  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto {scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Forwarded for=%[src];proto={scheme};host=\\"%[req.hdr(host)]\\"
  http-request set-header X-Request-Id %[uuid()]
  http-request set-header traceparent 00-%[rand,hex]%[rand,hex]-%[rand,hex]-00
"""

BARE_TLS = "bare TLS"


class HAProxy:
    """One process with a port for each way of checking: `bare`, and one an algorithm; with a certificate, `bare TLS` too."""

    def __init__(
        self, fleet: Fleet, origin: int, threads: int, keys: list[Key], certificate: Certificate | None = None
    ) -> None:
        identity = "".join(
            "  http-request set-header {} {}\n".format(name, value.replace(" ", "\\ "))
            for name, value in IDENTITY.items()
        )
        rules = {"bare": identity}
        for key in keys:
            source = key.file.read_text() if key.algorithm.startswith("HS") else key.file
            rules[key.algorithm] = CHECK.format(how=f'"{key.algorithm}","{source}"', issuer=ISSUER, audience=AUDIENCE)
        if certificate:
            rules[BARE_TLS] = identity
        self.ports = dict(zip(rules, free_ports(len(rules)), strict=True))
        tls = f" ssl crt {certificate.both} alpn h2,http/1.1" if certificate else ""
        frontends = "".join(
            frontend(name, self.ports[name], rule, tls if name == BARE_TLS else "") for name, rule in rules.items()
        )
        config = fleet.write(
            f"haproxy-{threads}.cfg",
            f"""global
  nbthread {threads}
  maxconn 9000
defaults
  mode http
  maxconn 9000
  timeout client 1h
  timeout server 1h
  timeout connect 5s
  timeout http-keep-alive 1h
  http-reuse always
{frontends}backend origin
  server origin 127.0.0.1:{origin} pool-max-conn 4096
""",
        )
        process = fleet.start(program("haproxy"), "-db", "-f", config)
        for port in self.ports.values():
            process.wait_for(partial(listens, port), f"port {port}")
        self.pids = (process.pid,)


def frontend(name: str, port: int, rule: str, tls: str) -> str:
    forward = FORWARD.format(scheme="https" if tls else "http")
    bind = f"  bind 127.0.0.1:{port} backlog 4096{tls}\n"
    return f"frontend {name.replace(' ', '-')}\n{bind}{rule}{forward}  default_backend origin\n"
