"""The table and the targets of forms."""

import unittest

from sections.forms import FORMS, HAPROXY, HYPER, HYPER_MAX, NGINX, PORTERO, section

from tests.test_measure import samples


class Forms(unittest.TestCase):
    def test_each_form_has_a_gate_a_goal_and_a_bound_to_hyper(self) -> None:
        got = {NGINX: samples(20), HAPROXY: samples(30), HYPER: samples(16), PORTERO: samples(22)}
        made = section({"POST 1 KiB": got})
        found = [(target.what, target.bound, target.met) for target in made.targets]
        self.assertEqual(
            found,
            [
                ("POST 1 KiB: Portero ÷ nginx", 1.15, True),
                ("POST 1 KiB: Portero ÷ nginx (the goal)", 1.05, False),
                ("POST 1 KiB: Portero ÷ bare hyper", HYPER_MAX, False),
            ],
        )
        self.assertEqual(
            made.rows, [["POST 1 KiB", "20.0", "30.0", "16.0", "22.0", "1.10", "0.73", "1.38", "1,000", "1,000", ""]]
        )
        self.assertEqual(len(made.rows[0]), len(made.head))

    def test_bad_answers_are_named(self) -> None:
        got = dict.fromkeys((NGINX, HAPROXY, HYPER), samples(1)) | {PORTERO: samples(1, bad=3)}
        self.assertEqual(section({"POST 1 KiB": got}).rows[0][-1], "Portero 3")

    def test_a_form_without_a_gate_is_judged_by_nothing(self) -> None:
        (free,) = [form.name for form in FORMS if form.gate is None]
        got = dict.fromkeys((NGINX, HAPROXY, HYPER, PORTERO), samples(1))
        self.assertEqual(section({free: got}).targets, [])

    def test_no_goal_is_wider_than_its_gate_and_no_two_forms_share_a_name(self) -> None:
        self.assertTrue(all(form.goal <= form.gate for form in FORMS if form.gate and form.goal))
        self.assertEqual(len({form.name for form in FORMS}), len(FORMS))
