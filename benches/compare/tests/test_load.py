"""What the tools say is read rightly."""

import unittest
from typing import ClassVar

from load import from_oha, from_wrk


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
