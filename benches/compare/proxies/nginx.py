"""nginx: the origin behind every proxy, and a bare proxy that checks nothing."""

import subprocess

from certificate import Certificate
from processes import Fleet, Process, free_ports, listens
from proxies import FORWARDING, IDENTITY, SEEN
from tools import program

ANSWER = "hello, upstream 0123456789 0123456789 0123456789 01234567"
"""57 bytes with its end of line."""

BODIES = {"/10k": 10 << 10, "/1m": 1 << 20}

UPLOAD = "/upload"
"""The origin's path that reads a request's body to its end before it answers."""

BODY_BUFFER = "256k"
"""More than any request's body has: none goes to a file."""

CONNECTIONS_MAX = 16_384


class Origin:
    """What every proxy forwards to."""

    def __init__(self, fleet: Fleet) -> None:
        (self.port,) = free_ports(1)
        bodies = fleet.folder / "bodies"
        bodies.mkdir(mode=0o755)
        for path, size in BODIES.items():
            (bodies / path[1:]).write_text("x" * size)
        seen = "".join(f"{name}=$http_{name.lower().replace('-', '_')}\\n" for name in (*FORWARDING, *IDENTITY))
        # nginx answers `return` before it has read the body; what it forwards it has read.
        upload = (
            "proxy_pass http://answer/; proxy_method GET; proxy_pass_request_body off; "
            'proxy_set_header Content-Length ""; proxy_set_header Connection ""; proxy_http_version 1.1;'
        )
        config = fleet.write(
            "origin.conf",
            f"""{head(fleet, "origin", 1)}
 upstream answer {{ server 127.0.0.1:{self.port}; keepalive 4096; keepalive_requests 1000000000; }}
 server {{ listen 127.0.0.1:{self.port} backlog=4096; default_type text/plain;
  location / {{ return 200 "{ANSWER}\\n"; }}
  location = {UPLOAD} {{ {upload} }}
  location = {SEEN} {{ return 200 "{seen}"; }}
  {" ".join(f"location = {path} {{ alias {bodies}{path}; }}" for path in BODIES)} }} }}""",
        )
        start(fleet, config, self.port)


class Nginx:
    """A bare proxy; with a certificate it has a second port for TLS."""

    def __init__(self, fleet: Fleet, origin: int, workers: int, certificate: Certificate | None = None) -> None:
        self.port, self.tls_port = free_ports(2)
        headers = {
            "Connection": "",
            "X-Forwarded-For": "$remote_addr",
            "X-Forwarded-Proto": "$scheme",
            "X-Forwarded-Host": "$http_host",
            "Host": "$http_host",
            "Forwarded": r"for=$remote_addr;proto=$scheme;host=\"$http_host\"",
            "X-Request-Id": "$request_id",
            # It has one random number a request; the span is a constant.
            "traceparent": "00-$request_id-00f067aa0ba902b7-00",
            **IDENTITY,
        }
        tls = (
            f"listen 127.0.0.1:{self.tls_port} ssl http2 backlog=4096; ssl_protocols TLSv1.2 TLSv1.3;"
            f" ssl_certificate {certificate.chain}; ssl_certificate_key {certificate.key};"
            if certificate
            else ""
        )
        set_headers = "\n  ".join(f'proxy_set_header {name} "{value}";' for name, value in headers.items())
        config = fleet.write(
            f"nginx-{workers}.conf",
            f"""{head(fleet, f"nginx-{workers}", workers)}
 upstream origin {{ server 127.0.0.1:{origin}; keepalive 4096; keepalive_requests 1000000000; }}
 server {{ listen 127.0.0.1:{self.port} backlog=4096; {tls} location / {{ proxy_pass http://origin; proxy_http_version 1.1;
  proxy_request_buffering off;
  {set_headers} }} }} }}""",
        )
        self.pids = workers_of(start(fleet, config, self.port))


def head(fleet: Fleet, name: str, workers: int) -> str:
    """What both configs begin with."""
    folder = fleet.folder
    return f"""worker_processes {workers}; daemon off; pid {folder}/{name}.pid; error_log stderr crit;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h; sendfile on; client_max_body_size 0; client_body_buffer_size {BODY_BUFFER};"""


def start(fleet: Fleet, config: object, port: int) -> Process:
    """Starts it and waits for its port."""
    process = fleet.start(program("nginx"), "-c", str(config), "-e", "stderr")
    process.wait_for(lambda: listens(port), f"port {port}")
    process.wait_for(lambda: workers_of(process), "a worker")
    return process


def workers_of(process: Process) -> tuple[int, ...]:
    """The processes that do the work."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False).stdout
    return tuple(int(pid) for pid in found.split())
