"""Medians, ratios within a round, and /proc."""

import os
import unittest

from measure import Sample, cpu, median, ratio, resident_kib, summary
from sections.hot import cheapest, targets


def samples(*costs: float, bad: int = 0) -> list[Sample]:
    return [Sample(cost, cost / 3, cost * 2 / 3, 1000.0, 1.0, 2.0, bad, 100, 5700, 10.0) for cost in costs]


class Ratios(unittest.TestCase):
    def test_a_ratio_is_taken_within_each_round(self) -> None:
        # Of the medians it would be 2; one round was disturbed, for both.
        self.assertEqual(ratio(samples(10, 90, 20), samples(10, 60, 10)), 1.5)

    def test_the_cheapest_setting_has_no_access_log(self) -> None:
        taken = {
            "Portero HS256, 1 thread": samples(20),
            "Portero HS256, 2 threads": samples(30),
            "Portero HS256, 1 thread, access log": samples(10),
        }
        self.assertEqual(cheapest(taken, "Portero HS256"), "Portero HS256, 1 thread")
        self.assertIsNone(cheapest(taken, "nginx bare"))

    def test_what_was_not_measured_has_no_target(self) -> None:
        taken = {
            "Portero HS256, 1 thread": samples(21),
            "nginx bare, 2 workers": samples(15),
            "bare hyper, 1 thread": samples(20),
        }
        found = [(target.what, target.met) for target in targets(taken)]
        self.assertEqual(
            found,
            [
                ("Portero HS256, 1 thread ÷ bare hyper, 1 thread", True),
                ("Portero HS256, 1 thread ÷ nginx bare, 2 workers", True),
                ("Portero HS256, 1 thread ÷ nginx bare, 2 workers (the goal)", False),
            ],
        )

    def test_what_went_wrong_is_added_up(self) -> None:
        bad = [Sample(1.0, 0.5, 0.5, 1.0, 1.0, 1.0, count, 1, 1, 1.0) for count in (0, 0, 7)]
        self.assertEqual((summary(bad)["bad"], summary(bad)["cpu_us"], median(bad)), (7, 1.0, 1.0))


class Proc(unittest.TestCase):
    def test_this_process_has_run_and_has_memory(self) -> None:
        used = cpu([os.getpid()])
        self.assertGreaterEqual(used.user + used.system, 0)
        self.assertGreater(resident_kib([os.getpid()]), 1000)
