"""Everything that is started, and its end."""

import http.client
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

START_SECONDS_MAX = 180.0
"""A gateway reads 10 million revocations before it serves."""
STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
LOG_BYTES_SHOWN = 2000

T = TypeVar("T")


class Failed(Exception):
    """What was started does not do what it should."""


class Process:
    """A running program; its output goes to a file."""

    def __init__(self, argv: list[str], output: Path, folder: Path) -> None:
        self.output = output
        self._program = argv[0]
        with output.open("ab") as out:
            # In a session of its own, so that Ctrl-C reaches us alone and we end it in order.
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, start_new_session=True
            )
        self.pid = self._process.pid

    def wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        """The condition's first value that is something."""
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            if self._process.poll() is not None:
                break
            time.sleep(POLL_SECONDS)
        tail = self.output.read_bytes()[-LOG_BYTES_SHOWN:].decode(errors="replace")
        raise Failed(f"{self._program}: {what} did not come\n{tail}")

    def stop(self) -> None:
        """Ends it, and what it started."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS_MAX)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Fleet:
    """A folder that is thrown away, and the processes that live in it."""

    def __init__(self) -> None:
        self._processes: list[Process] = []
        self._started = 0
        self.folder = Path(tempfile.mkdtemp(prefix="portero-compare-"))
        # Workers of nginx that gave up root must pass through; what is secret has its own mode.
        self.folder.chmod(0o711)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        """A file that nobody else reads."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def start(self, *argv: str | Path) -> Process:
        """Starts a program."""
        self._started += 1
        output = self.folder / f"{Path(argv[0]).name}-{self._started}.log"
        process = Process([str(argument) for argument in argv], output, self.folder)
        self._processes.append(process)
        return process

    def stop(self, process: Process) -> None:
        """Ends one before the others."""
        process.stop()
        self._processes.remove(process)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def listens(port: int) -> bool:
    """Whether someone takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def unverified() -> ssl.SSLContext:
    """TLS 1.3 without a look at the certificate. Sessions are not resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def get(port: int, path: str, token: str | None = None, *, tls: bool = False) -> tuple[int, str]:
    """Status and body of an answer; status 0 where there is none."""
    connection = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=unverified())
        if tls
        else http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    )
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except OSError:
        return 0, ""
    finally:
        connection.close()


def raise_file_limit() -> int:
    """As many open files as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def end_on_signals() -> None:
    """SIGTERM ends us as Ctrl-C does: everything that was started goes first."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
