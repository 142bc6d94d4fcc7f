"""A TLS connection for each request, each with a full handshake.

wrk keeps the session of a connection for the next one, and h2load keeps its connections: neither measures this.
"""

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from load import UNKNOWN, Load, bearer
from processes import unverified

CLIENTS = 8
"""Threads, each with one connection at a time."""

TIMEOUT_SECONDS = 10.0

READ_BYTES = 16_384


def handshakes(port: int, *, seconds: int, tokens: Path) -> Load:
    """As many as the clients make in so many seconds."""
    request = f"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer(tokens)}\r\n\r\n".encode()
    context, began = unverified(), time.monotonic()

    def client(_: int) -> list[tuple[float, bytes]]:
        taken = []
        while (start := time.monotonic()) < began + seconds:
            answer = exchanged(context, port, request)
            taken.append((time.monotonic() - start, answer))
        return taken

    with ThreadPoolExecutor(CLIENTS) as clients:
        taken = [one for each in clients.map(client, range(CLIENTS)) for one in each]
    return summed(taken, time.monotonic() - began)


def exchanged(context: ssl.SSLContext, port: int, request: bytes) -> bytes:
    """What is answered on a connection of its own; nothing where that breaks."""
    answer = b""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as stream,
            context.wrap_socket(stream) as connection,
        ):
            connection.sendall(request)
            while part := connection.recv(READ_BYTES):
                answer += part
    except OSError:
        return b""
    return answer


def summed(taken: list[tuple[float, bytes]], seconds: float) -> Load:
    """Times and answers of single requests as a load."""
    times = sorted(took * 1e6 for took, _ in taken)
    p50, p99 = (times[int(len(times) * part)] if times else UNKNOWN for part in (0.50, 0.99))
    bad = sum(not answer.startswith(b"HTTP/1.1 2") for _, answer in taken)
    size = sum(len(answer) for _, answer in taken)
    return Load(len(taken), seconds, size, p50, p99, bad)
