"""What the tools say is read rightly."""

import unittest
from typing import ClassVar

from load import from_h2load, from_oha, from_wrk
from processes import Failed


class Wrk(unittest.TestCase):
    SAID: ClassVar = {
        "requests": 100,
        "seconds": 2.0,
        "bytes": 5000,
        "p50_us": 10.0,
        "p99_us": 20.0,
        "not_2xx": 3,
        "broken": 2,
    }

    def test_bad_answers_are_those_of_another_status_and_broken_connections(self) -> None:
        load = from_wrk(self.SAID, refused=False)
        self.assertEqual((load.rate, load.bad), (50.0, 5))

    def test_of_refusals_those_let_through_are_bad(self) -> None:
        self.assertEqual(from_wrk(self.SAID, refused=True).bad, 99)


class Oha(unittest.TestCase):
    def test_seconds_become_microseconds_and_errors_are_bad(self) -> None:
        said = {
            "summary": {"total": 2.0, "totalData": 570},
            "latencyPercentiles": {"p50": 0.0001, "p99": 0.002},
            "statusCodeDistribution": {"200": 10, "503": 1},
            "errorDistribution": {"connection refused": 2},
        }
        load = from_oha(said)
        self.assertEqual((load.requests, load.bad, round(load.p50_us), round(load.p99_us)), (11, 3, 100, 2000))


class H2load(unittest.TestCase):
    SAID = """
finished in 2.00s, 450.00 req/s, 8.10KB/s
requests: 920 total, 910 started, 900 done, 897 succeeded, 3 failed, 3 errored, 0 timeout
status codes: 890 2xx, 0 3xx, 2 4xx, 5 5xx
traffic: 15.81KB (16193) total, 1.07KB (1100) headers (space savings 90.00%), 8.79KB (9000) data
"""

    def test_what_failed_and_other_statuses_are_bad(self) -> None:
        load = from_h2load(self.SAID)
        self.assertEqual((load.requests, load.seconds, load.bytes, load.bad), (900, 2.0, 16193, 10))
        self.assertEqual(load.rate, 450.0)

    def test_a_text_that_says_nothing_is_no_load(self) -> None:
        with self.assertRaises(Failed):
            from_h2load("Could not connect to host")

    def test_a_short_run_is_told_in_milliseconds(self) -> None:
        self.assertEqual(from_h2load(self.SAID.replace("2.00s", "250.00ms")).seconds, 0.25)
