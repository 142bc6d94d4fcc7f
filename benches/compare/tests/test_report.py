"""The report and the chart."""

import json
import unittest
from typing import Any
from xml.etree import ElementTree

import chart
import report
from sections import Section, Target

FACTS = {
    "machine": "2 cores",
    "load": 0.1,
    "versions": {"nginx": "1.22.1"},
    "rounds": 5,
    "seconds": 5,
    "connections": 32,
    "token_bytes": 358,
}


def part(name: str, run: str, **facts: object) -> dict[str, Any]:
    section = Section(
        name, name.title(), ["proxy", "µs"], [["nginx", "18.0"]], [Target("a ÷ b", 1.2, "≤", 1.1)], ["A note."], run=run
    )
    # As it is kept between runs.
    return dict(json.loads(json.dumps({"facts": {**FACTS, **facts}, "section": section.to_json()})))


class Report(unittest.TestCase):
    def test_a_missed_target_says_so(self) -> None:
        text = report.render([part("hot", "2026-11-21 10:00 UTC")])
        self.assertIn("0 of 1 targets are met.", text)
        self.assertIn("| a ÷ b | 1.20 | ≤ 1.10 | **missed** |", text)
        self.assertNotIn("Of another run", text)

    def test_a_section_of_another_run_says_what_differs(self) -> None:
        text = report.render([part("hot", "2026-11-21 10:00 UTC"), part("start", "2026-11-20 10:00 UTC", rounds=3)])
        self.assertIn("Of another run, at 2026-11-20 10:00 UTC, with 3 rounds of 5 s.", text)

    def test_a_busy_machine_is_named(self) -> None:
        self.assertNotIn("not quiet", report.render([part("hot", "2026-11-21 10:00 UTC")]))
        self.assertIn("not quiet", report.render([part("hot", "2026-11-21 10:00 UTC", load=2.5)]))

    def test_relations_are_what_they_look_like(self) -> None:
        self.assertTrue(Target("", 0.9, "≥", 0.9).met)
        self.assertTrue(Target("", 1.1, "≤", 1.1).met)
        self.assertFalse(Target("", 1.0, "<", 1.0).met)


class Chart(unittest.TestCase):
    def test_it_is_well_formed_and_every_bar_ends_within(self) -> None:
        bars = [
            {"name": "a < b", "group": "a", "user": 3.0, "system": 12.0},
            {"name": "Portero", "group": "Portero", "user": 8.0, "system": 13.5},
        ]
        picture = ElementTree.fromstring(chart.render(bars, "2026-11-21"))
        boxes = [box for box in picture.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertTrue(all(float(box.attrib["x"]) + float(box.attrib["width"]) <= chart.WIDTH for box in boxes))
        self.assertEqual(len(boxes), 2 * len(bars) + 2)
