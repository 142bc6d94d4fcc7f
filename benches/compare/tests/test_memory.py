"""Memory at rest, and what the soak reports."""

import unittest
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat

from load import Load
from sections import Section
from sections.forms import FORMS
from sections.memory import LOOK_SECONDS, REST_SECONDS_MAX, STEADY_SECONDS, Minute, at_rest, report_soak


def load(requests: int, bad: int = 0) -> Load:
    return Load(requests, 60.0, 0, 0.0, 0.0, bad)


def reported(minutes: Sequence[Minute]) -> Section:
    section = Section("memory", "Memory", ["what", "figure"], [], [])
    report_soak(section, minutes)
    return section


class Clock:
    """Time that goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def rested(self, resident: Iterator[int]) -> int:
        look: Callable[[], int] = lambda: next(resident)
        return at_rest(look, lambda: self.seconds, self.sleep)


class Rest(unittest.TestCase):
    def test_memory_rests_once_it_has_not_fallen_for_a_while(self) -> None:
        clock = Clock()
        before = int(5.0 / LOOK_SECONDS)
        # What is higher for a moment is no fall.
        self.assertEqual(clock.rested(chain(repeat(100, before), [60, 70, 50], repeat(55))), 50)
        self.assertEqual(clock.seconds, (before + 2) * LOOK_SECONDS + STEADY_SECONDS)

    def test_memory_that_falls_for_ever_is_waited_for_no_longer_than_the_limit(self) -> None:
        clock = Clock()
        clock.rested(iter(range(10_000, 0, -1)))
        self.assertEqual(clock.seconds, REST_SECONDS_MAX)


class Soak(unittest.TestCase):
    def test_every_form_has_a_line_and_wrong_answers_are_added_up(self) -> None:
        minutes = [Minute(100.0, {"GET": load(1000), "POST": load(10, bad=1)}) for _ in range(2)]
        section = reported(minutes)
        self.assertEqual(
            section.rows,
            [
                ["resident in each minute of the soak, MiB", "100.0, 100.0"],
                ["soak: GET", "2,000 requests, 0 wrong answers"],
                ["soak: POST", "20 requests, 2 wrong answers"],
            ],
        )
        # So few minutes tell nothing of growth.
        found = [(target.what, target.measured, target.met) for target in section.targets]
        self.assertEqual(found, [("wrong answers in 2 minutes of every form", 2, False)])

    def test_growth_is_that_of_the_later_half_and_the_first_minute_tells_nothing(self) -> None:
        def growth(*resident: float) -> tuple[float, bool]:
            section = reported([Minute(mib, {"GET": load(1)}) for mib in resident])
            wrong, growth = section.targets
            self.assertTrue(wrong.met)
            return round(growth.measured, 3), growth.met

        self.assertEqual(growth(50.0, 100.0, 100.0, 101.0, 101.0, 101.0), (1.01, True))
        # One minute that is high is no growth, and a little more in each is.
        self.assertEqual(growth(50.0, 100.0, 98.0, 101.0, 100.0, 120.0, 99.0), (1.0, True))
        self.assertEqual(growth(50.0, 100.0, 101.0, 102.0, 103.0, 104.0, 105.0), (1.03, False))

    def test_bodies_tls_and_both_versions_of_http_are_in_it(self) -> None:
        names = {form.name for form in FORMS if form.soaks}
        wanted = {
            "GET, kept connection",
            "POST 1 KiB",
            "POST 100 KiB",
            "GET, a connection each",
            "GET, TLS, kept",
            "GET, TLS h2, 16 streams",
            "POST 1 KiB, TLS h2, 16 streams",
        }
        self.assertLessEqual(wanted, names)
