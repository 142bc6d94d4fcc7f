"""The bare proxy on pingora: `bare.rs` in the folder above."""

from pathlib import Path

from processes import Fleet, free_ports, listens


class Pingora:
    """Forwards what it gets, and the headers that all add, as constants."""

    def __init__(self, fleet: Fleet, binary: Path, origin: int, threads: int) -> None:
        (self.port,) = free_ports(1)
        process = fleet.start(binary, "pingora", f"127.0.0.1:{self.port}", f"127.0.0.1:{origin}", str(threads))
        process.wait_for(lambda: listens(self.port), f"port {self.port}")
        self.pids = (process.pid,)
