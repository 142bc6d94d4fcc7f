"""Single requests become a load."""

import socket
import threading
import unittest

from handshakes import exchanged, summed
from processes import free_ports, unverified


class Handshakes(unittest.TestCase):
    def test_an_answer_of_another_status_and_none_at_all_are_bad(self) -> None:
        taken = [(0.001, b"HTTP/1.1 200 OK\r\n\r\n"), (0.002, b"HTTP/1.1 503 Busy\r\n\r\n"), (0.003, b"")]
        load = summed(taken, 2.0)
        self.assertEqual((load.requests, load.bad, load.rate), (3, 2, 1.5))
        self.assertEqual(round(load.p50_us), 2000)

    def test_one_request_or_none_has_percentiles_too(self) -> None:
        self.assertEqual(round(summed([(0.001, b"")], 1.0).p99_us), 1000)
        self.assertEqual(summed([], 1.0).requests, 0)

    def test_a_connection_that_breaks_gives_no_answer(self) -> None:
        (closed,) = free_ports(1)
        self.assertEqual(exchanged(unverified(), closed, b""), b"")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closing = threading.Thread(target=lambda: listener.accept()[0].close())
            closing.start()
            self.assertEqual(exchanged(unverified(), listener.getsockname()[1], b""), b"")
            closing.join()
