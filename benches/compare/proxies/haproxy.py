"""HAProxy: bare, and with tokens checked by `jwt_verify` and claims compared by hand."""

from functools import partial

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
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header Forwarded for=%[src];proto=http;host=\\"%[req.hdr(host)]\\"
  http-request set-header X-Request-Id %[uuid()]
  http-request set-header traceparent 00-%[rand,hex]%[rand,hex]-%[rand,hex]-00
"""


class HAProxy:
    """One process with a port for each way of checking: `bare`, and one an algorithm."""

    def __init__(self, fleet: Fleet, origin: int, threads: int, keys: list[Key]) -> None:
        identity = "".join(
            "  http-request set-header {} {}\n".format(name, value.replace(" ", "\\ "))
            for name, value in IDENTITY.items()
        )
        rules = {"bare": identity}
        for key in keys:
            source = key.file.read_text() if key.algorithm.startswith("HS") else key.file
            rules[key.algorithm] = CHECK.format(how=f'"{key.algorithm}","{source}"', issuer=ISSUER, audience=AUDIENCE)
        self.ports = dict(zip(rules, free_ports(len(rules)), strict=True))
        frontends = "".join(
            f"frontend {name}\n  bind 127.0.0.1:{self.ports[name]} backlog 4096\n{rule}{FORWARD}  default_backend origin\n"
            for name, rule in rules.items()
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
