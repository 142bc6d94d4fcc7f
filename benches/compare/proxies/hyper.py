"""The bare proxy on hyper: `bare.rs` in the folder above."""

from pathlib import Path

from certificate import Certificate
from processes import Fleet, free_ports, listens


class Hyper:
    """Forwards what it gets, and the headers that all add, as constants; in the clear and through TLS."""

    def __init__(self, fleet: Fleet, binary: Path, origin: int, threads: int, certificate: Certificate) -> None:
        self.port, self.tls_port = free_ports(2)
        addresses = (f"127.0.0.1:{port}" for port in (self.port, self.tls_port, origin))
        process = fleet.start(binary, "hyper", *addresses, certificate.chain, certificate.key, str(threads))
        for port in (self.port, self.tls_port):
            process.wait_for(lambda port=port: listens(port), f"port {port}")
        self.pids = (process.pid,)
